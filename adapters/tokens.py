"""Who may come in over HTTP: tokens and one-time codes, kept as digests in files of the owner alone.

They are no events: the log is copied, exported and kept for ever, and what opens a door belongs in none of these.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from adapters.owned_file import held, put
from domain import errors
from domain.bounds import SESSION_CODE_S, SESSION_CODES_MAX, TOKENS_MAX
from domain.json_text import UNREADABLE

_PREFIX = "rt_"


class Token(msgspec.Struct, frozen=True):
    """A token as it is stored: its digest, and how far it reaches."""

    name: str
    scopes: tuple[str, ...]
    sha256: str
    created_us: int


class Book(msgspec.Struct, frozen=True):
    """All tokens; sessions that began before `sessions_after_us` are over."""

    tokens: tuple[Token, ...] = ()
    sessions_after_us: int = 0


class Code(msgspec.Struct, frozen=True):
    """What a one-time code gives."""

    name: str
    scopes: tuple[str, ...]
    until_us: int


def digest(secret: str) -> str:
    """How a secret is stored. It has 256 random bits, so that a slow hash would protect nothing more."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


class Tokens:
    """The tokens of one home, in `tokens.json`, and the codes that wait to be used, one file each in `codes`."""

    def __init__(self, state: Path) -> None:
        self._path = state / "tokens.json"
        self._codes = state / "codes"
        self._lock = state / "tokens.lock"
        self._seen: tuple[int, int] = (-1, -1)
        self._book = Book()

    def book(self) -> Book:
        """The tokens, read again when the file changed. Raises Corrupt."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._seen, self._book = (-1, -1), Book()
            return self._book
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._seen:
            try:
                self._book = msgspec.json.decode(self._path.read_bytes(), type=Book)
            except (*UNREADABLE, OSError) as problem:
                raise errors.Corrupt(why=f"{self._path} does not read: {problem}") from problem
            self._seen = stamp
        return self._book

    def named(self, secret: str) -> Token | None:
        """The token with this secret; every one is compared, in constant time."""
        wanted = digest(secret)
        found = [token for token in self.book().tokens if hmac.compare_digest(token.sha256, wanted)]
        return found[0] if found else None

    def add(self, name: str, scopes: tuple[str, ...], now_us: int) -> str:
        """A new token; its secret is nowhere else. Raises TokenExists, Invalid."""
        secret = _PREFIX + secrets.token_urlsafe(32)
        with held(self._lock):
            book = self.book()
            if any(token.name == name for token in book.tokens):
                raise errors.TokenExists(name=name)
            if len(book.tokens) >= TOKENS_MAX:
                raise errors.Invalid(where="--name", why=f"there are {TOKENS_MAX} tokens; revoke some")
            made = Token(name, scopes, digest(secret), now_us)
            self._write(msgspec.structs.replace(book, tokens=(*book.tokens, made)))
        return secret

    def revoke(self, name: str) -> None:
        """Nobody comes in with this one any more. Raises TokenUnknown."""
        with held(self._lock):
            book = self.book()
            left = tuple(token for token in book.tokens if token.name != name)
            if len(left) == len(book.tokens):
                known = ", ".join(token.name for token in book.tokens) or "none"
                raise errors.TokenUnknown(name=name, known=known)
            self._write(msgspec.structs.replace(book, tokens=left))

    def end_sessions(self, now_us: int) -> None:
        """Every browser has to log in anew, and codes that wait are void."""
        with held(self._lock):
            self._write(msgspec.structs.replace(self.book(), sessions_after_us=now_us))
            for each in self._waiting():
                each.unlink(missing_ok=True)

    def code(self, name: str, scopes: tuple[str, ...], now_us: int) -> str:
        """A code that opens one session, within a minute."""
        code = secrets.token_urlsafe(24)
        self._codes.mkdir(mode=0o700, exist_ok=True, parents=True)
        with held(self._lock):
            for each in self._waiting():
                found = _read(each)
                if found is None or found.until_us <= now_us:
                    each.unlink(missing_ok=True)
            if sum(1 for _ in self._waiting()) >= SESSION_CODES_MAX:
                raise errors.TooMany(what="codes that nobody used", most=SESSION_CODES_MAX, seconds=SESSION_CODE_S)
            made = Code(name, scopes, now_us + SESSION_CODE_S * 1_000_000)
            put(self._codes / digest(code), msgspec.json.encode(made))
        return code

    def redeem(self, code: str, now_us: int) -> Code | None:
        """What a code gives, once: whoever removes its file has it."""
        path = self._codes / digest(code)
        found = _read(path)
        try:
            path.unlink()
        except FileNotFoundError:
            return None
        return found if found is not None and found.until_us > now_us else None

    def _waiting(self) -> Iterator[Path]:
        with suppress(FileNotFoundError):
            yield from self._codes.iterdir()

    def _write(self, book: Book) -> None:
        put(self._path, msgspec.json.encode(book))


def _read(path: Path) -> Code | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Code)
    except (OSError, *UNREADABLE):
        return None
