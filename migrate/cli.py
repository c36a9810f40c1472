"""The command line: options in, one call to a stage, its result shown, an exit code.

Everything heavy is imported inside the command that needs it, so that `--help` answers at once.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from migrate import __version__
from migrate.failures import INTERRUPTED, Commands
from migrate.options import (
    FILE,
    FOLDER,
    ReportFile,
    api_options,
    common_options,
    extract_options,
    guard_paths,
    rules_option,
)
from migrate.screen import Screen
from migrate.standin_options import standin_options

if TYPE_CHECKING:
    from migrate.extract.meter import Meter
    from migrate.extract.run import ExtractOptions
    from migrate.map.rules import Rules
    from migrate.model.plan import Plan
    from migrate.standin.faults import Faults
    from migrate.standin.paging import PageSizes
    from migrate.twilio_api.api import ApiSettings

CHANGES_PENDING = 3


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chat-migrate")
def cli() -> None:
    """Move push notifications from Twilio Programmable Chat to Conversations.

    Nothing is written to Twilio by any command of this version: it extracts, maps, and shows what would
    change. Credentials come from the environment: TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or with
    TWILIO_API_KEY and TWILIO_API_SECRET.

    \b
    Example:
      chat-migrate run --replay cassettes/demo.yaml --out out/demo
    """


@cli.command()
@click.option("--out", type=FOLDER, required=True, metavar="DIR", help="The snapshot's folder.")
@extract_options
@api_options
@common_options
def extract(out: Path, options: ExtractOptions, meter: Meter, settings: ApiSettings, screen: Screen) -> None:
    """Copy all bindings, services and credentials into a snapshot.

    An unfinished snapshot is gone on with; a finished one is never overwritten.

    \b
    Example:
      chat-migrate extract --out snapshot
    """
    from migrate.extract.run import extract_snapshot
    from migrate.report.text import extract_view
    from migrate.twilio_api.api import open_api

    with open_api(settings) as api, screen.progress(meter):
        manifest = extract_snapshot(api, out, options, meter)
    screen.result(manifest.to_public_json(), lambda: extract_view(manifest, str(out)))


@cli.command("map")
@click.argument("snapshot", type=FOLDER)
@click.option("--out", type=FOLDER, required=True, metavar="DIR", help="The mapped folder.")
@click.option("--overwrite", is_flag=True, help="Map anew; an edited push-config.yaml is kept under a second name.")
@click.option("--csv", type=FILE, metavar="FILE", help="Also write who must register again, for a spreadsheet.")
@rules_option
@common_options
def map_(snapshot: Path, out: Path, overwrite: bool, csv: Path | None, rules: Rules, screen: Screen) -> None:
    """Translate a snapshot into push configuration, for review.

    Writes push-config.yaml, to be reviewed and edited, and what becomes of every binding. Stays offline.

    \b
    Example:
      chat-migrate map snapshot --out mapped
      chat-migrate map snapshot --out mapped --overwrite --rules rules.toml --csv devices.csv
    """
    from migrate.map.run import map_snapshot
    from migrate.report.mapping import map_view
    from migrate.snapshot.mapped_writer import edited_copies
    from migrate.snapshot.spreadsheet import write_spreadsheet

    summary = map_snapshot(snapshot, out, rules, overwrite=overwrite)
    files = [("Edited", f"kept as {path}") for path in edited_copies(out)[-1:]]
    if csv:
        rows = write_spreadsheet(out, summary, csv)
        files.append(("Devices", f"{csv} ({rows:,} rows; it holds identities: keep it as you keep the snapshot)"))
    screen.result(summary.to_json(), lambda: map_view(summary, str(out), files))


@cli.command()
@rules_option
@common_options
def rules(rules: Rules, screen: Screen) -> None:
    """Show the rules of the mapper, and the reason for each.

    The output is a rules file itself: with some of it, --rules changes what the mapper does.

    \b
    Example:
      chat-migrate rules
      chat-migrate rules --rules rules.toml
    """
    from rich.text import Text

    screen.result(rules.to_json(), lambda: Text(rules.text))


@cli.command()
@click.argument("mapped", type=FOLDER)
@click.argument("sid")
@click.option("--show-identities", is_flag=True, help="Show the identity whole, instead of masked.")
@common_options
def explain(mapped: Path, sid: str, show_identities: bool, screen: Screen) -> None:
    """Account for one binding, by its SID.

    Says what it was, what it becomes, by which rules, and what its device must do.

    \b
    Example:
      chat-migrate explain mapped BS00000001000000000000000000000000
    """
    from migrate.map.explain import explain as explain_binding
    from migrate.report.explanation import explanation_view

    found = explain_binding(mapped, sid)
    screen.result(
        found.to_json(whole_identity=show_identities),
        lambda: explanation_view(found, whole_identity=show_identities),
    )


@cli.command()
@click.argument("mapped", type=FOLDER)
@click.option("--plan-out", type=FILE, metavar="FILE", help="Save the plan.")
@click.option(
    "--report", "reports", type=ReportFile(), multiple=True, metavar="FILE",
    help="Write a report: .md or .json. Repeatable.",
)  # fmt: skip
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 3 if there is something to change.")
@api_options
@common_options
def load(
    mapped: Path,
    plan_out: Path | None,
    reports: tuple[Path, ...],
    detailed_exitcode: bool,
    settings: ApiSettings,
    screen: Screen,
) -> None:
    """Show what would change in Conversations. A dry run: it only reads.

    \b
    Example:
      chat-migrate load mapped --plan-out plan.json --report report.md
    """
    from migrate.load.planning import make_plan
    from migrate.report.text import plan_view
    from migrate.twilio_api.api import open_api

    files = [(path, path.suffix) for path in reports] + ([(plan_out, ".json")] if plan_out else [])
    with open_api(settings) as api:
        plan = make_plan(api, mapped)
    for path, suffix in files:
        _write_report(plan, path, suffix)
    screen.result(plan.to_json(), lambda: plan_view(plan))
    if detailed_exitcode and plan.changes:
        sys.exit(CHANGES_PENDING)


@cli.command()
@click.option("--out", type=FOLDER, required=True, metavar="DIR", help="The folder for everything.")
@rules_option
@extract_options
@api_options
@common_options
def run(
    out: Path, rules: Rules, options: ExtractOptions, meter: Meter, settings: ApiSettings, screen: Screen
) -> None:
    """Extract, map, and show what would change, in one go. Writes nothing to Twilio.

    \b
    Example:
      chat-migrate run --out migration
    """
    from migrate.pipeline import run as run_pipeline
    from migrate.report.text import plan_view, run_view
    from migrate.twilio_api.api import open_api

    guard_paths({"reports": (out / "plan.json", out / "report.md")})
    with open_api(settings) as api, screen.progress(meter):
        done = run_pipeline(api, out, options, meter, rules)
    mapped, plan_file, report = out / "mapped", out / "plan.json", out / "report.md"
    _write_report(done.plan, plan_file, ".json")
    _write_report(done.plan, report, ".md")
    replay = f" --replay {quote(str(settings.replay))}" if settings.replay else ""
    again = f"chat-migrate load {quote(str(mapped))}{replay}"
    files = [
        ("Snapshot", str(out / "snapshot")),
        ("Mapped", f"{mapped / 'push-config.yaml'}, {mapped / 'bindings'}, {mapped / 'summary.json'}"),
        ("Plan", str(plan_file)),
        ("Report", str(report)),
        ("Next", f"read {report}; edit {mapped / 'push-config.yaml'}; look again with: {again}"),
    ]
    data = {
        "snapshot": done.manifest.to_public_json(),
        "mapped": done.summary.to_json(),
        "plan": done.plan.to_json(),
    }
    screen.result(
        data,
        lambda: (
            plan_view(done.plan, explain=False)
            .append("\n")
            .append(run_view(done.manifest, done.summary, done.plan, files))
        ),
    )


@cli.command()
@standin_options
@common_options
def standin(
    port: int,
    world: Path | None,
    sizes: PageSizes,
    faults: Faults,
    prerendered: bool,
    screen: Screen,
) -> None:
    """Serve a local imitation of the two Twilio APIs, until Ctrl-C.

    Things can be made to go wrong, the same way each time, to rehearse a migration under bad conditions.

    \b
    Example:
      chat-migrate standin --port 8080
      chat-migrate standin --fault-rate 0.2 --fault 429 --fault reset --latency 0.1
    """
    from migrate.standin.server import StandInServer
    from migrate.standin.world import DEMO_WORLD, load_world

    served = load_world(world or DEMO_WORLD)
    with StandInServer(served, sizes, port, faults=faults, prerendered=prerendered) as server:
        variables = {
            "CHAT_MIGRATE_CHAT_URL": server.url,
            "CHAT_MIGRATE_CONVERSATIONS_URL": server.url,
            "TWILIO_ACCOUNT_SID": served.account_sid,
            "TWILIO_AUTH_TOKEN": served.auth_token,
        }
        from rich.text import Text

        lines = "".join(f"export {name}={value}\n" for name, value in variables.items())
        screen.result(variables, lambda: Text(lines))
        screen.say(f"Serving {world or 'the demo world'} on {server.url}; stop with Ctrl-C.")
        sys.stdout.flush()
        server.wait()


def _write_report(plan: Plan, path: Path, suffix: str) -> None:
    from migrate.model.digest import canonical_json
    from migrate.report.markdown import plan_report
    from migrate.snapshot.files import write_whole

    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, plan_report(plan) if suffix == ".md" else canonical_json(plan.to_json()))


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character shows its escape, instead of the program failing on it.
        if stream is not None:  # closed by whoever called
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    # Whoever ends it by SIGTERM gets what Ctrl-C does: pages in hand are stored, and the exit code says so.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cli(prog_name="chat-migrate")
    except KeyboardInterrupt:  # before a command was there to say more
        sys.exit(INTERRUPTED)
