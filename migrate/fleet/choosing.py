"""Which accounts a fleet's command is for: those that are active, and of these the wave; and why not the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from migrate.fleet.folder import NAME, AccountRecord, FleetManifest, read_fleet
from migrate.fleet.outcome import AccountOutcome
from migrate.fleet.running import Account
from migrate.fleet.wave import wave_of
from migrate.model.errors import InputError, RefusedError, Step
from migrate.model.sids import is_account_sid
from migrate.model.text import listed

if TYPE_CHECKING:
    from migrate.twilio_api.accounts import AccountChoice, TwilioAccount
    from migrate.twilio_api.connect import ApiSettings

NOT_IN_WAVE = "not in this wave"
NOT_LISTED = "not listed"  # the status of an account that Twilio does not list
USABLE = ("active", "unknown")  # unknown: a file alone names it, and Twilio was not asked
Chosen = tuple[list[Account], list[AccountOutcome]]


def choose(found: Sequence[TwilioAccount], choice: AccountChoice, folder: Path | None, only: str | None) -> Chosen:
    """The accounts to work on, and what became of the others.

    One that is not active is left out, and refused (4) where it was named, has a folder, or was written to: then
    something was begun that cannot go on. So is one that the fleet has and Twilio does not list, where all are asked
    for. Raises `UsageError` for an invalid wave, and `InputError` for a damaged fleet.json.
    """
    manifest = read_fleet(folder) if folder and (folder / NAME).exists() else None
    known = manifest.accounts if manifest else {}
    accounts: list[Account] = []
    left: list[AccountOutcome] = []
    for one in found:
        place = folder / one.sid if folder else None
        is_named = one.sid in choice.sids or (choice.file is not None and not choice.all)
        account = Account(one.sid, one.friendly_name, one.status, place, one, is_named)
        if one.status in USABLE:
            accounts.append(account)
        else:
            left.append(_not_active(account, known.get(one.sid)))
    if choice.all and folder and manifest:
        main, gone = manifest.main_account_sid, known.keys() - {one.sid for one in found}
        left += [_not_listed(sid, known[sid], folder / sid, is_main=sid == main) for sid in sorted(gone)]
    return _in_wave(accounts, left, only)


def _not_listed(sid: str, record: AccountRecord, place: Path, *, is_main: bool) -> AccountOutcome:
    """What becomes of an account of the fleet that is not among those that Twilio lists."""
    status = record.status if is_main else NOT_LISTED
    account = Account(sid, record.friendly_name, status, place)
    reason = "it is the main account, and not named" if is_main else "Twilio does not list it"
    if not (record.written or place.is_dir()):
        return account.outcome("left-out", reason=reason)
    error = RefusedError(
        f"{sid}: {reason}",
        remedy=f"Name it as well: --accounts --account {sid}"
        if is_main
        else f"Look for it in the Twilio Console. {_for_good(record)}",
    )
    return account.outcome("left-out", error.exit_code, reason, error=error)


def _for_good(record: AccountRecord | None) -> str:
    """How an account is left out for good: only where nothing that was written is forgotten by it."""
    if record is not None and record.written:
        return "Settings of it are written, and its folder has the journal"
    return "To leave it out for good, move its folder out of the fleet's"


def without_folder(account: Account, record: AccountRecord | None) -> AccountOutcome:
    """What becomes of an account without a folder in a stage that needs one: it has failed where it should have one,
    because it is named or its extract has failed; it is refused where it had one; and it is left out where it was in
    no wave yet, or is not active and was not written to.
    """
    fleet = account.place.parent
    is_usable = account.status in USABLE
    if record is not None and record.is_worked_on and (is_usable or record.written):
        error = RefusedError(
            f"The folder of {account.sid} is gone, and fleet.json says that it was worked on",
            remedy=f"Put it back into {fleet} as {account.sid}",
        )
        return account.outcome("failed", error.exit_code, error.what, error=error)
    has_failed = record is not None and any(one.state == "failed" for one in record.stages.values())
    reason = "it has no folder: nothing was extracted"
    if not (account.is_named or (has_failed and is_usable)):
        return account.outcome("left-out", 0, reason)
    failure = InputError(reason, remedy=("Extract it with: ", Step("run", {"out": fleet})))
    return account.outcome("failed", failure.exit_code, reason, error=failure)


def _not_active(account: Account, record: AccountRecord | None) -> AccountOutcome:
    reason = f"it is {account.status}"
    has_folder = account.folder is not None and account.folder.exists()
    if not (account.is_named or has_folder or (record is not None and record.written)):
        return account.outcome("left-out", reason=reason)
    error = RefusedError(
        f"{account.sid} is {account.status}",
        remedy=f"Have it activated in the Twilio Console. {_for_good(record)}"
        if has_folder
        else "Have it activated in the Twilio Console, or do not name it",
    )
    return account.outcome("left-out", error.exit_code, reason, error=error)


def choose_offline(
    manifest: FleetManifest, folder: Path, sids: Collection[str], only: str | None, *, every: bool = False
) -> Chosen:
    """The accounts that a fleet's folder names, or those `sids`; those of which there is no folder are left out.

    Raises `InputError` for an account that is not in it, and `UsageError` for an invalid wave.
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
