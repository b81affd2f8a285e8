"""Sessions of browsers, as digests in a file of the owner alone: a server that starts anew knows them still."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from adapters.owned_file import held, put
from domain import errors
from domain.bounds import SESSION_S, SESSIONS_MAX
from domain.json_text import UNREADABLE


class Session(msgspec.Struct, frozen=True):
    """A session as it is stored."""

    name: str
    scopes: tuple[str, ...]
    begun_us: int
    token: str  # the digest of the token that it was opened with; empty for a code


class Sessions:
    """The sessions of one home, in `sessions.json`, by the digest of their cookie, the oldest first."""

    def __init__(self, state: Path) -> None:
        self._path = state / "sessions.json"
        self._lock = state / "tokens.lock"
        self._seen: tuple[int, int] = (-1, -1)
        self._known: dict[str, Session] = {}

    def get(self, stamp: str) -> Session | None:
        """The session with this digest. Raises Corrupt."""
        return self._all().get(stamp)

    def add(self, stamp: str, session: Session) -> None:
        """One more; what is over, and what is one too many, makes room. Raises Corrupt, StoreFull."""
        with held(self._lock):
            since_us = session.begun_us - SESSION_S * 1_000_000
            going = {each: found for each, found in self._all().items() if found.begun_us > since_us}
            self._write(dict([*going.items(), (stamp, session)][-SESSIONS_MAX:]))

    def remove(self, stamp: str) -> None:
        """It is over. Raises Corrupt, StoreFull."""
        with held(self._lock):
            self._write({each: found for each, found in self._all().items() if each != stamp})

    def _all(self) -> Mapping[str, Session]:
        """All of them, read again when the file changed."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._seen, self._known = (-1, -1), {}
            return self._known
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._seen:
            try:
                self._known = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Session])
            except (*UNREADABLE, OSError) as problem:
                raise errors.Corrupt(why=f"{self._path} does not read: {problem}") from problem
            self._seen = stamp
        return self._known

    def _write(self, sessions: dict[str, Session]) -> None:
        put(self._path, msgspec.json.encode(sessions))
