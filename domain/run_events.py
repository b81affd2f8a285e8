"""Events of a run's decision stream and of its output stream."""

from typing import Literal

from domain.payload import AdapterChoice, CallKind, Consequence, Fact, Policy, Text


class RunStarted(Fact, frozen=True, kw_only=True, tag="run.started"):
    """The bundle was compiled: the frozen inputs of the run.

    `call` is the process that a one-shot program will ask for, `setup` what a controller's or chat program decides by.
    """

    TEXTS = ("setup", "brief", "prompt")
    VOLATILE = ("bundle", "bundle_hash")

    program: Literal["one_shot", "controller", "chat"]
    adapter: str
    bundle: Text
    policy: Policy
    call: Text | None = None
    setup: Text | None = None
    profile: str = ""
    thread: str = ""
    parent_run: str = ""
    depth: int = 0  # how many runs stand above it
    brief: Text | None = None  # what a one-shot run is judged by, beside its policy
    prompt: Text | None = None
    bundle_hash: str = ""  # of the frozen inputs; the same for the same inputs
    input_hash: str = ""  # the same without what names the task
    grade: str = ""  # how well what comes from outside was frozen
    bypass: tuple[str, ...] = ()  # what takes a restraint away
    choice: AdapterChoice | None = None  # where another adapter was looked at


class RunRefused(Fact, frozen=True, kw_only=True, tag="run.refused"):
    """The bundle could not be compiled; nothing was started."""

    cause: str
    message: str = ""
    retry_after_us: int = 0  # it is tried again after so long; 0 = a person is needed
    refunded: bool = False  # and that costs no attempt


class ToolCallRequested(Consequence, frozen=True, kw_only=True, tag="run.tool_call_requested"):
    """The effect that may now be carried out. `call` is its ordinal in the run, `input` what to start."""

    call: int
    tool: str
    input: Text
    effect: Literal["idempotent", "once"]
    kind: CallKind = "process"
    timeout_us: int = 0  # 0 = that of the policy
    repeats: int = 0  # the call, lost with its dispatcher, that this one does again under the same effect key
    digest: str = ""  # what was allowed or approved: tool, arguments, profile


class ToolStarted(Fact, frozen=True, kw_only=True, tag="run.tool_started"):
    """A process runs. Pid, start time (clock ticks since boot) and boot id together name it for ever."""

    VOLATILE = ("pid", "start_ticks", "boot_id")

    call: int
    pid: int
    start_ticks: int
    boot_id: str


class ToolNotStarted(Fact, frozen=True, kw_only=True, tag="run.tool_not_started"):
    """The process could not be started."""

    call: int
    cause: Literal[
        "command_not_found",
        "not_executable",
        "cwd_missing",
        "argument_too_large",
        "out_of_resources",
        "canceled",
        "input_missing",
    ]
    message: str = ""


class ToolExited(Fact, frozen=True, kw_only=True, tag="run.tool_exited"):
    """The leader ended and the drain is over. Code or signal, never both; `killed` counts ended descendants."""

    VOLATILE = ("duration_us",)

    call: int
    duration_us: int
    exit_code: int | None = None
    signal: str = ""
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    dropped_bytes: int = 0  # beyond the run's output limit: read, counted, not stored
    drain_cut: bool = False  # something held the pipe open beyond the drain limit
    killed: int = 0
    escaped: tuple[int, ...] = ()  # pids that were still there after KILL


class AgentReported(Consequence, frozen=True, kw_only=True, tag="run.agent_reported"):
    """A coding agent told what it does, in a line that it printed while it works; `text` says it in a few words."""

    TEXTS = ("text",)

    call: int
    kind: Literal["step", "tool", "message", "usage", "error"]
    text: Text | None = None


class AnswerRead(Fact, frozen=True, kw_only=True, tag="run.answer_read"):
    """What a coding agent left in the file for its last message; nothing where there is no such file."""

    TEXTS = ("text",)

    call: int
    text: Text | None = None


class VerificationRequested(Consequence, frozen=True, kw_only=True, tag="run.verification_requested"):
    """The effect of looking at what the outcome claims, before it counts."""

    call: int


class EvidenceGathered(Fact, frozen=True, kw_only=True, tag="run.evidence_gathered"):
    """What was there when the work was over: artifacts, files of the workspace, what git says."""

    TEXTS = ("after",)

    after: Text


class RunVerified(Consequence, frozen=True, kw_only=True, tag="run.verified"):
    """What of the outcome's claims holds. `checks` lists each: its path, its reason, the digest of what was there."""

    checks: Text
    passed: int = 0
    failed: int = 0
    unverifiable: int = 0


class TimerFired(Fact, frozen=True, kw_only=True, tag="run.timer_fired"):
    """A timer of the core came due."""

    VOLATILE = ("due_us",)

    timer: str
    due_us: int


class RunCancelAsked(Fact, frozen=True, kw_only=True, tag="run.cancel_asked"):
    """A person wants the run to end."""

    reason: str = ""


class RunOwnerLost(Fact, frozen=True, kw_only=True, tag="run.owner_lost"):
    """The dispatcher that drove the run is gone; its left-over processes have been ended."""

    VOLATILE = ("dispatcher", "killed")

    dispatcher: str
    cause: Literal["dispatcher_died", "dispatcher_stopped", "internal_error"]
    killed: int = 0


class CancelRequested(Consequence, frozen=True, kw_only=True, tag="run.cancel_requested"):
    """The effect of ending a call: TERM, grace, KILL."""

    call: int
    cause: Literal["operator", "timeout", "controller", "finish"]


class RunFinished(Consequence, frozen=True, kw_only=True, tag="run.finished"):
    """How the run ended. `outcome` is the canonical outcome as JSON, where the program produced one."""

    state: Literal["completed", "failed", "canceled", "lost"]
    retry: Literal["none", "retryable", "permanent"]
    cause: str = ""
    outcome: Text | None = None
    tokens_in: int | None = None  # of a one-shot run, where it is told
    tokens_out: int | None = None
    cost_nusd: int | None = None


# the run's output stream


class OutputAppended(Fact, frozen=True, kw_only=True, tag="output.appended"):
    """Whole lines (or a bounded part of one) of one stream of a call. The bytes lie in `bodies`.

    `offset` counts stored bytes of this call and stream; `digest` is SHA-256 over the run's salt and the bytes.
    """

    VOLATILE = ("offset", "size", "lines", "digest")

    call: int
    stream: Literal["stdout", "stderr", "content", "reasoning"]  # the latter two are a model's
    offset: int
    size: int
    lines: int
    digest: str
