"""Map: a snapshot to a mapped folder, part by part. Everything that is decided is decided by pure functions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from migrate.map.bindings import ENCODED, NEEDED, Mapper
from migrate.map.counts import ServiceCounts, TaskCounts
from migrate.map.credentials import Credentials
from migrate.map.mapped_bindings import name_of_part
from migrate.map.mapped_folder import SUMMARY, ServiceSummary, Summary
from migrate.map.mapped_parts import new_part, new_parts
from migrate.map.mapped_writer import MappedWriter
from migrate.map.notifications import service_config
from migrate.map.push_errors import error_findings, proven_by, read_push_errors, with_live
from migrate.map.reviewed import Reviewed, carry_over, open_reviewed
from migrate.map.rules import Rules
from migrate.map.rules_toml import default_rules
from migrate.map.sharing import find_sharing, read_sharing, write_sharing
from migrate.map.small_services import (
    BYTES_A_TASK,
    SERVICES_A_TASK,
    Done,
    Service,
    TaskTogether,
    map_together,
)
from migrate.model.config_check import check_config
from migrate.model.credential import Credential
from migrate.model.errors import RefusedError, UsageError
from migrate.model.finding import Finding, nothing_expected
from migrate.model.proposal import Proposal
from migrate.model.push_config import ServiceConfig, flatten
from migrate.model.sids import is_service_sid, normal
from migrate.runtime.interrupts import resumable
from migrate.runtime.workers import GRACE, Workers, result_of
from migrate.snapshot.reader import BATCH_ROWS, Snapshot, batches, read_snapshot
from migrate.storage.database import FullMemoryError
from migrate.storage.places import way_to

ROWS_A_TASK = 500_000  # bindings that one task maps, and that one file of the mapped folder has


@dataclass(frozen=True)
class Task:
    """Some parts of one service's bindings, to be mapped into one file: paths and values, for any process to do.

    `number` is that of the file, `work` the private folder that all tasks of a run write into. `mapper` knows of no
    crowds: `sharing` is the file that does, if there are any.
    """

    service_sid: str
    parts: tuple[Path, ...]
    number: int
    work: Path
    mapper: Mapper
    sharing: Path | None = None


def map_part(task: Task) -> Done:
    """Do one task. Tasks know nothing of each other, and what they count adds up; done twice, none sees the other."""
    counted, mapper = TaskCounts(), replace(task.mapper, sharing=read_sharing(task.sharing))
    folder, services = new_parts(task.work), [task.service_sid]
    with new_part(folder / name_of_part(services, task.number)) as part:
        for batch in _larger(batches(task.parts, NEEDED, ENCODED)):
            part.write(mapper.map_batch(batch, counted), services)
    return Done({task.service_sid: counted.by_service()[0]}, (folder,))


def map_some(task: TaskTogether) -> Done:
    """Do a task of small services together; by halves, and in the end one by one, where their texts are too long for
    the memory.
    """
    try:
        return map_together(task)
    except FullMemoryError:
        middle = len(task.services) // 2
        if middle:
            one, other = (
                map_some(replace(task, services=half)) for half in (task.services[:middle], task.services[middle:])
            )
            return Done({**one.counts, **other.counts}, one.folders + other.folders)
    (service,) = task.services
    sharing = find_sharing(list(service.parts), task.mapper.rules.bindings_per_identity, task.work)
    file = write_sharing(sharing, task.work)
    return map_part(Task(service.sid, service.parts, 0, task.work, task.mapper, file))


def _larger(some: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Small batches joined to some of at least `BATCH_ROWS`: each costs something of its own."""
    held: list[pa.RecordBatch] = []
    for batch in some:
        held.append(batch)
        if sum(one.num_rows for one in held) >= BATCH_ROWS:
            yield pa.concat_batches(held)
            held = []
    if held:
        yield pa.concat_batches(held)


def map_snapshot(
    snapshot: Path,
    out: Path,
    rules: Rules | None = None,
    *,
    overwrite: bool = False,
    like: Path | None = None,
    executor: Executor | None = None,
) -> Summary:
    """Translate the snapshot in one folder into the mapped folder `out`, and return its summary.

    Every binding has exactly one outcome, and the counts add up to the snapshot's rows. The tasks run on `executor`,
    else on a few threads of this process. Raises `InputError` and `RefusedError` as `read_snapshot` does, and
    `RefusedError` if `out` is not empty; with `overwrite` it may be a mapped folder, whose edited push
    configuration is kept beside the new one. `like` is a reviewed mapped folder, given instead of `rules`: its rules
    and edits are carried over (see `migrate.map.reviewed`). Raises as `open_reviewed` does, and `RefusedError` for
    one of another account.
    """
    if like and rules:
        raise UsageError("A reviewed mapped folder brings its own rules: give either")
    reviewed = open_reviewed(like) if like else None
    before = _stamp(out)

    def kept() -> str:  # one that stops in the middle leaves nothing
        is_new = _stamp(out) not in (None, before)
        return f"{out} is mapped; what it replaces is not removed yet" if is_new else f"Nothing was changed in {out}"

    again = "The same command starts over"
    whole = resumable(kept=kept, remedy=again, cannot=lambda _: f"Cannot map into {out}")
    with whole, MappedWriter(out, overwrite=overwrite) as writer, ExitStack() as stack:
        executor = executor or stack.enter_context(Workers(os.cpu_count() or 1, "map"))
        rules = reviewed.rules if reviewed else rules or default_rules()
        mapping = _Mapping(read_snapshot(snapshot), rules, writer, executor, reviewed)
        stack.callback(mapping.stop)  # before the writer clears away, and before the threads are waited for
        return mapping.run()


def _stamp(out: Path) -> tuple[int, int] | None:
    """What distinguishes one mapped folder from another in its place; None without one."""
    try:
        found = (out / SUMMARY).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


class _Mapping:
    """One snapshot being mapped, service by service."""

    def __init__(
        self,
        source: Snapshot,
        rules: Rules,
        writer: MappedWriter,
        executor: Executor,
        reviewed: Reviewed | None = None,
    ) -> None:
        if reviewed:
            _refuse_other_account(source, reviewed)
        self._reviewed = reviewed
        self._source = source
        self._rules = rules
        self._writer = writer
        self._executor = executor
        self._errors = read_push_errors(source, writer.scratch)
        self._credentials = Credentials.of(map(Credential.from_row, source.credentials()), proven_by(self._errors))
        filters = source.manifest.filters
        self._whole = not (filters.binding_types or filters.identities or filters.identity_file)
        self._used: set[str] = set()
        self._tasks: dict[str, list[Future[Done]]] = {}  # by service
        self._small: list[Service] = []  # services to be mapped in one task, with those that come yet
        self._rows_of_small = self._bytes_of_small = 0

    def run(self) -> Summary:
        """Map everything, and put the folder in its place."""
        configs: list[ServiceConfig] = []
        proposals: list[Proposal] = []
        services: list[ServiceSummary] = []
        findings = [] if self._whole else [Finding("snapshot-filtered", None)]
        left_out: dict[str, str] = {}
        listed = self._source.services()
        for service in listed:
            self._begin(service["sid"])
        self._begin_together()
        for service in listed:
            sid = service["sid"]
            counts = self._counts(sid)
            self._used |= {credential for credential, _ in counts.used}
            if normal(sid) in self._rules.leave_out:
                left_out[sid] = service["friendly_name"] or ""
                findings.append(Finding("service-left-out", sid, "", counts.rows))
                services.append(self._numbers(service, counts))
                continue
            desired = service_config(service, counts, self._rules, whole=self._whole)
            services.append(self._numbers(service, counts, desired.off_in_chat))
            configs.append(desired.config)
            proposals += desired.proposals
            findings += [*desired.findings, *counts.findings(sid), *self._rejected(sid)]
            then, lengths, off = _live_then(service), self._rules.lengths, desired.off_in_chat
            findings += check_config(desired.config, then, counts.subscribers, off, lengths, desired.proposals)
        for task in self._futures():
            for folder in task.result().folders:
                self._writer.take(folder)
        findings += self._account({service["service_sid"] for service in services})
        carried = None
        if self._reviewed:
            there = {service["service_sid"] for service in services}
            carried = carry_over(self._reviewed, configs, left_out, tuple(proposals), there)
            findings += carried.findings
        expired = sum(service["outcomes"].get("expired", 0) for service in services)
        if clock := self._source.manifest.clock:
            findings.append(Finding("clock-differs", None, str(clock)))
        findings += nothing_expected(sum(service["bindings"] for service in services), expired)
        errors = with_live(self._errors, services) if self._errors else None
        if errors:
            only = self._source.manifest.filters.services
            findings += error_findings(errors, tuple(findings), left_out, only)
        summary = Summary(
            account_sid=self._source.manifest.account_sid,
            as_of=self._source.manifest.as_of,
            source=way_to(self._source.folder.resolve(), self._writer.folder),
            snapshot=self._source.manifest.digest,
            rules=self._rules.digest,
            services=tuple(services),
            credentials=tuple(self._credentials.account.values()),
            lengths=self._rules.lengths,
            findings=tuple(sorted(findings, key=Finding.sort_key)),
            proposals=tuple(sorted(proposals, key=Proposal.sort_key)),
            addresses=self._source.manifest.addresses,
            push_errors=errors,
        )
        self._writer.finish(summary, configs, self._rules.text, left_out, carried.text if carried else None)
        return summary

    def stop(self) -> None:
        """Leave nothing behind that runs."""
        tasks = self._futures()
        for task in tasks:
            task.cancel()
        wait(tasks, GRACE)

    def _futures(self) -> list[Future[Done]]:
        """All tasks, each once."""
        return [*dict.fromkeys(task for some in self._tasks.values() for task in some)]

    def _begin(self, service_sid: str) -> None:
        """Begin to map the bindings of a service, while those before it are still being mapped."""
        parts = self._source.parts(service_sid)
        paths, rows = [path for path, _ in parts], sum(count for _, count in parts)
        if 0 < rows <= min(BATCH_ROWS, ROWS_A_TASK):
            size = self._source.size(service_sid)
            if (
                len(self._small) == SERVICES_A_TASK
                or self._rows_of_small + rows > BATCH_ROWS
                or self._bytes_of_small + size > BYTES_A_TASK
            ):
                self._begin_together()
            self._small.append(Service(service_sid, tuple(paths)))
            self._rows_of_small += rows
            self._bytes_of_small += size
            return
        sharing = find_sharing(paths, self._rules.bindings_per_identity, self._writer.scratch)
        file, work = write_sharing(sharing, self._writer.work), self._writer.work
        mapper = Mapper(self._source.as_of, self._rules, self._credentials)
        self._tasks[service_sid] = [
            self._executor.submit(map_part, Task(service_sid, tuple(some), n, work, mapper, file))
            for n, some in enumerate(_groups(parts))
        ]

    def _begin_together(self) -> None:
        """Begin to map the small services in hand."""
        if self._small:
            mapper = Mapper(self._source.as_of, self._rules, self._credentials)
            task = TaskTogether(tuple(self._small), self._writer.work, mapper)
            done = self._executor.submit(map_some, task)
            self._tasks |= {service.sid: [done] for service in self._small}
        self._small, self._rows_of_small, self._bytes_of_small = [], 0, 0

    def _counts(self, service_sid: str) -> ServiceCounts:
        first, *others = [result_of(task).counts[service_sid] for task in self._tasks[service_sid]] or [
            ServiceCounts()
        ]
        for other in others:
            first.merge(other)
        return first

    def _numbers(
        self, service: dict[str, Any], counts: ServiceCounts, off_in_chat: Sequence[str] = ()
    ) -> ServiceSummary:
        return {
            "service_sid": service["sid"],
            "friendly_name": service["friendly_name"] or "",
            "left_out": normal(service["sid"]) in self._rules.leave_out,
            "bindings": counts.rows,
            "outcomes": dict(sorted(counts.outcomes.items())),
            "actions": dict(sorted(counts.actions.items())),
            "binding_types": dict(sorted(counts.binding_types.items())),
            "subscribers": dict(sorted(counts.subscribers.items())),
            "off_in_chat": sorted(off_in_chat),
            "credentials": counts.credentials(),
            "conversations": _live_then(service),
        }

    def _rejected(self, service_sid: str) -> list[Finding]:
        count = self._source.manifest.rejected_by_service.get(service_sid, 0)
        return [Finding("bindings-rejected", service_sid, "", count)] if count else []

    def _account(self, services: set[str]) -> list[Finding]:
        """What is to be said of the account, and of rules that have nothing to apply to."""
        whole = self._whole and not self._source.manifest.filters.services
        found = self._credentials.findings(self._used, self._rules, whole=whole)
        named = {f"services.leave_out: {sid}": sid for sid in self._rules.leave_out}
        named |= {f"inference.{sid}": sid for sid in self._rules.tables["inference"] if is_service_sid(sid)}
        strange = sorted(rule for rule, sid in named.items() if sid not in services) if whole else []
        return found + [Finding("rule-unused", None, rule) for rule in strange]


def _refuse_other_account(source: Snapshot, reviewed: Reviewed) -> None:
    ours, theirs = source.manifest.account_sid, reviewed.mapped.summary.account_sid
    if ours != theirs:
        raise RefusedError(
            f"The snapshot {source.folder} is of account {ours}, and {reviewed.mapped.folder} of {theirs}",
            kept="Nothing was written",
            remedy="Name a mapped folder of that account with --like",
        )


def _live_then(service: dict[str, Any]) -> dict[str, Any] | None:
    """What was live in Conversations when the snapshot was taken, by path; None where that is not known."""
    try:
        said = json.loads(service["conversations_notifications"] or "null")
    except (ValueError, RecursionError):
        return None
    return dict(flatten(said)) if isinstance(said, Mapping) else None


def _groups(parts: list[tuple[Path, int]]) -> Iterator[list[Path]]:
    """Parts in their order, as many together as have about `ROWS_A_TASK` rows."""
    group: list[Path] = []
    rows = 0
    for path, count in parts:
        if group and rows + count > ROWS_A_TASK:
            yield group
            group, rows = [], 0
        group.append(path)
        rows += count
    if group:
        yield group
