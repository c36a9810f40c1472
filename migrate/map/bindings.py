"""A batch of bindings to a batch of mapped bindings, column by column.

Bindings are many, but the facts that decide what becomes of them take few values: each distinct combination is
decided once, and the rows take the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrate.map.counts import TaskCounts
from migrate.map.credentials import Credentials
from migrate.map.decision import DECIDED, Decision, Facts, decide
from migrate.map.mapped_parts import IN_MEMORY
from migrate.map.rules import Rules
from migrate.map.sharing import FLAGS, NO_SHARING, SERVICE, Sharing
from migrate.model.finding import MAX_EXAMPLES
from migrate.model.masked_column import mask_column
from migrate.model.schemas import BINDINGS, encoded

# The columns of the `BINDINGS` schema that a batch to be mapped has.
NEEDED = (
    *("sid", "endpoint", "identity", "binding_type", "credential_sid", "message_types"),
    *("date_created", "date_updated"),
)
# Those of few distinct values, by their path in Parquet.
ENCODED = ("binding_type", "credential_sid", "message_types.list.element")
_TAKEN = encoded(pa.schema([BINDINGS.field(name) for name in NEEDED]), [name.partition(".")[0] for name in ENCODED])
# The fields that a device cannot be followed without, by the column that shows whether they are there.
_REQUIRED = {"identity": "identity", "endpoint": "endpoint", "credential_sid": "credential_sid", "last_seen": "date"}
_MOST_CODES = 1 << 62  # what a number can tell apart
_Numbers = np.ndarray[Any, np.dtype[Any]]
_OF_A_TEXT = np.array([(1 << 64) - (1 << 64 - 8 * length) for length in range(9)], np.uint64)  # its bytes, of 8


@dataclass(frozen=True)
class Mapper:
    """All that decides about a service's bindings, beside themselves. `as_of` is the source's time."""

    as_of: datetime
    rules: Rules
    credentials: Credentials
    sharing: Sharing = NO_SHARING

    def map_batch(self, batch: pa.RecordBatch, counted: TaskCounts) -> pa.RecordBatch:
        """Map rows with the columns `NEEDED` to as many rows of `IN_MEMORY`, and count them.

        Rows of several services have those of `read_together` too; others are of one service. A batch has at most a
        few times `migrate.snapshot.reader.BATCH_ROWS` rows.
        """
        rows = batch.select(NEEDED).cast(_TAKEN)
        last_seen = pc.coalesce(rows.column("date_updated"), rows.column("date_created"))
        several = SERVICE in batch.schema.names
        flags = {name: batch.column(name) for name in FLAGS} if several else self.sharing.flags(batch)
        kinds = _Kinds(rows, last_seen, self._tests(rows, last_seen, flags), batch[SERVICE] if several else None)
        decisions: list[Decision] = []
        for service, facts, count, sids in kinds:
            decision = counted.decisions.get(facts)
            if decision is None:
                decision = counted.decisions[facts] = decide(facts, self.rules, self.credentials)
            decisions.append(decision)
            counted.add(service, facts, count, sids if decision.notes else ())
        columns = {
            "sid": rows.column("sid"),
            "identity": rows.column("identity"),
            "device": mask_column(rows.column("endpoint")),
            "binding_type": rows.column("binding_type"),
            "message_types": rows.column("message_types"),
            "credential_sid": rows.column("credential_sid"),
            "last_seen": last_seen,
            "endpoint_shared": pc.fill_null(flags["shared"], False),
            "identity_crowded": pc.fill_null(flags["crowded"], False),
            **{name: kinds.column(name, [decision.columns[name] for decision in decisions]) for name in DECIDED},
        }
        return pa.RecordBatch.from_arrays([columns[name] for name in IN_MEMORY.names], schema=IN_MEMORY)

    def _tests(self, rows: pa.RecordBatch, last_seen: pa.Array, flags: dict[str, pa.Array]) -> dict[str, pa.Array]:
        """What holds of each row, beside the values that its columns have."""
        born_after = pa.scalar(self.as_of - self.rules.lifetime, last_seen.type)
        tests = {"expired": pc.less(last_seen, born_after), **flags}
        for name in _REQUIRED:
            tests[name] = pc.is_null(last_seen) if name == "last_seen" else _lacking(rows.column(name))
        return tests


class _Kinds:
    """The rows of a batch by their service and the facts that decide about them."""

    def __init__(
        self, rows: pa.RecordBatch, last_seen: pa.Array, tests: dict[str, pa.Array], services: pa.Array | None
    ) -> None:
        self._rows = rows
        self._tests = {name: _numbers(pc.fill_null(test, False)) for name, test in tests.items()}
        self._services = services
        self._codes = {name: _encode(rows.column(name)) for name in ("binding_type", "credential_sid")}
        self._lists = _encode(_list_keys(rows.column("message_types")))
        combination, most = self._lists, _most(self._lists)
        others = [*self._codes.values(), *self._tests.values(), *(() if services is None else (_numbers(services),))]
        for values in others:
            here = _most(values)
            if most * here > _MOST_CODES:
                combination = _encode(pa.array(combination))
                most = _most(combination)
            combination, most = combination * here + values, most * here
        found = pa.array(combination).dictionary_encode()
        self._kind_of_row, many = found.indices, len(found.dictionary)
        kinds = _numbers(found.indices)
        self._counts = np.bincount(kinds, minlength=many)
        self._first = np.empty(many, np.int64)
        self._first[kinds[::-1]] = np.arange(len(kinds))[::-1]
        self._smallest = _smallest(rows.column("sid"), kinds, self._counts)

    def __iter__(self) -> Iterator[tuple[int, Facts, int, list[str]]]:
        """The place of the service, the facts, how many rows have them, and at least the smallest of their SIDs."""
        first = self._first
        values = {name: self._values(name, codes[first]) for name, codes in self._codes.items()}
        lists = self._values("message_types", self._lists[first])
        tests = {name: test[first].astype(bool).tolist() for name, test in self._tests.items()}
        places = [0] * len(first) if self._services is None else _numbers(self._services)[first].tolist()
        for kind, (place, count) in enumerate(zip(places, self._counts.tolist(), strict=True)):
            types = lists[kind]
            facts = Facts(
                values["binding_type"][kind],
                values["credential_sid"][kind] or None,
                None if types is None else tuple(types),
                tests["expired"][kind],
                tuple(said for name, said in _REQUIRED.items() if tests[name][kind]),
                tests["shared"][kind],
                tests["crowded"][kind],
            )
            yield place, facts, count, self._smallest[kind]

    def _values(self, name: str, codes: _Numbers) -> list[Any]:
        """What a column has in the first row of each kind; each distinct value is looked up once."""
        known: dict[int, Any] = {}
        column, found = self._rows.column(name), []
        for code, row in zip(codes.tolist(), self._first.tolist(), strict=True):
            if code not in known:
                known[code] = column[row].as_py()
            found.append(known[code])
        return found

    def column(self, name: str, values: list[Any]) -> pa.Array:
        """A column of `IN_MEMORY` in which each row has the value of its kind."""
        return pa.array(values, IN_MEMORY.field(name).type).take(self._kind_of_row)


def _list_keys(column: pa.Array) -> pa.Array:
    """A text for each list that is equal where the lists are; null for null.

    The names are numbers already, because any text could stand in a name, a separator too.
    """
    numbers = pc.fill_null(column.flatten().indices, -1).cast(pa.string())
    offsets = pc.subtract(column.offsets, column.offsets[0])
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, numbers), ",")
    return pc.if_else(pc.is_null(column), pa.scalar(None, pa.string()), joined)


def _lacking(column: pa.Array) -> pa.Array:
    """Which texts are null or empty: nothing is said either way."""
    if pa.types.is_dictionary(column.type):
        empty = pc.fill_null(pc.equal(column.dictionary, ""), True)
        return pc.fill_null(empty.take(column.indices), True)
    return pc.equal(pc.fill_null(column, ""), "")


def _encode(column: pa.Array) -> _Numbers:
    """The rows' values as numbers from 0; null has one of its own."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode(null_encoding="encode")
    return _numbers(pc.fill_null(column.indices, len(column.dictionary)))


def _numbers(column: pa.Array) -> _Numbers:
    numbers: _Numbers = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers


def _most(values: _Numbers) -> int:
    """How many values there may be, of numbers from 0."""
    return int(values.max(initial=0)) + 1


def _smallest(sids: pa.Array, kinds: _Numbers, counts: _Numbers) -> list[list[str]]:
    """By kind, at least the first few of its rows' SIDs in the order of texts: all that begin like one of those."""
    keys = _beginnings(sids)
    order = np.argsort(keys)
    few = kinds.astype(np.uint16) if len(counts) < 1 << 16 else kinds  # of 16 bits, NumPy's stable sort takes no time
    order = order[np.argsort(few[order], kind="stable")]  # by kind, then by their beginnings
    ends = np.cumsum(counts)
    last = keys[order[np.minimum(ends - counts + MAX_EXAMPLES, ends) - 1]]
    kept = order[keys[order] <= last[kinds[order]]]
    texts: list[str] = sids.take(pa.array(kept)).to_pylist()
    bounds = [0, *np.cumsum(np.bincount(kinds[kept], minlength=len(counts))).tolist()]
    return [texts[start:end] for start, end in pairwise(bounds)]


def _beginnings(texts: pa.Array) -> _Numbers:
    """The first 8 bytes of each text as a number: in the order of numbers, texts are nearly in theirs."""
    if not len(texts):
        return np.empty(0, np.uint64)
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(bounds)
    content = np.frombuffer(data or b"", np.uint8)[bounds[0] : bounds[-1]]
    if (length := int(lengths[0])) >= 8 and (lengths == length).all():  # as all of Twilio's SIDs are
        return np.ascontiguousarray(content.reshape(-1, length)[:, :8]).view(">u8").ravel().astype(np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([content, np.zeros(8, np.uint8)]), 8)
    found = windows[bounds[:-1] - bounds[0]].view(">u8").ravel().astype(np.uint64)
    numbers: _Numbers = found & _OF_A_TEXT[np.minimum(lengths, 8)]  # behind a short one begins another
    return numbers
