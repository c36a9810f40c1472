"""Push errors in the words that they are shown in: whose pushes failed, since when, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from rich.text import Text

from migrate.model.counted_errors import CountedErrors, ErringCredential, ErrorCount, by_credential
from migrate.model.plan import Plan
from migrate.model.push_errors import KINDS, entry_of
from migrate.model.text import printable
from migrate.report.layout import BREAK, sided
from migrate.report.limit import MOST_SHOWN, more
from migrate.report.wording import count, name, when

NOT_ATTRIBUTED = "not attributed"
NO_PROOF = "An error that is not there proves nothing: where no push was sent, none could fail"


@dataclass(frozen=True)
class ErrorRow:
    """Push errors of one code, of one credential or service: `sid` of the former, else of the latter, else empty.

    `whose` is "credential", "service" or `NOT_ATTRIBUTED`, `name` what it is called, empty where that is not known;
    `service_sid` is the service of errors of a credential, where it is one. `first` and `last` are times, empty
    where no alert is dated. `devices` is how many live bindings use the credential, or are in the service; None where
    that is not known. `changed` is the day on which the credential was changed after the last of them, if it was;
    `is_odd` where the code cannot be about a credential of its type.
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
    changed: str = ""
    is_odd: bool = False

    @property
    def span(self) -> str:
        """When they were: `2026-05-20 08:00 UTC to 2026-06-14 09:30 UTC`; `undated` where no alert says."""
        return (self.first if self.first == self.last else f"{self.first} to {self.last}") or "undated"

    @property
    def reach(self) -> str:
        """How many live devices it concerns, in words; empty where that is not known."""
        if self.devices is None:
            return ""
        return count(self.devices, "live device") + (" with it" if self.whose == "credential" else " in it")

    @property
    def advice(self) -> str:
        """What to do, in a sentence; empty where it is not known whose they are."""
        if self.is_odd:
            return "The code cannot be about a credential of this type: nothing is concluded from it."
        if self.changed:
            return f"It was changed on {self.changed}, after the last of them: that may have fixed it."
        return f"{self.remedy}." if self.sid else ""


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
        printable(sid),
        name(names[sid]) if sid in names else "",
        printable(one.service_sid or "") if one.credential_sid else "",
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


def plan_rows(plan: Plan) -> tuple[ErrorRow, ...]:
    """The push errors of a plan, those of one credential and code together."""
    errors = plan.push_errors
    if errors is None:
        return ()
    known = {one.sid: one for one in errors.credentials}
    devices = {**plan.devices, **{sid: one.live for sid, one in known.items()}}
    rows = []
    for one in by_credential(errors.counts):
        (row,) = error_rows([one], plan.services, devices)
        if one.credential_sid in known:
            row = replace(
                row,
                name=_named(known[one.credential_sid]),
                changed=errors.changed_since(one),
                is_odd=errors.contradicts(one),
            )
        rows.append(row)
    return tuple(sorted(rows, key=_rank))


def _named(one: ErringCredential) -> str:
    return f"{name(one.friendly_name)} ({printable(one.type)}{', sandbox' if one.sandbox else ''})"


def summed_up(errors: CountedErrors) -> str:
    """All of them in a sentence: how many, of what time, and what is not known of them."""
    if errors.note:
        return f"They could not be read: {printable(errors.note)}"
    parts = [f"{count(errors.errors, 'push error')} from {when(errors.since)} to {when(errors.until)}"]
    if errors.apart:
        parts.append(f"{errors.apart:,} of them name neither a credential nor a service")
    if errors.incomplete or errors.unfit:
        parts.append("some may be missing")
    return "; ".join(parts)


def errors_view(plan: Plan, where: str, *, explain: bool = True) -> Text:
    """The terminal's lines on the push errors of a plan, with what to do if they are to explain it.

    None where the snapshot has no push errors.
    """
    if plan.push_errors is None:
        return Text()
    rows = plan_rows(plan)
    text = Text().append("Push errors\n", "bold").append(f"  {summed_up(plan.push_errors)}.\n")
    for row in rows[:MOST_SHOWN]:
        whose = f"{row.whose} {row.sid}" if row.sid else row.whose
        named = f"  {BREAK}{sided(row.name)}" if row.name else ""
        text.append(f"  · {whose}{named}\n")
        facts = [f"× {row.errors:,}", row.span, *([row.reach] if row.reach else [])]
        text.append(f"      {row.code} {row.meaning}  {BREAK}{f'  {BREAK}'.join(facts)}\n")
        text.append(f"      → {row.advice}\n" if explain and row.advice else "", "dim")
    text.append(more(len(rows), "row", where, "  "))
    return text.append(f"  {NO_PROOF}.\n\n" if not plan.push_errors.note else "\n", "dim")


def _rank(row: ErrorRow) -> tuple[bool, int, int, str, int, str]:
    kinds: tuple[str, ...] = KINDS
    return (not row.sid, kinds.index(row.kind), -row.errors, row.sid, row.code, row.service_sid)
