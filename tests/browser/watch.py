"""A tab of a real browser that is watched: whatever goes wrong in it, or goes out of it, is kept for the test's end."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pytest

from tests.api.serving import Served

if TYPE_CHECKING or os.environ.get("RT_REQUIRE_TOOLS"):
    from playwright.sync_api import (
        Browser,
        BrowserContext,
        ConsoleMessage,
        Dialog,
        Error,
        Locator,
        Page,
        Request,
        Route,
        expect,
    )
else:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    Browser, BrowserContext, expect = playwright.Browser, playwright.BrowserContext, playwright.expect
    Locator, Page, Request, Route = playwright.Locator, playwright.Page, playwright.Request, playwright.Route
    ConsoleMessage, Dialog, Error = playwright.ConsoleMessage, playwright.Dialog, playwright.Error

__all__ = ["ANSWERED", "Browser", "Error", "Locator", "Page", "Route", "Tab", "expect", "shown"]
WITHIN_MS: Final = 30_000.0  # generous: a slow machine is no defect
ANSWERED: Final = "Failed to load resource: the server responded with a status of {}"
expect.set_options(timeout=WITHIN_MS)


class Tab:
    """A page before a server, with a context of its own."""

    def __init__(self, context: BrowserContext, at: Served, shots: Path) -> None:
        self.at = at
        self.context = context
        self.problems: list[str] = []
        self.foreign: list[str] = []
        self._allowed: list[str] = []
        self._shots = shots
        context.set_default_timeout(WITHIN_MS)
        context.on("request", self._requested)
        context.on("page", self._watch)
        self.page = context.new_page()

    # what goes wrong

    def allow(self, pattern: str) -> None:
        """What this test provokes, as a pattern of a line of the console."""
        self._allowed.append(pattern)

    def answered(self, *statuses: int) -> None:
        """Answers that this test provokes: the browser writes a line for each of them."""
        for status in statuses:
            self.allow(ANSWERED.format(status))

    def check(self) -> None:
        """Fail where anything went wrong."""
        if not self.page.is_closed():
            with suppress(Error):  # it may be on its way elsewhere
                self.page.evaluate("() => 0")  # what was said before has come now
        assert not self.problems, "\n".join(self.problems)
        assert not self.foreign, f"requests to other hosts: {self.foreign}"

    def _watch(self, page: Page) -> None:
        page.on("console", self._said)
        page.on("pageerror", lambda problem: self.problems.append(f"error in the page: {problem}"))
        page.on("dialog", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("log", "info", "debug"):
            return
        text = f"{message.type}: {message.text} ({message.location.get('url', '')})"
        if not any(re.search(each, text) for each in self._allowed):
            self.problems.append(text)

    def _asked(self, dialog: Dialog) -> None:
        self.problems.append(f"dialog: {dialog.type} {dialog.message}")
        dialog.dismiss()

    def _requested(self, request: Request) -> None:
        own = (self.at.url + "/", f"blob:{self.at.url}/")
        if not request.url.startswith(own):
            self.foreign.append(request.url)

    # where it goes

    def go(self, address: str = "/") -> "Tab":
        """Open an address, as somebody does to whom it was sent, and wait until it is drawn."""
        self.page.goto(self.at.url + address)
        return self.drawn()

    def drawn(self) -> "Tab":
        """Wait until the view is there."""
        expect(self.main.locator("h1").first).to_be_attached()
        return self

    def log_in(self, *scopes: str) -> "Tab":
        """A session with these scopes, without the form."""
        answer = self.context.request.post(
            f"{self.at.url}/api/v1/session", data={"token": self.at.token(*(scopes or ("admin",)))}
        )
        assert answer.ok, answer.text()
        return self

    @property
    def main(self) -> Locator:
        """What the view shows."""
        return self.page.locator("#main")

    @property
    def banner(self) -> Locator:
        """What is said when the connection is cut."""
        return self.page.locator("#banner")

    def button(self, name: str) -> Locator:
        """A button of the view by its name."""
        return self.main.get_by_role("button", name=name, exact=True)

    def link(self, name: str) -> Locator:
        """A link of the view by its name."""
        return self.main.get_by_role("link", name=name, exact=True)

    def field(self, name: str) -> Locator:
        """A field for words, by its label."""
        return self.main.get_by_role("textbox", name=name, exact=True)

    def choice(self, name: str) -> Locator:
        """A field with a choice, by its label."""
        return self.main.get_by_role("combobox", name=name, exact=True)

    def section(self, name: str) -> Locator:
        """A part of the view that says what it is."""
        return self.main.get_by_role("region", name=name, exact=True)

    def rows(self, name: str) -> Locator:
        """The rows of a table."""
        return self.main.get_by_role("region", name=name, exact=True).locator("tbody tr")

    def confirm(self, words: str | None = None) -> str:
        """Answer what is asked before something is done; the command that does the same."""
        dialog = self.page.locator("dialog[open]")
        if words is not None:
            dialog.locator("textarea").fill(words)
        command = dialog.locator(".command code").inner_text()
        dialog.locator("button[value=yes]").click()
        expect(dialog).to_have_count(0)
        return command

    def act(self, button: Locator, words: str | None = None) -> str:
        """Press a button and confirm; the command that does the same."""
        button.click()
        return self.confirm(words)

    def told(self, position: int) -> None:
        """Wait until the page heard of everything up to here."""
        pulse = self.page.locator("#pulse")

        def heard() -> bool:
            found = re.search(r"position (\d+)", pulse.inner_text())
            return found is not None and int(found[1]) >= position

        self.until(heard, f"position {position} is not told")

    def shot(self, name: str) -> None:
        """Keep a picture."""
        self._shots.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self._shots / f"{name}.png")

    def until(self, true: Callable[[], Any], what: str) -> None:
        """Wait for something that the page does not tell by itself."""
        for _ in range(int(WITHIN_MS / 50)):
            if true():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(what)

    def note(self, name: str, text: str) -> None:
        """Keep something that was measured, beside the pictures."""
        self._shots.mkdir(parents=True, exist_ok=True)
        (self._shots / name).write_text(text)


def shown(text: str) -> str:
    """A part of an address."""
    return quote(text, safe="")
