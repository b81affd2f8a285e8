"""The file of the tables, and up to where they are true, written down for those who do not open it."""

from contextlib import suppress
from pathlib import Path

FILE = "projection.duckdb"
_REACHED = f"{FILE}.reached"


def read(folder: Path) -> int:
    """The position that the tables have reached; 0 where there are none."""
    with suppress(OSError, ValueError):
        return int((folder / _REACHED).read_text())
    return 0


def write(folder: Path, position: int) -> None:
    """They have caught up. Where that cannot be written down, nobody is told."""
    if read(folder) != position:
        with suppress(OSError):
            beside = folder / f"{_REACHED}.new"
            beside.write_text(str(position))
            beside.replace(folder / _REACHED)
