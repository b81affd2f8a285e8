"""Other inputs for a replay: parts of a run's frozen setup as another configuration would say them."""

from collections.abc import Mapping

import msgspec

from domain import agents, errors, setup
from domain.agent_events import RunResumed
from domain.config import Config
from domain.events import Recorded, RunStarted

PARTS = ("controller", "tools", "patterns", "prompts", "book", "budgets", "limits")
ALIASES = {"policy": "book", "rules": "controller", "model": "controller"}


class Substitution:
    """Puts the wanted parts (name -> the configuration that says them) into the facts of one run or of several.

    `changed` names the parts that say something else than what was recorded, of the runs seen so far.
    """

    def __init__(self, wanted: Mapping[str, Config], folder: str = "") -> None:
        """Raises Invalid for a part that there is none of."""
        self._parts = {ALIASES.get(name, name): config for name, config in wanted.items()}
        self._folder = folder
        self.changed: set[str] = set()
        for name in self._parts:
            if name not in PARTS:
                raise errors.Invalid(
                    where="--with", why=f"no part {name!r}; there are: today, {', '.join((*PARTS, *ALIASES))}"
                )

    def alone(self, part: str) -> "Substitution":
        """The same for one part only."""
        return Substitution({part: self._parts[part]}, self._folder)

    def fresh(self) -> "Substitution":
        """The same for another run."""
        return Substitution(self._parts, self._folder)

    def __call__(self, event: Recorded) -> Recorded:
        """The fact as it would be. Raises UnknownProfile where a configuration has not the run's profile."""
        if isinstance(event.data, RunStarted) and event.texts.get("setup"):
            document = self._setup(event.texts["setup"])
            return msgspec.structs.replace(event, texts=event.texts | {"setup": document})
        if isinstance(event.data, RunResumed) and "book" in self._parts:
            book = msgspec.json.encode(agents.book(self._parts["book"]))
            if book != event.texts.get("book"):
                self.changed.add("book")
            return msgspec.structs.replace(event, texts=event.texts | {"book": book})
        return event

    def _setup(self, document: bytes) -> bytes:
        recorded = setup.decode(document)
        made = _substituted(recorded, self._parts, self._folder)
        self.changed |= {name for name in self._parts if getattr(made, name) != getattr(recorded, name)}
        return setup.encode(made)


def _substituted(recorded: setup.Setup, parts: Mapping[str, Config], folder: str) -> setup.Setup:
    given = agents.Given(goal=recorded.goal, calls=recorded.calls, cwd=recorded.cwd, folder=folder)
    for name, config in parts.items():
        if name == "book":  # needs no profile
            recorded = msgspec.structs.replace(recorded, book=agents.book(config, recorded.book.grants))
            continue
        if recorded.controller.name in agents.controllers(config):
            given = msgspec.structs.replace(given, controller=recorded.controller.name)
        made = agents.setup(config, recorded.profile, given, recorded.book.grants)
        recorded = msgspec.structs.replace(recorded, **{name: getattr(made, name)})
    return recorded
