"""A fleet's folder: a folder for each account, and fleet.json, which says how far each one is.

fleet.json is for people, and for finding the accounts offline. What is finished is decided by what lies in an
account's folder, and never by fleet.json.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from migrate import __version__
from migrate.fleet.outcome import AccountOutcome, State
from migrate.model.digest import canonical_json
from migrate.model.documents import (
    AccountSid,
    Count,
    DocumentError,
    OtherFormatError,
    builtins,
    decode,
    is_moment,
    load_versioned,
)
from migrate.model.errors import InputError, MigrateError, RefusedError, Step, reason_of
from migrate.model.sids import is_account_sid
from migrate.storage.files import make_own_folder, write_whole
from migrate.storage.lock import hold

FORMAT = 1
NAME = "fleet.json"
_SECONDS = 1.0  # between two writes of fleet.json: of a thousand accounts, many finish in one second
REPORTS = ("report", "applied", "undone", "verified", "health")  # of a fleet, each as .html and .md


class StageRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """What the last run of a stage brought in an account; `at` is when it ended (ISO 8601, UTC)."""

    state: State
    exit_code: Count
    reason: str
    at: str
    figures: Mapping[str, int | str] = {}


class AccountRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """An account of the fleet, and what each stage brought, by its name. `written` says that an apply has written to
    it, and no rollback has undone that since.
    """

    friendly_name: str
    status: str
    stages: Mapping[str, StageRecord] = {}
    written: bool = False

    @property
    def is_worked_on(self) -> bool:
        """Whether some stage was carried out for it."""
        return self.written or any(one.state in ("done", "earlier") for one in self.stages.values())


class FleetManifest(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of fleet.json: the accounts by SID. `main_account_sid` is None where no main account was asked."""

    tool_version: str
    main_account_sid: AccountSid | None
    accounts: Mapping[AccountSid, AccountRecord]


class FleetFolder:
    """The folder of a fleet. `held` opens it for writing, `read` looks at it."""

    def __init__(self, path: Path, manifest: FleetManifest) -> None:
        self.path = path
        self._manifest = manifest
        self._accounts = dict(manifest.accounts)
        self._lock = threading.Lock()
        self._written = 0.0

    @property
    def manifest(self) -> FleetManifest:
        """What fleet.json has, or gets with its next write."""
        return replace(self._manifest, accounts={sid: self._accounts[sid] for sid in sorted(self._accounts)})

    @classmethod
    @contextmanager
    def held(
        cls, path: Path, main_account_sid: str | None = None, *, may_be_new: bool = True
    ) -> Iterator[FleetFolder]:
        """The folder, made where it is not there and `may_be_new`, and held against any other process; fleet.json is
        written at the end, too.

        Raises `RefusedError` for another main account's, for a folder with something else in it, and while another
        process works in it; `InputError` for a fleet.json that cannot be read, or is not there.
        """
        is_new = may_be_new and not (path / NAME).exists()
        if not may_be_new:
            read_fleet(path)
        if is_new:
            _refuse_other_content(path)
        make_own_folder(path)
        held = hold(path)
        try:
            found = FleetManifest(__version__, main_account_sid, {}) if is_new else read_fleet(path)
            _refuse_other_main(path, found, main_account_sid)
            main = found.main_account_sid or main_account_sid
            folder = cls(path, replace(found, tool_version=__version__, main_account_sid=main))
            try:
                yield folder
            except BaseException:
                with suppress(OSError):  # which matters less than what has ended it
                    folder.write()
                raise
            folder.close()
        finally:
            os.close(held)

    def enter(self, sid: str, friendly_name: str, status: str) -> None:
        """Note an account, as Twilio has it now."""
        with self._lock:
            known = self._accounts.get(sid, AccountRecord(friendly_name, status))
            self._accounts[sid] = replace(known, friendly_name=friendly_name, status=status)

    def note(self, stage: str, outcome: AccountOutcome) -> None:
        """Note what a stage has brought in an account; fleet.json follows within a second, or at the end."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = StageRecord(outcome.state, outcome.exit_code, outcome.reason, at, dict(outcome.figures))
        with self._lock:
            account = self._accounts[outcome.sid]
            written = account.written or (stage == "apply" and bool(outcome.figures.get("applied")))
            if stage == "rollback" and outcome.exit_code == 0 and outcome.state in ("done", "earlier"):
                written = False
            stages = {**account.stages, stage: record}
            self._accounts[outcome.sid] = replace(account, stages=stages, written=written)
            if time.monotonic() - self._written >= _SECONDS:
                with suppress(OSError):  # the write at the end says so; no account fails by it
                    self._write()

    def write(self) -> None:
        """Write fleet.json, whole or not at all."""
        with self._lock:
            self._write()

    def close(self) -> None:
        """Write fleet.json a last time. Raises `MigrateError` where it cannot be written: what was done stays."""
        try:
            self.write()
        except OSError as error:
            raise MigrateError(
                f"{self.path / NAME} cannot be written: {reason_of(error)}",
                kept="What was done is kept in the folders of the accounts",
                remedy="The next run writes it again",
            ) from None

    def _write(self) -> None:
        content = {"format_version": FORMAT, **builtins(self.manifest)}
        write_whole(self.path / NAME, canonical_json(content), private=True)
        self._written = time.monotonic()


def read_fleet(folder: Path) -> FleetManifest:
    """The manifest of a fleet's folder. Raises `InputError` for another folder, or a fleet.json that is damaged."""
    path = folder / NAME
    try:
        _, content = load_versioned(path.read_bytes(), FORMAT)
        found = decode(content, FleetManifest)
        if not all(is_moment(one.at) for account in found.accounts.values() for one in account.stages.values()):
            raise DocumentError("at: not a time")
    except (FileNotFoundError, NotADirectoryError):
        if has_accounts(folder):
            raise InputError(
                f"{folder} has folders of accounts, and its {NAME} is missing",
                remedy=(
                    "Put it back; or write it again, by what lies in these folders, with: ",
                    Step("run", {"accounts": True, "out": folder}),
                ),
            ) from None
        raise InputError(
            f"{folder} is not a fleet's folder: it has no {NAME}",
            remedy="Make one with: chat-migrate run --accounts --out FLEET",
        ) from None
    except OtherFormatError:
        raise InputError(f"{path} is in another format", remedy="Use the version that wrote it") from None
    except DocumentError as error:
        raise InputError(
            f"{path} cannot be read: {error}",
            remedy="Move it away: the next run writes it again, by what lies in the folders of the accounts",
        ) from None
    return found


def has_accounts(folder: Path) -> bool:
    """Whether a folder has folders that are named after accounts, as a fleet's has."""
    try:
        return any(is_account_sid(entry.name) and entry.is_dir() for entry in folder.iterdir())
    except OSError:
        return False


def reviewed_in(like: Path, sids: Collection[str], main_account_sid: str | None) -> frozenset[str]:
    """The accounts that a fleet has mapped, whose reviews are to be carried over to some accounts.

    Raises `InputError` where its folder is no fleet, and `RefusedError` where it is another fleet's, or has none of
    these accounts.
    """
    found = read_fleet(like)
    _refuse_other_main(like, found, main_account_sid)
    if not found.accounts.keys() & {*sids}:
        raise RefusedError(
            f"{like} has none of these accounts, so there is no review to carry over",
            remedy="Name the folder of the fleet that was reviewed with --like",
        )
    return frozenset(
        sid
        for sid, one in found.accounts.items()
        if any(name in one.stages and one.stages[name].state in ("done", "earlier") for name in ("run", "map"))
    )


def _refuse_other_content(path: Path) -> None:
    """Raise `RefusedError` for a folder that holds anything but accounts' folders and the reports of a fleet."""
    if path.exists() and not path.is_dir():
        raise RefusedError(f"{path} is there, and is no folder", remedy="Name another with --out")
    names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    ours = {f"{name}.{kind}" for name in REPORTS for kind in ("html", "md")}
    strange = [name for name in names if not (is_account_sid(name) or name in ours or name.startswith("."))]
    if strange:
        raise RefusedError(
            f"{path} is not a fleet's folder, and holds {strange[0]}", kept="It is as it was", remedy="Name another"
        )


def _refuse_other_main(path: Path, found: FleetManifest, main_account_sid: str | None) -> None:
    if main_account_sid and found.main_account_sid and main_account_sid != found.main_account_sid:
        raise RefusedError(
            f"{path} is the fleet of main account {found.main_account_sid}, "
            f"and the credentials are for {main_account_sid}",
            kept="It is as it was",
            remedy="Use the credentials of that account, or name another folder",
        )
