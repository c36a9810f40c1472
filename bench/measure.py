"""What the benchmarks share: runs in processes of their own, the best of some, tables, targets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click


@dataclass(frozen=True)
class Result:
    """A run, or the best of some: seconds, rows, peak memory in MB; processor seconds, its own and a server's."""

    seconds: float
    rows: int
    peak: float
    server: float | None = None
    processor: float | None = None

    @property
    def speed(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds


def run(name: str, source: str, folder: str, rows: int) -> Result:
    """Run a piece of work of `bench.worker` in a process of its own; it must give so many rows."""
    command = [sys.executable, "-m", "bench.worker", name, source, folder]
    environment = {**os.environ, "BENCH_BINDINGS": str(rows)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{name} failed: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    if found["rows"] != rows:
        raise click.ClickException(f"{name} brought {found['rows']:,} of {rows:,} bindings")
    return Result(found["seconds"], found["rows"], found["peak"])


def run_whole(command: Sequence[str], environment: Mapping[str, str], rows: int, folder: str | None = None) -> Result:
    """Run a command, in a folder, as a whole process, from its start to its end; it reads so many rows."""
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        env={**os.environ, **environment},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = process.stderr.read() if process.stderr else ""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise click.ClickException(f"{command[-1]} failed: {said[-2000:]}")
    peak = used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return Result(seconds, rows, peak, processor=used.ru_utime + used.ru_stime)


def keep_best(best: dict[str, Result], name: str, result: Result) -> None:
    """Keep the faster one."""
    if name not in best or result.seconds < best[name].seconds:
        best[name] = result


def show(title: str, results: dict[str, Result]) -> None:
    """A table of results."""
    print(f"\n{title}")
    for name, result in results.items():
        speed, peak = f"{result.speed:11,.0f} rows/s", f"{result.peak:6,.0f} MB"
        server = "" if result.server is None else f"   stand-in {result.server:.2f} s of processor time"
        cost = None if result.processor is None else result.processor / result.rows * 1e6
        own = "" if cost is None else f"   {cost:.2f} µs of processor time a row"
        print(f"  {name:18}{result.seconds:8.2f} s {speed} {peak}{own}{server}")


def target(what: str, value: float, limit: float, *, least: bool) -> None:
    """A target, and whether it was met."""
    met = value >= limit if least else value <= limit
    print(f"  {'met   ' if met else 'MISSED'}  {what}: {value:.2f} (at {'least' if least else 'most'} {limit:g})")
