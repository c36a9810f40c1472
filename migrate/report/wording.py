"""Words and values as they are shown: numbers, names, settings. Shared by all views."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from migrate.model.finding import CATALOGUE, CatalogueEntry, Finding, Severity
from migrate.model.push_config import Settings

LONGEST_NAME = 60  # characters of a friendly name that a view shows
_JOINERS = "\u200c\u200d"  # invisible, but letters and emoji are made with them


def printable(text: str) -> str:
    """The text with everything that could move, hide or colour other text replaced by its escape.

    Friendly names and templates are other people's words: line breaks, terminal control sequences and marks
    that change the direction of writing must not act in a report.
    """
    return "".join(character if _shows(character) else _escape(character) for character in text)


def _shows(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in (
        "Cc",
        "Cf",
        "Cs",
        "Co",
        "Cn",
        "Zl",
        "Zp",
    )


def _escape(character: str) -> str:
    return json.dumps(character)[1:-1] if ord(character) < 0x80 else f"\\u{{{ord(character):x}}}"


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


def service(finding: Finding, names: Mapping[str, str]) -> str:
    """The service that a finding is about: its SID, and its name where it has one."""
    sid = finding.service_sid or "the account"
    return f"{sid} {name(names[sid])}" if names.get(sid) else sid


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 change`, `12,000 bindings`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def counts(numbers: Mapping[str, int]) -> str:
    """Named numbers in one line: `apn 201 · fcm 113`."""
    return " · ".join(f"{key} {number:,}" for key, number in numbers.items()) or "none"


def severities(numbers: Mapping[str, int]) -> str:
    """Findings by severity: `1 blocker, 12 warnings, 3 notes`."""
    nouns = {"blocker": "blocker", "warning": "warning", "info": "note"}
    return ", ".join(count(number, nouns[severity]) for severity, number in numbers.items())


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
