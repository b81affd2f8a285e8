"""The same home through both doors: what the server says, and what the command line says of the same thing."""

import json
from collections.abc import Sequence
from typing import Any

import httpx

from tests.api.serving import Served
from tests.commands.place import Done, Place

Document = dict[str, Any]


class Both:
    """A server, a client with a token of these scopes, and the command line in the same folder."""

    def __init__(self, served: Served, *scopes: str) -> None:
        self.served = served
        self.place = Place(served.folder)
        self.client = served.client(*(scopes or ("admin", "sql")))

    def close(self) -> None:
        self.client.close()

    # through the door

    def get(self, path: str, **query: Any) -> Document:  # noqa: ANN401  # of a query
        """What an address says."""
        done = self.client.get(f"/api/v1/{path}", params=query or None)
        assert done.status_code == 200, (path, done.text)
        found: Document = done.json()
        return found

    def items(self, path: str, **query: Any) -> list[Document]:  # noqa: ANN401  # of a query
        """What a list says, as far as one page goes."""
        found: list[Document] = self.get(path, **query)["items"]
        return found

    def post(self, path: str, body: Document | None = None, *, key: str = "") -> httpx.Response:
        """Ask for something, whatever comes of it."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.client.post(f"/api/v1/{path}", json=body or {}, headers=headers)

    def done(self, path: str, body: Document | None = None, status: int = 200) -> Document:
        """Ask for something that works; what it answers, which must be durable where it says."""
        answer = self.post(path, body)
        assert answer.status_code == status, (path, answer.text)
        made: Document = answer.json()
        if "position" in made:
            assert int(answer.headers["rt-position"]) == made["position"] <= self.served.head()[0]
        return made

    def refused(self, path: str, body: Document | None = None) -> tuple[int, str, str]:
        """Ask for something that is refused: status, code and sentence. Nothing was appended."""
        before = self.served.head()
        answer = self.post(path, body)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        assert self.served.head() == before
        problem = answer.json()
        assert problem["status"] == answer.status_code
        return answer.status_code, problem["code"], problem["detail"]

    # on the command line

    def said(self, *argv: str) -> Document:
        """The one object that a command prints, without its schema."""
        return plain(self.place.json(*argv))

    def listed(self, *argv: str) -> list[Document]:
        """The objects that a command lists, without their schemas."""
        return [plain(each) for each in self.place.rows(*argv)]

    def error(self, *argv: str) -> tuple[int, str, str]:
        """How a command is refused: exit status, code and sentence."""
        done = self.place.rt(*argv, "--json")
        return done.code, done.error["code"], done.error["message"]


def plain(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "schema"}


def lines(done: Done) -> list[Document]:
    """What a command printed, a document a line, without the closing one."""
    found: Sequence[Document] = [json.loads(line) for line in done.out.splitlines()]
    return [plain(each) for each in found if each.get("schema") != "rt.end.v1"]
