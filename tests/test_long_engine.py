"""Deaths around a Dask cluster: of workers, of its scheduler, of the command; and a worker that is not dead at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from migrate.engine import scheduler
from migrate.model.errors import MigrateError
from tests import engines
from tests.conftest import ROOT, Demo, Run
from tests.engines import FOLDER, PATIENCE, Cluster, cluster, content, is_alive, until

pytestmark = pytest.mark.long
PATCHED = """
import sys
import migrate.map.mapping as mapping
from migrate.engine import scheduler
from migrate.model.errors import MigrateError
from tests import engines
mapping.map_some = getattr(engines, sys.argv.pop(1))
from migrate.__main__ import main
main()
"""


def begin(place: Path, task: str, *words: object) -> subprocess.Popen[str]:
    """Start a command whose small services are mapped by a task of the tests."""
    place.mkdir(exist_ok=True)
    (tmp := place.parent / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", PATCHED, task, *map(str, words)],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), FOLDER: str(place.parent), "TMPDIR": str(tmp)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How it ended: its exit code, and what it said on standard error."""
    told = process.communicate(timeout=PATIENCE)[1]
    return process.returncode, told


@pytest.fixture
def expected(run: Run, demo: Demo, tmp_path: Path) -> dict[str, bytes]:
    assert run("map", demo.folder / "snapshot", "--out", tmp_path / "without" / "m").exit_code == 0
    return content(tmp_path / "without")


def map_on(dask: Cluster, task: str, demo: Demo, tmp_path: Path) -> subprocess.Popen[str]:
    return begin(tmp_path / "with", task, "map", demo.folder / "snapshot", "--out", "m", "--scheduler", dask.address)


def test_the_task_of_a_worker_that_is_killed_is_done_by_another(
    demo: Demo, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    with cluster(tmp_path / "cluster") as dask:
        command = map_on(dask, "held", demo, tmp_path)
        until(dask.begun)
        with Client(dask.address, set_as_default=False) as client:
            assert "<held>" in client.run_on_scheduler(engines.state_of)  # all that is seen of a task under way
        os.kill(dask.begun()[0], signal.SIGKILL)
        until(lambda: len(dask.begun()) == 2)
        (dask.folder / "go").touch()
        assert end(command) == (0, "")
    assert content(tmp_path / "with") == expected


def test_a_worker_that_was_only_taken_for_dead_changes_nothing_when_it_comes_back(
    demo: Demo, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    """A machine that hangs, or a network that was cut: its worker goes on with a task that another has done."""
    with cluster(tmp_path / "cluster", DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="1s") as dask:
        command = map_on(dask, "held", demo, tmp_path)
        until(dask.begun)
        zombie = dask.begun()[0]
        os.kill(zombie, signal.SIGSTOP)
        until(lambda: len(dask.begun()) == 2)
        (dask.folder / "go").touch()
        assert end(command) == (0, "")
        os.kill(zombie, signal.SIGCONT)
        until(lambda: (dask.folder / f"ended-{zombie}").exists())
    assert content(tmp_path / "with") == expected


def test_a_task_that_each_worker_dies_of_ends_in_one_line(demo: Demo, tmp_path: Path) -> None:
    with cluster(tmp_path / "cluster", 0, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1") as dask:
        dask.worker("--nanny")
        code, told = end(map_on(dask, "fatal", demo, tmp_path))
    assert (code, told.count("\n")) == (1, 1), told
    assert "2 workers of the Dask cluster have died while doing the same task (fatal-" in told
    assert "The same command starts over" in told
    assert not content(tmp_path / "with")


def test_a_scheduler_that_is_lost_in_the_middle_is_one_line(demo: Demo, tmp_path: Path) -> None:
    with cluster(tmp_path / "cluster") as dask:
        command = map_on(dask, "held", demo, tmp_path)
        until(dask.begun)
        dask.processes[0].kill()
        code, told = end(command)
    assert (code, told.count("\n")) == (1, 1), told
    assert f"The Dask scheduler at {dask.address} was lost" in told
    assert [*(tmp_path / "with").iterdir()] == []


def test_workers_that_end_and_do_not_come_back_are_not_waited_for_forever(
    run: Run, demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrate.engine.cluster_workers.LOOK", 0.1)
    monkeypatch.setattr("migrate.engine.cluster_workers.NO_WORKERS", 0.5)
    monkeypatch.setattr("migrate.map.mapping.map_some", engines.fatal)
    with cluster(tmp_path / "cluster", 1) as dask:
        done = run("map", demo.folder / "snapshot", "--out", tmp_path / "with" / "m", "--scheduler", dask.address)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
    assert "has had no worker for" in done.stderr
    assert not content(tmp_path / "with")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked for in /proc")
def test_a_command_that_is_stopped_leaves_no_process_and_no_file(
    demo: Demo, tmp_path: Path, number: signal.Signals
) -> None:
    command = begin(tmp_path / "with", "held", "map", demo.folder / "snapshot", "--out", "m", "--scheduler", "local")
    found = Cluster(tmp_path)
    until(found.begun)
    os.kill(command.pid, number)
    code, told = end(command)
    for worker in found.begun():
        until(lambda worker=worker: not is_alive(worker))  # type: ignore[misc]
    until(lambda: not [*(tmp_path / "tmp").iterdir()])
    if number == signal.SIGKILL:
        assert code == -number
        return
    assert (code, told.count("\n")) == (130, 1), told
    assert told.startswith("Error: Interrupted. Nothing was changed in m")
    assert [*(tmp_path / "with").iterdir()] == []


def test_a_mapping_that_is_stopped_leaves_nothing_though_a_worker_goes_on(
    demo: Demo, tmp_path: Path, expected: dict[str, bytes], run: Run
) -> None:
    with cluster(tmp_path / "cluster", 1) as dask:
        command = map_on(dask, "held", demo, tmp_path)
        until(dask.begun)
        os.kill(command.pid, signal.SIGINT)
        assert end(command)[0] == 130
        (dask.folder / "go").touch()
        (worker,) = dask.begun()
        until(lambda: (dask.folder / f"ended-{worker}").exists())
        assert [*(tmp_path / "with").iterdir()] == []
        done: Any = run(
            "map", demo.folder / "snapshot", "--out", tmp_path / "with" / "m", "--scheduler", dask.address
        )
        assert done.exit_code == 0, done.output
    assert content(tmp_path / "with") == expected


def test_a_scheduler_that_is_lost_before_there_is_work_for_it_is_one_line(
    tmp_path: Path,
) -> None:
    """As in a verification, which reads from Twilio for hours before it compares anything."""
    with cluster(tmp_path / "cluster", 1) as dask, scheduler.cluster(dask.address, [], None) as workers:
        assert workers.submit(len, "abc").result(PATIENCE) == 3
        dask.processes[0].kill()
        for _ in range(2):  # at once, and when the connection was given up
            with pytest.raises(MigrateError, match="was lost"):
                workers.submit(len, "abc").result(PATIENCE)
