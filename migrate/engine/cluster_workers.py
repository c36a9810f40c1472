"""An executor whose jobs are done by the workers of a Dask cluster."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from migrate.engine.errand import Answer, Errand, do
from migrate.model.errors import MigrateError
from migrate.runtime.interrupts import HEED
from migrate.runtime.workers import Waiting

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as Remote

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
ANSWER = 120.0  # seconds that the answer of a task that is done may take to come
LOOK = 5.0  # seconds between two looks at whether there are workers
NO_WORKERS = 60.0  # seconds without any worker, after which none is waited for
AGAIN = "The same command starts over"


class ClusterWorkers(Waiting):
    """Has jobs done by the workers of a cluster; the rest is as for `migrate.runtime.workers.Workers`.

    A job goes there as an `Errand`, under a key that is ours: the name of the function, a random text of this
    run, and a number. A job whose worker dies is done again by another. What cannot be stopped is a job under way:
    once it is dropped nothing waits for its answer, and what it writes must not count (`storage.files.drop_folder`).
    """

    def __init__(self, client: Client, shown: str) -> None:
        self._client = client
        self._shown = shown
        self._run = os.urandom(4).hex()
        self._number = 0
        self._closed = False
        self._lock = threading.Lock()
        self._waiting: dict[Future[Any], Remote] = {}
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="cluster", daemon=True).start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a job done. Raises `RuntimeError` once no more are taken."""
        errand, future = Errand(fn, args, kwargs), Future[T]()
        with self._lock:
            if self._closed:
                raise RuntimeError("no more jobs are taken")
            self._number += 1
            key = f"{errand.name.replace('_', '-')}-{self._run}-{self._number:06}"
            # A key is the cluster's: one that another command has taken would bring that one's answer.
            try:
                remote = self._client.submit(do, errand, key=key, pure=False)
            except Exception as error:  # the connection was closed: Dask has no base of its own for that
                raise self._lost() from error
            self._waiting[future] = remote
        future.add_done_callback(self._drop)
        remote.add_done_callback(lambda _: self._answered(future, remote))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs; wait until those that were taken are done, or drop them."""
        with self._lock:
            self._closed = True
        if cancel_futures:
            self.drop_all()
        while wait and self._left():
            self._over.wait(HEED)
        self._over.set()

    def drop_all(self) -> None:
        """Drop all jobs; it does not block."""
        for future in self._left():
            future.cancel()

    def _break_off(self) -> None:
        self.shutdown(wait=False, cancel_futures=True)

    def _left(self) -> list[Future[Any]]:
        with self._lock:
            return [*self._waiting]

    def _drop(self, future: Future[Any]) -> None:
        """Have the cluster forget a job that is done, or that nothing waits for."""
        with self._lock:
            remote = self._waiting.pop(future, None)
        if remote is not None:
            remote.release()
        if future.cancelled():
            future.set_running_or_notify_cancel()  # else it does not count as done for those that wait

    def _answered(self, future: Future[Any], remote: Remote) -> None:
        """Pass on what came of a job; called in a thread of Dask's."""
        answer = self._answer(remote)
        with self._lock:
            if self._waiting.pop(future, None) is None or not future.set_running_or_notify_cancel():
                return  # it was dropped
        remote.release()
        if answer.error is None:
            future.set_result(answer.value)
            return
        if answer.frames:
            logger.info("%s in a worker: %s", type(answer.error).__name__, answer.frames)
        future.set_exception(answer.error)

    def _answer(self, remote: Remote) -> Answer:
        from distributed import KilledWorker

        try:
            answer: Answer = remote.result(timeout=ANSWER)
        except KilledWorker as error:
            return Answer(
                error=MigrateError(
                    f"{error.allowed_failures + 1} workers of the Dask cluster have died while doing the same task "
                    f"({remote.key})",
                    remedy=f"See in their logs why; most often they lack memory. {AGAIN}",
                )
            )
        except CancelledError:
            return Answer(error=self._lost())
        except Exception as error:  # of a library, whose text was not searched for secrets
            logger.info("%s from the cluster", type(error).__name__)
            return Answer(
                error=MigrateError(
                    f"The Dask cluster at {self._shown} has not done a task ({remote.key}): {type(error).__name__}",
                    remedy="See that its scheduler and workers have the same versions as this machine, and their "
                    f"logs. {AGAIN}",
                )
            )
        return answer

    def _lost(self) -> MigrateError:
        return MigrateError(
            f"The Dask scheduler at {self._shown} was lost", remedy=f"See that it runs, and its log. {AGAIN}"
        )

    def _watch(self) -> None:
        """End the jobs once there has been no worker for too long: Dask would wait for one forever."""
        seen = time.monotonic()
        while not self._over.wait(LOOK):
            try:
                workers = self._client.scheduler_info(n_workers=0)["n_workers"]
            except Exception as error:  # a lost scheduler ends the jobs by itself
                logger.debug("%s from the scheduler", type(error).__name__)
                continue
            if workers or not self._left():
                seen = time.monotonic()
            elif time.monotonic() - seen > NO_WORKERS:
                self._fail(
                    MigrateError(
                        f"The Dask cluster at {self._shown} has had no worker for {NO_WORKERS:.0f} seconds",
                        remedy=f"Start workers, and see in the logs of those that ended why they did. {AGAIN}",
                    )
                )

    def _fail(self, error: MigrateError) -> None:
        """End all jobs with an error."""
        for future in self._left():
            with self._lock:
                remote = self._waiting.pop(future, None)
            if remote is not None and future.set_running_or_notify_cancel():
                remote.release()
                future.set_exception(error)
