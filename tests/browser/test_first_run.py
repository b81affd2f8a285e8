"""From a task that somebody types to its end, without touching anything in between."""

from tests.browser.homes import House
from tests.browser.tabs import Tabs
from tests.browser.watch import expect


def test_a_typed_task_is_seen_queued_running_and_done_without_a_reload(home: House, tabs: Tabs) -> None:
    (home.folder / "go").unlink(missing_ok=True)
    tab = tabs.open(home.at)
    assert tab.act(tab.button("Pause"), "until it was seen") == "rt pause --reason …"
    expect(tab.main).to_contain_text("paused")
    tab.field("New task").fill("count the chairs")
    tab.choice("adapter").select_option("waits")
    tab.field("New task").press("Enter")
    expect(tab.section("new task")).to_contain_text("queued: ")
    row = tab.rows("queue").filter(has_text="count the chairs")
    expect(row).to_contain_text("pending")
    tab.act(tab.button("Resume"))
    running = tab.section("now").locator("article").filter(has_text="count the chairs")
    expect(running).to_contain_text("● running")
    expect(running).to_contain_text("waits · attempt 1 of")
    expect(row).to_have_count(0)
    (home.folder / "go").touch()
    done = tab.section("done").locator("tbody tr").filter(has_text="count the chairs")
    expect(done).to_contain_text("✓ completed")
    expect(running).to_have_count(0)
    for topic in ("task.queued", "task.claimed", "run.started", "run.finished", "task.completed"):
        expect(tab.section("events").locator("li", has_text=topic).first).to_be_visible()
    tab.shot("first-run")
    done.get_by_role("link").click()
    expect(tab.main.locator("h1")).to_have_text("count the chairs")
    expect(tab.main).to_contain_text("it went on")
