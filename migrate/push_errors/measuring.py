"""Measuring health: the alerts of the span that ends now are read, counted, and kept by hour."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrate.model.errors import AGAIN, RefusedError, UsageError
from migrate.push_errors.health_folder import Measured, write_measured
from migrate.runtime.interrupts import resumable
from migrate.storage.files import make_own_folder, make_private_folder
from migrate.storage.lock import hold
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.login import is_one_account
from migrate.twilio_api.resources import look_at_alerts

if TYPE_CHECKING:  # what brings Arrow is imported where it is needed, which is after the first request
    from migrate.push_errors.counts import Devices, ErrorCount
    from migrate.push_errors.health import Health
    from migrate.push_errors.reading import Progress
    from migrate.snapshot.manifest import PushErrorsRead
    from migrate.snapshot.reader import Snapshot

WORK = ".chat-migrate-health"  # what a reading needs meanwhile, within the folder
STALE = timedelta(hours=1)  # a reading that was interrupted so long ago starts over: its end is not now
TREND = 24  # columns of a trend, at most


@dataclass(frozen=True)
class HealthOptions:
    """What `measure_health` goes by: how long the span is, a snapshot that has the live devices, how long a binding
    lives, an earlier file to compare with, and whether an interrupted reading is started over.
    """

    length: timedelta
    snapshot: Snapshot | None = None
    lifetime: timedelta = timedelta(days=365)
    before: Measured | None = None
    restart: bool = False
    progress: Progress | None = None


def measure_health(api: TwilioApi, folder: Path, options: HealthOptions) -> Health:
    """Read the push errors of the span that ends now, and add their numbers by hour to a folder.

    What an interruption leaves, the same call resumes within an hour. Raises `TwilioError` where Monitor does not
    give them, `UsageError` where it has no address, and `RefusedError` for another account's snapshot.
    """
    _refuse_other_account(api, options)
    with _held(folder) as work, resumable(kept="No numbers were written", remedy=("Resume with: ", AGAIN)):
        # What time it is there, and whether the key may read alerts at all.
        look_at_alerts(api)
        read = _read(api, work, options)
        found = _count(api, work, read, options)
        file = write_measured(folder, found.now, found.table)
        shutil.rmtree(work)
    from migrate.push_errors.health import Health

    devices, names = found.devices, found.names
    return Health(api.account_sid, read, found.now, found.counts, found.trends, devices, names, options.before, file)


def _refuse_other_account(api: TwilioApi, options: HealthOptions) -> None:
    if not api.addresses.monitor:
        raise UsageError(
            f"Monitor has no address beside {api.addresses.conversations}",
            remedy="Name it with --monitor-url, or in CHAT_MIGRATE_MONITOR_URL",
        )
    pairs = [("snapshot", options.snapshot.manifest.account_sid)] if options.snapshot else []
    pairs += [("earlier file", options.before.account_sid)] if options.before else []
    for what, account_sid in pairs:
        if not is_one_account(account_sid, api.account_sid):
            raise RefusedError(
                f"The {what} is of account {account_sid}, and the credentials are for {api.account_sid}",
                kept="Nothing was read",
                remedy="Compare within one account",
            )


@contextmanager
def _held(folder: Path) -> Iterator[Path]:
    """The folder, locked; gives the one within it for what is needed meanwhile."""
    make_private_folder(folder)
    held = hold(folder)
    try:
        work = folder / WORK
        make_own_folder(work)
        yield work
    finally:
        os.close(held)


def _read(api: TwilioApi, work: Path, options: HealthOptions) -> PushErrorsRead:
    from migrate.push_errors.reading import begun_span, read_push_errors, span_before

    now = (api.server_time or datetime.now(UTC)).replace(microsecond=0)
    span, begun = span_before(now, options.length), begun_span(work)
    if begun and not options.restart and begun[1] - begun[0] == span[1] - span[0] and now - begun[1] < STALE:
        span = begun
    return read_push_errors(api, work, *span, progress=options.progress)


@dataclass(frozen=True)
class _Counted:
    now: Measured
    counts: tuple[ErrorCount, ...]
    trends: tuple[tuple[int, ...], ...]
    devices: Devices | None
    names: Mapping[str, str]
    table: Any


def _count(api: TwilioApi, work: Path, read: PushErrorsRead, options: HealthOptions) -> _Counted:
    from migrate.push_errors.counts import count_devices, count_errors, errors_by_hour
    from migrate.snapshot.manifest import PUSH_ERRORS_FILE

    file, snapshot = work / PUSH_ERRORS_FILE, options.snapshot
    counts = count_errors(file, work, snapshot)
    table = errors_by_hour(file, work, snapshot)
    devices = count_devices(snapshot, work, options.lifetime) if snapshot else None
    names: dict[str, str] = {}
    for row in (*snapshot.credentials(), *snapshot.services()) if snapshot else ():
        names[row["sid"]] = row["friendly_name"] or ""
    errors = {(one.service_sid, one.credential_sid, one.error_code): one.errors for one in counts}
    now = Measured(api.account_sid, read.since, read.until, errors, devices.total if devices else None)
    return _Counted(now, counts, _trends(counts, table.to_pylist(), now), devices, names, table)


def _trends(
    counts: Sequence[ErrorCount], hours: Sequence[Mapping[str, Any]], span: Measured
) -> tuple[tuple[int, ...], ...]:
    """The errors of each count in equal pieces of the span; those without a date are in none."""
    begin, end = datetime.fromisoformat(span.since), datetime.fromisoformat(span.until)
    begin = begin.replace(minute=0, second=0)
    pieces = max(1, min(TREND, -(-(end - begin) // timedelta(hours=1))))
    found: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * pieces)
    for row in hours:
        if row["hour"] is not None:
            place = int((row["hour"] - begin) / (end - begin) * pieces)
            key = (row["service_sid"], row["credential_sid"], row["error_code"])
            found[key][min(max(place, 0), pieces - 1)] += row["errors"]
    return tuple(tuple(found[one.service_sid, one.credential_sid, one.error_code]) for one in counts)
