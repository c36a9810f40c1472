"""Two separate sides: Conversations shows none of Chat's bindings, and devices have registered there by their own."""

from __future__ import annotations

from datetime import timedelta

from migrate.standin.world import Binding, Service, World, binding_sid

_MESSAGE_TYPES = ("new_message", "added_to_conversation", "removed_from_conversation")
_AGO = timedelta(hours=1)  # since they registered
_COME_BACK_AS = {"apn": "apn", "fcm": "fcm", "gcm": "fcm"}


def separate(world: World) -> None:
    """Let every other device that Chat knows have registered with Conversations, by a binding that is there alone.

    Those that the world says have registered stay as they are. One that needs a credential which the account does
    not have does not register.
    """
    for service in world.services.values():
        service.shows_chat = False
        if service.configuration is not None:
            _register(world, service)


def _register(world: World, service: Service) -> None:
    there = {_device(binding) for binding in service.conversations_bindings}
    turn = 0
    for binding in service.bindings:
        kind = _COME_BACK_AS.get(binding.binding_type or "")
        credential = _credential(world, binding, kind)
        if not (binding.identity and binding.endpoint and kind and credential) or _device(binding) in there:
            continue
        there.add(_device(binding))
        turn += 1
        if turn % 2:
            service.last_number += 1
            number, registered = service.last_number, world.now - _AGO
            service.conversations_bindings.append(
                Binding(
                    number=number,
                    sid=binding_sid(service.sid, number),
                    identity=binding.identity,
                    endpoint=binding.endpoint,
                    binding_type=kind,
                    credential_sid=credential,
                    message_types=[f"twilio.conversations.{name}" for name in _MESSAGE_TYPES],
                    created=registered,
                    updated=registered,
                )
            )


def _device(binding: Binding) -> tuple[str | None, str | None]:
    return binding.identity, binding.endpoint


def _credential(world: World, binding: Binding, kind: str | None) -> str | None:
    """The credential that a device registers with: its own, or where that is of a kind that is gone, the latest."""
    own = world.credentials.get(binding.credential_sid or "")
    if own and own.type == kind:
        return own.sid
    like = [found for found in world.credentials.values() if found.type == kind and found.updated]
    return max(like, key=lambda found: (found.updated or world.now, found.sid)).sid if like else None
