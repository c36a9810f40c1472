"""The HTML view of a plan: one file that needs nothing else, for mail and tickets.

The same plan gives the same bytes. The page may use its own style and script and nothing besides: its policy names
both by their hash, and other people's words are escaped by the template, which is page.html.jinja beside this.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from migrate.model.catalogue import SEVERITIES, Severity
from migrate.model.finding import Finding, count_by_severity
from migrate.model.plan import Plan
from migrate.model.proposal import Proposal
from migrate.model.push_config import Settings
from migrate.model.pushes import EXAMPLES, Push, proposed_pushes, push_changes
from migrate.model.templates import PUSH_CHARACTERS
from migrate.model.text import printable
from migrate.report import wording

MOST_BARS = 12  # services that the chart of changes shows


@dataclass(frozen=True)
class Bar:
    """A bar of a chart: its label and number, and its length in parts of a thousand of the longest."""

    label: str
    number: int
    length: int
    kind: str = ""


@dataclass(frozen=True)
class Line:
    """A service in the list of all: what becomes of it, how many settings change, and its findings by severity."""

    sid: str
    name: str
    fate: str
    fields: int
    findings: Mapping[Severity, int]


@dataclass(frozen=True)
class Proposed:
    """A proposal, with the live settings of its service, and what phones would show (None for what is no switch)."""

    proposal: Proposal
    live: Settings
    push: Push | None


def plan_page(plan: Plan, refusals: wording.Refusals, *, dry_run: bool = True) -> str:
    """The plan as an HTML page: the verdict, changes, findings, charts.

    Without `dry_run` it is of a plan that begins to be applied.
    """
    style, script = _part("page.css"), _part("page.js")
    return _template().render(
        plan=plan,
        refusals=refusals,
        readiness=wording.readiness(plan, refusals),
        dry_run=dry_run,
        words=wording,
        style=style,
        script=script,
        policy=_policy(style, script),
        findings=_by_severity(plan.findings),
        severities=count_by_severity(plan.findings),
        services=_services(plan),
        proposals=_proposals(plan),
        changing={change.service_sid for change in plan.changes},
        outcomes=_outcome_bars(plan.bindings),
        bindings=sum(plan.bindings.values()),
        changed=_change_bars(plan),
        most_bars=MOST_BARS,
        examples=EXAMPLES,
        most_characters=PUSH_CHARACTERS,
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters |= {"breakable": _breakable, "pushes": push_changes, "number": "{:,}".format}
    return environment.from_string(_part("page.html.jinja"))


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy that forbids everything but this style and this script."""
    allowed = {"style-src": style, "script-src": script}
    hashes = [f"{what} '{_integrity(text)}'" for what, text in allowed.items()]
    return "; ".join(["default-src 'none'", *hashes, "base-uri 'none'", "form-action 'none'"])


def _integrity(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _shown(value: Any) -> Any:
    """Whatever stands in the page is without characters that act; what is HTML already has been here before."""
    return printable(value) if type(value) is str else value


def _breakable(path: str) -> Markup:
    """A setting's path, that may be broken over lines after its dots and underscores."""
    return Markup("_<wbr>").join(Markup(".<wbr>").join(part.split(".")) for part in path.split("_"))


def _services(plan: Plan) -> list[Line]:
    """All services that the plan speaks of, in the order of their SID."""
    fates = {
        **dict.fromkeys(plan.services, "left out"),
        **dict.fromkeys(plan.unchanged, "unchanged"),
        **dict.fromkeys(plan.missing, "not there in Conversations"),
        **{change.service_sid: "would change" for change in plan.changes},
    }
    fields = {change.service_sid: len(change.fields) for change in plan.changes}
    found = _findings_of(plan.findings)
    return [
        Line(sid, plan.services.get(sid, ""), fates[sid], fields.get(sid, 0), found.get(sid, {}))
        for sid in sorted(fates)
    ]


def _proposals(plan: Plan) -> list[Proposed]:
    """What waits for a decision, with the pushes as they would be if all of it were written."""
    written = {change.service_sid: change.desired for change in plan.changes}
    found = []
    for sid, group in groupby(plan.proposals, lambda proposal: proposal.service_sid):
        proposals = list(group)
        pushes = proposed_pushes(proposals, {**plan.live[sid], **written.get(sid, {})})
        for one in proposals:
            push, _, key = one.path.rpartition(".")
            found.append(Proposed(one, plan.live[sid], pushes.get(push) if key == "enabled" else None))
    return found


def _findings_of(findings: Iterable[Finding]) -> dict[str | None, dict[Severity, int]]:
    """By service, how many findings of each severity there are, the worst first."""
    counted = Counter((finding.service_sid, finding.severity) for finding in findings)
    return {sid: {severity: counted[sid, severity] for severity in SEVERITIES} for sid in {key[0] for key in counted}}


def _by_severity(findings: Iterable[Finding]) -> dict[Severity, list[wording.FindingGroup]]:
    """Findings by severity and code, the worst first; a severity that none has is left out."""
    groups = wording.by_code(findings)
    found = {severity: [group for group in groups if group.severity == severity] for severity in SEVERITIES}
    return {severity: of_it for severity, of_it in found.items() if of_it}


def _outcome_bars(bindings: Mapping[str, int]) -> list[Bar]:
    longest = max(bindings.values(), default=0)
    return [
        Bar(outcome, number, _length(number, longest), outcome)
        for outcome, number in wording.by_outcome(bindings).items()
    ]


def _change_bars(plan: Plan) -> list[Bar]:
    """The services of which most would change."""
    most = sorted(plan.changes, key=lambda change: -len(change.fields))[:MOST_BARS]
    longest = max((len(change.fields) for change in most), default=0)
    return [
        Bar(wording.name(change.friendly_name), len(change.fields), _length(len(change.fields), longest))
        for change in most
    ]


def _length(number: int, longest: int) -> int:
    return round(1000 * number / longest) if longest else 0
