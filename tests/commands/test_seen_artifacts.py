"""Snapshots know the artifacts that runs left, and two of them say which are new, changed or gone."""

import hashlib
import json
from typing import Any

from tests.commands.place import FAST_RETRY, Place

WRITER = """#!/usr/bin/env python3
import json, os, pathlib
wanted = json.loads(os.environ["RT_TASK_PAYLOAD_JSON"])["write"]
root = pathlib.Path(os.environ["RT_ARTIFACT_DIR"])
for path, text in wanted.items():
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).unlink(missing_ok=True)
    if text:
        (root / path).write_text(text)
kept = [path for path in wanted if wanted[path]]
print(json.dumps({"status": "completed", "operator_summary": "written", "artifact_paths": kept}))
"""


def house(place: Place) -> Place:
    (place.folder / "writer").write_text(WRITER)
    (place.folder / "writer").chmod(0o755)
    return place.config(FAST_RETRY + '[adapters.writer]\ncommand = "./writer"\n')


def write(place: Place, **files: str) -> None:
    """Let a run write these artifacts; an empty text removes one."""
    wanted = {name.replace("__", "/") + ".md": text for name, text in files.items()}
    payload = {"write": wanted, "required_artifacts": list(wanted)}
    task = {"kind": "k", "source": "t", "payload": payload, "requested_adapter": "writer", "max_attempts": 1}
    place.ok("intake", json.dumps(task))
    place.ok("work", "--until-idle")


def seen(place: Place) -> dict[str, Any]:
    place.ok("snapshot", "--out", str(place.folder / "s.json"))
    found = json.loads((place.folder / "s.json").read_text())["artifact_files"]
    return {each["path"]: each for each in found}


def test_a_snapshot_lists_artifacts_with_digest_size_and_the_run_that_was_looked_at(place: Place) -> None:
    house(place)
    write(place, plans__a="one", plans__b="two")
    found = seen(place)
    assert list(found) == ["plans/a.md", "plans/b.md"]
    assert found["plans/a.md"]["sha256"] == hashlib.sha256(b"one").hexdigest()
    assert found["plans/a.md"]["size"] == 3
    assert found["plans/a.md"]["run"] == place.json("run", "show", "@last")["run"]


def test_two_moments_say_which_artifacts_are_new_changed_or_gone(place: Place) -> None:
    house(place)
    write(place, plans__a="one", plans__b="two", plans__c="three")
    before = place.head()
    write(place, plans__a="other", plans__c="", plans__d="four")
    found = place.json("report", "--before", str(before))
    assert [(each["path"], each["change"]) for each in found["artifact_changes"]] == [
        ("plans/a.md", "changed"),
        ("plans/c.md", "removed"),
        ("plans/d.md", "new"),
    ]
    assert found["new_artifacts_created"] == ["plans/d.md"]
    text = place.ok("report", "--before", str(before)).text
    assert "artifact removed: plans/c.md" in text


def test_paths_alone_of_an_older_runtime_say_nothing_of_content(place: Place) -> None:
    house(place)
    write(place, plans__a="one")
    place.ok("snapshot", "--out", str(place.folder / "now.json"))
    old = json.loads((place.folder / "now.json").read_text())
    del old["hash"]
    old["artifact_files"] = ["plans/a.md", "plans/old.md"]
    (place.folder / "old.json").write_text(json.dumps(old))
    found = place.json("report", "--before", "old.json", "--after", "now.json")
    assert [(each["path"], each["change"]) for each in found["artifact_changes"]] == [("plans/old.md", "removed")]


def test_what_was_erased_is_not_known_any_more(place: Place) -> None:
    house(place)
    write(place, plans__a="one")
    place.ok("erase", "@last", "--yes")
    assert seen(place) == {}
