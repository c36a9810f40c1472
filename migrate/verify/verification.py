"""Verification: who of a snapshot has registered with Conversations by now."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

from migrate.extract.extraction import ExtractOptions, extract_snapshot
from migrate.extract.filters import OtherThanAskedError
from migrate.map.rules import Rules
from migrate.model.address import is_twilios, other_address
from migrate.model.errors import InputError, MigrateError, RefusedError, ServiceGoneError
from migrate.model.registration import SUCCESSORS
from migrate.runtime.interrupts import resumable
from migrate.runtime.workers import Workers, result_of
from migrate.snapshot.manifest import Filters, Manifest
from migrate.snapshot.reader import Snapshot, open_snapshot
from migrate.snapshot.rejected import REJECTED
from migrate.snapshot.unfinished import begun_in
from migrate.storage.files import make_own_folder
from migrate.twilio_api.api import TwilioApi
from migrate.twilio_api.credentials import is_one_account
from migrate.twilio_api.progress import Meter
from migrate.verify.coverage import Coverage, ServiceCoverage
from migrate.verify.coverage_folder import SCRATCH, WORK, coverage_folder, rejected_beside, write_coverage

if TYPE_CHECKING:  # what brings DuckDB is imported where it is needed, which is after the first request
    from migrate.verify.partition import Partition, Platforms

Listed = Literal["pending", "ready"] | None  # of whom there is to be a list
_NARROWED_BY = {"BindingType": "--binding-type", "Identity": "--identity and --identity-file"}
STALE = timedelta(days=1)  # a reading that was broken off so long ago is begun anew: it would not be of one time


@dataclass(frozen=True)
class Verified:
    """What a verification brought: the coverage, its file, and how many the list of pending bindings has, if any.

    `rejected` is the file with the live records that did not fit, if there were any.
    """

    coverage: Coverage
    file: Path
    pending: int | None
    rejected: Path | None = None


def verify_snapshot(
    snapshot: Path,
    coverage: Path,
    live: TwilioApi | Path,
    *,
    rules: Rules | None = None,
    pending: Path | None = None,
    meter: Meter | None = None,
    executor: Executor | None = None,
    command: str = "",
) -> Verified:
    """Compare a snapshot with what is live, or with another snapshot, and add the result to a coverage folder.

    `pending` is a private list to write, .csv or .parquet, of who is still waited for. The rest is as for `compared`.
    """
    command = command or f"chat-migrate verify {quote(str(snapshot))} --coverage {quote(str(coverage))}"
    listed: Listed = "pending" if pending else None
    options: dict[str, Any] = {"rules": rules, "meter": meter, "executor": executor, "command": command}
    with compared(snapshot, coverage, live, listed, **options) as work, told(command):
        names = {service.service_sid: service.friendly_name for service in work.coverage.services}
        rows = _list_pending(pending, names, work) if pending else None
        if isinstance(live, Path):  # the other snapshot has them already
            return Verified(work.coverage, write_coverage(coverage, work.coverage), rows, work.rejected)
        file = write_coverage(coverage, work.coverage, work.rejected)
        return Verified(work.coverage, file, rows, rejected_beside(file) if work.rejected else None)


def _list_pending(path: Path, names: Mapping[str, str], work: Comparison) -> int:
    from migrate.verify.pending import write_pending

    return write_pending(path, names, work.lists, work.scratch)


@contextmanager
def compared(
    snapshot: Path,
    coverage: Path,
    live: TwilioApi | Path,
    listed: Listed,
    *,
    rules: Rules | None,
    meter: Meter | None,
    executor: Executor | None = None,
    command: str,
) -> Iterator[Comparison]:
    """A snapshot compared with what is live, or with another, and its lists for as long as they are there.

    Live bindings are read through Conversations into a private snapshot within the coverage folder; what an
    interruption leaves of it the same call goes on with, for a day; but for the list of who is ready, which is made
    to delete by, everything is read anew. `rules` say how long a binding lives and how SDKs
    name message types. `command` is the command line that errors name. Raises `InputError` and `RefusedError` as
    `open_snapshot` does, `RefusedError` for another account or a live side that lacks a part, and what
    `extract_snapshot` raises.
    """
    source = open_snapshot(snapshot)
    if isinstance(live, Path):
        other = open_snapshot(live)
        _refuse_other_account(source, other.manifest.account_sid, f"{live} is of")
        _refuse_other_server(source, other.manifest.addresses)
        _refuse_unless_covered(source, other)
    else:
        _refuse_other_account(source, live.account_sid, "the credentials are for")
        if listed != "ready":  # of what is to be deleted by, a limit says so
            _refuse_other_server(source, live.places)
    with coverage_folder(coverage), _scratch(coverage / SCRATCH, source) as scratch:
        with told(command):
            if not isinstance(live, Path):
                other = _read_live(live, source, scratch, meter, command, anew=listed == "ready")
            from migrate.map.rules_toml import default_rules

            work = Comparison(source, other, rules or default_rules(), scratch / WORK)
            work.run(executor, listed)
        yield work


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
        self.scratch = scratch
        self.rejected = live.folder / REJECTED if live.manifest.rejected else None
        self.lists: list[Path] = []
        make_own_folder(scratch)

    def run(self, executor: Executor | None, listed: Listed) -> None:
        """Compare everything."""
        from migrate.verify.partition import Service, add_up, partitions

        names = _names(self.source, self._live)
        tasks = partitions(
            (Service(sid, self.source.parts(sid), self._live.parts(sid)) for sid in names),
            self._terms,
            self.scratch,
            pending="pending" if listed == "pending" else None,
            ready="ready" if listed == "ready" else None,
        )
        found: dict[str, list[Platforms]] = {sid: [] for sid in names}
        for counts in _side_by_side(tasks, executor):
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


def _side_by_side(tasks: Sequence[Partition], executor: Executor | None) -> Iterator[Mapping[str, Platforms]]:
    """The counts of each partition, in any order, by `executor`, else by a few threads of this process.

    Without one, a partition of a huge service has all threads of DuckDB and the memory to itself. Of small services
    the time goes into opening files, one by one, so several partitions of them are worked on at a time.
    """
    from migrate.verify.partition import verify_partition

    if executor:
        yield from executor.map(verify_partition, tasks)
        return
    with Workers(os.cpu_count() or 1, "verify") as workers:
        small = [workers.submit(verify_partition, task) for task in tasks if len(task.services) > 1]
        yield from map(result_of, small)
    yield from map(verify_partition, (task for task in tasks if len(task.services) == 1))


def _names(source: Snapshot, live: Snapshot) -> dict[str, str]:
    """The services to compare, by SID and in its order: the snapshot's; and others, if it was for all there were."""
    found = {} if source.manifest.filters.services else {row["sid"]: row for row in live.services()}
    found |= {row["sid"]: row for row in source.services()}
    return {sid: found[sid]["friendly_name"] or "" for sid in sorted(found)}


def _read_live(
    api: TwilioApi, source: Snapshot, scratch: Path, meter: Meter | None, command: str, *, anew: bool
) -> Snapshot:
    """Read what the snapshot covers through Conversations; as one list a service, which has all types."""
    filters, out = source.manifest.filters, _live_folder(scratch, source)
    begun = _begun(out)
    options = ExtractOptions(
        services=filters.services,
        binding_types=tuple(sorted(_with_successors(filters.binding_types))),
        identities=filters.identities,
        identity_file=source.folder if filters.identity_file else None,
        source="conversations",
        shard=False,
        restart=anew or begun is None or not _is_from(begun, api),
    )
    try:
        extract_snapshot(api, out, options, meter, command=command)
    except ServiceGoneError as error:
        shutil.rmtree(out)  # else the next run would resume it, and end in the same way
        error.kept, error.remedy = "No coverage was written", f"Start over with: {command}"
        raise
    except (
        OtherThanAskedError
    ) as error:  # the live side is asked as the snapshot was, and no option here changes that
        error.kept = "No coverage was written"
        error.remedy = f"Extract again without {_NARROWED_BY[error.name]}, into another folder, and compare that one"
        raise
    return open_snapshot(out)


def _live_folder(scratch: Path, source: Snapshot) -> Path:
    """Where the live bindings go; what was begun for another snapshot stands elsewhere, and is no beginning."""
    return scratch / f"live-{source.manifest.digest.removeprefix('sha256:')[:16]}"


def _begun(live: Path) -> Manifest | None:
    """The manifest of a reading that was broken off and can be gone on with."""
    try:
        begun = begun_in(live)
    except InputError:
        return None
    if begun is None or begun.status == "finished":
        return None
    return begun if datetime.now(UTC) - datetime.fromisoformat(begun.started_at) < STALE else None


def _is_from(begun: Manifest, api: TwilioApi) -> bool:
    """Whether a reading was begun from the same account and address."""
    return begun.account_sid == api.account_sid and not other_address(begun.addresses, api.places)


@contextmanager
def _scratch(folder: Path, source: Snapshot) -> Iterator[Path]:
    """A private folder for the live bindings and whatever else is only needed meanwhile.

    Only a reading that was broken off, and can be gone on with, is found there or left there.
    """
    live = _live_folder(folder, source)

    def clear() -> None:
        for left in folder.iterdir():
            if left != live or _begun(live) is None:
                shutil.rmtree(left)

    make_own_folder(folder)
    clear()
    try:
        yield folder
    finally:
        clear()
        if not any(folder.iterdir()):
            folder.rmdir()


@contextmanager
def told(command: str) -> Iterator[None]:
    """What goes wrong within is told with the command that goes on."""
    kept, remedy = "No coverage was written", f"Go on with: {command}"
    try:
        with resumable(kept=lambda: kept, remedy=remedy):
            yield
    except OSError as error:
        what = f"Cannot write {error.filename or 'the result'}: {(error.strerror or str(error)).lower()}"
        raise MigrateError(what, kept=kept, remedy=remedy) from error
    except Exception as error:
        if not _is_of_duckdb(error):
            raise
        what = f"Cannot compare the bindings: {type(error).__name__}, most likely for want of space on the disk"
        raise MigrateError(what, kept=kept, remedy=f"Make space. {remedy}") from error


def _is_of_duckdb(error: Exception) -> bool:
    from duckdb import OperationalError

    return isinstance(error, OperationalError)


def _refuse_other_account(source: Snapshot, account_sid: str, what: str) -> None:
    if not is_one_account(source.manifest.account_sid, account_sid):
        raise RefusedError(
            f"{source.folder} was made from account {source.manifest.account_sid}, and {what} {account_sid}",
            remedy="Compare a snapshot with what is live in its own account",
        )


def _refuse_other_server(source: Snapshot, live: Mapping[str, str]) -> None:
    """What a stand-in has says nothing of who has registered at Twilio, and the other way round."""
    then, now = (addresses.get("conversations", "") for addresses in (source.manifest.addresses, live))
    if "://" in then and "://" in now and is_twilios(then) != is_twilios(now):
        raise RefusedError(
            f"{source.folder} was made from {then}, and what is live is of {now}: one is Twilio's, the other not",
            kept="No coverage was written",
            remedy=f"Compare it with what is live at {then}; --conversations-url names that address",
        )


def _refuse_unless_covered(source: Snapshot, live: Snapshot) -> None:
    """What a narrowed snapshot does not hold would be taken for not registered."""
    ours, theirs = source.manifest.filters, live.manifest.filters
    pairs: list[tuple[Any, Any]] = [
        (ours.services, theirs.services),
        (_with_successors(ours.binding_types), theirs.binding_types),
        (ours.identities, theirs.identities),
    ]
    covered = all(not held or (asked and set(asked) <= set(held)) for asked, held in pairs)
    if not covered or (theirs.identity_file and not ours.identity_file):
        raise RefusedError(
            f"{live.folder} was narrowed, and the rest of what {source.folder} covers would seem to be pending",
            remedy="Make one without filters: chat-migrate extract --source conversations --no-shard --out DIR",
        )


def _with_successors(binding_types: tuple[str, ...]) -> set[str]:
    return {*binding_types, *(SUCCESSORS[kind] for kind in binding_types if kind in SUCCESSORS)}
