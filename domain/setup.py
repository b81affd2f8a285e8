"""What a controller's run is decided by, frozen at its start: goal, tools, patterns, rules, prompts, policy, budgets.

One JSON document, named by digest in `run.started`. A replay reads it from the log, or parts of it from today's
configuration. No defaults where a later default would change an old run: what matters is always written.
"""

from typing import Any, Literal

import msgspec

ToolKind = Literal["local-process", "ssh-command", "http-request", "ask-person", "memory", "mcp"]
Effect = Literal["allow", "ask", "deny"]
Kind = Literal["rules", "openai", "command"]


class Pattern(msgspec.Struct, frozen=True, omit_defaults=True):
    """A literal phrase, found between word borders whatever its case; it counts from its `at_least`th time in a call.

    A phrase that people also quote counts only outside of quotations and addresses.
    """

    phrase: str
    at_least: int = 1
    quotable: bool = False
    stream: Literal["", "stdout", "stderr"] = ""


class Patterns(msgspec.Struct, frozen=True):
    """What makes output worth a step."""

    urgent: tuple[Pattern, ...]
    milestones: tuple[Pattern, ...]


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a rules controller: when this trigger is there, decide that.

    `when` is a kind of trigger, `exit:ok`, `exit:failed`, or `phrase:` with a phrase of the patterns.
    """

    id: str
    when: str
    then: Literal["tool", "cancel", "finish", "ask", "wait"]
    message: str = ""
    outcome: Literal["completed", "failed", "blocked"] = "completed"
    calls: tuple["Wanted", ...] = ()  # for `tool`; empty = those that the task names


class Wanted(msgspec.Struct, frozen=True):
    """A call of a tool as somebody wants it."""

    tool: str
    input: dict[str, Any] = {}


class Prices(msgspec.Struct, frozen=True):
    """What a million tokens cost, in millionths of a dollar, and which price list said so."""

    version: str
    in_musd: int
    out_musd: int


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A chat endpoint of the OpenAI kind. The key is named, never here."""

    base_url: str
    name: str
    key_env: str
    json_mode: bool
    stream: bool
    tokens_max: int  # of one answer
    deadline_us: int  # of one whole exchange
    private: bool  # whether addresses of private networks are allowed
    prices: Prices | None
    extra: dict[str, Any]


class Controller(msgspec.Struct, frozen=True, kw_only=True):
    """Who decides."""

    name: str
    kind: Kind
    fast: bool  # whether it has a fast path
    rules: tuple[Rule, ...]  # of a rules controller, and of the one that others fall back on
    fallback: bool
    retries: int  # within one step
    retry_base_us: int
    retry_max_us: int
    model: Model | None = None
    argv: tuple[str, ...] = ()
    deadline_us: int = 0


class Tool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool that a run may call."""

    name: str
    kind: ToolKind
    description: str = ""
    effect: Literal["idempotent", "once"] = "once"
    always_ask: bool = False  # a person says yes to each call, whatever a rule allows; a standing grant is a yes
    approval: Literal["", "allow", "ask", "deny"] = ""  # what holds where no rule of the policy matches
    timeout_us: int = 0
    hosts: tuple[str, ...] = ()  # of ssh: names; of http: scheme://host[:port] prefixes
    methods: tuple[str, ...] = ("GET", "HEAD")
    check_host_keys: bool = True
    program: str = "ssh"  # the client of a tool of kind ssh-command
    private: bool = False
    bytes_max: int = 1_048_576
    cwd: str = ""
    inherit_env: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None  # of a tool that was discovered; the others' is known


class PolicyRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule: what it matches, what holds then, and how an approval that it asks for behaves.

    With `on` = run it is about runs as a whole, and matches profile, adapter, kind and source.
    """

    id: str
    effect: Effect
    reason: str = ""
    tool: str = "*"  # globs
    profile: str = "*"
    origin: Literal["*", "task", "controller"] = "*"
    arguments: dict[str, str] = {}  # path in the arguments -> glob on its value
    cost_over_nusd: int = -1  # matches once the run has cost more
    expires_us: int = 0
    on_expire: Literal["tell_agent", "fail"] = "tell_agent"
    on_reject: Literal["tell_agent", "fail"] = "tell_agent"
    on: Literal["call", "run"] = "call"
    adapter: str = "*"
    kind: str = "*"
    source: str = "*"


class Grant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person's standing yes."""

    id: str
    tool: str
    arguments: dict[str, str]
    until_us: int
    profile: str = ""


class Book(msgspec.Struct, frozen=True):
    """The whole policy."""

    rules: tuple[PolicyRule, ...]
    grants: tuple[Grant, ...] = ()


class Prompts(msgspec.Struct, frozen=True):
    """The words that a profile adds to those of the code, and literals that no request may hold."""

    parts: tuple[str, ...]
    hidden: tuple[str, ...] = ()


class Budgets(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a run; 0 = none."""

    decisions: int
    tool_calls: int
    errors: int  # consecutive
    stuck: int  # identical decisions that change nothing
    tokens: int
    cost_nusd: int
    wall_us: int
    recoveries: int


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much a controller is shown, and how long it may be left alone."""

    window_bytes: int
    window_events: int
    silence_us: int
    max_wait_us: int
    history_messages: int
    history_bytes: int


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of a thread's history."""

    role: Literal["user", "assistant", "system", "tool"]
    content: str
    run: str = ""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the task brings, as it was when the task was taken in."""

    path: str
    sha256: str
    size: int
    content: str


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    program: Literal["controller", "chat"]
    goal: str
    profile: str
    controller: Controller
    tools: tuple[Tool, ...]
    patterns: Patterns
    prompts: Prompts
    book: Book
    budgets: Budgets
    limits: Limits
    calls: tuple[Wanted, ...] = ()  # that the task itself names
    history: tuple[Message, ...] = ()
    history_left_out: int = 0  # messages that did not fit
    memory: tuple[str, ...] = ()
    context: dict[str, Any] = {}
    cwd: str = ""
    spares: tuple[Controller, ...] = ()  # who decides once the one before did not answer
    summarizer: Controller | None = None  # who is asked for a summary of what did not fit
    older: tuple[Message, ...] = ()  # the latest of the messages that did not fit, for a summary
    summary_chars: int = 0
    state: dict[str, Any] = {}  # that a caller hands on from run to run
    kind: str = ""  # of the task, and where it came from: what rules about runs match
    source: str = ""
    thread: str = ""
    files: tuple["File", ...] = ()

    def tool(self, name: str) -> Tool | None:
        """A tool by its name."""
        return next((tool for tool in self.tools if tool.name == name), None)


def encode(setup: Setup) -> bytes:
    """The bytes that are stored; the same setup is the same bytes."""
    return msgspec.json.encode(setup, order="sorted")


def parts(setup: Setup) -> dict[str, bytes]:
    """The parts that today's configuration could say otherwise, by name."""
    return {
        name: msgspec.json.encode(getattr(setup, name), order="sorted")
        for name in ("controller", "tools", "patterns", "prompts", "book", "budgets", "limits")
    }


decode = msgspec.json.Decoder(Setup).decode
decode_book = msgspec.json.Decoder(Book).decode
