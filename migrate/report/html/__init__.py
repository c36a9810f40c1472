"""The HTML view of a plan: one file that needs nothing else, for mail and tickets.

The same plan gives the same bytes. The page may use its own style and script and nothing besides: its policy names
both by their hash, and other people's words are escaped by the template, which is page.html.jinja beside this.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from migrate.model.catalogue import SEVERITIES, Severity
from migrate.model.finding import Finding, count_by_severity
from migrate.model.plan import Plan
from migrate.model.push_config import FIELDS
from migrate.model.templates import PUSH_CHARACTERS
from migrate.model.text import printable
from migrate.report import push_errors, wording
from migrate.report.html.rows import as_json, hits_of, rows_of
from migrate.report.pushes import EXAMPLES

MOST_BARS = 12  # services that the chart of changes shows
MOST_WHOLE = 3_000  # rows that a page has as HTML: a browser takes a second to lay them out
MOST_ERRORS = 200  # rows of push errors that a page has
FIRST = 50  # rows that each list of a longer page begins with


@dataclass(frozen=True)
class Bar:
    """A bar of a chart: its label and number, and its length in parts of a thousand of the longest."""

    label: str
    number: int
    length: int
    kind: str = ""


def plan_page(plan: Plan, refusals: wording.Refusals, *, dry_run: bool = True) -> str:
    """The plan as an HTML page: the verdict, changes, findings, charts.

    Of more than `MOST_WHOLE` rows each list has its `FIRST`, and the page's script makes the others when they are
    asked for.
    Without `dry_run` it is of a plan that begins to be applied.
    """
    style, script = part("page.css"), part("page.js")
    findings = _by_severity(plan.findings)
    rows = rows_of(plan, chain.from_iterable(findings.values()))
    if is_long := len(rows) > MOST_WHOLE:
        rows = rows.worst_first(plan.findings)
    first = FIRST if is_long else None
    return template("page.html.jinja").render(
        plan=plan,
        refusals=refusals,
        readiness=wording.readiness(plan, refusals),
        dry_run=dry_run,
        words=wording,
        style=style,
        script=script,
        policy=policy(style, script),
        findings=findings,
        severities=count_by_severity(plan.findings),
        hits={limit: hits_of(plan, limit) for limit, _ in refusals},
        most_hits=FIRST,
        devices=sum(plan.devices.values()),
        reached=sum(plan.devices.get(change.service_sid, 0) for change in plan.changes),
        rows=rows,
        first=first,
        laid_out={row.place.sid for row in rows.changes[:first]},
        data=Markup(as_json(rows)) if is_long else "",  # noqa: S704  # it holds no character of markup
        hole=_hole,
        paths=[item.path for item in FIELDS],
        outcomes=_outcome_bars(plan.bindings),
        bindings=sum(plan.bindings.values()),
        changed=_change_bars(plan),
        most_bars=MOST_BARS,
        errors=push_errors.plan_rows(plan),
        summed_up=push_errors.summed_up(plan.push_errors) if plan.push_errors else "",
        no_proof=push_errors.NO_PROOF,
        most_errors=MOST_ERRORS,
        examples=EXAMPLES,
        most_characters=PUSH_CHARACTERS,
    )


_compiling = threading.Lock()


def template(name: str) -> Template:
    """A template beside this module, that escapes whatever it is given.

    To compile it takes longer than to fill it, so of several accounts' threads one does, and the others wait.
    """
    with _compiling:
        return _compiled(name)


@cache
def _compiled(name: str) -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters |= {"breakable": _breakable, "number": "{:,}".format}
    return environment.from_string(part(name))


def part(name: str) -> str:
    """The text of a file beside this module."""
    return files(__package__).joinpath(name).read_text("utf-8")


def policy(style: str, script: str = "") -> str:
    """A Content-Security-Policy that forbids everything but this style and this script, if there is one."""
    allowed = {"style-src": style, "script-src": script}
    hashes = [f"{what} '{_integrity(text)}'" for what, text in allowed.items() if text]
    return "; ".join(["default-src 'none'", *hashes, "base-uri 'none'", "form-action 'none'"])


def _integrity(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _shown(value: Any) -> Any:
    """Whatever the page holds is without characters that act; what is HTML already has been here before."""
    return printable(value) if type(value) is str else value


def _breakable(path: str) -> Markup:
    """A setting's path, that may be broken over lines after its dots and underscores."""
    return Markup("_<wbr>").join(Markup(".<wbr>").join(part.split(".")) for part in path.split("_"))


def _hole(key: str, *, of_rows: bool = False) -> Markup:
    """A place in a layout that the script fills: between marks that no text holds (`printable` escapes them).

    One for rows is a comment: HTML has no text between the rows of a table.
    """
    mark = f"\ue010{key}\ue011"
    return Markup(f"<!--{mark}-->" if of_rows else mark)  # noqa: S704  # a name of ours


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
