"""Small services, many in one task: what a task costs of its own is paid once for all of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import pyarrow as pa

from migrate.map.bindings import NEEDED, Mapper
from migrate.map.counts import ServiceCounts as Tally
from migrate.map.counts import TaskCounts as Counted
from migrate.map.mapped_parts import new_parts, write_parts
from migrate.map.sharing import SERVICE, read_together
from migrate.model.schemas import MAPPED_BINDINGS
from migrate.runtime.interrupts import check
from migrate.runtime.workers import Workers, result_of
from migrate.storage.private import settle

SERVICES_A_TASK = 500
BYTES_A_TASK = 24 << 20  # of Parquet: texts can be long, too
# A call has the files of so many open at a time, and each of the tasks side by side makes one; a process may have no
# more than 256 files open, and Ctrl-C is noticed only between calls.
SERVICES_A_CALL = max(1, 96 // (os.cpu_count() or 1))
SYNCS = 16  # files at a time: a disk makes many durable in the time of one


@dataclass(frozen=True)
class Service:
    """A service whose bindings fit into memory: its SID and its parts."""

    sid: str
    parts: tuple[Path, ...]


@dataclass(frozen=True)
class TaskTogether:
    """Some small services to be mapped: paths and values, for any process to do. `mapper` knows of no crowds.

    `work` is the private folder that all tasks of a run write into.
    """

    services: tuple[Service, ...]
    work: Path
    mapper: Mapper


@dataclass(frozen=True)
class Done:
    """What a task has counted, by service, and the folders of its parts (`new_parts`)."""

    counts: Mapping[str, Tally]
    folders: tuple[Path, ...]


def map_together(task: TaskTogether) -> Done:
    """Do one task. What it writes is left to `settle_all`."""
    counted, services = Counted(), task.services
    parts = {service.sid: service.parts for service in services}
    rows = read_together(parts, NEEDED, task.mapper.rules.bindings_per_identity, task.work)
    check()
    # As plain texts: a file would have the dictionary of all services, and not only of its own.
    mapped = task.mapper.map_batch(rows, counted).cast(MAPPED_BINDINGS)
    tallies = counted.by_service(len(services))
    sids = pa.array([*parts]).take(rows.column(SERVICE))
    ends = [0, *accumulate(tally.rows for tally in tallies)]
    folder = new_parts(task.work, parts)
    for start, end in pairwise([*ends[:-1:SERVICES_A_CALL], ends[-1]]):
        check()
        write_parts(folder, mapped.slice(start, end - start), sids.slice(start, end - start))
    return Done({service.sid: tally for service, tally in zip(services, tallies, strict=True)}, (folder,))


def settle_all(paths: Iterable[Path]) -> None:
    """Make what `map_together` has written private, and survive a power loss.

    Apart from it, and once nothing else is to be done: short calls wait long for the interpreter's lock.
    """
    with Workers(SYNCS, "sync") as workers:
        for done in [workers.submit(_settle, path) for path in paths]:
            result_of(done)


def _settle(path: Path) -> None:
    check()  # a slow disk takes longer for all of them than there is once the process was asked to end
    settle(path)
