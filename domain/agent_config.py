"""The part of the configuration that is about agents: models, controllers, tools, policies, profiles, routes."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from domain import bounds
from domain.setup import Effect, Kind, ToolKind

Seconds = Annotated[float, Meta(ge=0, le=bounds.TIMEOUT_S_MAX)]
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
Name = Annotated[str, Meta(pattern=f"^{NAME}$")]
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
Variable = Annotated[str, Meta(pattern=VARIABLE, max_length=200)]
ADDRESS = "^https?://"
Phrase = Annotated[str, Meta(min_length=2, max_length=bounds.PHRASE_CHARS_MAX)]
Usd = Annotated[float, Meta(ge=0, le=1_000_000)]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Words = Annotated[str, Meta(max_length=64_000)]


class PricesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a million tokens cost."""

    version: Annotated[str, Meta(min_length=1, max_length=100)]
    input_usd_per_million: Usd
    output_usd_per_million: Usd


class ModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A chat endpoint of the OpenAI kind."""

    base_url: Annotated[str, Meta(pattern=ADDRESS, max_length=2_000)]
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    key_env: Variable | Literal[""] = ""
    json_mode: bool = True
    stream: bool = False
    max_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] = bounds.ANSWER_TOKENS_MAX
    timeout_s: Seconds = bounds.CONTROLLER_DEADLINE_S
    private: bool = False
    prices: PricesConfig | None = None
    extra: dict[str, Any] = {}


class RuleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A line of a rules controller."""

    when: Annotated[str, Meta(min_length=2, max_length=250)]
    then: Literal["tool", "cancel", "finish", "ask", "wait"]
    id: Name = ""
    message: Annotated[str, Meta(max_length=4_000)] = ""
    outcome: Literal["completed", "failed", "blocked"] = "completed"
    calls: tuple[dict[str, Any], ...] = ()


class ControllerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who decides."""

    kind: Kind
    model: str = ""
    argv: tuple[str, ...] = ()
    fast: bool = True
    rules: tuple[RuleConfig, ...] = ()  # empty = the built-in table
    fallback: bool = True
    retries: Annotated[int, Meta(ge=0, le=20)] = bounds.CONTROLLER_RETRIES
    retry_s: Seconds = bounds.CONTROLLER_RETRY_S
    timeout_s: Seconds = bounds.CONTROLLER_DEADLINE_S


class ToolConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A tool that profiles may name."""

    kind: ToolKind
    description: Words = ""
    effect: Literal["idempotent", "once"] = "once"
    approval: Literal["", "allow", "ask", "deny"] = ""
    timeout_s: Seconds = 0
    hosts: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("GET", "HEAD")
    check_host_keys: bool = True
    program: Annotated[str, Meta(min_length=1, max_length=4096)] = "ssh"
    private: bool = False
    max_bytes: Annotated[int, Meta(ge=1, le=64 * bounds.MIB)] = bounds.MIB
    working_dir: str = ""
    inherit_env: tuple[Variable, ...] = ()
    tags: tuple[Name, ...] = ()


class PatternConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A phrase with its conditions."""

    phrase: Phrase
    at_least: Annotated[int, Meta(ge=1, le=1_000)] = 1
    quotable: bool = False
    stream: Literal["", "stdout", "stderr"] = ""


class PatternsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What makes output worth a step; each list replaces the built-in one."""

    urgent: tuple[Phrase | PatternConfig, ...] | None = None
    milestones: tuple[Phrase | PatternConfig, ...] | None = None


class PolicyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule of the policy."""

    id: Name
    effect: Effect
    reason: Annotated[str, Meta(max_length=500)] = ""
    tool: str = "*"
    profile: str = "*"
    origin: Literal["*", "task", "controller"] = "*"
    arguments: dict[str, str] = {}
    cost_over_usd: Usd | None = None
    expires_s: Seconds = 0
    on_expire: Literal["tell_agent", "fail"] = "tell_agent"
    on_reject: Literal["tell_agent", "fail"] = "tell_agent"
    on: Literal["call", "run"] = "call"
    adapter: str = "*"  # this and the next two: of rules about runs
    kind: str = "*"
    source: str = "*"


class BudgetsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of a run; 0 = none."""

    decisions: Count = bounds.DECISIONS_MAX
    tool_calls: Count = bounds.TOOL_CALLS_MAX
    errors: Count = bounds.CONTROLLER_ERRORS_MAX
    stuck: Count = bounds.STUCK_MAX
    tokens: Count = 0
    cost_usd: Usd = 0
    wall_s: Seconds = 0
    recoveries: Count = bounds.RECOVERIES_MAX


class LimitsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much a controller is shown, and how long it may be left alone."""

    window_bytes: Annotated[int, Meta(ge=1_024, le=bounds.MIB)] = bounds.WINDOW_BYTES_MAX
    window_events: Annotated[int, Meta(ge=4, le=1_000)] = bounds.WINDOW_EVENTS_MAX
    silence_s: Seconds = bounds.SILENCE_S
    max_wait_s: Seconds = bounds.WAIT_S_MAX
    history_messages: Annotated[int, Meta(ge=0, le=10_000)] = bounds.HISTORY_MESSAGES_MAX
    history_bytes: Annotated[int, Meta(ge=0, le=4 * bounds.MIB)] = bounds.HISTORY_BYTES_MAX


class TrimContext(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="trim-context", tag_field="kind"
):
    """Show the controller less of the window."""

    bytes: Annotated[int, Meta(ge=1_024, le=1 << 20)]
    events: Annotated[int, Meta(ge=4, le=1_000)] = 40


class TrimHistory(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="trim-history", tag_field="kind"
):
    """Hand over only the end of a thread's history; how much is left out is said."""

    messages: Count


class CallLimits(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="call-limits", tag_field="kind"
):
    """Fewer decisions and tool calls."""

    decisions: Count = 0
    tool_calls: Count = 0


class HumanApproval(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="human-approval", tag_field="kind"
):
    """Ask a person before each call of these tools; empty = of all."""

    tools: tuple[str, ...] = ()


class Redaction(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="redaction", tag_field="kind"
):
    """Literals that no request to a model may hold."""

    phrases: Annotated[tuple[Phrase, ...], Meta(min_length=1, max_length=100)]


class RetryMiddleware(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="retry", tag_field="kind"
):
    """How often a question is put again within one step."""

    attempts: Annotated[int, Meta(ge=0, le=20)]


class ModelFallback(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="model-fallback", tag_field="kind"
):
    """Other controllers that decide, in this order, once the one before did not answer; each change is an event."""

    controllers: Annotated[tuple[str, ...], Meta(min_length=1, max_length=4)]


class SummarizeHistory(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="summarize-history", tag_field="kind"
):
    """Ask a model, once, for a summary of the messages that the history leaves out; the answer is recorded."""

    model: str
    chars: Annotated[int, Meta(ge=100, le=16_000)] = bounds.SUMMARY_CHARS_MAX


Middleware = (
    TrimContext
    | TrimHistory
    | CallLimits
    | HumanApproval
    | Redaction
    | RetryMiddleware
    | ModelFallback
    | SummarizeHistory
)


QUARANTINE: Final = "quarantine"  # the style of what reads strangers' texts


class ProfileConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An agent: who decides, with what, within which limits."""

    description: Words = ""
    program: Literal["controller", "chat", "one_shot"] = "controller"
    adapter: str = ""  # of a one_shot profile: who gets the prompt; default_adapter where none is named
    style: Annotated[str, Meta(max_length=60)] = ""
    role: Words = ""
    skills: tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...] = ()
    max_prompt_chars: Annotated[int, Meta(ge=2_000, le=bounds.PROMPT_CHARS_MAX)] = bounds.PROMPT_CHARS
    follow_up_tasks: bool = False  # whether what its runs want done next becomes tasks
    external_messages: bool = False  # whether what its runs want to tell others goes out
    on_unverified: Literal["retry", "block"] = "retry"
    autonomy: Literal["restricted", "trusted-vm"] = "trusted-vm"  # the most that an adapter is given
    mcp: Literal["", "none"] = ""
    controller: str = "rules"
    tools: tuple[str, ...] = ("local-process",)
    prompt: tuple[Words, ...] = ()
    patterns: PatternsConfig = PatternsConfig()
    budgets: BudgetsConfig = BudgetsConfig()
    limits: LimitsConfig = LimitsConfig()
    approvals: dict[str, Effect] = {}  # tool -> what holds where no rule of the policy matches
    max_runs: Annotated[int, Meta(ge=0, le=bounds.CONCURRENCY_MAX)] = 0
    host_facing: bool = True
    memory: tuple[Literal["workspace", "agent", "thread", "user"], ...] = ()
    middleware: tuple[Middleware, ...] = ()

    @property
    def is_restricted(self) -> bool:
        """Whether its runs get no bypass, whatever their adapter says."""
        return self.autonomy == "restricted" or self.style == QUARANTINE

    @property
    def has_no_servers(self) -> bool:
        """Whether its runs get no servers of tools."""
        return self.mcp == "none" or self.style == QUARANTINE


class RouteConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which profile gets new input: the first match by priority, then order."""

    profile: str
    phrases: tuple[Phrase, ...] = ()  # any of them in the input
    source: str = ""
    kind: str = ""
    priority: int = 0


class RoutingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How new input finds its profile."""

    default: str = ""
    rules: tuple[RouteConfig, ...] = ()
    model: str = ""  # a model that chooses where no rule does
    sticky: bool = True
    timeout_s: Seconds = 20.0


TOOLS: dict[str, ToolConfig] = {
    "local-process": ToolConfig(kind="local-process", description="Run a program of this machine."),
    "ask-person": ToolConfig(kind="ask-person", description="Ask a person a question and wait for the answer."),
    "memory": ToolConfig(
        kind="memory",
        description="Remember a text under a key, recall what contains all words of a query, or forget a key.",
        effect="idempotent",
    ),
}
MODELS: dict[str, ModelConfig] = {
    "qwen": ModelConfig(
        base_url="https://dashscope.aliyuncs.com/compatible-mode/v1", name="qwen-plus", key_env="DASHSCOPE_API_KEY"
    ),
    "openai": ModelConfig(base_url="https://api.openai.com/v1", name="gpt-4o-mini", key_env="OPENAI_API_KEY"),
}
CONTROLLERS: dict[str, ControllerConfig] = {
    "rules": ControllerConfig(kind="rules"),
    "qwen": ControllerConfig(kind="openai", model="qwen"),
    "openai": ControllerConfig(kind="openai", model="openai"),
}
PROFILES: dict[str, ProfileConfig] = {
    "watch": ProfileConfig(description="Run one command and act on what it prints."),
}
STRUCTS: tuple[type[msgspec.Struct], ...] = (
    PricesConfig, ModelConfig, RuleConfig, ControllerConfig, ToolConfig, PatternConfig, PatternsConfig,
    PolicyConfig, BudgetsConfig, LimitsConfig, TrimContext, TrimHistory,
    CallLimits, HumanApproval, Redaction, RetryMiddleware, ModelFallback,
    SummarizeHistory, ProfileConfig, RouteConfig, RoutingConfig,
)  # fmt: skip
