"""What scenarios about agents are made of: tools, profiles, and models that answer by what they are shown."""

from collections.abc import Callable
from typing import Any

import msgspec

from adapters.process_fake import Print, Program, Sleep
from domain.agent_config import (
    BudgetsConfig,
    ControllerConfig,
    LimitsConfig,
    ModelConfig,
    PolicyConfig,
    ProfileConfig,
    RuleConfig,
    ToolConfig,
)
from domain.config import Config, Retry, Work
from domain.ports import Request, Response

Shown = dict[str, Any]
Answer = tuple[float, Response]
Model = Callable[[int, Request], Answer]
NEVER = 1e6
WEB = "http://web"

_TOOLS = {
    "work": ToolConfig(kind="local-process", effect="idempotent", approval="allow"),
    "pay": ToolConfig(kind="local-process", effect="once", approval="allow"),
    "risky": ToolConfig(kind="local-process", effect="once", approval="ask"),
    "risky-work": ToolConfig(kind="local-process", effect="idempotent", approval="ask"),
    "forbidden": ToolConfig(kind="local-process", approval="deny"),
    "web": ToolConfig(kind="http-request", effect="idempotent", approval="allow", hosts=(WEB,)),
    "pay-web": ToolConfig(kind="http-request", effect="once", approval="allow", hosts=(WEB,), methods=("POST",)),
    "ask-person": ToolConfig(kind="ask-person"),
}


def config(**given: Any) -> Config:  # noqa: ANN401  # fields of a profile, and some of the configuration
    """The profile "it": decided by rules, unless `asked` says how a model is asked."""
    asked = given.pop("asked", None)
    table = tuple(RuleConfig(**each) for each in given.pop("rules", ()))
    controllers = {"it": ControllerConfig(kind="rules", rules=table)}
    if asked is not None:
        controllers["it"] = ControllerConfig(**({"kind": "openai", "model": "m", "retry_s": 0.1} | asked))
    limits = LimitsConfig(**given.pop("limits", {}))
    budgets = BudgetsConfig(**given.pop("budgets", {}))
    policies = tuple(PolicyConfig(**each) for each in given.pop("policies", ()))
    model = ModelConfig(base_url="http://model/v1", name="m", private=True, timeout_s=2, **given.pop("model", {}))
    tools = _TOOLS | given.pop("tools", {})
    profile: dict[str, Any] = {"controller": "it", "tools": tuple(tools), "limits": limits, "budgets": budgets} | given
    return Config(
        retry=Retry(attempts=4, backoff_s=0.2, backoff_max_s=1.0),
        work=Work(kill_grace_s=0.4),
        models={"m": model},
        controllers=controllers,
        tools=tools,
        profiles={"it": ProfileConfig(**profile)},
        policies=policies,
    )


def goal(*calls: dict[str, Any], **payload: object) -> dict[str, Any]:
    """A task for the profile."""
    given = {"goal": "do it"} | ({"calls": list(calls)} if calls else {}) | payload
    return {"kind": "goal", "source": "test", "requested_profile": "it", "payload": given}


def call(tool: str, *args: str, program: str = "") -> dict[str, Any]:
    """A call of a program that is called as its tool is, or otherwise."""
    return {"tool": tool, "input": {"command": program or tool, "args": list(args)}}


def fetch(tool: str, path: str, method: str = "GET") -> dict[str, Any]:
    return {"tool": tool, "input": {"url": f"{WEB}/{path}", "method": method}}


def said(content: str, takes_s: float = 0.05, **more: object) -> Answer:
    """An answer of a chat endpoint."""
    message = {"content": content} | more
    document = {
        "choices": [{"message": message, "finish_reason": "stop"}],
        "model": "m-1",
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    }
    return takes_s, Response(status=200, headers={}, body=msgspec.json.encode(document))


def decided(takes_s: float = 0.05, /, **decision: object) -> Answer:
    return said(msgspec.json.encode(decision).decode(), takes_s)


def tools(*calls: dict[str, Any]) -> Answer:
    return decided(type="tool", calls=list(calls))


def wait() -> Answer:
    return decided(type="wait")


def finish(message: str = "done", outcome: str = "completed") -> Answer:
    return decided(type="finish", message=message, outcome=outcome)


def broken(status: int, **headers: str) -> Answer:
    return 0.05, Response(status=status, headers=headers, body=b"no")


def shown(request: Request) -> Shown:
    """What the controller is shown."""
    body = msgspec.json.decode(request.body)
    found: Shown = msgspec.json.decode(body["messages"][-1]["content"])
    return found


def web(request: Request) -> bool:
    return request.url.startswith(WEB)


def acting_on(*calls: dict[str, Any], then: Callable[[Shown], Answer] | None = None) -> Model:
    """Makes these calls first, and waits while anything is going on; then it is done, or does what `then` says."""

    def model(_: int, request: Request) -> Answer:
        if web(request):
            return 0.1, Response(status=200, headers={}, body=b"found")
        seen = shown(request)
        if "start" in seen["triggers"]:
            return tools(*calls)
        if seen["path"] == "fast" or seen["active_calls"] or seen["waiting_for_approval"]:
            return wait()
        return then(seen) if then is not None else finish()

    return model


def told(seen: Shown, *words: str) -> bool:
    """Whether something like it stands in the window."""
    return any(word in msgspec.json.encode(seen["recentEvents"]).decode() for word in words)


OK = Program(steps=(Print(b"hello\n"), Sleep(0.3), Print(b"the end\n")))
DEAF = Program(steps=(Print(b"begun\n"), Sleep(0.4), Print(b"done\n")), ignores_pipe=True)  # goes on alone
FAILS = Program(steps=(Sleep(0.05), Print(b"no\n", "stderr")), exit_code=3)
URGENT = Program(
    steps=(
        Print(b"one moment\n"),
        Sleep(0.1),
        Print(b"Traceback (most recent call last):\n  File x\nKeyError: 'a'\n", "stderr"),
        Sleep(60),
    )
)
SERVES = Program(steps=(Print(b"one moment\n"), Sleep(0.2), Print(b"listening on port 80\n"), Sleep(60)))
DEAF_SERVER = Program(
    steps=(Print(b"one moment\n"), Sleep(0.2), Print(b"listening on port 80\n"), Sleep(60)), ignores_term=True
)
SLOW = Program(steps=(Print(b"begun\n"), Sleep(1.5), Print(b"finished\n")))
LONG = Program(steps=(Print(b"begun\n"), Sleep(90)))
EVERYTHING = {
    "work": (OK,), "pay": (DEAF,), "risky": (DEAF,), "risky-work": (OK,), "forbidden": (OK,), "fails": (FAILS,),
    "urgent": (URGENT,), "serve": (SERVES,), "deaf-server": (DEAF_SERVER,), "slow": (SLOW,), "long": (LONG,),
}  # fmt: skip
