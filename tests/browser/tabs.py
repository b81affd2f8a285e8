"""The tabs that a test opens."""

from pathlib import Path
from typing import Any

from tests.api.serving import Served
from tests.browser.watch import Browser, Tab


class Tabs:
    """The tabs of a test."""

    def __init__(self, browser: Browser, shots: Path) -> None:
        self._browser = browser
        self._shots = shots
        self._open: list[Tab] = []

    def stranger(self, at: Served, **how: Any) -> Tab:  # noqa: ANN401  # of the browser
        """A tab of a browser that nobody is logged in with; `how` is what a context takes."""
        named = {"viewport": {"width": 1200, "height": 900}, "color_scheme": "dark"} | how
        made = Tab(self._browser.new_context(**named), at, self._shots)
        self._open.append(made)
        return made

    def open(
        self, at: Served, address: str = "/", scopes: tuple[str, ...] = (), **how: Any  # noqa: ANN401
    ) -> Tab:  # fmt: skip
        """A tab with a session, at an address."""
        return self.stranger(at, **how).log_in(*scopes).go(address)

    def check(self) -> None:
        """Fail where anything went wrong in one of them."""
        for each in self._open:
            each.check()

    def close(self) -> None:
        """Close all."""
        for each in self._open:
            each.context.close()
