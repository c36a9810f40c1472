"""Whose account it is: what answers say in `account_sid`, held against the account of the credentials.

No URL of the two APIs names an account. The key decides, whatever TWILIO_ACCOUNT_SID says: with an API key of
another account every request reads and writes that account (FACTS.md, "The two APIs"). With the auth token the SID is
the user name, so that Twilio itself compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from migrate.model.errors import OtherAccountError, RefusedError
from migrate.model.sids import ACCOUNT, kind_of, normal
from migrate.twilio_api.login import Login


class Account:
    """The account of the credentials, and what is known of it. Its methods may be called from several threads.

    `proven` says that the answers are this account's: one has said so, or the auth token is the account's own. A
    recording is an account of its own, whatever its SID: its answers must agree with each other.
    """

    def __init__(self, login: Login) -> None:
        self.sid = login.account_sid
        self.proven = not login.is_api_key
        self._login = login
        self._expected = "" if login.is_replay else self.sid
        self._other = ""  # the account that an answer has named in its place

    def hear(self, said: Iterable[Any]) -> None:
        """Take note of what answers have in `account_sid`. Raises `OtherAccountError` if one is of another account.

        Null says nothing, and neither does what has not the form of an account's SID.
        """
        named = {normal(value) for value in said if kind_of(value) == ACCOUNT}
        if not named:
            return
        self._expected = self._expected or min(named)
        if others := named - {self._expected}:
            self._other = min(others)
            raise self.contradiction
        self.proven = True

    @property
    def is_contradicted(self) -> bool:
        """Whether an answer was of another account."""
        return bool(self._other)

    def refuse_unless_proven(self) -> None:
        """Raise `RefusedError` while nothing shows whose account the answers are of: no reason to delete anything."""
        if not self.proven:
            raise RefusedError(
                f"No answer says that it is of account {self.sid}, and an API key may be another account's",
                kept="Nothing was deleted",
                remedy="Use TWILIO_AUTH_TOKEN, which is that account's own, in the place of the API key",
            )

    @property
    def contradiction(self) -> OtherAccountError:
        """The error that says so: both accounts, and the remedy."""
        ours, theirs = self._expected, self._other
        if self._login.is_replay:
            return OtherAccountError(
                f"The recording has answers of two accounts, {ours} and {theirs}", remedy="Record it again"
            )
        if self._login.origin:
            return OtherAccountError(
                f"An answer is of account {theirs}, and {self._login.origin} is taken for one of {ours}",
                remedy=f"Name a key of {ours} in the accounts file, or find out who answers under that address",
            )
        if self._login.is_api_key:
            return OtherAccountError(
                f"TWILIO_API_KEY is a key of account {theirs}, and TWILIO_ACCOUNT_SID is {ours}",
                remedy=f"Use a key that was made in {ours}; or, if you mean the other account, set "
                f"TWILIO_ACCOUNT_SID to {theirs}",
            )
        return OtherAccountError(
            f"An answer is of account {theirs}, and TWILIO_ACCOUNT_SID is {ours}",
            remedy="Find out who answers under that address before you try again",
        )
