"""Rows as a Parquet file. They come from a child as JSON, and become again what their types say."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _duckdb as duckdb

from domain import errors


def write(columns: Sequence[str], types: Sequence[str], rows: Sequence[Sequence[Any]], target: Path) -> None:
    """Write a new file. Raises FileThere, StoreFull, SqlInvalid for types that do not come back."""
    if target.exists():
        raise errors.FileThere(path=str(target))
    quoted = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in columns]
    database = duckdb.connect(":memory:")
    try:
        fields = ", ".join(f"{name} {kind}" for name, kind in zip(quoted, types, strict=True))
        database.execute(f"CREATE TABLE found({fields})")
        if rows:
            marks = ", ".join("?" * len(columns))
            database.executemany(f"INSERT INTO found VALUES ({marks})", [list(row) for row in rows])  # noqa: S608
        name = str(target).replace("'", "''")
        database.execute(f"COPY found TO '{name}' (FORMAT parquet)")
    except duckdb.IOException as problem:
        raise errors.StoreFull(path=str(target), why=str(problem)[:200]) from None
    except duckdb.Error as problem:
        raise errors.SqlInvalid(why=f"these columns do not fit into Parquet: {str(problem)[:300]}") from None
    finally:
        database.close()
