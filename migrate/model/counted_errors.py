"""Push errors in numbers: how many pushes failed with a code, of which service and credential."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from migrate.model.documents import Count, is_moment
from migrate.model.push_errors import can_be_of


class ErrorCount(Struct, frozen=True):
    """How many pushes failed with one code, of one service and credential; None where that is not known.

    `bindings` is how many different ones the alerts name, which need not name any; `first` and `last` are times
    (ISO 8601, UTC), empty where no alert is dated.
    """

    service_sid: str | None
    credential_sid: str | None
    error_code: int
    errors: Count
    bindings: Count
    first: str
    last: str

    def __post_init__(self) -> None:
        if (self.first or self.last) and not (is_moment(self.first) and is_moment(self.last)):
            raise ValueError("not a time")

    @property
    def is_attributed(self) -> bool:
        """Whether it is known whose pushes they were."""
        return bool(self.credential_sid or self.service_sid)


class ErringCredential(Struct, frozen=True):
    """A credential that push errors name, as the snapshot has it; `live` bindings, those not expired, use it.

    `changed` is when it was last changed (ISO 8601, UTC), empty where Twilio does not say.
    """

    sid: str
    friendly_name: str
    type: str
    sandbox: bool
    changed: str
    live: Count

    def __post_init__(self) -> None:
        if self.changed and not is_moment(self.changed):
            raise ValueError("not a time")


class CountedErrors(Struct, frozen=True):
    """The push errors before a snapshot, counted: the table in summary.json and plan.json. No personal data.

    They are from `since` to `until` (ISO 8601, UTC). `incomplete` counts the pieces of that time that may lack some,
    `unfit` the alerts that could not be read; `note` says why there are none, where they could not be read.
    """

    since: str
    until: str
    counts: tuple[ErrorCount, ...] = ()
    credentials: tuple[ErringCredential, ...] = ()
    incomplete: Count = 0
    unfit: Count = 0
    note: str = ""

    def __post_init__(self) -> None:
        if not is_moment(self.since) or not is_moment(self.until):
            raise ValueError("not a time")

    @property
    def errors(self) -> int:
        """All of them."""
        return sum(one.errors for one in self.counts)

    @property
    def apart(self) -> int:
        """Those of which neither the credential nor the service is known."""
        return sum(one.errors for one in self.counts if not one.is_attributed)

    def changed_since(self, one: ErrorCount) -> str:
        """The day on which its credential was changed after the last of the errors; empty if it was not.

        Where none of them is dated, after the first that could be.
        """
        changed = next((known.changed for known in self.credentials if known.sid == one.credential_sid), "")
        last = one.last or self.since
        is_later = bool(changed) and datetime.fromisoformat(changed) > datetime.fromisoformat(last)
        return changed[:10] if is_later else ""

    def contradicts(self, one: ErrorCount) -> bool:
        """Whether its code cannot be about its credential, whose type is another: an alert may name what it likes."""
        known = next((known for known in self.credentials if known.sid == one.credential_sid), None)
        return known is not None and not can_be_of(one.error_code, known.type)

    def of_services(self, sids: Iterable[str]) -> CountedErrors:
        """Those of some services, and those of which the service is not known."""
        kept = {None, *sids}
        counts = tuple(one for one in self.counts if one.service_sid in kept)
        named = {one.credential_sid for one in counts}
        credentials = tuple(one for one in self.credentials if one.sid in named)
        return replace(self, counts=counts, credentials=credentials)


def by_credential(counts: Iterable[ErrorCount]) -> tuple[ErrorCount, ...]:
    """Those of one credential and code together, in whatever services; the others stay as they are. Most first."""
    groups: dict[tuple[str | None, str | None, int], list[ErrorCount]] = {}
    for one in counts:
        service = None if one.credential_sid else one.service_sid
        groups.setdefault((one.credential_sid, service, one.error_code), []).append(one)
    return tuple(sorted((_together(group, service) for (_, service, _), group in groups.items()), key=_order))


def _together(counts: list[ErrorCount], service_sid: str | None) -> ErrorCount:
    """Counts of one credential and code. Errors that name no service may be of the same bindings as the others."""
    named = sum(one.bindings for one in counts if one.service_sid)
    others = sum(one.bindings for one in counts if not one.service_sid)
    dated = [one for one in counts if one.first]
    return ErrorCount(
        service_sid,
        counts[0].credential_sid,
        counts[0].error_code,
        sum(one.errors for one in counts),
        max(named, others),
        min((one.first for one in dated), default=""),
        max((one.last for one in dated), default=""),
    )


def _order(one: ErrorCount) -> tuple[int, int, str, str]:
    return (-one.errors, one.error_code, one.credential_sid or "", one.service_sid or "")
