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
from migrate.fleet.plans import newest_plan, plans_of, stand_of
from migrate.load.plan_file import read_plan
from migrate.model.errors import MigrateError

_DRY_RUNS = ("run", "plan")  # which say the same of an account
_OF_SETTINGS = (*_DRY_RUNS, "apply", "rollback")  # stages that say how far its settings are, in their order
_SINCE = {"run": "planned", "plan": "planned", "apply": "applied since", "rollback": "undone since"}


def of_whole_fleet(result: FleetResult, manifest: FleetManifest, folder: Path) -> FleetResult:
    """The same result, and for every account that it says nothing of what an earlier run has brought, and when."""
    known = {one.sid: one for one in result.accounts if one.reason != NOT_IN_WAVE}
    others = {
        sid: _outcome(sid, one, result.stage, folder / sid)
        for sid, one in manifest.accounts.items()
        if sid not in known
    }
    accounts = sorted((*known.values(), *others.values()), key=lambda one: one.sid)
    looked = others if result.stage in _DRY_RUNS else {one.sid: one for one in accounts if one.exit_code}
    blocks = BlockCount(result.blocks)
    for sid, outcome in looked.items():
        _add(blocks, sid, outcome, folder / sid)
    return replace(result, accounts=tuple(accounts), blocks=blocks.blocks())


def _outcome(sid: str, account: AccountRecord, stage: str, folder: Path) -> AccountOutcome:
    """An account by its newest record among those that say how far its settings are, or by its journals."""
    name = _newest(account.stages, stage)
    if name is None:
        reason = "its journal says that it was applied" if _is_applied(folder) else NOT_IN_WAVE
        return AccountOutcome(sid, account.friendly_name, account.status, "left-out", reason=reason)
    record = account.stages[name]
    is_same = name == stage or {name, stage} <= {*_DRY_RUNS}
    at = f"{record.at[:19]}Z"
    since = f"as of {at}" if is_same else f"{_SINCE[name]}, {at}"
    reason = "; ".join(filter(None, (record.reason, since)))
    state, code = record.state, record.exit_code
    figures = record.figures if is_same else {}
    return AccountOutcome(sid, account.friendly_name, account.status, state, code, reason, figures=figures)


def _newest(stages: Mapping[str, StageRecord], stage: str) -> str | None:
    """The stage that says last how far an account is; of a stage that writes nothing, that stage itself."""
    names = [name for name in (_OF_SETTINGS if stage in _OF_SETTINGS else (stage,)) if name in stages]
    if stage not in _DRY_RUNS and stage in names:  # a new plan undoes nothing that was written
        names = [name for name in names if name not in _DRY_RUNS]
    found = [(stages[name].at, _OF_SETTINGS.index(name) if name in _OF_SETTINGS else 0, name) for name in names]
    return max(found)[2] if found else None


def _is_applied(folder: Path) -> bool:
    try:
        return any(stand_of(place) in ("begun", "applied") for place in plans_of(folder))
    except (MigrateError, OSError):
        return False


def _add(blocks: BlockCount, sid: str, outcome: AccountOutcome, folder: Path) -> None:
    """Add what blocks an account, by its saved plan and by the limits that its dry run has noted."""
    limits = str(outcome.figures.get("refused_limits", ""))
    try:
        place = newest_plan(folder)
        if stand_of(place) == "new":
            blocks.add(sid, read_plan(place), [(name, "") for name in limits.split(", ") if name])
    except (MigrateError, OSError):  # an account without a plan, or with a damaged one, which its own stages report
        return
