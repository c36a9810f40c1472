"""Trying again: for failures that may pass, with growing and jittered pauses, and not for long."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import stamina

from migrate.model.errors import TransientTwilioError

ATTEMPTS = 4
FIRST_WAIT = 0.25  # seconds; doubled each time, with as much jitter
LONGEST_WAIT = 30.0
T = TypeVar("T")
logger = logging.getLogger(__name__)


def _pause(error: Exception) -> bool | float:
    """Whether to try again, and after how many seconds where Twilio's `Retry-After` names them."""
    if not isinstance(error, TransientTwilioError):
        return False
    logger.info("May pass, tried again unless it was the last time: %s", error)
    return True if error.retry_after is None else min(error.retry_after, LONGEST_WAIT)


def patiently(ask: Callable[[], T]) -> tuple[T, int]:
    """Call `ask` until it succeeds; its result, and how many calls it took. At last its error is raised.

    For reads only: 429 is never processed, and a repeated read changes nothing (FACTS.md, "REST behaviour").
    """
    for attempt in stamina.retry_context(
        on=_pause,
        attempts=ATTEMPTS,
        timeout=None,
        wait_initial=FIRST_WAIT,
        wait_jitter=FIRST_WAIT,
        wait_max=LONGEST_WAIT,
    ):
        with attempt:
            return ask(), attempt.num
    raise AssertionError("unreachable: the last attempt returns or raises")  # pragma: no cover
