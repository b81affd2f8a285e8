"""What stories about controllers' runs are made of: setups, and facts with their texts."""

from typing import Any

import msgspec

from domain import acting, agents, setup
from domain.agent_config import ControllerConfig, ModelConfig, PolicyConfig, ProfileConfig
from domain.agent_events import CallApproved, CallEdited, CallRejected, ControllerAnswered, RunResumed
from domain.config import Config
from domain.events import OutputAppended, Policy, Recorded, RunStarted
from domain.ids import text_of
from domain.run_state import Run
from domain.setup import Wanted
from tests.story import NOW_US, RUN, Story, claimed, recorded

POLICY = Policy(
    outcome="exit",
    effect="idempotent",
    timeout_us=0,
    grace_us=1_000_000,
    output_bytes_max=1 << 20,
    backoff_base_us=1_000_000,
    backoff_max_us=60_000_000,
    exit_retryable=(75,),
    exit_permanent=(64,),
)
MODEL = ModelConfig(base_url="http://127.0.0.1:1/v1", name="m", private=True)
CALL = Wanted("local-process", {"command": "serve", "args": ["--port", "1"]})


def config(**given: Any) -> Config:  # noqa: ANN401  # fields of a profile, and some of the configuration
    """A configuration with a profile "it" that a model decides for, unless it says otherwise."""
    policies = tuple(given.pop("policies", ()))
    controller = given.pop("asked", {})
    profile = ProfileConfig(**({"controller": "it"} | given))
    return Config(
        models={"m": MODEL},
        controllers={"it": ControllerConfig(**({"kind": "openai", "model": "m"} | controller))},
        profiles={"it": profile},
        policies=policies,
    )


def started(of: Config | None = None, *, calls: tuple[Wanted, ...] = (), goal: str = "the goal") -> Recorded:
    """The start of a run of the profile "it"."""
    made = agents.setup(of or config(), "it", agents.Given(goal=goal, calls=calls, cwd="/folder"))
    document = setup.encode(made)
    fact = RunStarted(
        program=made.program,
        adapter="agent",
        bundle=text_of(b"bundle"),
        policy=POLICY,
        setup=text_of(document),
        profile="it",
    )
    return msgspec.structs.replace(recorded(fact), texts={"setup": document})


def begun(of: Config | None = None, **given: Any) -> Story:  # noqa: ANN401  # of `started`
    """A run that has started."""
    return Story().given(claimed(), started(of, **given))


def answer(
    story: Story, decision: dict[str, Any] | str, *, cause: str = "", usage: tuple[int, int] | None = None
) -> Recorded:
    """What the model answers to the question that is open."""
    asked = mind(story.now).question
    assert asked is not None, "nobody asks"
    content = decision if isinstance(decision, str) else msgspec.json.encode(decision).decode()
    document: dict[str, Any] = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}], "model": "m-1"}
    if usage is not None:
        document["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    body = b"" if cause else msgspec.json.encode(document)
    fact = ControllerAnswered(ask=asked.ask, cause=cause, answer=text_of(body) if body else None, latency_us=5)
    return msgspec.structs.replace(recorded(fact), texts={"answer": body} if body else {})


def printed(text: bytes, *, call: int = 1, stream: Any = "stdout", offset: int = 0) -> Recorded:  # noqa: ANN401  # a literal
    """Output of a call."""
    fact = OutputAppended(call=call, stream=stream, offset=offset, size=len(text), lines=text.count(b"\n"), digest="")
    return recorded(fact, body=text)


def approved(story: Story, call: int, note: str = "") -> Recorded:
    """A person says yes to what waits."""
    waiting = next(each for each in mind(story.now).approvals if each.call == call)
    text = note.encode()
    fact = CallApproved(call=call, digest=waiting.digest, channel="cli", note=text_of(text) if note else None)
    return msgspec.structs.replace(recorded(fact), texts={"note": text} if note else {})


def rejected(story: Story, call: int, reason: str) -> Recorded:
    """A person says no."""
    waiting = next(each for each in mind(story.now).approvals if each.call == call)
    text = reason.encode()
    fact = CallRejected(call=call, digest=waiting.digest, channel="cli", reason=text_of(text))
    return msgspec.structs.replace(recorded(fact), texts={"reason": text})


def edited(story: Story, call: int, arguments: dict[str, Any]) -> Recorded:
    """A person says yes to other arguments."""
    waiting = next(each for each in mind(story.now).approvals if each.call == call)
    text = msgspec.json.encode(arguments, order="sorted")
    known = mind(story.now)
    bound = acting.digest(known, known.setup.tool(waiting.tool), text)
    fact = CallEdited(call=call, digest=waiting.digest, arguments=text_of(text), edited_digest=bound, channel="cli")
    return msgspec.structs.replace(recorded(fact), texts={"arguments": text})


def resumed(of: Config | None = None) -> Recorded:
    """A dispatcher goes on, by the policy of this configuration."""
    book = msgspec.json.encode(agents.book(of or config()))
    return msgspec.structs.replace(recorded(RunResumed(book=text_of(book))), texts={"book": book})


def mind(run: Run) -> Any:  # noqa: ANN401  # a Mind that is there
    """What the run remembers."""
    assert run.mind is not None
    return run.mind


ALLOW = PolicyConfig(id="all", effect="allow", tool="local-process")
__all__ = ["NOW_US", "RUN", "Story"]
