"""Trying again: for failures that may pass, with growing and fully jittered pauses, within a budget of time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TYPE_CHECKING, TypeVar

from migrate.model.errors import InterruptedRunError, TransientTwilioError
from migrate.twilio_api.limits import LONGEST_REQUEST, SHORTEST_LIMIT

if TYPE_CHECKING:
    import tenacity

FIRST_WAIT = 0.5  # seconds; the bound of the first pause, doubled each time
LONGEST_WAIT = 30.0
T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass
class RetryPolicy:
    """How long a request is tried again: for `budget` seconds from its beginning; not at all where none has
    succeeded for so long. `stopped` ends every pause; a replay does not make any.
    """

    budget: float
    pauses: bool = True
    stopped: threading.Event = field(default_factory=threading.Event)
    _succeeded: float = field(default_factory=time.monotonic)  # when a request last did
    _waiting: dict[int, str] = field(default_factory=dict)  # by thread

    @property
    def trouble(self) -> str:
        """What some request is waiting for to pass; empty if none is."""
        return next(iter(list(self._waiting.values())), "")

    def reset_budget(self) -> None:
        """Count the time without a success from now on."""
        self._succeeded = time.monotonic()

    @property
    def is_spent(self) -> bool:
        """Whether no request has succeeded for as long as the budget lasts."""
        return time.monotonic() - self._succeeded > self.budget

    def seconds_left(self, began: float) -> float:
        """How long a request may take that is made now, where the first try began at a (monotonic) time."""
        return min(LONGEST_REQUEST, max(SHORTEST_LIMIT, began + self.budget - time.monotonic()))

    def call(self, once: Callable[[], T], tries: int | None = None) -> tuple[T, int]:
        """Call `once` until it succeeds; its result, and how many calls it took.

        Raises its error where that will not pass, when the budget is spent, or after so many `tries`. A
        repeated read changes nothing; a write is not repeated this way: its caller first looks at what is there.
        """
        began = time.monotonic()
        try:
            result = once()
        except TransientTwilioError as error:
            failure = error
        else:  # nearly always: tenacity's bookkeeping would cost more than the call itself
            self._succeeded = time.monotonic()
            return result, 1

        import tenacity  # imports asyncio, so only once a request has failed

        def first() -> T:
            raise failure

        attempts = chain(
            (first,), repeat(once)
        )  # the call above was the first one: tenacity waits and counts from it
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientTwilioError),
            wait=_pause,
            stop=lambda state: self._is_spent(state, began) or (tries is not None and state.attempt_number >= tries),
            sleep=self.sleep,
            before_sleep=self._note_wait,
            reraise=True,
        )
        try:
            result = retrying(lambda: next(attempts)())
            self._succeeded = time.monotonic()
        finally:
            self._waiting.pop(threading.get_ident(), None)
        return result, retrying.statistics["attempt_number"]

    def _is_spent(self, state: tenacity.RetryCallState, began: float) -> bool:
        waited = max(state.idle_for, time.monotonic() - min(began, self._succeeded))
        return waited + state.upcoming_sleep > self.budget

    def _note_wait(self, state: tenacity.RetryCallState) -> None:
        trouble = str(state.outcome.exception()) if state.outcome else ""
        self._waiting[threading.get_ident()] = trouble
        logger.info("To be tried again in %.1f s: %s", state.upcoming_sleep, trouble)

    def sleep(self, seconds: float) -> None:
        """Wait. Raises `InterruptedRunError` as soon as the run is stopped."""
        if self.stopped.wait(seconds if self.pauses else 0):
            raise InterruptedRunError("Interrupted")


def _pause(state: tenacity.RetryCallState) -> float:
    """Seconds before the next try: Twilio's `Retry-After` where there is one, and never less than the jittered pause.

    So a server that says 0 again and again is not asked without end.
    """
    from tenacity import wait_random_exponential

    error = state.outcome.exception() if state.outcome else None
    jittered = wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)
    return max(jittered(state), getattr(error, "retry_after", None) or 0.0)
