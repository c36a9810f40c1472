"""Map beside the obvious thing in pandas, and beside reading and writing alone; run by `make bench`.

Each run is a process of its own and the best time counts, because other work on the machine can only make a run
slower. pandas has a sample only: all of it would take it too long.
"""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path

import click

from bench.measure import Result, keep_best, run, show, target

FULL = 10_000_000  # what the targets are for
FLOOR = 1.25


@click.command()
@click.option("--bindings", default=FULL, show_default=True, help="Bindings of the snapshot.")
@click.option("--sample", default=100_000, show_default=True, help="Bindings of the snapshot that pandas maps.")
@click.option("--rounds", default=3, show_default=True, help="How often each is run.")
def main(bindings: int, sample: int, rounds: int) -> None:
    """Print both, and whether the targets are met."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, best of {rounds}")
    with tempfile.TemporaryDirectory() as folder:
        all_of_them = f"{folder}/all", bindings
        work = {
            "map_snapshot": all_of_them,
            "duckdb_floor": all_of_them,
            "pandas_apply": (f"{folder}/sample", sample),
        }
        # Not in this process: it would pass its peak memory on to its children.
        for snapshot, rows in dict.fromkeys(work.values()):
            run("make_snapshot", str(rows), snapshot, rows)
        best: dict[str, Result] = {}
        for name, (snapshot, rows) in [*work.items()] * rounds:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                keep_best(best, name, run(name, snapshot, out, rows))
        size = sum(path.stat().st_size for path in Path(folder, "all").rglob("*.parquet"))
    show(f"{bindings:,} bindings ({size / 1e6:,.0f} MB of Parquet) in 4 services; pandas: {sample:,} such", best)
    ours = best["map_snapshot"]
    print(f"          times the rows/s of pandas: {ours.speed / best['pandas_apply'].speed:.1f}")
    floor = ours.seconds / best["duckdb_floor"].seconds
    target("times what DuckDB takes to read and write the same columns", floor, FLOOR, least=False)
    if bindings == FULL:
        target("seconds", ours.seconds, 25, least=False)
        target("MB at most", ours.peak, 1000, least=False)


if __name__ == "__main__":
    main()
