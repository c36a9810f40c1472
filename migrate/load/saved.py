"""Plans on disk: written to be read again, and refused where somebody has changed one by hand."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote

from migrate.load.compare import differing, same
from migrate.load.credentials import stale_credentials
from migrate.load.journal import CredentialEntry, read_journal
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

    What the journal says was applied, if there is one, has changed by us.
    """
    done = {
        entry.after.sid
        for entry in (read_journal(journal).entries if journal.exists() else ())
        if isinstance(entry, CredentialEntry) and entry.status == "applied" and entry.after
    }
    lives = read_all(api, [change.service_sid for change in plan.changes])
    stale = [sid for sid in stale_credentials(api, plan.credentials) if sid not in done]
    for change, live in zip(plan.changes, lives, strict=True):
        wanted = {path: change.desired[path] for path in change.fields}
        if live is None or (not same(change.existing, live) and differing(wanted, live)):
            stale.append(change.service_sid)
    return stale


def journal_of(plan_file: Path) -> Path:
    """Where the journal of a saved plan is, unless another place is named."""
    return plan_file.with_suffix(JOURNAL)


def refuse_beside_unfinished(place: Path) -> None:
    """Raise `RefusedError` if of a plan in a folder, or in a file, a write was begun whose end nobody has seen.

    A new plan would go on from what is live, and leave a journal behind that nobody settles.
    """
    journals = sorted(place.glob(f"*{JOURNAL}")) if place.is_dir() else [journal_of(place)]
    for journal in journals:
        path = journal.with_name(journal.name.removesuffix(JOURNAL) + ".json")
        if journal.exists() and any(entry.status is None for entry in read_journal(journal).entries):
            raise RefusedError(
                f"The plan {path} was begun to be applied, and is not done",
                kept="Nothing was written",
                remedy=f"Go on with: chat-migrate load --plan {quote(str(path))} --apply. "
                f"Or undo it with: chat-migrate rollback {quote(str(journal))} --apply, and move both files away",
            )
