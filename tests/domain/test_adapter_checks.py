"""Every misconfiguration of adapters, and every name that leads nowhere, is an error with file and field."""

import tomllib
from typing import get_args

import pytest

from domain import errors
from domain.adapter_checks import PROCESSES, check_adapters, has_meaning
from domain.config import CLIS, MODELS_ALONE, Adapter, AdapterKind, Config, parse

A = '[adapters.a]\ncommand = "a"\n'
B = '[adapters.b]\ncommand = "b"\n'
OLLAMA = '[adapters.o]\nkind = "ollama"\nendpoint = "http://127.0.0.1:11434/"\nmodel = "m"\n'
HOOK = '[outbox.destinations.hook]\nurl = "https://example.org/in"\n'


def accept(text: str) -> Config:
    found = parse(tomllib.loads(text), "rt.toml")
    check_adapters(found, "rt.toml")
    return found


def chain(*names: str) -> str:
    """Adapters each of which falls back to the next; the last one names none."""
    pairs = zip(names, (*names[1:], ""), strict=True)
    return "".join(f'[adapters.{name}]\ncommand = "x"\nfallback = "{following}"\n' for name, following in pairs)


@pytest.mark.parametrize(
    "text",
    [
        A + "allow_task_args = true\n",
        OLLAMA + "stream = true\n",
        '[adapters.o]\nkind = "openai"\nendpoint = "https://example.org/v1"\nmodel = "m"\nkey_env = "K"\n',
        '[adapters.c]\nkind = "codex"\nsandbox = "read-only"\nprovider_id = "p"\n',
        '[adapters.c]\nkind = "claude-code"\nsettings_file = "s"\nmcp = "none"\n',
        '[adapters.c]\nkind = "hermes-agent"\nmodel = "m"\n',
        '[adapters.c]\nkind = "cli"\ncommand = "x"\nanswer = "json"\n',
        chain("a", "b", "c", "d"),
        A + '[profiles.p]\nadapter = "a"\n',
        'default_profile = "watch"\n',
        A + '[bridges.github]\nadapter = "a"\nprofile = "watch"\n',
        '[bridges.github]\nadapter = "agent"\n',
        HOOK + '[[notify]]\non = ["failed"]\nto = "hook"\n',
        '[outbox]\ndefault = "tell"\n[outbox.destinations.tell]\nkind = "command"\nargv = ["./tell"]\n',
    ],
)
def test_what_is_right_is_accepted(text: str) -> None:
    assert accept(text) != Config(), "and it is not read as nothing"


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ('[adapters.a]\ncommand = "  "\n', "adapters.a.command", "an adapter of kind script needs it"),
        ('[adapters.a]\nkind = "cli"\ncommand = " "\n', "adapters.a.command", "an adapter of kind cli needs it"),
        ('[adapters.o]\nkind = "ollama"\nmodel = "m"\n', "adapters.o.endpoint", "needs it"),
        ('[adapters.o]\nkind = "openai"\nendpoint = "http://h"\n', "adapters.o.model", "needs it"),
        (OLLAMA.replace("http://", "http://me@"), "adapters.o.endpoint", "expected http(s)://host"),
        (OLLAMA.replace("11434/", "11434/?q=1"), "adapters.o.endpoint", "expected http(s)://host"),
        (OLLAMA.replace("http:", "ftp:"), "adapters.o.endpoint", "expected http(s)://host"),
        (OLLAMA + 'outcome = "exit"\n', "adapters.o.outcome", "has no exit status"),
        (A + 'sandbox = "read-only"\n', "adapters.a.sandbox", "means nothing for kind script; it belongs to: codex"),
        (A + 'model = "m"\n', "adapters.a.model", "means nothing for kind script"),
        (OLLAMA + 'command = "x"\n', "adapters.o.command", "means nothing for kind ollama"),
        (OLLAMA + 'working_dir = "w"\n', "adapters.o.working_dir", "means nothing for kind ollama"),
        ('[adapters.c]\nkind = "codex"\nmcp = "none"\n', "adapters.c.mcp", "it belongs to: claude-code"),
        ('[adapters.c]\nkind = "codex"\nallow_task_args = true\n', "adapters.c.allow_task_args", "script"),
        ('[adapters.c]\nkind = "claude-code"\nsandbox = "read-only"\n', "adapters.c.sandbox", "it belongs to: codex"),
        ('[adapters.c]\nkind = "codex"\nendpoint = "http://h"\n', "adapters.c.endpoint", "ollama, openai"),
        (A + B + 'fallback = "c"\n', "adapters.b.fallback", "no adapter 'c' (b -> c); configured: a, b"),
        (A + 'fallback = "command"\n', "adapters.a.fallback", "no adapter 'command'"),
        (A + 'fallback = "a"\n', "adapters.a.fallback", "leads back: a -> a"),
        (chain("a", "b").replace('fallback = ""', 'fallback = "a"'), "adapters.a.fallback", "leads back: a -> b -> a"),
        (
            chain("a", "b", "c", "d", "e"),
            "adapters.a.fallback",
            "more than 3 fallbacks in a row: a -> b -> c -> d -> e",
        ),
        (A + '[profiles.p]\nadapter = "b"\n', "profiles.p.adapter", "no adapter 'b'; there are: a"),
        ('[profiles.p]\nadapter = "command"\n', "profiles.p.adapter", "there are: none"),
        ('default_profile = "p"\n', "default_profile", "no profile 'p'; there are: watch"),
        ('[bridges.github]\nadapter = "x"\n', "bridges.github.adapter", "there are: command, agent"),
        ('[bridges.github]\nprofile = "x"\n', "bridges.github.profile", "no profile 'x'"),
        ('[[notify]]\non = ["failed"]\nto = "hook"\n', "notify[0].to", "no destination 'hook'; there are: none"),
        (HOOK + '[[notify]]\non = ["failed"]\nto = ""\n', "notify[0].to", "there are: hook"),
        ('outbox.default = "x"\n' + HOOK, "outbox.default", "no destination 'x'; there are: hook"),
        ("[outbox.destinations.d]\n", "outbox.destinations.d.url", "a webhook needs an address"),
        ('[outbox.destinations.d]\nurl = "example.org"\n', "outbox.destinations.d.url", "a webhook needs an address"),
        ('[outbox.destinations.d]\nkind = "command"\n', "outbox.destinations.d.argv", "needs a program"),
        (HOOK + 'argv = ["x"]\n', "outbox.destinations.hook.argv", "means nothing for kind webhook"),
        (HOOK + 'kind = "command"\nargv = ["x"]\n', "outbox.destinations.hook.url", "means nothing for kind command"),
    ],
)
def test_what_cannot_work_is_refused(text: str, where: str, why: str) -> None:
    """CF-1, FB-2: missing references, cycles of fallbacks, fields that do nothing."""
    with pytest.raises(errors.InvalidConfig) as refusal:
        accept(text)
    assert refusal.value.fields["where"] == f"rt.toml: {where}"
    assert why in str(refusal.value.fields["why"])


def test_a_cycle_is_found_from_outside_of_it() -> None:
    """FB-2."""
    text = chain("a", "b", "c").replace('fallback = ""', 'fallback = "b"')
    with pytest.raises(errors.InvalidConfig, match="leads back: a -> b -> c -> b"):
        accept(text)


def test_every_field_means_something_for_some_kind() -> None:
    for field in Adapter.__struct_fields__:
        assert any(has_meaning(kind, field) for kind in get_args(AdapterKind)), field


def test_every_kind_is_a_program_or_a_model() -> None:
    assert {"script", *CLIS} == set(PROCESSES)
    assert set(get_args(AdapterKind)) == {*PROCESSES, *MODELS_ALONE}
