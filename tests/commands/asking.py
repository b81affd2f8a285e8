"""What the tests about people and agents share: rules that ask, a program that decides, and how runs are read."""

import json
from typing import Any

from adapters.log_read import ReadLog
from domain.events import RunFinished
from tests.commands.place import Place

RULES = """
[controllers.asker]
kind = "rules"
[[controllers.asker.rules]]
when = "start"
then = "tool"
[[controllers.asker.rules]]
when = "exit:ok"
then = "finish"
message = "it ran"
[[controllers.asker.rules]]
when = "rejected"
then = "finish"
message = "no: {line}"
outcome = "failed"
[[controllers.asker.rules]]
when = "expired"
then = "finish"
message = "too late"
outcome = "blocked"
[[controllers.asker.rules]]
when = "refused"
then = "finish"
message = "refused: {line}"
outcome = "blocked"
[[controllers.asker.rules]]
when = "answered"
then = "finish"
message = "told: {line}"
[profiles.asker]
controller = "asker"
tools = ["local-process", "ask-person"]
approvals = { local-process = "ask" }
[work]
kill_grace_s = 0.3
"""
ECHO = {"command": "echo", "args": ["it is done"]}
DECIDER = """\
import json, pathlib, sys
asked = json.load(sys.stdin)
with open("asked.jsonl", "a") as file:
    print(json.dumps(asked), file=file)
goal = asked["goal"]
if pathlib.Path("hold").exists() and "hold" in goal:
    import time
    while pathlib.Path("hold").exists():
        time.sleep(0.01)
if "question" in goal and "start" in asked["triggers"]:
    print(json.dumps({"type": "ask", "question": "really?"}))
else:
    outcome = "failed" if "fail" in goal else "completed"
    print(json.dumps({"type": "finish", "message": "" if "nothing" in goal else "re: " + goal, "outcome": outcome}))
"""
DECIDED = """
[controllers.it]
kind = "command"
argv = ["python3", "decider.py"]
[profiles.one]
controller = "it"
tools = ["ask-person"]
memory = ["workspace", "agent", "thread", "user"]
[profiles.two]
controller = "it"
tools = ["ask-person"]
[work]
kill_grace_s = 0.3
"""


def decided(place: Place, more: str = "") -> Place:
    """A place in which a small program decides, and writes down what it is asked."""
    (place.folder / "decider.py").write_text(DECIDER)
    return place.config(DECIDED + more)


def asked(place: Place) -> dict[str, Any]:
    """What the program was asked last."""
    found: dict[str, Any] = json.loads((place.folder / "asked.jsonl").read_text().splitlines()[-1])
    return found


def wanting(calls: list[dict[str, Any]], profile: str = "asker", **more: Any) -> str:  # noqa: ANN401  # fields of a task
    """A task that wants these calls of the local-process tool, unless they name another."""
    named = [each if "tool" in each else {"tool": "local-process", "input": each} for each in calls]
    payload = {"goal": "do it", "calls": named}
    task = {"kind": "k", "source": "test", "payload": payload, "requested_adapter": "agent", "max_attempts": 1}
    return json.dumps(task | {"requested_profile": profile} | more)


def begin(place: Place, *calls: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of a task
    """Take in what wants these calls, and drive it until it waits or ends; the cycle's document."""
    place.ok("intake", wanting(list(calls) or [ECHO], **more))
    return place.json("run-once")


def started(place: Place) -> int:
    """How many processes were started as calls, ever."""
    return len(place.events("run.tool_started.v1"))


def printed(place: Place) -> str:
    """What the latest run's calls printed."""
    return place.ok("run", "output", "@last").text


def last(place: Place, topic: str) -> dict[str, Any]:
    """The data of the latest event of a topic."""
    return place.events(f"{topic}.v1")[-1]


def summary(place: Place) -> str:
    """What the latest run said at its end."""
    log = ReadLog(place.state)
    try:
        events = log.read(0, 1 << 20)
        ends = [event for event in events if isinstance(event.data, RunFinished)]
        data = ends[-1].data
        assert isinstance(data, RunFinished)
        assert data.outcome is not None
        said = json.loads(log.blob(ends[-1].correlation, data.outcome))
        return str(said.get("operator_summary", ""))
    finally:
        log.close()
