"""Fallbacks of a profile: who decides once the one before did not answer; each change is an event (CT-1, B5a)."""

import tomllib
from typing import Any

import msgspec
import pytest

from domain import agents, errors
from domain.agent_checks import check
from domain.agent_config import (
    BudgetsConfig,
    ControllerConfig,
    ModelFallback,
    PolicyConfig,
    PricesConfig,
    RetryMiddleware,
    RuleConfig,
)
from domain.agent_events import BudgetReached, ControllerAsked, ControllerReplaced, DecisionMade
from domain.config import Config, parse
from domain.events import (
    Recorded,
    RunFinished,
    RunOwnerLost,
    TaskBlocked,
    TaskClaimed,
    TimerFired,
    ToolCallRequested,
    ToolExited,
    ToolStarted,
)
from domain.middleware import fallbacks
from domain.run import next_timer
from domain.setup import Wanted
from tests.agents import ALLOW, MODEL, answer, begun, config, mind, resumed
from tests.story import NOW_US, RUN, Story

FINISH = {"type": "finish", "message": "done"}
TOOL = {"type": "tool", "calls": [{"tool": "local-process", "input": {"command": "serve"}}]}
TABLE = (
    RuleConfig(when="start", then="tool", id="spare", calls=({"tool": "local-process", "input": {"command": "x"}},)),
)
SPARES = {
    "second": ControllerConfig(kind="openai", model="n", retries=0),
    "third": ControllerConfig(kind="openai", model="n", retries=0),
    "alone": ControllerConfig(kind="openai", model="n", retries=0, fallback=False),
    "program": ControllerConfig(kind="command", argv=("decide", "--now")),
    "table": ControllerConfig(kind="rules", rules=TABLE),
    "quick": ControllerConfig(kind="rules", rules=(RuleConfig(when="start", then="finish", id="give-up"),)),
}


def of(*names: str, retries: int = 0, **given: Any) -> Config:  # noqa: ANN401  # fields of a profile
    """A profile that "it" decides for, and these when that does not answer."""
    middleware = (ModelFallback(controllers=names), *given.pop("middleware", ()))
    base = config(middleware=middleware, policies=[ALLOW], asked={"retries": retries}, **given)
    models = base.models | {"n": msgspec.structs.replace(MODEL, name="n", base_url="http://127.0.0.1:2/v1")}
    return msgspec.structs.replace(base, controllers=base.controllers | SPARES, models=models)


def silent(story: Story, cause: str = "timeout") -> Recorded:
    """No answer to the question that is open."""
    return answer(story, "", cause=cause)


def kinds(made: Any) -> list[type]:  # noqa: ANN401  # consequences
    return [type(each) for each in made]


def fired(story: Story) -> TimerFired:
    timer = next_timer(story.now)
    assert timer is not None
    return TimerFired(timer=timer.timer, due_us=timer.due_us)


def test_the_next_controller_is_asked_at_once_and_the_change_is_an_event() -> None:
    story = begun(of("second"))
    step = story.when(silent(story)).step()
    assert kinds(step.consequences) == [DecisionMade, ControllerReplaced, ControllerAsked]
    decision, replaced, asked = step.consequences
    assert isinstance(decision, DecisionMade)
    assert (decision.controller, decision.refused) == ("it", "timeout")
    assert replaced == ControllerReplaced(controller="it", by="second", errors=1)
    assert isinstance(asked, ControllerAsked)
    assert (asked.controller, asked.attempt, asked.triggers) == ("second", 1, ("start",))
    assert msgspec.json.decode(step.texts[-1])["model"] == "n"


def test_a_controller_is_asked_as_often_as_it_says_before_another_one_is() -> None:
    story = begun(of("second", retries=1))
    assert kinds(story.when(silent(story)).made()) == [DecisionMade]
    story = story.given(silent(story))
    again = story.when(fired(story)).made()
    assert [(each.controller, each.attempt) for each in again] == [("it", 2)]
    story = story.given(fired(story))
    assert ControllerReplaced(controller="it", by="second", errors=2) in story.when(silent(story)).made()


@pytest.mark.parametrize("cause", ["no_key", "http:401", "refused"])
def test_where_asking_again_is_idle_the_next_one_is_asked_without_a_pause(cause: str) -> None:
    story = begun(of("second", retries=3))
    assert kinds(story.when(silent(story, cause)).made()) == [DecisionMade, ControllerReplaced, ControllerAsked]


def test_an_answer_that_is_no_decision_counts_as_none() -> None:
    story = begun(of("second"))
    made = story.when(answer(story, "I would rather not say")).made()
    assert kinds(made) == [DecisionMade, ControllerReplaced, ControllerAsked]


def test_they_are_asked_in_their_order_and_after_the_last_one_the_run_is_blocked() -> None:
    story = begun(of("second", "third"))
    story = story.given(silent(story))
    made = story.when(silent(story)).made()
    assert made[1] == ControllerReplaced(controller="second", by="third", errors=1)
    story = story.given(silent(story))
    made = story.when(silent(story)).made()
    assert kinds(made) == [DecisionMade, BudgetReached, RunFinished, TaskBlocked]
    assert made[0].controller == "third"
    assert made[-1].cause == "controller_failed"


def test_whoever_took_over_stays() -> None:
    story = begun(of("second"))
    story = story.given(silent(story))
    story = story.given(answer(story, TOOL))
    call = mind(story.now).calls
    story = story.given(ToolStarted(call=call, pid=7, start_ticks=8, boot_id="b"))
    (asked,) = story.when(ToolExited(call=call, duration_us=5, exit_code=0)).made()
    assert asked.controller == "second"
    decided = story.given(ToolExited(call=call, duration_us=5, exit_code=0))
    assert decided.when(answer(decided, FINISH)).made()[0].controller == "second"


def test_the_errors_of_the_one_before_do_not_count_against_the_next_one() -> None:
    """The budget is about errors in a row of one controller: else none but the first would ever be asked (CT-3)."""
    story = begun(of("second", retries=1, budgets=BudgetsConfig(errors=2)))
    story = story.given(silent(story))
    story = story.given(fired(story))
    story = story.given(silent(story))
    assert mind(story.now).errors == 0
    assert mind(story.now).question is not None
    assert kinds(story.when(answer(story, FINISH)).made())[:2] == [DecisionMade, RunFinished]


def test_a_table_that_takes_over_decides_by_its_own_rules() -> None:
    story = begun(of("table"))
    made = story.when(silent(story)).made()
    assert kinds(made) == [DecisionMade, ControllerReplaced, DecisionMade, ToolCallRequested]
    assert (made[2].controller, made[2].rule, made[2].triggers) == ("rules:rules/1", "spare", ("start",))
    after = story.given(silent(story))
    assert mind(after.now).controller.name == "table"


def test_a_program_that_takes_over_is_asked_in_its_own_form() -> None:
    story = begun(of("program"))
    step = story.when(silent(story)).step()
    assert msgspec.json.decode(step.texts[-1])["goal"] == "the goal"
    assert mind(step.state).asked.argv == ("decide", "--now")


def test_a_model_that_takes_over_a_chat_is_asked_as_a_chat() -> None:
    story = begun(of("second", program="chat"))
    body = msgspec.json.decode(story.when(silent(story)).step().texts[-1])
    assert body["messages"][-1] == {"role": "user", "content": "the goal"}
    assert body["model"] == "n"


@pytest.mark.parametrize(("last", "decides"), [("second", True), ("alone", False)])
def test_rules_step_in_for_the_last_one_where_it_lets_them(last: str, *, decides: bool) -> None:
    """The built-in table speaks when a call ended; whether it may is said by who decides then."""
    call = Wanted("local-process", {"command": "serve"})
    story = begun(of(last), calls=(call,))
    story = story.given(silent(story))
    made = story.when(silent(story)).made()
    assert (ToolCallRequested in kinds(made)) is decides
    assert (TaskBlocked in kinds(made)) is not decides


def test_a_controller_that_a_task_names_itself_is_not_replaced() -> None:
    made = agents.setup(of("second"), "it", agents.Given(goal="g", controller="third"))
    assert (made.controller.name, made.spares) == ("third", ())


def test_what_was_asked_when_the_dispatcher_died_is_asked_of_the_same_one_again() -> None:
    story = begun(of("second"))
    story = story.given(silent(story), RunOwnerLost(dispatcher="d1", cause="dispatcher_died"))
    story = story.given(TaskClaimed(run=RUN, epoch=2, attempt=1, max_attempts=3, dispatcher="d2", resumed=True))
    (asked,) = story.when(resumed(of("second"))).made()
    assert (asked.controller, asked.triggers) == ("second", ("start",))


def test_silence_matters_where_the_one_that_decides_now_speaks_of_it() -> None:
    story = begun(of("second", "table"))
    story = story.given(silent(story))
    story = story.given(silent(story))
    call = mind(story.now).calls
    story = story.given(ToolStarted(call=call, pid=7, start_ticks=8, boot_id="b"))
    timer = next_timer(story.now)
    assert timer is None or not timer.timer.startswith("silence"), "no rule of the table is about silence"
    asked = begun(of("second"))
    asked = asked.given(silent(asked))
    asked = asked.given(answer(asked, TOOL))
    asked = asked.given(ToolStarted(call=mind(asked.now).calls, pid=7, start_ticks=8, boot_id="b"))
    timer = next_timer(asked.now)
    assert timer is not None
    assert (timer.timer.partition(":")[0], timer.due_us) == ("silence", NOW_US + 30_000_000)


def test_a_late_answer_of_the_one_before_changes_nothing() -> None:
    story = begun(of("second"))
    late = silent(story)
    story.given(late).when(late).then_nothing_changes()


def test_what_a_controller_costs_is_counted_by_its_own_prices() -> None:
    base = of("second")
    prices = PricesConfig(version="1", input_usd_per_million=1, output_usd_per_million=2)
    priced = msgspec.structs.replace(base.models["n"], prices=prices)
    story = begun(msgspec.structs.replace(base, models=base.models | {"n": priced}))
    story = story.given(silent(story))
    (decision, *_) = story.when(answer(story, FINISH, usage=(100, 20))).made()
    assert (decision.cost_nusd, decision.prices) == (100 * 1_000 + 20 * 2_000, "1")


def test_several_items_of_the_list_make_one_list_in_which_nobody_stands_twice() -> None:
    """The middleware is ordered, and part of the frozen setup with its attempts (B5a)."""
    more = (ModelFallback(controllers=("third", "second", "table")), RetryMiddleware(attempts=5))
    found = of("second", middleware=more)
    assert fallbacks(found.profiles["it"]) == ("second", "third", "table")
    made = agents.setup(found, "it", agents.Given(goal="g"))
    assert [(each.name, each.retries) for each in made.spares] == [("second", 5), ("third", 5), ("table", 5)]


def test_a_run_that_is_denied_meanwhile_asks_nobody_else() -> None:
    story = begun(of("second"))
    story = story.given(silent(story), RunOwnerLost(dispatcher="d1", cause="dispatcher_died"))
    story = story.given(TaskClaimed(run=RUN, epoch=2, attempt=1, max_attempts=3, dispatcher="d2", resumed=True))
    deny = config(policies=[PolicyConfig(id="no", effect="deny", on="run")])
    assert ControllerAsked not in kinds(story.when(resumed(deny)).made())


MODELS = '[models.m]\nbase_url = "http://h/v1"\nname = "m"\n'
PRICED = '[models.p]\nbase_url = "http://h/v1"\nname = "p"\nprices = {version = "1", input_usd_per_million = 1,'
PRICED += " output_usd_per_million = 1}\n"


@pytest.mark.parametrize(
    ("text", "field", "why"),
    [
        ('controllers = ["nobody"]', "middleware[0].controllers", "there are: rules"),
        ("controllers = []", "middleware[0].controllers", "length >= 1"),
        ('controllers = ["m", "m", "m", "m", "m"]', "middleware[0].controllers", "length <= 4"),
        ("", "middleware[0]", "missing required field `controllers`"),
        ('controllers = ["m"], model = "m"', "middleware[0]", "model"),
    ],
)
def test_a_wrong_list_is_refused_by_name(text: str, field: str, why: str) -> None:
    listed = "{" + ", ".join(each for each in ('kind = "model-fallback"', text) if each) + "}"
    said = refused(f"{MODELS}[profiles.it]\nmiddleware = [{listed}]\n")
    assert f"profiles.it.{field}" in said
    assert why in said


def test_a_chat_has_models_in_reserve_and_a_budget_of_cost_only_whose_cost_is_known() -> None:
    profile = '[profiles.it]\ncontroller = "{}"\nmiddleware = [{{kind = "model-fallback", controllers = ["{}"]}}]\n{}\n'
    chat, cost = 'program = "chat"', "budgets = {cost_usd = 1}"
    assert "a chat needs a model" in refused(MODELS + profile.format("m", "rules", chat))
    assert "what 'm' costs" in refused(MODELS + PRICED + profile.format("p", "m", cost))
    for right in (profile.format("m", "m", chat), profile.format("p", "rules", cost)):
        check(parse(tomllib.loads(MODELS + PRICED + right), "rt.toml"), "rt.toml")


def refused(text: str) -> str:
    with pytest.raises(errors.InvalidConfig) as caught:
        check(parse(tomllib.loads(text), "rt.toml"), "rt.toml")
    return str(caught.value)
