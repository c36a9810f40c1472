"""Rehearse: a work folder, a stand-in and children, the points one by one, and nothing left behind but a failure."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from migrate.map.mapped_folder import Mapped, open_mapped, shown_path
from migrate.model.errors import AGAIN, InputError, MigrateError, RefusedError, TwilioError
from migrate.model.plan import Plan
from migrate.rehearse.points import Conditions, Point, Rehearsal, Verdict
from migrate.rehearse.probe import Oracle, Seen
from migrate.rehearse.processes import Children, StuckError
from migrate.rehearse.scenario import POINTS, RETIRE, Act, FailedError, SkippedError
from migrate.runtime.interrupts import resumable, stopped_by
from migrate.snapshot.manifest import read_manifest
from migrate.snapshot.reader import Snapshot, read_snapshot
from migrate.twilio_api.login import is_one_account

FAULT_RATE = 0.1
LATENCY = 0.03  # seconds before each answer; long enough to be killed in
# Enough bindings of each service to retire some, and few enough to be served by any machine.
_BINDINGS = ("--separate-bindings", "--most-bindings", 20)


def rehearse_load(
    mapped: Path,
    snapshot: Path | None = None,
    *,
    seed: int = 0,
    fault_rate: float = FAULT_RATE,
    begin: Callable[[str], None] = lambda name: None,
    inferred: bool = False,
) -> Rehearsal:
    """Hold a rehearsal of the load of a mapped folder, against a stand-in that is seeded with a snapshot.

    Without one, it is the snapshot that was mapped, where it was then.
    `fault_rate` is the share of requests that fail, at most 0.5; `begin` gets the name of each point as it begins;
    with `inferred`, what is only proposed is written too. Nothing is read from Twilio or written to it, and nothing
    into the two folders. Raises what `read_snapshot` and `open_mapped` raise, `RefusedError` for two accounts,
    `InterruptedRunError` on Ctrl-C, and `MigrateError` where no stand-in comes up, or where a point has failed: then
    its `result` is the `Rehearsal`.
    """
    source = open_mapped(mapped)
    snapshot = snapshot or _mapped_snapshot(source)
    opened = read_snapshot(snapshot)
    _refuse_other_account(opened, source)
    manifest = opened.manifest
    conditions = Conditions(
        str(mapped), str(snapshot), manifest.account_sid, manifest.as_of, seed, fault_rate, LATENCY
    )
    work, kept = Path(tempfile.mkdtemp(prefix="chat-migrate-rehearsal-")), ""  # it is private
    try:
        with resumable(kept="Twilio was not asked for anything", remedy=("Start over with: ", AGAIN)):
            held = _hold(work, opened, conditions, begin, inferred=inferred)
        kept = "" if held.passed else str(work)
    finally:
        if not kept:
            shutil.rmtree(work, ignore_errors=True)
    held = replace(held, notes=(*_notes(opened, source), *held.notes), kept=kept)
    if failure := held.failure():
        raise failure
    return held


def _mapped_snapshot(mapped: Mapped) -> Path:
    """The snapshot that a folder was made from. Raises `InputError` where it is not there any more."""
    place = mapped.snapshot
    try:
        read_manifest(place)
    except InputError:
        raise InputError(
            f"{mapped.folder} was made from {place}, where there is no snapshot any more",
            remedy="Name it with --snapshot DIR",
        ) from None
    return shown_path(place)


def _hold(
    work: Path, snapshot: Snapshot, conditions: Conditions, begin: Callable[[str], None], *, inferred: bool
) -> Rehearsal:
    """Start the stand-in, and try point after point."""
    started = time.monotonic()
    children = Children(work)
    faults = ("--seed", conditions.seed, "--latency", conditions.latency, "--fault-rate", conditions.fault_rate)
    try:
        with stopped_by(children.ask_to_end):
            variables = children.serve("--snapshot", snapshot.folder.absolute(), *_BINDINGS, "--port", 0, *faults)
            with closing(Oracle(variables)) as oracle, stopped_by(oracle.stop):
                folders = Path(conditions.mapped).absolute(), snapshot.folder.absolute()
                act = Act(*folders, children, oracle, conditions.account_sid, snapshot.as_of, inferred=inferred)
                points = tuple(_try(act, begin))
                seen = _last_look(oracle)
    finally:
        children.end()
    return Rehearsal(
        conditions=conditions,
        plan_id=act.plan.plan_id if act.plan else "",
        changes=len(act.plan.objects) if act.plan else 0,
        limits=act.limits,
        notes=_undecided(act.plan),
        points=points,
        requests=seen.requests,
        writes=len(seen.writes),
        seconds=round(time.monotonic() - started, 1),
    )


def _last_look(oracle: Oracle) -> Seen:
    """What the stand-in holds in the end; nothing where it is gone, which the points have reported by then."""
    try:
        return oracle.look()
    except TwilioError:
        return Seen({}, (), 0)


def _try(act: Act, begin: Callable[[str], None]) -> Iterator[Point]:
    """Each point with its verdict; those after a failure are skipped, because each rests on those before it."""
    failed = ""
    for name, meaning, method in POINTS:
        begin(name)
        started = time.monotonic()
        verdict: Verdict = "passed"
        reason = failed or ("there is nothing to change" if act.idle and name != RETIRE else "")
        if reason:
            verdict = "skipped"
        else:
            try:
                method(act)
            except SkippedError as skipped:
                verdict, reason = "skipped", str(skipped)
            except (FailedError, StuckError, MigrateError) as error:
                verdict, reason = "failed", str(error)
                failed = f"{name} failed"
        yield Point(name, meaning, verdict, round(time.monotonic() - started, 1), reason)


def _undecided(plan: Plan | None) -> tuple[str, ...]:
    """What the plan proposed and the rehearsal did not write."""
    number = len(plan.proposals) if plan else 0
    if not number:
        return ()
    what = "1 proposal waits" if number == 1 else f"{number:,} proposals wait"
    return (f"{what} for a decision, and nothing of that was written; to rehearse it too, say --force inferred",)


def _notes(snapshot: Snapshot, mapped: Mapped) -> tuple[str, ...]:
    """What is to be known beside the points."""
    notes = []
    if mapped.summary.snapshot != snapshot.manifest.digest:
        notes.append(f"{mapped.folder} was made from another snapshot than {snapshot.folder}")
    unknown = [row["sid"] for row in snapshot.services() if row["conversations_notifications"] is None]
    if unknown:
        notes.append(
            f"The snapshot does not know what was set in Conversations for {len(unknown):,} of its services, "
            f"such as {unknown[0]}: it was rehearsed as if nothing were"
        )
    return tuple(notes)


def _refuse_other_account(snapshot: Snapshot, mapped: Mapped) -> None:
    ours, theirs = mapped.summary.account_sid, snapshot.manifest.account_sid
    if not is_one_account(ours, theirs):
        raise RefusedError(
            f"{mapped.folder} was made from account {ours}, and {snapshot.folder} from {theirs}",
            remedy="Name the snapshot that was mapped",
        )
