"""Jobs in child processes: for work that holds the interpreter's lock, so that threads would wait for each other.

`ProcessPoolExecutor` is not used: its processes outlive a parent that is killed, and import the caller's `__main__`.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from migrate.model.errors import InterruptedRunError, MigrateError
from migrate.runtime.child import read_frame, write_frame
from migrate.runtime.interrupts import stopped_by
from migrate.runtime.workers import Workers

P = ParamSpec("P")
T = TypeVar("T")
_ROOT = Path(__file__).parents[2]  # where `migrate` is imported from
# A child imports from where this process does, whatever PYTHONPATH and the current folder have.
_BEGIN = "import sys; sys.path[:] = sys.argv[1:]; from migrate.runtime.child import main; main()"


class Processes(Executor):
    """A bounded number of child processes, each of which takes the next job when it has finished one.

    Jobs and their results are pickled. As a context manager it waits for all jobs at its end; after an error,
    and when the process is asked to end, the children are killed. None outlives this process.
    """

    def __init__(self, many: int) -> None:
        self._workers = Workers(many, "process", stop=self.kill)
        self._mine = threading.local()  # the child of each thread
        self._children: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._is_over = False
        self._stack = ExitStack()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a job done. Raises `RuntimeError` once no more are taken."""
        job = pickle.dumps(partial(fn, *args, **kwargs))
        return self._workers.submit(self._do, job)

    def __enter__(self) -> Self:
        self._stack.enter_context(stopped_by(self.kill))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            try:
                self._workers.__exit__(kind, error, trace)
            finally:
                self.kill()
                for child in self._children:
                    child.communicate()

    def kill(self) -> None:
        """End the children now, whatever they do."""
        with self._lock:
            self._is_over = True
            for child in self._children:
                child.kill()

    def _do(self, job: bytes) -> T:  # type: ignore[type-var]  # what the job gives
        child, data = self._child(), None
        with suppress(OSError):  # it has ended
            write_frame(child.stdin, job)  # type: ignore[arg-type]  # it is a pipe, as the other one
            data = read_frame(child.stdout)  # type: ignore[arg-type]
        if data is None:
            if self._is_over:
                raise InterruptedRunError("Interrupted")
            raise MigrateError(
                "A child process ended before its work was done",
                remedy="See whether the memory is full, and try again",
            )
        is_done, result = pickle.loads(data)  # noqa: S301  # from our own child
        if not is_done:
            raise result
        found: T = result
        return found

    def _child(self) -> subprocess.Popen[bytes]:
        """The child of this thread, which begins with its first job. Raises `OSError` where it cannot begin."""
        child: subprocess.Popen[bytes] | None = getattr(self._mine, "child", None)
        if child is None:
            with self._lock:
                if self._is_over:
                    raise InterruptedRunError("Interrupted")
                child = self._mine.child = subprocess.Popen(  # noqa: S603  # this very interpreter
                    [sys.executable, *_flags(), "-c", _BEGIN, *dict.fromkeys([*sys.path, str(_ROOT)])],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C is for its parent
                )
                self._children.append(child)
        return child


def _flags() -> Iterator[str]:
    """What this interpreter was started with that decides what it imports, and what names of files are in bytes."""
    yield "-P"
    if sys.flags.ignore_environment:
        yield "-E"
    if sys.flags.no_user_site:
        yield "-s"
    yield from ("-X", f"utf8={sys.flags.utf8_mode}")
