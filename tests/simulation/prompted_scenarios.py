"""One-shot runs with a brief: agents and models that get a prompt, scripts whose claims are looked at.

There are no real files in this world: what a run claims to have written is never found, and what it says is all.
"""

import json
from typing import Any

from adapters.process_fake import Print, Program, Sleep
from domain.config import Adapter, Config, Retry, Work
from domain.ports import Request, Response
from tests.simulation.plan import Scenario
from tests.simulation.scenarios import cancel, script, stop

ADAPTERS = {
    "coder": Adapter(kind="codex", probe=False, timeout_s=5),
    "careful": Adapter(kind="codex", probe=False, effect="once", timeout_s=5),
    "model": Adapter(kind="ollama", endpoint="http://model", model="m", probe=False, timeout_s=5),
    "absent": Adapter(kind="codex", command="/nowhere/codex", fallback="model"),
    "lonely": Adapter(kind="codex", command="/nowhere/codex"),
    "report": Adapter(command="report", timeout_s=5),
}
CONFIG = Config(
    retry=Retry(attempts=4, backoff_s=0.2, backoff_max_s=1.0), work=Work(kill_grace_s=0.4), adapters=ADAPTERS
)


def outcome(**fields: object) -> str:
    """An outcome as an agent writes it."""
    return json.dumps({"status": "completed", "operator_summary": "did it", "machine_status": "ok"} | fields)


def agent(*texts: str, code: int = 0) -> Program:
    """An agent that thinks, says this, and ends."""
    events = [{"type": "item.completed", "item": {"type": "agent_message", "text": each}} for each in texts]
    ended = {"type": "turn.completed", "usage": {"input_tokens": 7, "output_tokens": 9}}
    lines = b"".join(json.dumps(each).encode() + b"\n" for each in (*events, ended))
    return Program(steps=(Print(b'{"type":"turn.started"}\n'), Sleep(0.2), Print(lines)), exit_code=code)


def saying(*answers: tuple[int, str]) -> Any:  # noqa: ANN401  # what a scenario takes for a model
    """A model that answers these, in order; the last one stays. A status that is none of success is an error."""

    def answer(number: int, _: Request) -> tuple[float, Response]:
        status, text = answers[min(number, len(answers)) - 1]  # they are counted from 1
        body = json.dumps({"response": text, "prompt_eval_count": 3, "eval_count": 4}).encode()
        headers = {"retry-after": "2"} if status == 429 else {}
        return 0.3, Response(status=status, headers=headers, body=body)

    return answer


def _prompted(name: str, *ends: tuple[str, ...], **given: Any) -> Scenario:  # noqa: ANN401  # the fields of Scenario
    plain: dict[str, Any] = {"config": CONFIG, "programs": {}}
    return Scenario(name=name, ends=ends, **(plain | given))


_DONE = ("completed",)
_LOST_SIGHT = ("completed", "blocked:needs_reconcile", "blocked:verification_lost")
_CLAIM = outcome(file_changes=["created src/a.py"])

PROMPTED: tuple[Scenario, ...] = (
    _prompted("an agent answers", _DONE, tasks=(script("coder"),), programs={"codex": (agent(outcome()),)}),
    _prompted(
        "an agent answers in prose first",
        _DONE,
        tasks=(script("coder"),),
        programs={"codex": (agent("All is done."), agent(outcome()))},
    ),
    _prompted(
        "an agent claims what nobody finds",
        ("blocked:attempts_exhausted",),
        tasks=(script("coder", max_attempts=2),),
        programs={"codex": (agent(_CLAIM),)},
    ),
    _prompted(
        "an agent is told to wait",
        _DONE,
        tasks=(script("coder"),),
        programs={"codex": (agent(outcome(status="blocked", retry_after_seconds=3)), agent(outcome()))},
    ),
    _prompted(
        "an agent breaks",
        ("permanent_failure:exit:64",),
        tasks=(script("coder"),),
        programs={"codex": (agent(outcome(), code=64),)},
    ),
    _prompted(
        "an agent that may act once",
        _LOST_SIGHT,
        tasks=(script("careful"),),
        programs={"codex": (agent(outcome()),)},
    ),
    _prompted(
        "an agent is canceled",
        ("operator_canceled", "completed"),
        tasks=(script("coder"),),
        programs={"codex": (Program(steps=(Print(b"{}\n"), Sleep(3))),)},
        acts=((0.5, cancel(0)),),
    ),
    _prompted(
        "a dispatcher is stopped while agents work",
        _DONE,
        _DONE,
        tasks=(script("coder"), script("coder")),
        programs={"codex": (agent(outcome()),)},
        acts=((0.1, stop),),
    ),
    _prompted("a model answers", _DONE, tasks=(script("model"),), model=saying((200, outcome()))),
    _prompted(
        "a model is busy and then garbles",
        _DONE,
        tasks=(script("model", max_attempts=6),),
        model=saying((429, ""), (500, ""), (200, "hm"), (200, outcome())),
    ),
    _prompted("a model forbids", ("permanent_failure:http:403",), tasks=(script("model"),), model=saying((403, ""))),
    _prompted("a model stands in", _DONE, tasks=(script("absent"),), model=saying((200, outcome()))),
    _prompted(
        "nobody is there",
        ("blocked:no_adapter_available",),
        tasks=(script("lonely"),),
        horizon_s=200.0,
    ),
    _prompted(
        "a script claims what nobody finds",
        ("blocked:attempts_exhausted",),
        tasks=(script("report", max_attempts=2),),
        programs={"report": (Program(steps=(Print(_CLAIM.encode()),)),)},
    ),
)


def named(name: str) -> Scenario:
    """The scenario of this name."""
    (found,) = (each for each in PROMPTED if each.name == name)
    return found
