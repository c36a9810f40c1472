"""Reports of a plan, and what has become of it since it was made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migrate.cli.console import Screen
    from migrate.model.plan import Plan
    from migrate.report.wording import Refusals


def overtaken(plan: Plan, plan_id: str, stale: Sequence[str], journal: Path) -> list[tuple[str, str]]:
    """What has become of a plan since it was made, if an apply ends with that; its journal knows it by `plan_id`."""
    from migrate.load.journal import begun_journal
    from migrate.model.text import listed

    begun = begun_journal(journal)
    another = "name another file with --journal"
    if begun and begun.plan_id != plan_id:
        return [("other-journal", f"{journal} is the journal of another plan; {another}")]
    if begun and begun.finished:
        return [("applied", f"it was applied already: {journal}; to apply it once more, {another}")]
    if stale:
        what = f"somebody has changed {len(stale):,} of {len(plan.objects):,} since it was made: {listed(stale)}"
        return [("stale", f"{what}; an apply leaves those alone, writes the others, and exits with 5; make it again")]
    return []


def write_report(plan: Plan, path: Path, suffix: str, refusals: Refusals, *, dry_run: bool = True) -> None:
    """Write a plan as a report, in the format that a suffix names."""
    from migrate.load.plan_file import save_plan
    from migrate.storage.files import write_whole

    if suffix == ".html":
        from migrate.report.html import plan_page as view
    elif suffix == ".md":
        from migrate.report.markdown import plan_report as view
    else:
        save_plan(plan, path)
        return
    write_whole(path, view(plan, refusals, dry_run=dry_run))


def show_plan(plan: Plan, refused: Refusals, where: str, screen: Screen, heading: str) -> None:
    """Show a plan of which nothing is written."""
    from migrate.report.text import plan_view

    screen.result(plan.to_json(), lambda: plan_view(plan, where=where, refusals=refused, heading=heading))
