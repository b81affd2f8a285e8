"""Notes about many things: one line for each reason."""

from commands import noted


def test_equal_notes_are_one_line_with_a_count_and_others_keep_theirs() -> None:
    notes = [{"kind": "tasks", "id": f"t{at}", "why": "no adapter"} for at in range(100)]
    notes.insert(50, {"kind": "tasks", "id": "odd", "why": "its own command"})
    assert list(noted.lines(notes)) == ["tasks t0 and 99 more: no adapter", "tasks odd: its own command"]
