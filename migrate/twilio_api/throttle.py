"""How many requests run at a time: more while all goes well, half as many when Twilio says "too many".

Twilio limits by the number of requests at a time, for the whole account; a 429 was never processed, and some answers
say how many are running (FACTS.md, "REST behaviour").
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from migrate.model.errors import InterruptedRunError

FIRST = 12  # requests at a time to begin with
TOO_MANY = 429


class Gate:
    """Lets so many requests through at a time, for all accounts together, in the order of their coming."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._running = 0
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    def wake(self) -> None:
        """Let those that wait look again whether they are stopped."""
        with self._changed:
            self._changed.notify_all()

    @contextmanager
    def turn(self, is_stopped: Callable[[], bool]) -> Iterator[None]:
        """Wait for a place and hold it. Raises `InterruptedRunError` where the waiter is stopped."""
        waiter = object()
        with self._changed:
            self._line.append(waiter)
            try:
                self._changed.wait_for(
                    lambda: is_stopped() or (self._line[0] is waiter and self._running < self.most)
                )
                if is_stopped():
                    raise InterruptedRunError("Interrupted")
                self._running += 1
            finally:
                self._line.remove(waiter)
                self._changed.notify_all()  # the next in line may have a place too
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()


class Throttle:
    """Lets so many requests through at a time, from several threads; never more than `most`.

    It opens by one with each healthy answer until the first refusal, and after that by one a round (as many
    answers as there are places). A refusal halves it, once for all the requests that were under way together.

    One account among several has a `gate` that all share: a request has its own account's place first, so that those
    of an account that is held back do not stand in the line of all.
    """

    def __init__(self, most: int, gate: Gate | None = None) -> None:
        self.most = most
        self._gate = gate
        self._at_gate = 0
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
        return max(0, self._running - self._at_gate)

    @property
    def places(self) -> int:
        """How many may be under way now."""
        return int(self._places)

    def stop(self) -> None:
        """Let nothing through any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._gate:
            self._gate.wake()

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
            with self._all_turn():  # what was refused while this one waited there is older than this one
                yield self._round if self._gate else began
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    @contextmanager
    def _all_turn(self) -> Iterator[None]:
        """A place among the requests of all accounts."""
        if self._gate is None:
            yield
            return
        with self._changed:
            self._at_gate += 1
        waits = True
        try:
            with self._gate.turn(lambda: self._stopped):
                with self._changed:
                    self._at_gate -= 1
                waits = False
                yield
        finally:
            if waits:
                with self._changed:
                    self._at_gate -= 1

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
