"""Verify: which bindings of a snapshot have a subscription in Conversations, one partition at a time.

A partition is some small services, or one, or of a huge one the identities that fall into one bucket of hashes.
Partitions know nothing of each other, and their counts add up.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from migrate.model.registration import CHAT_NAMES, CONVERSATIONS_NAMES
from migrate.storage.database import MEMORY_LIMIT, FullMemoryError, over_views
from migrate.verify.coverage import Counts
from migrate.verify.queries import (
    COUNTS,
    FREE,
    PENDING_ROWS,
    RANKED,
    REGISTRATIONS,
    SPARE,
    WAITING,
    WAITING_COUNTS,
    has_prefixed,
    held,
    ready,
    seen,
    side_rows,
)

ROWS_A_BUCKET = 4_000_000  # of both sides: their texts fit into memory
# Small services are compared together: a database costs more than to compare them.
ROWS_TOGETHER = 200_000
SERVICES_TOGETHER = 1_000
BYTES_TOGETHER = 64 << 20  # of Parquet: texts can be long, too
PartFiles = Sequence[tuple[Path, int]]  # Parquet files, and how many rows each has
Platforms = Mapping[str | None, Counts]


@dataclass(frozen=True)
class Terms:
    """What the comparison goes by: SDKs' prefixes, and since when a binding must have registered not to have expired:
    `born_after` those of the snapshot, `live_after` those that are live.
    """

    born_after: datetime
    live_after: datetime
    chat_prefixes: tuple[str, ...]
    conversations_prefixes: tuple[str, ...]


@dataclass(frozen=True)
class ServiceParts:
    """A service to compare: the Parquet parts of its bindings, from the snapshot and as they are now."""

    sid: str
    source: PartFiles
    live: PartFiles

    @property
    def rows(self) -> int:
        """How many bindings it has, of both sides."""
        return sum(rows for _, rows in [*self.source, *self.live])

    @property
    def parts(self) -> set[Path]:
        """Its Parquet parts, of both sides."""
        return {path for path, _ in [*self.source, *self.live]}


@dataclass(frozen=True)
class Partition:
    """One piece of the comparison: paths and values, for any process to do.

    `source` and `live` are the Parquet parts of the bindings of `services`; of several, in the folder of each. Of
    their identities those count whose hash falls into `bucket` of `buckets`. `pending` and `ready` are the Parquet
    files to write the bindings to that are still waited for, and those that are ready, if anybody wants them; each
    appears whole, so that a partition may be compared twice at a time.
    `scratch` is a private folder for what does not fit into `memory_limit`.
    """

    services: tuple[str, ...]
    source: tuple[Path, ...]
    live: tuple[Path, ...]
    terms: Terms
    scratch: Path
    bucket: int = 0
    buckets: int = 1
    pending: Path | None = None
    ready: Path | None = None
    memory_limit: str = MEMORY_LIMIT


def partitions(
    services: Iterable[ServiceParts],
    terms: Terms,
    scratch: Path,
    *,
    pending: str | None = None,
    ready: str | None = None,
    rows_a_bucket: int = ROWS_A_BUCKET,
    memory_limit: str = MEMORY_LIMIT,
) -> list[Partition]:
    """The comparison of some services, cut into pieces of about so many rows at most, in their order.

    Services that have nothing to compare get none. `pending` and `ready` are how the names of the files in
    `scratch` begin that list who is.
    """
    some = pieces(services, rows_a_bucket)

    def file(name: str | None, number: int) -> Path | None:
        return scratch / f"{name}-{number:05}.parquet" if name else None

    return [
        Partition(
            services=tuple(service.sid for service in group),
            source=tuple(path for service in group for path, _ in service.source),
            live=tuple(path for service in group for path, _ in service.live),
            terms=terms,
            scratch=scratch,
            bucket=bucket,
            buckets=buckets,
            pending=file(pending, number),
            ready=file(ready, number),
            memory_limit=memory_limit,
        )
        for number, (group, bucket, buckets) in enumerate(some)
    ]


def pieces(
    services: Iterable[ServiceParts], rows_a_bucket: int = ROWS_A_BUCKET
) -> list[tuple[list[ServiceParts], int, int]]:
    """How a comparison is cut: services to compare in one database, a bucket of them, and how many there are."""
    return [(group, *bucket) for group in _groups(services) for bucket in _buckets(group, rows_a_bucket)]


def _groups(services: Iterable[ServiceParts]) -> Iterator[list[ServiceParts]]:
    """Services to compare in one database: small ones, in their order, as many as are small together; or one."""
    group: list[ServiceParts] = []
    parts: set[Path] = set()  # services may share some
    rows = size = 0
    for service in services:
        many, large = service.rows, sum(path.stat().st_size for path in service.parts - parts)
        if group and (
            len(group) == SERVICES_TOGETHER or rows + many > ROWS_TOGETHER or size + large > BYTES_TOGETHER
        ):
            yield group
            group, parts, rows, size = [], set(), 0, 0
            large = sum(path.stat().st_size for path in service.parts)
        group.append(service)
        parts |= service.parts
        rows, size = rows + many, size + large
    if group:
        yield group


def _buckets(group: Sequence[ServiceParts], rows_a_bucket: int) -> list[tuple[int, int]]:
    """The buckets of a group, each with how many there are: one for several services, none for no bindings."""
    rows = sum(service.rows for service in group)
    buckets = min(rows, 1) if len(group) > 1 else -(-rows // rows_a_bucket)
    return [(bucket, buckets) for bucket in range(buckets)]


def verify_partition(partition: Partition) -> dict[str, dict[str | None, Counts]]:
    """Compare one partition, and count by service and platform.

    The pending file has the columns service_sid, identity, endpoint, platform, last_seen, sid; the ready file has
    service_sid, those of a binding in the snapshot, `registration`, the registration that makes its device ready, and
    is_shared. Neither the order of the rows nor how they are cut into parts and partitions changes anything. Several
    services are compared by halves where their texts are too long for the memory. Raises `MigrateError` where the
    disk is full, or memory.
    """
    try:
        return _compare(partition)
    except FullMemoryError:
        if len(partition.services) == 1:
            raise
    halves = _halves(partition)
    counts = {sid: found for half in halves for sid, found in verify_partition(half).items()}
    for kind in ("pending", "ready"):
        if path := getattr(partition, kind):
            _join([getattr(half, kind) for half in halves], path)
    return counts


def _halves(partition: Partition) -> list[Partition]:
    """The partition's services as two partitions, with lists of their own."""
    middle = len(partition.services) // 2

    def half(number: int, services: tuple[str, ...]) -> Partition:
        folders = {f"service_sid={sid}" for sid in services}

        def own(file: Path | None) -> Path | None:
            return file and _aside(file.with_stem(f"{file.stem}-{number}"))

        return replace(
            partition,
            services=services,
            source=tuple(path for path in partition.source if path.parent.name in folders),
            live=tuple(path for path in partition.live if path.parent.name in folders),
            pending=own(partition.pending),
            ready=own(partition.ready),
        )

    return [half(0, partition.services[:middle]), half(1, partition.services[middle:])]


def _aside(file: Path) -> Path:
    """A name beside a file's that nothing else has."""
    return file.with_stem(f"{file.stem}-{os.urandom(8).hex()}")


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """Where to write a file, which has its own name once it is whole."""
    aside = _aside(file)
    yield aside
    aside.replace(file)


def _join(pieces: Sequence[Path], file: Path) -> None:
    """Put the rows of some Parquet files into one, in their order, and remove them."""
    with (
        _whole(file) as whole,
        pq.ParquetFile(pieces[0]) as first,
        pq.ParquetWriter(whole, first.schema_arrow, compression="zstd") as writer,
    ):
        for piece in pieces:
            with pq.ParquetFile(piece) as part:
                for group in range(part.num_row_groups):
                    writer.write_table(part.read_row_group(group).cast(first.schema_arrow))
    for piece in pieces:
        piece.unlink()


def _compare(partition: Partition) -> dict[str, dict[str | None, Counts]]:
    several = len(partition.services) > 1
    views = {"source_parts": partition.source, "live_parts": partition.live}
    with over_views(views, partition.scratch, partition.memory_limit, by_service=several) as database:
        places = range(len(partition.services))
        database.register("services", pa.table({"service_sid": partition.services, "service": places}))
        _prepare(database, partition)
        found = {
            name: {(service, platform): number for service, platform, number in database.execute(query).fetchall()}
            for name, query in COUNTS.items()
        }
        for file, query in ((partition.pending, PENDING_ROWS), (partition.ready, ready(several=several))):
            if file:
                with _whole(file) as aside:
                    database.sql(query).write_parquet(str(aside), compression="zstd")
    counts: dict[str, dict[str | None, Counts]] = {}
    for service, platform in {key for numbers in found.values() for key in numbers}:
        numbers = {name: numbers.get((service, platform), 0) for name, numbers in found.items()}
        counts.setdefault(partition.services[service], {})[platform] = _counts(numbers)
    return counts


def add_up(parts: Iterable[Platforms]) -> dict[str | None, Counts]:
    """The counts of some partitions together, in the order of the platforms' names."""
    sums: dict[str | None, Counts] = {}
    for part in parts:
        for platform, counts in part.items():
            sums[platform] = sums.get(platform, Counts()) + counts
    return dict(sorted(sums.items(), key=lambda item: (item[0] is None, item[0] or "")))


def _prepare(database: duckdb.DuckDBPyConnection, partition: Partition) -> None:
    """The tables of both sides: what is held, what is seen, who waits, and which registrations are still free."""
    terms = partition.terms
    database.execute("SET preserve_insertion_order = false")  # which would cost time, and changes nothing here
    for side in ("source", "live"):
        database.execute(side_rows(side, several=len(partition.services) > 1))
    bucket = f"hash(identity) % {partition.buckets} = {partition.bucket}" if partition.buckets > 1 else "true"
    is_ready = has_prefixed(CONVERSATIONS_NAMES, terms.conversations_prefixes)
    is_chats = has_prefixed(CHAT_NAMES, terms.chat_prefixes)
    listed = bool(partition.ready)
    database.execute(seen(bucket, is_ready, is_chats, listed=listed), {"live_after": _epoch(terms.live_after)})
    listed = bool(partition.pending or partition.ready)
    database.execute(held(bucket, listed=listed), {"born_after": _epoch(terms.born_after)})
    for statement in (REGISTRATIONS, WAITING, WAITING_COUNTS, SPARE, FREE, *((RANKED,) if listed else ())):
        database.execute(statement)


def _epoch(time: datetime) -> int:
    return int(time.timestamp()) * 1_000_000 + time.microsecond


def _counts(numbers: dict[str, int]) -> Counts:
    ready_platform, waiting = numbers["ready_platform"], numbers["waiting"]
    return Counts(
        bindings=numbers["bindings"],
        ready_device=numbers["bindings"] - numbers["expired"] - waiting,
        ready_platform=ready_platform,
        pending=waiting - ready_platform,
        expired=numbers["expired"],
        new=numbers["free"] - ready_platform,
        unclear=numbers["unclear"],
    )
