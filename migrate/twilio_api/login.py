"""The login to Twilio: taken from the environment alone, never from arguments or files."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from migrate.model.errors import UsageError
from migrate.model.sids import ACCOUNT, API_KEY, DIGITS, SERVICE, is_account_sid, is_api_key_sid

# The variables that a login is made of.
OF_LOGIN = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_KEY", "TWILIO_API_SECRET")
# Stands for the account in cassettes, and so in everything that is made by replaying one.
REPLAY_ACCOUNT_SID = "AC" + "0" * 32


def is_one_account(*sids: str) -> bool:
    """Whether these can be of one account; the replay account can be any."""
    return len({*sids} - {REPLAY_ACCOUNT_SID}) < 2


@dataclass(frozen=True)
class Login:
    """What a request is signed with. The password never shows in a representation or an error.

    `is_replay` says that nothing is signed: a recording answers. `origin` says where the password is from
    where that is not the environment: of one account among several.
    """

    account_sid: str
    username: str
    password: str = field(repr=False)
    is_replay: bool = False
    origin: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Login:
        """An API key where there is one, else the account's auth token.

        Raises `UsageError` if neither is set, and for SIDs that have not the form of one. It does not show what
        stands in their place: that may be a secret.
        """

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
                "or try it offline with --replay demo",
            )
        if not is_account_sid(account_sid):
            raise _no_sid("TWILIO_ACCOUNT_SID", account_sid, "an account's SID", ACCOUNT)
        key, secret, token = get("TWILIO_API_KEY"), get("TWILIO_API_SECRET"), get("TWILIO_AUTH_TOKEN")
        if bool(key) != bool(secret):
            raise UsageError("TWILIO_API_KEY and TWILIO_API_SECRET go together: one of them is not set")
        if key and not is_api_key_sid(key):
            raise _no_sid("TWILIO_API_KEY", key, "an API key's SID", API_KEY)
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
    def is_api_key(self) -> bool:
        """Whether requests are signed with an API key, which decides whose account they reach."""
        return self.username != self.account_sid

    @property
    def secret_name(self) -> str:
        """The variable that holds the password."""
        return "TWILIO_API_SECRET" if self.is_api_key else "TWILIO_AUTH_TOKEN"

    @property
    def shown(self) -> str:
        """What the requests are signed with, as an error may name it."""
        if self.origin:
            return self.origin
        return f"API key {self.username} (TWILIO_API_KEY)" if self.is_api_key else "TWILIO_AUTH_TOKEN"

    @classmethod
    def for_replay(cls) -> Login:
        """Stand-ins for a replay, which needs none."""
        return cls(REPLAY_ACCOUNT_SID, REPLAY_ACCOUNT_SID, "", is_replay=True)


def _no_sid(name: str, value: str, what: str, letters: str) -> UsageError:
    """The error for a variable that holds no such SID. Its value may be a secret in the wrong place: of that it shows
    the length, and the first two letters where another kind of SID begins with them.
    """
    begins = f"begins with {value[:2]} and " if value[:2].upper() in (ACCOUNT, API_KEY, SERVICE) else ""
    return UsageError(
        f"{name} is not {what}, which is {letters} in capitals and {DIGITS} in lower case: "
        f"it {begins}has {len(value):,} characters",
        remedy="Copy it from the Twilio Console again",
    )
