"""What load and rollback share: options, the question before anything is written, and the tale of what was."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from migrate.load.limits import LIMITS, MOST_SERVICES, Ground, refuse_beyond
from migrate.model.applied import Outcome
from migrate.model.errors import InterruptedRunError, MigrateError, PartlyAppliedError, RefusedError, StaleError
from migrate.options import FILE
from migrate.screen import Screen

if TYPE_CHECKING:
    from migrate.model.plan import Plan
    from migrate.twilio_api.api import TwilioApi

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class ApplyOptions:
    """How a plan is applied: without a question, with which journal, beyond which limits."""

    apply: bool
    yes: bool
    journal: Path | None
    lifted: tuple[str, ...]
    max_services: int


def apply_options(command: Command) -> Command:
    """Options of commands that can write to Twilio; the command gets `applying`."""

    @click.option("--apply", is_flag=True, help="Write it to Twilio. Without this nothing is ever written.")
    @click.option("--yes", is_flag=True, help="Do not ask before it is applied.")
    @click.option("--journal", type=FILE, metavar="FILE", help="The journal of what is written.")
    @click.option(
        "--force", "lifted", type=click.Choice(list(LIMITS)), multiple=True, help="Lift this limit. Repeatable."
    )
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


def carry_out(
    api: TwilioApi,
    plan: Plan,
    options: ApplyOptions,
    screen: Screen,
    *,
    journal: Path,
    again: str,
    limits: Collection[str] = tuple(LIMITS),
) -> None:
    """Show a plan, apply it, and tell what became of it. `again` is the command that goes on.

    Raises `RefusedError` beyond the limits or without a consent, `InterruptedRunError` with what was written until
    then, and what says that something is not as planned.
    """
    from migrate.report.applied import applied_view
    from migrate.report.text import plan_view

    if not screen.json:
        screen.show(plan_view(plan, dry_run=False))
    now = api.server_time or datetime.now(UTC)
    ground = Ground(plan, api.account_sid, api.addresses.base("conversations"), now, options.max_services)
    refuse_beyond(ground, options.lifted, limits)
    outcomes = _apply(api, plan, options, screen, journal, again)
    told = [outcome.to_json() for outcome in outcomes]
    data = {"plan": plan.to_json(), "applied": told, "journal": str(journal)}
    screen.result(data, lambda: applied_view(outcomes, str(journal)))
    _end(outcomes, journal, again)


def _apply(
    api: TwilioApi, plan: Plan, options: ApplyOptions, screen: Screen, journal: Path, again: str
) -> list[Outcome]:
    from migrate.load.apply import Applier
    from migrate.load.exclusion import only_loader
    from migrate.load.journal import open_journal

    with only_loader(Path(click.get_app_dir("chat-migrate")), api.account_sid) as said:
        if said:
            screen.say(said)
        kept = open_journal(journal, plan)
        if kept.finished:
            raise RefusedError(
                f"This plan was applied already: {journal}",
                kept="Nothing was written",
                remedy="Look at what is live with a plan made anew: chat-migrate load MAPPED",
            )
        if not options.yes:
            _ask(len(plan.changes))
        try:
            return Applier(api, plan, kept).run()
        except KeyboardInterrupt:
            done = sum(entry.status == "applied" for entry in kept.entries)
            raise InterruptedRunError(
                f"Interrupted: {done} of {len(plan.changes)} services are written",
                kept=f"The journal is {journal}",
                remedy=f"Go on with: {again}",
            ) from None


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _ask(number: int) -> None:
    """Have the number of services typed. Raises `RefusedError` without a terminal, or for another answer."""
    if not _is_terminal():
        raise RefusedError(
            "Not applied: there is no terminal to ask on",
            kept="Nothing was written",
            remedy="Say --yes if you mean it",
        )
    answer = click.prompt(f"Type the number of services that are to be changed ({number})", err=True, default="")
    if answer.strip() != str(number):
        raise RefusedError("Not applied: that was not the number", kept="Nothing was written")


def _end(outcomes: list[Outcome], journal: Path, again: str) -> None:
    """Raise the error that says what is left to do, if anything is."""
    left = [outcome for outcome in outcomes if outcome.verdict not in ("applied", "already")]
    if not left:
        return
    failed = [outcome for outcome in left if outcome.verdict != "stale"]
    first = (failed or left)[0]
    kind: type[MigrateError] = StaleError
    if failed:
        kind = PartlyAppliedError if len(left) < len(outcomes) else MigrateError
    raise kind(
        f"{len(left)} of {len(outcomes)} services are not as planned: {first.change.service_sid} is {first.verdict}",
        kept=f"What was written is in {journal}",
        remedy=f"Go on with: {again}" if failed else "Make a new plan with: chat-migrate load MAPPED",
    )
