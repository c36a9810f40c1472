"""Reports of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migrate.model.plan import Plan
    from migrate.report.wording import Refusals


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
