"""The end of the log, kept outside the database: what notices a tail that was lost."""

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from domain import errors
from domain.bounds import HEAD_RECORD_S
from domain.ports import Head


class HeadRecord:
    """`head.json`: a position that was acknowledged, with its chain hash.

    Written at most every 100 ms and when closed, so up to 100 ms of acknowledged events are not covered.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._pending: Head | None = None
        self._written_s = time.monotonic()  # short-lived commands write once, when they close

    def read(self) -> Head:
        """The recorded end; position 0 when there is no record. Raises TailLost for one that does not read."""
        try:
            found = json.loads(self._path.read_bytes())
            return Head(int(found["position"]), str(found["hash"]))
        except (FileNotFoundError, NotADirectoryError):
            return Head(0, "")
        except (ValueError, KeyError, TypeError) as problem:
            raise errors.TailLost(why=f"the head record {self._path} does not read: {problem}") from problem

    def check(self, recorded: Head, end: int, hash_at: Callable[[int], str]) -> None:
        """Compare a record, read before the log's end was, with the log. Raises TailLost. A log ahead is normal."""
        if end < recorded.position:
            raise errors.TailLost(why=f"the log ends at {end}, its head record says {recorded.position}")
        if recorded.position and hash_at(recorded.position) != recorded.hash:
            raise errors.TailLost(why=f"event {recorded.position} is not the one that was acknowledged")

    def advance(self, position: int, hash_hex: str) -> None:
        """Note the new end; it is written now or a little later."""
        with self._lock:
            self._pending = Head(position, hash_hex)
            if time.monotonic() - self._written_s >= HEAD_RECORD_S:
                self._write()

    def flush(self) -> None:
        """Write what is pending."""
        with self._lock:
            self._write()

    def replace(self, head: Head) -> None:
        """Set the record back after a loss that a person accepted."""
        with self._lock:
            self._pending = None
            self._store(head)

    def _write(self) -> None:
        head = self._pending
        if head is None:
            return
        self._written_s = time.monotonic()
        try:
            with Path(f"{self._path}.lock").open("a") as lock:  # several processes share one record
                fcntl.flock(lock, fcntl.LOCK_EX)
                if head.position > self.read().position:
                    self._store(head)
        except (OSError, errors.Corrupt):  # the commit stands; a record that lags covers less, and is tried again
            return
        self._pending = None

    def _store(self, head: Head) -> None:
        beside = Path(f"{self._path}.new")
        with beside.open("w") as file:
            json.dump({"position": head.position, "hash": head.hash}, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
