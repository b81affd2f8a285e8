"""What a person does to tasks and runs on the page: asked once more, answered with a position, seen at once."""

from pathlib import Path

from tests.api.serving import until
from tests.browser.homes import LATER, House
from tests.browser.tabs import Tabs
from tests.browser.watch import expect

SLEEPS = ("sh", "-c", "echo $$; exec sleep 600")


def test_claiming_pauses_with_a_reason_and_goes_on(home: House, tabs: Tabs) -> None:
    tab = tabs.open(home.at)
    tab.act(tab.button("Pause"), "somebody looks at the disk")
    expect(tab.main.locator(".counts")).to_contain_text("▲ paused")
    assert home.items("events", topic="dispatcher.paused", limit=1)[0]["data"]["reason"] == "somebody looks at the disk"
    task = home.command("true", subject="waits for the resume")
    expect(tab.rows("queue").filter(has_text="waits for the resume")).to_have_count(1)
    tab.act(tab.button("Resume"))
    expect(tab.main.locator(".counts")).to_contain_text("● live")
    home.reaches(task, "completed")


def test_a_reason_for_a_pause_is_seen_where_it_is_paused(home: House, tabs: Tabs) -> None:
    home.post("dispatcher", paused=True, reason="the disk is full")
    try:
        tab = tabs.open(home.at)
        expect(tab.main.locator(".counts")).to_contain_text("▲ paused")
        expect(tab.page.locator("body")).to_contain_text("the disk is full")
    finally:
        home.post("dispatcher", paused=False)


def test_a_running_run_is_canceled_and_nothing_of_it_is_left(home: House, tabs: Tabs) -> None:
    task = home.command(*SLEEPS)
    until(lambda: home.run_of(task), "it does not run")
    run = home.run_of(task)
    tab = tabs.open(home.at, f"/runs/{run}#output")
    line = tab.main.get_by_label("output of the run").locator(".text").first
    expect(line).to_have_text(str(int(line.inner_text())))
    process = int(line.inner_text())
    assert tab.act(tab.button("Cancel"), "enough") == f"rt cancel {run[:8]} --reason …"
    expect(tab.main.locator("p", has_text="■ canceled")).to_be_visible()
    expect(tab.button("Cancel")).to_have_count(0)
    assert not Path(f"/proc/{process}").exists()
    assert home.status(task) == "operator_canceled"


def test_a_task_that_waits_is_moved_forward_and_canceled(home: House, tabs: Tabs) -> None:
    task = home.queue({"objective": "x"}, available_at=LATER, subject="later")
    tab = tabs.open(home.at, f"/tasks/{task}")
    assert tab.act(tab.button("Prioritize"), "77") == f"rt prioritize {task[:8]} N"
    expect(tab.main.locator("dl")).to_contain_text("77")
    tab.answered(422)
    tab.act(tab.button("Prioritize"), "soon")
    expect(tab.main.locator(".problem")).to_contain_text("priority")
    tab.act(tab.button("Cancel"), "not needed")
    expect(tab.main.locator("p", has_text="■ operator_canceled")).to_be_visible()
    expect(tab.button("Cancel")).to_have_count(0)


def test_a_blocked_task_is_retried_and_another_one_unblocked(home: House, tabs: Tabs) -> None:
    tab = tabs.open(home.at)
    for label, topic in (("Retry", "task.retried"), ("Unblock", "task.unblocked")):
        (home.folder / "fixed").unlink(missing_ok=True)
        task = home.command("test", "-e", "fixed")
        home.reaches(task, "blocked")
        tab.go(f"/tasks/{task}")
        expect(tab.main.locator("p", has_text="▲ blocked")).to_be_visible()
        (home.folder / "fixed").touch()
        tab.act(tab.button(label), "it is there now")
        expect(tab.main.locator("p", has_text="✓ completed")).to_be_visible()
        expect(tab.rows("runs")).to_have_count(2)
        assert home.items("events", topic=topic, limit=1)[0]["task"] == task


def test_what_cannot_be_done_any_more_is_told_where_it_was_tried(home: House, tabs: Tabs) -> None:
    task = home.queue({"objective": "x"}, available_at=LATER)
    tab = tabs.open(home.at, f"/tasks/{task}")
    tab.answered(409)
    tab.button("Prioritize").click()
    home.post(f"tasks/{task}/cancel", reason="first")
    tab.confirm("5")
    expect(tab.main.locator(".problem")).to_contain_text("canceled")


def test_nothing_is_done_by_going_back(home: House, tabs: Tabs) -> None:
    task = home.queue({"objective": "x"}, available_at=LATER)
    tab = tabs.open(home.at, f"/tasks/{task}")
    before = home.at.head()[0]
    tab.button("Cancel").click()
    tab.page.locator("dialog").get_by_role("button", name="Back").click()
    tab.button("Cancel").click()
    tab.page.keyboard.press("Escape")
    expect(tab.page.locator("dialog")).to_have_count(0)
    assert home.by_people(before) == []


def test_a_button_is_busy_until_it_is_answered_and_a_double_click_is_one_wish(home: House, tabs: Tabs) -> None:
    task = home.queue({"objective": "x"}, available_at=LATER)
    tab = tabs.open(home.at, f"/tasks/{task}")
    before = len(home.items("events", topic="task.prioritized", limit=500))
    tab.button("Prioritize").click()
    dialog = tab.page.locator("dialog[open]")
    dialog.locator("textarea").fill("9")
    dialog.locator("button[value=yes]").dblclick()
    expect(tab.main.locator("dl")).to_contain_text("priority9")
    assert len(home.items("events", topic="task.prioritized", limit=500)) == before + 1


def test_a_reply_is_a_task_below_the_one_that_it_answers(home: House, tabs: Tabs) -> None:
    task = home.queue({"objective": "x"}, available_at=LATER, subject="the first")
    tab = tabs.open(home.at, f"/tasks/{task}")
    tab.link("Reply").click()
    tab.field("New task").fill("and now this")
    tab.button("Submit").click()
    expect(tab.section("new task")).to_contain_text("queued: ")
    made = tab.section("new task").get_by_role("link").get_attribute("href")
    assert made is not None
    assert home.get(made[1:])["payload"]["parent_id"] == task


def test_a_new_line_is_no_end_and_nothing_is_sent_where_nothing_was_typed(home: House, tabs: Tabs) -> None:
    tab = tabs.open(home.at)
    before = home.at.head()[0]
    field = tab.field("New task")
    field.press("Enter")
    field.fill("   ")
    field.press("Enter")
    assert home.by_people(before) == []
    field.fill("one")
    field.press("Shift+Enter")
    field.press_sequentially("two /planning")
    field.press("Enter")
    expect(tab.section("new task")).to_contain_text("queued: ")
    made = tab.section("new task").get_by_role("link").get_attribute("href")
    assert made is not None
    payload = home.get(made[1:])["payload"]
    assert (payload["message"], payload["skill_refs"]) == ("one\ntwo /planning", ["planning"])


def test_what_was_done_is_told_with_its_position_also_when_its_button_is_gone(home: House, tabs: Tabs) -> None:
    task = home.queue({"objective": "x"}, available_at=LATER, subject="later")
    tab = tabs.open(home.at, f"/tasks/{task}")
    told = tab.page.locator("#told")
    expect(told).to_be_empty()
    tab.act(tab.button("Cancel"), "not needed")
    expect(tab.button("Cancel")).to_have_count(0)
    position = home.items("events", topic="task.cancel", limit=1)[0]["position"]
    expect(told).to_have_text(f"Cancel: done at position {position}")
    home.done("echo", "something else happens")
    tab.told(home.at.head()[0])
    expect(told).to_have_text(f"Cancel: done at position {position}")
    tab.page.get_by_role("navigation", name="places").get_by_role("link", name="Tasks").click()
    expect(tab.main.locator("h1")).to_have_text("Tasks")
    expect(told).to_be_empty()
