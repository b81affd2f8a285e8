"""Other inputs for a replay: parts of a run's frozen setup as another configuration would say them."""

from collections.abc import Callable, Mapping

import msgspec

from domain import agents, errors, setup
from domain.agent_events import RunResumed
from domain.config import Config
from domain.events import Recorded, RunStarted

PARTS = ("controller", "tools", "patterns", "prompts", "book", "budgets", "limits")
ALIASES = {"policy": "book", "rules": "controller", "model": "controller"}


def instead(wanted: Mapping[str, Config], folder: str = "") -> Callable[[Recorded], Recorded]:
    """A function that puts the wanted parts (name -> the configuration that says them) into the facts of a run.

    Raises Invalid for a part that there is none of, UnknownProfile where a configuration has not the run's profile.
    """
    parts = {ALIASES.get(name, name): config for name, config in wanted.items()}
    for name in parts:
        if name not in PARTS:
            raise errors.Invalid(
                where="--with", why=f"no part {name!r}; there are: today, {', '.join((*PARTS, *ALIASES))}"
            )

    def changed(event: Recorded) -> Recorded:
        if isinstance(event.data, RunStarted) and event.texts.get("setup"):
            return msgspec.structs.replace(
                event, texts=event.texts | {"setup": _setup(event.texts["setup"], parts, folder)}
            )
        if isinstance(event.data, RunResumed) and "book" in parts:
            book = msgspec.json.encode(agents.book(parts["book"]))
            return msgspec.structs.replace(event, texts=event.texts | {"book": book})
        return event

    return changed


def _setup(document: bytes, parts: Mapping[str, Config], folder: str) -> bytes:
    recorded = setup.decode(document)
    given = agents.Given(goal=recorded.goal, calls=recorded.calls, cwd=recorded.cwd, folder=folder)
    for name, config in parts.items():
        if name == "book":  # needs no profile
            recorded = msgspec.structs.replace(recorded, book=agents.book(config, recorded.book.grants))
            continue
        if recorded.controller.name in agents.controllers(config):
            given = msgspec.structs.replace(given, controller=recorded.controller.name)
        made = agents.setup(config, recorded.profile, given, recorded.book.grants)
        recorded = msgspec.structs.replace(recorded, **{name: getattr(made, name)})
    return setup.encode(recorded)
