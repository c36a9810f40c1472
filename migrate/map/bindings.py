"""A batch of bindings to a batch of mapped bindings, column by column.

Bindings are many, but the facts that decide their fate take few values: each distinct combination is decided
once, and the rows take the result.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrate.map.fate import Facts, Fate, Note, decide
from migrate.map.rules import Rules
from migrate.model.finding import MAX_EXAMPLES, Finding
from migrate.model.schemas import MAPPED_BINDINGS

_REQUIRED = ("identity", "endpoint", "credential_sid")


@dataclass
class Tally:
    """What is counted over the bindings of one service. Tallies add up in any order to the same result."""

    rows: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    binding_types: Counter[str] = field(default_factory=Counter)
    subscribers: Counter[str] = field(default_factory=Counter)  # live bindings by target message type
    notes: Counter[Note] = field(default_factory=Counter)
    examples: dict[Note, list[str]] = field(default_factory=dict)

    def add(self, fate: Fate, facts: Facts, count: int, sids: Iterable[str]) -> None:
        """Count the bindings that share a fate; `sids` holds at least the smallest of theirs."""
        self.rows += count
        self.outcomes[fate.outcome] += count
        self.binding_types[facts.binding_type or "none"] += count
        if not facts.expired:
            self.subscribers.update(dict.fromkeys(fate.target_message_types or (), count))
        sids = list(sids)
        for note in fate.notes:
            self.note(note, count, sids)

    def note(self, note: Note, count: int, sids: Iterable[str]) -> None:
        """Count bindings that something is to be said about."""
        self.notes[note] += count
        self.examples[note] = heapq.nsmallest(MAX_EXAMPLES, (*self.examples.get(note, ()), *sids))

    def findings(self, service_sid: str) -> list[Finding]:
        """The notes as findings of a service."""
        return [
            Finding(code, service_sid, subject, count, tuple(self.examples[code, subject]))
            for (code, subject), count in self.notes.items()
        ]


def map_batch(batch: pa.RecordBatch, as_of: datetime, rules: Rules, tally: Tally) -> pa.RecordBatch:
    """Map rows of the `BINDINGS` schema to as many rows of `MAPPED_BINDINGS`, and count them."""
    last_seen = pc.coalesce(batch.column("date_updated"), batch.column("date_created"))
    combination, distinct = _facts(batch, last_seen, as_of - rules.lifetime)
    _, first, inverse, counts = np.unique(combination, return_index=True, return_inverse=True, return_counts=True)
    fates: list[Fate] = []
    for number, row in enumerate(first):
        facts = distinct(int(row))
        fate = decide(facts, rules)
        fates.append(fate)
        sids = _smallest(batch.column("sid").filter(pa.array(inverse == number))) if fate.notes else ()
        tally.add(fate, facts, int(counts[number]), sids)
    taken = pa.array(inverse)
    codes = [sorted({code for code, _ in fate.notes}) for fate in fates]
    columns = {
        "sid": batch.column("sid"),
        "identity": batch.column("identity"),
        "device": mask_column(batch.column("endpoint")),
        "binding_type": batch.column("binding_type"),
        "target_binding_type": _take([fate.target_binding_type for fate in fates], pa.string(), taken),
        "message_types": batch.column("message_types"),
        "target_message_types": _take([fate.target_message_types for fate in fates], pa.list_(pa.string()), taken),
        "credential_sid": batch.column("credential_sid"),
        "last_seen": last_seen,
        "outcome": _take([fate.outcome for fate in fates], pa.string(), taken),
        "findings": _take(codes, pa.list_(pa.string()), taken),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in MAPPED_BINDINGS.names], schema=MAPPED_BINDINGS)


def _facts(batch: pa.RecordBatch, last_seen: pa.Array, born_after: datetime) -> tuple[Any, Any]:
    """A number for each row that is equal where the facts are, and a function from a row to its facts."""
    types = _encode(batch.column("binding_type"))
    lists = _encode(_list_keys(batch.column("message_types")))
    expired = _flags(pc.fill_null(pc.less(last_seen, pa.scalar(born_after, last_seen.type)), False))
    missing = pc.is_null(last_seen)
    for name in _REQUIRED:
        missing = pc.or_(missing, pc.is_null(batch.column(name)))
    incomplete = _flags(missing)
    width = int(types.max(initial=0)) + 1
    combination = ((lists * width + types) * 2 + expired) * 2 + incomplete

    def distinct(row: int) -> Facts:
        message_types = batch.column("message_types")[row].as_py()
        return Facts(
            batch.column("binding_type")[row].as_py(),
            None if message_types is None else tuple(message_types),
            bool(expired[row]),
            bool(incomplete[row]),
        )

    return combination, distinct


def _list_keys(column: pa.Array) -> pa.Array:
    """A text for each list that is equal where the lists are; null for null.

    The names are numbered first, because any text could stand in a name, a separator too.
    """
    numbers = column.flatten().dictionary_encode().indices.cast(pa.string())
    offsets = pc.subtract(column.offsets, column.offsets[0])
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, numbers), ",")
    return pc.if_else(pc.is_null(column), pa.scalar(None, pa.string()), joined)


def _encode(column: pa.Array) -> Any:
    """The rows' values as numbers from 0; null has one of its own."""
    indices = column.dictionary_encode(null_encoding="encode").indices
    return indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _flags(column: pa.Array) -> Any:
    return column.to_numpy(zero_copy_only=False).astype(np.int64)


def _take(values: list[Any], kind: pa.DataType, rows: pa.Array) -> pa.Array:
    return pa.array(values, kind).take(rows)


def _smallest(sids: pa.Array) -> list[str]:
    order = pc.select_k_unstable(sids, k=min(MAX_EXAMPLES, len(sids)), sort_keys=[("", "ascending")])
    found: list[str] = sids.take(order).to_pylist()
    return found


def mask_column(column: pa.Array) -> pa.Array:
    """`migrate.model.masking.mask` for a column of texts."""
    length = pc.utf8_length(column)
    suffix = pc.binary_join_element_wise(" (", length.cast(pa.string()), ")", "")
    ends = pc.binary_join_element_wise(
        pc.utf8_slice_codeunits(column, 0, 2), "…", pc.utf8_slice_codeunits(column, -2), ""
    )
    shown = pc.if_else(pc.less(length, 12), pa.scalar("…"), ends)
    return pc.binary_join_element_wise(shown, suffix, "")
