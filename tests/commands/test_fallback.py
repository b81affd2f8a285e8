"""Which adapter runs a task: probes, fallbacks, and what happens where nobody is healthy. Work and adapters, 14."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.adapters.ollama_server import Answer, Models, generated, serving
from tests.commands.fakes import Bench
from tests.commands.place import Place

CONFIG = """
[adapters.gone]
kind = "codex"
command = "./nowhere"
fallback = "second"
[adapters.second]
kind = "claude-code"
command = "./claude"
[adapters.lonely]
kind = "codex"
command = "./nowhere"
[adapters.wider]
kind = "codex"
command = "./nowhere"
fallback = "trusted"
[adapters.allowed]
kind = "codex"
command = "./nowhere"
fallback = "trusted"
fallback_wider = true
[adapters.readonly]
kind = "codex"
command = "./nowhere"
sandbox = "read-only"
fallback = "second_codex"
[adapters.second_codex]
kind = "codex"
command = "./claude"
[adapters.trusted]
kind = "claude-code"
command = "./claude"
autonomy = "trusted-vm"
[adapters.one]
kind = "codex"
command = "./nowhere"
fallback = "two"
[adapters.two]
kind = "codex"
command = "./nowhere"
fallback = "three"
[adapters.three]
kind = "codex"
command = "./nowhere"
fallback = "four"
[adapters.four]
kind = "codex"
command = "./nowhere"
[adapters.model]
kind = "ollama"
endpoint = "{base}"
model = "m"
private = true
fallback = "second"
[adapters.model_to_wide]
kind = "ollama"
endpoint = "{base}"
model = "m"
private = true
fallback = "trusted"
fallback_wider = true
[adapters.agent_to_model]
kind = "codex"
command = "./nowhere"
fallback = "healthy_model"
[adapters.healthy_model]
kind = "ollama"
endpoint = "{base}"
model = "m"
private = true
probe = false
[adapters.script_to_agent]
kind = "script"
command = "./nowhere"
outcome = "text"
fallback = "second"
[adapters.agent_to_script]
kind = "codex"
command = "./nowhere"
fallback = "script"
[adapters.script]
kind = "script"
command = "./script"
[adapters.broken]
kind = "codex"
command = "./interpreted"
[[policies]]
id = "never-second"
on = "run"
effect = "deny"
adapter = "second"
kind = "secret"
reason = "not for secrets"
"""
RESULT = 'event("result", subtype="success", is_error=False, result=json.dumps(DONE))'
WANTED = {"kind": "k", "source": "s", "payload": {"objective": "x"}, "max_attempts": 1}
DONE = {"status": "completed", "operator_summary": "did it"}


@pytest.fixture(scope="module")
def server() -> Iterator[Models]:
    with serving() as models:
        yield models


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, server: Models) -> Iterator[Bench]:
    """One home for all; at the end each of its runs replays."""
    made = Bench(Place(tmp_path_factory.mktemp("fallback")))
    made.config(CONFIG.format(base=server.base))
    made.program("claude", RESULT)
    made.program("script", "out(json.dumps(DONE))")
    yield made
    made.replays()


def choice(run: Any) -> tuple[str, str, list[tuple[str, bool, str]]]:  # noqa: ANN401  # a run
    """Wanted, selected, and what was looked at."""
    found = run.one("run.started").choice
    return found.wanted, found.selected, [(each.adapter, each.ok, each.reason) for each in found.chain]


def test_the_first_healthy_adapter_of_the_chain_is_taken_and_recorded(bench: Bench) -> None:
    """FB-5: what was looked at is in the log with the run."""
    run = bench.run(requested_adapter="gone")
    assert choice(run) == ("gone", "second", [("gone", False, "command_not_found"), ("second", True, "")])
    assert run.one("run.started").adapter == run.bundle["adapter"]["adapter_id"] == "second"
    assert run.end == ("completed", "none", "")


def test_where_the_wanted_one_is_healthy_no_choice_is_told(bench: Bench) -> None:
    assert bench.run(requested_adapter="second").one("run.started").choice is None


def test_fb1_where_nobody_is_healthy_the_task_waits_and_spends_no_attempt(bench: Bench) -> None:
    task = bench.queue(requested_adapter="lonely", max_attempts=1)
    for run in (bench.again(task), bench.settle(task, most=1)[-1]):
        refused = run.one("run.refused")
        assert (refused.cause, refused.refunded) == ("no_adapter_available", True)
        scheduled = run.one("task.retry_scheduled")
        assert scheduled.refunded
        assert scheduled.backoff_us >= 1_000_000
        assert run.of("run.tool_call_requested") == []
    state = bench.log.task(task)
    assert state is not None
    assert (state.status.value, state.attempts) == ("retryable_failure", 0)


@pytest.mark.parametrize("adapter", ["wider", "readonly", "model"])
def test_fb3_nobody_less_restricted_stands_in_silently(bench: Bench, server: Models, adapter: str) -> None:
    """By autonomy, by sandbox, or because a model alone touches nothing at all."""
    server.begin(generated(DONE))
    server.listed = Answer(b"down", 500)
    run = bench.run(requested_adapter=adapter)
    assert run.one("run.refused").cause == "no_adapter_available"
    assert server.posts == []


@pytest.mark.parametrize("adapter", ["allowed", "model_to_wide"])
def test_fb3_unless_the_configuration_says_so(bench: Bench, server: Models, adapter: str) -> None:
    server.begin(generated(DONE))
    server.listed = Answer(b"down", 503)
    run = bench.run(requested_adapter=adapter)
    assert run.one("run.started").adapter == "trusted"
    assert run.one("run.started").bypass, "AD-11: it is visible"


def test_fb3_a_task_may_forbid_fallbacks(bench: Bench) -> None:
    run = bench.run(requested_adapter="gone", allow_fallback=False)
    assert run.one("run.refused").cause == "no_adapter_available"
    assert "second" not in run.one("run.refused").message


def test_a_chain_has_at_most_three_links(bench: Bench) -> None:
    run = bench.run(requested_adapter="one")
    refused = run.one("run.refused")
    assert refused.cause == "no_adapter_available"
    assert [each.split(":")[0] for each in refused.message.removeprefix("no adapter is healthy: ").split("; ")] == [
        *("one", "two", "three", "four")
    ]


@pytest.mark.parametrize("status", [401, 404])
def test_a_probe_fails_only_by_the_network_or_a_server_that_is_broken(
    bench: Bench, server: Models, status: int
) -> None:
    server.begin(generated(DONE))
    server.listed = Answer(b"no", status)
    run = bench.run(requested_adapter="model")
    assert run.one("run.started").adapter == "model"
    assert run.end == ("completed", "none", "")


def test_an_agent_falls_back_to_a_model(bench: Bench, server: Models) -> None:
    server.begin(generated(DONE))
    run = bench.run(requested_adapter="agent_to_model")
    assert choice(run)[:2] == ("agent_to_model", "healthy_model")
    assert json.loads(server.posts[0].body)["prompt"] == run.prompt
    assert run.end == ("completed", "none", "")


def test_a_script_falls_back_to_an_agent(bench: Bench) -> None:
    run = bench.run(requested_adapter="script_to_agent")
    assert choice(run)[:2] == ("script_to_agent", "second")
    assert bench.seen("claude")[-1].stdin.decode() == run.prompt
    assert run.end == ("completed", "none", "")


def test_an_agent_falls_back_to_a_script(bench: Bench) -> None:
    run = bench.run(requested_adapter="agent_to_script")
    assert choice(run)[:2] == ("agent_to_script", "script")
    assert bench.seen("script")[-1].stdin == b""
    assert run.end == ("completed", "none", "")


def test_what_stands_in_is_under_the_rules_about_runs_as_well(bench: Bench) -> None:
    """A rule that denies an adapter denies it also where it was not asked for by its name."""
    before = len(bench.seen("claude"))
    run = bench.run(requested_adapter="gone", kind="secret")
    refused = run.one("run.refused")
    assert (refused.cause, "not for secrets" in refused.message) == ("denied_by_policy", True)
    assert len(bench.seen("claude")) == before


def test_fb2_a_circle_is_an_error_of_the_configuration(bench: Bench) -> None:
    circle = Place(bench.folder / "circle")
    circle.folder.mkdir()
    circle.config('[adapters.a]\nkind = "codex"\nfallback = "b"\n[adapters.b]\nkind = "codex"\nfallback = "a"\n')
    done = circle.rt("config", "check", "--json")
    assert done.code != 0, done
    assert b"fallback" in done.out + done.err


def test_fb4_an_adapter_that_cannot_be_started_rests_for_a_while(bench: Bench) -> None:
    """Its program is there, so that the probe passes; its interpreter is not. The fourth task is not even tried."""
    bench.place.script("interpreted", "#!/nowhere/at/all\n")
    tasks = [bench.queue(requested_adapter="broken")]
    tasks += [bench.queue_also(requested_adapter="broken") for _ in range(3)]
    bench.place.ok("work", "--until-idle", "--concurrency", "1")
    ends = [bench.last(task).end[2] for task in tasks]
    assert ends == ["command_not_found"] * 3 + ["no_adapter_available"]
    assert "failed_to_start" in bench.last(tasks[3]).one("run.refused").message


def test_an_adapter_rests_for_every_dispatcher_and_its_listing_says_so(place: Place) -> None:
    """FB-4: three dispatchers, each of which fails once."""
    place.config('default_adapter = "broken"\n[adapters.broken]\nkind = "codex"\ncommand = "./interpreted"\n')
    place.script("interpreted", "#!/nowhere/at/all\n")

    def listed() -> tuple[bool, str | None]:
        adapters = json.loads(place.rt("adapter", "list", "--json").out)["adapters"]
        return next((each["ok"], each["broken_reason"]) for each in adapters if each["id"] == "broken")

    for _ in range(3):
        assert listed() == (True, None)
        place.ok("intake", json.dumps(WANTED))
        place.ok("run-once")
    assert listed() == (False, "failed_to_start")
    failed = place.events("adapter.failed_to_start.v1")
    assert [each["failures"] for each in failed] == [1, 2, 3]
    assert ["rests_until_us" in each for each in failed] == [False, False, True]
    place.ok("replay", "--all")


def test_one_good_start_makes_up_for_failed_ones(place: Place) -> None:
    place.config('default_adapter = "broken"\n[adapters.broken]\ncommand = "./interpreted"\noutcome = "text"\n')
    for good in (False, False, True, False, True, True):
        place.script("interpreted", "#!/bin/sh\necho done\n" if good else "#!/nowhere/at/all\n")
        place.ok("intake", json.dumps(WANTED))
        place.ok("run-once")
    assert [each["failures"] for each in place.events("adapter.failed_to_start.v1")] == [1, 2, 1]
    assert len(place.events("adapter.started.v1")) == 2
