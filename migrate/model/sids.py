"""The form of Twilio's SIDs, in one place: two letters that name the kind, and 32 hexadecimal digits.

The letters are capitals. Twilio's OpenAPI documents allow digits of either case; what Twilio issues is in lower case,
and so two SIDs that differ in the case of their digits alone are one SID.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

_SID = re.compile(r"(AC|SK|IS|BS|CR|NO)[0-9a-fA-F]{32}")
ACCOUNT, API_KEY, SERVICE, BINDING, CREDENTIAL, ALERT = "AC", "SK", "IS", "BS", "CR", "NO"
# Within a text, nothing that may belong to a longer word: a token can hold the letters of a SID.
_IN_TEXT = re.compile(rf"(?<![A-Za-z0-9_-]){_SID.pattern}(?![A-Za-z0-9_-])")
DIGITS = "32 hexadecimal digits"


def kind_of(value: Any) -> str:
    """The two letters of a SID; empty for a value that has not the form of one."""
    found = _SID.fullmatch(value) if isinstance(value, str) else None
    return found[1] if found else ""


def normal(text: str) -> str:
    """A SID as Twilio writes it: its letters in capitals, its digits in lower case."""
    return text[:2].upper() + text[2:].lower()


def sids_in(text: str) -> frozenset[str]:
    """The SIDs that stand in a text, also in percent encoding, as Twilio writes them."""
    return frozenset(normal(found[0]) for form in {text, unquote(text)} for found in _IN_TEXT.finditer(form))


def is_account_sid(value: Any) -> bool:
    """Whether a value has the form of an account's SID, as Twilio issues it."""
    return kind_of(value) == ACCOUNT and value == normal(value)


def is_api_key_sid(value: Any) -> bool:
    """Whether a value has the form of an API key's SID, as Twilio issues it."""
    return kind_of(value) == API_KEY and value == normal(value)


def is_service_sid(value: Any) -> bool:
    """Whether a value has the form of a service's SID; only Twilio knows whether there is such a service."""
    return kind_of(value) == SERVICE


def is_credential_sid(value: Any) -> bool:
    """Whether a value has the form of a credential's SID."""
    return kind_of(value) == CREDENTIAL


def is_binding_sid(value: Any) -> bool:
    """Whether a value has the form of a binding's SID."""
    return kind_of(value) == BINDING
