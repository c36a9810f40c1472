"""What the commands of a fleet share: the accounts, what they say, the closing view, and the command that goes on."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from migrate.cli.commands.applying import done_of
from migrate.cli.console import Screen
from migrate.cli.fleet_options import FleetAsked
from migrate.cli.paths import NAMES_ACCOUNTS
from migrate.cli.spelling import API_OPTIONS, command_of, same_command, same_options, words_of
from migrate.model.errors import AGAIN, InterruptedRunError, MigrateError, Step, reason_of
from migrate.runtime.interrupts import resumable

if TYPE_CHECKING:
    from migrate.fleet.fleet import Fleet, FleetOptions
    from migrate.fleet.outcome import FleetResult
    from migrate.fleet.progress import FleetProgress
    from migrate.twilio_api.connect import ApiSettings

CHANGES_PENDING = 3
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
    """The progress of a fleet on the screen, which makes room for a question, and for the result."""

    def __init__(self, screen: Screen, progress: FleetProgress) -> None:
        self._screen = screen
        self._progress = progress
        self._shown = ExitStack()

    def __enter__(self) -> Self:
        self._shown.enter_context(self._screen.progress(self._progress))
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take it off the screen."""
        self._shown.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take it off the screen meanwhile."""
        self.close()
        try:
            yield
        finally:
            self._shown.enter_context(self._screen.progress(self._progress))


@dataclass(frozen=True)
class FleetCommand:
    """One command of a fleet while it runs: the fleet, its progress, what its accounts say, and how it was called."""

    fleet: Fleet
    display: Display
    said: Gathered
    screen: Screen

    def finish(self, done: Ended, where: str, what: str = "", step: Step | None = None, *, report: str = "") -> None:
        """Write the report of this name, show what became of the accounts, and then what comes next, or the error
        that says which are not finished.

        `where` says where all of it is; `step` is the next, for the same accounts. What was done is shown whatever
        cannot be written.
        """
        from migrate.fleet.outcome import worst
        from migrate.report.fleet import fleet_view

        result, failure = done
        spell_remedies(result)
        unwritten = self._report(result, report) if report and result.folder else None
        failure = failure or result.failure()
        code = worst([result.exit_code, *(error.exit_code for error in (failure, unwritten) if error)])
        self.display.close()
        self.screen.result({**result.to_json(), "exit_code": exit_code_of(code)}, lambda: fleet_view(result, where))
        if failure and unwritten:
            self.screen.say(f"Warning: {unwritten.what}")
        if error := failure or unwritten:
            error.exit_code = code
            raise error
        if step:
            self.screen.next(what, fleet_command(step, self.fleet.is_of_file_alone))

    def _report(self, result: FleetResult, name: str) -> MigrateError | None:
        """Write a report of the whole fleet, as HTML and as Markdown. Gives the error where that was not possible."""
        from migrate.report.fleet_markdown import fleet_report
        from migrate.report.html.fleet import fleet_page
        from migrate.storage.files import write_whole

        folder = result.folder or Path()
        kept = "What was done is shown, and kept in the folders of the accounts"
        remedy = ("The same command writes it again: ", AGAIN)
        try:
            whole = self.fleet.whole(result)
            there = {account.sid for account in whole.accounts if (folder / account.sid / "report.html").is_file()}
            write_whole(folder / f"{name}.html", fleet_page(whole, there))
            write_whole(folder / f"{name}.md", fleet_report(whole, there, f"{name}.html"))
        except KeyboardInterrupt:
            return InterruptedRunError(
                f"Interrupted before {folder / name}.html was written", kept=kept, remedy=remedy
            )
        except OSError as error:
            return MigrateError(
                f"{folder / name}.html cannot be written: {reason_of(error)}", kept=kept, remedy=remedy
            )
        return None


@contextmanager
def live(
    asked: FleetAsked,
    folder: Path | None,
    settings: ApiSettings,
    screen: Screen,
    *,
    writes: bool = False,
    may_be_new: bool = False,
) -> Iterator[FleetCommand]:
    """The fleet whose accounts are asked for at Twilio, its progress on the screen, and what its accounts say.

    `may_be_new` says whether its folder is made where it is not there.
    """
    from migrate.fleet.fleet import open_fleet
    from migrate.fleet.progress import FleetProgress
    from migrate.twilio_api.accounts import AccountChoice

    progress, said = FleetProgress(), Gathered(screen)
    told = replace(settings, say=lambda message: said.say(f"Warning: {message}"))
    choice = AccountChoice(asked.all, asked.sids, asked.file)
    options = _options(asked, writes=writes)
    opened = open_fleet(told, choice, folder, options, progress, may_be_new=may_be_new)
    with _resumable(folder), closing(said), opened as fleet, Display(screen, progress) as display:
        yield FleetCommand(fleet, display, said, screen)


@contextmanager
def offline(asked: FleetAsked, folder: Path, screen: Screen) -> Iterator[FleetCommand]:
    """The fleet whose accounts its folder names, with its progress on the screen."""
    from migrate.fleet.fleet import offline_fleet
    from migrate.fleet.progress import FleetProgress

    progress, said = FleetProgress(), Gathered(screen)
    with _resumable(folder):
        fleet = offline_fleet(folder, asked.sids, _options(asked), progress, every=asked.all)
        with closing(said), Display(screen, progress) as display:
            yield FleetCommand(fleet, display, said, screen)


def _resumable(folder: Path | None) -> AbstractContextManager[None]:
    """Say of an interruption what is kept, and how to resume, wherever it comes."""
    return resumable(kept=f"What was done is kept in {folder}" if folder else "", remedy=("Resume with: ", AGAIN))


def _options(asked: FleetAsked, *, writes: bool = False) -> FleetOptions:
    from migrate.fleet.fleet import FleetOptions

    stop_after = STOP_AFTER if asked.stop_after is None and writes else asked.stop_after
    return FleetOptions(asked.only, stop_after, asked.max_accounts)


Ended = tuple["FleetResult", MigrateError | None]


def ended(call: Callable[[], FleetResult]) -> Ended:
    """What a call has done, and the error that it has ended with all the same, such as an interruption."""
    from migrate.fleet.outcome import FleetResult

    return done_of(call, FleetResult)


def exit_code_of(code: int) -> int:
    """The code that the process ends with: that changes are pending is said by --detailed-exitcode alone."""
    return 0 if code == CHANGES_PENDING and not click.get_current_context().params.get("detailed_exitcode") else code


def fleet_command(step: Step, is_of_file_alone: bool = False) -> str:
    """The command of a stage for the same accounts, asked for in the same way as far as that command can be.

    What stays offline takes its accounts from the folder. Of a fleet that `is_of_file_alone`, because no main account
    was asked, what is not offline takes them from a file, which the operator names.
    """
    given = click.get_current_context().params
    known = _options_of(step)
    ours = [*NAMES_ACCOUNTS, "only"]
    is_of_file = given.get("accounts_file") is not None
    if is_of_file and "accounts_file" not in known:
        return command_of(step, "--accounts", *_same(step, "only", *API_OPTIONS))
    if is_of_file_alone and not is_of_file and "accounts_file" in known:
        return command_of(step, "--accounts-file", "FILE", *_same(step, "only", *API_OPTIONS))
    return command_of(step, *_same(step, *ours, *API_OPTIONS))


def _options_of(step: Step) -> set[str]:
    """The parameters of a step's command, by name."""
    context = click.get_current_context()
    group = context.find_root().command
    command = group.get_command(context, step.stage) if isinstance(group, click.Group) else None
    return {param.name for param in command.params if param.name} if command else set()


def _same(step: Step, *names: str) -> list[str]:
    """Those of some options that were given, that a step's command has, too, and that the step does not state."""
    known = _options_of(step)
    return same_options(*(name for name in names if name in known and name not in step.arguments))


def spell_remedies(result: FleetResult) -> None:
    """Spell what helps each account as a command of the fleet."""
    for account in result.accounts:
        if account.error and account.remedy:
            account.error.spell(partial(_step_of, account.sid, result.folder))


def _step_of(sid: str, folder: Path | None, step: Step) -> str:
    """How a step that the error of an account names is spelt: for that account, where it is a fleet's."""
    of_file = click.get_current_context().params.get("accounts_file") is not None
    these = same_options("accounts_file") if of_file else ["--account", sid]
    if not step.stage:
        again = same_command(*these, without=(*NAMES_ACCOUNTS, "only"))
        return " ".join([again, *words_of(step)])
    step = _of_fleet(folder, step) if folder else step
    if folder in step.arguments.values():
        return command_of(step, *these, *_same(step, *API_OPTIONS))
    return command_of(step)


def _of_fleet(folder: Path, step: Step) -> Step:
    """The step of a fleet's command that does what one for the folder of an account would do."""
    given = step.arguments
    if not any(isinstance(value, Path) and folder in value.parents for value in given.values()):
        return step
    if step.stage == "load":
        return Step("load", {"mapped": folder, "apply": given.get("apply")})
    if step.stage == "map":
        return Step("map", {"snapshot": folder, "overwrite": given.get("overwrite")})
    return step
