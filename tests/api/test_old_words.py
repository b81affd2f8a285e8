"""The names under which an older runtime's clients know two events that are ours under one name with a field."""

import pytest

from commands.api import old_words
from domain.events import Recorded, RunStarted, TaskRetryScheduled
from domain.payload import AdapterChoice, Probed
from tests.adapters.representatives import REPRESENTATIVES


def named(data: RunStarted | TaskRetryScheduled) -> str:
    event = Recorded(stream="a", version=1, at_us=1, actor="system:x", data=data)
    assert old_words.item(event)["event_type"] == old_words.name(event)
    return old_words.name(event)


@pytest.mark.parametrize(("refunded", "name"), [(True, "rate_limit_rescheduled"), (False, "task_retry_scheduled")])
def test_a_retry_that_gives_the_attempt_back_is_a_rate_limit_of_theirs(refunded: bool, name: str) -> None:  # noqa: FBT001
    assert named(TaskRetryScheduled(run="r", cause="c", backoff_us=1, due_at_us=2, refunded=refunded)) == name


def test_a_run_of_another_adapter_than_wanted_is_a_fallback_of_theirs() -> None:
    import msgspec

    [started] = [each.data for each in REPRESENTATIVES if isinstance(each.data, RunStarted)]
    choice = AdapterChoice("codex", "other", (Probed("codex", ok=False, reason="gone"), Probed("other", ok=True)))
    assert named(msgspec.structs.replace(started, choice=choice)) == "adapter_fallback_used"
    assert named(msgspec.structs.replace(started, choice=None)) == "bundle_compiled"
