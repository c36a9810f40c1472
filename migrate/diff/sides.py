"""What is given to be compared: of which kind it is, and whether the two belong beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from migrate.diff.difference import Kind, Side
from migrate.map.mapped_folder import CONFIG, SUMMARY
from migrate.model.address import is_twilios, place
from migrate.model.errors import InputError, RefusedError, UsageError
from migrate.snapshot.manifest import NAME as MANIFEST
from migrate.twilio_api.login import is_one_account

KINDS: Mapping[Kind, str] = {"snapshot": "a snapshot", "mapped": "a mapped folder", "plan": "a plan"}
_TAKEN = "Name two snapshots, two mapped folders, or two plans"
_OF_A_RUN = ("snapshot", "mapped", "plan.json")  # what `run --out` puts beside each other


def kind_of(path: Path) -> Kind:
    """What a path is: a file is taken for a plan, which reading it confirms. Raises `InputError` if it is neither."""
    if not path.exists():
        raise InputError(f"There is no {path}", remedy=_TAKEN)
    if not path.is_dir():
        return "plan"
    is_snapshot = (path / MANIFEST).exists()
    is_mapped = (path / SUMMARY).exists() or (path / CONFIG).exists()
    if is_snapshot and is_mapped:
        raise InputError(f"{path} has the files of a snapshot and of a mapped folder", remedy=_TAKEN)
    if is_snapshot or is_mapped:
        return "snapshot" if is_snapshot else "mapped"
    within = [str(path / name) for name in _OF_A_RUN if (path / name).exists()]
    remedy = f"Name one that is in it: {', '.join(within)}" if within else _TAKEN
    raise InputError(f"{path} is not a snapshot, a mapped folder or a plan", remedy=remedy)


def one_kind(before: Path, after: Path) -> Kind:
    """The kind that both are of. Raises `UsageError` for two kinds, `InputError` for any other."""
    then, now = kind_of(before), kind_of(after)
    if then != now:
        raise UsageError(f"{before} is {KINDS[then]}, and {after} is {KINDS[now]}", remedy=_TAKEN)
    return then


def refuse_strangers(before: Side, after: Side) -> None:
    """Raise `RefusedError` for two accounts, and where one side is Twilio's and the other is not.

    What differs then is everything, and says nothing of what has changed.
    """
    if not is_one_account(before.account_sid, after.account_sid):
        raise RefusedError(
            f"{before.path} is of account {before.account_sid}, and {after.path} of {after.account_sid}",
            remedy="Compare two of one account",
        )
    for api, then in before.addresses.items():
        now = after.addresses.get(api, "")
        if "://" in then and "://" in now and is_twilios(then) != is_twilios(now):
            raise RefusedError(
                f"{before.path} was made from {then}, and {after.path} from {now}: one is Twilio's, the other not",
                remedy="Compare two that were made from the same address",
            )


def notes_on(before: Side, after: Side) -> list[str]:
    """What is to be known of two sides before what differs is read: their times, and where they were made."""
    notes: list[str] = []
    if before.as_of and after.as_of and datetime.fromisoformat(before.as_of) > datetime.fromisoformat(after.as_of):
        notes.append(f"{before.path} is later than {after.path}: new and gone are the other way round")
    for api, then in before.addresses.items():
        now = after.addresses.get(api, then)
        if place(then) != place(now):
            notes.append(f"They were made from two addresses of {api.capitalize()}: {place(then)}, {place(now)}")
    return notes


def side(path: Path, read: Any, digest: str, addresses: Mapping[str, str]) -> Side:
    """One side, from what was read of it, which has an account and a time."""
    return Side(str(path), read.account_sid, read.as_of, digest, dict(addresses))
