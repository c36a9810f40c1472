"""Whether a host has ever answered: until it has, its address may be wrong, and that is said early, and once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from migrate.model.address import is_twilios
from migrate.model.errors import HostNotFoundError, NothingListensError, TransientTwilioError, TwilioError
from migrate.twilio_api.addresses import Addresses, Api

# Seconds for which an address that is not Twilio's is tried while it refuses connections, or its name is not known,
# and nothing there has ever answered: long enough for a server that is just being started. Where that does not pass,
# the address is wrong. Twilio's own hosts get the whole budget.
PATIENCE = 10.0


def is_it_right(api: Api) -> str:
    """The question what the address of an API is, with what sets it."""
    return f"Is the address right (--{api}-url, CHAT_MIGRATE_{api.upper()}_URL)?"


class FirstAnswers:
    """The hosts that have answered in this run. `say` gets one message for each host that does not at first.

    Its methods may be called from several threads.
    """

    def __init__(self, addresses: Addresses, budget: float, say: Callable[[str], None]) -> None:
        self._addresses = addresses
        self._budget = budget  # seconds that a request is tried again
        self._say = say
        self._answered: set[str] = set()
        self._silent: dict[str, float] = {}  # since when, in monotonic time
        self._lock = threading.Lock()

    def note(self, url: str) -> None:
        """Note that the host of a URL has answered, whatever it was."""
        self._answered.add(urlsplit(url).netloc)

    def is_noted(self, url: str) -> bool:
        """Whether it ever has."""
        return urlsplit(url).netloc in self._answered

    def judged(self, url: str, error: TransientTwilioError, tries: int | None) -> TwilioError:
        """The failure of a request to a URL that got no answer: final where the address is wrong."""
        is_unknown = isinstance(error, HostNotFoundError)
        if self.is_noted(url) or not (is_unknown or isinstance(error, NothingListensError)):
            return error
        host, is_twilio, most = urlsplit(url).netloc, is_twilios(url), self._budget
        with self._lock:
            is_first = host not in self._silent
            since = self._silent.setdefault(host, time.monotonic())
        if not is_twilio:
            most = min(PATIENCE, most)
            error.remedy = is_it_right(self._addresses.api_of(url))
        # After a few tries at a host of Twilio's that is not known comes another way to read, and not more tries.
        if is_first and tries != 1 and not (is_twilio and is_unknown and tries):
            self._say(f"{error.what}; trying again for up to {most:g} s. {error.remedy}")
        if not is_twilio and time.monotonic() - since > PATIENCE:
            return TwilioError(error.what, remedy=error.remedy)
        return error
