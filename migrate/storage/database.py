"""DuckDB over Parquet parts: for what must look at all bindings of a service at once, in bounded memory."""

from __future__ import annotations

import glob
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from migrate.model.errors import MigrateError
from migrate.model.schemas import BINDINGS
from migrate.runtime.interrupts import stopped_by

MEMORY_LIMIT = "512MB"  # beyond it DuckDB goes to the disk
LOW_MEMORY_LIMIT = "64MB"
# The service is not in a row, but in the name of the folder that its file is in.
_WITH_SERVICE = r"""
    * EXCLUDE (filename), regexp_extract(filename, 'service_sid=([^/\\]*)[/\\][^/\\]*$', 1) AS service_sid
"""
_OWN_FILES = re.compile(r"[/\\]\.duckdb-[^\"'\s]*")  # what it keeps meanwhile, whose names say nothing


class FullMemoryError(MigrateError):
    """The rows do not fit into the memory that DuckDB may take: of fewer of them it may be less."""


def over_parts(
    parts: Sequence[Path], scratch: Path, memory_limit: str = MEMORY_LIMIT
) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """A database of its own with one view, `bindings`: the rows of some Parquet parts; see `over_views`."""
    return over_views({"bindings": parts}, scratch, memory_limit)


@contextmanager
def over_views(
    views: Mapping[str, Sequence[Path]],
    scratch: Path,
    memory_limit: str = MEMORY_LIMIT,
    *,
    by_service: bool = False,
    schema: pa.Schema = BINDINGS,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database of its own with some views, each the rows of its Parquet parts; without any, none of the `schema`.

    With `by_service`, there is also a column `service_sid`. What does not fit into memory goes into
    a private folder in `scratch`, and is gone afterwards. Ctrl-C during a query is a KeyboardInterrupt.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".duckdb-") as folder:
        settings: dict[str, Any] = {
            "memory_limit": memory_limit,
            "temp_directory": folder,
            "autoload_known_extensions": False,
        }
        with (
            _told_plainly(scratch),
            duckdb.connect(config=settings) as database,
            stopped_by(database.interrupt),  # DuckDB hears of Ctrl-C between some steps of a query only
        ):
            # In a notebook it would show one of its own; and where it lacks what that needs, it does not take a no.
            with suppress(duckdb.InvalidInputException):
                database.execute("SET enable_progress_bar = false")
            for name, parts in views.items():
                if parts:
                    database.execute(_view(name, parts, by_service=by_service))
                else:
                    database.register(name, _none_of_them(schema, by_service=by_service))
            yield database


def _view(name: str, parts: Sequence[Path], *, by_service: bool) -> str:
    """SQL: a view of the rows of some parts. It is one statement, because each that names them looks for them all."""
    # DuckDB takes paths for patterns, and would read `s2` for a folder that is called `s?`.
    escaped = ", ".join("'" + glob.escape(str(part)).replace("'", "''") + "'" for part in parts)
    columns = _WITH_SERVICE if by_service else "*"
    named = str(by_service).lower()
    return f"""
        CREATE TEMP VIEW {name} AS
        SELECT {columns} FROM read_parquet([{escaped}], hive_partitioning = false, filename = {named})
    """  # noqa: S608  # paths are quoted


def _none_of_them(schema: pa.Schema, *, by_service: bool) -> pa.Table:
    """No rows, of the columns that those of Parquet parts would have."""
    if by_service:
        schema = schema.append(pa.field("service_sid", pa.string()))
    return schema.empty_table()


@contextmanager
def _told_plainly(scratch: Path) -> Iterator[None]:
    """Make of DuckDB's errors what they are: Ctrl-C, or a disk or a memory that is full."""
    try:
        yield
    except (RuntimeError, duckdb.InterruptException) as error:
        # DuckDB has taken the signal itself by then, and reports it in its own way.
        if "interrupt" not in str(error).lower():
            raise
        raise KeyboardInterrupt from None
    except duckdb.OperationalError as error:
        problem = str(error).splitlines()[0].partition(": ")[2] or "it failed"
        problem = _OWN_FILES.sub("", problem)
        kind = FullMemoryError if isinstance(error, duckdb.OutOfMemoryException) else MigrateError
        raise kind(
            f"DuckDB cannot go on: {problem[:200]}", remedy=f"Free some space in {scratch.parent}, or some memory"
        ) from None
