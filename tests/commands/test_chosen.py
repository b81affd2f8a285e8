"""Who serves a goal and by which rules: a routing model, middleware on requests, today's policy, another one's."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.commands.asking import RULES, asked, begin, decided
from tests.commands.place import Place

MODEL = """
[models.chooser]
base_url = "{url}/v1"
name = "tiny"
private = true
[routing]
default = "one"
model = "chooser"
timeout_s = 5
"""


@contextmanager
def saying(content: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A chat endpoint on loopback that always says this; its address, and what it was asked."""
    seen: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            body = json.dumps({"choices": [{"message": {"content": content}}]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join(5)


def test_a_model_chooses_among_the_profiles_and_both_texts_are_kept(place: Place) -> None:
    with saying('{"profile": "two"}') as (url, seen):
        decided(place, MODEL.format(url=url))
        place.ok("intake", "--profile", "auto", "--goal", "count the files")
    (queued,) = place.events("task.queued.v1")
    assert queued["profile"] == "two"
    assert (queued["routing"]["by"], queued["routing"]["candidates"]) == ("model", ["one", "two"])
    assert seen[0]["messages"][1]["content"] == "count the files"
    exported = place.ok("log", "export").text
    assert "Choose who serves the input" in exported
    assert '{\\\\\\"profile\\\\\\": \\\\\\"two\\\\\\"}' in exported


@pytest.mark.parametrize("said", ["no JSON", '{"profile": "watch"}', '{"profile": "nobody"}', ""])
def test_a_model_that_chooses_none_leaves_it_to_the_default_and_is_on_record(place: Place, said: str) -> None:
    with saying(said) as (url, _):
        decided(place, MODEL.format(url=url))
        place.ok("intake", "--profile", "auto", "--goal", "count the files")
    (queued,) = place.events("task.queued.v1")
    assert (queued["profile"], queued["routing"]["by"]) == ("one", "default")
    assert "the model chose none" in queued["routing"]["reason"]
    assert queued["routing"]["request"]["size"] > 0


def test_intake_with_a_profile_that_is_not_there_stores_nothing(place: Place) -> None:
    decided(place)
    assert place.rt("intake", "--profile", "nobody", "--goal", "x").code == 3
    assert place.head() == 0


def test_what_the_middleware_hides_reaches_no_controller_and_retries_are_as_it_says(place: Place) -> None:
    middleware = 'middleware = [{kind = "redaction", phrases = ["the merger"]}, {kind = "retry", attempts = 0}]\n'
    decided(place, '[profiles.quiet]\ncontroller = "it"\ntools = ["ask-person"]\n' + middleware)
    place.ok("do", "--agent", "quiet", "what about the merger?")
    assert asked(place)["goal"] == "what about [hidden]?"
    (place.folder / "decider.py").write_text("print('no decision')")
    assert place.rt("do", "--agent", "quiet", "again").code == 1
    assert len(place.events("run.controller_asked.v1")) == 2, "one for each run"
    place.ok("replay", "--all")


def test_another_policy_is_said_once_by_the_dispatcher_that_works_by_it(place: Place) -> None:
    place.config(RULES)
    begin(place)
    assert place.events("policy.changed.v1") == []
    place.config(RULES + '[[policies]]\nid = "a"\neffect = "allow"\ntool = "local-process"\n')
    begin(place)
    begin(place)
    (changed,) = place.events("policy.changed.v1")
    assert "previous" not in changed
    place.config(RULES)
    begin(place)
    assert place.events("policy.changed.v1")[-1]["previous"] == changed["digest"]


def test_a_replay_with_another_ones_policy_needs_only_that_file(place: Place) -> None:
    place.config(RULES + '[[policies]]\nid = "a"\neffect = "allow"\ntool = "local-process"\n')
    begin(place)
    assert place.rt("replay", "@last", "--with", "today").code == 0
    (place.folder / "strict.toml").write_text('[[policies]]\nid = "no"\neffect = "deny"\ntool = "local-process"\n')
    done = place.rt("replay", "@last", "--with", "policy=strict.toml")
    assert done.code == 4
    assert "run.call_refused" in done.text
    for wrong in ("weather=strict.toml", "policy", "policy=nowhere.toml"):
        assert place.rt("replay", "@last", "--with", wrong).code == 2
