"""A comparison: two snapshots beside each other, cut into partitions that are compared side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from migrate.map.rules import Rules
from migrate.runtime.workers import Workers, result_of
from migrate.snapshot.manifest import Filters
from migrate.snapshot.reader import Snapshot
from migrate.snapshot.rejected import REJECTED
from migrate.storage.files import make_own_folder
from migrate.verify.coverage import Coverage, ServiceCoverage

if TYPE_CHECKING:  # what brings DuckDB is imported where it is needed, which is after the first request
    from migrate.verify.partition import Platforms

Listed = Literal["pending", "ready"] | None  # of whom there is to be a list
Result = TypeVar("Result")


class _Task(Protocol):
    """A piece of a comparison: some small services, or all or a part of one."""

    @property
    def services(self) -> tuple[str, ...]: ...


Piece = TypeVar("Piece", bound=_Task)


class Comparison:
    """Two snapshots beside each other, service by service.

    Once it was run, `coverage` has the numbers, and `lists` has the files of who is pending or ready, whichever was
    asked for, in the order of the services; a row names its `service_sid`. `rejected` is the live side's file of
    records that do not fit, if it has one.
    """

    coverage: Coverage

    def __init__(self, source: Snapshot, live: Snapshot, rules: Rules, scratch: Path) -> None:
        from migrate.verify.partition import Terms

        names = rules.tables["message_type_names"]
        self.source = source
        self._live = live
        self._terms = Terms(
            born_after=source.as_of - rules.lifetime,
            live_after=live.as_of - rules.lifetime,
            chat_prefixes=tuple(names["chat_prefixes"]),
            conversations_prefixes=tuple(names["conversations_prefixes"]),
        )
        self.scratch = scratch.absolute() / os.urandom(8).hex()  # no other run has it: see `drop_folder`
        self.rejected = live.folder / REJECTED if live.manifest.rejected else None
        self.lists: list[Path] = []
        for folder in (scratch, self.scratch):
            make_own_folder(folder)

    def run(self, executor: Executor | None, listed: Listed) -> None:
        """Compare everything."""
        from migrate.verify.partition import ServiceParts, add_up, partitions, verify_partition

        names = _names(self.source, self._live)
        tasks = partitions(
            (ServiceParts(sid, self.source.parts(sid), self._live.parts(sid)) for sid in names),
            self._terms,
            self.scratch,
            pending="pending" if listed == "pending" else None,
            ready="ready" if listed == "ready" else None,
        )
        found: dict[str, list[Platforms]] = {sid: [] for sid in names}
        for counts in side_by_side(verify_partition, tasks, executor):
            for sid, platforms in counts.items():
                found[sid].append(platforms)
        ours, theirs = self.source.manifest, self._live.manifest
        rejected = theirs.rejected_by_service
        self.lists = [path for task in tasks for path in (task.pending, task.ready) if path]
        self.coverage = Coverage(
            account_sid=ours.account_sid,
            snapshot=ours.digest,
            snapshot_as_of=ours.as_of,
            live_source=theirs.source,
            live_as_of=theirs.as_of,
            live_bindings=theirs.rows,
            narrowed=ours.filters != Filters(),
            services=tuple(
                ServiceCoverage(sid, names[sid], add_up(parts), rejected.get(sid, 0)) for sid, parts in found.items()
            ),
            rejected=ours.rejected,
        )


def side_by_side(
    work: Callable[[Piece], Result], tasks: Sequence[Piece], executor: Executor | None = None
) -> Iterator[Result]:
    """What comes of each piece of a comparison, in any order, by `executor`, else by a few threads of this process.

    Without one, a piece of a huge service has all threads of DuckDB and the memory to itself. Of small services
    the time goes into opening files, one by one, so several pieces of them are worked on at a time.
    """
    if executor:
        yield from executor.map(work, tasks)
        return
    with Workers(os.cpu_count() or 1, "compare") as workers:
        small = [workers.submit(work, task) for task in tasks if len(task.services) > 1]
        yield from map(result_of, small)
    yield from map(work, (task for task in tasks if len(task.services) == 1))


def _names(source: Snapshot, live: Snapshot) -> dict[str, str]:
    """The services to compare, by SID and in its order: the snapshot's; and others, if it was for all there were."""
    found = {} if source.manifest.filters.services else {row["sid"]: row for row in live.services()}
    found |= {row["sid"]: row for row in source.services()}
    return {sid: found[sid]["friendly_name"] or "" for sid in sorted(found)}
