"""What of an outcome's wishes is carried out (OU-9): allowed by the profile, bounded in count and depth, else named."""

from typing import Any

import pytest

from domain.agent_config import ProfileConfig
from domain.bounds import FOLLOW_UP_DEPTH_MAX, FOLLOW_UPS_MAX, MESSAGE_BYTES_MAX, MESSAGES_MAX
from domain.config import Config
from domain.follow_ups import Message, Wanted, wanted
from domain.outcome import Outcome
from domain.work_config import DestinationConfig, OutboxConfig

TASK: dict[str, Any] = {"kind": "k", "source": "s", "payload": {}}
HOOK = DestinationConfig(url="http://127.0.0.1:1/hook")


def config(*, default: str = "", **profile: Any) -> Config:  # noqa: ANN401  # fields of the profile "it"
    outbox = OutboxConfig(default=default, destinations={"hook": HOOK, "other": HOOK})
    return Config(profiles={"it": ProfileConfig(**profile)}, outbox=outbox)


def asked(of: Config, *, profile: str = "it", depth: int = 0, **wishes: tuple[dict[str, Any], ...]) -> Wanted:
    outcome = Outcome(status="completed", operator_summary="", status_source="json", **wishes)  # type: ignore[arg-type]
    return wanted(outcome, of, profile, depth)


def messages(of: Config, *given: dict[str, Any]) -> Wanted:
    return asked(of, external_messages=given)


def test_an_outcome_without_wishes_leads_to_nothing() -> None:
    assert asked(config()) == Wanted((), (), ())


def test_follow_ups_that_the_profile_allows_become_tasks() -> None:
    """OU-9."""
    other = TASK | {"kind": "other"}
    assert asked(config(follow_up_tasks=True), follow_up_tasks=(TASK, other)) == Wanted((TASK, other), (), ())


def test_a_run_cannot_say_for_others_whose_task_it_is_or_under_which_key() -> None:
    given = TASK | {"parent_run": "9b" * 16, "thread": "t", "idempotency_key": "k", "priority": 3}
    found = asked(config(follow_up_tasks=True), follow_up_tasks=(given,))
    assert found.tasks == (TASK | {"priority": 3},)


@pytest.mark.parametrize("profile", ["it", "unknown", ""])
def test_follow_ups_that_nobody_allows_are_refused_and_counted(profile: str) -> None:
    """OU-9: also of a profile that is not configured, and of none."""
    found = asked(config(), profile=profile, follow_up_tasks=(TASK, TASK))
    [(what, count, why)] = found.refused
    assert (found.tasks, what, count) == ((), "follow_up", 2)
    assert "allows no follow-up tasks" in why


def test_follow_ups_end_at_their_depth() -> None:
    """OU-9: at the limit they are refused, one above it they are made."""
    of = config(follow_up_tasks=True)
    assert asked(of, depth=FOLLOW_UP_DEPTH_MAX - 1, follow_up_tasks=(TASK,)).tasks == (TASK,)
    found = asked(of, depth=FOLLOW_UP_DEPTH_MAX, follow_up_tasks=(TASK,))
    assert found.tasks == ()
    assert found.refused == (("follow_up", 1, f"follow-ups of follow-ups end at depth {FOLLOW_UP_DEPTH_MAX}"),)


@pytest.mark.parametrize(("given", "refused"), [(FOLLOW_UPS_MAX, 0), (FOLLOW_UPS_MAX + 1, 1), (FOLLOW_UPS_MAX + 9, 9)])
def test_one_run_has_so_many_follow_ups_and_the_rest_is_counted(given: int, refused: int) -> None:
    """OU-9: the count limit."""
    found = asked(config(follow_up_tasks=True), follow_up_tasks=(TASK,) * given)
    assert len(found.tasks) == FOLLOW_UPS_MAX
    assert sum(count for _, count, _ in found.refused) == refused


def test_a_message_goes_where_it_says_or_to_the_default() -> None:
    """OU-9."""
    of = config(external_messages=True, default="other")
    found = messages(of, {"target": "hook", "text": "b"}, {"destination": "hook"}, {"text": "a"})
    assert [each.target for each in found.messages] == ["hook", "hook", "other"]
    assert found.messages[0] == Message("hook", b'{"target":"hook","text":"b"}')
    assert found.refused == ()


@pytest.mark.parametrize("target", ["nowhere", "", 7, ["hook"], {"a": 1}, None])
def test_a_message_to_nobody_is_refused_and_the_others_go(target: object) -> None:
    found = messages(config(external_messages=True), {"target": target, "text": "x"}, {"target": "hook"})
    assert [each.target for each in found.messages] == ["hook"]
    [(what, count, why)] = found.refused
    assert (what, count) == ("message", 1)
    assert "configured: hook, other" in why


def test_messages_that_the_profile_does_not_allow_are_refused_and_counted() -> None:
    """OU-9: what is not allowed is recorded as refused."""
    found = messages(config(follow_up_tasks=True), {"target": "hook"}, {"target": "hook"})
    assert found.messages == ()
    assert found.refused == (("message", 2, "the profile 'it' allows no external messages"),)


def test_a_message_may_have_its_bound_and_no_byte_more() -> None:
    of = config(external_messages=True, default="hook")
    frame = len(b'{"text":""}')
    fits, above = ({"text": "x" * (MESSAGE_BYTES_MAX - frame + more)} for more in (0, 1))
    assert len(messages(of, fits).messages[0].content) == MESSAGE_BYTES_MAX
    found = messages(of, above)
    assert found.messages == ()
    assert found.refused == (("message", 1, f"{MESSAGE_BYTES_MAX + 1} bytes; at most {MESSAGE_BYTES_MAX}"),)


@pytest.mark.parametrize(("given", "refused"), [(MESSAGES_MAX, ()), (MESSAGES_MAX + 2, (2,))])
def test_one_run_sends_so_many_messages_and_the_rest_is_counted(given: int, refused: tuple[int, ...]) -> None:
    found = messages(config(external_messages=True, default="hook"), *({"n": at} for at in range(given)))
    assert len(found.messages) == MESSAGES_MAX
    assert tuple(count for _, count, _ in found.refused) == refused
