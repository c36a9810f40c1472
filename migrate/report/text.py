"""The terminal's view: a diff in colour, findings, and the summary of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from migrate.map.mapped_folder import Summary
from migrate.map.outcome import OUTCOMES
from migrate.model.catalogue import NOTHING_TO_DO
from migrate.model.finding import Finding
from migrate.model.plan import Change, Plan
from migrate.model.proposal import Proposal
from migrate.model.push_credential import CredentialChange
from migrate.model.text import printable
from migrate.report.layout import BREAK, COLUMN, sided, table
from migrate.report.limit import MOST_SHOWN, first, more, worst_first
from migrate.report.push_errors import errors_view
from migrate.report.wording import (
    PROPOSED,
    FindingGroup,
    Refusals,
    by_code,
    count,
    counts,
    name,
    proposed,
    service,
    setting,
    stated,
    tally,
    undecided,
    verdict,
    when,
)
from migrate.snapshot.manifest import Manifest

COLOURS = {"blocker": "bold red", "warning": "yellow", "info": "cyan"}


def plan_view(
    plan: Plan,
    *,
    where: str = "use --json",
    refusals: Refusals = (),
    explain: bool = True,
    heading: str = "Dry run",
) -> Text:
    """The plan: changed fields, findings with meaning and remedy, and what an apply would end with.

    Of long lists the first are shown, and `where` says where the whole plan is.
    """
    text = changes_view(plan, where)
    if explain:
        text.append(findings_view(plan.findings, plan.services, where))
    text.append(errors_view(plan, where, explain=explain))
    text.append(proposals_view(plan.proposals, plan.services, where))
    text.append(f"{heading}: ", "bold").append(f"{verdict(plan)}. {BREAK}Nothing was written to Twilio.\n")
    text.append(f"Findings: {tally(plan.findings)}.\n")
    if plan.objects and refusals:
        text.append("Blocked by:\n", "bold")
        width = max(len(limit) for limit, _ in refusals)
        for limit, problem in refusals:
            text.append(f"  {limit:{width}}  {COLUMN}{problem}\n")
    return text


def changes_view(plan: Plan, where: str) -> Text:
    """What a plan writes, old value and new; of many services those first in which something is switched off."""
    text = Text()
    for credential in first(plan.credentials):
        text.append(_credential(credential)).append("\n")
    text.append(more(len(plan.credentials), "credential", where))
    changes = worst_first(plan.changes, plan.findings) if len(plan.changes) > MOST_SHOWN else plan.changes
    for change in first(changes):
        text.append(change_view(change)).append("\n")
    if left := more(len(changes), "service", where, also=f", with {count(plan.fields, 'setting')}"):
        text.append(left).append("\n")
    return text


def findings_view(findings: Sequence[Finding], services: Mapping[str, str], where: str) -> Text:
    """Findings by code, each with its meaning, what it is about, and its remedy; `services` are names by SID.

    Where one has been found in many places, those with the largest counts are shown; `where` says where all are.
    """
    text = Text()
    for group in by_code(findings):
        text.append(_finding(group, services, where)).append("\n")
    return text


def proposals_view(proposals: Sequence[Proposal], services: Mapping[str, str], where: str) -> Text:
    """The proposals that wait for a decision, with what speaks for each; empty without any."""
    if not proposals:
        return Text()
    text = Text().append("Proposed, and not written\n", "bold")
    width = max(len(proposal.path) for proposal in proposals)
    former = ""
    for proposal in first(proposals):
        if proposal.service_sid != former:
            former = proposal.service_sid
            text.append(former, "bold")
            text.append(f"  {COLUMN}{sided(name(services.get(former, '')))}\n")
        text.append(f"    {proposal.path:{width}}  {BREAK}→ ").append(sided(proposed(proposal.value)), "cyan")
        text.append(f"  {BREAK}{sided(proposal.evidence)}\n")
    text.append(more(len(proposals), "proposal", where, "    "))
    return text.append(f"  {PROPOSED}.\n\n")


def change_view(change: Change) -> Text:
    """One service's settings that change, old value and new."""
    text = Text().append("~ ", "bold yellow").append(change.service_sid, "bold")
    text.append(f"  {COLUMN}{sided(name(change.friendly_name))}\n")
    width = max(len(path) for path in change.fields)
    for path in change.fields:
        text.append(f"    {path:{width}}  {BREAK}")
        text.append(sided(setting(change.existing, path)), "red").append(f" {BREAK}→ ")
        text.append(sided(setting(change.desired, path)), "green").append("\n")
    return text


def _credential(change: CredentialChange) -> Text:
    sign, colour = ("+ ", "bold green") if change.existing is None else ("~ ", "bold yellow")
    text = (
        Text()
        .append(sign, colour)
        .append(change.subject, "bold")
        .append(f"  {COLUMN}{sided(name(change.friendly_name))}\n")
    )
    width = max(len(key) for key in change.fields)
    for key in change.fields:
        text.append(f"    {key:{width}}  {COLUMN}").append(stated(change, key), "green").append("\n")
    return text


def _finding(group: FindingGroup, services: Mapping[str, str], where: str) -> Text:
    text = Text().append(f"{group.severity:8}", COLOURS[group.severity]).append(f" {group.code}", "bold").append("\n")
    text.append(f"         {group.entry.meaning}.\n", "default")
    for finding in first(group.findings, lambda finding: -finding.count):
        about = f"  {BREAK}{sided(printable(finding.subject))}" if finding.subject else ""
        number = f"  {BREAK}× {finding.count:,}" if finding.count != 1 else ""
        text.append(f"         · {sided(service(finding, services))}{about}{number}\n", "dim")
    whole = sum(finding.count for finding in group.findings)
    text.append(more(len(group.findings), "finding", where, "         ", f" (× {whole:,})"))
    if group.entry.remedy != NOTHING_TO_DO:
        text.append(f"         → {group.entry.remedy}.\n")
    return text


def extract_view(manifest: Manifest, folder: str, findings: Sequence[Finding] = ()) -> Text:
    """What an extract brought, and what is to be said of it."""
    text = table([("Snapshot", folder), *_source(manifest)])
    return text.append("\n").append(findings_view(findings, {}, "use --json")) if findings else text


def run_view(manifest: Manifest, summary: Summary, plan: Plan, files: Sequence[tuple[str, str]]) -> Text:
    """The closing summary of a run; `files` are names and paths."""
    rows = [
        *_source(manifest),
        *mapping_rows(summary)[:2],
        ("Changes", verdict(plan)),
        ("Findings", tally(plan.findings)),
        *files,
    ]
    return table(rows)


def _source(manifest: Manifest) -> list[tuple[str, str]]:
    services = sum(file.rows for file in manifest.files if file.path == "services.parquet")
    found = f"{count(services, 'service')}, {count(manifest.rows, 'binding')}, as of {when(manifest.as_of)}"
    rows = [("Source", f"{found} {BREAK}(account {manifest.account_sid})")]
    if manifest.shards:
        rows.append(("Types", f"{', '.join(manifest.shards)}; any other would need --no-shard"))
    if manifest.source == "conversations":
        why = manifest.source_reason or "as asked for"
        rows.append(("Through", f"Conversations, which does not show Chat's push settings ({printable(why)})"))
    if manifest.filters.identity_file:
        rows.append(("Only", f"of the identities in the file ({manifest.filters.identity_file.count:,})"))
    if read := manifest.push_errors:
        of = f"since {when(read.since)}, {BREAK}of {count(read.alerts, 'alert')} of all products"
        rows.append(("Push errors", f"not read: {printable(read.note)}" if read.note else f"{read.errors:,} {of}"))
    if manifest.rejected:
        rows.append(("Rejected", f"{count(manifest.rejected, 'record')}, kept in rejected.jsonl"))
    if manifest.duplicates_removed:
        rows.append(("Repeated", f"{count(manifest.duplicates_removed, 'row')} seen twice, kept once"))
    return rows


def mapping_rows(summary: Summary) -> list[tuple[str, str]]:
    """A mapping in numbers."""
    outcomes = summary.totals("outcomes")
    ordered: dict[str, int] = {outcome: outcomes[outcome] for outcome in OUTCOMES if outcome in outcomes}
    return [
        ("Bindings", counts(dict(sorted(summary.totals("binding_types").items())))),
        ("Outcomes", counts(ordered)),
        *([("Proposals", f"{undecided(len(summary.waiting))}, in push-config.yaml")] if summary.waiting else []),
        ("Findings", tally(summary.findings)),
    ]
