"""The rows of the HTML page, in the words that they are shown in, and as JSON for those that are made when looked at.

One row is one service, change, proposal or finding. The template lays out the first of them; of the others the page
holds these words alone, each text once, and its script fills them into the same layout.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from migrate.model.catalogue import SEVERITIES, Severity
from migrate.model.finding import Finding
from migrate.model.plan import Change, Plan
from migrate.model.text import printable
from migrate.report import wording
from migrate.report.limit import severity_ranks
from migrate.report.pushes import Push, proposed_pushes, push_changes


@dataclass(frozen=True)
class Place:
    """A service as rows name it; `is_linked` where its change is on the page. Without a SID it is the account."""

    sid: str | None
    name: str = ""
    is_linked: bool = False


@dataclass(frozen=True)
class ServiceRow:
    """A service in the list of all: what becomes of it, how many settings change, its devices (live bindings) as a
    number and in words, and its findings by severity.

    `order` is what it is sorted by its findings with: their numbers, of the worst first.
    """

    place: Place
    state: str
    fields: int
    devices: int
    reached: str
    order: str
    findings: str


@dataclass(frozen=True)
class ChangeRow:
    """A service that would change: each setting with its existing and desired value; each push before and after."""

    place: Place
    settings: tuple[tuple[str, str, str], ...]
    pushes: tuple[tuple[str, Push, Push], ...]


@dataclass(frozen=True)
class ProposalRow:
    """A value that is proposed beside what is live, and what phones would show (None for what is no switch)."""

    place: Place
    path: str
    now: str
    proposed: str
    push: Push | None
    bindings: int
    evidence: str


@dataclass(frozen=True)
class FindingRow:
    """Where something was found, what it is about, how often, and bindings for example under a `summary`."""

    place: Place
    subject: str
    count: int
    summary: str
    examples: tuple[str, ...]


@dataclass(frozen=True)
class ReportRows:
    """All rows of a page; findings by code."""

    services: Sequence[ServiceRow]
    changes: Sequence[ChangeRow]
    proposals: Sequence[ProposalRow]
    findings: Mapping[str, Sequence[FindingRow]]

    def worst_first(self, findings: Iterable[Finding]) -> ReportRows:
        """The same rows, the worst first, as a long report begins with some of them."""
        ranks = severity_ranks(findings)
        return ReportRows(
            sorted(self.services, key=lambda row: ranks[row.place.sid]),
            sorted(self.changes, key=lambda row: ranks[row.place.sid]),
            sorted(self.proposals, key=lambda row: -row.bindings),
            {code: sorted(found, key=lambda row: -row.count) for code, found in self.findings.items()},
        )

    def __len__(self) -> int:
        found = sum(map(len, self.findings.values()))
        return len(self.services) + len(self.changes) + len(self.proposals) + found


def rows_of(plan: Plan, findings: Iterable[wording.FindingGroup]) -> ReportRows:
    """The rows of a plan, whose findings come by their code."""
    places = _Places(plan)
    return ReportRows(
        _services(plan, places),
        [_change(change, places) for change in plan.changes],
        _proposals(plan, places),
        {group.code: [_finding(one, places) for one in group.findings] for group in findings},
    )


@dataclass(frozen=True)
class HitRow:
    """What a limit hits: a service, what of it, and how many devices that concerns (None for what is no push)."""

    place: Place
    subject: str
    devices: int | None


def hits_of(plan: Plan, limit: str) -> list[HitRow]:
    """Every object that a limit of this name hits in a plan; empty for a limit that is not about objects."""
    places = _Places(plan)
    if limit == "many-services":
        return [HitRow(places[one.service_sid], "", plan.devices.get(one.service_sid)) for one in plan.changes]
    if limit == "switches-off":
        off = [finding for finding in plan.findings if finding.code == "change-disables"]
        return [HitRow(places[finding.service_sid], finding.subject, finding.count) for finding in off]
    blocking = [finding for finding in plan.findings if limit == "blockers" and finding.severity == "blocker"]
    return [
        HitRow(places[finding.service_sid], f"{finding.code} {finding.subject}".strip(), None) for finding in blocking
    ]


class _Places:
    """The services of a plan by SID, each one made once."""

    def __init__(self, plan: Plan) -> None:
        self._names = plan.services
        self._changing = {change.service_sid for change in plan.changes}
        self._made: dict[str | None, Place] = {None: Place(None)}

    def __getitem__(self, sid: str | None) -> Place:
        if sid not in self._made:
            self._made[sid] = Place(sid, wording.name(self._names.get(sid or "", "")), sid in self._changing)
        return self._made[sid]


def _services(plan: Plan, places: _Places) -> list[ServiceRow]:
    """All services that the plan speaks of, in the order of their SID."""
    states = {
        **dict.fromkeys(plan.services, "left out"),
        **dict.fromkeys(plan.unchanged, "unchanged"),
        **dict.fromkeys(plan.missing, "not there in Conversations"),
        **{change.service_sid: "would change" for change in plan.changes},
    }
    fields = {change.service_sid: len(change.fields) for change in plan.changes}
    counted = _findings_of(plan.findings)
    found = {sid: counted.get(sid, {}) for sid in sorted(states)}
    return [
        ServiceRow(
            places[sid],
            states[sid],
            fields.get(sid, 0),
            plan.devices.get(sid, 0),
            _reached(plan, sid),
            "-".join(map(str, of_it.values())),
            wording.some(of_it),
        )
        for sid, of_it in found.items()
    ]


def _reached(plan: Plan, sid: str) -> str:
    """How many devices a service has. A rollback's plan does not know, nor one that an earlier version made."""
    return f"{plan.devices.get(sid, 0):,}" if plan.devices else "unknown"


def _findings_of(findings: Iterable[Finding]) -> dict[str | None, dict[Severity, int]]:
    """By service, how many findings of each severity there are, the worst first."""
    counted = Counter((finding.service_sid, finding.severity) for finding in findings)
    return {sid: {severity: counted[sid, severity] for severity in SEVERITIES} for sid in {key[0] for key in counted}}


def _change(change: Change, places: _Places) -> ChangeRow:
    return ChangeRow(
        places[change.service_sid],
        tuple(
            (path, wording.setting(change.existing, path), wording.setting(change.desired, path))
            for path in change.fields
        ),
        tuple((wording.PUSH_NAMES[pair.push], pair.before, pair.after) for pair in push_changes(change)),
    )


def _proposals(plan: Plan, places: _Places) -> list[ProposalRow]:
    """What waits for a decision, with the pushes as they would be if all of it were written."""
    written = {change.service_sid: change.desired for change in plan.changes}
    found = []
    for sid, group in groupby(plan.proposals, lambda proposal: proposal.service_sid):
        proposals, live = list(group), plan.live[sid]
        pushes = proposed_pushes(proposals, {**live, **written.get(sid, {})})
        for one in proposals:
            push, _, key = one.path.rpartition(".")
            now, then = wording.setting(live, one.path), wording.proposed(one.value)
            shown = pushes.get(push) if key == "enabled" else None
            found.append(ProposalRow(places[sid], one.path, now, then, shown, one.bindings, one.evidence))
    return found


def _finding(finding: Finding, places: _Places) -> FindingRow:
    number = len(finding.examples)
    summary = wording.count(number, "binding") + (" for example" if finding.count > number else "") if number else ""
    return FindingRow(places[finding.service_sid], finding.subject, finding.count, summary, finding.examples)


def as_json(rows: ReportRows) -> str:
    """All rows as JSON that can stand in a script element: in ASCII, and without a character of markup.

    Rows are lists; a text is its place in `texts`, a service its place in `places` (the account: -1), a push its
    place in `pushes` (none: -1). What their columns are, page.js says.
    """
    tables = _Tables()
    data = {
        "services": [tables.service(row) for row in rows.services],
        "changes": [tables.change(row) for row in rows.changes],
        "waiting": [tables.proposal(row) for row in rows.proposals],
        "findings": {code: [tables.finding(row) for row in found] for code, found in rows.findings.items()},
    }
    data |= {"texts": tables.texts.items, "places": tables.places.items, "pushes": tables.pushes.items}
    shown = json.dumps(data, separators=(",", ":"))
    return shown.translate({ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"})


class _Tables:
    """Texts, services and pushes, each once; and rows as lists of their places in them."""

    def __init__(self) -> None:
        self.texts, self.places, self.pushes = _Table(printable), _Table(_place), _Table(_push)

    def service(self, row: ServiceRow) -> list[Any]:
        texts = self.texts
        return [
            self._at(row.place),
            texts[row.state],
            row.fields,
            row.devices,
            texts[row.reached],
            texts[row.order],
            texts[row.findings],
        ]

    def change(self, row: ChangeRow) -> list[Any]:
        settings = [[self.texts[text] for text in setting] for setting in row.settings]
        pushes = [[self.texts[label], self.pushes[before], self.pushes[after]] for label, before, after in row.pushes]
        return [self._at(row.place), settings, pushes]

    def proposal(self, row: ProposalRow) -> list[Any]:
        texts = [self.texts[text] for text in (row.path, row.now, row.proposed)]
        push = self.pushes[row.push] if row.push else -1
        return [self._at(row.place), *texts, push, row.bindings, self.texts[row.evidence]]

    def finding(self, row: FindingRow) -> list[Any]:
        subject, summary = self.texts[row.subject], self.texts[row.summary]
        return [self._at(row.place), subject, row.count, summary, *map(self.texts.place, row.examples)]

    def _at(self, place: Place) -> int:
        return self.places[place] if place.sid else -1


class _Table:
    """Values, each in its form for JSON, once."""

    def __init__(self, form: Any) -> None:
        self.items: list[Any] = []
        self._form = form
        self._places: dict[Any, int] = {}

    def place(self, value: Any) -> int:
        """Where a value is in the table."""
        if value not in self._places:
            self._places[value] = len(self.items)
            self.items.append(self._form(value))
        return self._places[value]

    __getitem__ = place


def _place(place: Place) -> list[Any]:
    return [printable(place.sid or ""), place.name, int(place.is_linked)]


def _push(push: Push) -> list[Any]:
    """What a phone shows: the words for what is no text of one's own, or its pieces, kept or not, and whether it is
    cut.
    """
    if push.state != "own":
        return [wording.NO_TEXT[push.state]]
    return [[[printable(piece.text), int(piece.kept)] for piece in push.pieces], int(push.cut)]
