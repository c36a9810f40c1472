"""The HTML view of a fleet: one file, that leads to the reports of its accounts."""

from __future__ import annotations

from collections.abc import Collection

from migrate.fleet.outcome import FleetResult
from migrate.report import fleet as words
from migrate.report.html import part, policy, template
from migrate.report.wording import count

MOST_NAMED = 20  # accounts that a code blocks, each with a link


def fleet_page(result: FleetResult, reports: Collection[str] = ()) -> str:
    """The verdict on each account, what blocks where, and the sums. `reports` are the accounts that have one."""
    style, script = part("page.css"), part("page.js")
    return template("fleet.html.jinja").render(
        result=result,
        reports=reports,
        words=words,
        count=count,
        rows=words.rows(result),
        most=MOST_NAMED,
        blocks=words.blocks(result),
        sums=words.numbers(result.totals),
        is_good=all(words.verdict(account) in words.GOOD for account in result.accounts),
        title=f"Fleet: {words.STAGES.get(result.stage, result.stage)}",
        style=style,
        script=script,
        policy=policy(style, script),
    )
