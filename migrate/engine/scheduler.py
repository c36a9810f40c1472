"""A Dask cluster, as an executor: one that runs, by its scheduler's address, or one for the command's duration."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrate.engine.cluster_workers import ClusterWorkers
from migrate.engine.local import local_cluster
from migrate.engine.sight import INSTALL, Shared, Sight, look, refuse_unless_alike, shared_of
from migrate.model.errors import MigrateError, RefusedError, UsageError
from migrate.runtime.interrupts import stopped_by

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"  # a cluster on this machine
CONNECT = 10.0  # seconds that a scheduler may take to answer
FIRST = 10.0  # seconds that its first worker may take to be there
END = 1.0  # seconds that the end of the connection may take
_THEIRS = ("distributed", "dask", "tornado", "bokeh", "asyncio")  # loggers


@contextmanager
def cluster(
    scheduler: str, reads: Sequence[Path], writes: Path | None, workers: int | None = None
) -> Iterator[Executor]:
    """The workers of the cluster at an address, or `LOCAL`, as an executor; there are so many, or one a processor.

    Each worker is asked first: it must have the same versions, see the files `reads` as they are here, and write
    beside `writes`. Raises `UsageError` where Dask is not installed, `MigrateError` where no scheduler or worker
    answers, and `RefusedError` for workers that are not alike.
    """
    if find_spec("distributed") is None:
        raise UsageError(
            "--scheduler needs Dask, which is not installed",
            remedy='Install it with: pip install "chat-migrate[dask]"',
        )
    with ExitStack() as stack:
        address, shown, keys = scheduler, scheduler, None
        if scheduler == LOCAL:
            shown = "this machine"
            address, keys = stack.enter_context(local_cluster(workers or os.cpu_count() or 1))
        client = stack.enter_context(_connected(address, shown, keys))
        with shared_of(reads, writes) as shared:
            _refuse_others(client, shown, shared)
        executor = stack.enter_context(ClusterWorkers(client, shown))
        stack.enter_context(stopped_by(executor.drop_all))
        yield executor


@contextmanager
def _connected(address: str, shown: str, keys: Any = None) -> Iterator[Client]:
    """A connection to a scheduler, of which nothing is heard but by its errors. Without `keys`, those that Dask's
    configuration names hold.
    """
    import dask
    from distributed import Client

    with _silent(), dask.config.set({"distributed.comm.timeouts.connect": CONNECT}):
        client = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # versions are compared below
                client = Client(address, timeout=CONNECT, security=keys, set_as_default=False, name="chat-migrate")
                client.wait_for_workers(1, timeout=FIRST)
        except Exception as error:  # Dask has no base of its own for them, and their text can hold anything
            if client:
                client.close(timeout=END)
            raise _unreached(shown, has_none=client is not None) from error
        try:
            yield client
        finally:
            client.close(timeout=END)


def _unreached(shown: str, *, has_none: bool) -> MigrateError:
    if has_none:
        return MigrateError(
            f"The Dask scheduler at {shown} has no workers", remedy=f"Start some: dask worker {shown}"
        )
    return MigrateError(
        f"No Dask scheduler answers at {shown} within {CONNECT:.0f} seconds",
        remedy="See that it runs, that this machine reaches it, and that its certificates are configured where it "
        "asks for TLS; or leave out --scheduler",
    )


def _refuse_others(client: Client, shown: str, shared: Shared) -> None:
    """Raise `RefusedError` where the scheduler or any worker has other versions, or does not see the same files."""
    try:
        there: Any = client.run_on_scheduler(look, Shared((), None))
        found: dict[str, Any] = client.run(look, shared, on_error="return")
    except Exception as error:
        raise RefusedError(
            f"The Dask scheduler at {shown} cannot run this version of chat-migrate, or was lost",
            kept="Nothing was done",
            remedy=INSTALL,
        ) from error
    refuse_unless_alike(f"The Dask scheduler at {shown}", there, Shared((), None))
    for address, sight in sorted(found.items()):
        if not isinstance(sight, Sight):
            raise RefusedError(
                f"The Dask worker at {address} cannot run this version of chat-migrate",
                kept="Nothing was done",
                remedy=INSTALL,
            )
        refuse_unless_alike(f"The Dask worker at {address}", sight, shared)


@contextmanager
def _silent() -> Iterator[None]:
    """Have Dask's loggers say nothing: they write to standard error, of what is said here in one line."""
    theirs = {*_THEIRS, *(name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _THEIRS)}
    before = [(logger, logger.handlers, logger.propagate) for logger in map(logging.getLogger, sorted(theirs))]
    for logger, _, _ in before:
        logger.handlers, logger.propagate = [logging.NullHandler()], False
    try:
        yield
    finally:
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
