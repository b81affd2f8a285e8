"""Who is let in, and how far: tokens, sessions of browsers, scopes, and how often one may knock."""

import secrets
from collections import OrderedDict, deque
from typing import NamedTuple

from adapters.sessions import Session, Sessions
from adapters.tokens import Tokens, digest
from commands.api.route import LEVELS, Scope
from domain import errors
from domain.bounds import HTTP_ADDRESSES_MAX, HTTP_LOGIN_FAILURES_PER_MINUTE, SESSION_S
from domain.ports import Clock

_MINUTE_S = 60


class Grant(NamedTuple):
    """Somebody who was let in. `stamp` is the digest of the token or of the session's cookie."""

    name: str
    scopes: frozenset[str]
    stamp: str
    is_session: bool = False

    @property
    def level(self) -> str:
        """The widest of its scopes, for people."""
        return ", ".join(sorted(self.scopes)) or "none"

    def reaches(self, scope: Scope) -> bool:
        """Whether it holds a scope, by itself or within a wider one; the widest holds all."""
        if scope in self.scopes or "admin" in self.scopes:
            return True
        return scope in LEVELS and any(wider in self.scopes for wider in LEVELS[LEVELS.index(scope) :])


class Doors:
    """The door of one server."""

    def __init__(self, tokens: Tokens, sessions: Sessions, clock: Clock, *, writes_per_s: int) -> None:
        self._tokens = tokens
        self._clock = clock
        self._writes_per_s = writes_per_s
        self._sessions = sessions
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._buckets: dict[str, tuple[float, float]] = {}

    def known(self, bearer: str, cookie: str) -> Grant | None:
        """Whoever brings this token, or this cookie."""
        if bearer:
            return self._by_token(bearer)
        return self._by_cookie(cookie) if cookie else None

    def refusal(self, address: str, *, is_guess: bool) -> errors.RtError:
        """What a stranger is told; whoever guesses is told to wait in the end."""
        if not is_guess:
            return errors.TokenMissing(why="this address needs a token")
        try:
            self._count_failure(address)
        except errors.TooMany as problem:
            return problem
        return errors.TokenMissing(why="the token is not known, or not any more")

    def open_session(self, *, code: str, token: str, address: str) -> tuple[Grant, str]:
        """A session for a one-time code or a token, and its cookie. Raises TokenMissing, TooMany."""
        now_us = self._clock.now_us()
        made: Session | None = None
        if code and (found := self._tokens.redeem(code, now_us)) is not None:
            made = Session(found.name, found.scopes, now_us, "")
        elif token and (known := self._tokens.named(token)) is not None:
            made = Session(known.name, known.scopes, now_us, known.sha256)
        if made is None:
            self._count_failure(address)
            raise errors.TokenMissing(why="the code was used, is too old, or was never given")
        cookie = secrets.token_urlsafe(32)
        self._sessions.add(digest(cookie), made)
        return Grant(made.name, frozenset(made.scopes), digest(cookie), is_session=True), cookie

    def close_session(self, grant: Grant) -> None:
        """Log out."""
        self._sessions.remove(grant.stamp)

    def still(self, grant: Grant) -> bool:
        """Whether somebody who was let in would be let in again: what an open stream asks now and then."""
        if not grant.is_session:
            return any(token.sha256 == grant.stamp for token in self._tokens.book().tokens)
        return self._session(grant.stamp) is not None

    def count_write(self, grant: Grant) -> None:
        """A token writes so often a second, and twice that in a burst. Raises TooMany."""
        now_s = self._clock.monotonic_s()
        left, since_s = self._buckets.get(grant.name, (2.0 * self._writes_per_s, now_s))
        left = min(2.0 * self._writes_per_s, left + (now_s - since_s) * self._writes_per_s)
        if left < 1:
            raise errors.TooMany(what="writes a second of one token", most=self._writes_per_s, seconds=1)
        self._buckets[grant.name] = (left - 1, now_s)

    def _by_token(self, bearer: str) -> Grant | None:
        token = self._tokens.named(bearer)
        return None if token is None else Grant(token.name, frozenset(token.scopes), token.sha256)

    def _by_cookie(self, cookie: str) -> Grant | None:
        stamp = digest(cookie)
        found = self._session(stamp)
        return None if found is None else Grant(found.name, frozenset(found.scopes), stamp, is_session=True)

    def _session(self, stamp: str) -> Session | None:
        found = self._sessions.get(stamp)
        if found is None:
            return None
        book = self._tokens.book()
        is_over = found.begun_us + SESSION_S * 1_000_000 <= self._clock.now_us()
        is_revoked = found.begun_us < book.sessions_after_us or (
            found.token and all(token.sha256 != found.token for token in book.tokens)
        )
        return None if is_over or is_revoked else found

    def _count_failure(self, address: str) -> None:
        """Whoever guessed too often is told to wait; a right token is let in all the same. Raises TooMany."""
        now_s = self._clock.monotonic_s()
        failures = self._failures.setdefault(address, deque())
        self._failures.move_to_end(address)
        while failures and failures[0] < now_s - _MINUTE_S:
            failures.popleft()
        if len(failures) >= HTTP_LOGIN_FAILURES_PER_MINUTE:
            wait_s = max(1, round(failures[0] + _MINUTE_S - now_s))
            raise errors.TooMany(what="wrong tokens a minute", most=HTTP_LOGIN_FAILURES_PER_MINUTE, seconds=wait_s)
        failures.append(now_s)
        while len(self._failures) > HTTP_ADDRESSES_MAX:
            self._failures.popitem(last=False)
