"""One browser for the folder, a context for each test, and what goes wrong in any of its tabs fails it."""

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.browser.homes import House, Rich, house, rich

if TYPE_CHECKING:  # where Playwright is missing, each test is skipped, and this file must load
    from tests.browser.tabs import Tabs
    from tests.browser.watch import Browser

_PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium() -> str:
    """The browser of this machine; empty where it has none."""
    named = os.environ.get("RT_CHROMIUM", "")
    wanted = (named,) if named else _PROGRAMS
    return next((found for each in wanted if (found := shutil.which(each))), "")


@pytest.fixture(scope="package")
def browser() -> "Iterator[Browser]":
    """The browser, until the tests of this folder are over: none of the others can run beside its loop."""
    program = chromium()
    if not program:
        named = os.environ.get("RT_CHROMIUM", "")
        missing = f"RT_CHROMIUM names {named!r}, which is no program" if named else f"none of {', '.join(_PROGRAMS)}"
        reason = f"needs Chromium ({missing}): apt-get install chromium, or name one in RT_CHROMIUM"
        if os.environ.get("RT_REQUIRE_TOOLS"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
        yield made
        made.close()


@pytest.fixture
def tabs(browser: "Browser", tmp_path: Path) -> "Iterator[Tabs]":
    """A way to open tabs."""
    from tests.browser.tabs import Tabs

    made = Tabs(browser, Path(os.environ.get("RT_SCREENSHOTS") or tmp_path))
    yield made
    made.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test is over when nothing went wrong in its tabs either."""
    result = yield
    tabs = getattr(item, "funcargs", {}).get("tabs")
    if tabs is not None:
        tabs.check()
    return result


@pytest.fixture(scope="package")
def home(browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server with a dispatcher, in which each test does its own."""
    assert browser.is_connected()
    with house(tmp_path_factory.mktemp("home") / "here") as found:
        yield found


@pytest.fixture(scope="package")
def full(browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rich]:
    """A server with a dispatcher, in whose log everything is there once; it is only looked at."""
    assert browser.is_connected()
    with rich(tmp_path_factory.mktemp("full") / "here") as found:
        yield found
