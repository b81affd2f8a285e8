"""What every refusal looks like, whatever was wrong."""

from typing import Any

import httpx

from tests.api.serving import Served

_NEVER = ("Traceback", "msgspec", "sqlite", "duckdb", ".py", "Error(")


def check_refusal(answer: httpx.Response, at: Served) -> dict[str, Any]:
    """A problem document of the client's fault, whose words tell nothing of this machine; the document."""
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    assert found["title"] == found["code"]
    assert found["detail"]
    if found["code"] == "rt.invalid":
        assert found["where"]
    words = str(found["detail"]) + str(found.get("hint", ""))
    assert str(at.folder) not in answer.text
    assert not [each for each in _NEVER if each in words], words
    assert not [each for each in words if ord(each) < 32 and each not in "\n\t"], words
    return found
