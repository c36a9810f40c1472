"""Credentials: made where there is none of their type and name, or given another secret. Nothing here deletes one.

A secret cannot be read back. Whether a credential was made is seen in the list of them, whether one was updated in
its date; where that leaves a doubt, the same secret is written again, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from migrate.load.journal import Journal
from migrate.load.pace import Pace
from migrate.load.secrets import Form
from migrate.model.applied import Outcome
from migrate.model.errors import TransientTwilioError, TwilioError
from migrate.model.finding import Finding
from migrate.model.push_config import form_value
from migrate.model.push_credential import CredentialChange, CredentialConfig, LiveCredential
from migrate.twilio_api.api import TwilioApi
from migrate.twilio_api.pages import Meta, NotAPageError, records_of

_PATH = "/Credentials"
T = TypeVar("T")


def read_credentials(api: TwilioApi) -> list[LiveCredential]:
    """All credentials of the account, as Conversations lists them. Raises `TwilioError`."""
    return [found for page in api.pages("conversations", _PATH, read=_read_page) for found in page.content]


def _read_page(body: bytes) -> tuple[Meta, list[LiveCredential]]:
    meta, records = records_of(body, "credentials")
    try:
        return meta, [LiveCredential.from_twilio(record) for record in records]
    except (LookupError, TypeError, AttributeError):
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
            code = "credential-exists" if len(like) == 1 else "credential-ambiguous"
            findings += [Finding(code, None, f"{found.sid} {found.friendly_name}") for found in like]
    return changes, findings


def stale_credentials(api: TwilioApi, changes: Sequence[CredentialChange]) -> list[str]:
    """The SIDs of credentials that somebody has changed since the plan was made."""
    live = read_credentials(api) if changes else []
    return [change.existing.sid for change in changes if change.existing and change.existing not in live]


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
        config = change.config
        like, latest = self._like(config), self._journal.latest_credential(change)
        status = latest[1].status if latest else None
        if like and latest and status is None and not _flaw(config, like):
            self._journal.end(latest[0], "applied", like[0])  # it had arrived, though nobody was there to see it
            status = "applied"
        if like:
            if flaw := _flaw(config, like):
                return Outcome(change, "failed", flaw)
            whose = "by an earlier run" if status == "applied" else "made meanwhile"
            return Outcome(change, "applied" if status == "applied" else "already", f"{like[0].sid}, {whose}")
        if status == "applied":
            return Outcome(change, "stale", "it is not there any more")
        form = {"Type": config.type, "FriendlyName": config.friendly_name, **_sandbox(config), **secrets}
        number = self._begin(change)
        like = self._post(number, _PATH, form, lambda: self._like(config), like)
        return self._end(change, number, like)

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
        is_open = latest is not None and latest[1].status is None
        # Where a write of ours was begun, its date may be ours. A secret that is written again stays the same.
        if live != existing and not (is_open and live.is_like(config)):
            return Outcome(change, "stale", "changed since the plan was made")
        path, number = f"{_PATH}/{live.sid}", self._begin(change)
        after = self._post(number, path, {**_sandbox(config), **secrets}, lambda: self._at(live.sid), [live])
        return self._end(change, number, after)

    def _post(self, number: int, path: str, form: Form, look: Callable[[], T], before: T) -> T:
        """Send a form, and give what is seen then; again while nothing is changed and patience lasts."""
        sent = False

        def attempt() -> T:
            nonlocal sent
            if sent and (after := look()) != before:
                return after
            self._pace.wait()
            sent = True
            try:
                self._api.post("conversations", path, form)
            except TransientTwilioError:  # done or not: what is seen tells
                after = look()
                if after == before:
                    raise
                return after
            return look()

        try:
            return self._api.insist(attempt)
        except TransientTwilioError:  # nothing can be seen: it stays open, and is settled by the next run
            raise
        except TwilioError:
            self._journal.end(number, "failed", None)
            raise

    def _begin(self, change: CredentialChange) -> int:
        """Journal the intent; one of an earlier run that is open still did not arrive, as far as can be seen."""
        latest = self._journal.latest_credential(change)
        if latest and latest[1].status is None:
            self._journal.end(latest[0], "failed", change.existing)
        return self._journal.begin_credential(change)

    def _end(self, change: CredentialChange, number: int, found: Sequence[LiveCredential]) -> Outcome:
        """Journal what is there after a write, and tell it."""
        flaw = _flaw(change.config, found)
        self._journal.end(number, "failed" if flaw else "applied", found[0] if found else None)
        return Outcome(change, "failed", flaw) if flaw else Outcome(change, "applied", f"its SID is {found[0].sid}")

    def _like(self, config: CredentialConfig) -> list[LiveCredential]:
        """The credentials of that type and name."""
        return [found for found in read_credentials(self._api) if found.is_like(config)]

    def _at(self, sid: str) -> list[LiveCredential]:
        """The credential of that SID, if there is one."""
        return [found for found in read_credentials(self._api) if found.sid == sid]


def _flaw(config: CredentialConfig, found: Sequence[LiveCredential]) -> str:
    """What is wrong with the credentials that are there for a desired one; empty if nothing is."""
    if not found:
        return "it is not there after the write"
    if len(found) > 1:
        return f"there are several of its type and name: {', '.join(one.sid for one in found)}"
    (one,) = found
    if not one.is_like(config):
        return f"{one.sid} has another type or name"
    if config.sandbox is not None and str(one.sandbox).lower() != form_value(config.sandbox):
        return f"{one.sid} is of Apple's {'production' if config.sandbox else 'sandbox'}"
    return ""


def _sandbox(config: CredentialConfig) -> Form:
    return {} if config.sandbox is None else {"Sandbox": form_value(config.sandbox)}
