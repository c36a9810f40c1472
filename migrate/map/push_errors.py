"""What push errors show: which credentials fail for certain, what may be fixed since, and what is not known.

Nothing follows from an error that names neither a credential nor a service, and nothing from there being none: where
no push was sent, none could fail.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from migrate.map.credentials import Note, Proven
from migrate.map.mapped_folder import ServiceSummary
from migrate.model.counted_errors import CountedErrors, ErringCredential, ErrorCount, by_credential
from migrate.model.credential import Credential
from migrate.model.documents import is_moment
from migrate.model.finding import Finding
from migrate.model.sids import normal
from migrate.model.text import count
from migrate.snapshot.reader import Snapshot

# By finding, the codes that prove it: of a credential as it is, and of what the token server hands out.
LEGACY = (52116, 52117)
OF_CREDENTIALS: Mapping[str, tuple[int, ...]] = {
    "credential-fcm-legacy-proven": LEGACY,
    "credential-certificate-refused": (52131,),
    "credential-refused": (52001, 52003, 52005, 52101, 52109, 52149),
}
OF_TOKENS: Mapping[str, tuple[int, ...]] = {
    "token-credential-wrong": (52002, 52004),
    "token-credential-unfit": (52164,),
}
MIXED = 52134  # sandbox and production mixed up; or a dead token, which says nothing of the credential
SEVERAL = 2  # devices of one credential, from which on that code may be about the credential,
ONE_IN = 20  # and they are at least one in so many of its live ones: among many devices some tokens are always dead
_PROVES = {code: finding for finding, codes in OF_CREDENTIALS.items() for code in codes}


def read_push_errors(snapshot: Snapshot, scratch: Path) -> CountedErrors | None:
    """The push errors that a snapshot has, counted; None where they were not asked for, as by an earlier version.

    How many live bindings use the credentials that they name is not known yet. `scratch` is a folder for what does
    not fit into memory.
    """
    read = snapshot.manifest.push_errors
    if read is None:
        return None
    counts: tuple[ErrorCount, ...] = ()
    if snapshot.push_errors and not read.note:
        from migrate.push_errors.counts import count_errors  # it brings DuckDB, and `explain` needs none of it

        counts = count_errors(snapshot.push_errors, scratch, snapshot)
    rows = {row["sid"]: row for row in snapshot.credentials()}
    spelt = {normal(sid): sid for sid in (*rows, *(row["sid"] for row in snapshot.services()))}
    counts = tuple(
        replace(
            one,
            service_sid=spelt.get(one.service_sid or "", one.service_sid),
            credential_sid=spelt.get(one.credential_sid or "", one.credential_sid),
        )
        for one in counts
    )
    named = sorted({one.credential_sid for one in counts if one.credential_sid} & rows.keys())
    credentials = tuple(_erring(rows[sid]) for sid in named)
    return CountedErrors(read.since, read.until, counts, credentials, read.incomplete, read.unfit, read.note)


def _erring(row: Mapping[str, Any]) -> ErringCredential:
    known, changed = Credential.from_row(row), row["date_updated"] or row["date_created"]
    when = changed.isoformat() if changed else ""
    when = when if is_moment(when) else ""
    return ErringCredential(known.sid, known.friendly_name, known.type, known.sandbox, when, 0)


def with_live(errors: CountedErrors, services: Iterable[ServiceSummary]) -> CountedErrors:
    """The same, with how many bindings that have not expired use each credential."""
    live: dict[str, int] = {}
    for service in services:
        for used in service["credentials"]:
            live[used["credential_sid"]] = live.get(used["credential_sid"], 0) + used["live"]
    credentials = tuple(replace(one, live=live.get(one.sid, 0)) for one in errors.credentials)
    return replace(errors, credentials=credentials)


def proven_by(errors: CountedErrors | None) -> Proven | None:
    """What push errors prove of credentials as they are now; None where they were not, or could not be read."""
    if errors is None or errors.note:
        return None
    proofs: dict[tuple[str, str], list[ErrorCount]] = {}
    for sid, one in _of_credentials(errors, outdated=False):
        if one.error_code in _PROVES:
            proofs.setdefault((sid, _PROVES[one.error_code]), []).append(one)
    notes: dict[str, tuple[Note, ...]] = {}
    for (sid, finding), some in sorted(proofs.items()):
        notes[sid] = (*notes.get(sid, ()), (finding, f"{sid}: {_numbers(some)}"))
    legacy = {sid for (sid, _), some in proofs.items() if {one.error_code for one in some} & {*LEGACY}}
    return Proven(notes, frozenset(legacy))


def error_findings(
    errors: CountedErrors, known: Iterable[Finding], left_out: Collection[str], only: Collection[str] = ()
) -> Iterator[Finding]:
    """What push errors show beside what is `known` of bindings already.

    Nothing of services that are `left_out`, nor of others than `only`, where that has any, nor of credentials that
    fail for those alone: alerts are those of the whole account. The credentials have their live bindings.
    """
    live = {one.sid: one.live for one in errors.credentials}
    said = {(found.code, found.subject) for found in known}
    ours = [
        one
        for one in errors.counts
        if one.service_sid not in left_out and (not only or one.service_sid in {None, *only})
    ]
    named = {one.credential_sid for one in ours}
    proven = proven_by(errors)
    for sid, notes in (proven.notes if proven else {}).items():
        yield from (
            Finding(note[0], None, note[1], live.get(sid, 0)) for note in notes if sid in named and note not in said
        )
    of_ours = replace(errors, counts=tuple(one for one in errors.counts if one.credential_sid in named))
    yield from _outdated(of_ours)
    yield from _mixed(of_ours)
    yield from _of_services(one for one in ours if one.is_attributed)
    yield from _unknown(errors)


def _of_credentials(errors: CountedErrors, *, outdated: bool) -> Iterator[tuple[str, ErrorCount]]:
    """The errors of each credential by code, where that says something of it; outdated if it was changed since.

    Nothing is concluded from a code that cannot be about a credential of its type.
    """
    live = {one.sid: one.live for one in errors.credentials}
    for one in by_credential(errors.counts):
        sid = one.credential_sid
        devices = max(SEVERAL, live.get(sid or "", 0) / ONE_IN)
        tells = one.error_code in _PROVES or (one.error_code == MIXED and one.bindings >= devices)
        if sid and tells and not errors.contradicts(one) and bool(errors.changed_since(one)) == outdated:
            yield sid, one


def _outdated(errors: CountedErrors) -> Iterator[Finding]:
    """Credentials that were changed since they failed."""
    by_sid: dict[str, list[ErrorCount]] = {}
    for sid, one in _of_credentials(errors, outdated=True):
        by_sid.setdefault(sid, []).append(one)
    for known in errors.credentials:
        if known.sid in by_sid:
            subject = f"{known.sid}: {_numbers(by_sid[known.sid])}; changed on {known.changed[:10]}"
            yield Finding("credential-changed-since", None, subject, known.live)


def _mixed(errors: CountedErrors) -> Iterator[Finding]:
    """Credentials of which APNs does not accept the tokens of several devices."""
    known = {one.sid: one for one in errors.credentials}
    for sid, one in _of_credentials(errors, outdated=False):
        if one.error_code == MIXED:
            of, devices = "", ""
            if sid in known:
                of = f" (of {'the sandbox' if known[sid].sandbox else 'production'})"
                devices = f"; it has {count(known[sid].live, 'live device')}"
            subject = f"{sid}{of}: {_numbers([one])}{devices}"
            yield Finding("credential-environment-mixed", None, subject, one.bindings)


def _of_services(counts: Iterable[ErrorCount]) -> Iterator[Finding]:
    """What access tokens lack, by service; and credentials that fail and are not named, of a service that is."""
    tokens = {code: finding for finding, some in OF_TOKENS.items() for code in some}
    found: dict[tuple[str, str, str], list[ErrorCount]] = {}
    for one in counts:
        finding = tokens.get(one.error_code) or (None if one.credential_sid else _PROVES.get(one.error_code))
        if finding:
            found.setdefault((finding, one.service_sid or "", one.credential_sid or ""), []).append(one)
    for (finding, service, sid), some in sorted(found.items()):
        unnamed = "" if finding in OF_TOKENS else "; the errors do not name the credential"
        subject = f"{sid}: {_numbers(some)}" if sid else f"{_numbers(some)}{unnamed}"
        yield Finding(finding, service or None, subject, sum(one.errors for one in some))


def _unknown(errors: CountedErrors) -> Iterator[Finding]:
    """What could not be read, may be missing, or names neither a credential nor a service."""
    if errors.note:
        yield Finding("push-errors-unread", None, errors.note)
    if errors.incomplete:
        yield Finding("push-errors-incomplete", None, f"of {count(errors.incomplete, 'piece')} of the time")
    if errors.unfit:
        yield Finding("push-errors-incomplete", None, f"{count(errors.unfit, 'alert')} that could not be read")
    if errors.apart:
        apart = [one for one in errors.counts if not one.is_attributed]
        yield Finding("push-errors-unattributed", None, _numbers(apart), errors.apart)


def _numbers(counts: Sequence[ErrorCount]) -> str:
    """Counts and dates in one line: `52117 × 1,234 from 2026-05-20 to 2026-06-14, 52116 × 3 on 2026-06-01`."""
    return ", ".join(f"{one.error_code} × {one.errors:,}{_days(one)}" for one in counts)


def _days(one: ErrorCount) -> str:
    first, last = one.first[:10], one.last[:10]
    if not first:
        return " (undated)"
    return f" on {first}" if first == last else f" from {first} to {last}"
