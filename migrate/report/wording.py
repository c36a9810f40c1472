"""Words and values as they are shown: numbers, names, settings. Shared by all views."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from migrate.map.outcome import OUTCOMES
from migrate.model.catalogue import CATALOGUE, SEVERITIES, CatalogueEntry, Severity
from migrate.model.catalogue import NOTHING_TO_DO as NOTHING_TO_DO
from migrate.model.finding import Finding, count_by_severity
from migrate.model.plan import Plan
from migrate.model.proposal import Proposal
from migrate.model.push_config import FIELDS, Settings, Value
from migrate.model.push_credential import REFERENCES, CredentialChange
from migrate.model.text import count as count  # which stages say, too
from migrate.model.text import printable
from migrate.model.text import share as share
from migrate.model.text import when as when

LONGEST_SHOWN_NAME = 60  # characters of a friendly name that a view shows
SEVERITY_HEADINGS: Mapping[Severity, str] = {"blocker": "Blockers", "warning": "Warnings", "info": "Notes"}
# What phones show where no text of one's own is pushed; and when each push comes.
NO_TEXT: Mapping[str, str] = {"off": "no push", "default": "Twilio's default text"}
PUSH_NAMES: Mapping[str, str] = {
    "new_message": "a new message",
    "new_message.with_media": "a new message with media",
    "added_to_conversation": "added to a conversation",
    "removed_from_conversation": "removed from a conversation",
}


def name(text: str) -> str:
    """A friendly name for one line: printable, and cut where it is very long."""
    shown = printable(text) if text.strip() else "(no name)"
    return shown if len(shown) <= LONGEST_SHOWN_NAME else shown[: _boundary(shown, LONGEST_SHOWN_NAME - 1)] + "…"


def _boundary(text: str, longest: int) -> int:
    """Where to cut a text, at most so far, so that no sign is cut that is made of several: an accent, an emoji."""
    for cut in range(longest, longest // 2, -1):
        joined = text[cut] in "\u200c\u200d" or text[cut - 1] == "\u200d" or "\U0001f3fb" <= text[cut] <= "\U0001f3ff"
        if not joined and not unicodedata.category(text[cut]).startswith("M"):
            return cut
    return longest


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


def was(change: CredentialChange, key: str) -> str:
    """What Twilio has of a credential now: of its secrets, nothing that can be seen."""
    if change.existing is None:
        return "(none yet)"
    if key in REFERENCES[change.config.type]:
        return "(not shown by Twilio)"
    value = change.existing.to_json()[key]
    return "(not set)" if value is None else printable(value).lower()  # Twilio says "True", we say true


def service(finding: Finding, names: Mapping[str, str]) -> str:
    """The service that a finding is about: its SID, and its name where it has one."""
    return named(finding.service_sid or "the account", names)


def named(sid: str, names: Mapping[str, str]) -> str:
    """A service's SID, and its name where it has one."""
    return f"{sid} {name(names[sid])}" if names.get(sid) else sid


# What a report says of writes, by whether it is of a dry run.
WRITTEN = {
    True: "Nothing was written to Twilio",
    False: "Written before anything was applied: what became of it is in the journal",
}
Refusals = Sequence[tuple[str, str]]  # for which an apply is refused: the name of each, and what is wrong


def readiness(plan: Plan, refusals: Refusals) -> str:
    """Whether a plan can be applied, in a few words."""
    if plan.objects:
        return "Do not apply it yet" if refusals else "Ready to be applied"
    undecided = count_by_severity(plan.findings)["blocker"] or plan.proposals
    return "Nothing to apply, and something to decide" if undecided else "Nothing to apply"


def size(number: int) -> str:
    """A number of bytes: `850 bytes`, `12.4 kB`, `1,234.5 MB`."""
    if number < 1_000:
        return count(number, "byte")
    return f"{number / 1e3:,.1f} kB" if number < 1_000_000 else f"{number / 1e6:,.1f} MB"


def counts(numbers: Mapping[str, int]) -> str:
    """Named numbers in one line: `apn 201 · fcm 113`."""
    return " · ".join(f"{printable(key)} {number:,}" for key, number in numbers.items()) or "none"


def by_outcome(numbers: Mapping[str, int]) -> dict[str, int]:
    """Numbers of bindings by outcome, the best first."""
    known: list[str] = [outcome for outcome in OUTCOMES if outcome in numbers]
    return {outcome: numbers[outcome] for outcome in (*known, *sorted(set(numbers) - set(known)))}


def tally(findings: Iterable[Finding]) -> str:
    """Findings by severity, with how many kinds they are of: `1 blocker, 12 warnings of 4 kinds, 0 info`.

    Those that only a plan can have are counted apart, so that a plan and its mapping give the same numbers.
    """
    parts: dict[bool, list[Finding]] = {False: [], True: []}
    for finding in findings:
        parts[CATALOGUE[finding.code].of_plan].append(finding)
    mapped, added = parts[False], parts[True]
    if not mapped or not added:
        return _kinds(mapped or added, SEVERITIES)
    severities = [severity for severity in SEVERITIES if count_by_severity(added)[severity]]
    return f"{_kinds(mapped, SEVERITIES)}; the plan adds {_kinds(added, severities)}"


def _kinds(findings: Sequence[Finding], severities: Iterable[Severity]) -> str:
    numbers = count_by_severity(findings)
    words = []
    for severity in severities:
        kinds = {finding.code for finding in findings if finding.severity == severity}
        of = f" of {count(len(kinds), 'kind')}" if numbers[severity] > 1 else ""
        words.append(_counted(numbers[severity], severity) + of)
    return ", ".join(words)


def some(numbers: Mapping[Severity, int]) -> str:
    """Findings by severity, without those that are none: `1 blocker, 3 info`."""
    return ", ".join(_counted(number, severity) for severity, number in numbers.items() if number) or "none"


def _counted(number: int, severity: Severity) -> str:
    return f"{number:,} info" if severity == "info" else count(number, severity)


def verdict(plan: Plan) -> str:
    """What would change, in one phrase."""
    changed = f"{count(plan.fields, 'setting')} of {count(len(plan.changes), 'service')} would change"
    parts = [f"{count(len(plan.credentials), 'credential')} would be written"] if plan.credentials else []
    if plan.credentials and not plan.services:
        return parts[0]
    parts += [changed, f"{count(len(plan.unchanged), 'service')} unchanged"]
    if plan.missing:
        parts.append(f"{count(len(plan.missing), 'service')} not there in Conversations")
    if plan.proposals:
        parts.append(undecided(len(plan.proposals)))
    return ", ".join(parts)


def undecided(number: int) -> str:
    """How many proposals there are to decide: `1 proposal waits for a decision`."""
    return f"{count(number, 'proposal')} {'waits' if number == 1 else 'wait'} for a decision"


def proposed(value: Value) -> str:
    """A value that is proposed: `true`, or `"text"`."""
    return setting({"": value}, "")


# What a proposal is, and how it is decided.
PROPOSED = (
    "Chat does not state these values. They are inferred from what live bindings subscribe to, which is all that "
    "their SDKs know, whether it was switched on or not. None is written until it is stated in push-config.yaml "
    "(which has it ready to be uncommented), trusted by a rule under [inference], or written by load --force inferred"
)


@dataclass(frozen=True)
class ProposedPush:
    """The proposals of one setting: for how many services, and how many of their live bindings subscribe to it."""

    path: str
    services: int
    bindings: int


def by_path(proposals: Iterable[Proposal]) -> list[ProposedPush]:
    """Proposals, counted by their setting, in reading order."""
    paths = [item.path for item in FIELDS]
    found: dict[str, list[Proposal]] = {}
    for proposal in proposals:
        found.setdefault(proposal.path, []).append(proposal)
    return [
        ProposedPush(path, len(found[path]), sum(proposal.bindings for proposal in found[path]))
        for path in sorted(found, key=paths.index)
    ]


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
