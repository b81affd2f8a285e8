"""The eyes of these tests are open: what must not happen is noticed when it does."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.browser.homes import House
from tests.browser.tabs import Tabs
from tests.browser.watch import Error, Tab

ADD = "document.body.append(it);"
WRONG: dict[str, tuple[str, str]] = {
    "error in the console": ("() => console.error('no')", "error: no"),
    "error in the page": ("() => { setTimeout(() => { throw new Error('broken'); }); }", "broken"),
    "promise that nobody takes": ("() => { Promise.reject(new Error('left')); }", "left"),
    "dialog": ("() => { setTimeout(() => alert('hello')); }", "dialog: alert hello"),
    "script in the page": (
        "() => { const it = document.createElement('script'); it.src = '//evil.example/'; " + ADD + " }",
        "TrustedScript",
    ),
    "style in the page": (
        "() => { const it = document.createElement('b'); it.setAttribute('style', 'top: 0'); " + ADD + " }",
        "style-src",
    ),
    "markup from a text": ("() => { document.body.innerHTML = '<b>x</b>'; }", "TrustedHTML"),
    "picture from elsewhere": (
        "() => { const it = document.createElement('img'); it.src = '//evil.example/'; " + ADD + " }",
        "img-src",
    ),
    "frame": ("() => { const it = document.createElement('iframe'); it.src = '/'; " + ADD + " }", "default-src"),
    "address that is not there": ("() => fetch('/api/v1/runs/ffffffff')", "status of 404"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_goes_wrong_is_noticed(home: House, tabs: Tabs, what: str) -> None:
    does, said = WRONG[what]
    tab = tabs.open(home.at)
    tab.check()
    with suppress(Error):  # some is refused where it is tried, too
        tab.page.evaluate(does)
    assert said in refused(tab, lambda: any(said in each for each in tab.problems))
    tab.problems.clear()
    tab.foreign.clear()


def test_a_way_to_another_host_is_noticed(home: House, tabs: Tabs) -> None:
    tab = tabs.open(home.at)
    with suppress(Error):  # nobody is there
        tab.page.goto("http://127.0.0.1:9/")
    assert "http://127.0.0.1:9/" in refused(tab, lambda: bool(tab.foreign))
    tab.foreign.clear()


def refused(tab: Tab, noticed: Callable[[], bool]) -> str:
    """What the check of a tab says."""
    tab.until(noticed, "it was not noticed")
    with pytest.raises(AssertionError) as found:
        tab.check()
    return str(found.value)
