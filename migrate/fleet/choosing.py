"""Which accounts a fleet's command is for: those that are active, and of these the wave; and why not the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from migrate.fleet.folder import FleetManifest
from migrate.fleet.outcome import AccountOutcome
from migrate.fleet.running import Account
from migrate.fleet.wave import wave_of
from migrate.model.errors import InputError, RefusedError
from migrate.model.sids import is_account_sid
from migrate.model.text import listed

if TYPE_CHECKING:
    from migrate.twilio_api.accounts import AccountChoice, TwilioAccount
    from migrate.twilio_api.connect import ApiSettings

_USABLE = ("active", "unknown")  # unknown: a file alone names it, and Twilio was not asked
Chosen = tuple[list[Account], list[AccountOutcome]]


def choose(found: Sequence[TwilioAccount], choice: AccountChoice, folder: Path | None, only: str | None) -> Chosen:
    """The accounts to work on, and what became of the others.

    One that is not active is left out, and refused (4) where it was named, or has a folder already: then something
    was begun that cannot go on. Raises `UsageError` for a wave that is none.
    """
    accounts: list[Account] = []
    left: list[AccountOutcome] = []
    for one in found:
        place = folder / one.sid if folder else None
        account = Account(one.sid, one.friendly_name, one.status, place, one)
        is_named = one.sid in choice.sids or (choice.file is not None and not choice.all)
        if one.status not in _USABLE:
            left.append(_not_active(account, is_wanted=is_named or (place is not None and place.exists())))
        else:
            accounts.append(account)
    return _in_wave(accounts, left, only)


def _not_active(account: Account, *, is_wanted: bool) -> AccountOutcome:
    reason = f"it is {account.status}"
    if not is_wanted:
        return account.outcome("left-out", reason=reason)
    error = RefusedError(
        f"{account.sid} is {account.status}",
        remedy="Have it activated in the Twilio Console, or leave it out of the accounts that are named",
    )
    return account.outcome("left-out", error.exit_code, reason, error=error)


def choose_offline(manifest: FleetManifest, folder: Path, sids: Collection[str], only: str | None) -> Chosen:
    """The accounts that a fleet's folder names, or some of them; those of which there is no folder are left out.

    Raises `InputError` for an account that is not in it, and `UsageError` for a wave that is none.
    """
    if unknown := sorted({*sids} - manifest.accounts.keys()):
        raise InputError(
            f"{folder} has no account {listed(unknown)}", remedy="See which it has: chat-migrate show FLEET"
        )
    accounts: list[Account] = []
    left: list[AccountOutcome] = []
    for sid, record in sorted(manifest.accounts.items()):
        if sids and sid not in sids:
            continue
        account = Account(sid, record.friendly_name, record.status, folder / sid)
        if account.place.is_dir():
            accounts.append(account)
        else:  # one that was not in the wave yet is only left out
            is_missed = sid in sids or any(stage.state == "failed" for stage in record.stages.values())
            reason = "it has no folder: nothing was extracted"
            left.append(account.outcome("failed", 1, reason) if is_missed else account.outcome("left-out", 0, reason))
    return _in_wave(accounts, left, only)


def _in_wave(accounts: list[Account], left: list[AccountOutcome], only: str | None) -> Chosen:
    wave = wave_of([account.sid for account in accounts], only)
    others = [
        account.outcome("left-out", reason="not in this wave") for account in accounts if account.sid not in wave
    ]
    return [account for account in accounts if account.sid in wave], [*left, *others]


def main_of(settings: ApiSettings, found: Sequence[TwilioAccount]) -> str | None:
    """The main account whose credentials listed the accounts; None where a file alone names them."""
    sid = str(settings.environment.get("TWILIO_ACCOUNT_SID", "")).strip()
    is_asked = any(one.status != "unknown" for one in found)
    return sid if is_asked and is_account_sid(sid) else None
