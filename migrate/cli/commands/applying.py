"""What load and rollback share: options, the question before anything is written, and the view of what was."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from migrate.cli.console import Screen
from migrate.cli.paths import OutFile
from migrate.load.applied import Applied
from migrate.load.limits import LIMITS, MOST_SERVICES
from migrate.load.writing import NOTHING_WRITTEN, Observer
from migrate.model.errors import MigrateError, RefusedError, reason_of
from migrate.runtime.interrupts import resumable

if TYPE_CHECKING:
    from rich.text import Text

    from migrate.model.plan import Plan
    from migrate.twilio_api.client import TwilioApi

APPLYING = ("apply", "yes", "lifted", "max_services")  # how one plan is applied, and how many are
T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class ApplyOptions:
    """How a plan is applied: without a question, with which journal, beyond which limits."""

    apply: bool
    yes: bool
    journal: Path | None
    lifted: tuple[str, ...]
    max_services: int


def apply_options(
    limits: Sequence[str] = tuple(LIMITS), also: Mapping[str, str] = MappingProxyType({})
) -> Callable[[Command], Command]:
    """Options of commands that can write to Twilio, within these limits; the command gets `applying`.

    `also` is what `--force` takes beside the limits, with what each means.
    """
    others = "".join(f" Or {name}: {meaning}." for name, meaning in also.items())

    def decorated(command: Command) -> Command:
        @click.option("--apply", is_flag=True, help="Write it to Twilio. Without this nothing is ever written.")
        @click.option("--yes", is_flag=True, help="Do not ask before it is applied.")
        @click.option(
            "--journal", type=OutFile(journal=True), metavar="FILE",
            help="The journal of what is written. Name it again to resume: it is not looked for there.",
        )  # fmt: skip
        @click.option(
            "--force", "lifted", type=click.Choice((*limits, *also)), multiple=True, metavar="LIMIT",
            help=f"Lift this limit: {', '.join(limits)}.{others} Repeatable.",
        )  # fmt: skip
        @click.option(
            "--max-services", type=click.IntRange(1), default=MOST_SERVICES, show_default=True, metavar="N",
            help="The most services that may be changed.",
        )  # fmt: skip
        @functools.wraps(command)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            names = ("apply", "yes", "journal", "lifted", "max_services")
            options = ApplyOptions(**{name: kwargs.pop(name) for name in names})
            if options.apply and kwargs["replay"]:
                raise click.UsageError("--apply and --replay exclude each other: a recording cannot be written to")
            return command(*args, applying=options, **kwargs)

        return wrapped  # type: ignore[return-value]

    return decorated


class Saying(Observer[T]):
    """Says on the screen what is to be known before something is written, and `shows` what is going to be done."""

    def __init__(self, screen: Screen, shows: Callable[[T], Text]) -> None:
        self._screen = screen
        self._shows = shows
        self.lifted: tuple[tuple[str, str], ...] = ()

    def begins(self, work: T) -> None:
        """Show it, but for a program that reads the result alone."""
        if not self._screen.json:
            self._screen.show(self._shows(work))

    def lifts(self, limits: Sequence[tuple[str, str]]) -> None:
        """Keep them for the question."""
        self.lifted = (*self.lifted, *limits)

    def say(self, message: str) -> None:
        """Say it beside the result."""
        self._screen.say(message)


@dataclass(frozen=True)
class PlanTerms:
    """How the command line has a plan applied: `where` its whole is, in which words, and who hears of a consent.

    `explain` shows its findings in full; `lifted` is what was lifted beside the limits that it is judged by.
    """

    where: str
    heading: str = "To be applied"
    explain: bool = False
    lifted: tuple[tuple[str, str], ...] = ()
    agreed: Callable[[Plan], None] = lambda plan: None


def terms_of(api: TwilioApi, options: ApplyOptions, screen: Screen, terms: PlanTerms) -> dict[str, Any]:
    """How the library is to apply a plan: beyond these limits, when the operator says so, and heard on the screen."""

    def view(plan: Plan) -> Text:
        from migrate.report.text import changes_view, findings_view, proposals_view

        text = changes_view(plan, terms.where)
        if terms.explain or screen.verbose:
            text.append(findings_view(plan.findings, plan.services, terms.where))
            text.append(proposals_view(plan.proposals, plan.services, terms.where))
        return text

    def confirmed(plan: Plan) -> bool:
        from migrate.report.decision import Terms, plan_decision

        def view() -> Text:
            hosts = [("Conversations", api.addresses.base("conversations"))]
            lifted = (*saying.lifted, *terms.lifted)
            return plan_decision(plan, Terms(api.account_sid, hosts, lifted, terms.where), terms.heading)

        return agreed_on(view, screen, len(plan.objects), _what(plan), yes=options.yes)

    def confirm(plan: Plan) -> bool:
        agreed = confirmed(plan)
        if agreed:
            terms.agreed(plan)
        return agreed

    saying = Saying(screen, view)
    return {
        "force": options.lifted,
        "confirm": confirm,
        "max_services": options.max_services,
        "observer": saying,
    }


def done_of(call: Callable[[], T], kind: type[T]) -> tuple[T, MigrateError | None]:
    """What a call has done, which is of a kind, and the error that it has ended with all the same, if it has."""
    try:
        return call(), None
    except MigrateError as error:
        if not isinstance(error.result, kind):
            raise
        return error.result, error


def show_applied(
    call: Callable[[], Applied], screen: Screen, nothing: Callable[[Plan], None] = lambda plan: None
) -> Applied:
    """Apply, and show what became of it, also where not all of it is as planned; `nothing` shows a plan that has
    nothing to write. Raises what the call raises.
    """
    applied, failure = done_of(call, Applied)
    unshown = _show(applied, screen) if applied.outcomes else ""
    if not applied.plan.objects:
        nothing(applied.plan)
    if failure:  # which matters more than what could not be shown
        raise failure
    if unshown:
        raise MigrateError(
            f"All of the plan is applied, and the result cannot be shown: {unshown}",
            kept=f"The journal is {applied.journal}",
        )
    return applied


def _show(applied: Applied, screen: Screen) -> str:
    """Show what became of a plan. Gives why it cannot be shown, if it cannot: by then it is done all the same."""
    from migrate.report.applied import applied_view

    try:
        screen.result(applied.to_json(), lambda: applied_view(applied.outcomes, str(applied.journal)))
    except OSError as error:
        return reason_of(error)
    return ""


def _what(plan: Plan) -> str:
    if not plan.credentials:
        return "services that are to be changed"
    return f"objects that are to be written: {len(plan.credentials):,} credentials, {len(plan.changes):,} services"


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def agreed_on(
    view: Callable[[], Text],
    screen: Screen,
    number: int | Sequence[int],
    what: str,
    kept: str = NOTHING_WRITTEN,
    *,
    yes: bool,
) -> bool:
    """Show what is decided, and have its number typed, if not `yes`. Raises what `ask` raises.

    It is shown where the question is: then it is seen wherever the result goes.
    """
    if yes:
        if not screen.json:  # which a program reads, and nothing else
            screen.show(view())
        return True
    refuse_without_terminal(kept)
    screen.show(view(), beside=True)
    return ask(number, what, kept)


def refuse_without_terminal(kept: str) -> None:
    """Raise `RefusedError` where nothing can be asked; `kept` is what is so then."""
    if not _is_terminal():
        raise RefusedError(
            "Not applied: there is no terminal to ask on", kept=kept, remedy="Pass --yes to apply without a prompt"
        )


def ask(number: int | Sequence[int], what: str, kept: str = NOTHING_WRITTEN) -> bool:
    """Have the number of something typed, or several, before it is written; True once it was. `kept` is what is so
    without it.

    Raises `RefusedError` without a terminal, or for another answer.
    """
    refuse_without_terminal(kept)
    wanted = [number] if isinstance(number, int) else [*number]
    question = f"Type the number of {what} ({' '.join(f'{one:,}' for one in wanted)})"
    with resumable(kept=kept, remedy="The same command asks again"):
        try:
            answer = click.prompt(question, err=True, default="", show_default=False)
        except (click.Abort, KeyboardInterrupt):
            click.echo(err=True)
            raise KeyboardInterrupt from None
    typed = answer.split()
    if len(typed) != len(wanted) or any(
        word not in (str(one), f"{one:,}") for word, one in zip(typed, wanted, strict=True)
    ):
        was = "that was not the number" if len(wanted) == 1 else "those were not the numbers"
        raise RefusedError(f"Not applied: {was}", kept=kept, remedy="The same command asks again")
    return True
