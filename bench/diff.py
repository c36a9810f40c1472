"""Diff beside verify, on the same two synthetic snapshots: both compare every binding; run by `make bench`.

Each run is a process of its own, the two take turns, and the best time counts, because other work on the machine can
only make a run slower.
"""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path

import click

from bench.measure import Result, keep_best, run, show, target
from bench.verifiers import later

FULL = 10_000_000  # what the target is for


@click.command()
@click.option("--bindings", default=FULL, show_default=True, help="Bindings of either snapshot.")
@click.option("--rounds", default=3, show_default=True, help="How often each is run.")
def main(bindings: int, rounds: int) -> None:
    """Print both, and how long diff takes in times of verify."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, best of {rounds}")
    best: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as folder:
        snapshot = f"{folder}/snapshot"
        run("make_snapshot", str(bindings), snapshot, bindings)
        run("make_later", snapshot, str(later(snapshot)), bindings)
        for name in ["diff_snapshots", "verify_snapshot"] * rounds:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                keep_best(best, name, run(name, snapshot, out, bindings))
        size = sum(path.stat().st_size for path in Path(folder).glob("snapshot*/**/*.parquet"))
    show(
        f"{bindings:,} bindings beside {bindings:,} later ones ({size / 1e6:,.0f} MB of Parquet) in 4 services", best
    )
    ours, verify = best["diff_snapshots"], best["verify_snapshot"]
    target("times the seconds of verify", ours.seconds / verify.seconds, 1, least=False)
    if bindings == FULL:
        target("MB at most", ours.peak, 1000, least=False)


if __name__ == "__main__":
    main()
