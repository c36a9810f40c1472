"""Verification: who of a snapshot has registered with Conversations by now."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from migrate.extract.extraction import ExtractOptions, extract_snapshot
from migrate.extract.filters import OtherThanAskedError
from migrate.extract.progress import ExtractProgress
from migrate.map.rules import Rules
from migrate.model.address import is_twilios, other_address
from migrate.model.errors import AGAIN, InputError, RefusedError, ServiceGoneError, place_of
from migrate.model.registration import SUCCESSORS
from migrate.runtime.interrupts import resumable
from migrate.snapshot.manifest import Manifest
from migrate.snapshot.reader import Snapshot, read_snapshot
from migrate.snapshot.unfinished import begun_in
from migrate.storage.files import drop_folder, make_own_folder
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.login import is_one_account
from migrate.verify.comparison import Comparison, Listed
from migrate.verify.coverage import Coverage
from migrate.verify.coverage_folder import SCRATCH, WORK, coverage_folder, rejected_beside, write_coverage

_NARROWED_BY = {"BindingType": "--binding-type", "Identity": "--identity and --identity-file"}
_KEPT = "No coverage was written"
STALE = timedelta(days=1)  # a reading that was broken off so long ago is started over: it would not be of one time


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
    progress: ExtractProgress | None = None,
    executor: Executor | None = None,
) -> Verified:
    """Compare a snapshot with what is live, or with another snapshot, and add the result to a coverage folder.

    `pending` is a private list to write, .csv or .parquet, of who is still waited for. The rest is as for `compared`.
    """
    listed: Listed = "pending" if pending else None
    options: dict[str, Any] = {"rules": rules, "progress": progress, "executor": executor}
    with compared(snapshot, coverage, live, listed, **options) as work, resuming():
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
    progress: ExtractProgress | None,
    executor: Executor | None = None,
) -> Iterator[Comparison]:
    """A snapshot compared with what is live, or with another, and its lists for as long as they are there.

    Live bindings are read through Conversations into a private snapshot within the coverage folder; what an
    interruption leaves of it the same call resumes, for a day; but for the list of who is ready, which is made
    to delete by, everything is read again. `rules` say how long a binding lives and how SDKs
    name message types. Raises `InputError` and `RefusedError` as `read_snapshot` does, `RefusedError` for another
    account or a live side that lacks a part, and what `extract_snapshot` raises.
    """
    source = read_snapshot(snapshot)
    if isinstance(live, Path):
        other = read_snapshot(live)
        _refuse_other_account(source, other.manifest.account_sid, f"{live} is of")
        _refuse_other_server(source, other.manifest.addresses)
        _refuse_unless_covered(source, other)
    else:
        _refuse_other_account(source, live.account_sid, "the credentials are for")
        if listed != "ready":  # of what is to be deleted by, a limit says so
            _refuse_other_server(source, live.places)
    with coverage_folder(coverage), _scratch(coverage / SCRATCH, source) as scratch:
        with resuming():
            if not isinstance(live, Path):
                other = _read_live(live, source, scratch, progress, restart=listed == "ready")
            from migrate.map.rules_toml import default_rules

            work = Comparison(source, other, rules or default_rules(), scratch / WORK)
            work.run(executor, listed)
        yield work


def _read_live(
    api: TwilioApi, source: Snapshot, scratch: Path, progress: ExtractProgress | None, *, restart: bool
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
        alerts=False,
        restart=restart or begun is None or not _is_from(begun, api),
    )
    try:
        extract_snapshot(api, out, options, progress)
    except ServiceGoneError as error:
        shutil.rmtree(out)  # else the next run would resume it, and end in the same way
        error.kept, error.remedy = _KEPT, ("Start over with: ", AGAIN)
        raise
    except OtherThanAskedError as error:
        error.kept = _KEPT  # the live side is asked as the snapshot was, and no option here changes that
        error.remedy = f"Extract again without {_NARROWED_BY[error.name]}, into another folder, and compare that one"
        raise
    return read_snapshot(out)


def _live_folder(scratch: Path, source: Snapshot) -> Path:
    """Where the live bindings go; what was begun for another snapshot stands elsewhere, and is no beginning."""
    return scratch / f"live-{source.manifest.digest.removeprefix('sha256:')[:16]}"


def _begun(live: Path) -> Manifest | None:
    """The manifest of a reading that was interrupted and can be resumed."""
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

    Only a reading that was interrupted, and can be resumed, is found there or left there.
    """
    live = _live_folder(folder, source)

    def clear() -> None:
        for left in folder.iterdir():
            if left != live or _begun(live) is None:
                drop_folder(left)

    make_own_folder(folder)
    clear()
    try:
        yield folder
    finally:
        clear()
        if not any(folder.iterdir()):
            folder.rmdir()


def resuming() -> AbstractContextManager[None]:
    """What goes wrong within says that nothing was written, and that the same call resumes."""
    return resumable(kept=_KEPT, remedy=("Resume with: ", AGAIN), cannot=_cannot_write)


def _cannot_write(error: OSError) -> str:
    return f"Cannot write {place_of(error, 'the result')}"


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
            kept=_KEPT,
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
