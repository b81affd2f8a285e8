"""An attempt that is given back is given back everywhere."""

from pathlib import Path

from tests.commands.place import Place


def test_who_waits_for_an_adapter_has_spent_no_attempt_in_any_list(tmp_path: Path) -> None:
    place = Place(tmp_path).config('[adapters.gone]\nkind = "codex"\ncommand = "./nowhere"\n[retry]\nbackoff_s = 60\n')
    place.ok("intake", "--adapter", "gone", "--goal", "x", "--attempts", "1")
    place.ok("run-once")
    (row,) = place.rows("task", "list")
    assert (row["status"], row["cause"], row["attempts"]) == ("retryable_failure", "no_adapter_available", 0)
    assert place.task(row["task"])["attempts"] == 0
