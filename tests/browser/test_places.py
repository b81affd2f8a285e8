"""Every place of the page shows what the log holds, by click and by address, and no other thing than was asked for."""

import pytest

from tests.browser.homes import LATER, House, Rich
from tests.browser.tabs import Tabs
from tests.browser.watch import Tab, expect

PLACES = (
    "Now", "Tasks", "Runs", "Approvals", "Threads", "Schedules", "Sensors", "Workflows", "Outbox", "Adapters", "Files",
    "Log", "SQL", "Report",
)  # fmt: skip
SHOWN: dict[str, tuple[str, ...]] = {
    "Now": ("wait for you", "it is done", "says no", "much later", "says hello", "Pause"),
    "Tasks": ("says hello", "▲ blocked", "attempts_exhausted", "much later", "○ pending"),
    "Runs": ("says hello", "✓ completed", "✗ failed", "◐ waiting_for_approval", "exit:3"),
    "Approvals": ("local-process", "it is done", "really?", "Look and answer"),
    "Threads": ("t1", "one", "a question"),
    "Schedules": ("nightly", "every 1800 s", "● enabled", "Run now"),
    "Sensors": ("disk", "3600 s", "k1", "e1"),
    "Workflows": ("w1", "goal-loop"),
    "Outbox": ("desk", "◐ held"),
    "Adapters": ("worker (default)", "waits", "script"),
    "Files": ("reports/",),
    "Log": ("task.queued", "run.approval_requested", "schedule.created", "sensor.accepted", "workflow.created"),
    "SQL": ("a question that people ask",),
    "Report": ("position", "first", "compare with now"),
}
HEADINGS = {
    "now": "What is going on", "tasks": "Tasks", "runs": "Runs", "approvals": "Waiting for you", "threads": "Threads",
    "schedules": "Schedules", "sensors": "Sensors", "workflows": "Workflows", "adapters": "Adapters",
    "outbox": "Outbox", "files": "Files", "log": "Log", "sql": "SQL", "report": "Report", "task": "says no",
    "replay": "Replay", "approval": "May this be done?", "question": "A question for you", "thread": "Thread t1",
    "workflow": "w1",
    "file": "s.md", "event": "Log", "answer": "SQL", "compared": "Report", "run-report": "report",
}  # fmt: skip
UNKNOWN = (
    "/tasks/ffffffffffffffffffffffffffffffff", "/tasks/ffff", "/tasks/nonsense", "/runs/ffffffffffffffffffffffffffff",
    "/runs/zz", "/runs/ffffffff/replay", "/approvals/ffffffff/c1", "/workflows/nobody", "/files?path=no/such",
    "/files?path=../../rt.toml",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_each_place_of_the_navigation_shows_what_the_log_holds(full: Rich, tabs: Tabs, place: str) -> None:
    tab = tabs.open(full.at, "/adapters" if place != "Adapters" else "/")
    link = tab.page.locator("nav[aria-label=places]").get_by_role("link", name=place, exact=True)
    link.click()
    expect(link).to_have_attribute("aria-current", "page")
    for words in SHOWN[place]:
        expect(tab.main).to_contain_text(words)
    expect(tab.page).to_have_title(f"{place if place == 'SQL' else place.lower()} · workshop")
    tab.shot(f"place-{place.lower()}")


@pytest.mark.parametrize("name", HEADINGS)
def test_every_page_opens_directly(full: Rich, tabs: Tabs, name: str) -> None:
    tab = tabs.open(full.at, full.addresses()[name])
    expect(tab.main.locator("h1")).to_have_text(HEADINGS[name])


def test_back_and_forward_restore_what_was_there(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, "/tasks?state=blocked&q=says")
    heading = tab.main.locator("h1")
    seen = [(tab.page.url, "Tasks")]
    expect(tab.rows("tasks")).to_have_count(1)
    for way, title in (("says no", ""), ("Runs", "Runs"), ("SQL", "SQL"), ("workshop", "What is going on")):
        if not title:
            tab.rows("tasks").get_by_role("link").click()
        else:
            tab.page.locator("nav[aria-label=places]").get_by_role("link", name=way, exact=True).click()
        expect(heading).to_have_text(title or way)
        seen.append((tab.page.url, title or way))
    for url, title in reversed(seen[:-1]):
        tab.page.go_back()
        expect(heading).to_have_text(title)
        assert tab.page.url == url
    expect(tab.rows("tasks")).to_have_count(1)
    for url, title in seen[1:]:
        tab.page.go_forward()
        expect(heading).to_have_text(title)
        assert tab.page.url == url


def test_the_sides_of_a_run_are_addresses_too(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, f"/runs/{full.watched}#decisions")
    expect(tab.main.locator("#side h2")).to_have_text("Decisions")
    tab.link("Why").click()
    expect(tab.main.locator("#side h2")).to_have_text("Why")
    tab.link("Output").click()
    expect(tab.main.locator("#side h2")).to_have_text("Output")
    tab.page.go_back()
    expect(tab.main.locator("#side h2")).to_have_text("Why")
    tab.page.go_back()
    expect(tab.main.locator("#side h2")).to_have_text("Decisions")
    tab.page.go_forward()
    expect(tab.main.locator("#side h2")).to_have_text("Why")


@pytest.mark.parametrize("address", UNKNOWN)
def test_what_is_not_there_is_said_and_nothing_else_is_shown(full: Rich, tabs: Tabs, address: str) -> None:
    tab = tabs.stranger(full.at).log_in()
    tab.answered(404, 422)
    tab.go(address)
    told(tab, full)


def told(tab: Tab, full: Rich) -> None:
    expect(tab.main.get_by_role("alert")).to_be_visible()
    text = tab.main.inner_text()
    for each in ("says hello", "says no", "an agent", full.hello[:8], full.watched[:8], "goal-loop", "Approve"):
        assert each not in text


@pytest.mark.parametrize("address", ["/nowhere", "/tasks/a/b", "/runs/a/b/c", "/../etc/passwd", "/assets/none.js"])
def test_an_address_that_is_no_page_is_404(full: Rich, tabs: Tabs, address: str) -> None:
    tab = tabs.stranger(full.at).log_in()
    tab.answered(404)
    answer = tab.page.goto(full.at.url + address)
    assert answer is not None
    assert answer.status == 404


def test_a_beginning_of_an_id_finds_the_whole(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, f"/runs/{full.hello[:8]}")
    expect(tab.main.locator("h1")).to_have_text("says hello")
    expect(tab.main.locator("dl")).to_contain_text(full.hello)


def test_lists_are_filtered_by_state_and_words(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, "/tasks")
    tab.link("Blocked").click()
    expect(tab.rows("tasks")).to_have_count(len(full.items("tasks", state="blocked")))
    assert tab.page.url == f"{full.at.url}/tasks?state=blocked"
    for row in tab.rows("tasks").all():
        expect(row).to_contain_text("▲ blocked")
    tab.link("All").click()
    expect(tab.main.locator("h1")).to_have_text("Tasks")
    tab.main.get_by_role("searchbox", name="Search").fill("HELLO")
    expect(tab.rows("tasks")).to_have_count(1)
    expect(tab.rows("tasks")).to_contain_text("says hello")
    tab.page.reload()
    expect(tab.rows("tasks")).to_have_count(1)
    tab.main.get_by_role("searchbox", name="Search").fill("nothing is called so")
    expect(tab.main).to_contain_text("none of these fits")
    tab.go("/runs")
    tab.link("failed").click()
    expect(tab.rows("runs")).to_have_count(len(full.items("runs", state="failed")))
    expect(tab.rows("runs").filter(has_text="says no")).to_have_count(1)


def test_an_event_is_shown_whole_at_its_address(full: Rich, tabs: Tabs) -> None:
    found = full.items("events", topic="sensor.accepted")[0]
    tab = tabs.open(full.at, "/log")
    tab.link(str(found["position"])).click()
    chosen = tab.main.locator("li.chosen")
    expect(chosen.locator("pre")).to_contain_text('"key": "k1"')
    assert tab.page.url == f"{full.at.url}/log?at={found['position']}"


def test_the_log_is_filtered_by_topic_and_read_backwards_page_by_page(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, "/log")
    field = tab.main.get_by_role("searchbox", name="topic")
    field.fill("run.fin*")
    field.press("Enter")
    expect(tab.main.locator("ol.events li")).to_have_count(len(full.items("events", topic="run.fin*", limit=500)))
    expect(tab.main.locator("ol.events")).not_to_contain_text("task.")
    tab.go("/log")
    lines = tab.main.locator("ol.events li")
    expect(lines).to_have_count(100)
    while tab.button("Older").count():
        so_many = lines.count()
        tab.button("Older").click()
        expect(lines.nth(so_many)).to_be_attached()
    first = full.items("events", after=0, limit=1)[0]["topic"].rpartition(".v")[0]
    expect(lines.last).to_contain_text(first)


def test_no_link_of_the_log_leads_to_nothing(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, "/log")
    links = {str(each.get_attribute("href")) for each in tab.main.locator("ol.events a[href^='/tasks/']").all()}
    known = {f"/tasks/{each['task']}" for each in full.items("tasks", limit=500)}
    assert links
    assert links - known == set()


def test_a_number_is_shown_with_all_its_digits(home: House, tabs: Tabs) -> None:
    task = home.queue({"id": 9_007_199_254_740_993, "most": 2**63 - 1}, available_at=LATER)
    tab = tabs.open(home.at, f"/tasks/{task}")
    payload = tab.main.locator("pre")
    expect(payload).to_contain_text('"most"')
    assert ("9007199254740993" in payload.inner_text(), str(2**63 - 1) in payload.inner_text()) == (True, True)
