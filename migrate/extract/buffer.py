"""Pages in hand, chain by chain, and the one thread that makes parts of them while the chains keep reading."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import pyarrow as pa

from migrate.extract.columns import PageRows
from migrate.model.errors import InterruptedRunError
from migrate.model.schemas import BINDINGS
from migrate.snapshot.checkpoint import ChainState, Progress
from migrate.snapshot.writer import SnapshotWriter

BYTES_A_ROW = 400  # of a record that does not fit, in memory; a row takes as much
ROWS_IN_HAND = 160_000  # of all chains together: some 60 MB
MOST_PART_ROWS = 20_000
FEW_ROWS = 1_000  # of a service: up to so many share one part, as a file costs more to open than to read
LONGEST_IN_HAND = 30.0  # seconds; then even a few pages become a part, so that a crash costs no more


def part_rows(chains_at_a_time: int) -> int:
    """How many rows of a chain make a part, so that memory stays bounded however many chains run at a time."""
    return max(1, min(MOST_PART_ROWS, ROWS_IN_HAND // chains_at_a_time))


@dataclass(frozen=True)
class Position:
    """Where a chain stands: in which of its lists, at which page there (None: the first), or at its end."""

    turn: int = 0
    next_url: str | None = None
    done: bool = False


@dataclass
class _Hand:
    """The pages of one chain that are in memory."""

    at: Position
    since: float = field(default_factory=time.monotonic)
    tables: list[pa.Table] = field(default_factory=list)
    rejected: list[bytes] = field(default_factory=list)
    many: int = 0
    rejected_bytes: int = 0
    pages: int = 0
    requests: int = 0
    page_size: int = 0

    @property
    def size(self) -> int:
        """How many rows it counts as."""
        return max(self.many, self.rejected_bytes // BYTES_A_ROW)

    @property
    def table(self) -> pa.Table:
        """The rows of all its pages."""
        return pa.concat_tables(self.tables) if self.tables else pa.Table.from_batches([], BINDINGS)

    @property
    def progress(self) -> Progress:
        """What they add to their chain."""
        at, rejected = self.at, tuple(self.rejected)
        return Progress(self.pages, self.requests, self.page_size, at.turn, at.next_url, at.done, rejected)


@dataclass
class _Service:
    """The chains of a service. While all that they have is in hand, and little, those that have ended wait for the
    others, so that a small service has one part and not one a chain.
    """

    chains: list[str] = field(default_factory=list)
    left: set[str] = field(default_factory=set)  # those that have not ended
    is_small: bool = True


class Parts:
    """Takes pages from several threads, and stores them through one writer in a thread of its own.

    As a context manager: at its end everything in hand is stored. `on_failure` is called, from that thread, when
    nothing can be stored any more; `failure` then says why.
    """

    def __init__(self, writer: SnapshotWriter, rows: int, on_failure: Callable[[], None]) -> None:
        self.failure: BaseException | None = None
        self._writer = writer
        self._rows, self._few = rows, min(rows, FEW_ROWS)
        self._on_failure = on_failure
        self._hands: dict[str, _Hand] = {}
        self._services: dict[str, _Service] = {}
        self._by_chain: dict[str, _Service] = {}
        self._writing: list[str] = []
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="parts", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        while self._thread.is_alive():
            self._thread.join(1.0)  # a signal that reaches another thread would not end a longer wait

    def state(self, chain_id: str, service_sid: str) -> ChainState:
        """What is stored of a chain, which will be read from there."""
        state = self._writer.chain(chain_id, service_sid)
        with self._changed:
            service = self._by_chain[chain_id] = self._services.setdefault(service_sid, _Service())
            service.chains.append(chain_id)
            if not state.done:
                service.left.add(chain_id)
        return state

    def give_up(self, chain_id: str) -> None:
        """Let the other chains of its service wait no longer for one that has failed."""
        with self._changed:
            self._by_chain[chain_id].left.discard(chain_id)
            self._changed.notify_all()

    def add(self, chain_id: str, rows: PageRows, requests: int, page_size: int, at: Position) -> None:
        """Take a page of a chain, which stands `at` a position after it. Waits while the chain's last part is not yet
        being written. Raises `InterruptedRunError` once nothing is taken any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_over() or not self._is_full(chain_id))
            if self._is_over():
                raise InterruptedRunError("Interrupted")
            hand = self._hands.setdefault(chain_id, _Hand(at))
            hand.at = at
            if rows.table.num_rows:
                hand.tables.append(rows.table)
            hand.rejected += rows.lines
            hand.many += len(rows)
            hand.rejected_bytes += sum(map(len, rows.lines))
            hand.pages += 1
            hand.requests += requests
            hand.page_size = page_size
            service = self._by_chain[chain_id]
            if service.is_small and sum(one.size for one in self._of(service)) > self._few:
                service.is_small = False
                self._changed.notify_all()  # what waited for the others is to be stored now
            if at.done:
                service.left.discard(chain_id)
            if self._is_due(chain_id):
                self._changed.notify_all()

    def start_over(self, chain_id: str) -> None:
        """Forget what a chain has in hand and stored, because it can only start over. Raises
        `InterruptedRunError` once nothing is taken any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_over() or chain_id not in self._writing)
            if self._is_over():
                raise InterruptedRunError("Interrupted")
            self._hands.pop(chain_id, None)
            self._writer.start_over(chain_id)

    def _is_over(self) -> bool:
        return self._closing or self.failure is not None

    def _is_full(self, chain_id: str) -> bool:
        hand = self._hands.get(chain_id)
        return hand is not None and hand.size >= self._rows

    def _is_due(self, chain_id: str) -> bool:
        """Whether a hand is to be stored: it is full, or its chain has ended and waits for no other."""
        service = self._by_chain[chain_id]
        waits = service.is_small and service.left
        return self._is_full(chain_id) or (self._hands[chain_id].at.done and not waits)

    def _of(self, service: _Service) -> list[_Hand]:
        return [self._hands[chain_id] for chain_id in service.chains if chain_id in self._hands]

    def _run(self) -> None:
        try:
            while (taken := self._next()) is not None:
                self._writer.add({chain_id: (hand.table, hand.progress) for chain_id, hand in taken.items()})
        except BaseException as error:  # whatever it is, the chains must not wait for this thread
            with self._changed:
                self.failure = error
                self._hands.clear()
                self._changed.notify_all()
            self._on_failure()

    def _next(self) -> dict[str, _Hand] | None:
        """Take the next hands to store together, waiting for some; None when all is stored and no more will come."""
        with self._changed:
            self._writing = []
            self._changed.notify_all()
            while (chain_id := self._ripe()) is None:
                if self._closing:
                    return None
                self._changed.wait(min(1.0, LONGEST_IN_HAND))  # the oldest may be too old by then
            self._writing = self._with_others(chain_id)
            return {each: self._hands.pop(each) for each in self._writing}

    def _with_others(self, chain_id: str) -> list[str]:
        """The chains whose hands are to be stored with that of a chain: all of its service, if that is small and they
        have ended; else itself alone.
        """
        service = self._by_chain[chain_id]
        if service.is_small and not service.left and self._hands[chain_id].at.done:
            return sorted(each for each in service.chains if each in self._hands and self._hands[each].at.done)
        service.is_small = False
        return [chain_id]

    def _ripe(self) -> str | None:
        """A chain whose hand is to be stored now: it is due, the oldest is too old, or the end has come."""
        oldest = next(iter(self._hands), None)
        if oldest and (self._closing or self._age(oldest) >= LONGEST_IN_HAND):
            return oldest
        return next(filter(self._is_due, self._hands), None)

    def _age(self, chain_id: str) -> float:
        return time.monotonic() - self._hands[chain_id].since
