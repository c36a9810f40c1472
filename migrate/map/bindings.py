"""A batch of bindings to a batch of mapped bindings, column by column.

Bindings are many, but the facts that decide their fate take few values: each distinct combination is decided
once, and the rows take the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrate.map.credentials import Credentials
from migrate.map.crowds import NO_CROWDS, Crowds
from migrate.map.fate import Facts, Fate, decide
from migrate.map.rules import Rules
from migrate.map.tally import Tally
from migrate.model.finding import MAX_EXAMPLES
from migrate.model.masked_column import mask_column
from migrate.model.schemas import MAPPED_BINDINGS

# The columns of the `BINDINGS` schema that a batch to be mapped has.
NEEDED = (
    *("sid", "endpoint", "identity", "binding_type", "credential_sid", "message_types"),
    *("date_created", "date_updated"),
)
# The fields that a device cannot be followed without, by the column that shows whether they are there.
_REQUIRED = {"identity": "identity", "endpoint": "endpoint", "credential_sid": "credential_sid", "last_seen": "date"}


@dataclass(frozen=True)
class Mapper:
    """All that the fate of a service's bindings depends on, beside themselves. `as_of` is the source's time."""

    as_of: datetime
    rules: Rules
    credentials: Credentials
    crowds: Crowds = NO_CROWDS

    def map_batch(self, batch: pa.RecordBatch, tally: Tally) -> pa.RecordBatch:
        """Map rows with the columns `NEEDED` to as many rows of `MAPPED_BINDINGS`, and count them.

        A batch has at most `migrate.snapshot.reader.BATCH_ROWS` rows.
        """
        last_seen = pc.coalesce(batch.column("date_updated"), batch.column("date_created"))
        kinds = _Kinds(batch, last_seen, self)
        fates: list[Fate] = []
        for facts, rows in kinds:
            fate = decide(facts, self.rules, self.credentials)
            fates.append(fate)
            tally.add(fate, facts, len(rows), _smallest(batch.column("sid"), rows) if fate.notes else ())
        columns = {
            "sid": batch.column("sid"),
            "identity": batch.column("identity"),
            "device": mask_column(batch.column("endpoint")),
            "binding_type": batch.column("binding_type"),
            "target_binding_type": kinds.column([fate.target_binding_type for fate in fates]),
            "message_types": batch.column("message_types"),
            "target_message_types": kinds.column(
                [fate.target_message_types for fate in fates], pa.list_(pa.string())
            ),
            "credential_sid": batch.column("credential_sid"),
            "target_credential_sid": kinds.column([fate.target_credential_sid for fate in fates]),
            "last_seen": last_seen,
            "outcome": kinds.column([fate.outcome for fate in fates]),
            "action": kinds.column([fate.action for fate in fates]),
            "findings": kinds.column([fate.codes for fate in fates], pa.list_(pa.string())),
        }
        return pa.RecordBatch.from_arrays([columns[name] for name in MAPPED_BINDINGS.names], schema=MAPPED_BINDINGS)


class _Kinds:
    """The rows of a batch by the facts that decide their fate."""

    def __init__(self, batch: pa.RecordBatch, last_seen: pa.Array, mapper: Mapper) -> None:
        self._batch = batch
        born_after = pa.scalar(mapper.as_of - mapper.rules.lifetime, last_seen.type)
        tests = {
            "expired": pc.less(last_seen, born_after),
            "shared": pc.is_in(batch.column("endpoint"), value_set=mapper.crowds.endpoints),
            "crowded": pc.is_in(batch.column("identity"), value_set=mapper.crowds.identities),
        }
        for name in _REQUIRED:
            tests[name] = pc.is_null(last_seen) if name == "last_seen" else _lacking(batch.column(name))
        self._tests = {name: _numbers(pc.fill_null(test, False)) for name, test in tests.items()}
        combination = _encode(_list_keys(batch.column("message_types")))
        for name in ("binding_type", "credential_sid"):
            values = _encode(batch.column(name))
            combination = combination * (int(values.max(initial=0)) + 1) + values
        for test in self._tests.values():
            combination = combination * 2 + test
        _, self._first, inverse, counts = np.unique(
            combination, return_index=True, return_inverse=True, return_counts=True
        )
        self._kind_of_row = pa.array(inverse)
        self._groups = np.split(np.argsort(inverse, kind="stable"), np.cumsum(counts)[:-1])

    def __iter__(self) -> Iterator[tuple[Facts, Any]]:
        """Each kind: its facts, and the numbers of its rows."""
        for first, rows in zip(self._first, self._groups, strict=False):  # no rows are one group, of no kind
            yield self._facts(int(first)), rows

    def _facts(self, row: int) -> Facts:
        types = self._batch.column("message_types")[row].as_py()
        holds = {name for name, test in self._tests.items() if test[row]}
        return Facts(
            self._batch.column("binding_type")[row].as_py(),
            self._batch.column("credential_sid")[row].as_py() or None,
            None if types is None else tuple(types),
            "expired" in holds,
            tuple(said for name, said in _REQUIRED.items() if name in holds),
            "shared" in holds,
            "crowded" in holds,
        )

    def column(self, values: list[Any], kind: pa.DataType | None = None) -> pa.Array:
        """A column in which each row has the value of its kind."""
        return pa.array(values, kind or pa.string()).take(self._kind_of_row)


def _list_keys(column: pa.Array) -> pa.Array:
    """A text for each list that is equal where the lists are; null for null.

    The names are numbered first, because any text could stand in a name, a separator too.
    """
    numbers = column.flatten().dictionary_encode(null_encoding="encode").indices.cast(pa.string())
    offsets = pc.subtract(column.offsets, column.offsets[0])
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, numbers), ",")
    return pc.if_else(pc.is_null(column), pa.scalar(None, pa.string()), joined)


def _lacking(column: pa.Array) -> pa.Array:
    """Which texts are null or empty: nothing is said either way."""
    return pc.equal(pc.fill_null(column, ""), "")


def _encode(column: pa.Array) -> Any:
    """The rows' values as numbers from 0; null has one of its own."""
    return _numbers(column.dictionary_encode(null_encoding="encode").indices)


def _numbers(column: pa.Array) -> Any:
    return column.to_numpy(zero_copy_only=False).astype(np.int64)


def _smallest(sids: pa.Array, rows: Any) -> list[str]:
    """The first few of some rows' SIDs, in the order of texts."""
    found = sids.take(pa.array(rows))
    order = pc.select_k_unstable(found, k=min(MAX_EXAMPLES, len(found)), sort_keys=[("", "ascending")])
    smallest: list[str] = found.take(order).to_pylist()
    return smallest
