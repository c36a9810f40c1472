"""A Dask cluster on this machine for as long as a command runs: a scheduler and workers, in processes of their own.

They are children of one process, which this module is. It ends them, and itself, as soon as the command has ended,
however that was: its standard input is at an end then.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from migrate.model.errors import MigrateError

_KEYS = (
    "tls_ca_file",
    *(f"tls_{who}_{what}" for who in ("client", "scheduler", "worker") for what in ("key", "cert")),
)
START = 60.0  # seconds that the cluster may take to start
# Of the environment they get what Python and Dask need, and so no credentials of Twilio's.
_INHERITED = ("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "VIRTUAL_ENV")
_INHERITED_BEGINNINGS = ("PYTHON", "DASK_", "LC_", "LD_", "COV_", "COVERAGE_")


@contextmanager
def local_cluster(workers: int) -> Iterator[tuple[str, Any]]:
    """A cluster of so many worker processes of one thread each, without a dashboard: the scheduler's address, and
    the keys to it (`distributed.Security`).

    It listens on the loopback interface alone, and only to who has the keys, which are made for it: whoever has
    tasks done by a cluster can do all that its user can. Its temporary folder is the system's, and is gone
    afterwards. Raises `MigrateError` where it does not start.
    """
    from distributed import Security

    keys = Security.temporary()
    folder = tempfile.mkdtemp(prefix="chat-migrate-dask-")
    process = subprocess.Popen(  # noqa: S603  # ourselves
        [sys.executable, "-m", "migrate.engine.local", str(workers), folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
        start_new_session=True,  # Ctrl-C is the command's: it ends them
    )
    slow = threading.Timer(START, process.kill)
    slow.daemon = True
    try:
        slow.start()
        with suppress(BrokenPipeError):  # it has ended already
            _give(process, {name: getattr(keys, name) for name in _KEYS})
        address = process.stdout.readline().decode().strip() if process.stdout else ""
        slow.cancel()
        if not address:
            raise MigrateError(
                "A Dask cluster on this machine did not start",
                remedy=f"See what this says: {Path(sys.executable).name} -c 'import distributed'; "
                "or leave out --scheduler",
            )
        yield address, keys
    finally:
        slow.cancel()
        _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def _give(process: subprocess.Popen[bytes], keys: dict[str, str]) -> None:
    if process.stdin:
        process.stdin.write(json.dumps(keys).encode() + b"\n")
        process.stdin.flush()


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _INHERITED or name.upper().startswith(_INHERITED_BEGINNINGS)
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the cluster at once, with all its processes: what they still do nothing waits for."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)  # its number is its own until it is waited for
    else:  # on Windows the workers end with the one that has started them
        process.kill()
    for stream in (process.stdin, process.stdout):
        with suppress(BrokenPipeError):
            if stream:
                stream.close()
    process.wait()


def main() -> None:
    """Serve until standard input is at an end."""
    import dask
    from distributed import LocalCluster, Security

    keys = Security(require_encryption=True, **json.loads(sys.stdin.readline()))
    workers, folder = int(sys.argv[1]), sys.argv[2]
    dask.config.set(
        {
            "temporary-directory": folder,
            "distributed.scheduler.http.routes": [],
            "distributed.worker.http.routes": [],
        }
    )
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        protocol="tls://",
        security=keys,
        dashboard_address=None,
        local_directory=folder,
        memory_limit=0,  # as threads: the system's
    ) as cluster:
        print(cluster.scheduler_address, flush=True)  # noqa: T201  # to the command
        sys.stdin.read()
        for worker in cluster.workers.values():
            if worker.pid:
                os.kill(worker.pid, signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)
        if hasattr(os, "killpg"):
            os.killpg(0, signal.SIGKILL)
        os._exit(0)


if __name__ == "__main__":
    main()
