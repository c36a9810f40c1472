"""Reasons in a service's push settings: what is off in Conversations, and what would switch it on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from migrate.model.config_check import MEDIA
from migrate.model.push_config import PUSHES, unreadable_of
from migrate.model.registration import SAME_PUSH, SHARED_NAME
from migrate.model.text import listed
from migrate.retire.pushes import asks_for
from migrate.why.facts import Facts
from migrate.why.reason import Reason, sids, stops, those

Switch = Literal["on", "off", "unknown"]
SWITCHES = (PUSHES[0], MEDIA, *PUSHES[1:])  # in the order in which people read them
_CHATS = {theirs: ours for ours, theirs in SAME_PUSH.items()}


def in_conversations(facts: Facts, push: str) -> Switch:
    """Whether Conversations pushes this."""
    path = f"{push}.enabled"
    if facts.settings is None or path in unreadable_of(facts.settings):
        return "unknown"
    return "on" if facts.settings.get(path) is True else "off"


def in_chat(notifications: Any, push: str) -> Switch:
    """Whether Chat pushes this, by Conversations' name; media with new messages. What is not stated is unknown."""
    chats = SHARED_NAME if push == MEDIA else _CHATS.get(push, push)
    said = notifications.get(chats) if isinstance(notifications, Mapping) else None
    enabled = said.get("enabled") if isinstance(said, Mapping) else None
    if not isinstance(enabled, bool):
        return "unknown"
    return "on" if enabled else "off"


def switch_reasons(facts: Facts) -> Iterator[Reason]:
    """Which pushes are off, or may be, and whether the registrations ask for what is on."""
    if facts.conversations.is_missing:
        return
    states = {push: in_conversations(facts, push) for push in SWITCHES}
    if states[SHARED_NAME] == "unknown":
        yield Reason(
            "push-unknown",
            "perhaps",
            "it is not known whether Conversations pushes new messages: its settings could not be read as documented",
            "Read the service's notification settings by hand (Configuration/Notifications), or ask Twilio",
        )
    off = [push for push, state in states.items() if state == "off" and _matters(facts, push)]
    if SHARED_NAME in off:
        is_off_in_chat = in_chat(facts.notifications, SHARED_NAME) == "off"
        too = ", as it is in Chat" if is_off_in_chat else ""
        off = [push for push in off if push != MEDIA]
        yield Reason(
            "push-off",
            "yes",
            f"pushes are switched off in the service's settings in Conversations: {listed(off)}{too}",
            _switch_on(facts, off),
            stops_chat_too=is_off_in_chat,
        )
    elif off:
        yield Reason(
            "some-pushes-off",
            "perhaps",
            f"some pushes that Chat sends are switched off in the service's settings in Conversations: {listed(off)}",
            f"Ask which push it is. {_switch_on(facts, off)}",
        )
    yield from _not_asked_for(facts)


def _matters(facts: Facts, push: str) -> bool:
    """New messages always do; other pushes where Chat says that it sends them."""
    return push == SHARED_NAME or in_chat(facts.notifications, push) == "on"


def _switch_on(facts: Facts, off: Sequence[str]) -> str:
    """What switches them on: the plan, a decision, or a person."""
    planned = facts.planned
    if planned is None:
        return "Map the snapshot and load it; or, where it was loaded, find out who switched it off"
    paths = {f"{push}.enabled" for push in off}
    written = {path for path in (planned.change.fields if planned.change else ()) if path in paths}
    switched = {path for path in written if planned.change and planned.change.desired[path] is True}
    if planned.left_out:
        return "The rules leave this service out: change them and map again, or switch it on by hand"
    if switched == paths:
        return "load would switch it on: apply its plan"
    if {proposal.path for proposal in planned.waiting} & paths:
        return "It waits for a decision: state it in push-config.yaml, then load"
    return "push-config.yaml does not switch it on: state it there, then load"


def _not_asked_for(facts: Facts) -> Iterator[Reason]:
    some = facts.registered
    without = [one for one in some if not asks_for(list(one.message_types or ()), SHARED_NAME)]
    if without:
        yield Reason(
            "not-asked-for",
            stops(without, some),
            f"new messages are not asked for by {those(without, some)}",
            "The app's SDK decides what it registers for: update the app, and register again",
            sids(without),
        )
