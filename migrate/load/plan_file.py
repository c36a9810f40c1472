"""Plans on disk: written to be read again, and refused where somebody has changed one by hand."""

from __future__ import annotations

from pathlib import Path

from migrate.load.compare import differing, same
from migrate.load.credentials import stale_credentials
from migrate.load.journal import CredentialEntry, Journal, begun_journal
from migrate.load.planning import read_all
from migrate.model.digest import canonical_json
from migrate.model.documents import DocumentError, load
from migrate.model.errors import InputError, RefusedError, Step
from migrate.model.plan import JOURNAL, ROLLBACK, Plan
from migrate.model.push_config import unreadable_of
from migrate.storage.files import write_whole
from migrate.twilio_api.client import TwilioApi


def save_plan(plan: Plan, path: Path) -> None:
    """Write plan.json, whole or not at all."""
    write_whole(path, canonical_json(plan.to_json()))


def read_plan(path: Path) -> Plan:
    """A plan from its file. Raises `InputError` for another file, or one that was changed since it was made."""
    try:
        return Plan.from_json(load(path.read_bytes()))
    except DocumentError as error:
        raise InputError(
            f"{path} is not a plan of this version, or was changed since it was made: {error}",
            remedy="Make it again with: chat-migrate load MAPPED --plan-out FILE",
        ) from None


def stale_objects(api: TwilioApi, plan: Plan, journal: Path) -> list[str]:
    """The SIDs of what somebody has changed since the plan was made, and not to what it wants.

    What is as the plan's journal, if there is one, says that it was applied was changed by us.
    """
    begun = begun_journal(journal)
    if begun and begun.plan_id != plan.plan_id:
        begun = None
    applied = [
        entry.after
        for entry in (begun.entries if begun else ())
        if isinstance(entry, CredentialEntry) and entry.status == "applied" and entry.after
    ]
    lives = read_all(api, [change.service_sid for change in plan.changes])
    stale = stale_credentials(api, plan.credentials, applied)
    for change, live in zip(plan.changes, lives, strict=True):
        wanted = {path: change.desired[path] for path in change.fields}
        is_unread = live is not None and set(wanted) & unreadable_of(live)
        if live is None or is_unread or (not same(change.existing, live) and differing(wanted, live)):
            stale.append(change.service_sid)
    return stale


def journal_of(plan_file: Path) -> Path:
    """Where the journal of a saved plan is, unless another place is named."""
    return plan_file.with_suffix(JOURNAL)


def plan_beside(folder: Path, plan: Plan) -> Path:
    """Where a plan without a named file is saved in a folder, to be applied.

    One that was applied before, and undone since, gets another name: its journal has what was written then.
    """
    name, number = f"plan-{plan.plan_id[7:19]}", 1
    while True:
        path = folder / (f"{name}.json" if number == 1 else f"{name}-{number}.json")
        begun = begun_journal(journal_of(path))
        if begun is None or not (begun.finished or any(entry.status == "applied" for entry in begun.entries)):
            return path
        number += 1


def free_plan(path: Path) -> Path:
    """The first file named as this one, or as it with a number, that is not there, and has no journal."""
    plain, number = path.with_suffix(""), 1
    while True:
        found = path if number == 1 else plain.with_name(f"{plain.name}-{number}{path.suffix}")
        if not found.exists() and not journal_of(found).exists():
            return found
        number += 1


def plan_of(journal: Path) -> Path:
    """The plan that a journal is beside, by its name."""
    stem = journal.name.removesuffix(JOURNAL)
    return journal.with_name(f"{stem}.json") if stem != journal.name else journal.with_suffix(".json")


def partly_applied(folder: Path, journal: Path) -> list[Path]:
    """The journals in a folder, but for one, of plans that were applied in part, and not undone."""
    return [path for path in journals_of(folder) if path.resolve() != journal.resolve() and _is_partly_applied(path)]


def _is_partly_applied(path: Path) -> bool:
    journal = _readable(path)
    if journal is None or journal.finished or _is_undone(path):
        return False
    return any(entry.status in ("applied", "failed") for entry in journal.entries)


def _is_undone(journal: Path) -> bool:
    undone = _readable(journal.with_suffix(ROLLBACK))
    return undone is not None and undone.finished


def _readable(path: Path) -> Journal | None:
    try:
        return begun_journal(path)
    except InputError:
        return None


def journals_of(folder: Path) -> list[Path]:
    """The journals in a folder, in the order of their names."""
    return sorted(path for path in folder.glob(f"*{JOURNAL}") if path.is_file())


def refuse_beside_unfinished(place: Path, plan: Plan) -> None:
    """Raise `RefusedError` if of a plan in a folder, or in a file, a write was begun whose end was not seen.

    A new plan would start from what is live, and leave an unsettled journal behind. In the place of another
    plan that was begun it would have the other's journal. Raises `InputError` for a file that has a journal's name
    and is none.
    """
    for path in journals_of(place) if place.is_dir() else [journal_of(place)]:
        try:
            journal = begun_journal(path)
        except InputError as error:
            remedy = "Move that file away: beside a plan, what has such a name is taken for a journal"
            raise InputError(error.what, kept="Nothing was written", remedy=remedy) from None
        if journal is None:
            continue
        in_place = path == journal_of(place)
        if journal.finished:
            if in_place and plan.objects:
                raise RefusedError(
                    f"The plan {place} was applied, and {path} has what it wrote",
                    kept="Nothing was written",
                    remedy="Name another file with --plan-out",
                )
            continue
        is_open = any(entry.status is None for entry in journal.entries)
        if is_open or (in_place and journal.plan_id != plan.plan_id):
            file = place if in_place else plan_of(path)
            raise _unfinished(file, path, is_open=is_open)


def _unfinished(file: Path, journal: Path, *, is_open: bool) -> RefusedError:
    undo = Step("rollback", {"journal": journal, "apply": True})
    other: tuple[str | Step, ...] = (". Or undo it with: ", undo, ", and move both files away")
    if not is_open:
        other = (". Or make the new plan beside it: ", Step("load", {"plan_out": free_plan(file)}))
    return RefusedError(
        f"The plan {file} is partly applied",
        kept="Nothing was written",
        remedy=("Resume with: ", Step("load", {"plan": file, "apply": True}), *other),
    )
