"""The Markdown view of a plan, for pull requests and tickets. The same plan gives the same text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain

from migrate.model.catalogue import NOTHING_TO_DO
from migrate.model.finding import count_by_severity
from migrate.model.plan import Change, Plan
from migrate.model.push_credential import CredentialChange
from migrate.model.text import printable
from migrate.report.limit import worst_first
from migrate.report.push_errors import NO_PROOF, ErrorRow, plan_rows, summed_up
from migrate.report.pushes import Push, push_changes
from migrate.report.wording import (
    NO_TEXT,
    PROPOSED,
    PUSH_NAMES,
    WRITTEN,
    FindingGroup,
    Refusals,
    by_code,
    by_outcome,
    by_path,
    count,
    counts,
    name,
    named,
    proposed,
    readiness,
    service,
    setting,
    stated,
    tally,
    verdict,
    when,
)

_PHONES = "| on phones, with examples | in Conversations now | once applied |"
LARGEST = 60_000  # bytes: hosts of tickets and pull requests take no more than some 65,000 characters
_LEAST_ROW = 10  # bytes, that a row of a table has at least
# What may act in Markdown, and what hosts make links and pictures of: `https://…`, `www.…`, `:taxi:`; no time of day.
_ACTIVE = re.compile(r"[\\`*_{}\[\]<>#|~$&@]|:(?=//|(?!\d\d[:+-]\d\d)[\w+-]+:)|(?<=www)\.", re.IGNORECASE)


def plan_report(plan: Plan, refusals: Refusals = (), *, dry_run: bool = True) -> str:
    """The plan as a Markdown document: verdict, changes field by field, findings with their remedies.

    Without `dry_run` it is of a plan that begins to be applied. The document has at most 60 kB, however many services
    there are: beyond that it has the worst of the changes and of the findings, counts, and says where the rest is.
    """
    objects = [*map(_credential, plan.credentials), *map(_change, plan.changes)]
    groups = by_code(plan.findings)
    head = [*_head(plan, refusals, dry_run=dry_run), *_proposals(plan), *_push_errors(plan)]
    whole = _document(head, objects, [_finding(group, plan.services) for group in groups])
    if _size(whole) <= LARGEST:
        return whole
    objects = [
        *map(_credential, plan.credentials),
        *map(_change, worst_first(plan.changes, plan.findings)),
    ]
    return _shortened(head, objects, *_within(groups, plan.services))


def _within(groups: Sequence[FindingGroup], services: Mapping[str, str]) -> tuple[list[list[str]], int]:
    """The findings in half of the document at most, and of how many codes there are only the counts.

    Whole are those of as many codes as have room, from the worst on.
    """
    counted = [_counted(group) for group in groups]
    room = LARGEST // 2 - _size(_document([], [], counted))
    found, left = [], 0
    for group, short in zip(groups, counted, strict=True):
        whole = _finding(group, services) if len(group.findings) * _LEAST_ROW <= room else short
        cost = _size("\n".join(whole)) - _size("\n".join(short))
        fits = whole is not short and cost <= room
        room -= cost if fits else 0
        left += not fits
        found.append(whole if fits else short)
    return found, left


def _shortened(
    head: Sequence[str], objects: Sequence[list[str]], findings: Sequence[list[str]], only_counted: int
) -> str:
    """The document with as many objects as there is room for beside the findings, or their counts."""
    whole = len(findings) - only_counted
    but_for = f", whole only for {count(whole, 'code')}" if whole else ""
    but = f", and of the findings there are the counts{but_for}" if only_counted else ""
    order = " First are those that switch something off, then those with the worst findings."

    def document(shown: int, left: int) -> str:
        pointer = [
            f"**Shortened**: {left:,} of {count(len(objects), 'change')} are left out{but}.{order} All of it is in "
            "`plan.json` and `report.html`, which `chat-migrate run` writes beside this report, and `chat-migrate "
            "load MAPPED --plan-out plan.json --report report.html` wherever you say.",
            "",
        ]
        rest = [[f"… and {left:,} more.", ""]] if left else []
        return _document([*head, *pointer], [*objects[:shown], *rest], findings)

    room = LARGEST - _size(document(0, len(objects)))
    shown = sum(size <= room for size in accumulate(_size("\n".join([*lines, ""])) for lines in objects))
    return document(shown, len(objects) - shown)


def _size(text: str) -> int:
    return len(text.encode())


def _document(head: Sequence[str], objects: Sequence[list[str]], findings: Sequence[list[str]]) -> str:
    none = ["None.", ""]
    lines = [*head, "## Changes", "", *chain(*objects or [none]), "## Findings", "", *chain(*findings or [none])]
    return "\n".join(lines).rstrip("\n") + "\n"


def _head(plan: Plan, refusals: Refusals, *, dry_run: bool) -> list[str]:
    blockers = count_by_severity(plan.findings)["blocker"]
    blocked = f" {count(blockers, 'blocker')} to decide first." if blockers else ""
    refused = [f"- `{limit}`: {escape(problem)}" for limit, problem in refusals] if plan.objects else []
    return [
        f"# Push configuration: {'dry run' if dry_run else 'what is to be applied'}",
        "",
        f"**{readiness(plan, refusals)}.**{blocked} {verdict(plan)}. {WRITTEN[dry_run]}.",
        "",
        f"- Bindings: {counts(by_outcome(plan.bindings))}",
        f"- Findings: {tally(plan.findings)}",
        f"- Account: `{plan.account_sid}`",
        f"- Read from: {code(plan.target)}",
        f"- Plan: `{plan.plan_id}`",
        f"- Snapshot: `{plan.snapshot}`, as of {escape(when(plan.as_of))}",
        f"- Rules: `{plan.rules}`; push configuration: `{plan.push_config}`",
        "",
        *(["Blocked by:", "", *refused, ""] if refused else []),
    ]


def _proposals(plan: Plan) -> list[str]:
    """The table of what is proposed, or of its numbers where it would take a quarter of the document."""
    if not plan.proposals:
        return []
    rows = [
        f"| {escape(named(proposal.service_sid, plan.services))} | {proposal.path} "
        f"| {code(setting(plan.live[proposal.service_sid], proposal.path))} | {code(proposed(proposal.value))} "
        f"| {proposal.bindings:,} | {escape(proposal.evidence)} |"
        for proposal in plan.proposals
    ]
    lines = [
        "| service | setting | now | proposed | bindings | what speaks for it |",
        "|---|---|---|---|---:|---|",
        *rows,
    ]
    if _size("\n".join(lines)) > LARGEST // 4:
        counted = [f"| {each.path} | {each.services:,} | {each.bindings:,} |" for each in by_path(plan.proposals)]
        lines = ["| proposed | services | live bindings |", "|---|---:|---:|", *counted]
        lines += ["", "Which services they are is in `plan.json`, `report.html` and `push-config.yaml`."]
    return ["## Proposed, and not written", "", f"{escape(PROPOSED)}.", "", *lines, ""]


def _push_errors(plan: Plan) -> list[str]:
    """The table of push errors, or as much of it as an eighth of the document holds."""
    if plan.push_errors is None:
        return []
    proof = "" if plan.push_errors.note else f" {NO_PROOF}."
    lines = ["## Push errors", "", f"{escape(summed_up(plan.push_errors))}.{proof}", ""]
    rows = [_error(row) for row in plan_rows(plan)]
    sizes = accumulate(_size(row) + 1 for row in rows)
    shown = sum(size <= LARGEST // 8 for size in sizes)
    table = [
        "| of | error | errors | when | live devices | what to do |",
        "|---|---|---:|---|---:|---|",
        *rows[:shown],
    ]
    left = [f"… and {len(rows) - shown:,} more, which the plan has.", ""] if shown < len(rows) else []
    return [*lines, *([*table, ""] if rows else []), *left]


def _error(row: ErrorRow) -> str:
    whose = f"{escape(row.whose)} {code(row.sid)} {escape(row.name)}" if row.sid else row.whose
    devices = "" if row.devices is None else f"{row.devices:,}"
    error = f"{row.code} {row.meaning} | {row.errors:,} | {escape(row.span)}"
    return f"| {whose} | {error} | {devices} | {escape(row.advice)} |"


def _change(change: Change) -> list[str]:
    rows = [
        f"| {path} | {code(setting(change.existing, path))} | {code(setting(change.desired, path))} |"
        for path in change.fields
    ]
    pushes = [
        f"| {PUSH_NAMES[pair.push]} | {_phone(pair.before)} | {_phone(pair.after)} |" for pair in push_changes(change)
    ]
    return [
        f"### {escape(name(change.friendly_name))} (`{change.service_sid}`)",
        "",
        "| setting | existing | desired |",
        "|---|---|---|",
        *rows,
        "",
        *([_PHONES, "|---|---|---|", *pushes, ""] if pushes else []),
    ]


def _phone(push: Push) -> str:
    """What a phone shows, for a table cell."""
    return code(printable(push.text)) + (" …" if push.cut else "") if push.state == "own" else NO_TEXT[push.state]


def _credential(change: CredentialChange) -> list[str]:
    what = "to be made" if change.existing is None else f"`{change.subject}`, to be given another secret"
    rows = [f"| {key} | {code(stated(change, key))} |" for key in change.fields]
    title = f"### Credential {escape(name(change.friendly_name))} ({what})"
    return [title, "", "| field | desired |", "|---|---|", *rows, ""]


def _finding(group: FindingGroup, services: Mapping[str, str]) -> list[str]:
    lines = [*_said(group), "| service | about | count | examples |", "|---|---|---:|---|"]
    for finding in group.findings:
        about = code(printable(finding.subject)) if finding.subject else ""
        examples = " ".join(f"`{sid}`" for sid in finding.examples)
        lines.append(f"| {escape(service(finding, services))} | {about} | {finding.count:,} | {examples} |")
    return [*lines, ""]


def _counted(group: FindingGroup) -> list[str]:
    services = len({finding.service_sid for finding in group.findings} - {None})
    where = f" in {count(services, 'service')}" if services else ""
    number = sum(finding.count for finding in group.findings)
    return [*_said(group), f"{count(len(group.findings), 'finding')}{where}, {number:,} in all.", ""]


def _said(group: FindingGroup) -> list[str]:
    remedy = [] if group.entry.remedy == NOTHING_TO_DO else [f"What to do: {group.entry.remedy}.", ""]
    return [f"### {group.severity}: {group.code}", "", f"{group.entry.meaning}.", "", *remedy]


def escape(text: str) -> str:
    """A printable text as plain words in Markdown: nothing in it is markup, HTML, or a table's border."""
    return _ACTIVE.sub(_entity, text)


def _entity(found: re.Match[str]) -> str:
    # Entities survive where a backslash does not: in table cells, and before HTML.
    return f"&#{ord(found[0])};" if found[0] in "<>&|`\\@:." else f"\\{found[0]}"


def code(text: str) -> str:
    """A printable text as code in a table cell, whatever backticks and pipes are in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    shown = text.replace("|", "\\|")
    return f"{fence}{space}{shown}{space}{fence}"
