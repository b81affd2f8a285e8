"""The redaction funnel: known secret values never reach the log, in any spelling a tool may print them in.

It stands between the pipe and everything else; also across the borders of reads.
"""

import base64
import json
import urllib.parse
from collections.abc import Iterable, Iterator

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

from domain import errors
from domain.bounds import SECRET_BYTES_MAX, SECRET_BYTES_MIN, SECRETS_MAX

MARK = b"[redacted]"
_LARGE_BYTES = 16 * 1024


class Secrets:
    """The known secret values of one process, compiled into one automaton."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values: frozenset[str] = frozenset()
        self.learn(values)

    def learn(self, values: Iterable[str]) -> None:
        """Know more values from here on; streams that are being read know them too. Raises InvalidConfig."""
        wanted = self._values | {value for value in values if value}
        if wanted == self._values and self._values:
            return
        self._compile(sorted(wanted))
        self._values = frozenset(wanted)

    def _compile(self, secrets: list[str]) -> None:
        if len(secrets) > SECRETS_MAX:
            raise errors.InvalidConfig(where="secrets", why=f"{len(secrets)} values; at most {SECRETS_MAX}")
        known: set[bytes] = set()
        for value in secrets:
            coded = value.encode("utf-8", "surrogateescape")
            if not SECRET_BYTES_MIN <= len(coded) <= SECRET_BYTES_MAX:
                size = (
                    f"a secret of {len(coded)} bytes; {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} can be found in output"
                )
                raise errors.InvalidConfig(where="secrets", why=size)
            known |= {form for form in spellings(coded) if len(form) >= SECRET_BYTES_MIN}
        self.forms = sorted(known, key=lambda form: (-len(form), form))
        large = sum(map(len, self.forms)) > _LARGE_BYTES
        how = Implementation.ContiguousNFA if large else None  # a DFA of long secrets takes seconds to build
        self.find = (
            BytesAhoCorasick(self.forms, matchkind=MatchKind.LeftmostLongest, implementation=how) if known else None
        )
        self.longest = len(self.forms[0]) if known else 0

    def stream(self) -> "StreamRedactor":
        """A redactor for one stream of bytes."""
        return StreamRedactor(self)

    def within(self, data: bytes) -> bool:
        """Whether it holds one of them."""
        return self.find is not None and bool(self.find.find_matches_as_indexes(data))

    def text(self, text: str) -> str:
        """A whole text without the secrets."""
        if self.find is None:
            return text
        for how in ("surrogateescape", "surrogatepass"):  # PEP 383, and other lone surrogates
            try:
                coded = text.encode("utf-8", how)
            except UnicodeEncodeError:
                continue
            return self.stream().feed(coded, final=True).decode("utf-8", how)
        return MARK.decode()  # a text that mixes both: rather nothing of it than a secret


class StreamRedactor:
    """See domain.ports.Redactor."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._held = b""

    def feed(self, data: bytes, *, final: bool = False) -> bytes:
        """See domain.ports.Redactor."""
        find = self._secrets.find
        if find is None:
            return data
        data = self._held + data
        cut = len(data) if final else len(data) - self._tail(data)
        parts: list[bytes] = []
        at = 0
        for _, start, end in find.find_matches_as_indexes(data):
            if start >= cut:
                break
            parts += (data[at:start], MARK)
            at = end
        cut = max(cut, at)
        parts.append(data[at:cut])
        self._held = data[cut:]
        return b"".join(parts)

    def _tail(self, data: bytes) -> int:
        """How many of the last bytes could begin a secret."""
        longest = 0
        end = data[-self._secrets.longest :]
        for form in self._secrets.forms:
            at = end.find(form[0], max(0, len(end) - len(form) + 1))
            while at >= 0 and len(end) - at > longest:
                if form.startswith(end[at:]):
                    longest = len(end) - at
                    break
                at = end.find(form[0], at + 1)
        return longest


def spellings(secret: bytes) -> Iterator[bytes]:
    """The forms in which a tool may print a secret: as it is, URL, JSON, hex, and base64 at each alignment."""
    text = secret.decode("utf-8", "replace")
    yield secret
    yield urllib.parse.quote(text, safe="").encode()
    yield urllib.parse.quote_plus(text, safe="").encode()
    yield json.dumps(text)[1:-1].encode()
    yield json.dumps(text, ensure_ascii=False)[1:-1].encode()
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for pad in range(3):  # without the characters that are shared with neighbours
            coded = encode(b"\0" * pad + secret)
            yield coded[(0, 2, 3)[pad] : len(coded) - (0, 3, 2)[(pad + len(secret)) % 3]]
