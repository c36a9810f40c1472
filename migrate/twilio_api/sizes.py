"""Page sizes: what the server takes for each kind of list is found out once, for all walks along such lists.

What Twilio does with a size over its maximum is not known, and the documents differ in the maxima (FACTS.md, "REST
behaviour"). A gateway that checks requests by Twilio's OpenAPI documents refuses it, with a status of its own choice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from migrate.model.errors import HostNotFoundError, InterruptedRunError, TransientTwilioError, TwilioError
from migrate.runtime.interrupts import HEED
from migrate.twilio_api.limits import FEW_TRIES

T = TypeVar("T")
Fetch = Callable[[int, int | None], T]  # a page of some size, in so many tries (None: as the budget allows)
# Who asks, whether the thing is there, and how often it was asked for: no page size changes that.
_NOT_THE_SIZE = frozenset({401, 403, 404, 407, 410, 429})


def may_be_the_size(error: TwilioError) -> bool:
    """Whether a smaller page may help: against a refusal, an answer that is too large, or a server that breaks."""
    if error.status is None:
        return isinstance(error, TransientTwilioError) and not isinstance(error, HostNotFoundError)
    return error.status not in _NOT_THE_SIZE and not 300 <= error.status < 400


class PageSizes:
    """What each kind of list takes. The first walk finds it out, and those that begin meanwhile wait for it."""

    def __init__(self, is_stopped: Callable[[], bool], is_spent: Callable[[], bool]) -> None:
        self._is_stopped = is_stopped
        self._is_spent = is_spent  # whether the budget of time is
        self._most: dict[Hashable, int] = {}  # the largest size that a kind takes, where a larger one was refused
        self._known: set[Hashable] = set()  # kinds whose size is settled
        self._probed: set[Hashable] = set()  # kinds that a walk is finding out about
        self._changed = threading.Condition()

    def learn(self, kind: Hashable, size: int) -> None:
        """Note that a kind of list takes this size, and not the larger ones."""
        with self._changed:
            self._most[kind] = min(size, self._most.get(kind, size))

    def first(self, kind: Hashable, sizes: tuple[int, ...], tries: int | None, fetch: Fetch[T]) -> T:
        """The first page of a list, at the largest of the `sizes` that its kind takes."""
        if sizes[1:]:
            with self._probing(kind):
                sizes = self._left(kind, sizes)
                found = self._try(kind, sizes, tries, fetch) if sizes[1:] else None
            if found is not None:
                return found
        return fetch(
            self._left(kind, sizes)[0], tries
        )  # as long as the budget allows, while the others go their ways

    def _try(self, kind: Hashable, sizes: tuple[int, ...], tries: int | None, fetch: Fetch[T]) -> T | None:
        """A page at the first size that works, or None where it is not the size. Raises the failure of the largest
        size where trying again is of no use.
        """
        largest, *smaller = sizes
        try:
            found = fetch(largest, min(tries or FEW_TRIES, FEW_TRIES))
        except TwilioError as error:
            failure = error
        else:
            self._settle(kind)
            return found
        passes = isinstance(failure, TransientTwilioError)
        if may_be_the_size(failure) and not (failure.status is None and self._is_spent()):
            for size in smaller:
                try:
                    found = fetch(size, 1 if passes else tries)
                except TwilioError as error:
                    if not may_be_the_size(error):
                        raise
                else:
                    self.learn(kind, size)
                    self._settle(kind)
                    return found
        if passes or may_be_the_size(failure):  # something else is the matter, and the others need not wait for it
            self._settle(kind)
        if not passes or (tries and not may_be_the_size(failure)) or (failure.status is None and self._is_spent()):
            raise failure
        return None

    def _left(self, kind: Hashable, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """The sizes that are not known to be refused."""
        most = self._most.get(kind)
        return sizes if most is None else tuple(dict.fromkeys(min(size, most) for size in sizes))

    def _settle(self, kind: Hashable) -> None:
        with self._changed:
            self._known.add(kind)

    @contextmanager
    def _probing(self, kind: Hashable) -> Iterator[None]:
        """Be the one that finds out about a kind, or wait until somebody has. Raises `InterruptedRunError`."""
        with self._changed:
            while kind in self._probed and kind not in self._known and not self._is_stopped():
                self._changed.wait(HEED)
            if self._is_stopped():
                raise InterruptedRunError("Interrupted")
            is_probe = kind not in self._known
            if is_probe:
                self._probed.add(kind)
        try:
            yield
        finally:
            if is_probe:
                with self._changed:
                    self._probed.discard(kind)
                    self._changed.notify_all()
