"""One user from files: a snapshot, an extract of Conversations, and a mapped folder. Nothing is asked of Twilio."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from migrate.map.explain import rules_of
from migrate.map.mapped_folder import Mapped, open_mapped
from migrate.model.credential import Credential
from migrate.model.errors import InputError, RefusedError
from migrate.model.push_config import LiveSettings, flatten
from migrate.model.text import alike, count
from migrate.retire.replacement import LIFETIME
from migrate.snapshot.reader import Snapshot, batches, read_snapshot
from migrate.twilio_api.addresses import Side
from migrate.twilio_api.login import is_one_account
from migrate.why.errors import errors_of_snapshot
from migrate.why.facts import Binding, Facts, PushErrors, SideRead, merged
from migrate.why.planned import planned
from migrate.why.rows import has_identity, rows_of, shared_endpoints
from migrate.why.scope import named_credentials, no_such_user, refuse_other_account

_NO_CHAT = "the snapshot was read through Conversations"
_NO_EXTRACT = "no extract of Conversations is named"


def facts_of_files(
    identity: str,
    service_sid: str,
    snapshot: Path,
    against: Path | None = None,
    mapped: Path | None = None,
    pending: Path | None = None,
) -> Facts:
    """What files say of a user: a snapshot; `against`, one that was read through Conversations; a mapped folder; and
    `pending`, the list of whom `verify` waits for.

    Raises `InputError` for other folders, and for a service or an identity that they do not have; `RefusedError` for
    what cannot be trusted, or is of different accounts.
    """
    source = read_snapshot(snapshot)
    other = read_snapshot(against) if against else None
    plan = open_mapped(mapped) if mapped else None
    if other and not is_one_account(source.manifest.account_sid, other.manifest.account_sid):
        raise RefusedError(
            f"{snapshot} is of account {source.manifest.account_sid}, and {against} of {other.manifest.account_sid}",
            remedy="Name two snapshots of one account",
        )
    if other and other.manifest.source != "conversations":
        raise InputError(
            f"{against} was read through Chat, and does not show who is registered with Conversations",
            remedy="Make one with: chat-migrate extract --source conversations --no-shard --out DIR",
        )
    if plan:
        refuse_other_account(plan, source.manifest.account_sid, f"{snapshot} is of")
    return _Files(identity, service_sid, source, other, plan, pending).facts()


class _Files:
    """The files about one user: of Chat's side, of Conversations' side, or of one of them; and the mapped folder."""

    def __init__(
        self,
        identity: str,
        service_sid: str,
        source: Snapshot,
        other: Snapshot | None,
        mapped: Mapped | None,
        pending: Path | None,
    ) -> None:
        self.identity = identity
        self.service_sid = service_sid
        self.source = source
        self.mapped = mapped
        self.pending = pending
        is_chats = source.manifest.source == "chat"
        self.chat = source if is_chats else None
        self.conversations = other or (None if is_chats else source)
        self.snapshots = list(dict.fromkeys(each.folder for each in (source, other) if each))
        self.latest = other or source  # which has settings and credentials as they were last
        self.services = {each.folder: self._service(each) for each in (source, other) if each}

    def facts(self) -> Facts:
        """All that they say. Raises `InputError` for a service or an identity that they do not have."""
        rows = [row for row in self.services.values() if row]
        if not rows:
            known = len(self.source.services())
            raise InputError(f"{self.source.folder} has no service {self.service_sid} among its {known:,}")
        bindings = merged(self._bindings(self.chat, "chat"), self._bindings(self.conversations, "conversations"))
        if not bindings:
            raise self._no_user()
        settings = _settings(self.services[self.latest.folder])
        sids = [one.sid for one in bindings]
        plan = None
        if self.mapped:
            plan = planned(self.mapped, self.service_sid, settings, sids, self.source.manifest.digest)
        account = {row["sid"]: Credential.from_row(row) for row in self.latest.credentials()}
        return Facts(
            identity=self.identity,
            service_sid=self.service_sid,
            service_name=rows[-1]["friendly_name"] or "",
            bindings=bindings,
            chat=self._side(self.chat, _NO_CHAT),
            conversations=self._side(self.conversations, _NO_EXTRACT),
            notifications=_decoded(rows[0]["notifications"]) if self.chat else None,
            settings=settings,
            credentials={sid: account.get(sid) for sid in named_credentials(bindings, plan)},
            errors=self._errors(sids),
            planned=plan,
            shared=self._shared(bindings),
            pending=self._pending(self.pending, sids) if self.pending else None,
            lifetime=rules_of(self.mapped).lifetime if self.mapped else LIFETIME,
        )

    def _service(self, snapshot: Snapshot) -> dict[str, Any] | None:
        return next((row for row in snapshot.services() if row["sid"] == self.service_sid), None)

    def _bindings(self, snapshot: Snapshot | None, side: Side) -> list[Binding]:
        if snapshot is None:
            return []
        rows = rows_of((path for path, _ in snapshot.parts(self.service_sid)), self.identity)
        return [Binding.from_row(row, side) for row in rows]

    def _side(self, snapshot: Snapshot | None, unread: str) -> SideRead:
        if snapshot is None:
            return SideRead("", unread=unread)
        unread, partly = _narrowed(snapshot, self.service_sid, self.identity)
        missing = not unread and self.services[snapshot.folder] is None
        return SideRead(str(snapshot.folder), snapshot.as_of, unread, partly, missing)

    def _errors(self, sids: list[str]) -> PushErrors:
        """The push errors of the later snapshot, or of the other where that has none."""
        found = errors_of_snapshot(self.latest, self.service_sid, sids)
        if found.unread and self.latest is not self.source:
            return errors_of_snapshot(self.source, self.service_sid, sids)
        return found

    def _pending(self, file: Path, sids: list[str]) -> frozenset[str]:
        """Which of the bindings the list has."""
        from migrate.verify.pending import read_pending

        table = read_pending(file)
        listed = zip(table.column("service_sid").to_pylist(), table.column("sid").to_pylist(), strict=True)
        return frozenset(sid for service_sid, sid in listed if service_sid == self.service_sid and sid in sids)

    def _shared(self, bindings: Iterable[Binding]) -> frozenset[str]:
        """The bindings whose device is registered under another identity, on a side that lists them."""
        shared: set[str] = set()
        for snapshot, side in ((self.chat, "chat"), (self.conversations, "conversations")):
            some = {one.sid: one.endpoint for one in bindings if side in one.sides and one.endpoint}
            if snapshot and some:
                parts = (path for path, _ in snapshot.parts(self.service_sid))
                others = shared_endpoints(parts, set(some.values()), self.identity)
                shared |= {sid for sid, endpoint in some.items() if endpoint in others}
        return frozenset(shared)

    def _is_in(self, snapshot: Snapshot, service_sid: str) -> bool:
        parts = (path for path, _ in snapshot.parts(service_sid))
        return has_identity(batches(parts, ["identity"]), self.identity)

    def _no_user(self) -> InputError:
        """That there is no such user, and where there is one."""
        named = " and ".join(map(str, self.snapshots))
        has = "have" if len(self.snapshots) > 1 else "has"
        elsewhere = sorted(
            {
                sid
                for snapshot in (self.chat, self.conversations)
                if snapshot
                for sid in snapshot.manifest.rows_by_service
                if sid != self.service_sid and self._is_in(snapshot, sid)
            }
        )
        doubts = [
            doubt
            for snapshot in (self.chat, self.conversations)
            if snapshot
            for doubt in _narrowed(snapshot, self.service_sid, self.identity)
            if doubt
        ]
        return no_such_user(f"{named} {has}", self.identity, self.service_sid, elsewhere, doubts)


def _narrowed(snapshot: Snapshot, service_sid: str, identity: str) -> tuple[str, str]:
    """Why a snapshot does not show a user's bindings in a service; and why it may lack some of them."""
    filters, folder = snapshot.manifest.filters, snapshot.folder
    if filters.services and service_sid not in filters.services:
        return f"{folder} was narrowed to other services", ""
    if filters.identities and alike(identity) not in map(alike, filters.identities):
        return f"{folder} was narrowed to other users", ""
    partly = []
    if filters.identity_file:
        partly.append(f"{folder} was narrowed to the users in a file")
    if filters.binding_types:
        partly.append(f"{folder} was narrowed to {', '.join(filters.binding_types)}")
    if rejected := snapshot.manifest.rejected_by_service.get(service_sid):
        partly.append(f"{folder} has {count(rejected, 'record')} of the service in rejected.jsonl")
    return "", "; ".join(partly)


def _settings(row: dict[str, Any] | None) -> LiveSettings | None:
    """The settings in Conversations that a service's row has; None where they could not be read."""
    found = _decoded(row["conversations_notifications"]) if row else None
    return flatten(found) if isinstance(found, Mapping) else None


def _decoded(text: str | None) -> Any:
    return None if text is None else json.loads(text)
