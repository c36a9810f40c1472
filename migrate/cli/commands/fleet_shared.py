"""What the commands of a fleet share: the accounts, what they say, the closing view, and the command that goes on."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from migrate.cli.commands.applying import done_of
from migrate.cli.console import Screen
from migrate.cli.fleet_options import FleetAsked
from migrate.cli.paths import NAMES_ACCOUNTS
from migrate.cli.spelling import API_OPTIONS, command_of, same_options
from migrate.model.errors import MigrateError, Step

if TYPE_CHECKING:
    from migrate.fleet.fleet import Fleet, FleetOptions
    from migrate.fleet.outcome import FleetResult
    from migrate.fleet.progress import FleetProgress
    from migrate.twilio_api.connect import ApiSettings

MOST_MESSAGES = 20  # that differ, and are said while the accounts are worked on
STOP_AFTER = 3  # failed accounts, of those that are written to
_ACCOUNT = re.compile(r"AC[0-9a-f]{32}")


class Gathered:
    """Says what the accounts have to say: what many of them say is said once, and at the end how often."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._said: Counter[str] = Counter()
        self._lock = threading.Lock()

    def say(self, message: str) -> None:
        """Say it, if it is the first of its kind; those of two accounts that differ in their SIDs alone are alike."""
        kind = _ACCOUNT.sub("AC…", message)
        with self._lock:
            self._said[kind] += 1
            is_shown = self._said[kind] == 1 and len(self._said) <= MOST_MESSAGES
        if is_shown:
            self._screen.say(message)

    def close(self) -> None:
        """Say how many more there were."""
        kinds = [*self._said.items()]
        for kind, number in kinds[:MOST_MESSAGES]:
            if number > 1:
                self._screen.say(f"… and {number - 1:,} more like this: {kind}")
        if left := sum(number for _, number in kinds[MOST_MESSAGES:]):
            self._screen.say(f"… and {left:,} more messages: use --log-file FILE for all")


class Display:
    """The progress of a fleet on the screen, which makes room for a question."""

    def __init__(self, screen: Screen, progress: FleetProgress) -> None:
        self._screen = screen
        self._progress = progress
        self._shown = ExitStack()

    def __enter__(self) -> Self:
        self._shown.enter_context(self._screen.progress(self._progress))
        return self

    def __exit__(self, *_: object) -> None:
        self._shown.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take it off the screen meanwhile."""
        self._shown.close()
        try:
            yield
        finally:
            self._shown.enter_context(self._screen.progress(self._progress))


@contextmanager
def live(
    asked: FleetAsked, folder: Path | None, settings: ApiSettings, screen: Screen, *, writes: bool = False
) -> Iterator[tuple[Fleet, Display, Gathered]]:
    """The fleet whose accounts are asked for at Twilio, its progress on the screen, and what its accounts say."""
    from migrate.fleet.fleet import open_fleet
    from migrate.fleet.progress import FleetProgress
    from migrate.twilio_api.accounts import AccountChoice

    progress, said = FleetProgress(), Gathered(screen)
    told = replace(settings, say=lambda message: said.say(f"Warning: {message}"))
    choice = AccountChoice(asked.all, asked.sids, asked.file)
    options = _options(asked, writes=writes)
    opened = open_fleet(told, choice, folder, options, progress)
    with closing(said), opened as fleet, Display(screen, progress) as display:
        yield fleet, display, said


@contextmanager
def offline(asked: FleetAsked, folder: Path, screen: Screen) -> Iterator[Fleet]:
    """The fleet whose accounts its folder names, with its progress on the screen."""
    from migrate.fleet.fleet import offline_fleet
    from migrate.fleet.progress import FleetProgress

    progress = FleetProgress()
    fleet = offline_fleet(folder, () if asked.all else asked.sids, _options(asked), progress)
    with screen.progress(progress):
        yield fleet


def _options(asked: FleetAsked, *, writes: bool = False) -> FleetOptions:
    from migrate.fleet.fleet import FleetOptions

    stop_after = STOP_AFTER if asked.stop_after is None and writes else asked.stop_after
    return FleetOptions(asked.only, stop_after, asked.max_accounts)


Ended = tuple["FleetResult", MigrateError | None]


def ended(call: Callable[[], FleetResult]) -> Ended:
    """What a call has done, and the error that it has ended with all the same, such as an interruption."""
    from migrate.fleet.outcome import FleetResult

    return done_of(call, FleetResult)


def finish(done: Ended, screen: Screen, where: str, what: str = "", step: Step | None = None) -> None:
    """Show what became of the accounts; then what comes next, or the error that says which are not finished.

    `where` says where all of it is; `step` is the next, for the same accounts.
    """
    from migrate.report.fleet import fleet_view

    result, failure = done
    screen.result(result.to_json(), lambda: fleet_view(result, where))
    if failure := failure or result.failure():
        raise failure
    if step:
        screen.next(what, fleet_command(step))


def fleet_command(step: Step) -> str:
    """The command of a stage for the same accounts, asked for in the same way."""
    return command_of(step, *same_options(*NAMES_ACCOUNTS, *API_OPTIONS))


def write_reports(result: FleetResult, folder: Path) -> Path:
    """Write the report of a fleet, as HTML and as Markdown. Gives the first."""
    from migrate.report.fleet_markdown import fleet_report
    from migrate.report.html.fleet import fleet_page
    from migrate.storage.files import write_whole

    page = folder / "report.html"
    there = {account.sid for account in result.accounts if (folder / account.sid / page.name).is_file()}
    write_whole(page, fleet_page(result, there))
    write_whole(folder / "report.md", fleet_report(result, there))
    return page
