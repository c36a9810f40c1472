"""Words and values as they are shown: numbers, names, settings. Shared by all views."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from migrate.model.catalogue import CATALOGUE, CatalogueEntry, Severity
from migrate.model.finding import Finding
from migrate.model.plan import Plan
from migrate.model.push_config import Settings
from migrate.model.push_credential import CredentialChange
from migrate.model.text import printable

LONGEST_NAME = 60  # characters of a friendly name that a view shows


def name(text: str) -> str:
    """A friendly name for one line: printable, and cut where it is very long."""
    shown = printable(text) or "(no name)"
    return shown if len(shown) <= LONGEST_NAME else shown[: LONGEST_NAME - 1] + "…"


def setting(settings: Settings, path: str) -> str:
    """A setting's value: `true`, `"text"`, or `(not set)`."""
    value = settings.get(path)
    if value is None:
        return "(not set)"
    return ("true" if value else "false") if isinstance(value, bool) else f'"{printable(value)}"'


def stated(change: CredentialChange, key: str) -> str:
    """What a credential is to have: of its secrets, where they come from."""
    value = change.config.to_json()[key]
    return ("true" if value else "false") if isinstance(value, bool) else printable(str(value))


def service(finding: Finding, names: Mapping[str, str]) -> str:
    """The service that a finding is about: its SID, and its name where it has one."""
    sid = finding.service_sid or "the account"
    return f"{sid} {name(names[sid])}" if names.get(sid) else sid


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 change`, `12,000 bindings`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def counts(numbers: Mapping[str, int]) -> str:
    """Named numbers in one line: `apn 201 · fcm 113`."""
    return " · ".join(f"{printable(key)} {number:,}" for key, number in numbers.items()) or "none"


def severities(numbers: Mapping[str, int]) -> str:
    """Findings by severity: `1 blocker, 12 warnings, 3 notes`."""
    nouns = {"blocker": "blocker", "warning": "warning", "info": "note"}
    return ", ".join(count(number, nouns[severity]) for severity, number in numbers.items())


def verdict(plan: Plan) -> str:
    """What would change, in one phrase."""
    changed = f"{count(plan.fields, 'setting')} of {count(len(plan.changes), 'service')} would change"
    parts = [f"{count(len(plan.credentials), 'credential')} would be written"] if plan.credentials else []
    if plan.credentials and not plan.services:
        return parts[0]
    parts += [changed, f"{count(len(plan.unchanged), 'service')} unchanged"]
    if plan.missing:
        parts.append(f"{count(len(plan.missing), 'service')} not there in Conversations")
    return ", ".join(parts)


@dataclass(frozen=True)
class FindingGroup:
    """All findings of one code."""

    code: str
    entry: CatalogueEntry
    findings: tuple[Finding, ...]

    @property
    def severity(self) -> Severity:
        """The severity of the code."""
        return self.entry.severity


def by_code(findings: Iterable[Finding]) -> list[FindingGroup]:
    """Findings, in the order in which they come, gathered by their code."""
    gathered: dict[str, list[Finding]] = {}
    for finding in findings:
        gathered.setdefault(finding.code, []).append(finding)
    return [FindingGroup(code, CATALOGUE[code], tuple(found)) for code, found in gathered.items()]
