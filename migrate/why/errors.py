"""Push errors about one user: of the credentials, the bindings and the service, from a file of them."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from migrate.model.errors import InterruptedRunError, MigrateError, OtherAccountError
from migrate.why.facts import PushError, PushErrors

if TYPE_CHECKING:
    from migrate.push_errors.counts import ErrorCount
    from migrate.snapshot.manifest import PushErrorsRead
    from migrate.snapshot.reader import Snapshot
    from migrate.twilio_api.client import TwilioApi

LIVE_SPAN = timedelta(days=1)  # before now, that Twilio is asked for


def errors_of_snapshot(snapshot: Snapshot, service_sid: str, sids: Collection[str]) -> PushErrors:
    """The push errors that a snapshot took along, about a service and bindings by SID."""
    read, file = snapshot.manifest.push_errors, snapshot.push_errors
    if read is None:
        return PushErrors(unread="the snapshot has no push errors")
    if file is None:
        return PushErrors(read.since, read.until, unread=f"they could not be read: {read.note}")
    with tempfile.TemporaryDirectory(prefix="chat-migrate-") as scratch:
        return _counted(read, file, Path(scratch), snapshot, service_sid, sids)


def read_errors(api: TwilioApi, service_sid: str, sids: Collection[str]) -> PushErrors:
    """The push errors of the last day, asked of Twilio; what keeps them from being read is no failure of the answer.

    Raises `InterruptedRunError`, and `OtherAccountError`.
    """
    if not api.addresses.monitor:
        return PushErrors(unread="Monitor, which has them, has no address here (--monitor-url)")
    from migrate.push_errors.reading import read_push_errors, span_before
    from migrate.retire.evidence import now_of

    since, until = span_before(now_of(api), LIVE_SPAN)
    with tempfile.TemporaryDirectory(prefix="chat-migrate-") as folder:
        try:
            read = read_push_errors(api, Path(folder), since, until)
        except (InterruptedRunError, OtherAccountError):
            raise
        except MigrateError as error:
            return PushErrors(since.isoformat(), until.isoformat(), unread=f"they could not be read: {error.what}")
        from migrate.snapshot.manifest import PUSH_ERRORS_FILE

        return _counted(read, Path(folder) / PUSH_ERRORS_FILE, Path(folder), None, service_sid, sids)


def _counted(
    read: PushErrorsRead,
    file: Path,
    scratch: Path,
    snapshot: Snapshot | None,
    service_sid: str,
    sids: Collection[str],
) -> PushErrors:
    from migrate.push_errors.counts import count_errors, errors_of_bindings

    of_credentials: dict[str, list[ErrorCount]] = {}
    of_service: list[ErrorCount] = []
    for error in count_errors(file, scratch, snapshot):
        if error.credential_sid:
            of_credentials.setdefault(error.credential_sid, []).append(error)
        elif error.service_sid == service_sid:
            of_service.append(error)
    lacks = read.unfit or read.incomplete
    return PushErrors(
        read.since,
        read.until,
        {sid: _by_code(found) for sid, found in of_credentials.items()},
        {sid: _by_code(found) for sid, found in errors_of_bindings(file, scratch, sorted(sids)).items()},
        _by_code(of_service),
        partly="Twilio does not show all, or some could not be read" if lacks else "",
    )


def _by_code(found: Iterable[ErrorCount]) -> tuple[PushError, ...]:
    """Counts of several services together, by code; the most first."""
    gathered: dict[int, list[ErrorCount]] = {}
    for error in found:
        gathered.setdefault(error.error_code, []).append(error)
    summed = [
        PushError(
            code,
            sum(one.errors for one in some),
            min((one.first for one in some if one.first), default=""),
            max((one.last for one in some), default=""),
        )
        for code, some in gathered.items()
    ]
    return tuple(sorted(summed, key=lambda error: (-error.errors, error.code)))
