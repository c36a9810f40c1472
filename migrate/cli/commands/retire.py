"""chat-migrate retire."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.commands.applying import Saying, ask, done_of
from migrate.cli.console import Screen
from migrate.cli.options import ServiceSid, api_options, common_options, rules_option
from migrate.cli.paths import InSnapshot, OutFile, OutFolder
from migrate.retire.limits import LIMITS, MIN_READY, MOST_BINDINGS
from migrate.retire.retirement import Retired, Retiring

if TYPE_CHECKING:
    from rich.text import Text

    from migrate.map.rules import Rules
    from migrate.twilio_api.connect import ApiSettings


@click.command()
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
    what = "bindings that are to be deleted for good"
    with open_api(settings) as api, ExitStack() as bars:
        bars.enter_context(screen.progress(progress))
        call = partial(
            retire_bindings, api, snapshot, coverage, services, journal=journal, dry_run=not apply, force=lifted,
            confirm=lambda found: yes or ask(found.retirement.deletions, what), rules=rules, progress=progress,
            min_ready=min_ready, max_bindings=max_bindings,
            observer=_Saying(screen, snapshot, bars, dry=not apply),
        )  # fmt: skip
        done, failure = done_of(call, Retiring)
        if apply:
            _show(done, screen)
        if failure:
            raise failure


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
