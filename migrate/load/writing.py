"""What every call that writes has in common: its terms, what its caller hears, and the lock of the account."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from migrate.load.account_lock import only_loader
from migrate.load.limits import NOTHING_WRITTEN as NOTHING_WRITTEN
from migrate.model.errors import AGAIN, RefusedError
from migrate.runtime.interrupts import resumable
from migrate.storage.state import state_folder

if TYPE_CHECKING:
    from migrate.twilio_api.client import TwilioApi

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class _Holder:
    """Who is alone in an account; `writes` once its first write may have been sent."""

    writes: bool = False


class _Held(threading.local):
    """The accounts that this thread is alone in. A copied context, as of `asyncio.to_thread`, is not alone."""

    def __init__(self) -> None:
        self.accounts: dict[str, _Holder] = {}


_held = _Held()


class Observer(Generic[T]):
    """Receives what an operator must know before something is written; by default it goes to the log."""

    def begins(self, work: T) -> None:
        """Called with what is going to be done, before it is judged by limits."""

    def lifts(self, limits: Sequence[tuple[str, str]]) -> None:
        """Called with the limits that do not hold and were lifted, by name and problem, before `confirm` is."""

    def say(self, message: str) -> None:
        """Called with a sentence for the operator, such as a warning of an address that is not Twilio's."""
        logger.warning("%s", message)


@dataclass(frozen=True)
class Terms(Generic[T]):
    """On what terms something is written: the limits that are lifted by `force`, who confirms, who hears of it."""

    force: Collection[str] = ()
    confirm: Callable[[T], bool] | None = None
    observer: Observer[T] = field(default_factory=Observer)

    def __post_init__(self) -> None:
        if isinstance(self.force, str):  # one name: a text has every part of it within
            object.__setattr__(self, "force", (self.force,))

    def refuse_unless_confirmed(self, work: T, kept: str = NOTHING_WRITTEN) -> None:
        """Ask. Raises `RefusedError` without a consent, which is True alone: "no" and a coroutine are true, too."""
        if self.confirm is None or self.confirm(work) is not True:
            raise RefusedError(
                "Not applied: it was not confirmed",
                kept=kept,
                remedy="Pass `confirm`, a function that looks at what is to be done, and returns True if it may be",
            )

    def warn(self, *doubts: str) -> None:
        """Say each doubt; an empty text is no doubt."""
        for doubt in filter(None, doubts):
            self.observer.say(f"Warning: {doubt}")


@contextmanager
def only_writer(api: TwilioApi, say: Callable[[str], None]) -> Iterator[None]:
    """Be the only one that writes to the account, from before a journal is read or a plan made.

    Within, a call that does the same finds that it is alone already. Raises `RefusedError` while another process is.
    """
    if api.account_sid in _held.accounts:
        yield
        return
    with account_lock(api, say) as holder:

        def kept() -> str:
            return "What was written, if anything was, is in the journal" if holder.writes else NOTHING_WRITTEN

        with resumable(kept=kept, remedy=("Resume with: ", AGAIN)):
            yield


def note_writes(api: TwilioApi) -> None:
    """Note that from here on something may have been written: whatever ends this says so."""
    _held.accounts[api.account_sid].writes = True


@contextmanager
def account_lock(api: TwilioApi, say: Callable[[str], None]) -> Iterator[_Holder]:
    """Hold the account's lock. Raises `RefusedError` while another process does, and for a recording."""
    if api.is_replay:
        raise RefusedError("A recording cannot be written to", kept=NOTHING_WRITTEN, remedy="Open the API without it")
    with only_loader(state_folder(), api.account_sid) as said:
        if said:
            say(said)
        before, holder = _held.accounts, _Holder()
        _held.accounts = {**before, api.account_sid: holder}
        try:
            yield holder
        finally:
            _held.accounts = before
