"""map and verify with the threads of one process, and on a Dask cluster of 1, 2 and 4 workers; run by `make bench`.

Each run is a process of its own, they take turns, and the best time counts. What an idle cluster costs is not in the
rows/s: it is what the demo takes longer with `--scheduler local` than without.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from pathlib import Path

import click

from bench.measure import Result, keep_best, run, run_whole, show
from bench.verifiers import later

WORKERS = (1, 2, 4)


@click.command()
@click.option("--bindings", default=4_000_000, show_default=True, help="Bindings of the snapshot.")
@click.option("--rounds", default=3, show_default=True, help="How often each is run.")
def main(bindings: int, rounds: int) -> None:
    """Print rows/s, as times those of the threads, and what the cluster costs the demo."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, best of {rounds}")
    best: dict[str, dict[str, Result]] = {"map": {}, "verify": {}}
    with tempfile.TemporaryDirectory() as folder:
        snapshot = f"{folder}/snapshot"
        run("make_snapshot", str(bindings), snapshot, bindings)
        run("make_later", snapshot, str(later(snapshot)), bindings)
        for stage in [*best] * rounds:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                keep_best(best[stage], "threads", run(f"{stage}_snapshot", snapshot, out, bindings))
            for many in WORKERS:
                with tempfile.TemporaryDirectory(dir=folder) as out:
                    result = run(f"{stage}_on_dask", f"{snapshot} {many}", out, bindings)
                keep_best(best[stage], f"Dask, {many} worker{'s' * (many > 1)}", result)
        small = _demo(Path(folder), rounds)
    for stage, found in best.items():
        show(f"{stage}: {bindings:,} bindings in 4 services", found)
        for name, result in found.items():
            print(f"          {name}: {result.speed / found['threads'].speed:.2f} times the rows/s of the threads")
    show("map, the demo's bindings, whole processes", small)
    cost = small["--scheduler local"].seconds - small["threads"].seconds
    print(f"          a cluster on this machine takes {cost:.1f} s more")


def _demo(folder: Path, rounds: int) -> dict[str, Result]:
    program = [sys.executable, "-m", "migrate"]
    run_whole([*program, "run", "--replay", "demo", "--out", str(folder / "demo")], {}, 1)
    best: dict[str, Result] = {}
    for number in range(rounds):
        for name, more in (("threads", []), ("--scheduler local", ["--scheduler", "local"])):
            out = str(folder / f"demo-{number}-{len(more)}")
            words = ["map", str(folder / "demo" / "snapshot"), "--out", out, *more]
            keep_best(best, name, run_whole([*program, *words], {}, 328))
    return best


if __name__ == "__main__":
    main()
