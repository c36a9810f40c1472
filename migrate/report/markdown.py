"""The Markdown view of a plan, for pull requests and tickets. The same plan gives the same text."""

from __future__ import annotations

import re
from collections.abc import Mapping

from migrate.model.finding import count_by_severity
from migrate.model.plan import Change, Plan
from migrate.model.push_credential import CredentialChange
from migrate.model.text import printable
from migrate.report.wording import (
    FindingGroup,
    by_code,
    count,
    counts,
    name,
    service,
    setting,
    severities,
    stated,
    verdict,
)

_ACTIVE = re.compile(r"[\\`*_{}\[\]<>#|~$&@]")


def plan_report(plan: Plan) -> str:
    """The plan as a Markdown document: verdict, changes field by field, findings with their remedies."""
    blockers = count_by_severity(plan.findings)["blocker"]
    blocked = f"{count(blockers, 'blocker')} to decide first" if blockers else "Nothing blocks it"
    lines = [
        "# Push configuration: dry run",
        "",
        f"**{blocked}.** {verdict(plan)}. Nothing was written to Twilio.",
        "",
        f"- Bindings: {counts(plan.bindings)}",
        f"- Findings: {severities(count_by_severity(plan.findings))}",
        f"- Account: `{plan.account_sid}`",
        f"- Plan: `{plan.plan_id}`",
        f"- Snapshot: `{plan.snapshot}`",
        "",
        "## Changes",
        "",
    ]
    if not plan.objects:
        lines += ["None.", ""]
    for credential in plan.credentials:
        lines += _credential(credential)
    for change in plan.changes:
        lines += _change(change)
    lines += ["## Findings", ""]
    if not plan.findings:
        lines += ["None.", ""]
    for group in by_code(plan.findings):
        lines += _finding(group, plan.services)
    return "\n".join(lines).rstrip("\n") + "\n"


def _change(change: Change) -> list[str]:
    rows = [
        f"| {path} | {code(setting(change.existing, path))} | {code(setting(change.desired, path))} |"
        for path in change.fields
    ]
    return [
        f"### {escape(name(change.friendly_name))} (`{change.service_sid}`)",
        "",
        "| setting | existing | desired |",
        "|---|---|---|",
        *rows,
        "",
    ]


def _credential(change: CredentialChange) -> list[str]:
    what = "to be made" if change.existing is None else f"`{change.subject}`, to be given another secret"
    rows = [f"| {key} | {code(stated(change, key))} |" for key in change.fields]
    title = f"### Credential {escape(name(change.friendly_name))} ({what})"
    return [title, "", "| field | desired |", "|---|---|", *rows, ""]


def _finding(group: FindingGroup, services: Mapping[str, str]) -> list[str]:
    remedy = "" if group.entry.remedy == "None" else f" {group.entry.remedy}."
    lines = [f"### {group.severity}: {group.code}", "", f"{group.entry.meaning}.{remedy}", ""]
    lines += ["| service | about | count | examples |", "|---|---|---:|---|"]
    for finding in group.findings:
        about = code(printable(finding.subject)) if finding.subject else ""
        examples = " ".join(f"`{sid}`" for sid in finding.examples)
        lines.append(f"| {escape(service(finding, services))} | {about} | {finding.count:,} | {examples} |")
    return [*lines, ""]


def escape(text: str) -> str:
    """A printable text as plain words in Markdown: nothing in it is markup, HTML, or a table's border."""
    return _ACTIVE.sub(_entity, text)


def _entity(found: re.Match[str]) -> str:
    # Entities survive where a backslash does not: in table cells, and before HTML.
    return f"&#{ord(found[0])};" if found[0] in "<>&|`\\@" else f"\\{found[0]}"


def code(text: str) -> str:
    """A printable text as code in a table cell, whatever backticks and pipes are in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    shown = text.replace("|", "\\|")
    return f"{fence}{space}{shown}{space}{fence}"
