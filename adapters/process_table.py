"""The kernel's process table, read from /proc: who is whose child, in which session, with which marker."""

import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

MARKER = b"RT_CALL="


class Entry(NamedTuple):
    """A process; pid and start time (ticks since boot) together are never reused."""

    pid: int
    parent: int
    session: int
    start: int
    zombie: bool


def boot_id() -> str:
    """What tells one boot of this machine from another."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def entry(pid: int) -> Entry | None:
    """One process, None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123  # read for every process: the plain call
            fields = file.read(1024).rpartition(b")")[2].split()
    except OSError:
        return None
    return Entry(pid, int(fields[1]), int(fields[3]), int(fields[19]), fields[0] in (b"Z", b"X"))


def pids() -> list[int]:
    """Every process that can be seen."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208  # names only


def children() -> set[int] | None:
    """The direct children of this process, None where the kernel does not tell.

    Complete as long as only the caller's thread reaps: a child stays in the list until then.
    """
    found: set[int] = set()
    try:
        for thread in os.listdir("/proc/self/task"):  # noqa: PTH208  # a child belongs to the thread that forked it
            with open(f"/proc/self/task/{thread}/children", "rb", buffering=0) as file:  # noqa: PTH123
                while part := file.read(64 * 1024):
                    found.update(map(int, part.split()))
    except FileNotFoundError:
        return None
    return found


def marker_of(pid: int) -> str:
    """The call that a process says it belongs to; empty when it says nothing or may not be asked."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:  # noqa: PTH123
            found = file.read(256 * 1024)
    except OSError:
        return ""
    for variable in found.split(b"\0"):
        if variable.startswith(MARKER):
            return variable[len(MARKER) :].decode("ascii", "replace")
    return ""


def send(target: Entry, number: signal.Signals) -> None:
    """Signal a process and nobody else: the descriptor is opened before the start time is compared."""
    try:
        descriptor = os.pidfd_open(target.pid)
    except OSError:  # gone
        return
    try:
        found = entry(target.pid)
        if found is not None and found.start == target.start:
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


class Snapshot:
    """The descendants of one process at one moment."""

    def __init__(self, entries: Iterable[Entry], root: int) -> None:
        self.children: dict[int, list[Entry]] = {}
        for found in entries:
            self.children.setdefault(found.parent, []).append(found)
        self.direct = self.children.get(root, [])
        self.all = self.below([root])

    def below(self, roots: Iterable[int]) -> list[Entry]:
        """The descendants of these processes, without themselves."""
        found: list[Entry] = []
        todo = list(roots)
        while todo:
            under = self.children.get(todo.pop(), [])
            found += under
            todo += [each.pid for each in under]
        return found


class Scanner:
    """Takes snapshots; between full scans it skips the processes that were seen not to be ours.

    A process that is not our descendant never becomes one, so only new pids are looked at.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._foreign: set[int] = set()
        self._looked_at: set[int] = set()

    def full(self) -> Snapshot:
        """Look at every process."""
        self._foreign.clear()
        snapshot = self.quick()
        ours = {each.pid for each in snapshot.all} | {self._root}
        self._foreign = {pid for pid in pids() if pid not in ours} & self._looked_at
        return snapshot

    def quick(self) -> Snapshot:
        """Look at processes that are new since the last full scan. Repeated while something vanishes underneath."""
        entries: list[Entry] = []
        for _ in range(3):
            entries = []
            vanished = False
            for pid in pids():
                if pid in self._foreign:
                    continue
                found = entry(pid)
                if found is None:
                    vanished = True
                else:
                    entries.append(found)
            if not vanished:
                break
        self._looked_at = {each.pid for each in entries}
        return Snapshot(entries, self._root)


def marked(calls: Mapping[str, object]) -> dict[str, list[Entry]]:
    """Every process of this machine that carries the marker of one of these calls."""
    found: dict[str, list[Entry]] = {}
    for pid in pids():
        marker = marker_of(pid)
        if marker in calls and (each := entry(pid)) is not None and not each.zombie:
            found.setdefault(marker, []).append(each)
    return found
