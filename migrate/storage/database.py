"""DuckDB over Parquet parts: for what must look at all bindings of a service at once, in bounded memory."""

from __future__ import annotations

import ctypes
import glob
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import duckdb
import pyarrow as pa

from migrate.model.errors import MigrateError, known_part
from migrate.model.schemas import BINDINGS
from migrate.runtime.interrupts import stopped_by

MEMORY_LIMIT = "512MB"  # beyond it DuckDB goes to the disk
LOW_MEMORY_LIMIT = "64MB"
# The service of a row: where it is not a column, the name of the folder that its file is in.
_WITH_SERVICE = r"""
    * EXCLUDE (filename), regexp_extract(filename, 'service_sid=([^/\\]*)[/\\][^/\\]*$', 1) AS service_sid
"""
_FOLDER = "service_sid="
_DAMAGE = re.compile(r"parquet|failed to read file", re.IGNORECASE)
_OWN_FILES = re.compile(r"[/\\]\.duckdb-[^\"'\s]*")  # what it keeps meanwhile, whose names say nothing


class _Instances:
    """DuckDB's instances, which take some 50 ms to begin: one that is idle is used again, by one caller at a time.

    What is made in a connection is temporary, and gone with it. An instance whose connection has ended with an error,
    or that went to the disk, is not used again. An idle one holds no memory. A process that is forked has none.
    """

    def __init__(self) -> None:
        self._idle: list[duckdb.DuckDBPyConnection] = []
        self.settings: dict[str, str] = {}  # of each, unless its caller changes them
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Leave them, and never end them: their end waits for threads that only the parent has."""
        for instance in self._idle:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(instance))
        self._idle = []

    @contextmanager
    def connection(self, memory_limit: str, folder: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection with nothing in it, to an instance with these limits and this folder for what it has no room
        for.
        """
        settings = {**self.settings, "memory_limit": memory_limit, "temp_directory": folder}
        instance = self._taken(settings)
        try:
            with instance.cursor() as database:
                yield database
        except BaseException:
            instance.close()
            raise
        self._keep(instance)

    def _keep(self, instance: duckdb.DuckDBPyConnection) -> None:
        """Keep an instance that is idle. With the least memory as its limit it gives back what it has held."""
        try:
            instance.execute(f"SET memory_limit = '{_IDLE_MEMORY}'")
        except duckdb.Error:
            instance.close()
            return
        if len(self._idle) < _MOST_IDLE:
            self._idle.append(instance)
        else:
            instance.close()

    def _taken(self, settings: Mapping[str, str]) -> duckdb.DuckDBPyConnection:
        """An idle instance with these settings and no others, or a new one."""
        try:
            instance = self._idle.pop()
        except IndexError:
            return duckdb.connect(config={**settings, "autoload_known_extensions": False})
        try:
            for name in _CHANGED:
                instance.execute(f"RESET {name}")
            for name, value in settings.items():
                instance.execute(f"SET {name} = '{value.replace(chr(39), 2 * chr(39))}'")
        except duckdb.Error:  # it went to the disk, and keeps to that folder
            instance.close()
            return self._taken(settings)
        return instance


_MOST_IDLE = min(4, os.cpu_count() or 1)
_IDLE_MEMORY = "8MB"
_CHANGED = ("threads", "preserve_insertion_order")  # settings of an instance that callers change
_INSTANCES = _Instances()


def one_thread() -> None:
    """Have each database of this process use one thread: another process beside it has the other processors."""
    _INSTANCES.settings = {"threads": "1"}


class FullMemoryError(MigrateError):
    """The rows do not fit into the memory that DuckDB may take: of fewer of them it may be less."""


class DamagedFileError(MigrateError):
    """The content of a Parquet file is damaged; its footer can be read."""


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
    with (
        tempfile.TemporaryDirectory(dir=scratch, prefix=".duckdb-") as folder,
        _told_plainly(scratch),
        _INSTANCES.connection(memory_limit, folder) as database,
        stopped_by(database.interrupt),  # DuckDB hears of Ctrl-C between some steps of a query only
    ):
        # In a notebook it would show one of its own; and where it lacks what that needs, it does not take a no.
        with suppress(duckdb.InvalidInputException):
            database.execute("SET enable_progress_bar = false")
        for name, parts in views.items():
            if parts:
                database.execute(view_of(name, parts, by_service=by_service))
            else:
                database.register(name, _none_of_them(schema, by_service=by_service))
        yield database


def view_of(name: str, parts: Sequence[Path], *, by_service: bool) -> str:
    """SQL: a view of the rows of some parts. It is one statement, because each that names them looks for them all."""
    # DuckDB takes paths for patterns, and would read `s2` for a folder that is called `s?`.
    escaped = ", ".join(quoted(glob.escape(str(part))) for part in parts)
    by_folder = by_service and parts[0].parent.name.startswith(_FOLDER)
    columns, named = _WITH_SERVICE if by_folder else "*", str(by_folder).lower()
    return f"""
        CREATE TEMP VIEW {name} AS
        SELECT {columns} FROM read_parquet([{escaped}], hive_partitioning = false, filename = {named})
    """  # noqa: S608  # paths are quoted


def quoted(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def _none_of_them(schema: pa.Schema, *, by_service: bool) -> pa.Table:
    """No rows, of the columns that those of Parquet parts would have."""
    if by_service and "service_sid" not in schema.names:
        schema = schema.append(pa.field("service_sid", pa.string()))
    return schema.empty_table()


def _reports_damage(error: duckdb.Error) -> bool:
    """Whether DuckDB reports a damaged Parquet file; it has no error class for that."""
    is_input = isinstance(error, duckdb.InvalidInputException) and bool(_DAMAGE.search(str(error)))
    return is_input or type(error) is duckdb.Error


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
    except duckdb.Error as error:
        if _reports_damage(error):
            raise DamagedFileError("A Parquet file is damaged", remedy="Extract, or map, again") from None
        if not isinstance(error, duckdb.OperationalError):
            raise
        problem = str(error).splitlines()[0].partition(": ")[2] or "it failed"
        problem = _OWN_FILES.sub("", problem)
        known = known_part(scratch)
        place = scratch.parent if known == scratch else known
        kind = FullMemoryError if isinstance(error, duckdb.OutOfMemoryException) else MigrateError
        raise kind(
            f"DuckDB cannot go on: {problem[:200]}", remedy=f"Free some space in {place}, or some memory"
        ) from None
