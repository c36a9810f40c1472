"""chat-migrate run: extract, map and the dry run of load in one go."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.commands.reporting import write_report
from migrate.cli.commands.warnings import warn
from migrate.cli.console import Screen
from migrate.cli.engine_options import executor_of, scheduler_option
from migrate.cli.fleet_options import FleetAsked, fleet_options
from migrate.cli.help import Command
from migrate.cli.options import (
    EACH_ACCOUNT,
    api_options,
    common_options,
    extract_options,
    like_option,
    overwrite_option,
    refuse_both,
    rules_option,
)
from migrate.cli.paths import OutFolder, or_fleet
from migrate.cli.spelling import command_of, extract_command, spelled
from migrate.model.errors import Step

if TYPE_CHECKING:
    from rich.text import Text

    from migrate.extract.extraction import ExtractOptions
    from migrate.extract.progress import ExtractProgress
    from migrate.map.rules import Rules
    from migrate.pipeline import Run
    from migrate.report.wording import Refusals
    from migrate.twilio_api.client import TwilioApi
    from migrate.twilio_api.connect import ApiSettings


@click.command(cls=Command)
@click.option(
    "--out", type=or_fleet(OutFolder("run", "plan.json", "report.html", "report.md")), required=True, metavar="DIR",
    help="The folder for everything.",
)  # fmt: skip
@scheduler_option
@fleet_options("out", "overwrite", "like", "rules_file", "scheduler", *EACH_ACCOUNT)
@overwrite_option("a plan or a report")
@like_option
@rules_option
@extract_options
@api_options
@common_options
def run(
    out: Path,
    scheduler: str | None,
    like: Path | None,
    rules: Rules | None,
    options: ExtractOptions,
    progress: ExtractProgress,
    settings: ApiSettings,
    screen: Screen,
    fleet: FleetAsked | None,
) -> None:
    """Extract, map, and show what would change, in one go. Writes nothing to Twilio.

    With --like, the rules and the edits of a reviewed mapped folder are carried over, as by `map --like`.

    \b
    Example:
      chat-migrate run --out migration
      chat-migrate run --out on-the-day --like migration/mapped
    """
    refuse_both(like, rules)
    if fleet:
        from migrate.cli.commands.fleet_reading import run_fleet

        with executor_of(scheduler, [], out / "AC") as executor:
            run_fleet(fleet, out, options, settings, screen, rules=rules, like=like, executor=executor)
        return
    from migrate.load.preview import ground_now, refusals_now
    from migrate.pipeline import plan_and_reports
    from migrate.pipeline import run as run_pipeline
    from migrate.twilio_api.connect import open_api
    from migrate.twilio_api.doubts import doubt_of_account, doubt_of_clock

    with ExitStack() as stack:
        executor = stack.enter_context(executor_of(scheduler, [], out / "mapped"))
        api = stack.enter_context(open_api(settings))
        load = partial(_load_command, api)
        # What an extract has begun, this command resumes; the later stages have commands of their own.
        given = {"rules": rules.file if rules else None, "like": like, "scheduler": scheduler}
        again = extract_command(out, options, api, "run", **given)
        stack.enter_context(spelled(again, load=load))
        stack.enter_context(screen.progress(progress))
        done = run_pipeline(api, out, options, progress, rules, like, executor)
        refused = refusals_now(ground_now(api, done.plan), recorded=bool(settings.replay))
        warn(screen, doubt_of_account(api), doubt_of_clock(api))
    for path in plan_and_reports(out):
        write_report(done.plan, path, path.suffix, refused)
    data = {
        "snapshot": done.manifest.to_public_json(),
        "mapped": done.summary.to_json(),
        "plan": done.plan.to_json(),
    }
    screen.result(data, lambda: _view(out, done, refused))
    mapped = out / "mapped"
    screen.next(
        f"read {plan_and_reports(out)[1]}, edit {mapped / 'push-config.yaml'}, and look again:",
        load(Step("load", {"mapped": mapped})),
    )


def _load_command(api: TwilioApi, step: Step) -> str:
    return command_of(step, *api.options)


def _view(out: Path, done: Run, refused: Refusals) -> Text:
    """What would change, and where everything is."""
    from migrate.pipeline import plan_and_reports
    from migrate.report.text import plan_view, run_view

    mapped = out / "mapped"
    plan_file, *reports = plan_and_reports(out)
    files = [
        ("Snapshot", str(out / "snapshot")),
        ("Mapped", f"{mapped / 'push-config.yaml'}, {mapped / 'bindings'}, {mapped / 'summary.json'}"),
        ("Plan", str(plan_file)),
        ("Report", ", ".join(map(str, reports))),
    ]
    text = plan_view(done.plan, where=f"see {reports[0]}", refusals=refused, explain=False).append("\n")
    return text.append(run_view(done.manifest, done.summary, done.plan, files))
