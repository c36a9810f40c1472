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
    size: int = 0
    rejected_bytes: int = 0
    pages: int = 0
    requests: int = 0
    page_size: int = 0


class Parts:
    """Takes pages from several threads, and stores them through one writer in a thread of its own.

    As a context manager: at its end everything in hand is stored. `on_failure` is called, from that thread, when
    nothing can be stored any more; `failure` then says why.
    """

    def __init__(self, writer: SnapshotWriter, rows: int, on_failure: Callable[[], None]) -> None:
        self.failure: BaseException | None = None
        self._writer = writer
        self._rows = rows
        self._on_failure = on_failure
        self._hands: dict[str, _Hand] = {}
        self._writing: str | None = None
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
        """What is stored of a chain."""
        return self._writer.chain(chain_id, service_sid)

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
            hand.size += len(rows)
            hand.rejected_bytes += sum(map(len, rows.lines))
            hand.pages += 1
            hand.requests += requests
            hand.page_size = page_size
            if self._is_full(chain_id):
                self._changed.notify_all()

    def start_over(self, chain_id: str) -> None:
        """Forget what a chain has in hand and stored, because it can only start over. Raises
        `InterruptedRunError` once nothing is taken any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_over() or self._writing != chain_id)
            if self._is_over():
                raise InterruptedRunError("Interrupted")
            self._hands.pop(chain_id, None)
            self._writer.start_over(chain_id)

    def _is_over(self) -> bool:
        return self._closing or self.failure is not None

    def _is_full(self, chain_id: str) -> bool:
        hand = self._hands.get(chain_id)
        if hand is None:
            return False
        return hand.size >= self._rows or hand.rejected_bytes >= self._rows * BYTES_A_ROW or hand.at.done

    def _run(self) -> None:
        try:
            while (taken := self._next()) is not None:
                self._store(*taken)
        except BaseException as error:  # whatever it is, the chains must not wait for this thread
            with self._changed:
                self.failure = error
                self._hands.clear()
                self._changed.notify_all()
            self._on_failure()

    def _next(self) -> tuple[str, _Hand] | None:
        """Take the next hand to store, waiting for one; None when all is stored and no more will come."""
        with self._changed:
            self._writing = None
            self._changed.notify_all()
            while (chain_id := self._ripe()) is None:
                if self._closing:
                    return None
                self._changed.wait(min(1.0, LONGEST_IN_HAND))  # the oldest may be too old by then
            self._writing = chain_id
            return chain_id, self._hands.pop(chain_id)

    def _ripe(self) -> str | None:
        """A chain whose hand is to be stored now: it is full, the oldest is too old, or the end has come."""
        oldest = next(iter(self._hands), None)
        if oldest and (self._closing or self._age(oldest) >= LONGEST_IN_HAND):
            return oldest
        return next((chain_id for chain_id in self._hands if self._is_full(chain_id)), None)

    def _age(self, chain_id: str) -> float:
        return time.monotonic() - self._hands[chain_id].since

    def _store(self, chain_id: str, hand: _Hand) -> None:
        table = pa.concat_tables(hand.tables) if hand.tables else pa.Table.from_batches([], BINDINGS)
        progress = Progress(
            pages=hand.pages,
            requests=hand.requests,
            page_size=hand.page_size,
            turn=hand.at.turn,
            next_url=hand.at.next_url,
            done=hand.at.done,
            rejected=tuple(hand.rejected),
        )
        self._writer.add(chain_id, table, progress)
