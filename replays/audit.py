"""Many replays: runs, workflows and schedules of one log, in parallel processes where there are many."""

import functools
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec

from adapters.log_read import ReadLog
from domain.config import Config
from replays.causes import Cause
from replays.nouns import replay_stream
from replays.replay import Replayed, replay
from replays.substitute import Substitution

RUN = "run"
_ALONE_S = 0.5  # so long is replayed here before there are more processes, which take a third of that to start
_CHUNK = 32


class Wanted(NamedTuple):
    """What is to be replayed: a run, or the stream of a workflow or schedule."""

    kind: str
    stream: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one replay found, and how long it took."""

    kind: str
    result: Replayed
    took_s: float

    @property
    def cause(self) -> Cause | None:
        """Why it differs; None where it does not."""
        return self.result.difference.cause if self.result.difference is not None else None


class Other(NamedTuple):
    """Other inputs: parts of the configuration to replay with, and the folder in which its paths begin."""

    parts: Mapping[str, Config]
    folder: str


def audit(folder: Path, wanted: Sequence[Wanted], other: Other | None = None, jobs: int = 0) -> Iterator[Verdict]:
    """Replay all of them, in order. `jobs` 0: as many processes as this one may use, once there is work for them."""
    alone_s = 0.0
    done = 0
    if not jobs or jobs == 1:
        for each in _replayed(folder, wanted, other):
            yield each
            done += 1
            alone_s += each.took_s
            if not jobs and alone_s > _ALONE_S:
                break
    rest = wanted[done:]
    chunks = [rest[at : at + _CHUNK] for at in range(0, len(rest), _CHUNK)]
    if not chunks:
        return
    processes = min(jobs or len(os.sched_getaffinity(0)), len(chunks))
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for found in pool.map(_chunk, [(folder, chunk, other) for chunk in chunks]):
            yield from found


def verdict(log: ReadLog, wanted: Wanted, other: Other | None = None) -> Verdict:
    """Replay one."""
    start_s = time.monotonic()
    if wanted.kind != RUN:
        result = replay_stream(wanted.kind, wanted.stream, log.stream(wanted.stream))
        return Verdict(kind=wanted.kind, result=result, took_s=time.monotonic() - start_s)
    changed = Substitution(other.parts, other.folder) if other is not None else None
    result = _run(log, wanted.stream, changed)
    if changed is not None and result.difference is not None and len(changed.changed) > 1:
        result = _narrowed(log, wanted.stream, changed, result)
    return Verdict(kind=RUN, result=result, took_s=time.monotonic() - start_s)


def by_cause(verdicts: Sequence[Verdict]) -> dict[Cause, int]:
    """How many differ, by cause, the most frequent first."""
    return dict(Counter(each.cause for each in verdicts if each.cause is not None).most_common())


def _run(log: ReadLog, run: str, changed: Substitution | None) -> Replayed:
    return replay(log.run_events(run, bodies=True), log.salt(run), changed)


def _narrowed(log: ReadLog, run: str, changed: Substitution, result: Replayed) -> Replayed:
    """The same with the first part that alone makes this difference, so that its cause is no guess."""
    for part in sorted(changed.changed):
        alone = _run(log, run, changed.alone(part))
        if (
            alone.difference is not None
            and result.difference is not None
            and alone.difference.position == result.difference.position
        ):
            return alone
    return result


def _replayed(folder: Path, wanted: Sequence[Wanted], other: Other | None) -> Iterator[Verdict]:
    log = ReadLog(folder)
    try:
        for each in wanted:
            yield verdict(log, each, other)
    finally:
        log.close()


def _chunk(given: tuple[Path, Sequence[Wanted], Other | None]) -> list[Verdict]:
    folder, wanted, other = given
    return [verdict(_opened(folder), each, other) for each in wanted]


@functools.cache
def _opened(folder: Path) -> ReadLog:
    """The log of a process of the pool, open until that ends: opening it takes longer than replaying a small chunk."""
    return ReadLog(folder)
