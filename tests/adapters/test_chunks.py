"""From reads to chunks: no byte is lost, lines stay whole, everything is bounded, and nothing waits for long."""

from itertools import pairwise

import pytest
from ahocorasick_rs import BytesAhoCorasick
from hypothesis import given
from hypothesis import strategies as st

from adapters.chunks import Chunk, Chunker, Stream
from adapters.redact import Secrets
from domain.bounds import CHUNK_BYTES_MAX, PARTIAL_LINE_S, QUIET_S
from domain.ports import Piece

NO_SECRETS = Secrets([])
MANY = 1 << 40
LINES = st.lists(
    st.sampled_from([b"a", b"bc\n", b"\n", b"\r\n", b"x" * 100 + b"\n", b"y" * 70_000, b"\xff"]), max_size=12
)
PIECES = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), LINES.map(b"".join)), max_size=8)


def chunker(bytes_max: int = MANY, secrets: Secrets = NO_SECRETS, urgent: str = "") -> Chunker:
    return Chunker(secrets, BytesAhoCorasick([urgent.encode()]) if urgent else None, bytes_max)


def out(data: bytes, stream: Stream = "stdout") -> Piece:
    return Piece(stream, data)


def joined(chunks: list[Chunk], stream: str) -> bytes:
    return b"".join(chunk.data for chunk in chunks if chunk.stream == stream)


def through(made: Chunker, pieces: list[tuple[Stream, bytes]], step_s: float, *, each: bool = True) -> list[Chunk]:
    """Feed at equal distances and take after each, then end."""
    chunks: list[Chunk] = []
    now_s = 0.0
    for stream, data in pieces:
        made.feed([Piece(stream, data)], now_s)
        if each:
            chunks += made.take(now_s)
        now_s += step_s
    made.feed([], now_s, final=True)
    return chunks + made.take(now_s)


@given(pieces=PIECES, step_s=st.sampled_from([0.0, 0.01, 0.3]), each=st.booleans())
def test_no_byte_is_lost_however_it_arrives(pieces: list[tuple[Stream, bytes]], step_s: float, *, each: bool) -> None:
    made = chunker()
    chunks = through(made, pieces, step_s, each=each)
    for stream in ("stdout", "stderr"):
        assert joined(chunks, stream) == b"".join(data for of, data in pieces if of == stream)
    assert made.dropped == 0
    assert made.due_s() is None


@given(pieces=PIECES, step_s=st.sampled_from([0.0, 0.01, 0.3]))
def test_no_chunk_is_empty_or_beyond_its_bound(pieces: list[tuple[Stream, bytes]], step_s: float) -> None:
    for chunk in through(chunker(), pieces, step_s):
        assert 0 < len(chunk.data) <= CHUNK_BYTES_MAX


@given(pieces=PIECES)
def test_a_chunk_ends_with_a_line_unless_the_line_is_long_or_the_output_ends(
    pieces: list[tuple[Stream, bytes]],
) -> None:
    chunks = through(chunker(), pieces, 0.0)
    for stream in ("stdout", "stderr"):
        mine = [chunk.data for chunk in chunks if chunk.stream == stream]
        for data in mine[:-1]:
            assert data.endswith(b"\n") or len(data) == CHUNK_BYTES_MAX


@given(data=LINES.map(b"".join), cuts=st.lists(st.integers(0, 200_000), max_size=10))
def test_equal_bytes_give_equal_chunks_for_every_cut(data: bytes, cuts: list[int]) -> None:
    borders = sorted({0, *(each % (len(data) + 1) for each in cuts), len(data)})
    parts: list[tuple[Stream, bytes]] = [("stdout", data[start:end]) for start, end in pairwise(borders)]
    whole = through(chunker(), [("stdout", data)], 0.0, each=False)
    assert through(chunker(), parts, 0.0, each=False) == whole


@given(pieces=PIECES, bytes_max=st.integers(0, 200_000))
def test_what_goes_beyond_the_limit_is_counted_to_the_byte(pieces: list[tuple[Stream, bytes]], bytes_max: int) -> None:
    made = chunker(bytes_max)
    stored = sum(len(chunk.data) for chunk in through(made, pieces, 0.01))
    given_bytes = sum(len(data) for _, data in pieces)
    assert stored == min(bytes_max, given_bytes)
    assert made.dropped == given_bytes - stored


def test_streams_stay_in_the_order_of_their_arrival() -> None:
    made = chunker()
    made.feed([out(b"1\n"), out(b"2\n", "stderr"), out(b"3\n"), out(b"4\n")], 0.0)
    assert made.take(0.0) == [Chunk("stdout", b"1\n"), Chunk("stderr", b"2\n"), Chunk("stdout", b"3\n4\n")]


def test_many_lines_become_one_chunk() -> None:
    made = chunker()
    for _ in range(100):
        made.feed([out(b"line\n")], 0.0)
    assert made.take(0.0) == [Chunk("stdout", b"line\n" * 100)]


def test_a_line_border_is_kept_when_a_chunk_is_full() -> None:
    made = chunker()
    made.feed([out(b"x" * (CHUNK_BYTES_MAX - 10) + b"\n"), out(b"y" * 100 + b"\n")], 0.0)
    assert [chunk.data[-1:] for chunk in made.take(0.0)] == [b"\n", b"\n"]


def test_a_long_line_comes_in_full_parts() -> None:
    made = chunker()
    made.feed([out(b"z" * (2 * CHUNK_BYTES_MAX + 5))], 0.0)
    assert [len(chunk.data) for chunk in made.take(0.0)] == [CHUNK_BYTES_MAX, CHUNK_BYTES_MAX]
    made.feed([out(b"\n")], 0.0)
    assert [len(chunk.data) for chunk in made.take(0.0)] == [6]


# when


def test_nothing_is_due_while_nothing_waits() -> None:
    assert chunker().due_s() is None


def test_the_first_line_is_due_when_it_comes() -> None:
    made = chunker()
    made.feed([out(b"line\n")], 5.0)
    assert made.due_s() == 5.0


def test_the_next_lines_wait_for_a_pause() -> None:
    made = chunker()
    made.feed([out(b"line\n")], 5.0)
    made.take(5.0)
    assert made.due_s() is None
    made.feed([out(b"line\n")], 5.001)
    assert made.due_s() == pytest.approx(5.0 + QUIET_S)


def test_calls_that_print_all_the_time_are_stored_together_whenever_they_began() -> None:
    made = [chunker(), chunker()]
    for at_s, each in zip((5.003, 5.017), made, strict=True):
        each.feed([out(b"line\n")], at_s)
        each.take(at_s)
        each.feed([out(b"line\n")], 5.019)
    assert made[0].due_s() == made[1].due_s() == pytest.approx(5.025)


def test_a_call_that_prints_now_and_then_is_never_kept_waiting() -> None:
    made = chunker()
    for at_s in (5.003, 5.033, 5.063, 5.093):
        made.feed([out(b"line\n")], at_s)
        assert made.due_s() == at_s
        made.take(at_s)


def test_a_full_chunk_is_due_at_once() -> None:
    made = chunker()
    made.feed([out(b"line\n")], 5.0)
    made.take(5.0)
    made.feed([out(b"line\n" * (CHUNK_BYTES_MAX // 5 + 1))], 5.001)
    assert made.due_s() == 0.0


def test_an_urgent_text_is_due_at_once_whatever_its_case() -> None:
    made = chunker(urgent="panic:")
    made.feed([out(b"line\n")], 5.0)
    made.take(5.0)
    made.feed([out(b"kernel PANIC: oh\n")], 5.001)
    assert made.due_s() == 0.0
    assert made.take(5.001) == [Chunk("stdout", b"kernel PANIC: oh\n")]
    assert made.due_s() is None


def test_an_ordinary_text_is_not_urgent() -> None:
    made = chunker(urgent="panic:")
    made.feed([out(b"line\n")], 5.0)
    made.take(5.0)
    made.feed([out(b"no panic\n")], 5.001)
    assert made.due_s() == pytest.approx(5.0 + QUIET_S)


def test_a_line_without_its_end_waits_and_is_then_released() -> None:
    made = chunker()
    made.feed([out(b"password: ")], 1.0)
    assert made.due_s() == pytest.approx(1.0 + PARTIAL_LINE_S)
    assert made.take(1.0 + PARTIAL_LINE_S - 0.001) == []
    assert made.take(1.0 + PARTIAL_LINE_S) == [Chunk("stdout", b"password: ")]
    assert made.due_s() is None


def test_a_line_that_is_finished_in_time_stays_whole() -> None:
    made = chunker()
    made.feed([out(b"half ")], 1.0)
    made.feed([out(b"a line\n")], 1.1)
    assert made.take(1.1) == [Chunk("stdout", b"half a line\n")]


def test_a_new_line_waits_its_own_time_after_the_one_before_was_finished() -> None:
    made = chunker()
    made.feed([out(b"first ")], 1.0)
    made.feed([out(b"line\nsecond")], 1.19)
    assert made.take(1.21) == [Chunk("stdout", b"first line\n")]
    assert made.due_s() == pytest.approx(1.19 + PARTIAL_LINE_S)


def test_a_line_of_one_stream_does_not_cut_a_line_of_the_other_short() -> None:
    made = chunker()
    made.feed([out(b"out ")], 1.0)
    made.feed([out(b"err ", "stderr")], 1.19)
    assert made.take(1.21) == [Chunk("stdout", b"out ")]


def test_the_end_releases_what_is_left_of_both_streams() -> None:
    made = chunker()
    made.feed([out(b"half"), out(b"other", "stderr")], 1.0)
    made.feed([], 1.0, final=True)
    assert sorted(made.take(1.0)) == [Chunk("stderr", b"other"), Chunk("stdout", b"half")]


# secrets


def test_a_secret_across_reads_and_streams_does_not_pass() -> None:
    made = chunker(secrets=Secrets(["hunter22"]))
    made.feed([out(b"a hunt"), out(b"b hunt", "stderr"), out(b"er22\n"), out(b"er22\n", "stderr")], 0.0)
    assert sorted(made.take(0.0)) == [Chunk("stderr", b"b [redacted]\n"), Chunk("stdout", b"a [redacted]\n")]


def test_the_limit_counts_what_is_stored_and_not_what_was_printed() -> None:
    made = chunker(12, Secrets(["s" * 100]))
    made.feed([out(b"s" * 100 + b"\n")], 0.0, final=True)
    assert made.take(0.0) == [Chunk("stdout", b"[redacted]\n")]
    assert made.dropped == 0
