"""Jobs side by side: the one way in which the program does several things at a time, and stops doing them."""

from __future__ import annotations

import queue
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar

from migrate.runtime.interrupts import HEED, stop_all

GRACE = 2.0  # seconds that jobs under way have to end once they are stopped
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Job(Generic[T]):
    """A call, and the future that gets its result."""

    future: Future[T]
    call: Callable[[], T]

    def run(self) -> None:
        """Do it, unless it was dropped."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.call()
        except BaseException as error:  # raised where its result is asked for
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class Waiting(Executor):
    """A context manager that waits for all its jobs at its end, and breaks them off where that end is an error."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.shutdown()
                return
        except BaseException:
            self._break_off()
            raise
        self._break_off()

    @abstractmethod
    def _break_off(self) -> None:
        """Stop what is under way, drop what is not, and wait for `GRACE`."""


class Workers(Waiting):
    """A bounded number of threads, each of which takes the next job when it is through with one.

    As a context manager it waits for all jobs at its end. Where that end is an error, such as Ctrl-C, `stop` is
    called, what its threads have under way is stopped (`stopped_by`), jobs that were not begun are dropped, and those
    under way get `GRACE` seconds. The threads are daemons: one that hangs all the same does not keep the program from
    ending.
    """

    def __init__(self, threads: int, name: str = "worker", *, stop: Callable[[], None] = lambda: None) -> None:
        self._most = threads
        self._name = name
        self._stop = stop
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._begun = 0  # threads
        self._threads: set[int] = set()  # the identifiers of those that run; another thread may get one afterwards
        self._ended = 0
        self._closed = False
        self._end = threading.Semaphore(0)  # wakes whoever waits for the threads

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a job done. Raises `RuntimeError` once no more are taken."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("no more jobs are taken")
            self._jobs.put(Job(future, partial(fn, *args, **kwargs)))
            if not self._idle.acquire(blocking=False) and self._begun < self._most:
                self._begun += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._begun}", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs; wait until those that were taken are done, or drop what was not begun."""
        with self._lock:
            self._closed = True
            while cancel_futures:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job:
                    job.future.cancel()
            for _ in range(self._begun - self._ended):
                self._jobs.put(None)
        if wait:
            self._wait(None)

    def _break_off(self) -> None:
        self._stop()
        stop_all({*self._threads})
        self.shutdown(wait=False, cancel_futures=True)
        self._wait(GRACE)

    def _wait(self, seconds: float | None) -> None:
        """Wait for the threads to end.

        Not by `Thread.join`: until Python 3.13 one that Ctrl-C interrupts takes the thread for ended. Not for long at
        a time either: a signal that reaches another thread does not wake this one.
        """
        end = None if seconds is None else time.monotonic() + seconds
        while self._ended < self._begun and (end is None or time.monotonic() < end):
            self._end.acquire(timeout=HEED)

    def _work(self) -> None:
        self._threads.add(threading.get_ident())
        try:
            while (job := self._jobs.get()) is not None:
                job.run()
                del job  # it may hold much
                self._idle.release()
        finally:
            with self._lock:
                self._threads.discard(threading.get_ident())
                self._ended += 1
            self._end.release()


def result_of(future: Future[T]) -> T:
    """The result of a job, once it is there. Ctrl-C is noticed meanwhile, whichever thread the signal reaches."""
    while not future.done():
        wait([future], HEED)
    return future.result()
