"""Run: extract, map, and the dry run of load, in one go, into one folder."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from migrate.extract.extraction import ExtractOptions, extract_snapshot
from migrate.extract.progress import ExtractProgress
from migrate.load.planning import make_plan
from migrate.map.mapped_folder import Summary
from migrate.map.mapped_writer import refuse_unless_free
from migrate.map.rules import Rules
from migrate.model.errors import InterruptedRunError, MigrateError, Step
from migrate.model.plan import Plan
from migrate.runtime.interrupts import telling
from migrate.snapshot.manifest import Manifest
from migrate.twilio_api.client import TwilioApi


@dataclass(frozen=True)
class Run:
    """What the three stages brought: the snapshot's manifest, the mapping's summary, the plan."""

    manifest: Manifest
    summary: Summary
    plan: Plan


def run(
    api: TwilioApi,
    out: Path,
    options: ExtractOptions,
    progress: ExtractProgress | None = None,
    rules: Rules | None = None,
    like: Path | None = None,
    executor: Executor | None = None,
) -> Run:
    """Make `out/snapshot` and `out/mapped`, and the plan; nothing is written to Twilio.

    `rules` and `like`, a reviewed mapped folder, exclude each other, and `executor` maps; see `map_snapshot`.

    Raises what the stages raise. An unfinished snapshot is resumed; once it is finished, an error names the
    stage that resumes from there.
    """
    snapshot, mapped = out / "snapshot", out / "mapped"
    refuse_unless_free(mapped)
    if like:
        from migrate.map.reviewed import open_reviewed  # only then: it brings tomlkit

        open_reviewed(like)  # an extract can take hours: what is wrong with it is to be known before
    manifest = extract_snapshot(api, snapshot, options, progress)
    to_map = Step("map", {"snapshot": snapshot, "out": mapped, "rules": (rules and rules.file) or None, "like": like})
    with _done_before(f"The snapshot is finished in {snapshot}", to_map):
        from migrate.map.mapping import map_snapshot  # it brings DuckDB, long after the first request

        summary = map_snapshot(snapshot, mapped, rules, like=like, executor=executor)
    plan_file, *reports = plan_and_reports(out)
    to_load = Step("load", {"mapped": mapped, "plan_out": plan_file, "report": tuple(reports)})
    with _done_before(f"The snapshot and the mapping are finished in {out}", to_load):
        plan = make_plan(api, mapped)
    return Run(manifest, summary, plan)


def plan_and_reports(out: Path) -> tuple[Path, Path, Path]:
    """The files that a run is shown in: the plan, and the reports of it."""
    return out / "plan.json", out / "report.html", out / "report.md"


@contextmanager
def _done_before(kept: str, step: Step) -> Iterator[None]:
    """A failure within says what earlier stages have finished, and the stage that resumes from there."""
    try:
        with telling(lambda _: InterruptedRunError("Interrupted", kept=kept, remedy=("Resume with: ", step))):
            yield
    except InterruptedRunError:
        raise
    except MigrateError as error:
        raise error.within("Stopped half-way", kept=kept, remedy=("Then resume with: ", step)) from error
