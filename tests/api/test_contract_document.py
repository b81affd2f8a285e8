"""The OpenAPI document of a running server: valid, complete, and kept by the server, whatever fits it or does not."""

import json
from collections.abc import Iterator
from typing import Any, Final

import jsonschema_rs
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from commands.api.app import TABLE
from domain import bounds
from tests.api.expected import NEEDS, PAGES, is_old
from tests.api.rich import Rich, rich
from tests.api.serving import WITHIN_S

ROWS: Final = {f"{row.method} {row.path}": row for row in TABLE if row.path not in PAGES}
ANSWERED: Final = [route for route, row in ROWS.items() if not row.media.startswith("text/event-stream")]
CHECKS: Final = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rich]:
    with rich(tmp_path_factory.mktemp("contract") / "home") as found:
        yield found


@pytest.fixture(scope="module")
def document(home: Rich) -> dict[str, Any]:
    with home.at.client("read") as client:
        found: dict[str, Any] = client.get("/api/v1/openapi.json").raise_for_status().json()
    return found


@pytest.fixture(scope="module")
def session(home: Rich) -> Iterator[requests.Session]:
    with requests.Session() as found:
        found.trust_env = False
        found.headers["authorization"] = f"Bearer {home.at.token('admin')}"
        yield found


@pytest.fixture(scope="module")
def schema(document: dict[str, Any]) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_dict(document)


def operation(document: dict[str, Any], route: str) -> dict[str, Any]:
    method, _, path = route.partition(" ")
    found: dict[str, Any] = document["paths"][path][method.lower()]
    return found


# the document


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert [str(problem.message)[:200] for problem in OPENAPI_31_VALIDATOR.iter_errors(document)] == []


def test_every_schema_in_it_is_a_schema(document: dict[str, Any]) -> None:
    for name, each in document["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(each), name


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(all_of("$ref", document))
    assert len(references) > 10
    for each in references:
        found: Any = document
        for part in each.removeprefix("#/").split("/"):
            found = found[part]


def test_every_schema_is_used(document: dict[str, Any]) -> None:
    used = {each.rpartition("/")[2] for each in all_of("$ref", document)}
    named = set(document["components"]["schemas"])
    queries = {row.query.__name__ for row in ROWS.values()}  # these are told as parameters
    assert named - used <= queries


def all_of(key: str, inside: object) -> Iterator[str]:
    if isinstance(inside, dict):
        if isinstance(inside.get(key), str):
            yield inside[key]
        for each in inside.values():
            yield from all_of(key, each)
    elif isinstance(inside, list):
        for each in inside:
            yield from all_of(key, each)


def test_every_route_that_is_no_page_is_in_it_and_nothing_else(document: dict[str, Any]) -> None:
    found = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert found == {route for route in NEEDS if route.partition(" ")[2] not in PAGES}


def test_every_operation_has_a_name_of_its_own_and_words(document: dict[str, Any]) -> None:
    names = [operation(document, route)["operationId"] for route in ROWS]
    assert len(set(names)) == len(names)
    for route in ROWS:
        assert operation(document, route)["summary"].endswith("."), route


@pytest.mark.parametrize("route", ROWS)
def test_an_operation_says_what_it_needs(document: dict[str, Any], route: str) -> None:
    found = operation(document, route)
    assert found["x-scope"] == NEEDS[route]
    is_open = NEEDS[route] in ("open", "signed")
    assert found.get("security", []) == ([] if is_open else [{"token": []}, {"session": []}])
    parameters = {(each["in"], each["name"]): each for each in found["parameters"]}
    names = {part[1:-1] for part in route.split("/") if part.startswith("{")}
    assert {name for place, name in parameters if place == "path"} == names
    assert all(each["required"] for (place, _), each in parameters.items() if place == "path")
    asked = set(ROWS[route].query.__struct_fields__)
    waits = {"min_position", "wait_s"} if route.startswith("GET") and not ROWS[route].is_old else set()
    assert {name for place, name in parameters if place == "query"} == asked | waits


@pytest.mark.parametrize("route", [route for route, row in ROWS.items() if row.body is not None])
def test_a_body_forbids_what_the_code_forbids(document: dict[str, Any], route: str) -> None:
    given = operation(document, route)["requestBody"]
    assert given["required"] is True
    assert list(given["content"]) == ["application/json"]
    name = given["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][name]
    assert schema["type"] == "object"
    assert schema.get("additionalProperties", True) is is_old(route.partition(" ")[2])


@pytest.mark.parametrize("route", ROWS)
def test_refusals_are_problem_documents(document: dict[str, Any], route: str) -> None:
    responses = operation(document, route)["responses"]
    wrong = "400" if is_old(route.partition(" ")[2]) else "422"
    assert {"200", wrong, "401", "403", "421", "429"} <= set(responses)
    assert ("415" in responses) == (not route.startswith("GET"))
    for status, each in responses.items():
        if status == "default" or int(status) >= 400:
            assert list(each["content"]) == ["application/problem+json"]
            assert each["description"]


@pytest.mark.parametrize("route", [route for route in ROWS if route.startswith("POST ")])
def test_whoever_may_send_a_key_is_told_of_the_conflict(document: dict[str, Any], route: str) -> None:
    found = operation(document, route)
    takes = "Idempotency-Key" in {each["name"] for each in found["parameters"]}
    assert takes == (NEEDS[route] not in ("open", "signed"))
    assert "409" in found["responses"] or not takes


@pytest.mark.parametrize(
    ("route", "status", "media"),
    [
        ("GET /api/v1/report", "200", "text/html"),
        ("GET /api/v1/runs/{run}/report", "200", "text/html"),
        ("GET /api/v1/metrics", "200", "text/plain; version=0.0.4; charset=utf-8"),
        ("GET /api/v1/artifacts/file", "200", "application/octet-stream"),
        ("GET /api/v1/artifacts/file", "206", "application/octet-stream"),
        ("GET /api/v1/stream", "200", "text/event-stream"),
        ("POST /api/v1/tasks", "404", "application/problem+json"),  # the profile that is wanted
    ],
)
def test_what_else_may_come_back_is_documented(document: dict[str, Any], route: str, status: str, media: str) -> None:
    responses = operation(document, route)["responses"]
    assert status in responses
    assert media.partition(";")[0] in {each.partition(";")[0] for each in responses[status]["content"]}


def test_the_limits_in_it_are_those_of_the_code(document: dict[str, Any]) -> None:
    assert document["x-limits"]["http_body_bytes_max"] == bounds.HTTP_BODY_BYTES_MAX
    assert document["x-limits"]["sse_clients_max"] == bounds.SSE_CLIENTS_MAX


def test_the_document_is_the_same_every_time(home: Rich) -> None:
    with home.at.client("read") as client:
        first, second = (client.get("/api/v1/openapi.json").content for _ in range(2))
    assert first == second


# the server


def documented(found: dict[str, Any], status: int) -> bool:
    """By its number: `default` would hold for everything."""
    return str(status) in found["responses"]


@pytest.mark.parametrize("route", ANSWERED)
def test_whatever_fits_the_document_or_does_not_is_answered_as_it_says(
    home: Rich, document: dict[str, Any], schema: schemathesis.BaseSchema, session: requests.Session, route: str
) -> None:
    method, _, path = route.partition(" ")
    operation_of = schema[path][method]
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    real = {name: home.path(f"{path}\0{{{name}}}").partition("\0")[2] for name in names}
    cases = st.one_of(
        operation_of.as_strategy(GenerationMode.POSITIVE),
        operation_of.as_strategy(GenerationMode.POSITIVE, path_parameters=real),
        operation_of.as_strategy(GenerationMode.NEGATIVE),
    )
    about = operation(document, route)

    @settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(cases)
    def holds(case: schemathesis.Case[Any]) -> None:
        if isinstance((case.query or {}).get("min_position"), int):
            case.query = {**case.query, "min_position": 1, "wait_s": 0}  # others may never come: that is a 503
        answer = case.call(base_url=home.at.url, session=session, timeout=WITHIN_S)
        case.validate_response(answer, checks=CHECKS)
        assert documented(about, answer.status_code), f"{answer.status_code} {answer.text[:300]}"
        if answer.status_code >= 400:
            assert json.loads(answer.text)["status"] == answer.status_code

    holds()
