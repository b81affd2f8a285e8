"""The effects of one run while they are open: started once their request is durable, read, ended, cleared away."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import msgspec

from adapters.chunks import Chunker
from commands.asks import HttpCall, ModelAsk, ProcessAsk, answered
from commands.call import OpenCall
from commands.evidence import Evidence
from commands.memory_call import MemoryCall, Remembers
from commands.world import World
from domain import bundle
from domain import run as core
from domain.advance import Happened
from domain.agents import below
from domain.bounds import ANSWER_BYTES_MAX, KILL_S_MAX
from domain.calls import CallInput, HttpInput, MemoryInput
from domain.events import AnswerRead, ToolNotStarted, ToolStarted
from domain.ids import effect_key, marker, text_of
from domain.mind import Mind, Question
from domain.ports import NotStarted, ProcessSpec

_ACTOR = "adapter:process"
Open = OpenCall | ModelAsk | ProcessAsk | HttpCall | MemoryCall | Evidence


class Effects:
    """What a run has open, by ordinal."""

    def __init__(self, world: World, run: str, changed: Callable[[], None]) -> None:
        self._world = world
        self._run = run
        self._changed = changed
        self._open: dict[int, Open] = {}
        self.known_salt = world.log.salt(run)
        self.salt = self.known_salt or world.ids.salt()
        self.payload = b""
        self.call: CallInput | None = None  # of a one-shot run
        self.own_env: dict[str, str] | None = None  # what its adapter sets, secrets resolved: in memory only
        self._evidence: Evidence | None = None
        self._payload_files: list[str] = []

    @property
    def idle(self) -> bool:
        """Whether nothing is open."""
        return all(each.over for each in self._open.values())

    def carry_out(self, state: core.Run, *, abandoned: bool) -> Iterator[Happened]:
        """Start and end what the log asks for; what that brings at once. Look at the state again after each."""
        for call in state.open_calls:
            yield from self._carry_out(state, call, abandoned=abandoned)
        if state.verifying and self._evidence is None and not abandoned:
            self._evidence = Evidence(self._world, state, self._changed)
            self._open[self._evidence.ordinal] = self._evidence
        mind = state.mind
        if mind is not None and mind.question is not None and mind.question.ask not in self._open and not abandoned:
            if mind.finishing is None:
                yield from self.ask(state, mind, mind.question)
            else:  # nobody needs its answer any more
                now_s = self._world.clock.monotonic_s()
                yield answered(self._world, mind.question, cause="given_up", since_s=now_s)
        if abandoned or (mind is not None and mind.finishing is not None):
            for each in self._open.values():
                if not isinstance(each, OpenCall | HttpCall | MemoryCall) or abandoned:
                    self._end(state, each)

    def _carry_out(self, state: core.Run, call: core.Call, *, abandoned: bool) -> Iterator[Happened]:
        known = self._open.get(call.ordinal)
        if known is None and abandoned:
            return
        if known is None and not call.cancel:
            yield from self._start(state, call)
        elif known is None:  # asked to end before it was started: it never will be
            yield Happened(ToolNotStarted(call=call.ordinal, cause="canceled"))
        elif call.cancel or abandoned:
            self._end(state, known)

    def _end(self, state: core.Run, each: Open) -> None:
        if not each.ending and not each.over:
            assert state.policy is not None, "a call is asked for by a run that was started"
            each.ending = True
            each.end(state.policy.grace_us / 1_000_000)

    def _start(self, state: core.Run, call: core.Call) -> Iterator[Happened]:
        if call.kind == "http":
            wanted = msgspec.json.decode(self._world.log.blob(state.task, call.input), type=HttpInput)
            key = effect_key(state.run, call.repeats or call.ordinal)
            self._open[call.ordinal] = HttpCall(
                self._world, call.ordinal, wanted, key=key, salt=self.salt, changed=self._changed
            )
            return
        if call.kind == "memory":
            kept = msgspec.json.decode(self._world.log.blob(state.task, call.input), type=MemoryInput)
            about = Remembers(run=state.run, call=call.repeats or call.ordinal)
            self._open[call.ordinal] = MemoryCall(self._world, call.ordinal, kept, about, self._changed)
            return
        assert state.policy is not None, "a call is asked for by a run that was started"
        name = marker(state.run, call.ordinal)
        try:
            identity = self._world.processes.spawn(self._spec(state, call, name), self._changed)
        except NotStarted as problem:
            self._world.files.remove(self._world.payload_file(name))
            message = self._world.secrets.text(str(problem))
            yield Happened(ToolNotStarted(call=call.ordinal, cause=problem.cause, message=message))
            return
        self._open[call.ordinal] = OpenCall(
            call.ordinal,
            name,
            processes=self._world.processes,
            chunker=Chunker(self._world.secrets, self._world.urgent, state.policy.output_bytes_max),
            salt=self.salt,
            started_s=self._world.clock.monotonic_s(),
            last_message_file=self.call.last_message_file if self.call is not None else "",
        )
        started = ToolStarted(
            call=call.ordinal, pid=identity.pid, start_ticks=identity.start_ticks, boot_id=identity.boot_id
        )
        yield Happened(started, None, _ACTOR)

    def _spec(self, state: core.Run, call: core.Call, name: str) -> ProcessSpec:
        world = self._world
        wanted = self._wanted(state, call)
        path = world.payload_file(name)
        folders = {"artifacts": world.artifacts, "state": world.state, "payload_file": path}
        payload = None
        if wanted.payload_file:
            payload = msgspec.json.encode(msgspec.json.decode(self.payload)["payload"])
            world.files.write(path, payload)
            self._payload_files.append(path)
        told = bundle.task_variables(
            state, call.repeats or call.ordinal, name=world.config.runtime_name, folders=folders, payload=payload
        )
        env = bundle.child_environment(wanted, world.config, world.environment.all(), told, self.own_env)
        stdin = world.log.blob(state.task, wanted.stdin) if wanted.stdin is not None else b""
        if wanted.prompt_file:
            world.files.write(wanted.prompt_file, state.prompt)
            self._payload_files.append(wanted.prompt_file)
        if wanted.last_message_file:
            world.files.remove(wanted.last_message_file)
            self._payload_files.append(wanted.last_message_file)
        if self._is_codex(wanted) and (own := env.get("CODEX_HOME")):  # codex does not begin without it
            with contextlib.suppress(OSError):  # which the program then says itself
                world.files.make_folder(below(wanted.cwd, own))
        return ProcessSpec(
            call=name, argv=wanted.argv, cwd=wanted.cwd, env=env, stdin=stdin, hold_stdin=wanted.hold_stdin
        )

    def _is_codex(self, wanted: CallInput) -> bool:
        adapter = self._world.config.adapters.get(wanted.adapter)
        return adapter is not None and adapter.kind == "codex"

    def _wanted(self, state: core.Run, call: core.Call) -> CallInput:
        return self.call or msgspec.json.decode(self._world.log.blob(state.task, call.input), type=CallInput)

    def ask(self, state: core.Run, mind: Mind, question: Question) -> Iterator[Happened]:
        """Put a question to its controller; what came of it at once, where it could not even be asked."""
        request = self._world.log.blob(state.task, question.request)
        setup, controller = mind.setup, mind.asked
        if controller.kind == "openai":
            self._open[question.ask] = ModelAsk(
                self._world,
                question,
                controller,
                shown=setup.program == "chat" and question.purpose == "decision",
                salt=self.salt,
                request=request,
                changed=self._changed,
            )
            return
        name = marker(state.run, question.ask)
        wanted = CallInput(
            argv=controller.argv, cwd=setup.cwd, adapter="", inherit_env=(), adapter_env=(), payload_file=False
        )
        told = bundle.task_variables(
            state, question.ask, name=self._world.config.runtime_name, folders={}, payload=None
        )
        env = bundle.child_environment(wanted, self._world.config, self._world.environment.all(), told)
        now_s = self._world.clock.monotonic_s()
        try:
            spec = ProcessSpec(call=name, argv=wanted.argv, cwd=wanted.cwd, env=env, stdin=request)
            self._world.processes.spawn(spec, self._changed)
        except NotStarted as problem:
            yield answered(self._world, question, cause=problem.cause, answer=str(problem).encode(), since_s=now_s)
            return
        deadline_s = controller.deadline_us / 1_000_000
        self._open[question.ask] = ProcessAsk(self._world, question, marker=name, deadline_s=deadline_s)

    def collect(self, now_s: float) -> list[Happened]:
        """What happened."""
        happened: list[Happened] = []
        for each in [each for each in self._open.values() if not each.over]:
            happened += self._with_answer(each, each.collect(now_s))
            if each.over:  # before its end is durable: after that nobody would look for it
                self._world.files.remove(self._world.payload_file(marker(self._run, each.ordinal)))
        return happened

    def _with_answer(self, each: Open, happened: list[Happened]) -> list[Happened]:
        """What a coding agent left in its file belongs before its exit, which it decides on."""
        if not isinstance(each, OpenCall) or not each.over or not each.last_message_file:
            return happened
        content = self._world.files.read(each.last_message_file)
        text = None if content is None else self._world.secrets.text(content.decode("utf-8", "replace"))
        kept = None if text is None else text.encode("utf-8", "replace")[-ANSWER_BYTES_MAX:]
        fact = AnswerRead(call=each.ordinal, text=None if kept is None else text_of(kept))
        texts = {} if kept is None else {"text": kept}
        return [*happened[:-1], Happened(fact, None, _ACTOR, texts), happened[-1]]

    def due_s(self) -> list[float]:
        """When something is to be collected though nothing changed."""
        return [due_s for each in self._open.values() if not each.over and (due_s := each.due_s()) is not None]

    async def clear(self) -> None:
        """Leave nothing behind: also when the run was ended by another hand, or its drive broke."""
        for each in self._open.values():
            if not each.over:
                each.end(0)
        for each in self._open.values():
            until_s = self._world.clock.monotonic_s() + 2 * KILL_S_MAX + 1
            while not each.over and self._world.clock.monotonic_s() < until_s:
                each.collect(self._world.clock.monotonic_s())
                await asyncio.sleep(0.01)
            each.release()
        for path in self._payload_files:
            self._world.files.remove(path)
