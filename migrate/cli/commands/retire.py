"""chat-migrate retire."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.commands.applying import Saying, agreed_on, done_of
from migrate.cli.console import Screen
from migrate.cli.help import Command
from migrate.cli.options import ServiceSid, api_options, common_options, rules_option
from migrate.cli.paths import InSnapshot, OutFile, OutFolder
from migrate.cli.spelling import command_of, same_command
from migrate.model.errors import Step
from migrate.retire.limits import LIMITS, MIN_READY, MOST_BINDINGS, NOTHING_DELETED
from migrate.retire.retirement import Retired, Retiring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from migrate.map.rules import Rules
    from migrate.twilio_api.client import TwilioApi
    from migrate.twilio_api.connect import ApiSettings


@click.command(cls=Command)
@click.argument("snapshot", type=InSnapshot())
@click.option("--service", "services", type=ServiceSid(), multiple=True, help="Only this service. Repeatable.")
@click.option(
    "--coverage", type=OutFolder("coverage", grows=True), default="coverage", show_default=True, metavar="DIR",
    help="The folder of `verify`; with --apply it gets the numbers of this run, too.",
)  # fmt: skip
@click.option("--apply", is_flag=True, help="Delete them. Without this nothing is ever deleted.")
@click.option("--yes", is_flag=True, help="Do not ask before they are deleted.")
@click.option(
    "--journal", type=OutFile("retire-journal", journal=True), metavar="FILE", help="The journal of what is deleted."
)
@click.option(
    "--force", "lifted", type=click.Choice(LIMITS), multiple=True, metavar="LIMIT",
    help=f"Lift this limit: {', '.join(LIMITS)}. Repeatable.",
)  # fmt: skip
@click.option(
    "--min-ready", type=click.FloatRange(0, 100), default=MIN_READY, show_default=True, metavar="PERCENT",
    help="The least of a service's bindings that must be ready.",
)  # fmt: skip
@click.option(
    "--max-bindings", type=click.IntRange(1), default=MOST_BINDINGS, show_default=True, metavar="N",
    help="The most bindings that may be deleted.",
)  # fmt: skip
@rules_option
@api_options
@common_options
def retire(
    snapshot: Path,
    services: tuple[str, ...],
    coverage: Path,
    apply: bool,
    yes: bool,
    journal: Path | None,
    lifted: tuple[str, ...],
    min_ready: float,
    max_bindings: int,
    rules: Rules | None,
    settings: ApiSettings,
    screen: Screen,
) -> None:
    """Delete Chat's bindings of devices that are ready in Conversations, so that no phone is pushed twice.

    It cannot be undone: no API makes bindings. Without --apply it only shows what it would delete. A binding is
    deleted only where everything that it gives its device is shown to be given by the device's registration in
    Conversations, just before the delete; what is unknown counts as needed, and no --force lifts that. The same
    command resumes after an interruption.

    \b
    Example:
      chat-migrate retire snapshot
      chat-migrate retire snapshot --apply
    """
    from migrate.extract.progress import ExtractProgress
    from migrate.retire.delete import retire_bindings
    from migrate.snapshot.manifest import read_manifest
    from migrate.twilio_api.connect import open_api

    if apply and settings.replay:
        raise click.UsageError("--apply and --replay exclude each other: a recording cannot be written to")
    progress = ExtractProgress(read_manifest(snapshot).rows_by_service)
    with open_api(settings) as api, ExitStack() as bars:
        bars.enter_context(screen.progress(progress))
        saying = _Saying(screen, snapshot, bars, dry=not apply)
        call = partial(
            retire_bindings, api, snapshot, coverage, services, journal=journal, dry_run=not apply, force=lifted,
            confirm=lambda found: _confirm(api, found, saying.lifted, screen, yes=yes), rules=rules,
            progress=progress, min_ready=min_ready, max_bindings=max_bindings, observer=saying,
        )  # fmt: skip
        done, failure = done_of(call, Retiring)
        if apply:
            _show(done, screen)
        if failure:
            raise failure
        _say_next(api, snapshot, done, screen)


def _say_next(api: TwilioApi, snapshot: Path, done: Retiring, screen: Screen) -> None:
    """Say what comes after: to delete what was shown, or to see who is left."""
    if done.retired is None and done.retirement.deletions:
        screen.next("delete them for good:", same_command("--apply", without=("record", "replay", "as_json")))
        return
    verify = Step("verify", {"snapshot": snapshot})
    screen.next("see who is still pending:", command_of(verify, *api.options))


def _confirm(
    api: TwilioApi, found: Retiring, lifted: Sequence[tuple[str, str]], screen: Screen, *, yes: bool
) -> bool:
    """Show what is going to be deleted, and where, and have its number typed."""
    from migrate.report.decision import Terms, retire_decision

    def view() -> Text:
        hosts = [
            ("Deletes at", api.addresses.base("chat")),
            ("Ready by", api.addresses.base("conversations")),
        ]
        return retire_decision(found.retirement, Terms(api.account_sid, hosts, lifted, "use --json without --apply"))

    number, what = found.retirement.deletions, "bindings that are to be deleted for good"
    return agreed_on(view, screen, number, what, NOTHING_DELETED, yes=yes)


class _Saying(Saying[Retiring]):
    """Ends the bars before anything else is said; what a dry run has found is its result."""

    def __init__(self, screen: Screen, snapshot: Path, bars: ExitStack, *, dry: bool) -> None:
        super().__init__(screen, partial(_view, snapshot, dry=dry))
        self._bars = bars
        self._dry = dry

    def begins(self, work: Retiring) -> None:
        """Show it."""
        self._bars.close()
        if self._dry:
            self._screen.result(work.to_json(), lambda: self._shows(work))
        else:
            super().begins(work)

    def say(self, message: str) -> None:
        """Say it beside the result."""
        self._bars.close()
        super().say(message)


def _view(snapshot: Path, found: Retiring, *, dry: bool) -> Text:
    from migrate.load.rate_limit import WRITES_PER_SECOND
    from migrate.report.retirement import retirement_view

    files = [("Journal", str(found.journal))] if found.journal.exists() or not dry else []
    seconds = found.retirement.deletions / WRITES_PER_SECOND
    return retirement_view(found.retirement, str(snapshot), seconds, files, dry_run=dry)


def _show(done: Retiring, screen: Screen) -> None:
    """Show what became of the bindings."""
    from migrate.report.retirement import retired_view

    retired = done.retired or Retired()
    files = [("Coverage", str(done.coverage)), ("Journal", str(done.journal))]
    if done.rejected:
        files.append(("Rejected", f"{done.rejected} (it holds identities: keep it as the snapshot)"))
    screen.result(done.to_json(), lambda: retired_view(retired, files))
