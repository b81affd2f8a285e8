"""The screen that is kept in memory says what the tables say, from wherever it began."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.log_reader import LogReader
from adapters.log_sqlite import SqliteLog
from commands import past
from domain import task as tasks
from domain.task import Task
from projections.board import Board
from projections.catch_up import Projection
from projections.status import status
from tests.projections.histories import History
from tests.projections.test_catch_up import LONG

NUMBERS = st.lists(st.integers(0, 10**7), min_size=2, max_size=60)


def before(log: SqliteLog, task: str, position: int) -> Task | None:
    return tasks.fold([event for event in log.stream(task) if event.position < position])


def from_position(folder: Path, log: SqliteLog, begin: int) -> Board:
    reader = LogReader(folder)
    with tempfile.TemporaryDirectory() as name:
        tables = Projection(Path(name), past.Upto(reader, begin))
        board = tables.ask(lambda database, at: Board(database, at, lambda task, where: before(log, task, where)))
    reader.close()
    return board


def check(folder: Path, numbers: Sequence[int], share: float, every: int) -> None:
    log = History(folder).steps(numbers).log
    head = log.head().position
    board = from_position(folder, log, int(head * share))
    reader = LogReader(folder)
    while board.position < head:
        board.fold(log.read(board.position, every))
        with tempfile.TemporaryDirectory() as name:
            said = Projection(Path(name), past.Upto(reader, board.position)).ask(status)
        assert board.document() == said
    reader.close()
    log.close()


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(NUMBERS, st.sampled_from([0.0, 0.3, 0.9]))
def test_the_board_says_the_same_as_the_tables_wherever_it_began(numbers: list[int], share: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        check(Path(name), numbers, share, 40)


def test_a_long_history_with_everything_in_it_is_folded_the_same(tmp_path: Path) -> None:
    check(tmp_path, LONG[:600], 0.2, 500)
