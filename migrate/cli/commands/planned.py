"""What `load` is given: which plan, the files that it gets, and what other plans beside it keep it from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.commands.applying import ApplyOptions
from migrate.cli.commands.reporting import write_report
from migrate.cli.console import Screen
from migrate.cli.spelling import command_of, same_command, spelled
from migrate.load.proposals import INFERRED
from migrate.model.errors import MigrateError, RefusedError, Step

if TYPE_CHECKING:
    from migrate.model.plan import Plan
    from migrate.report.wording import Refusals
    from migrate.twilio_api.client import TwilioApi

# What a saved plan makes superfluous.
NOT_AGAIN = ("mapped", "plan_file", "plan_out", "services", "only_credentials", "reports", "overwrite", "record")
# What belongs to a look, and to the journal of another plan.
NOT_TO_GO_ON = (*NOT_AGAIN, "apply", "journal", "detailed_exitcode", "replay", "as_json")


@dataclass(frozen=True)
class Given:
    """What plan is asked for, and where it is to be written."""

    mapped: Path | None
    plan_file: Path | None
    services: Sequence[str]
    only_credentials: bool
    plan_out: Path | None
    reports: Sequence[Path]

    @property
    def written(self) -> list[Path]:
        """The files that are written in any case."""
        return [*self.reports, *([self.plan_out] if self.plan_out else [])]

    def check(self) -> None:
        """Raise `click.UsageError` for options that do not go together."""
        if (self.mapped is None) == (self.plan_file is None):
            raise click.UsageError("Name either a mapped folder or --plan FILE")
        if self.plan_file and (self.services or self.only_credentials):
            raise click.UsageError("A plan is narrowed when it is made; --plan FILE is made already")
        if self.services and self.only_credentials:
            raise click.UsageError("--service and --only-credentials exclude each other")

    def plan(self, api: TwilioApi) -> Plan:
        """The plan in the file, or a new one of the folder."""
        from migrate.load.plan_file import read_plan
        from migrate.load.planning import make_plan

        if self.plan_file:
            return read_plan(self.plan_file)
        return make_plan(api, self.mapped or Path(), self.services, only_credentials=self.only_credentials)

    def refuse_edited(self, plan: Plan, journal: Path) -> None:
        """Raise `StaleError` for a plan file beside a push-config.yaml that was edited since."""
        from migrate.load.edited import refuse_edited

        if self.plan_file:
            refuse_edited(plan, self.plan_file, journal)

    def write(self, plan: Plan, refusals: Refusals, *, dry_run: bool) -> list[Path]:
        """Write the files. Gives the reports that were not there before."""
        new = [path for path in self.reports if not path.exists()]
        for path in self.written:
            write_report(plan, path, ".json" if path == self.plan_out else path.suffix, refusals, dry_run=dry_run)
        return new


@dataclass
class PlanFile:
    """The file that a plan has, or gets once it is confirmed, and its journal's."""

    path: Path
    journal: Path
    is_there: bool
    _is_ours: bool = False  # made by this call

    @classmethod
    def of(cls, given: Given, plan: Plan, applying: ApplyOptions, *, is_other: bool) -> PlanFile:
        """The file of a plan; `is_other` says that it is another than its file has."""
        from migrate.load.plan_file import journal_of, plan_beside

        if given.plan_file and not is_other:
            path = given.plan_file
        elif given.plan_file:  # it gets a file and a journal of its own
            path = given.plan_out or given.plan_file.with_suffix(f".{INFERRED}.json")
        else:
            path = given.plan_out or plan_beside((given.mapped or Path()).resolve().parent, plan)
        is_there = path in (given.plan_file, given.plan_out)
        return cls(path, applying.journal or journal_of(path), is_there)

    def refuse_done(self, plan: Plan) -> None:
        """Raise `RefusedError` where the journal says that there is nothing to apply any more."""
        from migrate.load.journal import begun_journal, refuse_done

        refuse_done(begun_journal(self.journal), plan.plan_id, self.journal)

    def is_done(self, plan: Plan) -> bool:
        """Whether the journal says that all of the plan is done."""
        from migrate.load.journal import begun_journal

        begun = begun_journal(self.journal)
        return begun is not None and begun.plan_id == plan.plan_id and begun.finished

    def keep(self, plan: Plan) -> None:
        """Write the plan, before anything of it is: what resumes it reads it there."""
        from migrate.load.plan_file import save_plan

        if not self.is_there:
            self._is_ours = not self.path.exists()
            save_plan(plan, self.path)
            self.is_there = True

    def drop_unless_begun(self) -> bool:
        """Remove a file that this call has made, and a journal without a write, where nothing was written.

        Gives whether that is so.
        """
        from migrate.load.journal import begun_journal

        begun = begun_journal(self.journal)
        is_begun = begun is not None and bool(begun.entries)
        if self._is_ours and not is_begun:
            self.path.unlink(missing_ok=True)  # what stopped it may have come before the file
            if begun and not self.journal.is_symlink():  # the account is still this process's alone
                self.journal.unlink()
            self.is_there = False
        return not is_begun


def unfinished_beside(
    api: TwilioApi, mapped: Path, plan_out: Path | None, plan: Plan, applying: ApplyOptions
) -> list[tuple[str, str]]:
    """What a dry run that saves no plan says of journals beside it; otherwise that error is raised."""
    try:
        refuse_beside(api, mapped, plan_out, plan, is_look=True)
    except MigrateError as error:
        if applying.apply or plan_out:
            raise
        return [("unfinished" if isinstance(error, RefusedError) else "no-journal", f"{error.what}. {error.remedy}")]
    return []


def refuse_beside(api: TwilioApi, mapped: Path, plan_out: Path | None, plan: Plan, *, is_look: bool = False) -> None:
    """Raise the error for a plan beside which another was begun and not finished, spelt for this command.

    A look that only reports it writes its reports all the same.
    """
    from migrate.load.plan_file import refuse_beside_unfinished

    def going_on(step: Step) -> str:
        if "plan" in step.arguments:
            return same_command("--plan", str(step.arguments["plan"]), "--apply", without=NOT_TO_GO_ON)
        ours = ("plan_out", "journal", "record")
        return same_command("--plan-out", str(step.arguments["plan_out"]), without=ours, is_done=is_look)

    with spelled(load=going_on, rollback=lambda step: command_of(step, *api.options)):
        refuse_beside_unfinished(plan_out or mapped.resolve().parent, plan)


def name_the_other_journals(plan: Plan, kept: PlanFile, screen: Screen) -> None:
    """Say whose writes a rollback of this plan would not undo."""
    from migrate.load.plan_file import partly_applied
    from migrate.model.text import listed

    if plan.objects and (others := partly_applied(kept.path.resolve().parent, kept.journal)):
        named = listed([str(other) for other in others])
        screen.say(
            f"Another plan was applied in part: {named}. To undo all, roll back that journal and {kept.journal}"
        )
