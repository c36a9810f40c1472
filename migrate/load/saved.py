"""Plans on disk: written to be read again, and refused where somebody has changed one by hand."""

from __future__ import annotations

import json
from pathlib import Path

from migrate.load.compare import differing, same
from migrate.load.planning import read_all
from migrate.model.digest import canonical_json
from migrate.model.errors import InputError
from migrate.model.plan import Plan
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


def stale_services(api: TwilioApi, plan: Plan) -> list[str]:
    """The services that somebody has changed since the plan was made, and not to what it wants."""
    lives = read_all(api, [change.service_sid for change in plan.changes])
    stale = []
    for change, live in zip(plan.changes, lives, strict=True):
        wanted = {path: change.desired[path] for path in change.fields}
        if live is None or (not same(change.existing, live) and differing(wanted, live)):
            stale.append(change.service_sid)
    return stale
