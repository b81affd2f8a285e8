"""Errors about what is stored: the log, golden logs, the projection."""

from domain.errors.base import Conflict, Corrupt, Diverged, Invalid, NotFound, Refused


class BlobNotFound(NotFound):
    """A text that an event names is not in the store: erased, or never exported."""

    code = "blob.not_found"
    message = "the text {sha256} of task {scope} is not in the store"
    hint = "rt log verify"


class TextDamaged(BlobNotFound):
    """A stored text is not what its digest says: the one that was stored is gone. The rest of the log may be whole."""

    code = "log.text_damaged"
    message = "the text {sha256} was changed where it is stored"
    hint = "rt log verify"


class GoldenNotFound(NotFound):
    """The folder holds no golden log."""

    code = "golden.not_found"
    message = "no golden logs in {folder}"
    hint = "rt golden record RUN --dir {folder}"


class StreamConflict(Conflict):
    """Somebody else appended to a stream first."""

    code = "log.conflict"
    message = "stream {stream} is at version {found}, not {expected}"


class LogBusy(Conflict):
    """The write lock was not free in time."""

    code = "log.busy"
    http = 503
    message = "another process held the log for more than {seconds} s"
    hint = "rt doctor"


class LogInUse(Conflict):
    """The log is to be cut, and dispatchers that would not see that are at work."""

    code = "log.in_use"
    http = 503
    message = "{count} dispatchers are at work: stop them first, nothing may have the log open while it is cut"
    hint = "rt status"


class LogNotEmpty(Conflict):
    """An import needs an empty log: positions and hashes are part of what is imported."""

    code = "log.not_empty"
    message = "the log in {folder} already holds {count} events; an import needs an empty one"
    hint = "rt --home NEW log import FILE"


class FileThere(Conflict):
    """A file of that name is there, and nothing is overwritten."""

    code = "file.exists"
    message = "{path} is already there; nothing was overwritten"


class GoldenDiverged(Diverged):
    """A golden log decides differently today."""

    code = "golden.diverged"
    message = "{count} of {total} golden logs diverged, first {name}"
    hint = "rt golden check {folder}"


class GoldenRefused(Invalid):
    """A run that cannot be a golden log."""

    code = "golden.refused"
    message = "run {run} cannot be a golden log: {why}"


class SqlInvalid(Invalid):
    """DuckDB did not understand or could not answer the query."""

    code = "sql.invalid"
    message = "{why}"
    hint = 'rt sql "SHOW TABLES"'


class SqlRefused(Refused):
    """The query is not a single SELECT, touches the world, or went over a limit."""

    code = "sql.refused"
    message = "{why}"
    hint = 'rt sql "SELECT * FROM runs LIMIT 10"'


class EventDamaged(Corrupt):
    """An event is not the one that was written. What stands before it can be saved, and taken in by an empty home."""

    code = "log.event_damaged"
    message = "the log is damaged: event {position} {why}"
    hint = "rt log export saved.jsonl --upto {before}"


class TailLost(Corrupt):
    """The log ends before what was acknowledged, or holds another event there."""

    code = "log.tail_lost"
    message = "{why}; events that were acknowledged may be gone"
    hint = "rt log verify --accept-loss"


class NewerLog(Corrupt):
    """Written by a newer rt."""

    code = "log.newer"
    message = "{what} was written by a newer rt (it has {found}, this one knows {known})"


class Undecodable(Corrupt):
    """An event that is not what its topic says, or not any more."""

    code = "log.undecodable"
    message = "event {position} ({topic}) does not decode: {why}"
    hint = "rt log verify"


class PositionUnknown(NotFound):
    """A position beyond the head, or before the first event of what is asked about."""

    code = "position.not_found"
    message = "{what} has nothing at {given}: its events lie from {first} to {last}"


class OlderIndex(Corrupt):
    """A log whose claim index an older rt made. Whatever opens it for writing renews the index; no event changes."""

    code = "log.older_index"
    message = "{path} has the claim index of an older rt, which only reading commands cannot renew"
    hint = "rt doctor --reindex"


class StoreFull(Corrupt):
    """No space, or no permission to write."""

    code = "log.not_writable"
    http = 507
    message = "{path} cannot be written: {why}"
    hint = "rt doctor"


class OutputLost(StoreFull):
    """An answer could not be written to where the caller wanted it. What was asked for may have been done."""

    code = "output.lost"
    message = "standard output takes nothing more: {why}; what was asked for may have been done"
    hint = "rt status"


class OutcomeUnknown(Corrupt):
    """The store reported an error, and what was written cannot be read back."""

    code = "log.outcome_unknown"
    message = "the store failed while writing: {why}"
    hint = "rt log verify"


class ProjectionHeld(Conflict):
    """A program that is not ours has the file of the tables open."""

    code = "projection.held"
    http = 503
    message = "{program} (pid {pid}) has the projection open: end it, and give it a copy of its own"
    hint = "rt sql --open copy.duckdb"


class ProjectionFailed(Corrupt):
    """An event breaks a projection, or the tables cannot be written."""

    code = "projection.failed"
    message = "the projection failed: {why}"
    hint = "rt projection rebuild"
