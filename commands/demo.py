"""The built-in demos: real programs, through the normal path, with no key and no network."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from commands import render
from commands.agents import check_serves, known_controller
from commands.replaying import replay_runs
from commands.session import run_here
from commands.wiring import Runtime
from domain import agents, errors
from domain.agent_config import ControllerConfig, PolicyConfig, ProfileConfig, RuleConfig, ToolConfig
from domain.config import Config, Retry

RETRIED = """\
import pathlib, sys, time
first = pathlib.Path(sys.argv[1])
print("looking for a server", flush=True)
time.sleep(0.2)
if not first.exists():
    first.write_text("seen")
    print("Traceback (most recent call last): ConnectionError: nobody answers", file=sys.stderr, flush=True)
    sys.exit(75)
print("it answers now", flush=True)
"""
DOOMED = """\
import sys, time, traceback
print("boot", flush=True)
time.sleep(0.5)
try:
    raise FileNotFoundError("missing config: /etc/demo/config.toml")
except FileNotFoundError:
    traceback.print_exc()
for _ in range(60):
    time.sleep(1)
    print("still retrying", flush=True)
"""
SERVER = """\
import http.server, time
print("loading the model", flush=True)
time.sleep(0.3)
print("migrating the database", flush=True)
time.sleep(0.3)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print("To see the GUI go to: http://127.0.0.1:%d" % server.server_port, flush=True)
server.serve_forever()
"""
NOT_SSH = """\
#!/bin/sh
# stands for ssh in the demo: the same arguments, but the "remote" side is this machine
while [ "$1" != "--" ]; do shift; done
shift 2
exec /bin/sh -c "$1"
"""
HOST = "demo@gui.example.org"


def run(runtime: Runtime, name: str, controller: str) -> int:
    """Run a demo in the nearest home, or in a new one here; the exit status. Raises Invalid for an unknown one."""
    if name not in DEMOS:
        raise errors.Invalid(where="the demo", why=f"no demo {name!r}; there are: {', '.join(DEMOS)}")
    if controller and name == "retry":
        raise errors.Invalid(where="--controller", why="the demo 'retry' needs none; early-cancel and server-check do")
    return DEMOS[name](runtime, controller)


def _retry(runtime: Runtime, _: str) -> int:
    """A program that crashes, is retried, completes, and is replayed."""
    configured = runtime.config  # a wrong one is said, also where the demo brings its own
    runtime.__dict__["config"] = Config(
        secrets=configured.secrets, retry=Retry(attempts=2, backoff_s=0.5, backoff_max_s=0.5)
    )
    seen = _private(runtime, "seen")
    document = {
        "kind": "demo",
        "source": "cli",
        "subject": "demo: a program that crashes once",
        "payload": {"argv": [sys.executable, "-c", RETRIED, str(seen)], "cwd": str(Path.cwd())},
        "max_attempts": 2,
        "requested_adapter": "command",
    }
    return _run(runtime, document, seen, runs=2)


def _early_cancel(runtime: Runtime, controller: str) -> int:
    """A program that cannot succeed and would go on for a minute is ended when its output shows why."""
    argv = [sys.executable, "-u", "-c", DOOMED]
    rules = (
        RuleConfig(id="start", when="start", then="tool"),
        RuleConfig(id="root-cause", when="urgent", then="cancel", message="ended early: {line}"),
        RuleConfig(
            id="ended", when="exit", then="finish", message="the process ended by itself: {line}", outcome="failed"
        ),
    )
    _configure(
        runtime,
        controller,
        rules,
        ToolConfig(kind="local-process", description="Run the program.", timeout_s=65),
        sys.executable,
    )
    document = _document(
        "demo: end a doomed program early",
        "Run one local process, and cancel it as soon as its output shows that a configuration file is missing; "
        f"then finish with that cause. The process: {argv}",
        {"tool": "demo", "input": {"command": argv[0], "args": argv[1:]}},
    )
    return _run(runtime, document, None, runs=1)


def _server_check(runtime: Runtime, controller: str) -> int:
    """A server's start is watched, over what stands for ssh, until it says that it is up."""
    rules = (
        RuleConfig(id="start", when="start", then="tool"),
        RuleConfig(
            id="root-cause", when="urgent", then="cancel", message="the server cannot start: {line}", outcome="failed"
        ),
        RuleConfig(id="up", when="milestone", then="finish", message="the server is up: {line}"),
        RuleConfig(id="ended", when="exit", then="finish", message="the server ended: {line}", outcome="failed"),
    )
    ssh = _private(runtime, "ssh")
    ssh.write_text(NOT_SSH)
    ssh.chmod(0o700)
    tool = ToolConfig(kind="ssh-command", hosts=(HOST,), program=str(ssh), description="Run a command over ssh.")
    _configure(runtime, controller, rules, tool, "*")
    command = f"exec timeout 20s {sys.executable} -u -c '{SERVER.replace(chr(39), chr(34))}'"
    document = _document(
        "demo: watch a server start",
        "Start the server over ssh and finish as soon as it says that it is up; cancel on a clear root cause. "
        f"Host: {HOST}. Command: {command}",
        {"tool": "demo", "input": {"host": HOST, "command": command}},
    )
    return _run(runtime, document, ssh, runs=1)


def _configure(
    runtime: Runtime, controller: str, rules: tuple[RuleConfig, ...], tool: ToolConfig, program: str
) -> None:
    """The demo's own profile beside what is configured; its policy allows the one program that it is about."""
    configured = runtime.config
    if controller not in ("", "rules"):
        known_controller(runtime, controller)
        found = agents.controllers(configured)[controller]
        others = {controller: msgspec.structs.replace(found, rules=rules)}  # what it falls back on knows the demo
    else:
        others = {"demo-rules": ControllerConfig(kind="rules", rules=rules)}
    allowed = PolicyConfig(id="demo", effect="allow", tool="demo", profile="demo", arguments=_only(program))
    runtime.__dict__["config"] = Config(
        secrets=configured.secrets,
        models=configured.models,
        controllers=configured.controllers | others,
        tools={"demo": tool},
        profiles={"demo": ProfileConfig(controller=_controller(controller), tools=("demo",))},
        policies=(allowed,),
    )
    check_serves(runtime, "demo", controller)


def _only(program: str) -> dict[str, str]:
    return {"host": HOST} if program == "*" else {"command": program}


def _controller(name: str) -> str:
    return "demo-rules" if name in ("", "rules") else name


def _document(subject: str, goal: str, call: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "demo",
        "source": "cli",
        "subject": subject,
        "payload": {"goal": goal, "calls": [call], "cwd": str(Path.cwd())},
        "max_attempts": 1,
        "requested_adapter": "agent",
        "requested_profile": "demo",
    }


def _private(runtime: Runtime, name: str) -> Path:
    path = runtime.home.state / "tmp" / f"demo-{runtime.ids.new()[:8]}-{name}"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def _run(runtime: Runtime, document: dict[str, Any], left: Path | None, *, runs: int) -> int:
    try:
        status = run_here(runtime, document, as_json=False)
    finally:
        if left is not None:
            left.unlink(missing_ok=True)
    if status == 0:
        again = "both runs" if runs > 1 else "the run"
        render.note(f"and now {again} again, from the log alone:")
        status = replay_runs(runtime, runtime.reader.recent_runs(runs))
        runtime.close()
    return status


DEMOS: dict[str, Callable[[Runtime, str], int]] = {
    "retry": _retry,
    "early-cancel": _early_cancel,
    "server-check": _server_check,
}
