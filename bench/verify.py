"""Verify beside pandas' merge, on two synthetic snapshots of one size; run by `make bench`.

Each run is a process of its own and the best time counts, because other work on the machine can only make a run
slower. pandas has a tenth only: of all of it, it would take more memory than many a machine has.
"""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path

import click

from bench.measure import Result, keep_best, run, show, target
from bench.verifiers import later

FULL = 10_000_000  # what the targets are for


@click.command()
@click.option("--bindings", default=FULL, show_default=True, help="Bindings of either snapshot.")
@click.option(
    "--sample", default=1_000_000, show_default=True, help="Bindings of either snapshot that pandas merges."
)
@click.option("--rounds", default=3, show_default=True, help="How often each is run.")
def main(bindings: int, sample: int, rounds: int) -> None:
    """Print both, and whether the targets are met."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, best of {rounds}")
    with tempfile.TemporaryDirectory() as folder:
        work = {"verify_snapshot": (f"{folder}/all", bindings), "pandas_merge": (f"{folder}/sample", sample)}
        for snapshot, rows in work.values():  # not in this process: it would pass its peak memory on to its children
            run("make_snapshot", str(rows), snapshot, rows)
            run("make_later", snapshot, str(later(snapshot)), rows)
        best: dict[str, Result] = {}
        for name, (snapshot, rows) in [*work.items()] * rounds:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                keep_best(best, name, run(name, snapshot, out, rows))
        with tempfile.TemporaryDirectory(dir=folder) as out:
            best["ours, sample"] = run("verify_snapshot", f"{folder}/sample", out, sample)
        size = sum(path.stat().st_size for path in Path(folder).glob("all*/**/*.parquet"))
    title = f"{bindings:,} bindings beside {bindings:,} live ones ({size / 1e6:,.0f} MB of Parquet) in 4 services"
    show(f"{title}; pandas: {sample:,} beside {sample:,}", best)
    ours, theirs = best["verify_snapshot"], best["pandas_merge"]
    print(f"          times the rows/s of pandas: {ours.speed / theirs.speed:.1f}")
    if bindings == FULL:
        target("seconds", ours.seconds, 60, least=False)
        target("MB at most", ours.peak, 1000, least=False)


if __name__ == "__main__":
    main()
