"""The base of all errors: its branches own exit status and HTTP status."""

from typing import ClassVar


class RtError(Exception):
    """Base of all errors with a message made for users; anything else that escapes is a bug in rt."""

    code: ClassVar[str] = "rt.error"
    exit: ClassVar[int] = 1
    http: ClassVar[int] = 500
    message: ClassVar[str] = "rt could not do that"  # a template; its fields are the error's data
    hint: ClassVar[str] = ""  # a command line that helps; a template too

    def __init__(self, **fields: str | int) -> None:
        super().__init__(self.message.format(**fields))
        self.fields = fields

    @property
    def advice(self) -> str:
        """The hint, filled in."""
        return self.hint.format(**self.fields)


class NotFound(RtError):
    """What was named is not there."""

    code = "rt.not_found"
    exit = 3
    http = 404
    message = "{what} was not found"


class Conflict(RtError):
    """The present state does not allow it."""

    code = "rt.conflict"
    exit = 5
    http = 409
    message = "the state does not allow that"


class Invalid(RtError):
    """The input is wrong; `where` names the field."""

    code = "rt.invalid"
    exit = 2
    http = 422
    message = "{where}: {why}"


class Diverged(RtError):
    """Today's core derives something else than was recorded."""

    code = "replay.diverged"
    exit = 4
    http = 422
    message = "{count} of {total} runs diverged"
    hint = "rt replay {run}"


class Refused(RtError):
    """A rule says no."""

    code = "rt.refused"
    exit = 6
    http = 403
    message = "refused: {why}"


class Bug(RtError):
    """Anything that escaped."""

    code = "rt.bug"
    exit = 70
    message = "a bug in rt: {kind}: {text}"
    hint = "rt --debug …  # shows where; please report it with the output of rt doctor"


class Corrupt(RtError):
    """The store cannot be trusted, or cannot take the write. Nothing was acknowledged."""

    code = "log.corrupt"
    exit = 7
    http = 500
    message = "the log is damaged: {why}"
    hint = "rt log verify"


def tree() -> list[type[RtError]]:
    """All error classes, parents first; docs and tests are made from this list."""
    found: list[type[RtError]] = [RtError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return found
