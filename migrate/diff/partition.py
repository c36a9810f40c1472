"""The bindings of two sides beside each other, one partition at a time: new, gone, changed, seen again, the same.

A binding is the same object on both sides where service and SID are the same. Partitions are cut as for a
verification, by the hash of the SID; they know nothing of each other, and their counts add up.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from pathlib import Path
from typing import Any

import pyarrow as pa

from migrate.diff.difference import CHANGES, BindingCounts, Types
from migrate.model.finding import MAX_EXAMPLES
from migrate.model.schemas import BINDINGS, MAPPED_FILE
from migrate.storage.database import MEMORY_LIMIT, FullMemoryError, over_views, quoted
from migrate.verify.partition import ServiceParts, pieces

TYPE = "binding_type"
ROWS_A_BUCKET = 6_000_000  # of both sides: their hashes fit into memory
_MOST_BUCKETS = 1 << 12  # a bucket that does not fit into memory is cut in two, until there are so many


@dataclass(frozen=True)
class Columns:
    """What of a binding is compared: texts, lists whose order means nothing, and the dates it was last seen by.

    What differs in its dates alone has been seen again, and has not changed. `schema` is that of its Parquet files,
    which may have bindings of several services if that has `service_sid`.
    """

    texts: tuple[str, ...]
    lists: tuple[str, ...]
    dates: tuple[str, ...]
    schema: pa.Schema

    @property
    def shared(self) -> bool:
        """Whether a file may have bindings of several services."""
        return "service_sid" in self.schema.names

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns by which a binding has changed."""
        return (*self.texts, *self.lists)


OF_SNAPSHOTS = Columns(
    ("identity", "endpoint", "binding_type", "credential_sid", "extra"),
    ("message_types",),
    ("date_created", "date_updated"),
    BINDINGS,
)
OF_MAPPED = Columns(
    (
        *("identity", "device", "binding_type", "target_binding_type", "credential_sid", "target_credential_sid"),
        *("outcome", "action"),
    ),
    ("message_types", "target_message_types", "findings"),
    ("last_seen",),
    MAPPED_FILE,
)


@dataclass(frozen=True)
class Partition:
    """One piece of the comparison: paths and values, for any process to do.

    `before` and `after` are the Parquet parts of the bindings of `services`; of their rows those count whose SID's
    hash falls into `bucket` of `buckets`. What does not fit into `memory_limit` goes into a private folder in
    `scratch`, else in the system's temporary one, where this is done.
    """

    services: tuple[str, ...]
    before: tuple[Path, ...]
    after: tuple[Path, ...]
    columns: Columns
    scratch: Path | None = None
    bucket: int = 0
    buckets: int = 1
    memory_limit: str = MEMORY_LIMIT

    def halves(self) -> list[Partition]:
        """The same as two pieces, by their services, or by the hash; none where that would not help any more."""
        if len(self.services) > 1:
            middle = len(self.services) // 2
            return [self._only(some) for some in (self.services[:middle], self.services[middle:])]
        if self.buckets >= _MOST_BUCKETS:
            return []
        twice = 2 * self.buckets
        return [replace(self, bucket=bucket, buckets=twice) for bucket in (self.bucket, self.bucket + self.buckets)]

    def _only(self, services: tuple[str, ...]) -> Partition:
        if self.columns.shared:  # the rows of others are left out when they are read
            return replace(self, services=services)
        folders = {f"service_sid={sid}" for sid in services}
        before, after = (
            tuple(path for path in paths if path.parent.name in folders) for paths in (self.before, self.after)
        )
        return replace(self, services=services, before=before, after=after)


def partitions(
    services: Iterable[ServiceParts],
    columns: Columns,
    *,
    rows_a_bucket: int = ROWS_A_BUCKET,
    memory_limit: str = MEMORY_LIMIT,
) -> list[Partition]:
    """The comparison of some services, cut into pieces of about so many rows at most, in their order.

    The `source` of a service is what it had before, and `live` what it has after.
    """
    return [
        Partition(
            services=tuple(service.sid for service in group),
            before=tuple(dict.fromkeys(path for service in group for path, _ in service.source)),
            after=tuple(dict.fromkeys(path for service in group for path, _ in service.live)),
            columns=columns,
            bucket=bucket,
            buckets=buckets,
            memory_limit=memory_limit,
        )
        for group, bucket, buckets in pieces(services, rows_a_bucket)
    ]


@dataclass
class Tally:
    """What was counted of a service's bindings: by their types, and a few SIDs of each state but `same`."""

    types: dict[Types, BindingCounts]
    examples: dict[str, list[str]]

    def add(self, other: Tally) -> None:
        """Add what another piece has counted."""
        for types, counts in other.types.items():
            self.types[types] = self.types.get(types, BindingCounts()) + counts
        for state, sids in other.examples.items():
            self.examples[state] = nsmallest(MAX_EXAMPLES, {*self.examples.get(state, ()), *sids})


def compare_partition(partition: Partition) -> dict[str, Tally]:
    """Compare one partition, and count by service. What does not fit into memory is compared by halves.

    Neither the order of the rows nor how they are cut into parts and partitions changes anything. Raises
    `MigrateError` where the disk is full, or memory.
    """
    try:
        return _compare(partition)
    except FullMemoryError:
        if not (halves := partition.halves()):
            raise
    found: dict[str, Tally] = {}
    for half in halves:
        for sid, tally in compare_partition(half).items():
            found.setdefault(sid, Tally({}, {})).add(tally)
    return found


def _compare(partition: Partition) -> dict[str, Tally]:
    several, columns = len(partition.services) > 1, partition.columns
    views = {"before_parts": partition.before, "after_parts": partition.after}
    with (
        tempfile.TemporaryDirectory(prefix="chat-migrate-diff-", dir=partition.scratch) as scratch,
        over_views(
            views,
            Path(scratch),
            partition.memory_limit,
            by_service=several or columns.shared,
            schema=columns.schema,
        ) as database,
    ):
        database.execute("SET preserve_insertion_order = false")  # which would cost time, and changes nothing here
        # Of many small services, opening the files takes most of the time, and each statement opens them again.
        kind = "TABLE" if several else "VIEW"
        named = ", ".join((*(("service_sid",) if several else ()), "sid", *columns.fields, *columns.dates))
        only = f"WHERE service_sid IN ({', '.join(map(quoted, partition.services))})" if columns.shared else ""
        for side in ("before", "after"):
            database.execute(f"CREATE TEMP {kind} {side}_rows AS SELECT {named} FROM {side}_parts {only}")  # noqa: S608
        rows = database.execute(_query(partition)).fetchall()
    found: dict[str, Tally] = {}
    for row in rows:
        sid = row[0] if several else partition.services[0]
        found.setdefault(sid, Tally({}, {})).add(_tally(row[1:], columns.fields))
    return found


def _tally(row: Sequence[Any], fields: Sequence[str]) -> Tally:
    """A row of the result: a state, the types before and after, how many, some SIDs, and how many by field."""
    state, before, after, number, sids, *differing = row
    by_field = Counter({name: n for name, n in zip(fields, differing, strict=True) if n and state == "changed"})
    counts = BindingCounts(**{state: number}, fields=by_field)
    return Tally({(before, after): counts}, {state: sids} if sids else {})


def _query(partition: Partition) -> str:
    """SQL: how many bindings there are by service, state and types, and how many differ in each field.

    Of texts and lists it compares the hashes of 64 bits, by which a hash table takes a third of the memory: of two
    that differ, one in 10^19 goes unseen. A SID is compared as it is.
    """
    columns, several = partition.columns, len(partition.services) > 1
    changed = " OR ".join(f"differs_{name}" for name in columns.fields)
    return f"""
        WITH lists AS MATERIALIZED ({_lists(partition)}),
        before AS ({_side("before_rows", partition)}),
        after AS ({_side("after_rows", partition)}),
        pairs AS (
            SELECT {"coalesce(a.service_sid, b.service_sid)" if several else "NULL"} AS service_sid,
                coalesce(a.sid, b.sid) AS sid, b.sid IS NULL AS is_new, a.sid IS NULL AS is_gone,
                CASE WHEN b.sid IS NULL THEN a.{TYPE} ELSE b.{TYPE} END AS type_before,
                CASE WHEN a.sid IS NULL THEN b.{TYPE} ELSE a.{TYPE} END AS type_after,
                {", ".join(f"b.{name} IS DISTINCT FROM a.{name} AS differs_{name}" for name in columns.fields)},
                {" OR ".join(f"b.{name} IS DISTINCT FROM a.{name}" for name in columns.dates)} AS is_seen
            FROM before AS b FULL JOIN after AS a
                ON b.sid = a.sid {"AND b.service_sid = a.service_sid" if several else ""}
        ),
        judged AS (
            SELECT *, CASE WHEN is_new THEN 'new' WHEN is_gone THEN 'gone' WHEN {changed} THEN 'changed'
                WHEN is_seen THEN 'refreshed' ELSE 'same' END AS state
            FROM pairs
        )
        SELECT service_sid, state, type_before, type_after, count(*),
            min(sid, {MAX_EXAMPLES}) FILTER (state IN ({", ".join(f"'{change}'" for change in CHANGES)})),
            {", ".join(f"count(*) FILTER (differs_{name})" for name in columns.fields)}
        FROM judged GROUP BY service_sid, state, type_before, type_after
    """  # noqa: S608  # names of ours


def _bucket(partition: Partition) -> str:
    return f"hash(sid) % {partition.buckets} = {partition.bucket}" if partition.buckets > 1 else "true"


def _lists(partition: Partition) -> str:
    """SQL: the distinct lists, which are few as a rule: each one's hash, and that of its content in any order."""
    every = " UNION ALL ".join(
        f"SELECT {name} AS list FROM {rows} WHERE {_bucket(partition)}"  # noqa: S608  # names of ours
        for name in partition.columns.lists
        for rows in ("before_rows", "after_rows")
    )
    content = _hash_of_list("list_sort(list_distinct(first(list)))")
    raw = _hash_of_list("list")
    return f"SELECT {raw} AS list, {content} AS content FROM ({every}) GROUP BY {raw}"  # noqa: S608


def _hash_of_list(value: str) -> str:
    """SQL: the hash of a list. To DuckDB alone, no list, an empty one and one of nothing but nulls are the same."""
    return f"hash({value}, {value} IS NULL)"


def _side(rows: str, partition: Partition) -> str:
    """SQL: the rows of one side, with what is compared of them."""
    columns = partition.columns
    service = "service_sid, " if len(partition.services) > 1 else ""
    texts = [name if name == TYPE else f"hash({name}) AS {name}" for name in columns.texts]
    lists = [f"of_{name}.content AS {name}" for name in columns.lists]
    joins = [
        f"JOIN lists AS of_{name} ON of_{name}.list = {_hash_of_list(f'{rows}.{name}')}" for name in columns.lists
    ]
    named = ", ".join((*texts, *lists, *columns.dates))
    return f"SELECT {service}sid, {named} FROM {rows} {' '.join(joins)} WHERE {_bucket(partition)}"  # noqa: S608
