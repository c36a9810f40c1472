"""What is measured of the engine: map and verify on the workers of a Dask cluster, which has started by then."""

from __future__ import annotations

import atexit
from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path

from bench.readers import Reader, Work

WARM = 8  # tasks for each worker, so that each gets some


def warm(number: int) -> int:
    """Import what the work needs: a worker does that once."""
    import migrate.map.mapping
    import migrate.verify.partition  # noqa: F401

    return number


def _workers(many: int) -> Executor:
    """A cluster of so many workers on this machine, which ends with this process."""
    from migrate.engine.scheduler import LOCAL, cluster

    stack = ExitStack()
    atexit.register(stack.close)
    executor = stack.enter_context(cluster(LOCAL, [], None, many))
    assert sum(1 for _ in executor.map(warm, range(WARM * many))) == WARM * many
    return executor


def map_on_dask(source: str, folder: Path) -> Work:
    """A snapshot's mapping; `source` is its folder, and how many workers there are."""
    import migrate

    snapshot, _, many = source.rpartition(" ")
    mapper, executor = migrate.map_snapshot, _workers(int(many))
    return lambda: mapper(Path(snapshot), folder / "mapped", executor=executor).bindings


def verify_on_dask(source: str, folder: Path) -> Work:
    """A snapshot beside the later one; `source` is as for `map_on_dask`."""
    import migrate
    from bench.verifiers import later

    snapshot, _, many = source.rpartition(" ")
    verify, executor, live = migrate.verify_snapshot, _workers(int(many)), later(snapshot)
    return lambda: verify(Path(snapshot), folder / "coverage", live, executor=executor).coverage.total.bindings


ENGINES: dict[str, Reader] = {engine.__name__: engine for engine in (map_on_dask, verify_on_dask)}
