"""Twilio's resources: the path of each, once. Both APIs have the same, below /v2 in Chat and /v1 in Conversations."""

from __future__ import annotations

SERVICES = "/Services"
CREDENTIALS = "/Credentials"


def service_path(service_sid: str) -> str:
    """A service."""
    return f"{SERVICES}/{service_sid}"


def bindings_path(service_sid: str) -> str:
    """The bindings of a service: a list."""
    return f"{service_path(service_sid)}/Bindings"


def binding_path(service_sid: str, sid: str) -> str:
    """One of them."""
    return f"{bindings_path(service_sid)}/{sid}"


def notifications_path(service_sid: str) -> str:
    """The push settings of a service: in Conversations alone, because Chat has them in the service itself."""
    return f"{service_path(service_sid)}/Configuration/Notifications"


def credential_path(sid: str) -> str:
    """A push credential; the list of all is `CREDENTIALS`."""
    return f"{CREDENTIALS}/{sid}"
