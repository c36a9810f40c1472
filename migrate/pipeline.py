"""Run: extract, map, and the dry run of load, in one go, into one folder."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from migrate.extract.extraction import ExtractOptions, extract_snapshot
from migrate.extract.progress import ExtractProgress
from migrate.load.planning import make_plan
from migrate.map.mapped_folder import Summary
from migrate.map.mapped_writer import refuse_unless_free
from migrate.map.rules import Rules
from migrate.model.errors import InterruptedRunError, MigrateError
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
) -> Run:
    """Make `out/snapshot` and `out/mapped`, and the plan; nothing is written to Twilio.

    Raises what the stages raise. An unfinished snapshot is gone on with; once it is finished, an error names the
    command that goes on from there.
    """
    snapshot, mapped = out / "snapshot", out / "mapped"
    refuse_unless_free(mapped)
    manifest = extract_snapshot(api, snapshot, options, progress)
    load = shlex.join(["chat-migrate", "load", str(mapped), *api.options])
    command = f"chat-migrate map {quote(str(snapshot))} --out {quote(str(mapped))}"
    command += f" --rules {quote(rules.file)}" if rules and rules.file else ""
    with _going_on(f"The snapshot is finished in {snapshot}", command):
        from migrate.map.mapping import map_snapshot  # it brings DuckDB, long after the first request

        summary = map_snapshot(snapshot, mapped, rules)
    with _going_on(f"The snapshot and the mapping are finished in {out}", load):
        plan = make_plan(api, mapped)
    return Run(manifest, summary, plan)


@contextmanager
def _going_on(kept: str, command: str) -> Iterator[None]:
    """A failure within says what earlier steps have finished, and the command that goes on from there."""
    try:
        with telling(lambda _: InterruptedRunError("Interrupted", kept=kept, remedy=f"Go on with: {command}")):
            yield
    except InterruptedRunError:
        raise
    except MigrateError as error:
        raise error.within("Stopped half-way", kept=kept, remedy=f"Then go on with: {command}") from error
