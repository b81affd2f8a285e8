"""A workspace folder: plain values only, bounded, and what is wrong is said with file and name."""

from pathlib import Path
from typing import Any

import pytest

from adapters.workspace import read
from commands.home import read_config
from domain import errors
from domain.bounds import DOCUMENT_BYTES_MAX, WORKSPACE_FILES_MAX
from domain.workspace import KINDS, compile_workspace

HARNESS = """\
kind: workspace
metadata: {name: w}
spec:
  defaultAgent: helper
  routing: {sticky: false, rules: [{profile: helper, phrases: [help me]}]}
  concurrency: {maxConcurrentRuns: 2}
  policies: [{id: no-rm, effect: deny, match: {agent: helper, tool: shell, arguments: {command: rm}}}]
---
kind: agent-context
spec: Be kind.
---
kind: model
metadata: {name: m}
spec: {provider: openai, baseUrl: "http://127.0.0.1:1/v1", model: tiny, keyRef: TINY_KEY}
---
kind: Agent
metadata: {name: helper}
spec:
  description: helps
  hostFacing: false
  executionMode: direct
  model: m
  tools: [shell]
  approvals: {shell: ask}
  limits: {decisions: 7}
---
kind: tool
metadata: {name: shell}
spec: {kind: process, timeout: 5, effect: once}
---
kind: policy
metadata: {name: asks}
spec: {effect: ask, match: {agent: "*", tool: shell}}
"""


def compiled(folder: Path, text: str | bytes, name: str = "a.yaml") -> dict[str, Any]:
    """What a folder with this one file says."""
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return compile_workspace(read(folder))[0]


def refused(folder: Path, text: str | bytes, name: str = "a.yaml") -> str:
    """Why it is refused: the message, which begins with the file."""
    with pytest.raises(errors.InvalidConfig) as found:
        compiled(folder, text, name)
    assert str(found.value).startswith(name)
    return str(found.value)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system [touch x]",
        "kind: !!python/name:os.system",
        "a: !foo x",
        "!!map [a]",
        "!!map x",
        "a: !!timestamp abc",
        "a: !!bool foo",
        "a: !!int ''",
        "a: !!float x",
        "a: !!binary '*'",
        "a: !!omap [a]",
        "a: !!pairs [a]",
        "!!set {a}",
        "? [a]\n: b",
        "a: [",
        "\x00",
        b"\xff\xfe\x00",
        "%YAML 9.9\n---\na: 1",
    ],
)
def test_what_is_no_plain_value_builds_nothing_and_is_refused(tmp_path: Path, text: str | bytes) -> None:
    refused(tmp_path, text)
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


@pytest.mark.parametrize("text", ["a: &x 1\nb: *x", "a: &x [*x]", "<<: &x {kind: tool}\nb: {<<: *x}"])
def test_aliases_are_refused_before_they_can_grow(tmp_path: Path, text: str) -> None:
    assert "parse" in refused(tmp_path, text)


def test_a_few_lines_that_stand_for_gigabytes_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 30)]
    assert "aliases" in refused(tmp_path, "\n".join(lines))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "kind: tool\nkind: agent"),
        ("a.yaml", "kind: tool\n'kind': agent"),
        ("a.yaml", "kind: tool\nspec: {a: 1, a: 2}"),
        ("a.json", '{"kind":"tool","kind":"agent"}'),
        ("a.json", '{"kind":"tool","spec":{"a":1,"a":2}}'),
        ("a.toml", 'kind = "tool"\nkind = "agent"'),
    ],
)
def test_a_key_that_stands_there_twice_is_refused(tmp_path: Path, name: str, text: str) -> None:
    said = refused(tmp_path, text, name)
    assert "twice" in said or (name == "a.toml" and "overwrite" in said), said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "1: a"),
        ("a.yaml", "on: a"),
        ("a.yaml", "a: 2024-01-01"),
        ("a.yaml", "- a"),
        ("a.yaml", "a: " + "[" * 65 + "]" * 65),
        ("a.yaml", "a: " + "[" * 5000 + "]" * 5000),
        ("a.json", '{"a":' * 100_000),
        ("a.json", "[1]"),
        ("a.json", '{"kind":"agent","metadata":{"name":"a"},"spec":{"description":"\\ud800"}}'),
        ("a.toml", "a = 1979-05-27"),
        ("a.yaml", "#" * (DOCUMENT_BYTES_MAX + 1)),
    ],
    ids=lambda each: each[:20],
)
def test_what_is_too_deep_too_large_or_no_object_is_refused(tmp_path: Path, name: str, text: str) -> None:
    said = refused(tmp_path, text, name)
    assert any(why in said for why in ("expected an object", "bytes; at most", "does not parse")), said


def test_what_is_no_folder_and_a_folder_of_too_many_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidConfig, match="is not a folder"):
        read(tmp_path / "nowhere")
    for number in range(WORKSPACE_FILES_MAX + 1):
        (tmp_path / f"{number}.yaml").touch()
    with pytest.raises(errors.InvalidConfig, match="at most"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("kind: nope", ["'nope'", *KINDS]),
        ("spec: {}", ["None"]),
        ("kind: agent", ["metadata.name"]),
        ("kind: agent\nmetadata: []", ["metadata"]),
        ("kind: agent\nmetadata: {name: a}\nbogus: 1", ["bogus"]),
        ("kind: agent\nmetadata: {name: a}\nspec: {bogus: 1}", ["'a'", "bogus"]),
        ("kind: agent\nmetadata: {name: a}\nspec: {delegates: [b]}", ["'a'", "delegates"]),
        ("kind: agent\nmetadata: {name: a}\nspec: {limits: {bogus: 1}}", ["'a'", "bogus", "budgets"]),
        ("kind: agent\nmetadata: {name: a}\nspec: {executionMode: fast}", ["executionMode", "orchestra"]),
        ("kind: agent\nmetadata: {name: a}\nspec: words", ["'a'"]),
        ("kind: agent\nmetadata: {name: a}\nspec: {middleware: [{kind: magic}]}", ["'a'", "magic"]),
        ("kind: tool\nmetadata: {name: t}\nspec: {kind: python}", ["'t'", "python"]),
        ("kind: tool\nmetadata: {name: t}\nspec: {kind: [x]}", ["'t'", "kind"]),
        ("kind: model\nmetadata: {name: m}\nspec: {baseUrl: 'ftp://x', model: y}", ["'m'", "base_url"]),
        ("kind: policy\nmetadata: {name: p}\nspec: {effect: maybe}", ["'p'", "maybe"]),
        ("kind: policy\nmetadata: {name: p}\nspec: {effect: allow, match: [x]}", ["match"]),
        ("kind: policy\nmetadata: {name: p}\nspec: {effect: allow, match: {risk: x}}", ["'p'", "risk"]),
        ("kind: workspace\nspec: {bogus: 1}", ["spec.bogus"]),
        ("kind: workspace\nspec: {maintenance: {}}", ["spec.maintenance"]),
        ("kind: workspace\nspec: {routing: [x]}", ["spec.routing"]),
        ("kind: workspace\nspec: {concurrency: 3}", ["spec.concurrency"]),
        ("kind: workspace\nspec: {concurrency: {slots: 3}}", ["slots"]),
        ("kind: workspace\nspec: {policies: x}", ["spec.policies"]),
        ("kind: workspace\nspec: {policies: [{id: p, effect: maybe}]}", ["'p'", "maybe"]),
        ("kind: agent-context\nspec: {}", ["spec.text"]),
    ],
)
def test_what_rt_cannot_do_is_refused_with_file_and_name(tmp_path: Path, text: str, named: list[str]) -> None:
    message = refused(tmp_path, text)
    assert all(name in message for name in named), message


def test_a_second_document_of_a_name_is_refused_with_its_place(tmp_path: Path) -> None:
    one = "kind: agent\nmetadata: {name: a}\nspec: {}\n"
    assert "(document 2)" in refused(tmp_path, f"{one}---\n{one}")
    (tmp_path / "a.yaml").write_text(one)
    assert "'a'" in refused(tmp_path, one, "b.yml")


def test_what_the_harness_has_and_rt_does_otherwise_is_accepted_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "kind: vector-store\nmetadata: {name: v}\n---\nkind: workspace\nspec: {recovery: {}}"
    )
    made, warnings = compile_workspace(read(tmp_path))
    assert made == {}
    assert ["vector-store" in warnings[0], "recovery" in warnings[1], len(warnings)] == [True, True, 2]


def test_the_old_key_names_load(tmp_path: Path) -> None:
    made = compiled(tmp_path, HARNESS)
    assert made["profiles"]["helper"] == {
        "description": "helps", "host_facing": False, "tools": ["shell"], "approvals": {"shell": "ask"},
        "budgets": {"decisions": 7}, "controller": "m", "program": "chat", "prompt": ["Be kind."],
    }  # fmt: skip
    assert made["models"] == {"m": {"base_url": "http://127.0.0.1:1/v1", "name": "tiny", "key_env": "TINY_KEY"}}
    assert made["tools"] == {"shell": {"kind": "local-process", "timeout_s": 5, "effect": "once"}}
    assert made["work"] == {"max_runs": 2}
    assert (made["routing"]["default"], made["routing"]["sticky"]) == ("helper", False)
    assert [each["id"] for each in made["policies"]] == ["no-rm", "asks"]


def test_a_workspace_is_part_of_the_configuration_and_what_stands_in_the_file_wins(tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "all.yaml").write_text(HARNESS)
    file = tmp_path / "rt.toml"
    file.write_text('workspace = "agents"\n[work]\nconcurrency = 3\n[profiles.helper]\ndescription = "mine"\n')
    config = read_config(file)
    assert (config.work.max_runs, config.work.concurrency) == (2, 3)
    assert config.profiles["helper"].description == "mine"
    assert [each.id for each in config.policies] == ["no-rm", "asks"]
    (folder / "more.json").write_text('{"kind":"agent","metadata":{"name":"x"},"spec":{"tools":["nope"]}}')
    with pytest.raises(errors.InvalidConfig, match=r"profiles\.x\.tools"):
        read_config(file)


def test_the_same_keys_in_yaml_json_and_toml_are_the_same(tmp_path: Path) -> None:
    texts = {
        "a.yaml": "kind: tool\nmetadata: {name: t}\nspec: {kind: ssh, hosts: [h]}",
        "a.json": '{"kind":"tool","metadata":{"name":"t"},"spec":{"kind":"ssh","hosts":["h"]}}',
        "a.toml": 'kind = "tool"\n[metadata]\nname = "t"\n[spec]\nkind = "ssh"\nhosts = ["h"]\n',
    }
    found = []
    for name, text in texts.items():
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        found.append(compiled(folder, text, name))
    assert found[0] == found[1] == found[2] == {"tools": {"t": {"kind": "ssh-command", "hosts": ["h"]}}}


def test_a_folder_that_holds_everything_is_no_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking through it is bounded too, whatever the names in it."""
    monkeypatch.setattr("adapters.workspace.WORKSPACE_ENTRIES_MAX", 5)
    for number in range(6):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(errors.InvalidConfig, match="more than 5 files and folders"):
        read(tmp_path)
