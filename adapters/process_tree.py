"""Which process belongs to which call: by descent as it was observed, by session, by marker, or by elimination.

Only descendants of the dispatcher are ever considered, and a process that could be another call's is left alone.
"""

import os
from collections.abc import Mapping, Sequence

from adapters import own_children
from adapters import process_table as table
from domain.ports import ProcessIdentity


class Call:
    """What is known of a call's tree."""

    def __init__(self, marker: str, pid: int, start: int) -> None:
        self.marker = marker
        self.pid = pid  # of the leader, which is also the id of its session
        self.start = start
        self.known: dict[int, int] = {pid: start}  # pid -> start time of every process seen in the tree
        self.sessions = {pid}


class Trees:
    """Answers from snapshots of the process table."""

    def __init__(self, scanner: table.Scanner) -> None:
        self._scanner = scanner
        self._snapshot = table.Snapshot((), 0)
        self._me = os.getpid()
        self.leaders: set[int] = set()  # children whose exit status somebody else reads

    def look(self) -> None:
        """Take a snapshot of what is new."""
        self._snapshot = self._scanner.quick()
        self._reap()

    def only_leaders(self) -> bool:
        """Whether the dispatcher has no other children than leaders: then nothing is left of a call whose leader ended.

        What outlives a leader is inherited by the dispatcher before the leader can be reaped.
        """
        children = table.children()
        return children is not None and children <= self.leaders | own_children.pids()

    def observe(self, live: Sequence[Call]) -> None:
        """Take a full snapshot and remember the trees, for the day when a parent is gone."""
        self._snapshot = self._scanner.full()
        self._reap()
        for call in live:
            self._attributed(call)

    def members(self, call: Call, live: Sequence[Call], *, fresh: bool = True) -> list[table.Entry]:
        """The living processes of a call. `live` are all calls that are not over, this one among them."""
        if fresh:
            self.look()
        mine = self._attributed(call)
        orphans = self._orphans(live)
        if orphans:
            mine += self._by_elimination(call, live, orphans, {each.pid for each in mine})
        return mine

    def _attributed(self, call: Call) -> list[table.Entry]:
        roots = [each.pid for each in self._snapshot.all if self._belongs(call, each)]
        below = self._snapshot.below(roots)
        found = {each.pid: each for each in self._snapshot.all if each.pid in roots}
        found.update({each.pid: each for each in below})
        alive = [each for each in found.values() if not each.zombie]
        for each in alive:
            call.known[each.pid] = each.start
            if each.session == each.pid:
                call.sessions.add(each.session)
        return alive

    @staticmethod
    def _belongs(call: Call, each: table.Entry) -> bool:
        return call.known.get(each.pid) == each.start or each.session in call.sessions

    def _orphans(self, live: Sequence[Call]) -> list[table.Entry]:
        """Children that the dispatcher inherited and that no observation attributes to a call."""
        ours = self.leaders | own_children.pids()
        return [
            each
            for each in self._snapshot.direct
            if not each.zombie and each.pid not in ours and not any(self._belongs(call, each) for call in live)
        ]

    def _by_elimination(
        self, call: Call, live: Sequence[Call], orphans: list[table.Entry], mine: set[int]
    ) -> list[table.Entry]:
        """Orphans that carry the call's marker, or that carry none and can be nobody else's."""
        found: list[table.Entry] = []
        for each in orphans:
            if each.pid in mine:
                continue
            marker = table.marker_of(each.pid)
            others = any(other is not call and other.start <= each.start for other in live)
            if marker == call.marker or (not marker and not others and call.start <= each.start):
                found += [each, *(under for under in self._snapshot.below([each.pid]) if not under.zombie)]
        return found

    def _reap(self) -> None:
        """Collect inherited children that are dead."""
        ours = self.leaders | own_children.pids()
        for each in self._snapshot.direct:
            if each.zombie and each.pid not in ours:
                _collect(each.pid)

    def left_over(self, calls: Mapping[str, ProcessIdentity | None], boot_id: str) -> dict[str, list[table.Entry]]:
        """What dead dispatchers left of these calls: marked processes, recorded leaders, their sessions, all below."""
        entries = [each for pid in table.pids() if pid != self._me and (each := table.entry(pid)) is not None]
        snapshot = table.Snapshot(entries, 1)
        found = table.marked(calls)
        for marker, identity in calls.items():
            if identity is None or identity.boot_id != boot_id:
                continue
            leader = table.entry(identity.pid)
            if leader is not None and leader.start == identity.start_ticks and not leader.zombie:
                session = [each for each in entries if each.session == identity.pid and not each.zombie]
                found.setdefault(marker, []).extend([leader, *session])
        return {
            marker: [*roots, *(each for each in snapshot.below(each.pid for each in roots) if not each.zombie)]
            for marker, roots in found.items()
        }


def _collect(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
