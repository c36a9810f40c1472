"""Verify, health, rehearse, doctor and diff for one account of a fleet: files and errors as for a single one."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from migrate.extract.progress import ExtractProgress
from migrate.fleet.plans import newest_plan
from migrate.fleet.running import Ended
from migrate.fleet.stages_reading import MAPPED, SNAPSHOT, refuse_other_account
from migrate.model.diagnosis import Check, unreached, wrong
from migrate.model.digest import canonical_json
from migrate.model.errors import AGAIN, MigrateError, RefusedError
from migrate.model.text import share
from migrate.snapshot.manifest import NAME as MANIFEST
from migrate.snapshot.manifest import read_manifest
from migrate.storage.files import write_whole

if TYPE_CHECKING:
    from migrate.map.rules import Rules
    from migrate.push_errors.health import Health
    from migrate.push_errors.measuring import HealthOptions
    from migrate.rehearse.points import Rehearsal
    from migrate.twilio_api.client import TwilioApi
    from migrate.twilio_api.connect import ApiSettings
    from migrate.twilio_api.login import Login

NO_BINDING = "its snapshot has no binding"
COVERAGE, HEALTH, REHEARSAL = "coverage", "health", "rehearsal.json"
DiffKind = Literal["snapshot", "mapped", "plan"]


def verify_account(
    api: TwilioApi,
    folder: Path,
    rules: Rules | None,
    fail_under: float | None,
    progress: ExtractProgress,
    executor: Executor,
) -> Ended:
    """Add a run to an account's coverage. An account that has no binding at all waits for none. Raises what
    `verify_snapshot` raises.
    """
    from migrate.verify.coverage import refuse_nothing
    from migrate.verify.verification import verify_snapshot

    snapshot = folder / SNAPSHOT
    done = verify_snapshot(snapshot, folder / COVERAGE, api, rules=rules, progress=progress, executor=executor)
    total = done.coverage.total
    figures: dict[str, int | str] = {"expected": total.expected, "ready": total.ready}
    if not read_manifest(snapshot).rows:
        return Ended(figures, "left-out", reason=NO_BINDING)
    kept = f"The numbers are kept in {done.file}"
    try:
        refuse_nothing(total, kept=kept)
        if fail_under is not None and not total.reaches(fail_under):
            raise RefusedError(
                f"{share(total.ready, total.expected)} of the bindings that are waited for are ready, and "
                f"--fail-under asks for {fail_under:g} %",
                kept=kept,
                remedy=("Wait, and run the same again: ", AGAIN),
            )
    except RefusedError as error:
        return Ended(figures, error=error)
    return Ended(figures)


def health_account(
    api: TwilioApi, folder: Path, options: HealthOptions, fail_over: float | None, progress: ExtractProgress
) -> Ended:
    """Add a run to an account's push errors by hour, by its snapshot where that is there. Raises what
    `measure_health` raises.
    """
    from migrate.map.rules_toml import default_rules
    from migrate.push_errors.measuring import measure_health
    from migrate.snapshot.reader import read_snapshot

    snapshot = folder / SNAPSHOT
    if (snapshot / MANIFEST).exists() and read_manifest(snapshot).status == "finished":
        options = replace(options, snapshot=read_snapshot(snapshot), lifetime=default_rules().lifetime)

    def count(**amounts: int) -> None:
        progress.add("alerts", **amounts)

    progress.requests_now = lambda: api.throttle.running
    progress.trouble = lambda: api.trouble
    found = measure_health(api, folder / HEALTH, replace(options, progress=count))
    figures: dict[str, int | str] = {"errors": found.now.total, "live_devices": found.now.devices or 0}
    return Ended(figures, error=_excess(found, fail_over))


def _excess(found: Health, fail_over: float | None) -> RefusedError | None:
    if fail_over is None or found.now.total == 0:
        return None
    kept = f"The numbers are kept in {found.file}"
    if found.excess is None:
        return RefusedError(
            "How many errors that is for 100 live devices is not known: there is no live device",
            kept=kept,
            remedy="Extract the account first: its snapshot has the live devices",
        )
    if found.excess > fail_over:
        return RefusedError(
            f"{found.excess:,.1f} errors a day for 100 live devices, and --fail-over allows {fail_over:g}",
            kept=kept,
            remedy="See in the account's health folder which credentials fail",
        )
    return None


def rehearse_account(sid: str, folder: Path, how: Mapping[str, Any]) -> Ended:
    """Rehearse an account's load, and keep the result beside it. An account without a binding has nothing to
    rehearse. Raises what `rehearse_load` raises, and `RefusedError` for another account's snapshot.
    """
    from migrate.rehearse.points import Rehearsal
    from migrate.rehearse.rehearsal import rehearse_load

    refuse_other_account(folder, sid)
    if not read_manifest(folder / SNAPSHOT).rows:
        return Ended(state="left-out", reason=NO_BINDING)
    failure: MigrateError | None = None
    try:
        held = rehearse_load(folder / MAPPED, folder / SNAPSHOT, **how)
    except MigrateError as error:
        if not isinstance(error.result, Rehearsal):
            raise
        held, failure = error.result, error
    write_whole(folder / REHEARSAL, canonical_json(held.to_json()))
    return Ended(_points(held), error=failure)


def _points(held: Rehearsal) -> dict[str, int | str]:
    return {"points_passed": held.counts["passed"], "failed": held.counts["failed"], "changes": held.changes}


def doctor_account(settings: ApiSettings, login: Login, friendly_folder: Path) -> Ended:
    """Check an account's credentials, and what Twilio lets them do."""
    from migrate.doctor import diagnose
    from migrate.twilio_api.login import OF_LOGIN

    own = {name: value for name, value in settings.environment.items() if name not in OF_LOGIN}
    own |= {"TWILIO_ACCOUNT_SID": login.account_sid}
    if login.is_api_key:
        own |= {"TWILIO_API_KEY": login.username, "TWILIO_API_SECRET": login.password}
    else:
        own |= {"TWILIO_AUTH_TOKEN": login.password}
    checks: list[Check] = [*diagnose(replace(settings, environment=own), friendly_folder)]
    figures: dict[str, int | str] = {"checks": len(checks), "wrong": len(wrong(checks))}
    problems = wrong(checks) or unreached(checks)
    bad = [check for check in checks if check.name in problems]
    error: MigrateError | None = None
    if bad:
        what = "Not as it should be" if wrong(checks) else "Not known, because Twilio did not answer"
        said = "; ".join(f"{check.name}: {check.found}" for check in bad)
        error = MigrateError(f"{what}: {said}", remedy=". ".join(dict.fromkeys(check.remedy for check in bad)))
    return Ended(figures, error=error, detail=checks)


def diff_account(sid: str, before: Path, after: Path, kind: DiffKind, executor: Executor | None = None) -> Ended:
    """What has changed in an account between two fleets' folders. Exit code 3 where something has, or where only one
    has it. Raises what `difference` raises, and `RefusedError` for another account's snapshot.
    """
    from migrate.diff.comparing import difference

    for folder in (before, after):
        refuse_other_account(folder, sid)
    sides = [_side(before, kind), _side(after, kind)]
    lacking = [str(folder) for folder, side in zip((before, after), sides, strict=True) if side is None]
    if lacking:
        return Ended(state="left-out", exit_code=3, reason=f"there is no {kind} in {' and in '.join(lacking)}")
    there = [side for side in sides if side is not None]
    found = difference(there[0], there[1], executor)
    return Ended(
        {"differing": int(found.differs)}, exit_code=3 if found.differs else 0, reason="it differs" * found.differs
    )


def _side(folder: Path, kind: DiffKind) -> Path | None:
    if kind == "plan":
        try:
            return newest_plan(folder)
        except RefusedError:
            return None
    place = folder / kind
    return place if place.exists() else None
