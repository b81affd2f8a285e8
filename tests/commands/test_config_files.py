"""Configuration files on top of each other: whose paths are whose, what replaces what, and which file said it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commands.config_files import Loaded, load, read
from commands.config_layers import absolute
from domain import errors
from domain.bounds import DOCUMENT_BYTES_MAX, EXTENDS_MAX, JSON_DEPTH_MAX
from tests.commands.place import Place
from tests.domain.test_old_config import EVERY
from tests.domain.test_old_profile import EVERY as EVERY_PROFILE

SCRIPT = {"mode": "script", "command": "./run.sh", "inheritEnv": "all", "allowTaskArgs": False}


def write(folder: Path, **files: object) -> Path:
    """Files by name (`_` is `.`), JSON from objects; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def refused(path: Path) -> errors.InvalidConfig:
    with pytest.raises(errors.InvalidConfig) as refusal:
        read(path)
    return refusal.value


# the old form


def test_an_old_file_with_every_key_loads_as_it_is(tmp_path: Path) -> None:
    """CF-7."""
    write(tmp_path / "profiles", helper_json=EVERY_PROFILE)
    config, loaded = read(write(tmp_path, old_json=EVERY) / "old.json")
    assert (config.runtime_name, config.retry.attempts, config.default_profile) == ("lumen", 5, "helper")
    assert config.artifact_dir == f"{tmp_path}/state/artifacts"
    codex, local, script = (config.adapters[name] for name in ("codex", "local", "script"))
    assert (codex.command, codex.working_dir) == ("codex", f"{tmp_path}/work")
    assert (codex.env_file, codex.timeout_s) == (f"{tmp_path}/codex.env", 900)
    assert (local.kind, local.endpoint, local.working_dir) == ("ollama", "http://127.0.0.1:11434", "")
    assert (script.command, script.working_dir) == (f"{tmp_path}/./run.sh", f"{tmp_path}/.")
    assert (config.profiles["helper"].program, config.profiles["helper"].adapter) == ("one_shot", "codex")
    assert len(loaded.warnings) == 11
    assert loaded.files == (str(tmp_path / "old.json"),)


def test_an_old_profile_whose_adapter_is_not_configured_gets_the_default_one(tmp_path: Path) -> None:
    """Section 5 of the old documentation: its default adapter, if that is configured."""
    write(tmp_path, p_json={"profile_id": "other", "default_adapter": "gone"})
    config, loaded = read(write(tmp_path, old_json={"runtimeName": "r", "profiles": {"p": "p.json"}}) / "old.json")
    assert config.profiles["p"].adapter == ""
    assert any("no adapter 'gone'; the default one is taken" in each for each in loaded.warnings)
    assert any("profile_id: is not used: old.json: profiles.p calls it 'p'" in each for each in loaded.warnings)


def test_a_new_profile_whose_adapter_is_not_configured_is_refused(tmp_path: Path) -> None:
    """CF-1; the message names the file of the profile."""
    write(tmp_path, p_toml='program = "one_shot"\nadapter = "gone"\n', rt_toml='profiles.p = "p.toml"\n')
    refusal = refused(tmp_path / "rt.toml")
    assert refusal.fields["where"] == f"{tmp_path}/p.toml: profiles.p.adapter"


def test_a_profile_in_a_file_may_have_the_new_form(tmp_path: Path) -> None:
    write(tmp_path, p_json={"role": "r", "program": "one_shot"}, q_toml='role = "s"\n')
    write(tmp_path, rt_toml='[profiles]\np = "p.json"\nq = "q.toml"\n')
    config, loaded = read(tmp_path / "rt.toml")
    assert (config.profiles["p"].role, config.profiles["q"].role) == ("r", "s")
    assert loaded.origins["profiles.q.role"] == f"{tmp_path}/q.toml"


def test_a_profile_that_is_not_there_is_named_with_who_names_it(tmp_path: Path) -> None:
    write(tmp_path, rt_toml='profiles.p = "gone.json"\n')
    refusal = refused(tmp_path / "rt.toml")
    assert refusal.fields["where"] == "rt.toml: profiles.p"
    assert f"{tmp_path}/gone.json: cannot be read" in str(refusal)


def test_a_profile_that_another_file_replaces_is_never_read(tmp_path: Path) -> None:
    write(tmp_path, base_json={"stateDir": "s", "profiles": {"p": "gone.json"}})
    write(tmp_path, rt_toml='extends = "base.json"\n[profiles.p]\nrole = "mine"\n')
    assert read(tmp_path / "rt.toml").config.profiles["p"].role == "mine"


# extends


def three_levels(tmp_path: Path) -> Loaded:
    """An old file, a new one on top of it, an old one on top of that; each in a folder of its own."""
    write(tmp_path / "base", p_json={"profile_id": "p", "role": "r"})
    write(
        tmp_path / "base",
        old_json={
            "runtimeName": "base", "artifactDir": "art", "defaultAdapter": "a", "maxAttempts": 7,
            "retryBackoffSeconds": 5, "profiles": {"p": "p.json"},
            "adapters": {"a": SCRIPT | {"envFile": "a.env"}, "b": SCRIPT | {"workingDir": "w", "env": {"K": "base"}}},
        },
    )  # fmt: skip
    write(
        tmp_path / "site",
        site_toml='extends = "../base/old.json"\nruntime_name = "site"\nworkspace = ""\n[work]\nconcurrency = 2\n'
        '[adapters.b]\nmerge = "deep"\nsettings_file = ""\nenv = { L = "site" }\n'
        '[adapters.c]\ncommand = "./c"\n[workflows]\nw = "w.toml"\n',
    )
    write(
        tmp_path / "host",
        rt_json={
            "extends": str(tmp_path / "site/site.toml"), "maxAttempts": 9,
            "adapters": {"a": SCRIPT | {"command": "bin/a"}, "d": SCRIPT | {"command": "plain"}},
        },
    )  # fmt: skip
    return load(tmp_path / "host/rt.json")


def test_files_of_three_levels_and_both_forms_are_one_configuration(tmp_path: Path) -> None:
    """CF-7: chains, each file's paths from its own folder, adapters and profiles by their names."""
    three_levels(tmp_path)
    config = read(tmp_path / "host/rt.json").config
    base, site, host = f"{tmp_path}/base", f"{tmp_path}/site/../base", f"{tmp_path}/host"
    assert (config.runtime_name, config.default_adapter, config.work.concurrency) == ("site", "a", 2)
    assert (config.retry.attempts, config.retry.backoff_s) == (9, 5), "each setting by itself, as it was"
    assert config.artifact_dir == f"{site}/art"
    assert list(config.adapters) == ["a", "b", "c", "d"]
    a, b, c, d = config.adapters.values()
    assert (a.command, a.working_dir, a.env_file) == (f"{host}/bin/a", host, ""), "replaced whole"
    assert (b.command, b.working_dir) == (f"{site}/./run.sh", f"{site}/w"), "changed in part"
    assert b.env == {"K": "base", "L": "site"}
    assert (c.command, c.working_dir) == (f"{tmp_path}/site/./c", f"{tmp_path}/site")
    assert (d.command, d.working_dir) == ("plain", host), "a name is looked up"
    assert config.workflows == {"w": f"{tmp_path}/site/w.toml"}
    assert config.profiles["p"].role == "r"
    assert Path(config.artifact_dir).resolve().parent == Path(base)


def test_every_value_knows_its_file(tmp_path: Path) -> None:
    """CF-5."""
    loaded = three_levels(tmp_path)
    short = {Path(file).name for file in loaded.origins.values()}
    assert short == {"old.json", "site.toml", "rt.json", "p.json"}
    names = {
        "runtime_name": "site.toml", "default_adapter": "old.json", "retry.attempts": "rt.json",
        "retry.backoff_s": "old.json", "adapters.a.command": "rt.json", "adapters.b.command": "old.json",
        "adapters.b.env.K": "old.json", "adapters.b.env.L": "site.toml", "adapters.b.working_dir": "old.json",
        "adapters.c.working_dir": "site.toml", "work.concurrency": "site.toml", "profiles.p.role": "p.json",
    }  # fmt: skip
    assert {key: Path(loaded.origins[key]).name for key in names} == names
    assert [Path(file).name for file in loaded.files] == ["rt.json", "site.toml", "old.json"]


def test_a_home_folder_is_a_folder_and_a_variable_is_nothing_special(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CF-4."""
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    write(tmp_path / "me", base_toml='artifact_dir = "~/art"\nruntime_name = "${HOME}"\n')
    write(tmp_path, rt_toml='extends = "~/base.toml"\n[adapters.a]\ncommand = "~/bin/a"\nenv_file = "$HOME/x"\n')
    config = read(tmp_path / "rt.toml").config
    assert (config.artifact_dir, config.runtime_name) == (f"{tmp_path}/me/art", "${HOME}")
    assert config.adapters["a"].command == f"{tmp_path}/me/bin/a"
    assert config.adapters["a"].env_file == f"{tmp_path}/$HOME/x"


def test_values_of_variables_are_no_paths(tmp_path: Path) -> None:
    write(tmp_path, rt_toml='[adapters.a]\ncommand = "x"\nargs = ["./y"]\nenv = { P = "./z", Q = "~/q" }\n')
    found = read(tmp_path / "rt.toml").config.adapters["a"]
    assert (found.args, found.env) == (("./y",), {"P": "./z", "Q": "~/q"})


@pytest.mark.parametrize(
    ("table", "pick"),
    [
        ('[controllers.c]\nkind = "command"\nargv = ["./x", "./y"]', lambda config: config.controllers["c"].argv),
        ('[sensors.s]\nargv = ["./x", "./y"]', lambda config: config.sensors["s"].argv),
        ('[credentials]\nresolver = "command"\nargv = ["./x", "./y"]', lambda config: config.credentials.argv),
        (
            '[outbox.destinations.d]\nkind = "command"\nargv = ["./x", "./y"]',
            lambda config: config.outbox.destinations["d"].argv,
        ),
    ],
)
def test_programs_of_an_inherited_file_stay_where_they_are(tmp_path: Path, table: str, pick: Any) -> None:  # noqa: ANN401
    write(tmp_path / "base", base_toml=table)
    write(tmp_path, rt_toml='extends = "base/base.toml"\n')
    assert pick(read(tmp_path / "rt.toml").config) == (f"{tmp_path}/base/./x", "./y")


def test_a_workspace_of_an_inherited_file_is_found_there(tmp_path: Path) -> None:
    write(tmp_path / "base/agents", a_yaml="kind: agent\nmetadata: {name: helper}\nspec: {description: d}\n")
    write(tmp_path / "base", base_toml='workspace = "agents"\n')
    write(tmp_path, rt_toml='extends = "base/base.toml"\n[profiles.mine]\n')
    config, loaded = read(tmp_path / "rt.toml")
    assert list(config.profiles) == ["helper", "mine"]
    assert loaded.origins["profiles.helper.description"] == f"{tmp_path}/base/agents"


@pytest.mark.parametrize("blank", ['""', '"  "'])
def test_a_blank_parent_is_none(tmp_path: Path, blank: str) -> None:
    write(tmp_path, rt_toml=f"extends = {blank}\n")
    assert load(tmp_path / "rt.toml").files == (f"{tmp_path}/rt.toml",)


def test_a_cycle_names_the_whole_chain(tmp_path: Path) -> None:
    write(tmp_path, a_toml='extends = "b.toml"', b_toml='extends = "c.toml"', c_toml='extends = "./b.toml"')
    refusal = refused(tmp_path / "a.toml")
    assert refusal.fields["where"] == f"{tmp_path}/c.toml: extends"
    assert f"leads back: a.toml -> {tmp_path}/b.toml -> {tmp_path}/c.toml -> {tmp_path}/b.toml" in str(refusal)


def test_a_cycle_through_a_link_is_a_cycle(tmp_path: Path) -> None:
    write(tmp_path, a_toml='extends = "link.toml"')
    (tmp_path / "link.toml").symlink_to("a.toml")
    assert "leads back" in str(refused(tmp_path / "a.toml"))


def test_a_chain_has_an_end(tmp_path: Path) -> None:
    for at in range(EXTENDS_MAX + 1):
        write(tmp_path, **{f"n{at}_toml": f'extends = "n{at + 1}.toml"\n' if at < EXTENDS_MAX else ""})
    assert len(load(tmp_path / "n1.toml").files) == EXTENDS_MAX
    assert f"more than {EXTENDS_MAX} files: n0.toml -> " in str(refused(tmp_path / "n0.toml"))


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ('extends = "gone.toml"', "rt.toml: extends", "gone.toml: cannot be read"),
        ('extends = "folder"', "rt.toml: extends", "cannot be read"),
        ('extends = ["a", "b"]', "rt.toml: extends", "expected one path"),
        ('extends = "a\\u0000b"', "rt.toml: extends", "NUL"),
        ('extends = "~nobody-of-that-name/x"', "rt.toml: extends", "no such user"),
        ('artifact_dir = "a\\u0000b"', "rt.toml: artifact_dir", "NUL"),
        ('[adapters.x]\ncommand = "./a\\u0000b"', "rt.toml: adapters.x.command", "NUL"),
        ('[adapters.x]\nmerge = "shallow"\ncommand = "x"', "rt.toml: adapters.x.merge", "one of: deep, replace"),
        ("[adapters.x]\nmerge = true", "rt.toml: adapters.x.merge", "one of: deep, replace"),
        ('adapters = "x"', "rt.toml: adapters", "expected `object`"),
        ("profiles.p = 5", "rt.toml: profiles.p", "expected `object`"),
        ('[adapters.x]\nkind = ["script"]', "rt.toml: adapters.x.kind", ""),
        (f"{'a.' * (JSON_DEPTH_MAX + 1)}b = 1", "rt.toml", "nested deeper"),
        (f"a = {'[' * 80}{']' * 80}", "rt.toml", "nested deeper"),
        (f"{'a.' * 5_000}b = 1", "rt.toml", "nested deeper"),
    ],
)
def test_a_wrong_file_is_refused_with_its_field(tmp_path: Path, text: str, where: str, why: str) -> None:
    """CF-1."""
    (tmp_path / "folder").mkdir()
    refusal = refused(write(tmp_path, rt_toml=text) / "rt.toml")
    assert refusal.fields["where"] == where
    assert why in str(refusal.fields["why"])


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ('{"a": 1, "a": 2}', "x.json", "'a' stands there twice"),
        ('{"runtimeName": NaN}', "x.json", "NaN"),
        ('{"runtimeName": "\\ud800"}', "x.json: runtimeName", "does not parse"),
        ("[]", "x.json: the document", "expected an object"),
        ("{", "x.json", "does not parse"),
        ("[" * 100_000, "x.json", "nested deeper"),
        (f'{{"runtimeName": "{"x" * DOCUMENT_BYTES_MAX}"}}', "x.json", f"more than {DOCUMENT_BYTES_MAX} bytes"),
    ],
    ids=["twice", "nan", "surrogate", "list", "cut", "deep", "large"],
)
def test_a_broken_json_file_is_refused(tmp_path: Path, text: str, where: str, why: str) -> None:
    refusal = refused(write(tmp_path, x_json=text) / "x.json")
    assert refusal.fields["where"] == where
    assert why in str(refusal.fields["why"])


@pytest.mark.parametrize(
    ("base", "where"),
    [
        ("[retry]\nattemps = 3\n", "retry"),
        ("wrok = 3\n", "the document"),
        ('[adapters.a]\ncommand = "x"\ntimeout_s = -1\n', "adapters.a.timeout_s"),
        ('[adapters.a]\ncommand = "x"\nfallback = "b"\n', "adapters.a.fallback"),
        ('[[policies]]\nid = "a"\neffect = "maybe"\n', "policies[0].effect"),
        ("[workflows]\nw = 5\n", "workflows.w"),
    ],
)
def test_a_problem_is_told_of_the_file_that_says_it(tmp_path: Path, base: str, where: str) -> None:
    """CF-1: every error names file and key path."""
    write(tmp_path, base_toml=base, rt_toml='extends = "base.toml"\n[work]\nconcurrency = 3\n')
    assert refused(tmp_path / "rt.toml").fields["where"] == f"{tmp_path}/base.toml: {where}"
    assert refused(tmp_path / "base.toml").fields["where"] == f"base.toml: {where}"


# what replaces what


def merged(tmp_path: Path, base: str, top: str) -> dict[str, Any]:
    write(tmp_path, base_toml=base, rt_toml=f'extends = "base.toml"\n{top}')
    return load(tmp_path / "rt.toml").document


def test_an_entry_of_the_same_name_is_replaced_whole(tmp_path: Path) -> None:
    """CF-3: the default."""
    made = merged(tmp_path, "[models.m]\na = 1\nb = 2\n[models.n]\na = 3\n", "[models.m]\nb = 4\n")
    assert made["models"] == {"m": {"b": 4}, "n": {"a": 3}}
    made = merged(tmp_path, "[models.m]\na = 1\n", '[models.m]\nmerge = "replace"\nb = 4\n')
    assert made["models"] == {"m": {"b": 4}}


def test_an_entry_goes_into_that_of_the_same_name_where_it_says_so(tmp_path: Path) -> None:
    """CF-3: key by key, at every depth."""
    made = merged(
        tmp_path,
        "[profiles.p]\nrole = 'r'\nprompt = ['a']\n[profiles.p.limits]\nx = 1\ny = 2\n",
        "[profiles.p]\nmerge = 'deep'\nprompt = ['b']\n[profiles.p.limits]\ny = 3\n",
    )
    assert made["profiles"] == {"p": {"role": "r", "prompt": ["b"], "limits": {"x": 1, "y": 3}}}


def test_an_entry_that_has_nothing_to_go_into_stands_for_itself(tmp_path: Path) -> None:
    made = merged(tmp_path, "", "[adapters.a]\nmerge = 'deep'\ncommand = 'x'\n")
    assert made["adapters"] == {"a": {"command": "x", "working_dir": str(tmp_path)}}
    made = merged(tmp_path, "profiles.p = 5\n", "[profiles.p]\nmerge = 'deep'\nrole = 'r'\n")
    assert made["profiles"] == {"p": {"role": "r"}}


def test_an_entry_goes_into_a_profile_that_stands_in_a_file(tmp_path: Path) -> None:
    write(tmp_path, p_json={"profile_id": "p", "role": "r", "system_prompt_parts": ["a"], "default_adapter": "gone"})
    base, top = 'profiles.p = "p.json"\n', '[profiles.p]\nmerge = "deep"\nrole = "mine"\n'
    assert merged(tmp_path, base, top)["profiles"]["p"] == {"program": "one_shot", "prompt": ["a"], "role": "mine"}
    merged(tmp_path, base, top + 'adapter = "lost"\n')
    assert refused(tmp_path / "rt.toml").fields["where"] == "rt.toml: profiles.p.adapter", "this one is a mistake"


def test_settings_are_replaced_one_by_one_and_lists_whole(tmp_path: Path) -> None:
    made = merged(
        tmp_path,
        "blocked_phrases = ['ab', 'cd']\n[retry]\nattempts = 5\nbackoff_s = 1\n[routing]\ndefault = 'x'\n",
        "blocked_phrases = ['ef']\n[retry]\nbackoff_s = 2\n[routing]\nsticky = false\n",
    )
    assert made == {
        "blocked_phrases": ["ef"], "retry": {"attempts": 5, "backoff_s": 2}, "routing": {"sticky": False},
    }  # fmt: skip


def test_a_table_of_settings_goes_into_that_below_it_where_it_says_so(tmp_path: Path) -> None:
    """CF-3."""
    base, top = "[routing]\ndefault = 'x'\nmodel = 'm'\n", "[routing]\nmerge = 'deep'\nmodel = 'n'\n"
    assert merged(tmp_path, base, top)["routing"] == {"default": "x", "model": "n"}


@pytest.mark.parametrize(
    ("base", "top", "on"),
    [
        ({"enabled": True}, None, True),
        ({"enabled": True}, {"enabled": False}, False),
        ({"enabled": True}, {"host": "h"}, False),
        ({"enabled": True}, {"merge": "deep", "host": "h"}, True),
        ({"enabled": True}, {"merge": "deep", "enabled": False}, False),
        ({"host": "h"}, {"merge": "deep", "enabled": True}, True),
        (None, None, False),
    ],
)
def test_the_old_job_queue_is_refused_where_it_is_on_in_the_end(
    tmp_path: Path,
    base: object,
    top: object,
    on: bool,  # noqa: FBT001  # a table
) -> None:
    """CF-3: the block is replaced whole, or merged where it says so."""
    write(tmp_path, base_json={"runtimeName": "r", "substrate": base})
    write(tmp_path, top_json={"runtimeName": "t", "extends": "base.json", "substrate": top})
    if on:
        assert "no bridge to this job queue" in str(refused(tmp_path / "top.json"))
    else:
        assert read(tmp_path / "top.json").config.runtime_name == "t"


NAMES = st.sampled_from(["extends", "adapters", "profiles", "merge", "kind", "mode", "workspace", "substrate", "a"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "deep", "script", "~", "./x", "x.json", "codex"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(base=st.dictionaries(NAMES, VALUES, max_size=3), top=st.dictionaries(NAMES, VALUES, max_size=3))
def test_any_two_files_are_read_or_refused(tmp_path: Path, base: dict[str, Any], top: dict[str, Any]) -> None:
    write(tmp_path, base_json=base, x_json=top | {"extends": "base.json"})
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(tmp_path / "home"))  # "~" is one of the values
            found = str(read(tmp_path / "x.json").config)
    except errors.InvalidConfig as refusal:
        found = str(refusal.fields["where"])
    assert found


def test_an_absolute_path_stays_as_it_is() -> None:
    assert absolute("/a/../b", "/folder", "") == "/a/../b"
    assert absolute("b/../c", "/folder", "") == "/folder/b/../c"


# the commands


OLD = {"runtimeName": "r", "stateDir": "s", "adapters": {"a": SCRIPT | {"env": {"API_KEY": "abcdefgh", "M": "seen"}}}}


def test_every_shown_value_that_is_no_default_names_its_file(place: Place) -> None:
    """CF-5."""
    write(place.folder, base_json=OLD)
    place.config('extends = "base.json"\n[retry]\nattempts = 4\n')
    lines = dict(line.split(" = ", 1) for line in place.ok("config", "show").text.splitlines())
    base, own = place.folder / "base.json", place.folder / "rt.toml"
    assert lines["runtime_name"] == f"'r'    # {base}"
    assert lines["retry.attempts"] == f"4    # {own}"
    assert lines["retry.backoff_s"] == "60.0", "a default"
    assert lines["adapters.a.env.API_KEY"] == f"'***'    # {base}"
    assert lines["adapters.a.env.M"] == f"'seen'    # {base}"
    assert "adapters.a.probe" not in lines, "nobody said it"
    found = place.json("config", "show")
    assert found["origins"]["runtime_name"] == str(base)
    assert found["adapters"]["a"]["probe"] is True
    assert found["files"] == [str(own), str(base)]
    assert "abcdefgh" not in json.dumps(found)


def test_a_secret_is_masked_wherever_it_stands(place: Place) -> None:
    """CF-5: by the name of what holds it, and by its value."""
    place.config(
        '[secrets]\nenv = ["PLAIN"]\n[sensors.s]\nargv = ["x", "--with=hunter22"]\nenv = { MY_TOKEN = "t0ken-value" }\n'
        '[outbox.destinations.d]\nurl = "https://example.org/hunter22"\nheaders = { Authorization = "Basic xyz123" }\n'
    )
    for argv in (("config", "show"), ("config", "show", "--json")):
        done = place.rt(*argv, env={"PLAIN": "hunter22"})
        assert done.code == 0, done
        assert "https://example.org/***" in done.text
        assert not [secret for secret in ("hunter22", "t0ken-value", "xyz123") if secret in done.text]


def test_the_file_is_named_and_nothing_where_there_is_none(place: Place) -> None:
    done = place.ok("config", "path")
    assert (done.text, "the defaults" in done.errors) == ("", True)
    assert place.json("config", "path")["file"] == ""
    assert place.files() == set()
    place.config("not toml")
    assert place.ok("config", "path").text == f"{place.folder}/rt.toml\n", "also of a broken one: to mend it"


def test_a_check_tells_what_will_not_work(place: Place) -> None:
    """CF-6, and programs that are not there."""
    write(place.folder, base_json=OLD)
    place.config(
        'extends = "base.json"\n[controllers.c]\nkind = "command"\nargv = ["./gone", "x"]\n'
        '[adapters.s]\ncommand = "sh"\nenv_file = "gone.env"\n[profiles.p]\nprogram = "one_shot"\nstyle = "codx-like"\n'
    )
    text = place.ok("config", "check").text
    for words in (
        "base.json: stateDir: is not used",
        f"controllers.c.argv: {place.folder}/./gone is not there or not executable",
        f"adapters.a.command: {place.folder}/./run.sh is not there",
        f"adapters.s.env_file: {place.folder}/gone.env is not there",
        "profiles.p.style: 'codx-like' has no rules of its own; did you mean 'codex-like'?",
    ):
        assert text.count(words) == 1, (words, text)
    assert text.endswith(f"good: {place.folder}/rt.toml, adapters: command, a, s\n")
    assert len(place.json("config", "check")["warnings"]) == 5
    assert place.ok("config", "check").errors == "", "said once"


def test_a_check_names_folders_and_files_without_which_a_run_would_fail(place: Place) -> None:
    place.config(
        '[adapters.s]\ncommand = "sh"\nworking_dir = "gone"\n[adapters.t]\ncommand = "sh"\nworking_dir = "here"\n'
        '[workflows]\nw = "gone.toml"\n[skills]\na = "nowhere"\nb = "here"\n'
    )
    (place.folder / "here").mkdir()
    assert place.json("config", "check")["warnings"] == [
        f"adapters.s.working_dir: {place.folder}/gone is not there",
        f"workflows.w: {place.folder}/gone.toml is not there",
        f"skills.a: {place.folder}/nowhere is not there",
    ]


def test_another_file_can_be_checked(place: Place) -> None:
    place.config("not toml")
    write(place.folder, other_json=OLD, wrong_json={"runtimName": "r", "stateDir": "s"})
    assert place.json("config", "check", "other.json")["file"] == f"{place.folder}/other.json"
    done = place.rt("config", "check", "wrong.json", "--json")
    assert (done.code, done.error["code"]) == (2, "config.invalid")
    assert "wrong.json: unknown field 'runtimName'; did you mean 'runtimeName'?" in done.error["message"]


def test_work_is_done_with_an_old_file_and_its_warnings_are_counted(place: Place) -> None:
    """CF-7."""
    place.script("run.sh", '#!/bin/sh\necho "{\\"status\\": \\"completed\\", \\"operator_summary\\": \\"$PWD\\"}"\n')
    old = OLD | {"logDir": "l", "dbPath": "d", "lockPath": "k", "defaultAdapter": "a"}
    write(place.folder, old_json=old, few_json=OLD)
    task = {"kind": "k", "source": "s", "payload": {}}
    place.ok("intake", "--config", "old.json", json.dumps(task))
    done = place.ok("work", "--until-idle", "--config", "old.json", "--json")
    assert done.document["runs"] == 1
    assert f"warning: old.json: 4 warnings; rt config check {place.folder}/old.json tells them" in done.errors
    assert place.task("@last")["status"] == "completed"
    assert "warning: few.json: stateDir: is not used" in place.ok("do", "--config", "few.json", "--", "true").errors


def test_help_needs_no_configuration(place: Place) -> None:
    """CF-2."""
    place.config("not toml")
    assert "check" in place.ok("config", "--help").text
    assert place.ok("--version").text
