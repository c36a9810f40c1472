"""Jobs side by side: a bounded number of threads, each taking the next job when it is through with one."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from migrate.model.errors import InterruptedRunError

HEED = 0.2  # seconds after which Ctrl-C is heard at the latest
GRACE = 5.0  # seconds that an interrupted run waits for requests under way
T = TypeVar("T")


class Crew(Generic[T]):
    """Does a job for each of some items. A job that fails does not keep the others from being done.

    `failures` are the items whose job failed, and why, in the order of their ends. The threads are daemons: one that
    hangs on a dead connection must not keep the program from ending.
    """

    def __init__(
        self, job: Callable[[T], object], items: Sequence[T], threads: int, stop: Callable[[], None]
    ) -> None:
        self.failures: list[tuple[T, BaseException]] = []
        self._job = job
        self._stop = stop
        self._waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
        for item in items:
            self._waiting.put(item)
        self._threads = min(threads, len(items))
        self._ended: list[int] = []  # the threads that are through
        self._over = threading.Semaphore(0)  # wakes whoever waits for them

    def run(self) -> None:
        """Do all jobs. On Ctrl-C `stop` is called, jobs under way get a little time, and it is raised again."""
        try:
            for number in range(self._threads):
                threading.Thread(target=self._begin, name=f"crew-{number}", daemon=True).start()
            # Not by `Thread.join`: until Python 3.13 one that Ctrl-C interrupts takes the thread for ended. Not for
            # long at a time either: a signal that reaches another thread does not wake this one.
            while len(self._ended) < self._threads:
                self._over.acquire(timeout=HEED)
        except KeyboardInterrupt:
            self._stop()
            end = time.monotonic() + GRACE
            while len(self._ended) < self._threads and (left := end - time.monotonic()) > 0:
                self._over.acquire(timeout=min(left, HEED))
            raise

    def _begin(self) -> None:
        try:
            self._work()
        finally:
            self._ended.append(threading.get_ident())
            self._over.release()

    def _work(self) -> None:
        while True:
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                return
            try:
                self._job(item)
            except InterruptedRunError:
                return
            except BaseException as error:  # told by whoever runs the crew
                self.failures.append((item, error))
                if not isinstance(error, Exception):
                    return
