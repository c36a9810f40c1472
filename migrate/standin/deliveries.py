"""Deliveries: which device gets which pushes, from Chat and from Conversations, as the world stands.

An oracle for whoever deletes bindings. It errs on the side of the device: of Chat it counts what may come, of
Conversations what is sure to come (FACTS.md). It is written from the facts alone, and shares no code with those who
decide what may be deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from migrate.standin.world import Binding, Credential, Service, World

_YEAR, _DAY = timedelta(days=365), timedelta(days=1)
_SERVICE_ACCOUNTS_ONLY = datetime(2024, 5, 15, tzinfo=UTC)  # Google's former server keys are not taken from then on
TEXT, MEDIA, ADDED, REMOVED, INVITED = "a message", "a media message", "being added", "being removed", "an invite"
_SILENT = {"typing_indicator", "consumption_update"}


def lost_with(world: World, service: Service, binding: Binding) -> list[str]:
    """What a device may get through Chat by a binding, and is not sure to get from Conversations without it."""
    given: set[str] = set()
    for other in service.conversations_bindings + (service.bindings if service.shows_chat else []):
        if other is not binding and other.endpoint == binding.endpoint and _takes_over(world, binding, other):
            given |= _sure_from_conversations(service, other)
    return sorted(_possible_from_chat(service, binding) - given)


def _possible_from_chat(service: Service, binding: Binding) -> set[str]:
    if binding.message_types is None:
        return {TEXT, MEDIA, ADDED, REMOVED, INVITED, "whatever else it asks for"}
    found: set[str] = set()
    for name in binding.message_types:
        found |= set(_of_chat(service.notifications, name))
    switches = service.notifications if isinstance(service.notifications, dict) else {}
    documented = {"log_enabled", "new_message", "added_to_channel", "invited_to_channel", "removed_from_channel"}
    found |= {f"what {name} is" for name in switches if name not in documented and not _is_off(switches, name)}
    return found


def _of_chat(notifications: Any, name: str) -> Iterator[str]:
    """The pushes that a message type may bring."""
    for prefix in ("twilio.channel.", "twilio.ipmsg."):
        if name.startswith(prefix):
            name = name[len(prefix) :]
            break
    if name == "new_message":
        if not _is_off(notifications, name):
            yield from (TEXT, MEDIA)
    elif name in ("added_to_channel", "removed_from_channel", "invited_to_channel"):
        if not _is_off(notifications, name):
            yield {"added": ADDED, "removed": REMOVED, "invited": INVITED}[name.split("_")[0]]
    elif name not in _SILENT:
        yield f"what {name} is"


def _is_off(notifications: Any, name: str) -> bool:
    try:
        return notifications[name]["enabled"] is False
    except (LookupError, TypeError):
        return False


def _takes_over(world: World, former: Binding, new: Binding) -> bool:
    """Whether a registration reaches the device of a binding, for certain."""
    if not (former.identity and former.endpoint) or (former.identity, former.endpoint) != (
        new.identity,
        new.endpoint,
    ):
        return False
    wanted = "fcm" if former.binding_type in ("gcm", "fcm") else "apn" if former.binding_type == "apn" else None
    if wanted is None or new.binding_type != wanted:
        return False
    dates = [date for date in (new.created, new.updated) if date is not None]
    if not dates or former.updated is None:
        return False
    registered, seen = max(dates), max(former.updated, former.created or former.updated)
    if not (world.now - _YEAR <= registered <= world.now + _DAY and registered > seen):
        return False
    return _is_of_conversations(new) and _works(world, former, new)


def _is_of_conversations(binding: Binding) -> bool:
    names = binding.message_types or ()
    theirs = [name for name in names if name.startswith("twilio.conversations.") or name.endswith("_conversation")]
    chats = [
        name for name in names if name.startswith(("twilio.channel.", "twilio.ipmsg.")) or name.endswith("_channel")
    ]
    return bool(theirs) and not chats


def _works(world: World, former: Binding, new: Binding) -> bool:
    """Whether pushes get through with the registration's credential wherever they do with the binding's."""
    credential: Credential | None = world.credentials.get(new.credential_sid or "")
    if credential is None or credential.type != new.binding_type:
        return False
    if new.credential_sid == former.credential_sid:
        return True
    if credential.type == "fcm":
        return credential.updated is not None and credential.updated >= _SERVICE_ACCOUNTS_ONLY
    old = world.credentials.get(former.credential_sid or "")
    return old is not None and old.sandbox == credential.sandbox


def _sure_from_conversations(service: Service, registration: Binding) -> set[str]:
    settings = service.configuration or {}
    names = {name.removeprefix("twilio.conversations.") for name in registration.message_types or ()}
    found = set()
    for name, path, push in (
        ("new_message", "new_message", TEXT),
        ("new_message", "new_message.with_media", MEDIA),
        ("added_to_conversation", "added_to_conversation", ADDED),
        ("removed_from_conversation", "removed_from_conversation", REMOVED),
    ):
        if name in names and settings.get(f"{path}.enabled") is True:
            found.add(push)
    if TEXT not in found:
        found.discard(MEDIA)
    return found
