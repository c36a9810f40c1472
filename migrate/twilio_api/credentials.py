"""Credentials: taken from the environment alone, never from arguments or files."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from migrate.model.errors import UsageError

# Stands for the account in cassettes, and so in everything that is made by replaying one.
REPLAY_ACCOUNT_SID = "AC" + "0" * 32


def is_one_account(*sids: str) -> bool:
    """Whether these can be of one account; the replay account can be any."""
    return len({*sids} - {REPLAY_ACCOUNT_SID}) < 2


@dataclass(frozen=True)
class Credentials:
    """What a request is signed with. The password never shows in a representation or an error."""

    account_sid: str
    username: str
    password: str = field(repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Credentials:
        """An API key where there is one, else the account's auth token. Raises `UsageError` if neither is set."""

        def get(name: str) -> str:
            value = environment.get(name, "").strip()
            if not (value.isascii() and value.isprintable()):
                raise UsageError(f"{name} holds a character that no SID or secret has: paste it again")
            return value

        account_sid = get("TWILIO_ACCOUNT_SID")
        if not account_sid:
            raise UsageError(
                "No credentials: TWILIO_ACCOUNT_SID is not set",
                remedy="Set it with TWILIO_AUTH_TOKEN, or with TWILIO_API_KEY and TWILIO_API_SECRET; "
                "or rehearse offline with --replay cassettes/demo.yaml",
            )
        key, secret, token = get("TWILIO_API_KEY"), get("TWILIO_API_SECRET"), get("TWILIO_AUTH_TOKEN")
        if bool(key) != bool(secret):
            raise UsageError("TWILIO_API_KEY and TWILIO_API_SECRET go together: one of them is not set")
        if key:
            return cls(account_sid, key, secret)
        if token:
            return cls(account_sid, account_sid, token)
        raise UsageError(
            "No credentials: TWILIO_ACCOUNT_SID is set, but no secret",
            remedy="Set TWILIO_AUTH_TOKEN, or TWILIO_API_KEY and TWILIO_API_SECRET",
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown: the password, as it is and as Basic authentication carries it."""
        basic = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return (basic, self.password) if self.password else ()

    @property
    def secret_name(self) -> str:
        """The variable that holds the password."""
        return "TWILIO_API_SECRET" if self.username != self.account_sid else "TWILIO_AUTH_TOKEN"

    @property
    def shown(self) -> str:
        """What the requests are signed with, as an error may name it."""
        return (
            f"API key {self.username} (TWILIO_API_KEY)" if self.username != self.account_sid else "TWILIO_AUTH_TOKEN"
        )

    @classmethod
    def for_replay(cls) -> Credentials:
        """Stand-ins for a replay, which needs none."""
        return cls(REPLAY_ACCOUNT_SID, REPLAY_ACCOUNT_SID, "")
