"""The option that has a command's work done by a Dask cluster."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

_LOCAL = "local"
_MANIFESTS = ("manifest.json", "summary.json", "fleet.json")  # of a snapshot, a mapped folder, a fleet


class Scheduler(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions only
    """Where a Dask scheduler is: `local`, or an address."""

    name = "local|tcp://HOST:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form; whether a scheduler answers there, the command says."""
        found = re.fullmatch(r"(?:tcp|tls)://(?:[\w.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", str(value))
        if value != _LOCAL and not (found and 0 < int(found[1]) < 1 << 16):
            self.fail(f"{value!r} is neither {_LOCAL} nor an address such as tcp://HOST:8786", param, ctx)
        return str(value)


scheduler_option = click.option(
    "--scheduler", type=Scheduler(), metavar="ADDRESS",
    help="Have the work done by a Dask cluster: the address of its scheduler, such as tcp://HOST:8786, or local, "
    "for one on this machine meanwhile. It takes chat-migrate[dask]; see docs/engine.md.",
)  # fmt: skip


def executor_of(
    scheduler: str | None, reads: Sequence[Path], writes: Path | None
) -> AbstractContextManager[Executor | None]:
    """What does the work: the cluster that was asked for, or None, which is a few threads of this process.

    Its workers must see the files or folders `reads`, and write beside `writes`.
    """
    if scheduler is None:
        return nullcontext()
    from migrate.engine.scheduler import cluster

    files = [file for path in reads for file in (path, *(path / name for name in _MANIFESTS)) if file.is_file()]
    return cluster(scheduler, files, writes)
