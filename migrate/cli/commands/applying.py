"""What load and rollback share: options, the question before anything is written, and the tale of what was."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from migrate.cli.commands.reporting import ground_now
from migrate.cli.commands.warnings import warn_of_account, warn_of_addresses
from migrate.cli.console import Screen
from migrate.cli.options import same_command
from migrate.cli.paths import OutFile
from migrate.load.applied import Outcome
from migrate.load.limits import LIMITS, MOST_SERVICES, Ground, refuse_beyond
from migrate.model.catalogue import CATALOGUE
from migrate.model.errors import MigrateError, OtherAccountError, PartlyAppliedError, RefusedError, StaleError
from migrate.runtime.interrupts import resumable

if TYPE_CHECKING:
    from migrate.load.secrets import Form
    from migrate.model.plan import Plan
    from migrate.twilio_api.client import TwilioApi
    from migrate.verify.coverage import Counts

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
            help="The journal of what is written. Name it again to go on: nothing looks for it there by itself.",
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


@contextmanager
def alone(api: TwilioApi, screen: Screen, options: ApplyOptions) -> Iterator[None]:
    """Be the only one that writes to the account, from before a journal is read or a plan made; if it is to write."""
    from migrate.load.account_lock import only_loader

    if not options.apply:
        yield
        return
    with only_loader(Path(click.get_app_dir("chat-migrate")), api.account_sid) as said:
        if said:
            screen.say(said)
        kept = "What was written, if anything was, is in the journal"
        with resumable(kept=lambda: kept, remedy=f"Go on with: {same_command(without=('record',))}"):
            yield


def refuse_nothing(total: Counts, *, kept: str, services: Collection[str] = ()) -> None:
    """Raise `RefusedError` where no binding is waited for: then nothing is shown to be ready.

    `services` are those that were named, where the total is of them alone.
    """
    from migrate.report.limit import listed

    for finding in total.findings:
        entry = CATALOGUE[finding.code]
        if not services:
            raise RefusedError(entry.meaning, kept=kept, remedy=entry.remedy)
        named = listed([*dict.fromkeys(services)])
        expired = f"All bindings of {named} had expired when the snapshot was made"
        what = expired if total.bindings else f"The snapshot has no binding of {named}"
        raise RefusedError(
            f"{what}, so there is nothing to wait for",
            kept=kept,
            remedy="Name another service with --service, or none for all of the snapshot",
        )


def refuse_by_findings(ground: Ground, options: ApplyOptions) -> None:
    """Raise `RefusedError` if findings block a plan, though it has nothing to write."""
    refuse_beyond(ground, options.lifted, ("blockers",))


def carry_out(
    api: TwilioApi,
    plan: Plan,
    options: ApplyOptions,
    screen: Screen,
    *,
    journal: Path,
    where: str,
    again: str,
    renew: str = "Make a new plan with: chat-migrate load MAPPED --plan-out ANOTHER",
    plan_id: str | None = None,
    limits: Collection[str] = tuple(LIMITS),
) -> None:
    """Show a plan, apply it, and tell what became of it.

    `where` says where the whole plan is, `again` is the command that goes on, `renew` what helps where somebody else
    has been there. `plan_id` is what the journal is known by, if not by the plan's own id. Raises `RefusedError`
    beyond the limits or without a consent, `InterruptedRunError` with what was written until then, and what says that
    something is not as planned.
    """
    from migrate.load.secrets import secret_findings, secret_forms
    from migrate.report.text import plan_view
    from migrate.twilio_api.proof import prove_account

    if not screen.json:
        screen.show(plan_view(plan, where=where, dry_run=False))
    ground = ground_now(api, plan, options.max_services)
    refuse_beyond(ground, options.lifted, limits)
    secrets = secret_forms(plan.credentials, ground.now)
    for finding in secret_findings(plan.credentials, ground.now):
        if finding not in plan.findings:  # made elsewhere, or before
            screen.say(f"{finding.code}: {finding.subject}. {CATALOGUE[finding.code].meaning}")
    prove_account(api)
    warn_of_account(api, screen)
    warn_of_addresses(api, screen)
    outcomes = _apply(api, plan, options, screen, journal, again, plan_id or plan.plan_id, secrets)
    unshown = _tell(outcomes, plan, screen, journal)
    _end(outcomes, plan, journal, again, renew)  # which matters more than what could not be shown
    if unshown:
        raise MigrateError(
            f"All of the plan is applied, and the result cannot be shown: {unshown}", kept=f"The journal is {journal}"
        )


def _tell(outcomes: Sequence[Outcome], plan: Plan, screen: Screen, journal: Path) -> str:
    """Show what became of a plan. Gives why it cannot be shown, if it cannot: by then it is done all the same."""
    from migrate.report.applied import applied_view

    told = [outcome.to_json() for outcome in outcomes]
    data = {"plan": plan.to_json(), "applied": told, "journal": str(journal)}
    try:
        screen.result(data, lambda: applied_view(outcomes, str(journal)))
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""


def _apply(
    api: TwilioApi,
    plan: Plan,
    options: ApplyOptions,
    screen: Screen,
    journal: Path,
    again: str,
    plan_id: str,
    secrets: Sequence[Form],
) -> list[Outcome]:
    from migrate.load.apply import Applier
    from migrate.load.journal import open_journal

    if not options.yes:
        ask(len(plan.objects), _what(plan))
    api.reset_budget()
    with open_journal(journal, plan, plan_id) as kept:
        if kept.finished:
            raise RefusedError(
                f"This plan was applied already: {journal}",
                kept="Nothing was written",
                remedy="To apply it once more, name another file with --journal",
            )
        applier = Applier(api, plan, kept, secrets)

        def what_is_done() -> str:
            done = sum(outcome.verdict == "applied" for outcome in applier.outcomes)
            return f"Interrupted: {done:,} of {_objects(plan)} are written"

        kept_in = f"The journal is {journal}"
        try:
            with resumable(what=what_is_done, kept=lambda: kept_in, remedy=f"Go on with: {again}"):
                return applier.run()
        except OtherAccountError as error:
            error.kept = kept_in
            raise


def _what(plan: Plan) -> str:
    if not plan.credentials:
        return "services that are to be changed"
    return f"objects that are to be written: {len(plan.credentials):,} credentials, {len(plan.changes):,} services"


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _objects(plan: Plan) -> str:
    """How many objects a plan writes, in words: `5 services`, `2 objects` where credentials are among them."""
    from migrate.report.wording import count

    return count(len(plan.objects), "object" if plan.credentials else "service")


def ask(number: int, what: str) -> None:
    """Have the number of something typed, before it is written.

    Raises `RefusedError` without a terminal, or for another answer.
    """
    kept = "Nothing was written"
    if not _is_terminal():
        raise RefusedError(
            "Not applied: there is no terminal to ask on", kept=kept, remedy="Say --yes if you mean it"
        )
    question = f"Type the number of {what} ({number:,})"
    with resumable(kept=lambda: kept, remedy="The same command asks again"):
        try:
            answer = click.prompt(question, err=True, default="", show_default=False)
        except (click.Abort, KeyboardInterrupt):
            click.echo(err=True)
            raise KeyboardInterrupt from None
    if answer.strip() not in (str(number), f"{number:,}"):
        raise RefusedError("Not applied: that was not the number", kept=kept, remedy="The same command asks again")


def _end(outcomes: list[Outcome], plan: Plan, journal: Path, again: str, renew: str) -> None:
    """Raise the error that says what is left to do, if anything is."""
    left = [outcome for outcome in outcomes if outcome.verdict not in ("applied", "already")]
    number = len(left) + len(plan.objects) - len(outcomes)
    if not number:
        return
    failed = [outcome for outcome in left if outcome.verdict != "stale"]
    first = (failed or left)[0]
    kind: type[MigrateError] = StaleError
    if failed:
        kind = PartlyAppliedError if any(outcome.verdict == "applied" for outcome in outcomes) else MigrateError
    going_on = f"Go on with: {again}"
    if first.verdict == "missing":
        going_on = f"If it was deleted: {renew}. Otherwise go on with: {again}"
    raise kind(
        f"{number:,} of {_objects(plan)} are not as planned: {first.change.subject} is {first.verdict}",
        kept=f"What was written is in {journal}",
        remedy=going_on if failed else renew,
    )
