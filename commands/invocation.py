"""The invocation that commands build on: the global options, and the runtime of the home that they name."""

from commands import home as homes
from commands.wiring import Runtime


class Invocation:
    """The global options, and what stood behind `--`. No dataclass: importing that takes 5 ms."""

    home: str | None = None
    config: str | None = None
    actor: str | None = None
    debug: bool = False
    tail: tuple[str, ...] | None = None  # None: there was no `--`

    def runtime(self, *, create: bool = False) -> Runtime:
        """The runtime of the nearest home. Raises HomeNotFound."""
        return Runtime(homes.find(self.home, self.config, create=create), self.actor)


invocation = Invocation()  # one process, one invocation: set by `commands.cli.main`
