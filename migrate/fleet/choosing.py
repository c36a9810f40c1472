"""Which accounts a fleet's command is for: those that are active, and of these the wave; and why not the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from migrate.fleet.folder import NAME, AccountRecord, FleetManifest, read_fleet
from migrate.fleet.outcome import AccountOutcome
from migrate.fleet.running import Account
from migrate.fleet.wave import wave_of
from migrate.model.errors import InputError, RefusedError
from migrate.model.sids import is_account_sid
from migrate.model.text import listed

if TYPE_CHECKING:
    from migrate.twilio_api.accounts import AccountChoice, TwilioAccount
    from migrate.twilio_api.connect import ApiSettings

NOT_IN_WAVE = "not in this wave"
USABLE = ("active", "unknown")  # unknown: a file alone names it, and Twilio was not asked
Chosen = tuple[list[Account], list[AccountOutcome]]


def choose(found: Sequence[TwilioAccount], choice: AccountChoice, folder: Path | None, only: str | None) -> Chosen:
    """The accounts to work on, and what became of the others.

    One that is not active is left out, and refused (4) where it was named, or has a folder already: then something
    was begun that cannot go on. So is one that the folder has and Twilio does not list, where all are asked for.
    Raises `UsageError` for a wave that is none, and `InputError` for a damaged fleet.json.
    """
    accounts: list[Account] = []
    left: list[AccountOutcome] = []
    for one in found:
        place = folder / one.sid if folder else None
        is_named = one.sid in choice.sids or (choice.file is not None and not choice.all)
        account = Account(one.sid, one.friendly_name, one.status, place, one, is_named)
        if one.status not in USABLE:
            left.append(_not_active(account, is_wanted=is_named or (place is not None and place.exists())))
        else:
            accounts.append(account)
    if choice.all and folder and (folder / NAME).exists():
        left += _not_listed({one.sid for one in found}, folder)
    return _in_wave(accounts, left, only)


def _not_listed(listed_now: Collection[str], folder: Path) -> list[AccountOutcome]:
    """The accounts that a fleet's folder holds work of, and that are not among those that Twilio lists."""
    manifest, left = read_fleet(folder), []
    for sid, record in manifest.accounts.items():
        if sid in listed_now or not (folder / sid).is_dir():
            continue
        error = RefusedError(
            f"{sid} is not among the subaccounts that Twilio lists",
            remedy=f"Name it as well: --accounts --account {sid}"
            if sid == manifest.main_account_sid
            else "Look for it in the Twilio Console; one of another main account goes into --accounts-file",
        )
        account = Account(sid, record.friendly_name, record.status, folder / sid)
        left.append(account.outcome("left-out", error.exit_code, "Twilio does not list it", error=error))
    return left


def without_folder(account: Account, record: AccountRecord | None) -> AccountOutcome:
    """What becomes of an account without a folder in a stage that needs one: it has failed where it should have one,
    because it is named or its extract has failed; it is refused where it had one; and it is left out where it was in
    no wave yet.
    """
    stages = record.stages.values() if record else ()
    if any(one.state in ("done", "earlier") for one in stages):
        error = RefusedError(
            f"The folder of {account.sid} is gone, and fleet.json says that it was worked on",
            remedy=f"Put it back into the fleet's folder as {account.sid}",
        )
        return account.outcome("failed", error.exit_code, error.what, error=error)
    is_missed = account.is_named or any(one.state == "failed" for one in stages)
    reason = "it has no folder: nothing was extracted"
    return account.outcome("failed", 1, reason) if is_missed else account.outcome("left-out", 0, reason)


def _not_active(account: Account, *, is_wanted: bool) -> AccountOutcome:
    reason = f"it is {account.status}"
    if not is_wanted:
        return account.outcome("left-out", reason=reason)
    error = RefusedError(
        f"{account.sid} is {account.status}",
        remedy="Have it activated in the Twilio Console, or leave it out of the accounts that are named",
    )
    return account.outcome("left-out", error.exit_code, reason, error=error)


def choose_offline(
    manifest: FleetManifest, folder: Path, sids: Collection[str], only: str | None, *, every: bool = False
) -> Chosen:
    """The accounts that a fleet's folder names, or those `sids`; those of which there is no folder are left out.

    Raises `InputError` for an account that is not in it, and `UsageError` for a wave that is none.
    """
    if unknown := sorted({*sids} - manifest.accounts.keys()):
        raise InputError(
            f"{folder} has no account {listed(unknown)}", remedy="See which it has: chat-migrate show FLEET"
        )
    accounts: list[Account] = []
    left: list[AccountOutcome] = []
    for sid, record in sorted(manifest.accounts.items()):
        if sids and sid not in sids and not every:
            continue
        account = Account(sid, record.friendly_name, record.status, folder / sid, is_named=sid in sids)
        if account.place.is_dir():
            accounts.append(account)
        else:
            left.append(without_folder(account, record))
    return _in_wave(accounts, left, only)


def _in_wave(accounts: list[Account], left: list[AccountOutcome], only: str | None) -> Chosen:
    wave = wave_of([account.sid for account in accounts], only)
    others = [account.outcome("left-out", reason=NOT_IN_WAVE) for account in accounts if account.sid not in wave]
    return [account for account in accounts if account.sid in wave], [*left, *others]


def main_of(settings: ApiSettings, found: Sequence[TwilioAccount]) -> str | None:
    """The main account whose credentials listed the accounts; None where a file alone names them."""
    sid = str(settings.environment.get("TWILIO_ACCOUNT_SID", "")).strip()
    is_asked = any(one.status != "unknown" for one in found)
    return sid if is_asked and is_account_sid(sid) else None
