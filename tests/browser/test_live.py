"""What happens shows up by itself, also when it happens while a view is being made."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.browser.homes import LATER, House
from tests.browser.tabs import Tabs
from tests.browser.watch import Locator, Route, Tab, expect

Change = tuple[str, Callable[[House, str], None], Callable[[Tab], Locator], str]
SHOW = "it => { history.pushState(null, '', it); dispatchEvent(new PopStateEvent('popstate')); }"


def queue(house: House, word: str) -> None:
    house.queue({"objective": "x"}, available_at=LATER, subject=word)


def schedule(house: House, word: str) -> None:
    task = {"kind": "tick", "source": "s", "payload": {"objective": "x"}, "requested_adapter": "worker"}
    house.post("schedules", name=word, task=task, interval_seconds=86_400)


def ask(house: House, word: str) -> None:
    house.waits({"command": "echo", "args": [word]})


def flow(house: House, word: str) -> None:
    house.post("workflows", template="goal-loop", instance_key=word, context={"goal": "x"})


def say(house: House, word: str) -> None:
    house.post("threads/between/messages", text=word)


CHANGES: dict[str, Change] = {
    "the queue": ("/", queue, lambda tab: tab.rows("queue"), "**/api/v1/runs?*"),
    "the tasks": ("/tasks", queue, lambda tab: tab.rows("tasks"), "**/api/v1/tasks?*"),
    "the log": ("/log?topic=task.queued", queue, lambda tab: tab.main.locator("li"), "**/api/v1/events?*"),
    "schedules": ("/schedules", schedule, lambda tab: tab.rows("schedules"), "**/api/v1/schedules"),
    "approvals": ("/approvals", ask, lambda tab: tab.main.locator("article"), "**/api/v1/grants"),
    "workflows": ("/workflows?all=1", flow, lambda tab: tab.rows("workflows"), "**/api/v1/workflows?*"),
    "a thread": ("/threads/between", say, lambda tab: tab.main.locator(".user"), "**/api/v1/threads/between?*"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_happens_is_seen_without_a_reload(home: House, tabs: Tabs, what: str) -> None:
    address, change, where, _ = CHANGES[what]
    say(home, "begin")
    tab = tabs.open(home.at, address)
    word = f"in between {uuid4().hex}"
    change(home, word)
    expect(where(tab).filter(has_text=word)).to_have_count(1)


@pytest.mark.parametrize("what", CHANGES)
def test_what_happens_while_a_view_is_made_is_not_lost(home: House, tabs: Tabs, what: str) -> None:
    address, change, where, pattern = CHANGES[what]
    say(home, "begin")
    tab = tabs.open(home.at, "/adapters")
    word = f"in between {uuid4().hex}"
    late: list[Callable[[], None]] = []

    def keep(route: Route) -> None:
        answer = route.fetch()
        late.append(lambda: route.fulfill(response=answer))

    tab.page.route(pattern, keep, times=1)
    tab.page.evaluate(SHOW, address)
    tab.until(lambda: late, "the view asks for nothing")
    change(home, word)
    tab.told(home.at.head()[0])
    late[0]()
    tab.drawn()
    expect(where(tab).filter(has_text=word)).to_have_count(1)
