"""Bindings in Parquet parts as pandas columns: each is read when it is asked for; counting is DuckDB's work."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from migrate.model.errors import InputError, MigrateError
from migrate.model.masked_column import mask_column
from migrate.model.schemas import TIMESTAMP
from migrate.model.text import did_you_mean
from migrate.storage.database import DamagedFileError, over_views

SERVICE = "service_sid"
NONE = "(none)"  # a binding type that is null, in tables of counts
# What may hold personal data: fields that this version does not know are in `extra`.
PERSONAL = ("identity", "endpoint", "extra")
_TEXT = pd.StringDtype("pyarrow")
_TEXTS = {pa.string(): _TEXT, pa.large_string(): _TEXT}
# Columns of few distinct values, which are kept as a pandas Categorical.
_FEW_VALUES = frozenset(
    (
        *("service_sid", "account_sid", "binding_type", "credential_sid", "message_types", "target_binding_type"),
        *("target_message_types", "target_credential_sid", "outcome", "action", "findings"),
    )
)


class ReviewRows:
    """Some Parquet parts of one schema, with a column `service_sid` or in the folders of their services.

    To SQL they are the view `rows`: `service_sid`, the other columns of the schema, and those in `derived`, which are
    SQL by name. Lists are texts there: what they hold, each once, in alphabetical order, with commas between; null
    stays null. The view `parts` has them as they are.
    """

    def __init__(
        self, parts: Sequence[Path], schema: pa.Schema, derived: Mapping[str, str], *, show_identities: bool
    ) -> None:
        self.parts = tuple(parts)
        schema = pa.schema([field for field in schema if field.name != SERVICE])
        self.names: tuple[str, ...] = (SERVICE, *schema.names, *derived)
        self._schema = schema
        self._derived = dict(derived)
        self._show_identities = show_identities
        self._read: dict[str, Any] = {}  # columns by name
        self._counted: dict[tuple[str, ...], pd.DataFrame] = {}  # answers by question: a snapshot never changes

    def columns(self, *names: str) -> pd.DataFrame:
        """Some columns, or all, of each binding; those that were not read before are read now.

        Raises `InputError` for a column that there is not.
        """
        for name in names:
            if name not in self.names:
                raise InputError(f"There is no column {name!r}: {did_you_mean(name, self.names)}")
        names = names or self.names
        missing = [name for name in dict.fromkeys(names) if name not in self._read]
        if missing:
            table = self.query(f"SELECT {', '.join(missing)} FROM rows")  # noqa: S608  # names of ours
            for name in missing:
                self._read[name] = self._series(name, table.column(name))
        return pd.DataFrame({name: self._read[name] for name in names})

    def query(self, sql: str, **values: object) -> pa.Table:
        """Ask something of all rows, with `$name` for each of the values; personal data is as it is in the parts.

        Raises `InputError` where a part was removed or replaced since they were opened.
        """
        try:
            return self._query(sql, values)
        except (MigrateError, duckdb.BinderException) as error:
            is_damaged = isinstance(error, DamagedFileError | duckdb.BinderException)
            if not is_damaged and all(part.is_file() for part in self.parts):
                raise
            raise InputError(
                "The bindings are not what they were when they were opened", remedy="Open their folder again"
            ) from error

    def _query(self, sql: str, values: Mapping[str, object]) -> pa.Table:
        views = {"parts": self.parts} if self.parts else {}
        with (
            tempfile.TemporaryDirectory(prefix="chat-migrate-") as folder,
            over_views(views, Path(folder), by_service=True) as database,
        ):
            if not self.parts:
                database.register("parts", self._schema.append(pa.field(SERVICE, pa.string())).empty_table())
            database.execute(f"CREATE TEMP VIEW rows AS {self._selection()}")
            found = database.sql(sql, params=values) if values else database.sql(sql)
            return found.to_arrow_table()

    def counts(self, sql: str, **values: object) -> pd.DataFrame:
        """The answer to a question in numbers and names: a small DataFrame, which is worked out once."""
        question = (sql, repr(values))
        if question not in self._counted:
            self._counted[question] = to_pandas(self.query(sql, **values))
        return self._counted[question].copy()

    def _selection(self) -> str:
        lists = [field.name for field in self._schema if pa.types.is_list(field.type)]
        texts = [f"array_to_string(list_sort(list_distinct({name})), ', ') AS {name}" for name in lists]
        derived = [f"{what} AS {name}" for name, what in self._derived.items()]
        replaced = f"* REPLACE ({', '.join(texts)})"
        return f"SELECT {', '.join([replaced, *derived])} FROM parts"  # noqa: S608  # names of ours

    def _series(self, name: str, column: pa.ChunkedArray) -> Any:
        if name in PERSONAL and not self._show_identities:
            column = pa.chunked_array([mask_column(chunk) for chunk in column.chunks], pa.string())
        if name in _FEW_VALUES:
            column = column.dictionary_encode()
        return to_pandas(pa.table({name: column}))[name]


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """A DataFrame of an Arrow table: texts stay Arrow's, and times are in UTC."""
    fields = [
        pa.field(field.name, TIMESTAMP if pa.types.is_timestamp(field.type) else field.type) for field in table.schema
    ]
    return table.cast(pa.schema(fields)).to_pandas(types_mapper=_TEXTS.get)


def frame(columns: Mapping[str, Any], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """A DataFrame of rows, with the Arrow type of each column; a row has its values in the columns' order."""
    arrays = zip(*rows, strict=True) if rows else ([] for _ in columns)
    schema = pa.schema(list(columns.items()))
    return to_pandas(
        pa.table(
            [pa.array(list(column), kind) for column, kind in zip(arrays, columns.values(), strict=True)],
            schema=schema,
        )
    )
