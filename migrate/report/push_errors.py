"""Push errors in the words that they are shown in: whose pushes failed, since when, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from migrate.model.counted_errors import ErrorCount
from migrate.model.push_errors import KINDS, entry_of
from migrate.report.wording import name, when

NOT_ATTRIBUTED = "not attributed"


@dataclass(frozen=True)
class ErrorRow:
    """Push errors of one code, of one credential or service: `sid` of the former, else of the latter, else empty.

    `whose` is "credential", "service" or `NOT_ATTRIBUTED`, `name` what it is called, empty where that is not known;
    `service_sid` is the service of errors of a credential, where it is one. `first` and `last` are times, empty
    where no alert is dated. `devices` is how many live bindings use the credential, or are in the service; None where
    that is not known.
    """

    whose: str
    sid: str
    name: str
    service_sid: str
    code: int
    kind: str
    meaning: str
    errors: int
    bindings: int
    first: str
    last: str
    devices: int | None
    cause: str
    remedy: str


def error_rows(
    counts: Iterable[ErrorCount], names: Mapping[str, str], devices: Mapping[str, int] | None = None
) -> tuple[ErrorRow, ...]:
    """A row for each count, in words: credentials that fail first, then the most errors; what is not attributed last.

    `names` are those of credentials and services, `devices` their numbers of live bindings, by SID.
    """
    rows = [_row(one, names, devices or {}) for one in counts]
    return tuple(sorted(rows, key=_rank))


def _row(one: ErrorCount, names: Mapping[str, str], devices: Mapping[str, int]) -> ErrorRow:
    entry = entry_of(one.error_code)
    sid = one.credential_sid or one.service_sid or ""
    whose = "credential" if one.credential_sid else "service" if sid else NOT_ATTRIBUTED
    return ErrorRow(
        whose,
        sid,
        name(names[sid]) if sid in names else "",
        (one.service_sid or "") if one.credential_sid else "",
        one.error_code,
        entry.kind,
        entry.meaning,
        one.errors,
        one.bindings,
        when(one.first) if one.first else "",
        when(one.last) if one.last else "",
        devices.get(sid),
        entry.cause,
        entry.remedy,
    )


def _rank(row: ErrorRow) -> tuple[bool, int, int, str, int, str]:
    kinds: tuple[str, ...] = KINDS
    return (not row.sid, kinds.index(row.kind), -row.errors, row.sid, row.code, row.service_sid)
