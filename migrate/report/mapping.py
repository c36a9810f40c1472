"""The terminal's view of a mapping: numbers, credentials, and what the token server must hand out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.text import Text

from migrate.map.mapped_folder import CredentialUse, ServiceSummary, Summary
from migrate.map.reviewed import Edit
from migrate.model.credential import Credential
from migrate.model.text import printable
from migrate.report.layout import BREAK, COLUMN, sided, table
from migrate.report.limit import first, more
from migrate.report.text import findings_view, mapping_rows, proposals_view
from migrate.report.wording import count, counts, name, setting


def map_view(
    summary: Summary, folder: str, files: Sequence[tuple[str, str]] = (), edits: Sequence[Edit] = ()
) -> Text:
    """What a mapping found; `files` are names and paths of what else was written, `edits` those of a person."""
    names = {service["service_sid"]: service["friendly_name"] for service in summary.services}
    where = f"see {folder}/summary.json"
    text = findings_view(summary.findings, names, where).append(proposals_view(summary.waiting, names, where))
    text.append(edits_view(edits, "use --json"))
    text.append(table([("Mapped", folder), *mapping_rows(summary), *files]))
    known = {credential.sid: credential for credential in summary.credentials}
    if used := _used(summary):
        text.append("\nCredentials that bindings use\n", "bold")
        for sid in first([*used], lambda sid: (sid in known, -sum(used[sid].values()))):
            text.append(f"  {sid}  {COLUMN}{_credential(known.get(sid))}: {counts(used[sid])}\n")
        text.append(more(len(used), "credential", where, "  "))
    if new := _handed_out(summary):
        text.append("\npush_credential_sid that the token server must change\n", "bold")
        for service, items in first(new, _undecided_first):
            text.append(f"  {service['service_sid']} {COLUMN}{name(service['friendly_name'])}\n")
            for item in items:
                decided = item["push_credential_sid"] or "(decide first: see the findings)"
                text.append(
                    f"    {item['credential_sid']} {BREAK}→ {decided}  {count(item['live'], 'live binding')}\n"
                )
        text.append(more(len(new), "service", where, "  "))
    return text


def _undecided_first(changed: tuple[ServiceSummary, list[CredentialUse]]) -> tuple[bool, int]:
    """Where a credential is still to be decided, then by how many live bindings wait for it."""
    _, items = changed
    return all(item["push_credential_sid"] for item in items), -sum(item["live"] for item in items)


def _used(summary: Summary) -> dict[str, dict[str, int]]:
    """Bindings by credential and type, over all services."""
    found: dict[str, Counter[str]] = {}
    for service in summary.services:
        for item in service["credentials"]:
            found.setdefault(item["credential_sid"], Counter()).update(item["bindings"])
    return {sid: dict(sorted(types.items())) for sid, types in sorted(found.items())}


def _credential(known: Credential | None) -> str:
    if known is None:
        return "not in the account"
    sandbox = ", sandbox" if known.sandbox else ""
    changed = f", changed {known.updated}" if known.updated else ""
    return f"{sided(name(known.friendly_name))} {BREAK}({printable(known.type)}{sandbox}{changed})"


def _handed_out(summary: Summary) -> list[tuple[ServiceSummary, list[CredentialUse]]]:
    """Each service that is mapped, with its credentials whose place another takes, or should."""
    found = []
    for service in summary.services:
        used = [] if service["left_out"] else service["credentials"]
        changed = [item for item in used if item["live"] and item["push_credential_sid"] != item["credential_sid"]]
        if changed:
            found.append((service, changed))
    return found


def carried_row(like: str, edits: Sequence[Edit], credentials: int) -> str:
    """How much of a review was carried over: edits, and the services that they are in; and its credentials."""
    services = {edit.service_sid for edit in edits}
    also = f", and {count(credentials, 'credential')}" if credentials else ""
    return f"{count(len(edits), 'edit')} of {count(len(services), 'service')}{also}, and the rules: from {like}"


def edits_view(edits: Sequence[Edit], where: str) -> Text:
    """Each edit of a push configuration: what was mapped, and what a person has put in its place; or nothing."""
    if not edits:
        return Text()
    text = Text().append("Edited in push-config.yaml\n", "bold")
    former = ""
    for edit in first(edits):
        if edit.service_sid != former:
            former = edit.service_sid
            text.append(former, "bold").append("  taken out\n" if not edit.path else "\n")
        if edit.path:
            before, after = (
                "(not stated)" if value is None else setting({edit.path: value}, edit.path)
                for value in (edit.before, edit.after)
            )
            text.append(f"    {edit.path}  {BREAK}").append(sided(before), "red")
            text.append(f" {BREAK}→ ").append(sided(after), "green").append("\n")
    return text.append(more(len(edits), "edit", where, "    ")).append("\n")
