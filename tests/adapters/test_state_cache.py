"""States that are kept: whatever does not fit the log and the core is as if it were not there."""

from pathlib import Path

import pytest

from adapters import state_cache
from adapters.state_cache import Mark, StateCache
from domain.run_state import Run
from replays.states import moments
from tests.replays.recorded import golden_events, golden_names


def hash_at(position: int) -> str:
    return f"{position:064x}"[::-1]


def states(name: str) -> list[tuple[int, Run]]:
    return [(each.event.position, each.state) for each in moments(golden_events(name))]


@pytest.fixture
def cache(tmp_path: Path) -> StateCache:
    return StateCache(tmp_path, hash_at)


def anything(_: Mark) -> bool:
    return True


def files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "states").rglob("*") if path.is_file())


@pytest.mark.parametrize("name", golden_names())
def test_each_state_of_a_run_comes_back_as_it_was(cache: StateCache, name: str) -> None:
    for position, state in states(name):
        cache.keep(cache.generation(), state.run, [(position, state)])
        found = cache.nearest(state.run, anything)
        assert found is not None
        assert (found.mark.position, found.state) == (position, state)


def test_the_nearest_one_before_is_given(cache: StateCache) -> None:
    known = states("early-cancel")
    run = known[0][1].run
    cache.keep(cache.generation(), run, known[::3])
    for position, _ in known[1:]:
        found = cache.nearest(run, lambda mark: mark.position < position)  # noqa: B023  # asked at once
        assert found is not None
        assert found.mark.position == max(each for each, _ in known[::3] if each < position)
    assert cache.nearest(run, lambda mark: mark.position < known[0][0]) is None
    assert cache.nearest("0" * 32, anything) is None


def test_it_is_the_owners_alone(cache: StateCache, tmp_path: Path) -> None:
    position, state = states("success")[-1]
    cache.keep(cache.generation(), state.run, [(position, state)])
    assert {each.stat().st_mode & 0o777 for each in (tmp_path / "states").rglob("*") if each.is_dir()} == {0o700}


def test_one_of_another_log_is_none(cache: StateCache, tmp_path: Path) -> None:
    position, state = states("success")[-1]
    cache.keep(cache.generation(), state.run, [(position, state)])
    assert StateCache(tmp_path, lambda at: hash_at(at + 1)).nearest(state.run, anything) is None


def test_one_of_another_core_is_none_and_goes(
    cache: StateCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = states("success")
    run = known[0][1].run
    cache.keep(cache.generation(), run, known[-1:])
    monkeypatch.setattr(state_cache, "_core", lambda: "another")
    assert cache.nearest(run, anything) is None
    cache.keep(cache.generation(), run, known[:1])
    found = cache.nearest(run, anything)
    assert found is not None
    assert found.mark.position == known[0][0]
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("damage", [b"", b"x", b"x" * 5_000])
def test_a_damaged_one_is_none(cache: StateCache, tmp_path: Path, damage: bytes) -> None:
    known = states("success")
    run = known[0][1].run
    cache.keep(cache.generation(), run, known[-2:])
    newest = max(files(tmp_path), key=lambda each: int(each.name.partition("-")[0]))
    newest.write_bytes(damage)
    found = cache.nearest(run, anything)
    assert found is not None
    assert found.mark.position == known[-2][0]
    newest.write_bytes(newest.with_name(str(found.mark)).read_bytes()[:-1])
    assert cache.nearest(run, lambda mark: mark.position > known[-2][0]) is None


def test_what_was_begun_before_something_was_erased_is_not_kept(cache: StateCache, tmp_path: Path) -> None:
    position, state = states("success")[-1]
    for _ in range(2):  # with nothing there, and with something
        begun = cache.generation()
        cache.forget()
        cache.keep(begun, state.run, [(position, state)])
        assert files(tmp_path) == []
        cache.keep(cache.generation(), state.run, [(position, state)])
        assert len(files(tmp_path)) == 1
        cache.forget()
        assert files(tmp_path) == []


def test_there_are_never_too_many(cache: StateCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_cache, "STATES_OF_RUN_MAX", 10)
    monkeypatch.setattr(state_cache, "STATE_RUNS_MAX", 3)
    state = states("success")[-1][1]
    for position in range(1, 60):
        cache.keep(cache.generation(), state.run, [(position, state)])
        found = cache.nearest(state.run, anything)
        assert found is not None
        assert found.mark.position == position, "the latest one stays"
        assert len(files(tmp_path)) <= 10
    for number in range(6):
        cache.keep(cache.generation(), f"{number:032x}", [(1, state)])
    assert len({each.parent for each in files(tmp_path)}) == 3


def test_one_that_is_too_large_is_not_kept(cache: StateCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_cache, "STATE_BYTES_MAX", 10)
    position, state = states("success")[-1]
    cache.keep(cache.generation(), state.run, [(position, state)])
    assert cache.nearest(state.run, anything) is None


def test_where_nothing_can_be_written_nothing_is_kept_and_nothing_breaks(tmp_path: Path) -> None:
    (tmp_path / "states.lock").mkdir()
    cache = StateCache(tmp_path, hash_at)
    position, state = states("success")[-1]
    cache.keep(cache.generation(), state.run, [(position, state)])
    assert cache.nearest(state.run, anything) is None
