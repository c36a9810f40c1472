"""One bounded set of threads for the jobs of several owners: each in its turn, none in the way of another."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

from migrate.runtime.interrupts import HEED, stop_all
from migrate.runtime.workers import GRACE, Job, Waiting, Workers

P = ParamSpec("P")
T = TypeVar("T")
_KEPT_FREE = 8  # one thread in so many is for owners that have nothing under way


class SharedWorkers:
    """A bounded number of daemon threads for several owners; each gets a share of them (`share`).

    The owners take turns, one job each. The last eighth of the threads is for owners that have nothing under way: so
    one with few jobs does not wait for the long ones of others. Owners wait outside of these threads; a job that
    asks for a share gets threads of its own, because it would wait for threads that wait for it.
    """

    def __init__(self, threads: int, name: str) -> None:
        self.threads = threads
        self._name = name
        self.lock = threading.RLock()  # what is stopped while it is held may ask the pool again
        self.done = threading.Condition(self.lock)  # some job is, or was dropped
        self._jobs = threading.Condition(self.lock)  # one may begin
        self._polls = False  # whether an idle thread looks again by itself
        self._owners: deque[_Share] = deque()  # those with jobs that wait; the next in turn first
        self._idents: set[int] = set()
        self._begun = 0
        self._idle = 0
        self._busy = 0
        self._closed = False

    def share(self, most: int, *, stop: Callable[[], None], room: Callable[[], int] | None = None) -> Executor:
        """Threads for one owner, as a context manager that behaves as `Workers` does; at most `most` of its jobs are
        under way at a time, and no more begin than there is `room` for, where it says so.

        Where its end is an error, `stop` is called and its jobs alone are broken off.
        """
        if threading.get_ident() in self._idents:
            return Workers(most, f"{self._name}-own", stop=stop)
        return _Share(self, most, stop, room or (lambda: most))

    def close(self) -> None:
        """Drop what was not begun, take nothing more, and let the threads end."""
        with self.lock:
            self._closed = True
            for owner in self._owners:
                owner.drop()
            self._owners.clear()
            self._jobs.notify_all()
            self.done.notify_all()

    def forget(self, owner: _Share) -> None:
        """Drop what an owner has not begun. The caller holds the lock."""
        if owner.waiting:
            self._owners.remove(owner)
            owner.drop()
            self.done.notify_all()

    def add(self, owner: _Share, job: Job[Any]) -> None:
        """Put a job in the line of its owner. Raises `RuntimeError` once no more are taken."""
        with self.lock:
            if self._closed or owner.closed:
                raise RuntimeError("no more jobs are taken")
            if not owner.waiting:
                self._owners.append(owner)
            owner.waiting.append(job)
            if self._idle < sum(len(one.waiting) for one in self._owners) and self._begun < self.threads:
                self._begun += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._begun}", daemon=True).start()
            self._jobs.notify()

    def _next(self) -> tuple[_Share, Job[Any]] | None:
        """The next job of the first owner in turn that may begin one. The caller holds the lock."""
        free = self.threads - self._busy
        for _ in range(len(self._owners)):
            owner = self._owners.popleft()
            if owner.may_begin(is_crowded=free <= self.threads // _KEPT_FREE):
                job = owner.waiting.popleft()
                if owner.waiting:
                    self._owners.append(owner)
                return owner, job
            self._owners.append(owner)
        return None

    def _work(self) -> None:
        ident = threading.get_ident()
        with self.lock:
            self._idents.add(ident)
        try:
            while self._do_one(ident):
                pass
        finally:
            with self.lock:
                self._idents.discard(ident)
                self._begun -= 1

    def _do_one(self, ident: int) -> bool:
        """Wait for a job and do it; false once there will be none."""
        with self.lock:
            self._idle += 1
            try:
                while (found := self._next()) is None:
                    if self._closed:
                        return False
                    self._wait_for_jobs()
            finally:
                self._idle -= 1
            if self._owners:
                self._jobs.notify()
            owner, job = found
            self._busy += 1
            owner.running.add(ident)
        try:
            job.run()
        finally:
            del job, found  # they may hold much
            with self.lock:
                self._busy -= 1
                owner.running.discard(ident)
                self.done.notify_all()
        return True

    def _wait_for_jobs(self) -> None:
        """Wait until some job may begin. One thread looks again by itself: the room of an owner grows silently."""
        if self._polls or not self._owners:
            self._jobs.wait()
            return
        self._polls = True
        try:
            self._jobs.wait(HEED)
        finally:
            self._polls = False


class _Share(Waiting):
    """The jobs of one owner: those that wait, and the threads that do one of them."""

    def __init__(self, pool: SharedWorkers, most: int, stop: Callable[[], None], room: Callable[[], int]) -> None:
        self.waiting: deque[Job[Any]] = deque()
        self.running: set[int] = set()
        self.closed = False
        self._pool = pool
        self._most = most
        self._stop = stop
        self._room = room

    def may_begin(self, *, is_crowded: bool) -> bool:
        """Whether one more of its jobs may begin; where few threads are free, only one that has none under way."""
        many = len(self.running)
        return many == 0 or (not is_crowded and many < min(self._most, self._room()))

    def drop(self) -> None:
        """Drop what was not begun. The caller holds the lock of the pool."""
        self.closed = True
        while self.waiting:
            self.waiting.popleft().future.cancel()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a job done. Raises `RuntimeError` once no more are taken."""
        future: Future[T] = Future()
        self._pool.add(self, Job(future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs; wait until those that were taken are done, or drop what was not begun."""
        with self._pool.lock:
            self.closed = True
            if cancel_futures:
                self._pool.forget(self)
        if wait:
            self._wait(None)

    def _break_off(self) -> None:
        self._stop()
        with self._pool.lock:  # no thread goes over to another owner meanwhile
            stop_all({*self.running})
        self.shutdown(wait=False, cancel_futures=True)
        self._wait(GRACE)

    def _wait(self, seconds: float | None) -> None:
        """Wait until nothing of this owner waits or runs; not for long at a time, as a signal does not end that."""
        end = None if seconds is None else time.monotonic() + seconds
        with self._pool.lock:
            while (self.waiting or self.running) and (end is None or time.monotonic() < end):
                self._pool.done.wait(HEED)
