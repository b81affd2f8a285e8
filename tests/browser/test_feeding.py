"""What brings work in, on the page: schedules, sensors, workflows."""

from uuid import uuid4

from tests.browser.homes import House
from tests.browser.tabs import Tabs
from tests.browser.watch import Locator, Tab, expect


def row(tab: Tab, table: str, word: str) -> Locator:
    return tab.rows(table).filter(has_text=word)


def named(word: str) -> str:
    return f"{word} {uuid4().hex[:8]}"


def created(house: House, name: str) -> str:
    task = {"kind": "tick", "source": "s", "payload": {"objective": "x"}, "requested_adapter": "worker"}
    house.post("schedules", name=name, task=task, interval_seconds=86_400)
    return name


def test_a_schedule_is_created_run_disabled_enabled_and_removed(home: House, tabs: Tabs) -> None:
    tab = tabs.open(home.at, "/schedules")
    name = named("o'clock")
    tab.main.locator("summary", has_text="New schedule").click()
    tab.field("name").fill(name)
    tab.main.get_by_role("spinbutton", name="every so many seconds").fill("86400")
    tab.field("task").fill(
        '{"kind": "tick", "source": "s", "payload": {"objective": "look"}, "requested_adapter": "worker"}'
    )
    tab.button("Create").click()
    found = row(tab, "schedules", name)
    for words in ("every 86400 s", "● enabled"):
        expect(found).to_contain_text(words)
    fired = found.locator("td").nth(5)
    before = int(fired.inner_text())
    tab.act(found.get_by_role("button", name="Run now"))
    tab.until(lambda: int(fired.inner_text()) > before, "it did not fire")
    tab.act(found.get_by_role("button", name="Disable"), "a holiday")
    expect(found).to_contain_text("■ disabled")
    assert home.items("events", topic="schedule.disabled", limit=1)[0]["data"]["reason"] == "a holiday"
    tab.act(found.get_by_role("button", name="Enable"))
    expect(found).to_contain_text("● enabled")
    tab.act(found.get_by_role("button", name="Remove"))
    expect(found.filter(has_text="enabled")).to_have_count(0)
    assert home.items("events", topic="schedule.removed", limit=1)


def test_a_schedule_by_a_calendar_and_wrong_ones(home: House, tabs: Tabs) -> None:
    tab = tabs.open(home.at, "/schedules")
    name = named("morning")
    tab.main.locator("summary", has_text="New schedule").click()
    tab.field("name").fill(name)
    tab.field("or cron").fill("0 7 * * *")
    tab.field("task").fill("{not json")
    tab.button("Create").click()
    expect(tab.main.locator(".problem")).to_contain_text("the task is not JSON")
    tab.field("task").fill('{"kind": "tick", "source": "s", "payload": {"objective": "x"}}')
    tab.field("or cron").fill("61 7 * * *")
    tab.answered(422)
    tab.button("Create").click()
    expect(tab.main.locator(".problem")).to_contain_text("cron")
    tab.field("or cron").fill("0 7 * * *")
    tab.button("Create").click()
    expect(row(tab, "schedules", name)).to_contain_text("0 7 * * * UTC")


def test_schedules_are_evaluated_when_that_is_asked(home: House, tabs: Tabs) -> None:
    tab = tabs.open(home.at, "/schedules")
    head = home.at.head()[0]
    assert tab.act(tab.button("Evaluate now")) == "rt schedule tick"
    tab.until(lambda: home.at.head()[0] > head, "nothing was evaluated")


def test_a_name_with_a_slash_is_a_name_too(home: House, tabs: Tabs) -> None:
    name = created(home, named("org/repo"))
    tab = tabs.open(home.at, "/schedules")
    found = row(tab, "schedules", name)
    tab.act(found.get_by_role("button", name="Disable"), "")
    expect(found).to_contain_text("■ disabled")


def test_what_a_sensor_told_shows_what_became_of_it(home: House, tabs: Tabs) -> None:
    word = uuid4().hex
    task = {"kind": "alert", "source": "disk", "payload": {"objective": "look"}, "requested_adapter": "worker"}
    told = {"sensor_id": "disk", "source_ref": "x", "dedupe_key": word, "payload": {"free": 1}, "proposed_task": task}
    home.post("sensors/events", event_id=word, **told)
    tab = tabs.open(home.at, "/sensors")
    expect(tab.rows("sensors").filter(has_text="disk")).to_contain_text("3600 s")
    found = tab.rows("sensor events").filter(has_text=word)
    expect(found.locator("td").nth(5)).to_have_text("0")
    home.post("sensors/events", event_id=word, **told)
    expect(found.locator("td").nth(5)).to_have_text("1")
    found.get_by_role("link").nth(1).click()
    expect(tab.main.locator("h1")).to_have_text("alert")


def test_a_workflow_is_drawn_with_its_state_marked_and_moved(home: House, tabs: Tabs) -> None:
    key = named("w")
    home.post("workflows", template="goal-loop", instance_key=key, context={"goal": "the goal"})
    tab = tabs.open(home.at, "/workflows")
    tab.link(key).click()
    machine = tab.main.locator("svg.machine")
    states = home.get(f"workflows/{key}")["machine"]["states"]
    expect(machine.locator("g")).to_have_count(len(states))
    expect(machine.locator("g.is text")).to_have_text("● plan")
    for state in states:
        expect(machine).to_contain_text(state)
    label = str(machine.get_attribute("aria-label"))
    assert label.startswith("state machine, now in plan: ")
    assert "plan goes to execute on plan_ready" in label
    tab.shot("workflow")
    tab.act(tab.button("plan_ready → execute"))
    expect(machine.locator("g.is text")).to_have_text("● execute")
    expect(tab.rows("moves").filter(has_text="workflow.transitioned").first).to_be_visible()
    tab.main.locator("summary", has_text="Context").click()
    expect(tab.main.locator("details pre")).to_contain_text('"goal": "the goal"')
    tab.act(tab.button("Cancel"), "seen enough")
    expect(tab.main).to_contain_text("■ canceled")
    expect(tab.button("Cancel")).to_have_count(0)
    tab.go("/workflows")
    expect(row(tab, "workflows", key)).to_have_count(0)
    tab.link("all").click()
    expect(row(tab, "workflows", key)).to_contain_text("■ canceled")


def test_a_workflow_whose_key_has_a_slash_is_reached_by_click_and_by_address(home: House, tabs: Tabs) -> None:
    key = named("org/repo#1")
    home.post("workflows", template="goal-loop", instance_key=key, context={"goal": "x"})
    tab = tabs.open(home.at, "/workflows")
    tab.link(key).click()
    expect(tab.main.locator("h1")).to_have_text(key)
    tab.page.reload()
    expect(tab.main.locator("h1")).to_have_text(key)
