"""Every misconfiguration of agents is an error that names the file, the field, and what was expected."""

import tomllib

import pytest

from domain import errors
from domain.agent_checks import check
from domain.config import Config, parse

MODEL = '[models.m]\nbase_url = "http://127.0.0.1:1/v1"\nname = "m"\n'
RULES = '[controllers.c]\nkind = "rules"\nrules = '
COMMAND = '[controllers.c]\nkind = "command"\nargv = ["x"]\n'
HTTP = '[tools.t]\nkind = "http-request"\n'
ASK = '[[policies]]\nid = "a"\neffect = "ask"\n'


def problem(text: str) -> str:
    with pytest.raises(errors.InvalidConfig) as caught:
        accept(text)
    return str(caught.value)


def accept(text: str) -> Config:
    found = parse(tomllib.loads(text), "rt.toml")
    check(found, "rt.toml")
    return found


@pytest.mark.parametrize(
    "text",
    [
        MODEL + "[models.m.prices]\nversion = '1'\ninput_usd_per_million = 1\noutput_usd_per_million = 2",
        MODEL + '[profiles.p]\nprogram = "chat"\ncontroller = "m"\n',
        '[models.m]\nbase_url = "https://[::1]:8/v1/"\nname = "m"\n',
        HTTP + 'hosts = ["https://API.example.com:8443"]\nmethods = ["POST"]\n',
        '[tools.t]\nkind = "ssh-command"\nhosts = ["me@box"]\n',
        COMMAND + "timeout_s = 1\n",
        RULES + '[{when = "exit:ok", then = "finish"}, {when = "phrase:ready", then = "wait"}]',
        ASK + "expires_s = 5\n[[policies]]\nid = 'b'\neffect = 'deny'\ntool = 'local-*'\n",
        '[[routing.rules]]\nprofile = "watch"\nkind = "x"\n',
    ],
)
def test_what_is_right_is_accepted(text: str) -> None:
    assert accept(text) != Config(), "and it is not read as nothing"


@pytest.mark.parametrize(
    ("text", "field", "why"),
    [
        (MODEL + "timeout_s = nan", "models.m.timeout_s", "expected"),
        (MODEL + "timeout_s = inf", "models.m.timeout_s", "expected"),
        (MODEL + "timeout_s = 0", "models.m.timeout_s", "expected more than 0"),
        (MODEL + "max_tokens = 0", "models.m.max_tokens", "expected `int` >= 1"),
        (MODEL + "streem = true", "models.m", "did you mean 'stream'"),
        (MODEL + 'key_env = "a b"', "models.m.key_env", "expected"),
        ('[models.m]\nname = "m"', "models.m", "missing required field `base_url`"),
        ('[models.m]\nbase_url = "ftp://h"\nname = "m"', "models.m.base_url", "expected"),
        ('[models.m]\nbase_url = "http://"\nname = "m"', "models.m.base_url", "expected http(s)://host"),
        ('[models.m]\nbase_url = "http://a b"\nname = "m"', "models.m.base_url", "expected http(s)://host"),
        ('[models.m]\nbase_url = "http://me:pw@h/v1"\nname = "m"', "models.m.base_url", "without a user"),
        ('[models.m]\nbase_url = "http://h/v1?key=1"\nname = "m"', "models.m.base_url", "without a user or a query"),
        (MODEL + '[controllers.m]\nkind = "rules"', "controllers.m", "another name"),
        ('[controllers.c]\nkind = "openai"', "controllers.c.model", "there are: qwen, openai"),
        ('[controllers.c]\nkind = "command"', "controllers.c.argv", "needs a program"),
        ('[controllers.c]\nkind = "command"\nargv = [""]', "controllers.c.argv", "needs a program"),
        ('[controllers.c]\nkind = "command"\nargv = ["a\\u0000"]', "controllers.c.argv", "NUL"),
        (COMMAND + "timeout_s = 0", "controllers.c.timeout_s", "expected more than 0"),
        ('[controllers.c]\nkind = "magic"', "controllers.c.kind", "'magic'"),
        (RULES + '[{when = "zz", then = "wait"}]', "controllers.c.rules[0].when", "none of: start"),
        (RULES + '[{when = "exit:maybe", then = "wait"}]', "controllers.c.rules[0].when", "expected exit:ok or failed"),
        (RULES + '[{when = "phrase:", then = "wait"}]', "controllers.c.rules[0].when", "expected phrase:PHRASE"),
        (RULES + '[{when = "start", then = "tool", calls = [{x = 1}]}]', "controllers.c.rules[0].calls[0]", "`tool`"),
        (
            RULES + '[{when = "start", then = "wait", id = "rule-2"}, {when = "idle", then = "wait"}]',
            "controllers.c.rules",
            "same id",
        ),
        (HTTP, "tools.t.hosts", "needs the hosts"),
        (HTTP + 'hosts = ["example.com"]', "tools.t.hosts[0]", "expected http(s)://host"),
        (HTTP + 'hosts = ["https://h", "https://h/"]', "tools.t.hosts[1]", "without a path"),
        (HTTP + 'hosts = ["https://me@h"]', "tools.t.hosts[0]", "expected http(s)://host"),
        (HTTP + 'hosts = ["https://h"]\nmethods = ["get"]', "tools.t.methods[0]", "capital letters"),
        ('[tools.t]\nkind = "ssh-command"\nhosts = ["-oX"]', "tools.t.hosts[0]", "no host name"),
        ('[tools.t]\nkind = "mcp"', "tools.t.kind", "discovered at run time"),
        ('[tools."a b"]\nkind = "ask-person"', "tools", "'a b' is no name"),
        ('[profiles.p]\ncontroller = "zz"', "profiles.p.controller", "there are: rules"),
        ('[profiles.p]\ntools = ["zz"]', "profiles.p.tools[0]", "there are: local-process"),
        ('[profiles.p]\napprovals = {zz = "ask"}', "profiles.p.approvals", "there are: local-process"),
        ('[profiles.p]\nprogram = "chat"', "profiles.p.controller", "a chat needs a model"),
        ("[profiles.p]\nbudgets = {decisions = -1}", "profiles.p.budgets.decisions", "expected `int` >= 0"),
        ("[profiles.p]\nlimits = {window_bytes = 1}", "profiles.p.limits.window_bytes", "expected `int` >= 1024"),
        ('[profiles.p]\npatterns = {urgent = ["x"]}', "profiles.p.patterns.urgent[0]", "length >= 2"),
        (ASK + ASK, "policies[1].id", "two rules are called 'a'"),
        (ASK + "[[policies]]\nid = 'b'\neffect = 'deny'", "policies[1]", "'b' says deny where 'a' says ask"),
        (
            ASK + "arguments = {x = '1', y = '2'}\n"
            "[[policies]]\nid = 'b'\neffect = 'deny'\narguments = {y = '2', x = '1'}",
            "policies[1]",
            "for the same calls",
        ),
        ("[[policies]]\nid = 'a'\neffect = 'deny'\nexpires_s = 1", "policies[0]", "belong to rules that ask"),
        ("[[policies]]\nid = 'a'\neffect = 'maybe'", "policies[0].effect", "'maybe'"),
        ("[[policies]]\nid = 'a'\neffect = 'deny'\ntool = 'locl-process'", "policies[0].tool", "there are: local-"),
        ("[[policies]]\nid = 'a'\neffect = 'deny'\nprofile = 'wach'", "policies[0].profile", "there are: watch"),
        (ASK + "cost_over_usd = nan", "policies[0].cost_over_usd", "expected"),
        ('[routing]\ndefault = "zz"', "routing.default", "there are: watch"),
        ('[routing]\nmodel = "zz"', "routing.model", "there are: qwen"),
        ('[[routing.rules]]\nprofile = "watch"', "routing.rules[0]", "matches nothing"),
        ('[[routing.rules]]\nprofile = "zz"\nkind = "x"', "routing.rules[0].profile", "there are: watch"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_what_was_expected(text: str, field: str, why: str) -> None:
    said = problem(text)
    assert f"rt.toml: {field}: " in said
    assert why in said


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (RULES.replace("rules = ", "") + "timeout_s = 5", "controllers.c.timeout_s"),
        (MODEL + '[controllers.c]\nkind = "openai"\nmodel = "m"\ntimeout_s = 5', "controllers.c.timeout_s"),
        (RULES.replace("rules = ", "") + 'argv = ["x"]', "controllers.c.argv"),
        ('[tools.t]\nkind = "local-process"\nhosts = ["x"]', "tools.t.hosts"),
        (HTTP + 'hosts = ["https://x"]\nworking_dir = "w"', "tools.t.working_dir"),
        ('[tools.t]\nkind = "ask-person"\nmax_bytes = 5', "tools.t.max_bytes"),
    ],
)
def test_a_field_that_does_nothing_for_its_kind_is_refused(text: str, field: str) -> None:
    assert f"rt.toml: {field}: means nothing for kind" in problem(text)


ONE_SHOT = '[adapters.a]\nkind = "codex"\n[profiles.p]\nprogram = "one_shot"\nadapter = "a"\n'


@pytest.mark.parametrize(
    "field",
    [
        'controller = "qwen"',
        'tools = ["memory"]',
        "tools = []",
        'patterns = {urgent = ["out of"]}',
        "budgets = {decisions = 3}",
        'approvals = {local-process = "ask"}',
        'middleware = [{kind = "trim-history", messages = 3}]',
    ],
)
def test_pr1_what_an_adapter_is_not_held_to_is_refused_where_an_adapter_decides(field: str) -> None:
    name = field.partition(" ")[0]
    assert f"rt.toml: profiles.p.{name}: has no effect where program is 'one_shot'" in problem(ONE_SHOT + field)


def test_pr1_of_the_limits_an_adapter_knows_those_of_the_history() -> None:
    assert "profiles.p.limits: only history_messages and" in problem(ONE_SHOT + "limits = {silence_s = 5}")
    assert accept(ONE_SHOT + "limits = {history_messages = 2}").profiles["p"].limits.history_messages == 2


@pytest.mark.parametrize("program", ["controller", "chat"])
@pytest.mark.parametrize(
    "field",
    [
        'adapter = "a"',
        'style = "codex-like"',
        "max_prompt_chars = 5000",
        'on_unverified = "block"',
        'autonomy = "restricted"',
        'mcp = "none"',
    ],
)
def test_pr1_what_belongs_to_an_adapter_is_refused_where_a_controller_decides(program: str, field: str) -> None:
    text = f'[adapters.a]\nkind = "codex"\n[profiles.p]\nprogram = "{program}"\ncontroller = "qwen"\n{field}'
    name = field.partition(" ")[0]
    assert f"profiles.p.{name}: has no effect where program is {program!r}" in problem(text)


def test_pr4_who_reads_strangers_texts_makes_no_tasks_of_them() -> None:
    text = ONE_SHOT + 'style = "quarantine"\n'
    assert "profiles.p.follow_up_tasks: a profile of the style 'quarantine'" in problem(text + "follow_up_tasks = true")
    assert accept(text + "external_messages = true").profiles["p"].is_restricted


def test_a_budget_of_cost_needs_a_controller_whose_cost_is_known() -> None:
    profile = '[profiles.p]\ncontroller = "{}"\nbudgets = {{cost_usd = 1}}\n'
    assert "nobody can tell what 'm' costs" in problem(MODEL + profile.format("m"))
    assert "nobody can tell what 'c' costs" in problem(COMMAND + profile.format("c"))
    prices = "[models.m.prices]\nversion = '1'\ninput_usd_per_million = 1\noutput_usd_per_million = 2\n"
    for priced in (MODEL + prices + profile.format("m"), profile.format("rules")):
        assert accept(priced).profiles["p"].budgets.cost_usd == 1
