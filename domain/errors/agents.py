"""Errors about agents: approvals, grants, threads, memories, profiles."""

from domain.errors.base import Conflict, NotFound, Refused


class NothingWaits(NotFound):
    """No run waits for a person."""

    code = "approval.none"
    message = "no run waits for a person"


class ApprovalNotFound(NotFound):
    """No call of that run waits for a person."""

    code = "approval.not_found"
    message = "{what}"
    hint = "rt approval list"


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


class AnswerKeyConflict(Conflict):
    """The key was used for another answer."""

    code = "approval.key_conflict"
    message = "the key {key!r} was used before: with it a call was {how}, at position {position}; take another one"
    hint = "rt approval list"


class NothingRemembered(NotFound):
    """Nothing is remembered under that key."""

    code = "memory.not_found"
    message = "nothing is remembered under {key!r}"
    hint = "rt memory list"


class RememberedAlready(Conflict):
    """Something else is remembered under that key."""

    code = "memory.exists"
    message = "something is remembered under {key!r} already"
    hint = "rt memory update {key} TEXT"
