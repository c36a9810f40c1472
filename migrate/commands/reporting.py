"""Reports of a plan, and what stands in the way of applying it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from migrate.load.limits import MOST_SERVICES, Ground, violations

if TYPE_CHECKING:
    from migrate.model.plan import Plan
    from migrate.report.wording import Refusals
    from migrate.twilio_api.api import ApiSettings, TwilioApi


def refusals_now(
    api: TwilioApi, settings: ApiSettings, plan: Plan, max_services: int = MOST_SERVICES
) -> list[tuple[str, str]]:
    """The limits for which an apply would be refused with these credentials now: the name of each, what is wrong."""
    now = api.server_time or datetime.now(UTC)
    ground = Ground(plan, api.account_sid, api.addresses.base("conversations"), now, max_services)
    recorded = (
        [("other-account", "it was made from a recording; make it anew from Twilio")] if settings.replay else []
    )
    return [*recorded, *violations(ground)]


def overtaken(plan: Plan, stale: Sequence[str], journal: Path) -> list[tuple[str, str]]:
    """What has become of a saved plan since it was made, if an apply would end with that."""
    from migrate.load.journal import begun_journal

    begun = begun_journal(journal)
    if begun and begun.finished:
        return [("applied", f"it was applied already: {journal}")]
    if stale:
        return [
            ("stale", f"somebody has changed {len(stale):,} of {len(plan.objects):,} since it was made; make it anew")
        ]
    return []


def write_report(plan: Plan, path: Path, suffix: str, refusals: Refusals, *, dry_run: bool = True) -> None:
    """Write a plan as a report, in the format that a suffix names."""
    from migrate.load.saved import save_plan
    from migrate.snapshot.files import write_whole

    if suffix == ".html":
        from migrate.report.html import plan_page as view
    elif suffix == ".md":
        from migrate.report.markdown import plan_report as view
    else:
        save_plan(plan, path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, view(plan, refusals, dry_run=dry_run))
