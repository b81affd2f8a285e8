"""The log in memory: for tests, the simulator and dry runs. The same promises as the SQLite log, but for the disk."""

from collections import Counter
from collections.abc import Iterator, Sequence

from adapters.codec import Codec, Row
from adapters.log_append import with_what_follows
from adapters.log_schema import GENESIS, link
from domain import errors
from domain.bounds import BLOB_BYTES_MAX
from domain.events import Put, Recorded, TaskClaimed, TaskEdited, TaskPrioritized, TaskQueued, Text, hydrated
from domain.ids import DISPATCH, output_stream, text_of
from domain.ports import Appended, Follower, Head, Running, Waiting, Work
from domain.stream_index import Noun
from domain.stream_index import change as noun_change
from domain.task import CLAIMABLE, IndexChange, Status, Task, fold, index_change

_IN_TURN = CLAIMABLE | {Status.RUNNING, Status.WAITING_FOR_APPROVAL}


class MemoryLog:
    """Rows in a list. What is kept across a `close` is what a disk would keep."""

    def __init__(self, codec: Codec | None = None) -> None:
        self._codec = codec or Codec()
        self.rows: list[Row] = []
        self._hash = GENESIS
        self._streams: dict[str, list[int]] = {}  # positions
        self._bodies: dict[int, bytes] = {}
        self._blobs: dict[tuple[str, str], bytes] = {}
        self._salts: dict[str, bytes] = {}
        self._tasks: dict[str, tuple[int, int, IndexChange]] = {}  # priority, queued, state
        self._runs: dict[str, tuple[str, int]] = {}  # task, claimed
        self._about: dict[str, tuple[str, str, str]] = {}  # thread, profile, parent run
        self._due: set[str] = set()  # what a work found due: no longer waited for
        self._nouns: dict[str, tuple[str, Noun]] = {}
        self._follower: Follower | None = None
        self._inside = False
        self._seen = -1

    def followed_by(self, follower: Follower) -> None:
        """See domain.ports.Log."""
        self._follower = follower

    def append(self, works: Sequence[Work]) -> list[Appended | Exception]:
        """See domain.ports.Log."""
        return [self._append(work) for work in works]

    def _append(self, work: Work) -> Appended | Exception:
        self._inside = True
        try:
            put = work if isinstance(work, Put) else work(self)
            if put is None:
                return ()
            own = len(put.events)
            if self._follower is not None and self._follower.wants(put):
                put = with_what_follows(put, self._follower.follow(self, put))
            self._check(put)
            encoded = [self._codec.encode(event) for event in put.events]
        except Exception as problem:  # noqa: BLE001  # the caller's own error; the others' works go on
            return problem
        finally:
            self._inside = False
        first = len(self.rows) + 1
        for event, (name, state) in zip(put.events, encoded, strict=True):
            self._store(event, name, state)
        for blob in put.blobs:
            self._blobs.setdefault((blob.scope, text_of(blob.content).sha256), blob.content)
        for stream, salt in put.salts.items():
            self._salts.setdefault(stream, salt)
        return range(first, first + own)

    def _check(self, put: Put) -> None:
        expected = dict(put.fence)
        after: dict[str, int] = {}
        for event in put.events:
            if event.stream not in after:
                expected[event.stream] = event.version - 1
            assert event.version == after.get(event.stream, event.version - 1) + 1, (
                "versions of a put follow each other"
            )
            after[event.stream] = event.version
        for stream, version in expected.items():
            if self.version(stream) != version:
                raise errors.StreamConflict(stream=stream[:8], found=self.version(stream), expected=version)
        for blob in put.blobs:
            if len(blob.content) > BLOB_BYTES_MAX:
                raise errors.Invalid(where="text", why=f"{len(blob.content)} bytes; at most {BLOB_BYTES_MAX}")

    def _store(self, event: Recorded, name: str, state: bytes) -> None:
        position = len(self.rows) + 1
        cause = event.caused_by if event.caused_by >= 0 else position + event.caused_by
        self._hash = link(self._hash, position, event.stream, event.version, name, cause, state)
        self.rows.append(Row(position, event.stream, event.version, name, cause, state))
        self._streams.setdefault(event.stream, []).append(position)
        if event.body is not None:
            self._bodies[position] = event.body
        data = event.data
        if isinstance(data, TaskPrioritized):
            self._tasks[event.stream] = (data.priority, *self._tasks[event.stream][1:])
        if isinstance(data, TaskEdited):
            thread, _, parent = self._about[event.stream]
            self._about[event.stream] = (thread, data.profile, parent)
        if (change := index_change(data)) is not None:
            if isinstance(data, TaskQueued):
                self._about[event.stream] = (data.thread, data.profile, data.parent_run)
            known = (data.priority, position) if isinstance(data, TaskQueued) else self._tasks[event.stream][:2]
            self._tasks[event.stream] = (*known, change)
            self._due.discard(event.stream)
        if (noun := noun_change(data)) is not None and (noun.kind or event.stream in self._nouns):
            its, began = self._nouns.get(event.stream, (noun.kind, Noun(event.stream, noun.name, "", 0)))
            self._nouns[event.stream] = (its, Noun(event.stream, began.name, noun.status, noun.due_us))
        if isinstance(data, TaskClaimed) and not data.resumed:
            self._runs[data.run] = (event.stream, position)

    def _decoded(self, position: int, *, body: bool = False) -> Recorded:
        event = self._codec.decode(self.rows[position - 1], self._bodies.get(position) if body else None)
        return hydrated(event, lambda scope, text: self._blobs.get((scope, text.sha256)))

    def stream(self, stream: str, after: int = 0) -> list[Recorded]:
        """See domain.ports.LogView."""
        return [self._decoded(position) for position in self._streams.get(stream, [])[after:]]

    def version(self, stream: str) -> int:
        """See domain.ports.LogView."""
        return len(self._streams.get(stream, []))

    def task(self, task: str) -> Task | None:
        """See domain.ports.LogView."""
        return fold(self.stream(task))

    def blob(self, scope: str, text: Text) -> bytes:
        """See domain.ports.LogView."""
        try:
            return self._blobs[scope, text.sha256]
        except KeyError:
            raise errors.BlobNotFound(sha256=text.sha256[:12], scope=scope[:8]) from None

    def paused(self) -> bool:
        """See domain.ports.LogView."""
        events = self._streams.get(DISPATCH, [])
        return bool(events) and self.rows[events[-1] - 1].topic.startswith("dispatcher.paused.")

    def ready(self, now_us: int, limit: int, full: Sequence[str] = ()) -> list[str]:
        """See domain.ports.LogView."""
        due = [
            (-priority, not state.run, queued, task)
            for task, (priority, queued, state) in self._tasks.items()
            if state.status in CLAIMABLE
            and state.due_at_us <= now_us
            and self._about[task][1] not in {*full} - {""}
            and self._is_its_turn(task, queued)
        ]
        if self._inside:
            self._due.update(task for *_, task in due)
        return [task for *_, task in sorted(due)[:limit]]

    def _is_its_turn(self, task: str, queued: int) -> bool:
        thread = self._about[task][0]
        return not thread or not any(
            self._about[other][0] == thread and at < queued and state.status in _IN_TURN
            for other, (_, at, state) in self._tasks.items()
        )

    def running_profiles(self) -> dict[str, int]:
        """See domain.ports.LogView."""
        running = [
            self._about[task][1] for task, (_, _, state) in self._tasks.items() if state.status is Status.RUNNING
        ]
        return dict(Counter(running))

    def children(self, run: str) -> list[str]:
        """See domain.ports.LogView."""
        return [task for task, (_, _, parent) in self._about.items() if parent == run]

    def due(self, kind: str, now_us: int, limit: int) -> list[str]:
        """See domain.ports.LogView."""
        found = [
            (each.due_us, at, each.stream)
            for at, (its, each) in enumerate(self._nouns.values())
            if its == kind and 0 < each.due_us <= now_us
        ]
        return [stream for _, _, stream in sorted(found)[:limit]]

    def nouns(self, kind: str, status: str = "") -> list[Noun]:
        """See domain.ports.LogView."""
        return [each for its, each in self._nouns.values() if its == kind and status in ("", each.status)]

    def has(self, kind: str) -> bool:
        """See domain.ports.LogView."""
        return any(its == kind for its, _ in self._nouns.values())

    def settle(self, stream: str) -> None:
        """See domain.ports.LogView."""
        if self._inside and stream in self._nouns:
            kind, each = self._nouns[stream]
            self._nouns[stream] = (kind, Noun(each.stream, each.name, each.status, 0))

    def threads(self) -> list[str]:
        """See domain.ports.LogView."""
        return list(dict.fromkeys(thread for thread, _, _ in self._about.values() if thread))

    def head(self) -> Head:
        """See domain.ports.Log."""
        return Head(len(self.rows), self._hash.hex() if self.rows else "")

    def read(self, after: int, limit: int, upto: int | None = None) -> list[Recorded]:
        """See domain.ports.Log."""
        last = len(self.rows) if upto is None else min(upto, len(self.rows))
        return [self._decoded(position) for position in range(after + 1, min(last, after + limit) + 1)]

    def run_events(self, run: str, *, bodies: bool, after: int = 0) -> Iterator[Recorded]:
        """See domain.ports.Log."""
        if run not in self._runs:
            raise errors.IdNotFound(what="run", given=run)
        task, claimed = self._runs[run]
        upto = min((at for other, at in self._runs.values() if other == task and at > claimed), default=1 << 62)
        mine = [position for position in self._streams[task] if claimed <= position < upto]
        for stream in (run, output_stream(run)):
            mine += self._streams.get(stream, [])
        return (self._decoded(position, body=bodies) for position in sorted(mine) if position > after)

    def output(self, run: str, after: int = 0, limit: int = 64) -> list[Recorded]:
        """See domain.ports.Log."""
        positions = self._streams.get(output_stream(run), [])[after : after + limit]
        return [self._decoded(position, body=True) for position in positions]

    def salt(self, run: str) -> bytes:
        """See domain.ports.Log."""
        return self._salts.get(output_stream(run), b"")

    def running(self) -> list[Running]:
        """See domain.ports.Log."""
        claimed = sorted(
            (queued, task, state) for task, (_, queued, state) in self._tasks.items() if state.status is Status.RUNNING
        )
        return [Running(task, state.run, state.dispatcher) for _, task, state in claimed]

    def waiting(self) -> list[Waiting]:
        """See domain.ports.Log."""
        parked = sorted(
            (queued, task, state)
            for task, (_, queued, state) in self._tasks.items()
            if state.status in (Status.WAITING_FOR_APPROVAL, Status.BLOCKED) and state.run
        )
        return [Waiting(task, state.run, state.due_at_us) for _, task, state in parked]

    def next_due_us(self) -> int | None:
        """See domain.ports.Log."""
        waiting = (
            state.due_at_us
            for task, (_, _, state) in self._tasks.items()
            if state.status in CLAIMABLE and state.due_at_us and task not in self._due
        )
        return min(waiting, default=None)

    def touched(self, after: int) -> tuple[int, set[str]]:
        """See domain.ports.Log."""
        return len(self.rows), {row.stream for row in self.rows[after:]}

    def changed(self) -> bool:
        """See domain.ports.Log."""
        moved, self._seen = len(self.rows) != self._seen, len(self.rows)
        return moved

    def idle(self) -> None:
        """See domain.ports.Log."""

    def close(self) -> None:
        """See domain.ports.Log."""
