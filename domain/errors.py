"""Every error that a user can meet. The class owns its code, its exit status and its HTTP status.

RtError
├── NotFound      exit 3, http 404
├── Conflict      exit 5, http 409: the state of things says no; looking again may help
├── Invalid       exit 2, http 422
├── Diverged      exit 4, http 422: today's core derives something else than the log says
├── Refused       exit 6, http 403: a rule says no; trying again does not help
├── Bug           exit 70, http 500
└── Corrupt       exit 7, http 500: the store; nothing was acknowledged
"""

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


# not found


class HomeNotFound(NotFound):
    """No home of rt at or above the current folder."""

    code = "home.not_found"
    message = "there is no rt.toml and no .rt folder in {folder} or above it"
    hint = "rt init"


class IdNotFound(NotFound):
    """No task or run with that id or prefix."""

    code = "id.not_found"
    message = "no {what} begins with {given!r}"
    hint = "rt {what} list"


class NothingWaits(NotFound):
    """No run waits for a person."""

    code = "approval.none"
    message = "no run waits for a person"


class ApprovalNotFound(NotFound):
    """No call of that run waits for a person."""

    code = "approval.not_found"
    message = "{what}"
    hint = "rt approval list"


class IdAmbiguous(NotFound):
    """A prefix that fits several; the candidates are in the message."""

    code = "id.ambiguous"
    message = "{given!r} could be {count} {what}s: {candidates}"
    hint = "rt {what} list"


class BlobNotFound(NotFound):
    """A text that an event names is not in the store: erased, or never exported."""

    code = "blob.not_found"
    message = "the text {sha256} of task {scope} is not in the store"
    hint = "rt log verify"


class GoldenNotFound(NotFound):
    """The folder holds no golden log."""

    code = "golden.not_found"
    message = "no golden logs in {folder}"
    hint = "rt golden record RUN --dir {folder}"


# conflicts


class StreamConflict(Conflict):
    """Somebody else appended to a stream first."""

    code = "log.conflict"
    message = "stream {stream} is at version {found}, not {expected}"


class LogBusy(Conflict):
    """The write lock was not free in time."""

    code = "log.busy"
    message = "another process held the log for more than {seconds} s"
    hint = "rt doctor"


class LogNotEmpty(Conflict):
    """An import needs an empty log: positions and hashes are part of what is imported."""

    code = "log.not_empty"
    message = "the log in {folder} already holds {count} events; an import needs an empty one"
    hint = "rt --home NEW log import FILE"


class TaskStateRefused(Conflict):
    """The task's state does not allow the wish."""

    code = "task.wrong_state"
    message = "task {task} is {status}: {verb} needs {needs}"
    hint = "rt task show {task}"


class ThreadBusy(Conflict):
    """A run of the thread is open."""

    code = "thread.busy"
    message = "thread {thread} is busy: task {task} is {status}"
    hint = "rt cancel {task}"


class GrantRefused(Refused):
    """A standing grant that nobody may make."""

    code = "grant.refused"
    message = "no standing grant: {why}"
    hint = "rt approval list"


class RunWaits(Conflict):
    """The task's run waits for a person, and goes on when it is answered."""

    code = "run.waits"
    message = "run {run} of task {task} waits: {cause}; a new attempt would leave it behind"
    hint = "rt approval list  # what it waits for, and with which command to answer; or rt cancel {task}"


class ApprovalResolved(Conflict):
    """Somebody decided already."""

    code = "approval.resolved"
    message = "call {call} of run {run} was {how} already, {by}"
    hint = "rt run show {run}"


class ApprovalChanged(Conflict):
    """What is to be approved is not what was shown."""

    code = "approval.changed"
    message = "call {call} of run {run} has the digest {digest}, not the one that was given"
    hint = "rt approval show {run} {call}"


class RunOver(Conflict):
    """The run has ended already."""

    code = "run.over"
    message = "run {run} is over: {status}"
    hint = "rt run show {run}"


class KeyConflict(Conflict):
    """The same key was used for another task."""

    code = "task.key_conflict"
    message = "key {key!r} was used for task {task} with another content"
    hint = "rt task show {task}"


class FileThere(Conflict):
    """A file of that name is there, and nothing is overwritten."""

    code = "file.exists"
    message = "{path} is already there; nothing was overwritten"


class HomeExists(Conflict):
    """`rt init` overwrites nothing."""

    code = "home.exists"
    message = "{path} is already there"
    hint = "rt init --force"


class GoldenDiverged(Diverged):
    """A golden log decides differently today."""

    code = "golden.diverged"
    message = "{count} of {total} golden logs diverged, first {name}"
    hint = "rt golden check {folder}"


# invalid input


class Usage(Invalid):
    """The command line is wrong."""

    code = "cli.usage"
    message = "{why}"
    hint = "rt --help"


class InvalidConfig(Invalid):
    """The configuration has a wrong field; `where` names file and field."""

    code = "config.invalid"


class UnknownAdapter(Invalid):
    """No adapter of that name is configured."""

    code = "adapter.unknown"
    message = "no adapter {name!r}; configured: {known}"
    hint = "rt doctor"


class UnknownProfile(NotFound):
    """No profile of that name is configured."""

    code = "profile.unknown"
    message = "no profile {name!r}; there are: {known}"
    hint = "rt profile list"


class UnknownController(NotFound):
    """No controller of that name is configured."""

    code = "controller.unknown"
    message = "no controller {name!r}; there are: {known}"
    hint = "rt config show"


class OldCommand(Invalid):
    """A command of the old runtime."""

    code = "cli.old_command"
    message = "no command {old!r}; try: {new}"


class SqlInvalid(Invalid):
    """DuckDB did not understand or could not answer the query."""

    code = "sql.invalid"
    message = "{why}"
    hint = 'rt sql "SHOW TABLES"'


class GoldenRefused(Invalid):
    """A run that cannot be a golden log."""

    code = "golden.refused"
    message = "run {run} cannot be a golden log: {why}"


# refusals


class SqlRefused(Refused):
    """The query is not a single SELECT, touches the world, or went over a limit."""

    code = "sql.refused"
    message = "{why}"
    hint = 'rt sql "SELECT * FROM runs LIMIT 10"'


# the store


class TailLost(Corrupt):
    """The log ends before what was acknowledged, or holds another event there."""

    code = "log.tail_lost"
    message = "{why}; events that were acknowledged are gone"
    hint = "rt log verify --accept-loss"


class NewerLog(Corrupt):
    """Written by a newer rt."""

    code = "log.newer"
    message = "{what} was written by a newer rt (it has {found}, this one knows {known})"


class OlderIndex(Corrupt):
    """A log whose claim index an older rt made. Whatever opens it for writing renews the index; no event changes."""

    code = "log.older_index"
    message = "{path} has the claim index of an older rt, which only reading commands cannot renew"
    hint = "rt doctor --reindex"


class StoreFull(Corrupt):
    """No space, or no permission to write."""

    code = "log.not_writable"
    message = "the log at {path} cannot be written: {why}"
    hint = "rt doctor"


class OutcomeUnknown(Corrupt):
    """The store reported an error, and what was written cannot be read back."""

    code = "log.outcome_unknown"
    message = "the store failed while writing: {why}"
    hint = "rt log verify"


class ProjectionFailed(Corrupt):
    """An event breaks a projection, or the tables cannot be written."""

    code = "projection.failed"
    message = "the projection failed: {why}"
    hint = "rt projection rebuild"


def tree() -> list[type[RtError]]:
    """All error classes, parents first; docs and tests are made from this list."""
    found: list[type[RtError]] = [RtError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return found
