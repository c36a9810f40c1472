"""Plans on disk: written to be read again, and refused where somebody has changed one by hand."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote

from migrate.load.compare import differing, same
from migrate.load.credentials import stale_credentials
from migrate.load.journal import CredentialEntry, begun_journal
from migrate.load.planning import read_all
from migrate.model.digest import canonical_json
from migrate.model.errors import InputError, RefusedError
from migrate.model.plan import JOURNAL, Plan
from migrate.snapshot.files import write_whole
from migrate.twilio_api.api import TwilioApi


def save_plan(plan: Plan, path: Path) -> None:
    """Write plan.json, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, canonical_json(plan.to_json()))


def read_plan(path: Path) -> Plan:
    """A plan from its file. Raises `InputError` if it is none, or was changed since it was made."""
    try:
        return Plan.from_json(json.loads(path.read_bytes()))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise InputError(
            f"{path} is not a plan of this version, or was changed since it was made",
            remedy="Make it anew with: chat-migrate load MAPPED --plan-out FILE",
        ) from None


def stale_objects(api: TwilioApi, plan: Plan, journal: Path) -> list[str]:
    """The SIDs of what somebody has changed since the plan was made, and not to what it wants.

    What is as the journal, if there is one, says that it was applied was changed by us.
    """
    begun = begun_journal(journal)
    applied = [
        entry.after
        for entry in (begun.entries if begun else ())
        if isinstance(entry, CredentialEntry) and entry.status == "applied" and entry.after
    ]
    lives = read_all(api, [change.service_sid for change in plan.changes])
    stale = stale_credentials(api, plan.credentials, applied)
    for change, live in zip(plan.changes, lives, strict=True):
        wanted = {path: change.desired[path] for path in change.fields}
        if live is None or (not same(change.existing, live) and differing(wanted, live)):
            stale.append(change.service_sid)
    return stale


def journal_of(plan_file: Path) -> Path:
    """Where the journal of a saved plan is, unless another place is named."""
    return plan_file.with_suffix(JOURNAL)


def refuse_beside_unfinished(place: Path, plan: Plan) -> None:
    """Raise `RefusedError` if of a plan in a folder, or in a file, a write was begun whose end nobody has seen.

    A new plan would go on from what is live, and leave a journal behind that nobody settles. In the place of another
    plan that is not done it would have the other's journal.
    """
    journals = sorted(place.glob(f"*{JOURNAL}")) if place.is_dir() else [journal_of(place)]
    for path in journals:
        journal = begun_journal(path)
        if journal is None or journal.finished:
            continue
        is_open = any(entry.status is None for entry in journal.entries)
        if is_open or (path == journal_of(place) and journal.plan_id != plan.plan_id):
            named = path.with_name(path.name.removesuffix(JOURNAL) + ".json")
            raise _unfinished(named if place.is_dir() else place, path, is_open=is_open)


def _unfinished(file: Path, journal: Path, *, is_open: bool) -> RefusedError:
    other = (
        f"Or undo it with: chat-migrate rollback {quote(str(journal))} --apply, and move both files away"
        if is_open
        else "Or name another file with --plan-out"
    )
    return RefusedError(
        f"The plan {file} was begun to be applied, and is not done",
        kept="Nothing was written",
        remedy=f"Go on with: chat-migrate load --plan {quote(str(file))} --apply. {other}",
    )
