"""Reasons: what stops a user's pushes, as far as it is known. Functions of facts; nothing is read here.

A push needs three things, in this order: a live registration of the device with a credential, a switch that is on in
the service, and a provider that takes what is sent. A reason that is shown to stop every push goes before one that
only may; among these the order is that of the push's way. What stops a user's pushes through Chat already goes before
that the user is not registered with Conversations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from migrate.model.text import count
from migrate.why.facts import Facts
from migrate.why.provider import provider_reasons
from migrate.why.reason import Reason, Stops, platforms, sids
from migrate.why.registration import credential_reasons, registration_reasons
from migrate.why.switches import switch_reasons

_MOST = 10  # bindings of one identity that are nothing to speak of (FACTS.md, "Binding")
_ORDER: tuple[Stops, ...] = ("yes", "perhaps", "no")
NOTHING = Reason(
    "nothing-found",
    "no",
    "REST shows nothing wrong: the device is registered, the push is on, and its credential is there",
    "Look at the phone: is the app in the foreground (then it shows no push), the conversation or the user muted, "
    "the app's permission to notify or the channel switched off; then at the app's log of what it received. That no "
    "push error is known is no proof of health",
)


@dataclass(frozen=True)
class Verdict:
    """The reasons, the one that stops the push first before the others, and what is not known."""

    reasons: tuple[Reason, ...]
    unknown: tuple[str, ...]

    @property
    def first(self) -> Reason:
        """The reason that the answer names."""
        return self.reasons[0]


def judge(facts: Facts) -> Verdict:
    """Why a user gets no push."""
    found = [
        *registration_reasons(facts),
        *credential_reasons(facts),
        *switch_reasons(facts),
        *provider_reasons(facts),
        *_duplicates(facts),
    ]
    # To register elsewhere does not help whom even Chat cannot push to.
    is_on_chat_alone = bool(facts.of_chat) and not facts.registered
    ordered = sorted(found, key=lambda one: (_ORDER.index(one.stops), not (is_on_chat_alone and one.stops_chat_too)))
    return Verdict(tuple(ordered) or (NOTHING,), tuple(_unknown(facts)))


def _duplicates(facts: Facts) -> Iterator[Reason]:
    """A device that is registered more than once, under this identity or others."""
    some = facts.candidates
    numbers = Counter((one.endpoint, one.platform) for one in some)
    if twice := [one for one in some if one.endpoint and numbers[one.endpoint, one.platform] > 1]:
        yield Reason(
            "registered-twice",
            "no",
            f"the same device is registered {count(len(twice), 'time')} ({platforms(twice)}): it may ring more than "
            "once, or by a registration that is not the latest",
            "Have the app unregister before it registers with another token, and look at which of them is the latest",
            sids(twice),
        )
    if shared := [one for one in some if one.sid in (facts.shared or ())]:
        yield Reason(
            "device-shared",
            "perhaps",
            "the device is registered under another identity, too: somebody else may be signed in on that phone",
            "Have the app unregister at logout; ask who is signed in on the phone",
            sids(shared),
        )
    if len(some) > _MOST:
        yield Reason(
            "crowded",
            "no",
            f"the user has {len(some):,} live registrations, most of which are probably of former tokens",
            "Have the app unregister at logout; what is old expires after a year",
            sids(some),
        )


def _unknown(facts: Facts) -> Iterator[str]:
    """What is not known, and would matter."""
    for name, side in (("Chat", facts.chat), ("Conversations", facts.conversations)):
        if side.unread:
            yield f"the bindings in {name}: {side.unread}"
        elif side.partly:
            yield f"whether these are all of the bindings in {name}: {side.partly}"
    if undated := [one for one in facts.bindings if one.last_seen is None]:
        yield f"when {count(len(undated), 'binding')} was registered, and whether it has expired"
    known = {sid for sid, found in facts.credentials.items() if found is None or found.type}
    if unread := {one.credential_sid for one in facts.bindings if one.credential_sid} - known:
        yield f"the type of {count(len(unread), 'credential')}, which could not be read"
    planned, errors = facts.planned, facts.errors
    doubts = {
        "Chat's push settings": facts.notifications is None,
        "the push settings in Conversations": facts.settings is None and not facts.conversations.is_missing,
        "whether the device is registered under another identity, which only a snapshot shows": facts.shared is None,
        "whether Twilio takes the bindings for this user's: they spell the identity otherwise": any(
            text != facts.identity for text in facts.spellings
        ),
        "what load would change, and which credentials are meant: no mapped folder is named": planned is None,
        f"whether the mapped folder is up to date: {planned.doubt if planned else ''}": planned and planned.doubt,
        f"whether APNs or FCM refuses pushes: {errors.unread}": errors.unread,
        f"whether these are all push errors: {errors.partly}": errors.partly,
    }
    yield from (doubt for doubt, holds in doubts.items() if holds)
