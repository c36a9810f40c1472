"""A Dask cluster of processes for the tests, and what they have its workers do. Workers import it: it is light."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrate.model.errors import AGAIN, RefusedError

ROOT = Path(__file__).parent.parent
FOLDER = "PYTHON_TEST_FOLDER"  # where held tasks say that they have begun; so called, a local cluster gets it, too
PATIENCE = 120.0  # seconds, after which a test has failed; nothing takes nearly as long
PLANTED = "planted-person@example.test"


def until(condition: Callable[[], Any]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


@dataclass
class Cluster:
    """A scheduler and workers, each a process, whose logs are files in a folder."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a process of Dask's, on the loopback interface."""
        log = (self.folder / f"{name}-{len(self.processes)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{name}", *words, "--host", "127.0.0.1", "--no-dashboard"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), FOLDER: str(self.folder), **self.environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self.processes.append(process)
        return process

    def worker(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a worker; with no nanny, if not said otherwise."""
        return self.start("worker", self.address, "--nthreads", "1", *(words or ("--no-nanny",)))

    def begun(self) -> list[int]:
        """The processes that have begun a held task."""
        return [int(path.name.partition("-")[2]) for path in self.folder.glob("begun-*")]

    def logs(self) -> str:
        """All that was logged."""
        return "\n".join(path.read_text("utf-8", "replace") for path in sorted(self.folder.glob("*.log")))


@contextmanager
def cluster(folder: Path, workers: int = 2, **environment: str) -> Iterator[Cluster]:
    """A scheduler with some workers, which end with the block."""
    folder.mkdir()
    found = Cluster(folder, environment)
    try:
        place = folder / "scheduler.json"
        found.start("scheduler", "--port", "0", "--scheduler-file", str(place))
        until(lambda: place.exists() and place.read_bytes())
        found.address = json.loads(place.read_bytes())["address"]
        for _ in range(workers):
            found.worker()
        yield found
    finally:
        for process in found.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def is_alive(process: int) -> bool:
    """Whether a process is there, and is more than an entry that nothing has waited for. Linux has them in /proc."""
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def members(group: int) -> list[int]:
    """The processes of a group that are alive."""
    found = []
    for process in (int(path.name) for path in Path("/proc").glob("[0-9]*")):
        try:
            if os.getpgid(process) == group and is_alive(process):
                found.append(process)
        except ProcessLookupError:
            continue
    return found


def content(folder: Path) -> dict[str, bytes]:
    """All files in a folder, by their name in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def state_of(dask_scheduler: Any) -> str:
    """All that a scheduler has of tasks and events, as text."""
    tasks = {key: (repr(task), repr(task.run_spec)) for key, task in dask_scheduler.tasks.items()}
    return repr([tasks, [*dask_scheduler.transition_log], dask_scheduler.get_events(), dask_scheduler.identity()])


def refused(task: Any) -> Any:
    """A task that ends in an error for the operator."""
    raise RefusedError("It is refused", kept="All is kept", remedy=("Resume with: ", AGAIN))


def full(task: Any) -> Any:
    """A task that meets a full disk."""
    raise OSError(28, "No space left on device", "/somewhere/part.parquet")


def mistaken(task: Any) -> Any:
    """A task that ends in an error which no one expected, with personal data in its text."""
    raise ValueError(f"Could not convert {PLANTED!r}")


def fatal(task: Any) -> Any:
    """A task that ends the process of its worker, as one does that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def wait(task: Any) -> Any:
    """A task that ends when the test says so."""
    folder = Path(os.environ[FOLDER])
    (folder / f"begun-{os.getpid()}").touch()
    until((folder / "go").exists)
    return folder


def held(task: Any) -> Any:
    """Map small services, once the test says so."""
    from migrate.map.mapping import map_some

    folder = wait(task)
    try:
        return map_some(task)
    finally:
        (folder / f"ended-{os.getpid()}").touch()
