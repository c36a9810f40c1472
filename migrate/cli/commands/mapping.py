"""chat-migrate map, and the two commands that account for what it does: rules and explain."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.commands.warnings import warn
from migrate.cli.console import Screen
from migrate.cli.engine_options import executor_of, scheduler_option
from migrate.cli.fleet_options import FleetAsked, RequiredAlone, fleet_options
from migrate.cli.help import Command
from migrate.cli.options import BindingSid, ServiceSid, common_options, like_option, refuse_both, rules_option
from migrate.cli.paths import InMapped, InSnapshot, OutFile, OutFolder, or_fleet
from migrate.cli.spelling import command_of
from migrate.model.errors import Step

if TYPE_CHECKING:
    from migrate.map.reviewed import Edit
    from migrate.map.rules import Rules


@click.command("map", cls=Command)
@click.argument("snapshot", type=or_fleet(InSnapshot()))
@click.option(
    "--out", cls=RequiredAlone, type=or_fleet(OutFolder("mapped")), required=True, metavar="DIR",
    help="The mapped folder.",
)  # fmt: skip
@fleet_options("snapshot", "out", "overwrite", "like", "rules_file", "scheduler", offline=True)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Map again, and replace the list of --csv; an edited push-config.yaml is kept under a second name.",
)
@click.option(
    "--csv",
    type=OutFile(apart=True, stays=True),
    metavar="FILE",
    help="Also write who must register again, for a spreadsheet.",
)
@scheduler_option
@like_option
@rules_option
@common_options
def map_(
    snapshot: Path,
    out: Path,
    overwrite: bool,
    csv: Path | None,
    scheduler: str | None,
    like: Path | None,
    rules: Rules | None,
    screen: Screen,
    fleet: FleetAsked | None,
) -> None:
    """Translate a snapshot into push configuration, for review.

    Writes push-config.yaml, to be reviewed and edited, and what becomes of every binding. Stays offline.

    With --like, the rules and the edits of a reviewed mapped folder are carried over to another snapshot's. What no
    longer fits is a finding: a service that is gone or new, a setting that has changed since. --rules and --like
    exclude each other, because the reviewed rules are carried over as a whole.

    \b
    Example:
      chat-migrate map snapshot --out mapped
      chat-migrate map snapshot-on-the-day --out mapped-on-the-day --like mapped
      chat-migrate map snapshot --out mapped --overwrite --rules rules.toml
    """
    refuse_both(like, rules)
    if fleet:
        from migrate.cli.commands.fleet_offline import map_fleet

        with executor_of(scheduler, [snapshot], (out or snapshot) / "AC") as executor:
            map_fleet(fleet, snapshot, out, screen, overwrite=overwrite, rules=rules, like=like, executor=executor)
        return
    from migrate.map.mapped_writer import edited_copies
    from migrate.map.mapping import map_snapshot
    from migrate.map.reviewed import open_reviewed, reviewed_beside
    from migrate.map.spreadsheet import write_spreadsheet
    from migrate.report.mapping import carried_row, map_view

    earlier = edited_copies(out)
    with executor_of(scheduler, [snapshot], out) as executor:
        summary = map_snapshot(snapshot, out, rules, overwrite=overwrite, like=like, executor=executor)
    if not like:
        _warn_of(reviewed_beside(out, summary.account_sid, rules), out, screen)
    files = [
        ("Edited", f"kept as {path}; --like carries edits over") for path in edited_copies(out) if path not in earlier
    ]
    shown, data = summary, summary.to_json()
    edits: tuple[Edit, ...] = ()
    if like:
        reviewed = open_reviewed(out)  # what differs there from what was mapped is what was carried over
        shown, edits = reviewed.mapped.as_it_stands, reviewed.edits
        credentials = len(reviewed.mapped.config.credentials)
        files.append(("Carried over", carried_row(str(like), edits, credentials)))
        data = {**shown.to_json(), "carried_over": [edit.to_json() for edit in edits]}
    if csv:
        rows = write_spreadsheet(out, summary, csv)
        files.append(("Devices", f"{csv} ({rows:,} rows; it holds identities: keep it as you keep the snapshot)"))
    screen.result(data, lambda: map_view(shown, str(out), files, edits))
    screen.next(
        f"read {out / 'push-config.yaml'}, edit it, and see what would change:",
        command_of(Step("load", {"mapped": out})),
    )


def _warn_of(ignored: Sequence[Path], out: Path, screen: Screen) -> None:
    """Say whose review was ignored."""
    from migrate.model.text import listed

    if ignored:
        beside = out.parent.resolve()  # a folder beside `out` is shown as `out` is, unless that is a link
        folders = [str(out.parent / path.name if path.parent == beside else path) for path in ignored]
        which = f"To carry them over, use --like {shlex.quote(folders[0])}"
        if len(folders) > 1:
            which = "To carry over those of one, name it with --like"
        warn(screen, f"edits or rules of what was reviewed are not carried over: {listed(folders)}. {which}")


@click.command(cls=Command)
@rules_option
@common_options
def rules(rules: Rules | None, screen: Screen) -> None:
    """Show the rules of the mapper, and the reason for each.

    The output is a rules file itself: with some of it, --rules changes what the mapper does.

    \b
    Example:
      chat-migrate rules
      chat-migrate rules --rules rules.toml
    """
    from migrate.map.rules_toml import default_rules

    shown = rules or default_rules()
    screen.result(shown.to_json(), lambda: shown.text)


@click.command(cls=Command)
@click.argument("mapped", type=InMapped())
@click.argument("sid", type=BindingSid())
@click.option("--service", "service_sid", type=ServiceSid(), help="Only in this service, if several list it.")
@click.option("--show-identities", is_flag=True, help="Show the identity whole, instead of masked.")
@common_options
def explain(mapped: Path, sid: str, service_sid: str | None, show_identities: bool, screen: Screen) -> None:
    """Account for one binding, by its SID.

    Says what it was, what it becomes, by which rules, and what its device must do; once for each service that lists
    it.

    \b
    Example:
      chat-migrate explain mapped BS00000001000000000000000000000000
    """
    from migrate.map.explain import explain as explain_binding
    from migrate.report.explanation import explanation_view

    found = explain_binding(mapped, sid, service_sid)
    screen.result(
        found.to_json(whole_identity=show_identities),
        lambda: explanation_view(found, whole_identity=show_identities),
    )
