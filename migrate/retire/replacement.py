"""Replacement: whether a registration in Conversations is shown to give a device all that a binding of Chat gives it.

A deleted binding cannot be brought back. So it counts as needed until every condition here speaks for the opposite,
and what is unknown speaks for nothing. The rule is a function of evidence, which its caller has read. Each condition
names one way in which a push would be lost; none relies on another, or on its place.

What pushes look like (text, sound, badge) is no part of it: settings can be written again, a binding cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from migrate.model.config_check import MEDIA
from migrate.model.registration import PUSHED_THROUGH, SUCCESSORS
from migrate.retire.pushes import (
    asks_for,
    has_chat_name,
    has_conversations_name,
    has_invites,
    has_unknown_name,
    has_unknown_push,
    is_names,
    off_in_conversations,
    pushed_by_chat,
)

Object = Mapping[str, Any]  # an object of Twilio's, with text for dates, or a row of a snapshot, with times
# Whether something has changed since the list was made, or both sides have the binding, or it is needed.
LeftAlone = Literal["changed", "shared", "unready", "needed"]

LIFETIME = timedelta(days=365)  # of a registration that is not renewed (FACTS.md, "Binding")
FASTEST_CLOCK = timedelta(days=1)  # how far ahead a date may be and still be one
# Google's server keys had stopped working by then: a credential not touched since may still hold one (FACTS.md,
# "Credentials").
SERVER_KEYS_ENDED = datetime(2024, 5, 15, tzinfo=UTC)

_IDENTIFYING = ("sid", "identity", "endpoint", "binding_type", "credential_sid")


@dataclass(frozen=True)
class Evidence:
    """All that decides whether a binding of Chat may be deleted.

    `held` is the binding as the snapshot has it, with its `service_sid`, and `binding` as Chat shows it now. `listed`
    is the registration that may take its place as it was when the list was made, and `registration` as Conversations
    shows it now, empty if it is not there. `is_shared`: Conversations has the binding's own SID too. `notifications`
    and `settings` are those of the service in Chat and in Conversations, as they came; `chat_service` is the SID of
    the service that Chat answered with, None where it has none by the SID asked for. `credentials` are those of the
    two bindings that the account has, by SID. `now` is the source's time.
    """

    held: Object
    binding: Object
    listed: Object
    registration: Object
    is_shared: bool
    chat_service: Any
    notifications: Any
    settings: Any
    credentials: Mapping[str, Object]
    now: datetime

    @property
    def names(self) -> Any:
        """The message types that the binding asks for."""
        return self.binding.get("message_types")

    @property
    def registered_names(self) -> Any:
        """The message types that the registration asks for."""
        return self.registration.get("message_types")

    @property
    def registered_at(self) -> datetime | None:
        """When the device has registered with Conversations, at the earliest."""
        dates = (time_of(self.registration.get(name)) for name in ("date_created", "date_updated"))
        return max((found for found in dates if found), default=None)

    @property
    def pushed_by_chat(self) -> list[str]:
        """What the binding asks for and Chat pushes, or may push, in Conversations' names."""
        return pushed_by_chat(self.names, self.notifications)

    def credential(self, binding: Object) -> Object | None:
        """The credential of one of the two bindings, if the account has it."""
        sid = binding.get("credential_sid")
        found = self.credentials.get(sid) if isinstance(sid, str) else None
        return found if isinstance(found, Mapping) and found.get("sid") == sid else None


@dataclass(frozen=True)
class Condition:
    """One reason for which a binding is left alone: its name, which outcome that is, and whether it `holds`."""

    name: str
    outcome: LeftAlone
    holds: Callable[[Evidence], bool]


def why_needed(evidence: Evidence, conditions: Sequence[Condition] | None = None) -> Condition | None:
    """The first condition for which a binding must be left alone; None if the registration replaces it."""
    return next((each for each in conditions or CONDITIONS if each.holds(evidence)), None)


def pushes_off(evidence: Evidence) -> list[str]:
    """What the binding asks for, Chat pushes, or may push, and Conversations does not, in Conversations' names."""
    return off_in_conversations(evidence.pushed_by_chat, evidence.settings)


def time_of(value: Any) -> datetime | None:
    """A time of Twilio's or of a snapshot, in UTC where it does not say; None for anything else."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _is_changed(evidence: Evidence) -> bool:
    """The binding is not as the snapshot has it: its device has been seen since, or it is another's."""
    return not _are_same(evidence.held, evidence.binding, ("date_updated",))


def _is_another(evidence: Evidence) -> bool:
    """The registration is gone, or not as it was when the list was made."""
    return not _are_same(evidence.listed, evidence.registration, ("date_created", "date_updated"))


def _are_same(then: Object, now: Object, dates: Sequence[str]) -> bool:
    if any(then.get(name) != now.get(name) for name in _IDENTIFYING):
        return False
    if any(_moment(then.get(name)) != _moment(now.get(name)) for name in dates):
        return False
    before, after = then.get("message_types"), now.get("message_types")
    if before is None or after is None:
        return before is after
    return is_names(before) and is_names(after) and sorted(before) == sorted(after)  # their order means nothing


def _moment(value: Any) -> Any:
    return time_of(value) or value


def _is_shared(evidence: Evidence) -> bool:
    """What both sides have by one SID may be one object there: deleting one deletes the other."""
    return evidence.is_shared or evidence.binding.get("sid") == evidence.registration.get("sid")


def _is_of_another_service(evidence: Evidence) -> bool:
    service_sid = evidence.held.get("service_sid")
    settings = evidence.settings if isinstance(evidence.settings, Mapping) else {}
    said = (
        evidence.chat_service,
        evidence.binding.get("service_sid"),
        evidence.registration.get("chat_service_sid"),
        settings.get("chat_service_sid"),
    )
    return any(sid not in (None, service_sid) for sid in said)


def _is_another_device(evidence: Evidence) -> bool:
    """A device is known by its identity and endpoint; a user's other device proves nothing of this one."""
    pairs = [(evidence.binding.get(name), evidence.registration.get(name)) for name in ("identity", "endpoint")]
    return any(not chats or not isinstance(chats, str) or chats != theirs for chats, theirs in pairs)


def _is_another_platform(evidence: Evidence) -> bool:
    """GCM is dead: what Chat has comes back as FCM, and a registration by GCM in Conversations gets none."""
    former, now = evidence.binding.get("binding_type"), evidence.registration.get("binding_type")
    return now not in PUSHED_THROUGH or SUCCESSORS.get(str(former), former) != now


def _is_not_conversations(evidence: Evidence) -> bool:
    """It is not shown that the Conversations SDK has made the registration; names of Chat's speak against it."""
    return not has_conversations_name(evidence.registered_names) or has_chat_name(evidence.registered_names)


def _is_expired(evidence: Evidence) -> bool:
    registered = evidence.registered_at
    return registered is not None and registered < evidence.now - LIFETIME


def _is_in_the_future(evidence: Evidence) -> bool:
    """A date from a wrong clock is later than any, and so says nothing."""
    registered = evidence.registered_at
    return registered is not None and registered > evidence.now + FASTEST_CLOCK


def _is_seen_since(evidence: Evidence) -> bool:
    """Chat has seen the device since it registered with Conversations, or nothing shows that it has not."""
    registered, updated = evidence.registered_at, time_of(evidence.binding.get("date_updated"))
    if updated is None:
        return True
    created = time_of(evidence.binding.get("date_created"))
    return registered is not None and registered <= max(updated, created or updated)


def _has_misfit_credential(evidence: Evidence) -> bool:
    credential = evidence.credential(evidence.registration)
    return credential is not None and credential.get("type") != evidence.registration.get("binding_type")


def _has_unproven_credential(evidence: Evidence) -> bool:
    """Pushes go through another credential than Chat's, and nothing shows that it works for the device: another
    environment of Apple's, or perhaps one of Google's former server keys.
    """
    new, former = evidence.credential(evidence.registration), evidence.credential(evidence.binding)
    if new is None or evidence.registration.get("credential_sid") == evidence.binding.get("credential_sid"):
        return False
    if evidence.registration.get("binding_type") == "apn":
        return former is None or former.get("sandbox") != new.get("sandbox")
    updated = time_of(new.get("date_updated"))
    return updated is None or updated < SERVER_KEYS_ENDED


def _is_not_asked_for(evidence: Evidence) -> bool:
    """The registration does not ask for a push that the binding asks for and Chat pushes."""
    return not all(asks_for(evidence.registered_names, push) for push in evidence.pushed_by_chat)


CONDITIONS: tuple[Condition, ...] = (
    Condition("changed", "changed", _is_changed),
    Condition("shared", "shared", _is_shared),
    # Chat's binding was made by the Conversations SDK: it may be the registration itself.
    Condition("conversations-own", "shared", lambda this: has_conversations_name(this.names)),
    Condition("registration-changed", "unready", _is_another),
    # Chat does not show the service: it is switched off, or another's. What it pushes is not known.
    Condition("no-service", "needed", lambda this: this.chat_service is None),
    Condition("other-service", "needed", _is_of_another_service),
    Condition("other-device", "needed", _is_another_device),
    Condition("other-platform", "needed", _is_another_platform),
    Condition("not-conversations", "needed", _is_not_conversations),
    Condition("undated", "needed", lambda this: this.registered_at is None),
    Condition("expired", "needed", _is_expired),
    Condition("future", "needed", _is_in_the_future),
    Condition("seen-since", "needed", _is_seen_since),
    Condition("no-credential", "needed", lambda this: this.credential(this.registration) is None),
    Condition("credential-type", "needed", _has_misfit_credential),
    Condition("credential-unproven", "needed", _has_unproven_credential),
    Condition("unknown-message-type", "needed", lambda this: has_unknown_name(this.names)),
    Condition("unknown-push", "needed", lambda this: has_unknown_push(this.notifications)),
    Condition("invites", "needed", lambda this: has_invites(this.names, this.notifications)),
    Condition("not-asked-for", "needed", _is_not_asked_for),
    Condition("push-off", "needed", lambda this: any(push != MEDIA for push in pushes_off(this))),
    Condition("media-off", "needed", lambda this: MEDIA in pushes_off(this)),
)
