"""Pace: no more writes a second than Twilio takes, however many threads write."""

from __future__ import annotations

import threading
import time

from migrate.twilio_api.client import TwilioApi

READ_AGAIN = (0.3, 1.0, 3.0)  # seconds between looks at a write that does not show yet
WRITES_PER_SECOND = 25  # Chat takes 30 mutations a second (FACTS.md, "REST behaviour")


class Pace:
    """Deals out turns, evenly."""

    def __init__(self, api: TwilioApi) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._next = 0.0  # by the monotonic clock

    def wait(self) -> None:
        """Wait for the next turn. Raises `InterruptedRunError` as soon as the run is stopped."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + 1 / WRITES_PER_SECOND
        if turn > now:
            self._api.pause(turn - now)
