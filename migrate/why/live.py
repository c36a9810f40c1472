"""One user from both APIs, as they are now. It reads only."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from migrate.extract.identities import MOST_ALONE, MOST_FILTER_CHARACTERS
from migrate.extract.records import UnfitError, binding_row, credential_row
from migrate.load.planning import read_live
from migrate.map.mapped_bindings import open_bindings
from migrate.map.mapped_folder import Mapped, open_mapped
from migrate.model.credential import Credential
from migrate.model.errors import InputError, RefusedError, TransientTwilioError, TwilioError, UsageError
from migrate.model.masking import mask
from migrate.model.push_config import Settings
from migrate.model.sids import is_service_sid, normal
from migrate.model.text import alike, count
from migrate.retire.evidence import find_credentials, now_of
from migrate.retire.replacement import LIFETIME
from migrate.runtime.workers import result_of
from migrate.twilio_api.addresses import NAMES, Side
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.limits import FEW_TRIES, page_sizes
from migrate.twilio_api.resources import SERVICES_PATH, JsonObject, bindings_path, find_service, list_pages
from migrate.why.errors import read_errors
from migrate.why.facts import Binding, Facts, Planned, SideRead, merged
from migrate.why.scope import named_credentials, no_such_user, refuse_other_account

MOST_ELSEWHERE = 100  # services that are asked whether they have a user that one lacks


def facts_of_twilio(api: TwilioApi, identity: str, service_sid: str, mapped: Path | None = None) -> Facts:
    """What both APIs say of a user just now, and a mapped folder beside them.

    Chat may be switched off, or closed to the credentials: then its side is not known. Raises `TwilioError` where
    Conversations cannot be asked, `InputError` for a service or an identity that is in neither, `RefusedError` where
    what comes was not asked for, and `UsageError` for an identity that is too long for an address.
    """
    if len(quote_plus(identity)) > MOST_ALONE:
        raise UsageError(
            f"The identity has {len(identity):,} characters, too many to ask Twilio for",
            remedy="Ask a snapshot, with --snapshot",
        )
    plan = open_mapped(mapped) if mapped else None
    if plan:
        refuse_other_account(plan, api.account_sid, "the credentials are for")
    api.addresses.refuse_mixture()
    return _Live(api, identity, service_sid, plan).facts()


class _Live:
    """Both APIs, as far as one user and one service go."""

    def __init__(self, api: TwilioApi, identity: str, service_sid: str, mapped: Mapped | None) -> None:
        self.api = api
        self.identity = identity
        self.service_sid = service_sid
        self.mapped = mapped

    def facts(self) -> Facts:
        """All that they say, asked side by side."""
        with self.api.workers(self.api.throttle.most, "why") as workers:
            jobs: list[Callable[[], Any]] = [self._chat, self._conversations, self._settings]
            chat, conversations, settings = (result_of(one) for one in [workers.submit(job) for job in jobs])
        (chats, service, of_chat), (theirs, twin, of_conversations) = chat, conversations
        if service is None and twin is None:
            raise InputError(
                f"Conversations has no service {self.service_sid}, and {chats.unread}",
                remedy="Check the SID, and that the credentials are of its account",
            )
        bindings = merged(of_chat, of_conversations)
        if not bindings:
            raise self._no_user("conversations" if twin else "chat", chats)
        plan = self._planned(settings, bindings)
        return Facts(
            identity=self.identity,
            service_sid=self.service_sid,
            service_name=str((twin or service or {}).get("friendly_name") or ""),
            bindings=bindings,
            chat=chats,
            conversations=theirs,
            notifications=service.get("notifications") if service else None,
            settings=settings,
            credentials=self._credentials(named_credentials(bindings, plan)),
            errors=read_errors(self.api, self.service_sid, [one.sid for one in bindings]),
            planned=plan,
            shared=_shared(plan, bindings) if plan else None,
            lifetime=self._lifetime(),
        )

    def _chat(self) -> tuple[SideRead, JsonObject | None, list[Binding]]:
        """Chat's side; where Chat does not answer for it, that it is not known, and why."""
        where = self.api.places["chat"]
        try:
            service = self._service("chat", FEW_TRIES)
            if service is None:
                return SideRead(where, unread="Chat has no such service, or is switched off"), None, []
            found, partly = self._listed("chat", self.service_sid, FEW_TRIES)
        except TwilioError as error:  # where the credentials are wrong, Conversations says so
            return SideRead(where, unread=f"Chat cannot be read: {error.what}"), None, []
        return SideRead(where, now_of(self.api), partly=partly), service, found

    def _conversations(self) -> tuple[SideRead, JsonObject | None, list[Binding]]:
        where = self.api.places["conversations"]
        service = self._service("conversations")
        if service is None:
            return SideRead(where, now_of(self.api), is_missing=True), None, []
        found, partly = self._listed("conversations", self.service_sid)
        return SideRead(where, now_of(self.api), partly=partly), service, found

    def _service(self, side: Side, tries: int | None = None) -> JsonObject | None:
        found = find_service(self.api, side, self.service_sid, tries)
        if found is not None and not _is_same(found.get("sid"), self.service_sid):
            raise TwilioError(
                f"Service {self.service_sid} was asked for in {NAMES[side]}, and another one came",
                remedy="Find out what answers in Twilio's place: a proxy may serve what it has kept",
            )
        return found

    def _settings(self) -> Settings | None:
        """The settings in Conversations; None where they cannot be read, or there are none."""
        try:
            return read_live(self.api, self.service_sid)
        except TransientTwilioError:
            raise
        except TwilioError:
            return None

    def _listed(self, side: Side, service_sid: str, tries: int | None = None) -> tuple[list[Binding], str]:
        """The user's bindings in one list, and why they may not be all.

        Raises `RefusedError` for those of somebody else: a filter that is ignored would have the whole service read.
        """
        found, unfit = list[Binding](), 0
        pages = list_pages(
            self.api, side, bindings_path(service_sid), page_sizes(self.api.page_size), tries, forms_of(self.identity)
        )
        for record in (record for page in pages for record in page.content):
            try:
                row = binding_row(record, service_sid)
            except UnfitError:
                unfit += 1
                continue
            if row["identity"] is None:  # it does not say whose it is
                unfit += 1
            elif alike(row["identity"]) != alike(self.identity):
                raise RefusedError(
                    f"The list of {NAMES[side]} was narrowed by Identity, and holds a binding of "
                    f"{mask(row['identity'])}, which was not asked for: the server ignores the filter",
                    remedy="Extract without --identity and --identity-file, and ask that snapshot, with --snapshot",
                )
            else:
                found.append(Binding.from_row(row, side))
        return found, f"{count(unfit, 'record')} could not be read" if unfit else ""

    def _credentials(self, sids: Sequence[str]) -> dict[str, Credential | None]:
        """The credentials by SID, None for one that the account lacks; those that cannot be read are left out."""
        try:
            found = find_credentials(self.api, sids)
        except TransientTwilioError:
            raise
        except TwilioError:
            return {}
        known: dict[str, Credential | None] = {sid: None for sid in sids if sid not in found}
        for sid, record in found.items():
            with suppress(UnfitError):
                known[sid] = Credential.from_row(credential_row(record))
        return known

    def _planned(self, settings: Settings | None, bindings: Sequence[Binding]) -> Planned | None:
        if self.mapped is None:
            return None
        from migrate.why.planned import planned  # it takes long to load, and the first request does not wait for it

        return planned(self.mapped, self.service_sid, settings, [one.sid for one in bindings])

    def _lifetime(self) -> Any:
        if self.mapped is None:
            return LIFETIME
        from migrate.map.explain import rules_of

        return rules_of(self.mapped).lifetime

    def _no_user(self, side: Side, chat: SideRead) -> InputError:
        """That there is no such user, and which other services have one, of so many as are asked."""
        asked: list[str] = []
        with suppress(TwilioError):
            page = next(list_pages(self.api, side, SERVICES_PATH, page_sizes(self.api.page_size), FEW_TRIES))
            sids = (record.get("sid") for record in page.content if isinstance(record, dict))
            asked = [str(sid) for sid in sids if is_service_sid(sid) and sid != self.service_sid]
        with self.api.workers(self.api.throttle.most, "elsewhere") as workers:
            jobs = {sid: workers.submit(self._has_user, side, sid) for sid in asked[:MOST_ELSEWHERE]}
            elsewhere = [sid for sid, job in jobs.items() if result_of(job)]
        doubts = []
        if self.mapped and self._was_mapped(self.mapped):
            doubts.append(
                "The mapped folder has one: it was deleted since, by the app at logout or by Twilio after a push "
                "that failed, and the user must register again"
            )
        doubts += [f"Its bindings in Chat are not known: {chat.unread}"] if chat.unread else []
        if len(asked) > MOST_ELSEWHERE:
            doubts.append(f"{MOST_ELSEWHERE:,} other services were asked, and not all")
        doubts.append(
            "It was asked for as it is and in the usual spellings; a snapshot (--snapshot) shows it in any case"
        )
        who = "Conversations has" if chat.unread else "Chat and Conversations have"
        return no_such_user(who, self.identity, self.service_sid, elsewhere, doubts)

    def _was_mapped(self, mapped: Mapped) -> bool:
        """Whether the mapped folder has a binding of the user in this service."""
        import pyarrow as pa  # the first request does not wait for it
        from pyarrow import dataset

        from migrate.why.rows import has_identity

        try:
            rows = open_bindings(mapped).filter(dataset.field("service_sid") == self.service_sid)
            return has_identity(rows.to_batches(columns=["identity"]), self.identity)
        except (pa.ArrowException, OSError):  # it is only a hint
            return False

    def _has_user(self, side: Side, service_sid: str) -> bool:
        with suppress(TwilioError, RefusedError):
            return bool(self._listed(side, service_sid, FEW_TRIES)[0])
        return False


def forms_of(identity: str) -> tuple[tuple[str, str], ...]:
    """The filters that ask for an identity: as it is, and in the forms that it is often confused with.

    How Twilio compares identities is not documented; what comes is compared with `alike`.
    """
    plain = unicodedata.normalize("NFC", identity.strip())
    forms = dict.fromkeys(
        [identity, plain, unicodedata.normalize("NFD", plain), alike(identity), plain.lower(), plain.upper()]
    )
    chosen, length = [identity], len(quote_plus(identity))
    for form in forms:
        length += len(quote_plus(form))
        if form and form != identity and length <= MOST_FILTER_CHARACTERS:
            chosen.append(form)
    return tuple(("Identity", form) for form in chosen)


def _shared(plan: Planned, bindings: Sequence[Binding]) -> frozenset[str]:
    """The bindings whose device the mapping found under another identity, too: in Chat, when it was mapped."""
    endpoints = {one.sid: one.endpoint for one in bindings if one.endpoint}
    shared = {endpoints.get(sid) for sid, found in plan.of_bindings.items() if found.binding["endpoint_shared"]}
    return frozenset(sid for sid, endpoint in endpoints.items() if endpoint in shared)


def _is_same(sid: Any, wanted: str) -> bool:
    return is_service_sid(sid) and normal(str(sid)) == normal(wanted)
