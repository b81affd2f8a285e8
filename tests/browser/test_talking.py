"""Conversations on the page."""

from uuid import uuid4

from tests.browser.homes import House
from tests.browser.tabs import Tabs
from tests.browser.watch import expect


def test_something_is_said_and_the_answer_comes(home: House, tabs: Tabs) -> None:
    name = f"talk-{uuid4().hex[:8]}"
    tab = tabs.open(home.at, "/threads")
    tab.field("Open or begin").fill(name)
    tab.answered(404)
    tab.button("Open").click()
    expect(tab.main).to_contain_text("nothing was said here yet")
    tab.field("Say").fill("hello <b>you</b>\nand you")
    tab.field("Say").press("Enter")
    said = tab.main.locator("article")
    expect(said.locator(".words")).to_have_text(["hello <b>you</b>\nand you", "re: hello <b>you</b>\nand you"])
    expect(said.first).to_contain_text("user")
    expect(said.last).to_contain_text("assistant")
    expect(tab.field("Say")).to_have_value("")
    tab.shot("thread")
    said.last.get_by_role("link").click()
    expect(tab.main).to_contain_text("✓ completed")
    tab.go("/threads")
    expect(tab.rows("threads").filter(has_text=name)).to_contain_text("hello <b>you</b>")


def test_a_thread_is_begun_anew_and_deleted(home: House, tabs: Tabs) -> None:
    name = f"talk-{uuid4().hex[:8]}"
    task = home.post(f"threads/{name}/messages", text="the first")["task_id"]
    home.reaches(task, "completed")
    tab = tabs.open(home.at, f"/threads/{name}")
    expect(tab.main.locator("article")).to_have_count(2)
    tab.act(tab.button("Restart"))
    tab.until(lambda: home.items("events", topic="thread.restarted", limit=1), "it is not begun anew")
    task = home.post(f"threads/{name}/messages", text="the second")["task_id"]
    home.reaches(task, "completed")
    expect(tab.main).to_contain_text("re: the second")
    tab.act(tab.button("Delete"))
    expect(tab.main.locator("h1")).to_have_text("Threads")
    expect(tab.rows("threads").filter(has_text=name)).to_have_count(0)


def test_a_name_that_is_none_is_not_opened(home: House, tabs: Tabs) -> None:
    tab = tabs.open(home.at, "/threads")
    tab.field("Open or begin").fill("../no name")
    tab.button("Open").click()
    assert tab.page.url == f"{home.at.url}/threads"
    assert tab.field("Open or begin").evaluate("it => !it.validity.valid")
