"""Credentials: created where none has their type and name, or given another secret. Nothing here deletes one.

A secret cannot be read back. Whether a credential was made is seen in the list of them, whether one was updated in
its date. Where that leaves a doubt, whose an update was is not guessed: it is reported, and a new plan asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from migrate.load.applied import Outcome
from migrate.load.journal import CredentialEntry, Journal
from migrate.load.rate_limit import READ_AGAIN, Pace
from migrate.load.secrets import Form, secret_findings
from migrate.model.errors import TransientTwilioError, TwilioError
from migrate.model.finding import Finding
from migrate.model.push_config import form_value
from migrate.model.push_credential import CredentialChange, CredentialConfig, LiveCredential
from migrate.model.sids import is_credential_sid
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.pages import Meta, NotAPageError, records_of
from migrate.twilio_api.resources import CREDENTIALS_PATH, credential_path, find_credential

_DOUBT = (
    "none is made again: find out which one it is, name its sid in push-config.yaml, move this plan and its journal "
    "away, and plan again"
)
Found = list[LiveCredential]
Look = Callable[[str | None], Found]  # what is there; the SID is the one that Twilio has named, if it has


def read_credentials(api: TwilioApi) -> list[LiveCredential]:
    """All credentials of the account, as Conversations lists them. Raises `TwilioError`."""
    return [found for page in api.pages("conversations", CREDENTIALS_PATH, read=_read_page) for found in page.content]


def _read_page(body: bytes) -> tuple[Meta, list[LiveCredential]]:
    meta, records = records_of(body, "credentials")
    try:
        return meta, [LiveCredential.from_twilio(record) for record in records]
    except (LookupError, TypeError, AttributeError, ValueError):
        raise NotAPageError("it lists what is no credential") from None


def plan_credentials(
    api: TwilioApi, wanted: Sequence[CredentialConfig]
) -> tuple[list[CredentialChange], list[Finding]]:
    """What is to be written so that the wanted credentials are there, and findings about them. It reads only."""
    live = read_credentials(api) if wanted else []
    changes: list[CredentialChange] = []
    findings: list[Finding] = []
    for config in wanted:
        like = [found for found in live if found.is_like(config)]
        named = [found for found in like if found.sid == config.credential_sid]
        about = f"{config.credential_sid or config.type} {config.friendly_name}"
        if config.credential_sid and not named:
            findings.append(Finding("credential-not-as-named", None, about))
        elif named:
            changes.append(CredentialChange(config, named[0]))
            findings.append(Finding("credential-secret-unseen", None, about))
        elif not like:
            changes.append(CredentialChange(config))
            findings.append(Finding("credential-to-be-made", None, about))
        else:
            same = "credential-sandbox-differs" if _flaw(config, like) else "credential-exists"
            code = same if len(like) == 1 else "credential-ambiguous"
            findings += [Finding(code, None, f"{found.sid} {found.friendly_name}") for found in like]
    return changes, [*findings, *secret_findings(changes, api.server_time or datetime.now(UTC))]


def stale_credentials(
    api: TwilioApi, changes: Sequence[CredentialChange], applied: Sequence[LiveCredential] = ()
) -> list[str]:
    """The SIDs of credentials that somebody has changed since the plan was made, or since they were `applied`."""
    live = read_credentials(api) if changes else []
    done = {credential.sid for credential in applied if credential in live}
    existing = [change.existing for change in changes if change.existing]
    return [credential.sid for credential in existing if credential not in live and credential.sid not in done]


class CredentialWriter:
    """Writes the credentials of one plan, each journalled before and after."""

    def __init__(self, api: TwilioApi, journal: Journal, pace: Pace) -> None:
        self._api = api
        self._journal = journal
        self._pace = pace

    def apply(self, change: CredentialChange, secrets: Form) -> Outcome:
        """Make a credential, or update it, and look at what came of it. Raises `TwilioError`, `OSError`."""
        if change.existing is None:
            return self._make(change, secrets)
        return self._update(change, change.existing, secrets)

    def _make(self, change: CredentialChange, secrets: Form) -> Outcome:
        config, latest = change.config, self._journal.latest_credential(change)
        entry = latest[1] if latest else None
        status, named = (entry.status, entry.sid) if entry else (None, None)
        listed = read_credentials(self._api)
        found = self._found(config, listed, named, entry.seen if entry else None)
        if status == "void":  # what is new since, and has another name, is somebody else's
            found = [each for each in found if each.resembles(config)]
        if found and latest and status is None and not _flaw(config, found):
            self._journal.end(latest[0], "applied", found[0])  # it had arrived, unseen
            status = "applied"
        if found:
            if flaw := _flaw(config, found):
                return Outcome(change, "failed", flaw)
            whose = "by an earlier run" if status == "applied" else "made meanwhile"
            return Outcome(change, "applied" if status == "applied" else "already", f"{found[0].sid}, {whose}")
        if status == "applied":
            return Outcome(change, "stale", "it is not there any more")
        if named:
            return Outcome(change, "failed", f"Twilio has made it as {named}, and does not show it yet")
        form = {"Type": config.type, "FriendlyName": config.friendly_name, **_sandbox(config), **secrets}
        seen = frozenset(each.sid for each in listed)
        number = self._begin(change, seen)

        def look(sid: str | None) -> Found:
            return self._found(config, read_credentials(self._api), sid, seen)

        found = self._post(config, number, CREDENTIALS_PATH, form, look, [])
        return self._end(change, number, found)

    def _update(self, change: CredentialChange, existing: LiveCredential, secrets: Form) -> Outcome:
        config = change.config
        found, latest = self._at(existing.sid), self._journal.latest_credential(change)
        if not found:
            return Outcome(change, "missing", "there is no such credential")
        (live,) = found
        if latest and latest[1].status == "applied":
            if live == latest[1].after:
                return Outcome(change, "applied", "by an earlier run")
            return Outcome(change, "stale", "changed since it was applied")
        if live != existing:
            if latest and latest[1].status is None:
                self._journal.end(latest[0], "failed", live)
                return Outcome(change, "stale", "changed by us or by somebody else: a secret cannot be read back")
            return Outcome(change, "stale", "changed since the plan was made")
        path, number = credential_path(live.sid), self._begin(change)
        form = {**_sandbox(config), **secrets}
        after = self._post(config, number, path, form, lambda _: self._at(live.sid), [live])
        return self._end(change, number, after)

    def _post(self, config: CredentialConfig, number: int, path: str, form: Form, look: Look, before: Found) -> Found:
        """Send a form, and give what is seen then; again while nothing is changed and patience lasts.

        What Twilio took is not sent again, however long it does not show. What was not seen to be refused stays open
        in the journal.
        """
        # `retry` calls `attempt` several times: what was sent, taken and named outlasts each of them.
        sent = taken = False
        sid: str | None = None

        def attempt() -> Found:
            nonlocal sent, taken, sid
            if taken:
                return self._patiently(look, sid, before)
            if sent and (after := self._patiently(look, None, before)) != before:
                return after
            self._pace.wait()
            sent = True
            try:
                answer = self._api.post("conversations", path, form)
            except TransientTwilioError:  # done or not: what is seen shows it
                if (after := look(None)) == before:
                    raise
                return after
            except TwilioError:
                with suppress(TwilioError):  # where nothing can be seen, it stays open
                    if [each for each in look(None) if each.resembles(config)] == before:
                        self._journal.end(number, "void", None)
                raise
            taken, shown = True, answer.get("sid")
            if isinstance(shown, str) and is_credential_sid(shown):
                sid = shown
                self._journal.note(number, shown)
            return self._patiently(look, sid, before)

        return self._api.retry(attempt)

    def _patiently(self, look: Look, sid: str | None, before: Found) -> Found:
        """What is seen, some times more where nothing has changed: it may lag behind."""
        after = look(sid)
        for seconds in READ_AGAIN:
            if after != before:
                break
            self._api.pause(seconds)
            after = look(sid)
        return after

    def _begin(self, change: CredentialChange, seen: Collection[str] = ()) -> int:
        """Journal the intent; one of an earlier run that is open still did not arrive, as far as can be seen."""
        latest = self._journal.latest_credential(change)
        if latest and latest[1].status is None:
            self._journal.end(latest[0], "void", change.existing)
        return self._journal.begin_credential(change, seen)

    def _end(self, change: CredentialChange, number: int, found: Found) -> Outcome:
        """Journal what is there after a write, and tell it; what does not show yet stays open."""
        if not found:
            return Outcome(change, "failed", "Twilio took it, and does not show it yet")
        if flaw := _flaw(change.config, found):
            entry = self._journal.entries[number]
            if len(found) == 1 and (change.existing or (isinstance(entry, CredentialEntry) and entry.made)):
                self._journal.end(number, "failed", found[0])
            return Outcome(change, "failed", flaw)  # what may be another's stays open
        self._journal.end(number, "applied", found[0])
        return Outcome(change, "applied", f"its SID is {found[0].sid}")

    def _found(self, config: CredentialConfig, listed: Found, sid: str | None, seen: Collection[str] | None) -> Found:
        """What a credential that is to be made can be seen as: the one of the SID that Twilio has named, which a list
        may not show yet; else those of that type and name; else those of that type that are new since `seen`: the
        server may have given ours another name.
        """
        if sid and (at := [each for each in listed if each.sid == sid] or self._one(sid)):
            return at
        like = [each for each in listed if each.is_like(config)]
        if like or seen is None:
            return like
        return [each for each in listed if each.type == config.type and each.sid not in seen]

    def _at(self, sid: str) -> Found:
        """The credential of that SID, if there is one."""
        return [found for found in read_credentials(self._api) if found.sid == sid]

    def _one(self, sid: str) -> Found:
        found = find_credential(self._api, sid)
        try:
            return [LiveCredential.from_twilio(found)] if found else []
        except (LookupError, TypeError, AttributeError, ValueError):
            return []


def _flaw(config: CredentialConfig, found: Sequence[LiveCredential]) -> str:
    """What is wrong with the credentials that are there for a desired one; empty if nothing is."""
    if len(found) > 1:
        sids = ", ".join(one.sid for one in found)
        if all(one.is_like(config) for one in found):
            return f"there are several of its type and name: {sids}"
        return f"several are new since it was sent ({sids}), and which of them is ours is unknown; {_DOUBT}"
    (one,) = found
    if not one.resembles(config):
        return f"{one.sid} has another type or name; {_DOUBT}"
    if config.sandbox is not None and str(one.sandbox).lower() != form_value(config.sandbox):
        return f"{one.sid} is of Apple's {'production' if config.sandbox else 'sandbox'}"
    return ""


def _sandbox(config: CredentialConfig) -> Form:
    return {} if config.sandbox is None else {"Sandbox": form_value(config.sandbox)}
