"""DuckDB over Parquet parts: for what must look at all bindings of a service at once, in bounded memory."""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

MEMORY_LIMIT = "512MB"  # beyond it DuckDB goes to the disk
LOW_MEMORY_LIMIT = "64MB"

Query = Any  # a function: SQL and its parameters to rows


@contextmanager
def over_parts(parts: list[Path], scratch: Path, memory_limit: str = MEMORY_LIMIT) -> Iterator[Query]:
    """A function that queries the view `bindings`: the rows of some Parquet parts.

    What does not fit into memory goes into a private folder in `scratch`, and is gone afterwards.
    """
    # DuckDB takes paths for patterns, and would read `s2` for a folder that is called `s?`.
    escaped = [glob.escape(str(part)) for part in parts]
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".duckdb-") as folder:
        settings: dict[str, Any] = {
            "memory_limit": memory_limit,
            "temp_directory": folder,
            "autoload_known_extensions": False,
        }
        with duckdb.connect(config=settings) as database:

            def query(sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
                source = "read_parquet($parts, hive_partitioning = false)"
                return database.execute(
                    f"WITH bindings AS (FROM {source}) {sql}",  # no outside text in it
                    {"parts": escaped, **parameters},
                ).fetchall()

            yield query
