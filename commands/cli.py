"""The command line: how it is taken apart, and how a program of rt ends."""

import contextlib
import errno
import os
import sys

from commands import render, standard_streams
from commands.invocation import invocation
from domain import errors

OLD_COMMANDS = {
    "adapters": "rt adapter list",
    "healthcheck": "rt health",
    "seed-backlog": "rt seed",
    "schedule-create": "rt schedule create",
    "schedule-tick": "rt schedule tick",
    "sensor-event": "rt sensor ingest",
    "bridge-github": "rt bridge github",
    "bridge-discord": "rt bridge discord",
    "workflow-list": "rt workflow list",
    "workflow-show": "rt workflow show",
    "workflow-create": "rt workflow create",
    "workflow-transition": "rt workflow transition",
    "workflow-complete": "rt workflow complete",
}  # of the old runtime, where there is a new one
_WITH_VALUE = {"--home", "--config", "--color", "--actor"}
_FLAGS = {"-q", "--quiet", "--debug"}


def main() -> None:
    """Run one command and end with its exit status."""
    os.umask(0o077)  # what rt writes is for its user alone
    standard_streams.secure()
    arguments, tail = _split(sys.argv[1:])
    invocation.tail = tail
    try:
        _refuse_old(arguments)
        if _is_quick(arguments):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)  # all is written and closed: taking modules down one by one would take longer than the command
        status = _run(arguments)
    except Exception as problem:
        if invocation.debug and not (isinstance(problem, errors.RtError) or _is_usage(problem)):
            raise
        sys.exit(_failed(problem, arguments))
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit as leaving:
        if not isinstance(leaving.__context__, BrokenPipeError):
            raise
        sys.exit(_failed(leaving.__context__, arguments))  # typer would call that a failure
    sys.exit(status if isinstance(status, int) else 0)


def _is_quick(arguments: list[str]) -> bool:
    """Carry out what people and programs say again and again: importing what reads options would take as long."""
    if arguments in (["status"], ["status", "--json"]) and invocation.tail is None:
        from commands import screen

        screen.show(as_json=len(arguments) > 1)
        return True
    if arguments[:1] == ["intake"]:
        from commands import one_task

        if one_task.is_plain(arguments[1:]):
            one_task.take(arguments[1:])
            return True
    return False


def _run(arguments: list[str]) -> object:
    from commands.app import build

    return build(_verb(arguments))(args=arguments, prog_name="rt", standalone_mode=False)


def _failed(problem: Exception, arguments: list[str]) -> int:
    """Say what went wrong, and end."""
    if isinstance(problem, BrokenPipeError):  # `rt log tail | head` ends quietly
        _lose_output()
        return 0
    if type(problem).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{problem}\n")
        return errors.Usage.exit
    shown = _for_users(problem)
    try:
        sys.stdout.flush()
    except OSError as lost:
        _lose_output()
        shown = errors.OutputLost(why=str(lost.strerror)) if isinstance(problem, OSError) else shown
    render.error(shown, as_json="--json" in arguments)
    return shown.exit


def _lose_output() -> None:
    """Send what was not written nowhere: Python would complain of it at the very end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_NO_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)


def _for_users(problem: Exception) -> errors.RtError:
    """What to say of an exception: a wrong command line and a disk that takes nothing are no bugs of ours."""
    if isinstance(problem, errors.RtError):
        return problem
    if _is_usage(problem):
        why = problem.format_message()  # type: ignore[attr-defined]  # click's own
        return errors.Usage(why=why[:1].lower() + why[1:])
    if isinstance(problem, OSError) and problem.errno in _NO_WRITING:
        return errors.StoreFull(path=str(problem.filename or "the home"), why=str(problem.strerror))
    if type(problem).__module__ == "sqlite3":
        from pathlib import Path

        from adapters.log_problems import known

        found = known(problem, Path(invocation.home or ".rt"))
        if found is not None:
            return found
    return errors.Bug(kind=type(problem).__name__, text=str(problem)[:300])


def _is_usage(problem: Exception) -> bool:
    """Whether it is typer's own click that complains: it exports little of it, and may not even be loaded."""
    return any(kind.__name__ == "ClickException" for kind in type(problem).__mro__)


def _split(given: list[str]) -> tuple[list[str], tuple[str, ...] | None]:
    """Global options first, wherever they stood; apart from them what stands behind `--`."""
    tail: tuple[str, ...] | None = None
    if "--" in given:
        at = given.index("--")
        given, tail = given[:at], tuple(given[at + 1 :])
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(given)
    for argument in waiting:
        if argument in _WITH_VALUE:
            front += [argument, *([value] if (value := next(waiting, None)) is not None else [])]
        elif argument in _FLAGS or argument.partition("=")[0] in _WITH_VALUE:
            front.append(argument)
        else:
            rest.append(argument)
    return front + rest, tail


def _verb(arguments: list[str]) -> str:
    """The command that is asked for; the global options stand before it, some with a value."""
    waiting = iter(arguments)
    for argument in waiting:
        if argument in _WITH_VALUE:
            next(waiting, None)
        elif not argument.startswith("-"):
            return argument
    return ""


def _refuse_old(arguments: list[str]) -> None:
    command = _verb(arguments)
    if command in OLD_COMMANDS:
        raise errors.OldCommand(old=command, new=OLD_COMMANDS[command])
