"""Replay finds each kind of difference at the right place, and touches nothing of the world while it looks."""

import asyncio
import builtins
import io
import json
import multiprocessing
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest

from adapters import transfer
from commands import goldens
from domain import ending, errors, one_shot
from domain import run as core
from domain.events import Consequence, OutputAppended, Recorded, Text, ToolExited
from domain.payload import Window
from replays import golden
from replays.replay import Difference, replay
from tests.replays.recorded import GOLDEN, golden_names, load

ROOT = Path(__file__).resolve().parents[2]
NAMES = golden_names()
LOADED = {name: load(name) for name in NAMES}


def _each_consequence() -> Iterator[tuple[str, int]]:
    for name, (events, _) in LOADED.items():
        yield from ((name, at) for at, event in enumerate(events) if isinstance(event.data, Consequence))


CONSEQUENCES = list(_each_consequence())


def _edited(name: str, at: int, **fields: object) -> list[Recorded]:
    events = list(LOADED[name][0])
    data = msgspec.structs.replace(events[at].data, **fields)
    events[at] = msgspec.structs.replace(events[at], data=data)
    return events


def _difference(name: str, events: list[Recorded]) -> Difference:
    found = replay(events, LOADED[name][1]).difference
    assert found is not None
    return found


def test_there_are_golden_runs_of_every_kind() -> None:
    assert {"success", "retry", "canceled", "lost", "timeout"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_run_is_identical(name: str) -> None:
    events, salt = LOADED[name]
    found = replay(events, salt)
    assert found.difference is None
    assert found.events == len(events)
    assert found.consequences == sum(isinstance(event.data, Consequence) for event in events)
    assert found.output_bytes == sum(len(event.body or b"") for event in events)
    assert found.state != "running"


@pytest.mark.parametrize("name", NAMES)
def test_any_part_of_a_run_that_ends_with_its_consequences_is_identical(name: str) -> None:
    """A run that still goes on replays as well: its log is closed under `decide` after each put."""
    events, salt = LOADED[name]
    whole = [at for at in range(1, len(events)) if not isinstance(events[at].data, Consequence)]
    for at in whole:
        found = replay(events[:at], salt)
        assert found.difference is None, at
    assert replay(events[:1]).state == "running"


def _other(value: object) -> object:  # noqa: PLR0911  # one return a type
    match value:
        case None:
            return Text("0" * 64, 1)
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return f"{value}!"
        case tuple():
            return value[1:] if value else ("!",)
        case Window():
            return msgspec.structs.replace(value, last=value.last + 1)
        case Text():
            return msgspec.structs.replace(value, sha256="0" * 64)
        case _:
            raise AssertionError(value)


@pytest.mark.parametrize(("name", "at"), CONSEQUENCES)
def test_each_field_of_each_consequence_is_compared(name: str, at: int) -> None:
    event = LOADED[name][0][at]
    for field in event.data.__struct_fields__:
        was = getattr(event.data, field)
        found = _difference(name, _edited(name, at, **{field: _other(was)}))
        assert (found.kind, found.position, found.field) == ("field", event.position, field)
        assert found.event == event.data.__struct_config__.tag
        assert found.recorded != found.today
        assert 0 < found.fact_position < event.position


@pytest.mark.parametrize(("name", "at"), CONSEQUENCES)
def test_a_consequence_on_another_stream_is_found(name: str, at: int) -> None:
    events = list(LOADED[name][0])
    events[at] = msgspec.structs.replace(events[at], stream="f" * 32)
    found = _difference(name, events)
    assert (found.kind, found.field, found.recorded) == ("field", "stream", "f" * 32)
    assert found.position == events[at].position


@pytest.mark.parametrize(("name", "at"), CONSEQUENCES)
def test_another_event_in_its_place_is_found(name: str, at: int) -> None:
    events = list(LOADED[name][0])
    other = next(
        event.data
        for all_events, _ in LOADED.values()
        for event in all_events
        if isinstance(event.data, Consequence) and type(event.data) is not type(events[at].data)
    )
    events[at] = msgspec.structs.replace(events[at], data=other)
    found = _difference(name, events)
    assert (found.kind, found.position) == ("event", events[at].position)


@pytest.mark.parametrize(("name", "at"), CONSEQUENCES)
def test_a_missing_consequence_is_found_where_the_next_event_lies(name: str, at: int) -> None:
    events = list(LOADED[name][0])
    gone = events.pop(at)
    found = _difference(name, events)
    following = events[at] if at < len(events) else None
    if following is not None and isinstance(following.data, Consequence):
        alike = type(gone.data) is type(following.data)  # of two calls that are refused in a row, the other one is met
        assert (found.kind, found.position) == ("field" if alike else "event", following.position)
    else:
        assert found.kind == "missing"
        assert found.event == gone.data.__struct_config__.tag
        assert found.recorded is None
        assert found.position == (following.position if following else events[-1].position)


@pytest.mark.parametrize(("name", "at"), CONSEQUENCES)
def test_a_surplus_consequence_is_found(name: str, at: int) -> None:
    events = list(LOADED[name][0])
    events.insert(at + 1, events[at])
    found = _difference(name, events)
    alike = at + 2 < len(events) and type(events[at + 2].data) is type(events[at].data)
    assert found.kind in (("field",) if alike else ("surplus", "event"))
    if found.kind == "surplus":
        assert found.today is None
    assert found.position in (events[at].position, events[at + 1].position)


@pytest.mark.parametrize("name", [name for name in NAMES if any(event.body for event in LOADED[name][0])])
def test_changed_output_is_found_by_its_digest(name: str) -> None:
    events, salt = list(LOADED[name][0]), LOADED[name][1]
    at = next(at for at, event in enumerate(events) if event.body)
    events[at] = msgspec.structs.replace(events[at], body=(events[at].body or b"") + b"!")
    found = _difference(name, events)
    assert (found.kind, found.field, found.position) == ("digest", "digest", events[at].position)
    assert replay(LOADED[name][0], salt + b"x").difference is not None, "the salt is part of it"
    events[at] = msgspec.structs.replace(events[at], body=None)
    if name in ("success", "retry", "timeout", "canceled", "lost"):  # nothing was decided on what they printed
        assert replay(events, salt).difference is None, "erased output is no difference where nothing rests on it"


@pytest.mark.parametrize("name", NAMES)
def test_a_fact_that_the_core_cannot_take_is_a_difference_and_no_crash(name: str) -> None:
    events = list(LOADED[name][0])
    ends = (at for at, event in enumerate(events) if isinstance(event.data, ToolExited))
    exited = next(ends, 2)  # where nothing exited: right after the start
    stray = ToolExited(call=99, duration_us=1, exit_code=0)
    fact = msgspec.structs.replace(events[exited], data=stray, body=None, stream=events[-2].stream)
    found = _difference(name, [*events[:exited], fact, *events[exited:]])
    assert found.position == fact.position
    assert found.kind in ("error", "missing")


def test_a_changed_fact_changes_what_follows() -> None:
    events = list(LOADED["success"][0])
    at = next(at for at, event in enumerate(events) if isinstance(event.data, ToolExited))
    events = _edited("success", at, exit_code=64)
    found = _difference("success", events)
    assert (found.kind, found.field, found.recorded, found.today) == ("field", "state", "completed", "failed")
    assert (found.fact, found.fact_position) == (found.fact, events[at].position)
    assert "exit_code=64" in found.fact


def test_the_difference_reads_as_a_paragraph() -> None:
    name, at = next((name, at) for name, at in CONSEQUENCES if name == "success" and at > 3)
    text = str(_difference(name, _edited(name, at, cause="forged")))
    assert text.splitlines()[0].startswith(f"first difference at position {LOADED[name][0][at].position}: ")
    words = [line.split()[0] for line in text.splitlines()[1:]]
    assert words[:3] == ["recorded", "today", "derived"]
    assert words[3:-1] == ["with"] * (len(words) - 4)
    assert text.splitlines()[-1] == "  cause     code changed"
    assert "state before: running" in text


def test_nothing_replays_as_nothing() -> None:
    found = replay([])
    assert (found.run, found.events, found.state, found.difference) == ("", 0, "", None)


# code that decides otherwise


def test_a_core_that_decides_otherwise_diverges(monkeypatch: pytest.MonkeyPatch) -> None:
    right = one_shot.decide

    def always_completed(run: core.Run, fact: Any, texts: Any) -> one_shot.Decided:  # noqa: ANN401  # any fact
        decided = right(run, fact, texts)
        return ending.Ending(state="completed") if isinstance(decided, ending.Ending) else decided

    monkeypatch.setattr(one_shot, "decide", always_completed)
    verdicts = {name: replay(events, salt).difference for name, (events, salt) in LOADED.items()}
    assert verdicts["success"] is None
    for name in ("retry", "timeout", "canceled", "lost"):
        found = verdicts[name]
        assert found is not None
        assert (found.kind, found.event, found.field, found.today) == ("field", "run.finished", "state", "completed")


def test_another_backoff_diverges_with_exit_4(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = ending.backoff_us
    monkeypatch.setattr(ending, "backoff_us", lambda state: right(state) + 1)
    with pytest.raises(errors.Diverged) as caught:
        goldens.check(GOLDEN)
    assert caught.value.exit == 4
    told = capsys.readouterr().out
    assert "field backoff_us" in told
    assert "diverged: retry" in told
    assert "diverged: success" not in told


def test_code_that_breaks_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr(one_shot, "_exited", broken)
    found = replay(*LOADED["success"]).difference
    assert found is not None
    assert (found.kind, found.event) == ("error", "run.tool_exited")
    assert "ZeroDivisionError" in (found.today or "")


# the world is left alone


def _touched(*_: object, **__: object) -> NoReturn:
    raise AssertionError("replay touched the world")  # noqa: TRY003


class _Untouchable:
    """Something that must not even be looked at."""

    __getitem__ = __contains__ = __iter__ = __len__ = get = copy = _touched


WORLD: list[tuple[Any, str]] = [
    (socket, "socket"),
    (socket, "create_connection"),
    (subprocess, "Popen"),
    (multiprocessing, "Process"),
    (os, "fork"),
    (os, "posix_spawn"),
    (os, "system"),
    (os, "open"),
    (os, "getenv"),
    (os, "urandom"),
    (os, "replace"),
    (os, "unlink"),
    (os, "mkdir"),
    (io, "open"),
    (builtins, "open"),
    (time, "time"),
    (time, "time_ns"),
    (time, "monotonic"),
    (time, "monotonic_ns"),
    (time, "perf_counter"),
    (time, "sleep"),
    (time, "localtime"),
    (random, "random"),
    (random, "randint"),
    (random, "choice"),
    (secrets, "token_bytes"),
    (uuid, "uuid1"),
    (uuid, "uuid4"),
    (threading.Thread, "start"),
    (asyncio, "run"),
    (shutil, "copyfile"),
]


def _in_a_world_that_raises(work: Callable[[], Any]) -> Any:  # noqa: ANN401  # what the work answers
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in WORLD:
            patch.setattr(owner, name, _touched)
        patch.setattr(os, "environ", _Untouchable())
        return work()


@pytest.mark.parametrize("name", NAMES)
def test_replay_touches_nothing(name: str) -> None:
    events, salt = LOADED[name]
    found = _in_a_world_that_raises(lambda: replay(events, salt))
    assert found.difference is None
    changed = [event for event in events if not isinstance(event.data, Consequence)]
    found = _in_a_world_that_raises(lambda: replay(changed, salt))
    assert found.difference is not None, "a missing effect is a difference and never a live call"


@pytest.mark.parametrize("name", NAMES)
def test_checking_a_golden_log_touches_nothing_but_its_lines(name: str) -> None:
    lines = (GOLDEN / name / "log.jsonl").read_bytes().splitlines(keepends=True)
    found = _in_a_world_that_raises(lambda: golden.check(lines, name))
    assert found.result.difference is None


@pytest.mark.parametrize(
    "touch",
    [
        lambda: socket.socket(socket.AF_INET),
        lambda: subprocess.run(["true"], check=False),
        lambda: os.environ["PATH"],
        lambda: time.time() + 1,
        lambda: uuid.uuid4().hex,
        lambda: threading.Thread().start(),
        lambda: Path("/nowhere").open(),  # noqa: SIM115
    ],
)
def test_the_guard_would_notice(touch: Callable[[], object]) -> None:
    with pytest.raises(AssertionError, match="touched the world"):
        _in_a_world_that_raises(touch)


def test_hash_seed_and_time_zone_change_no_verdict() -> None:
    told = set()
    for seed, zone in (("0", "UTC"), ("4711", "Pacific/Kiritimati"), ("1", "America/St_Johns")):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "rt_runtime", "golden", "check", str(GOLDEN), "--json"],
            capture_output=True,
            check=False,
            env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed, "TZ": zone, "PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0, done
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        told.add(json.dumps([{name: value for name, value in line.items() if name != "took_s"} for line in lines]))
    assert len(told) == 1


# golden logs


def _entries(name: str) -> tuple[str, list[transfer.Entry]]:
    with (GOLDEN / name / "log.jsonl").open("rb") as file:
        header, found = transfer.decode(file, name)
        return header.run, list(found)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_log_is_written_as_it_was_read(name: str) -> None:
    run, entries = _entries(name)
    assert golden.encode(name, run, entries, failed=True) == (GOLDEN / name / "log.jsonl").read_bytes()


def test_a_run_that_still_goes_on_is_no_golden_log() -> None:
    run, entries = _entries("success")
    with pytest.raises(errors.GoldenRefused, match="has not ended"):
        golden.encode("early", run, entries[:4])


def test_a_run_that_does_not_replay_is_no_golden_log() -> None:
    run, entries = _entries("success")
    with pytest.raises(errors.GoldenRefused, match="does not replay"):
        golden.encode("forged", run, entries[:-1])


def test_a_golden_log_without_its_texts_of_output_still_replays() -> None:
    run, entries = _entries("success")
    erased = [msgspec.structs.replace(entry, body=None) for entry in entries]
    assert golden.check(golden.encode("erased", run, erased).splitlines(), "erased").result.difference is None


def test_the_events_of_golden_logs_hold_no_output_inline() -> None:
    for events, _ in LOADED.values():
        for event in events:
            if isinstance(event.data, OutputAppended) and event.body and len(event.body) > 8:
                assert event.body.decode("utf-8", "replace").strip() not in json.dumps(msgspec.to_builtins(event.data))
