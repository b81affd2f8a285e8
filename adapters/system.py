"""The small sources of nondeterminism: clock, ids, environment, files, and who is alive. Each with its fake."""

import fcntl
import os
import struct
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from domain import errors


class SystemClock:
    """See domain.ports.Clock."""

    def now_us(self) -> int:
        """See domain.ports.Clock."""
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        """See domain.ports.Clock."""
        return time.monotonic()


_TICK_NS = 50_000
_TICKS = 1 << 32  # two and a half days: then the first digits come round again
_VERSION = bytes(0x80 | byte & 0x0F for byte in range(256))
_VARIANT = bytes(0x80 | byte & 0x3F for byte in range(256))


class OrderedIds:
    """See domain.ports.Ids. Ids made one after the other lie side by side in an index, yet few digits tell them apart.

    A UUIDv8 (RFC 9562, 5.8): 32 bits that count ticks of 50 µs, and 90 random ones. A UUIDv7 spends 48 bits on its
    time, of which the first 32 stay the same for a minute. Thread-safe; within a process no two share a tick.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def new(self) -> str:
        """See domain.ports.Ids."""
        return self.many(1)[0]

    def many(self, count: int) -> list[str]:
        """See domain.ports.Ids."""
        with self._lock:
            first = max(self._last + 1, time.time_ns() // _TICK_NS)
            self._last = first + count - 1
        ticks = struct.pack(f">{count}I", *(tick % _TICKS for tick in range(first, first + count)))
        ids = bytearray(os.urandom(16 * count))
        for byte in range(4):
            ids[byte::16] = ticks[byte::4]
        ids[6::16] = ids[6::16].translate(_VERSION)
        ids[8::16] = ids[8::16].translate(_VARIANT)
        digits = ids.hex()
        return [digits[at : at + 32] for at in range(0, len(digits), 32)]

    def salt(self) -> bytes:
        """See domain.ports.Ids."""
        return os.urandom(16)


class CountedIds:
    """Ids that count: for tests and the simulator. Valid UUIDs all the same."""

    def __init__(self, first: int = 1) -> None:
        self._next = first

    def new(self) -> str:
        """See domain.ports.Ids."""
        number, self._next = self._next, self._next + 1
        return uuid.UUID(int=(number << 96) | number, version=4).hex

    def many(self, count: int) -> list[str]:
        """See domain.ports.Ids."""
        return [self.new() for _ in range(count)]

    def salt(self) -> bytes:
        """See domain.ports.Ids."""
        return bytes.fromhex(self.new())


class SystemEnvironment:
    """See domain.ports.Environment. Read once: going through `os.environ` decodes every variable every time."""

    def __init__(self) -> None:
        self._variables = dict(os.environ)

    def all(self) -> Mapping[str, str]:
        """See domain.ports.Environment."""
        return self._variables


class FixedEnvironment:
    """Variables as given."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)

    def all(self) -> Mapping[str, str]:
        """See domain.ports.Environment."""
        return self._variables


class DiskFiles:
    """See domain.ports.Files."""

    def read(self, path: str) -> bytes | None:
        """See domain.ports.Files."""
        try:
            return Path(path).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, path: str, content: bytes) -> None:
        """See domain.ports.Files."""
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as problem:
            raise errors.StoreFull(path=path, why=str(problem.strerror)) from None
        beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.new")
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove(self, path: str) -> None:
        """See domain.ports.Files."""
        Path(path).unlink(missing_ok=True)

    def make_folder(self, path: str) -> None:
        """See domain.ports.Files."""
        Path(path).mkdir(parents=True, exist_ok=True, mode=0o700)


class MemoryFiles:
    """Files in a dict."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def read(self, path: str) -> bytes | None:
        """See domain.ports.Files."""
        return self._files.get(path)

    def write(self, path: str, content: bytes) -> None:
        """See domain.ports.Files."""
        self._files[path] = content

    def remove(self, path: str) -> None:
        """See domain.ports.Files."""
        self._files.pop(path, None)

    def make_folder(self, path: str) -> None:
        """See domain.ports.Files."""


class FileLocks:
    """See domain.ports.Liveness: a lock file a dispatcher, held by an open descriptor; the kernel drops it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}
        self._duties: dict[tuple[str, str], int] = {}

    def hold(self, dispatcher: str) -> None:
        """See domain.ports.Liveness."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._folder / f"{dispatcher}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._held[dispatcher] = descriptor

    def drop(self, dispatcher: str) -> None:
        """See domain.ports.Liveness."""
        (self._folder / f"{dispatcher}.lock").unlink(missing_ok=True)
        os.close(self._held.pop(dispatcher))
        for each in [each for each in self._duties if each[0] == dispatcher]:
            os.close(self._duties.pop(each))

    def alive(self, dispatcher: str) -> bool:
        """See domain.ports.Liveness."""
        if dispatcher in self._held:
            return True
        path = self._folder / f"{dispatcher}.lock"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(descriptor)

    def bury(self, dispatcher: str) -> None:
        """See domain.ports.Liveness."""
        (self._folder / f"{dispatcher}.lock").unlink(missing_ok=True)

    def on_duty(self, dispatcher: str, duty: str) -> bool:
        """See domain.ports.Liveness. The file of a duty stays: a lock on a removed file would keep nobody out."""
        if (dispatcher, duty) in self._duties:
            return True
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._folder / f"{duty}.duty", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._duties[dispatcher, duty] = descriptor
        return True


class MemoryLocks:
    """Locks of a world of simulated dispatchers; `die` is what the kernel does."""

    def __init__(self, holders: set[str] | None = None, duties: dict[str, str] | None = None) -> None:
        self.holders: set[str] = set() if holders is None else holders
        self.duties: dict[str, str] = {} if duties is None else duties  # duty -> who has it

    def hold(self, dispatcher: str) -> None:
        """See domain.ports.Liveness."""
        self.holders.add(dispatcher)

    def drop(self, dispatcher: str) -> None:
        """See domain.ports.Liveness."""
        self.holders.discard(dispatcher)
        self.duties.update({duty: "" for duty, holder in self.duties.items() if holder == dispatcher})

    def alive(self, dispatcher: str) -> bool:
        """See domain.ports.Liveness."""
        return dispatcher in self.holders

    def bury(self, dispatcher: str) -> None:
        """See domain.ports.Liveness."""
        self.holders.discard(dispatcher)

    def on_duty(self, dispatcher: str, duty: str) -> bool:
        """See domain.ports.Liveness."""
        if not self.duties.get(duty):
            self.duties[duty] = dispatcher
        return self.duties[duty] == dispatcher
