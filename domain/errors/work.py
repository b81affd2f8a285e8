"""Errors about work that comes in, and about the house that it comes into."""

from domain.errors.base import Conflict, Invalid, NotFound


class HomeNotFound(NotFound):
    """No home of rt at or above the current folder."""

    code = "home.not_found"
    message = "there is no rt.toml and no .rt folder in {folder} or above it"
    hint = "rt init"


class FolderGone(NotFound):
    """The current folder was deleted."""

    code = "home.folder_gone"
    message = "the current folder was deleted: nothing can be found from here"
    hint = "rt --home DIR status"


class LogNotFound(NotFound):
    """A home in which nothing happened yet."""

    code = "log.not_found"
    message = "there is no log in {folder} yet: nothing was taken in"
    hint = "rt do -- echo hello"


_NONE_YET = {
    ("run", "@last"): "nothing ran yet",
    ("task", "@last"): "nothing was taken in yet",
    ("run", "@failed"): "no run failed yet",
    ("task", "@failed"): "no task failed for good",
    ("task", "@waiting"): "no task is blocked",
}


class IdNotFound(NotFound):
    """No task or run with that id or prefix."""

    code = "id.not_found"
    message = "no {what} begins with {given!r}"
    hint = "rt {what} list"

    def __init__(self, **fields: str | int) -> None:
        super().__init__(**fields)
        self._none_yet = _NONE_YET.get((str(fields["what"]), str(fields["given"])), "")
        if self._none_yet:
            self.args = (f"{fields['given']}: {self._none_yet}",)

    @property
    def advice(self) -> str:
        """How to have something, where there is nothing; else where to look."""
        return "rt do -- echo hello" if self._none_yet.endswith(" yet") else super().advice


class IdAmbiguous(NotFound):
    """A prefix that fits several; the candidates are in the message."""

    code = "id.ambiguous"
    message = "{given!r} could be {count} {what}s: {candidates}"
    hint = "rt {what} list"


class TaskStateRefused(Conflict):
    """The task's state does not allow the wish."""

    code = "task.wrong_state"
    message = "task {task} is {status}: {verb} needs {needs}"
    hint = "rt task show {task}"


class ClaimsPaused(Conflict):
    """What would be run at once cannot be claimed: a person holds claims back."""

    code = "dispatch.paused"
    message = "claims are paused ({reason}); nothing was taken in"
    hint = "rt resume  # or queue it until then: rt intake"


class RunWaits(Conflict):
    """The task's run waits for a person, and goes on when it is answered."""

    code = "run.waits"
    message = "run {run} of task {task} waits: {cause}; a new attempt would leave it behind"
    hint = "rt approval list  # what it waits for, and with which command to answer; or rt cancel {task}"


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


class HomeExists(Conflict):
    """`rt init` overwrites nothing."""

    code = "home.exists"
    message = "{path} is already there"
    hint = "rt init {better}"  # never a command that overwrites unless somebody adds to it


class Usage(Invalid):
    """The command line is wrong. `command` is the one that was called, where it is known."""

    code = "cli.usage"
    message = "{why}"
    hint = "rt --help"

    @property
    def advice(self) -> str:
        """The help of the command that was called."""
        return f"{self.fields.get('command', 'rt')} --help"


class InvalidConfig(Invalid):
    """The configuration has a wrong field; `where` names file and field."""

    code = "config.invalid"


class UnknownAdapter(Invalid):
    """No adapter of that name is configured."""

    code = "adapter.unknown"
    message = "no adapter {name!r}; configured: {known}"
    hint = "rt adapter list"


class OldCommand(Invalid):
    """A command of the old runtime."""

    code = "cli.old_command"
    message = "no command {old!r}; try: {new}"


class ScheduleNotFound(NotFound):
    """No schedule of that name."""

    code = "schedule.not_found"
    message = "no schedule is called {name!r}"
    hint = "rt schedule list"


class WorkflowNotFound(NotFound):
    """No workflow of that key or id."""

    code = "workflow.not_found"
    message = "no workflow has the key or id {given!r}"
    hint = "rt workflow list"


class UnknownTemplate(NotFound):
    """No workflow template of that name."""

    code = "workflow.unknown_template"
    message = "no workflow template {name!r}; there are: {known}"
    hint = "rt workflow templates"


class WorkflowRefused(Conflict):
    """The workflow's state does not allow it."""

    code = "workflow.refused"
    message = "{why}"
    hint = "rt workflow list"


class SensorNotFound(NotFound):
    """No sensor of that name is configured."""

    code = "sensor.not_found"
    message = "no sensor {name!r} is configured; there are: {known}"
    hint = "rt config check"


class MessageNotFound(NotFound):
    """No message with that id in the outbox."""

    code = "outbox.not_found"
    message = "no message in the outbox begins with {given!r}"
    hint = "rt outbox list"


class MessageRefused(Conflict):
    """The message's state does not allow it."""

    code = "outbox.refused"
    message = "message {message} is {status}; {verb} needs {needs}"
    hint = "rt outbox list"
