"""How many requests run at a time: more while all goes well, half as many when Twilio says "too many".

Twilio limits by the number of requests at a time, for the whole account; a 429 was never processed, and some answers
say how many are running (FACTS.md, "REST behaviour").
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from migrate.model.errors import InterruptedRunError

FIRST = 12  # requests at a time to begin with
TOO_MANY = 429


class Throttle:
    """Lets so many requests through at a time, from several threads; never more than `most`.

    It opens by one with each healthy answer until the first refusal, and after that by one a round (as many
    answers as there are places). A refusal halves it, once for all the requests that were under way together.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._places = float(min(most, FIRST))
        self._running = 0
        self._line: deque[object] = deque()
        self._round = 0  # counts the halvings
        self._refused_at: int | None = None  # how many requests the account was running when it refused one
        self._stopped = False
        self._changed = threading.Condition()

    @property
    def running(self) -> int:
        """How many requests are under way."""
        return self._running

    @property
    def places(self) -> int:
        """How many may be under way now."""
        return int(self._places)

    def stop(self) -> None:
        """Let nothing through any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @contextmanager
    def turn(self) -> Iterator[int]:
        """Wait for a place and hold it; gives what `note` wants to know. Raises `InterruptedRunError` if stopped."""
        waiter = object()
        with self._changed:
            # In the order of their coming, or a thread that asks again at once would always be the first.
            self._line.append(waiter)
            self._changed.wait_for(lambda: self._stopped or (self._line[0] is waiter and self._running < self.places))
            if self._stopped:
                raise InterruptedRunError("Interrupted")
            self._line.popleft()
            self._running += 1
            began = self._round
            self._changed.notify_all()  # the next in line may have a place too
        try:
            yield began
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def note(self, began: int, status: int, account_running: int | None) -> None:
        """Learn from an answer: its status, and how many requests the account was running by Twilio's count."""
        with self._changed:
            if status == TOO_MANY:
                if began == self._round:  # the others of that round only say the same again
                    self._places = max(1.0, self.places / 2)
                    self._round += 1
                    self._refused_at = account_running
            elif status < TOO_MANY and self._has_room(account_running):
                self._places = min(self.most, self._places + (1 if self._round == 0 else 1 / self._places))
                self._changed.notify_all()

    def _has_room(self, account_running: int | None) -> bool:
        """Whether the account, with whatever else uses it, is below the point where it refused before."""
        return None in (account_running, self._refused_at) or account_running < self._refused_at  # type: ignore[operator]
