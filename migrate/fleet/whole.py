"""A stage's result with the accounts of the fleet that the stage was not for, by fleet.json and by their plans.

A report is of the whole fleet: what was decided by the one of last week is not lost because one account was planned
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from migrate.fleet.blocks import BlockCount
from migrate.fleet.choosing import NOT_IN_WAVE
from migrate.fleet.folder import AccountRecord, FleetManifest, StageRecord
from migrate.fleet.outcome import AccountOutcome, FleetResult
from migrate.fleet.plans import newest_plan, stand_of
from migrate.load.plan_file import read_plan
from migrate.model.errors import MigrateError

_DRY_RUNS = ("run", "plan")  # which say the same of an account


def of_whole_fleet(result: FleetResult, manifest: FleetManifest, folder: Path) -> FleetResult:
    """The same result, and for every account that it says nothing of what its last run of that stage brought."""
    known = {one.sid: one for one in result.accounts if one.reason != NOT_IN_WAVE}
    others = {sid: _outcome(sid, one, result.stage) for sid, one in manifest.accounts.items() if sid not in known}
    accounts = sorted((*known.values(), *others.values()), key=lambda one: one.sid)
    looked = others if result.stage in _DRY_RUNS else {one.sid: one for one in accounts if one.exit_code}
    blocks = BlockCount(result.blocks)
    for sid, outcome in looked.items():
        _add(blocks, sid, outcome, folder / sid)
    return replace(result, accounts=tuple(accounts), blocks=blocks.blocks())


def _outcome(sid: str, account: AccountRecord, stage: str) -> AccountOutcome:
    record = _latest(account.stages, stage)
    if record is None:
        return AccountOutcome(sid, account.friendly_name, account.status, "left-out", reason=NOT_IN_WAVE)
    state, reason = record.state, record.reason
    return AccountOutcome(
        sid, account.friendly_name, account.status, state, record.exit_code, reason, figures=record.figures
    )


def _latest(stages: Mapping[str, StageRecord], stage: str) -> StageRecord | None:
    names = _DRY_RUNS if stage in _DRY_RUNS else (stage,)
    found = [stages[name] for name in names if name in stages]
    return max(found, key=lambda record: record.at, default=None)


def _add(blocks: BlockCount, sid: str, outcome: AccountOutcome, folder: Path) -> None:
    """Add what blocks an account, by its saved plan and by the limits that its dry run has noted."""
    limits = str(outcome.figures.get("refused_limits", ""))
    try:
        place = newest_plan(folder)
        if stand_of(place) == "new":
            blocks.add(sid, read_plan(place), [(name, "") for name in limits.split(", ") if name])
    except (MigrateError, OSError):  # an account without a plan, or with a damaged one, which its own stages report
        return
