"""Events of runs that a controller decides: asks, answers, decisions, approvals, and standing grants."""

from typing import Literal

from domain.payload import Consequence, Fact, Text, Window


class ControllerAsked(Consequence, frozen=True, kw_only=True, tag="run.controller_asked"):
    """The effect of asking an outside controller. `request` is byte for byte what it is sent, without the key."""

    VOLATILE = ("window", "request")

    ask: int  # its ordinal among the run's calls
    controller: str
    path: Literal["slow", "fast"]
    triggers: tuple[str, ...]
    window: Window
    request: Text
    attempt: int
    reserved_tokens: int = 0
    reserved_nusd: int = 0  # billionths of a dollar
    purpose: Literal["decision", "summary"] = "decision"


class ControllerAnswered(Fact, frozen=True, kw_only=True, tag="run.controller_answered"):
    """What came back, verbatim but bounded, or why nothing did."""

    TEXTS = ("answer",)
    VOLATILE = ("latency_us",)

    ask: int
    cause: str = ""  # empty for an answer; else why the request failed (`HttpFailure`), http:<status>, no_key, ...
    answer: Text | None = None
    latency_us: int = 0
    retry_after_us: int = 0


class RunDenied(Consequence, frozen=True, kw_only=True, tag="run.denied"):
    """The policy of this moment denies the run as a whole; it does not go on."""

    policy: str  # digest
    rules: tuple[str, ...]
    reason: str = ""


class ControllerReplaced(Consequence, frozen=True, kw_only=True, tag="run.controller_replaced"):
    """The controller did not answer; from here on the next of its profile's fallbacks decides."""

    controller: str
    by: str
    errors: int


class HistorySummarized(Consequence, frozen=True, kw_only=True, tag="run.history_summarized"):
    """What became of the messages that did not fit: a summary, which is the answer, or why there is none."""

    VOLATILE = ("latency_us",)

    ask: int
    messages: int
    model: str
    answer: Text | None = None
    refused: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    latency_us: int = 0
    cost_nusd: int | None = None
    prices: str = ""


class ToolsDiscovered(Fact, frozen=True, kw_only=True, tag="run.tools_discovered"):
    """A server of tools said what it has. `tools` is a list of {name, description, schema}; `schemas` digests each."""

    TEXTS = ("tools",)

    server: str
    tools: Text
    schemas: dict[str, str]  # tool -> SHA-256 of its canonical schema


class DecisionMade(Consequence, frozen=True, kw_only=True, tag="run.decision_made"):
    """One decision, validated. `refused` says why an answer was none; `rule` which rule of a table spoke."""

    VOLATILE = ("window", "request", "latency_us")

    number: int
    decision: Literal["wait", "tool", "cancel", "finish", "ask", "none"]
    path: Literal["slow", "fast"]
    controller: str
    triggers: tuple[str, ...]
    window: Window
    ask: int = 0
    request: Text | None = None
    answer: Text | None = None
    refused: str = ""
    ignored: tuple[str, ...] = ()  # fields of the answer that nobody knows
    rule: str = ""
    calls: tuple[int, ...] = ()
    model: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    latency_us: int = 0
    cost_nusd: int | None = None  # None where the price is not known
    prices: str = ""  # version of the prices


class CallRefused(Consequence, frozen=True, kw_only=True, tag="run.call_refused"):
    """A call that a controller wanted and does not get; it is told why."""

    call: int
    tool: str
    cause: Literal["unknown_tool", "wrong_input", "denied", "rejected", "expired", "unknown_call", "lost"]
    reason: str = ""
    rules: tuple[str, ...] = ()


class ApprovalRequested(Consequence, frozen=True, kw_only=True, tag="run.approval_requested"):
    """A person has to say yes to exactly this: `digest` covers tool, arguments, profile and policy."""

    VOLATILE = ("digest", "expires_at_us")

    call: int
    tool: str
    arguments: Text
    digest: str
    policy: str  # digest of the policy that asks
    rules: tuple[str, ...]
    kind: Literal["approval", "question"]
    expires_at_us: int = 0
    on_expire: Literal["tell_agent", "fail"] = "tell_agent"
    on_reject: Literal["tell_agent", "fail"] = "tell_agent"


class ApprovalClosed(Consequence, frozen=True, kw_only=True, tag="run.approval_closed"):
    """Nobody decided: its time is over, or the run ends without it."""

    call: int
    how: Literal["expired", "withdrawn"]


class CallApproved(Fact, frozen=True, kw_only=True, tag="run.call_approved"):
    """A person said yes to this digest. For a question, `note` is the answer."""

    TEXTS = ("note",)

    call: int
    digest: str
    channel: str
    note: Text | None = None
    key: str = ""  # of the answer: the same key twice is the same answer


class CallEdited(Fact, frozen=True, kw_only=True, tag="run.call_edited"):
    """A person said yes to other arguments, which have a digest of their own."""

    TEXTS = ("arguments", "note")

    call: int
    digest: str
    arguments: Text
    edited_digest: str
    channel: str
    note: Text | None = None
    key: str = ""


class CallRejected(Fact, frozen=True, kw_only=True, tag="run.call_rejected"):
    """A person said no."""

    TEXTS = ("reason",)

    call: int
    digest: str
    channel: str
    reason: Text
    key: str = ""


class CallSettled(Fact, frozen=True, kw_only=True, tag="run.call_settled"):
    """A person found out whether an effect of unknown outcome happened."""

    TEXTS = ("note",)

    call: int
    happened: bool
    note: Text | None = None
    key: str = ""


class ToolReturned(Fact, frozen=True, kw_only=True, tag="run.tool_returned"):
    """What a call that is no process brought back."""

    TEXTS = ("result",)
    VOLATILE = ("duration_us",)

    call: int
    ok: bool
    cause: str = ""
    result: Text | None = None
    duration_us: int = 0
    retry_after_us: int = 0  # what a server asks for


class RunResumed(Fact, frozen=True, kw_only=True, tag="run.resumed"):
    """A dispatcher goes on with the run; `book` is the policy of that moment, by which what was approved is checked."""

    TEXTS = ("book",)

    book: Text


class BudgetReached(Consequence, frozen=True, kw_only=True, tag="run.budget_reached"):
    """A limit of the run would be passed; the run ends."""

    budget: Literal["decisions", "tool_calls", "tokens", "cost", "wall", "errors", "stuck", "recoveries"]
    limit: int
    used: int


# standing grants: the policy's own stream


class PolicyChanged(Fact, frozen=True, kw_only=True, tag="policy.changed"):
    """Another policy is in force from here on; which decisions would differ, `rt replay --with` tells."""

    digest: str
    rules: Text
    previous: str = ""


class GrantMade(Fact, frozen=True, kw_only=True, tag="policy.grant_made"):
    """A person allows calls of a tool with such arguments until a moment, without being asked each time."""

    grant: str
    tool: str
    arguments: dict[str, str]
    until_us: int
    profile: str = ""
    from_run: str = ""
    from_call: int = 0


class GrantRevoked(Fact, frozen=True, kw_only=True, tag="policy.grant_revoked"):
    """A standing grant ends now."""

    grant: str
    reason: str = ""


# threads and memories: streams of their own


class ThreadMessage(Fact, frozen=True, kw_only=True, tag="thread.message"):
    """Somebody said something in a thread; `task` carries it out, and its completed run's answer is the reply."""

    thread: str
    task: str
    text: Text
    profile: str = ""


class ThreadRestarted(Fact, frozen=True, kw_only=True, tag="thread.restarted"):
    """The conversation begins anew: what came before, up to `after`, is history no longer."""

    thread: str
    after: int  # position of the last message that no longer counts
    from_thread: str = ""


class ThreadDeleted(Fact, frozen=True, kw_only=True, tag="thread.deleted"):
    """The thread is gone from lists, searches and histories."""

    thread: str
    reason: str = ""


class MemoryKept(Fact, frozen=True, kw_only=True, tag="memory.kept"):
    """Something to remember, or its newer version. The text lies under the memory's own scope."""

    TEXTS = ("text",)

    key: str
    scope: Literal["workspace", "agent", "thread", "user"]
    owner: str
    text: Text
    from_run: str = ""
    expires_us: int = 0
    from_call: int = 0


class MemoryForgotten(Fact, frozen=True, kw_only=True, tag="memory.forgotten"):
    """What was remembered under this key counts no longer."""

    key: str
    scope: Literal["workspace", "agent", "thread", "user"]
    owner: str
    reason: str = ""
    from_run: str = ""
    from_call: int = 0


AgentRunEvent = (
    ControllerAsked
    | ControllerAnswered
    | RunDenied
    | ControllerReplaced
    | HistorySummarized
    | ToolsDiscovered
    | DecisionMade
    | CallRefused
    | ApprovalRequested
    | ApprovalClosed
    | CallApproved
    | CallEdited
    | CallRejected
    | CallSettled
    | ToolReturned
    | RunResumed
    | BudgetReached
)
PolicyEvent = PolicyChanged | GrantMade | GrantRevoked
ThreadEvent = ThreadMessage | ThreadRestarted | ThreadDeleted
MemoryEvent = MemoryKept | MemoryForgotten
