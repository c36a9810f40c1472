"""The form of Twilio's SIDs: two letters and 32 hexadecimal digits (the OpenAPI documents' patterns)."""

from __future__ import annotations

import re

_SERVICE = re.compile(r"IS[0-9a-fA-F]{32}")
_CREDENTIAL = re.compile(r"CR[0-9a-fA-F]{32}")
_BINDING = re.compile(r"BS[0-9a-fA-F]{32}")


def normal(text: str) -> str:
    """A SID as Twilio writes it: its letters in capitals, its digits in lower case."""
    return text[:2].upper() + text[2:].lower()


def is_service_sid(text: str) -> bool:
    """Whether a text has the form of a service's SID; only Twilio knows whether there is such a service."""
    return _SERVICE.fullmatch(text) is not None


def is_credential_sid(text: str) -> bool:
    """Whether a text has the form of a credential's SID."""
    return _CREDENTIAL.fullmatch(text) is not None


def is_binding_sid(text: str) -> bool:
    """Whether a text has the form of a binding's SID."""
    return _BINDING.fullmatch(text) is not None
