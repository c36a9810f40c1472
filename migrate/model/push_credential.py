"""Push credentials as the push configuration states them, and as Twilio shows them: neither holds a secret.

A secret is named by a reference, `env:NAME` or `file:PATH`, and looked up when a plan is applied. What Twilio has of
it cannot be read back (FACTS.md, "Credentials").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from migrate.model.documents import CredentialSid, DocumentError, builtins, decode
from migrate.model.sids import is_credential_sid

CREDENTIAL = "credential"  # the kind of such a change in plans and journals
_LEAST = 8  # letters of a name that was cut, by which it is still known
LONGEST_NAME = 64  # characters, by Twilio's OpenAPI document
_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+")
Type = Literal["apn", "fcm"]
P12, P12_PASSWORD = "p12", "p12_password"
# By type: the key in push-config.yaml and the form field of each secret. GCM is gone, and gets none.
SECRETS: Mapping[str, Mapping[str, str]] = {
    "apn": {"certificate": "Certificate", "private_key": "PrivateKey"},
    "fcm": {"secret": "Secret"},
}

# By type: all keys that hold a reference. A .p12 file has both of Apple's secrets, and perhaps a password.
REFERENCES: Mapping[str, tuple[str, ...]] = {
    "apn": (*SECRETS["apn"], P12, P12_PASSWORD),
    "fcm": (*SECRETS["fcm"],),
}
SECRET_FIELDS = frozenset(field for fields in SECRETS.values() for field in fields.values())


def is_reference(text: str) -> bool:
    """Whether a text names a secret: `env:NAME` or `file:PATH`."""
    return _REFERENCE.fullmatch(text) is not None


class CredentialConfig(Struct, frozen=True):
    """A credential that is to be: created, or where `credential_sid` names one, given another secret.

    `secrets` has a reference for each key of `SECRETS[type]`, or instead of Apple's two one for `P12`. `sandbox` is
    Apple's; None leaves it out.
    """

    friendly_name: str
    type: str
    secrets: Mapping[str, str]
    sandbox: bool | None = None
    credential_sid: str | None = None

    def problem(self) -> str:
        """What is wrong with it, never with the text of what may be a secret; empty if nothing is."""
        if not 0 < len(self.friendly_name) <= LONGEST_NAME:
            return f"a credential's name has 1 to {LONGEST_NAME} characters"
        if self.type not in SECRETS:
            return f"type must be {' or '.join(SECRETS)}"
        if problem := self._reference_problem():
            return problem
        if self.sandbox is not None and self.type != "apn":
            return f"a credential of type {self.type} has no sandbox"
        if self.credential_sid is not None and not is_credential_sid(self.credential_sid):
            return "sid must be a credential's SID (CR and 32 hexadecimal digits)"
        return ""

    def _reference_problem(self) -> str:
        by_p12 = self.type == "apn" and P12 in self.secrets
        wanted = (P12,) if by_p12 else tuple(SECRETS[self.type])
        for key in wanted:
            if key not in self.secrets:
                return f"a credential of type {self.type} needs {key}"
        for key, reference in self.secrets.items():
            if by_p12 and key in SECRETS[self.type]:
                return f"a credential has either {P12}, or certificate and private_key"
            if key not in wanted and not (by_p12 and key == P12_PASSWORD):
                return f"a credential of type {self.type} has no {key}"
            if not is_reference(reference):
                return f"{key} must be env:NAME or file:PATH, and never the secret itself"
        return ""

    def to_json(self) -> dict[str, Any]:
        """The credential as it is desired: its name and type, and where its secrets come from."""
        stated = {} if self.sandbox is None else {"sandbox": self.sandbox}
        return {"friendly_name": self.friendly_name, "type": self.type, **stated, **self.secrets}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], credential_sid: str | None) -> CredentialConfig:
        """What `to_json` wrote. Raises `DocumentError` for anything else."""
        known = {name: data[name] for name in ("friendly_name", "type", "sandbox") if name in data}
        secrets = {name: value for name, value in data.items() if name not in known}
        config = decode({**known, "secrets": secrets, "credential_sid": credential_sid}, cls)
        if config.problem():
            raise DocumentError("desired: not a credential that can be made")
        return config


class LiveCredential(Struct, frozen=True, forbid_unknown_fields=True):
    """A credential as Twilio shows it. `sandbox` is the text "True" or "False", or None; `updated` is its time."""

    sid: CredentialSid
    friendly_name: str
    type: str
    sandbox: str | None
    updated: str | None

    @classmethod
    def from_twilio(cls, data: Mapping[str, Any]) -> LiveCredential:
        """From Twilio's JSON. Raises `DocumentError`, LookupError or AttributeError for what is no credential."""
        sandbox = data.get("sandbox")
        return cls.from_json(
            {
                "sid": data["sid"],
                "friendly_name": data["friendly_name"] or "",
                "type": (data["type"] or "").lower(),
                "sandbox": None if sandbox is None else str(sandbox),
                "updated": data.get("date_updated"),
            }
        )

    def to_json(self) -> dict[str, Any]:
        """The credential as it stands in plans and journals."""
        return dict(builtins(self))

    @classmethod
    def from_json(cls, data: Any) -> LiveCredential:
        """What `to_json` wrote. Raises `DocumentError` for anything else."""
        return decode(data, cls)

    def is_like(self, config: CredentialConfig) -> bool:
        """Whether it has the type and the name of a desired one, but for spaces and how letters are composed."""
        return self.type == config.type and _tidy(self.friendly_name) == _tidy(config.friendly_name)

    def resembles(self, config: CredentialConfig) -> bool:
        """Whether it can be a desired one whose name the server has changed: in its case, its signs, or its end."""
        ours, theirs = _bare(config.friendly_name), _bare(self.friendly_name)
        is_named = theirs == ours != "" or (len(theirs) >= _LEAST and ours.startswith(theirs))
        return self.type == config.type and (is_named or self.is_like(config))


def _tidy(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).split())


def _bare(name: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", name).casefold() if letter.isalnum())


class CredentialChange(Struct, frozen=True):
    """One credential, `existing` → `config`: created where there is none, otherwise given another secret."""

    config: CredentialConfig
    existing: LiveCredential | None = None
    kind: str = CREDENTIAL

    @property
    def friendly_name(self) -> str:
        """The credential's name."""
        return self.config.friendly_name

    @property
    def subject(self) -> str:
        """What is changed, in a message: the SID where there is one, and the type."""
        return self.config.credential_sid or f"a new {self.config.type} credential"

    @property
    def fields(self) -> tuple[str, ...]:
        """The keys that are written: all of a new one, else the secrets, and what else is stated."""
        return tuple(
            key for key in self.config.to_json() if self.existing is None or key not in ("friendly_name", "type")
        )

    def to_json(self) -> dict[str, Any]:
        """The change as it stands in plan.json."""
        return {
            "service_sid": None,
            "credential_sid": self.config.credential_sid,
            "friendly_name": self.friendly_name,
            "kind": self.kind,
            "existing": self.existing.to_json() if self.existing else None,
            "desired": self.config.to_json(),
            "fields": list(self.fields),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CredentialChange:
        """The change that `to_json` wrote. Raises `DocumentError` for anything else."""
        saved = decode(data, _Saved)
        config = CredentialConfig.from_json(saved.desired, saved.credential_sid)
        if (saved.existing.sid if saved.existing else None) != config.credential_sid:
            raise DocumentError("credential_sid: not that of the existing credential")
        return cls(config, saved.existing)


class _Saved(Struct, frozen=True):
    """A change of a credential as far as plan.json does not derive it."""

    credential_sid: str | None
    existing: LiveCredential | None
    desired: dict[str, Any]
