"""Bodies that are wrong: refused with the field that is wrong, never a bug, and never anything appended."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import FieldInfo

from commands.api.app import TABLE
from commands.api.route import Row
from tests.api.expected import is_old
from tests.api.refusals import check_refusal
from tests.api.rich import Rich, rich

JSON: Final = {"content-type": "application/json"}
ROWS: Final = {f"{row.method} {row.path}": row for row in TABLE if row.body is not None}
PLAIN: Final = {"POST /api/v1/session": {"code": "x"}}
NOT_JSON: Final = {
    "blank": b" ",
    "half": b'{"a"',
    "twice": b"{}{}",
    "comment": b'{"a":1} // no',
    "single quotes": b"{'a':1}",
    "comma": b'{"a":1,}',
    "bare": b"hello",
    "not UTF-8": b'{"a":"\xff\xfe"}',
    "overlong": b'{"a":"\xc0\x80"}',
    "half a character": b'{"a":"\xe2\x82"}',
    "a surrogate as bytes": b'{"a":"\xed\xa0\x80"}',
    "a mark before it": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "UTF-32": '{"a":1}'.encode("utf-32"),
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "a key twice": b'{"a":1,"a":2}',
    "a NUL": b'{"a":"\x00"}',
    "a newline in a text": b'{"a":"\n"}',
    "gzip": b"\x1f\x8b\x08\x00",
    "a number of many digits": b'{"a":' + b"9" * 5_000 + b"}",
}
NO_OBJECT: Final = (b"null", b"1", b'"x"', b"[]", b"true", b"[{}]", b"1.5")
NOT_STORABLE: Final = {
    "a lone surrogate": b'"\\ud800"',
    "a surrogate in a key": b'{"\\udfff":1}',
    "an escaped NUL": b'"\\u0000"',
    "beyond a double": b"1e999",
    "beyond 64 bits": b"9223372036854775808",
    "too deep": b"[" * 100 + b"]" * 100,
}
ODD: Final[Sequence[object]] = (
    None, True, -1, 0, 1.5, 2**63 - 1, -(2**63), 1e308, "", " ", "x", "x" * 30_000, "é", "\u202e", "\x1b[31m", "a\nb",
    "../../etc/passwd", [], [None], ["x"], [[]], {}, {"zz": 1}, {"": {}}, [1] * 200,
)  # fmt: skip
WRONG: Final[Sequence[object]] = ({"zz": [None, {"zz": "object"}]}, [[[]]])  # for whatever takes something else


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rich]:
    with rich(tmp_path_factory.mktemp("bad") / "home") as found:
        yield found


@pytest.fixture(scope="module")
def client(home: Rich) -> Iterator[httpx.Client]:
    with home.at.client("admin") as found:
        yield found


def send(client: httpx.Client, home: Rich, row: Row, content: bytes) -> httpx.Response:
    """Send a body; what is not accepted is a problem with words for people, and appends nothing."""
    before = home.at.head()
    answer = client.request(row.method, home.path(row.path), content=content, headers=JSON)
    if answer.status_code >= 400:
        check_refusal(answer, home.at)
        assert home.at.head() == before
    return answer


@pytest.mark.parametrize("route", ROWS)
def test_what_is_no_json_is_told_to_be_none(home: Rich, client: httpx.Client, route: str) -> None:
    for name, content in NOT_JSON.items():
        answer = send(client, home, ROWS[route], content)
        assert (name, answer.status_code) == (name, 400), answer.text
        assert (name, answer.json()["code"]) == (name, "http.not_json")


@pytest.mark.parametrize("route", ROWS)
def test_what_is_no_object_is_the_wrong_shape(home: Rich, client: httpx.Client, route: str) -> None:
    for content in NO_OBJECT:
        answer = send(client, home, ROWS[route], content)
        assert (content, answer.status_code) == (content, invalid(ROWS[route]))
        assert answer.json()["where"].startswith("body")


@pytest.mark.parametrize("route", ROWS)
def test_what_cannot_be_stored_is_refused_wherever_it_stands(home: Rich, client: httpx.Client, route: str) -> None:
    for name, value in NOT_STORABLE.items():
        for content in (b'{"zz":%s}' % value, b'{"zz":{"a":[%s]}}' % value, value):
            answer = send(client, home, ROWS[route], content)
            assert (name, answer.status_code) in ((name, invalid(ROWS[route])), (name, 400)), answer.text


@pytest.mark.parametrize("route", [route for route, row in ROWS.items() if not is_old(row.path)])
def test_a_field_that_is_not_known_is_named(home: Rich, client: httpx.Client, route: str) -> None:
    """Also with everything that is needed beside it."""
    for document in ({"zz_top": 1}, whole(ROWS[route]) | {"zz_top": 1}):
        answer = send(client, home, ROWS[route], json.dumps(document).encode())
        assert answer.status_code == 422
        assert "zz_top" in answer.text or document == {"zz_top": 1}


@pytest.mark.parametrize("route", ROWS)
def test_a_field_that_is_missing_is_named(home: Rich, client: httpx.Client, route: str) -> None:
    row = ROWS[route]
    for name in required(row):
        document = {key: value for key, value in whole(row).items() if key != name}
        answer = send(client, home, row, json.dumps(document).encode())
        assert (name, answer.status_code) == (name, invalid(row))
        assert name in answer.json()["where"] + answer.json()["why"]


@pytest.mark.parametrize("route", ROWS)
def test_a_field_of_a_wrong_type_is_named(home: Rich, client: httpx.Client, route: str) -> None:
    row = ROWS[route]
    for field in fields(row):
        for wrong in WRONG:
            if fits(wrong, field.type):
                continue
            answer = send(client, home, row, json.dumps(whole(row) | {field.encode_name: wrong}).encode())
            assert (field.name, answer.status_code) == (field.name, invalid(row)), answer.text
            assert field.encode_name in answer.json()["where"]


@pytest.mark.parametrize("route", ROWS)
def test_no_value_of_any_field_is_a_bug(home: Rich, client: httpx.Client, route: str) -> None:
    row = ROWS[route]
    for field in fields(row):
        for value in ODD:
            content = json.dumps(whole(row) | {field.encode_name: value}).encode()
            answer = send(client, home, row, content)
            assert answer.status_code in (200, 201, 202, 400, 401, 403, 404, 409, 413, 415, 422, 429), answer.text


def fields(row: Row) -> tuple[FieldInfo, ...]:
    assert row.body is not None
    return msgspec.structs.fields(row.body)


def required(row: Row) -> list[str]:
    return [field.encode_name for field in fields(row) if field.required]


def whole(row: Row) -> dict[str, Any]:
    """What a body cannot do without, of the right types, about something that is not there."""
    known: dict[str, Any] = {
        "kind": "k", "source": "s", "payload": {}, "name": "n", "task": {"kind": "k", "source": "s", "payload": {}},
        "paused": False, "message": "m", "text": "t", "enabled": True, "at": "end", "query": "SELECT 1", "priority": 1,
        "answer": "approve", "shown_sha256": "0" * 64, "happened": True, "sensor_id": "i", "event_id": "e",
        "source_ref": "r", "dedupe_key": "d", "template": "goal-loop", "instance_key": "w1",
    }  # fmt: skip
    return {name: known[name] for name in required(row)}


def fits(value: object, kind: Any) -> bool:  # noqa: ANN401  # a type
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def invalid(row: Row) -> int:
    return 400 if row.is_old else 422


NAMES: Final = sorted({field.encode_name for row in ROWS.values() for field in fields(row)})
VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("route", ROWS)
def test_no_document_at_all_is_a_bug(home: Rich, client: httpx.Client, route: str) -> None:
    """Fields of the route, fields of others, and what nobody knows, with anything in them."""
    row = ROWS[route]
    own = st.sampled_from([field.encode_name for field in fields(row)])
    documents = st.builds(dict.__or__, st.just(whole(row)) | st.just({}), st.dictionaries(own, VALUES)) | VALUES

    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(documents)
    def holds(document: object) -> None:
        content = json.dumps(document, ensure_ascii=True).encode()
        assert send(client, home, row, content).status_code < 500

    holds()
