"""Small services, many in one task: what a task costs of its own is paid once for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from migrate.map.bindings import NEEDED, Mapper
from migrate.map.counts import ServiceCounts as Tally
from migrate.map.counts import TaskCounts as Counted
from migrate.map.mapped_bindings import name_of_part
from migrate.map.mapped_parts import new_part, new_parts
from migrate.map.sharing import SERVICE, read_together
from migrate.runtime.interrupts import check

SERVICES_A_TASK = 500
BYTES_A_TASK = 24 << 20  # of Parquet: texts can be long, too


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
    """Do one task, whose services have one file."""
    counted, services = Counted(), task.services
    sids = [service.sid for service in services]
    parts = {service.sid: service.parts for service in services}
    rows = read_together(parts, NEEDED, task.mapper.rules.bindings_per_identity, task.work)
    check()
    mapped = task.mapper.map_batch(rows, counted)
    folder = new_parts(task.work)
    with new_part(folder / name_of_part(sids)) as part:
        part.write(mapped, sids, rows.column(SERVICE))
    return Done(dict(zip(sids, counted.by_service(len(services)), strict=True)), (folder,))
