"""Credentials: what there is to say of the one that a binding uses, and which one takes its place.

A binding's credential comes from the access token when its device registers, so a new one means new tokens and a
new registration (FACTS.md, "Credentials").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from migrate.map.rules import Rules
from migrate.model.credential import Credential
from migrate.model.finding import Finding

Note = tuple[str, str]  # a finding's code, and what it is about
NOT_PROVEN = (
    "no push error of the 30 days before the snapshot says so, which proves nothing where no push was sent with it"
)


@dataclass(frozen=True)
class Succession:
    """Which credential a device is to register with; None: not decided yet. `is_new`: another than it had."""

    credential_sid: str | None
    notes: tuple[Note, ...]
    rules: tuple[str, ...] = ()
    is_new: bool = False


@dataclass(frozen=True)
class Proven:
    """What push errors prove of credentials as they are now: what is to be said of each, by its SID.

    `legacy` are those that hold a legacy server key.
    """

    notes: Mapping[str, tuple[Note, ...]]
    legacy: frozenset[str]


@dataclass(frozen=True)
class Credentials:
    """The account's credentials by SID, as the snapshot has them. Twilio does not show more than it has of each."""

    account: Mapping[str, Credential]
    proven: Proven | None = None  # None where push errors were not read

    @classmethod
    def of(cls, credentials: Iterable[Credential], proven: Proven | None = None) -> Credentials:
        """From credentials in any order, and what `migrate.map.push_errors` finds proven of them."""
        return cls({credential.sid: credential for credential in credentials}, proven)

    def succession(self, sid: str | None, binding_type: str | None, target: str | None, rules: Rules) -> Succession:
        """What follows on a live binding's credential, and all that is to be said of both.

        `target` is the binding's type in Conversations, None without one.
        """
        if target is None:
            return Succession(None, ())
        new = rules.credentials.get(sid or "")
        if sid is None or new is None:
            # GCM is gone: what a device registered with cannot be what it registers with again.
            if binding_type != target:
                return Succession(None, (("binding-gcm", sid or "no credential"),))
            return Succession(sid, tuple(self._notes(sid, target, rules)) if sid else ())
        known = self.account.get(new)
        about, named = f"{sid} → {new}", (f"credentials.{sid}",)
        if known is None:  # misspelt, or newer than the snapshot: nothing proves that devices can use it
            return Succession(None, (("credential-replacement-missing", about),), named)
        if known.type != target:
            return Succession(None, (("credential-replacement-unfit", about),), named)
        notes = list(self._notes(new, target, rules))
        if new != sid:
            notes.append(("credential-replaced", about))
        return Succession(new, tuple(notes), named, is_new=new != sid)

    def _notes(self, sid: str, target: str, rules: Rules) -> Iterable[Note]:
        """What is to be said of the credential that devices of a type are to register with."""
        if self.proven:
            yield from self.proven.notes.get(sid, ())
        found = self.account.get(sid)
        if found is None:
            yield "credential-missing", sid
            return
        if found.type != target:
            yield "credential-unfit", sid
        if found.sandbox:
            yield "credential-sandbox", sid
        if found.type == "fcm" and _is_before(found.updated, rules.fcm_legacy_before):
            if self.proven is None:
                yield "credential-fcm-legacy", sid
            elif sid not in self.proven.legacy:
                yield "credential-fcm-legacy", f"{sid}: {NOT_PROVEN}"

    def findings(self, used: set[str], rules: Rules, *, whole: bool) -> list[Finding]:
        """What is to be said of the account's credentials; `used` are those that any binding has.

        `whole` is false where only some bindings were extracted, and nothing follows from there being none.
        """
        named = set(rules.credentials.values())
        unused = sorted(set(self.account) - used - named) if whole else []
        strange = sorted(set(rules.credentials) - used) if whole else []
        return [Finding("credential-unused", None, sid) for sid in unused] + [
            Finding("rule-unused", None, f"credentials.{sid}") for sid in strange
        ]


def _is_before(updated: date | None, day: date) -> bool:
    return updated is not None and updated < day
