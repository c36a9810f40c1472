"""The first notebook on a large snapshot, beside the same questions asked of one DataFrame; run by `make bench`.

Each run is a process of its own and the best time counts, because other work on the machine can only make a run
slower.
"""

from __future__ import annotations

import os
import platform
import tempfile

import click

from bench.measure import Result, keep_best, run, show, target

FULL = 2_000_000  # what the targets are for


@click.command()
@click.option("--bindings", default=FULL, show_default=True, help="Bindings of the snapshot.")
@click.option("--rounds", default=3, show_default=True, help="How often each is run.")
def main(bindings: int, rounds: int) -> None:
    """Print both, and whether the targets are met."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, best of {rounds}")
    best: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as folder:
        snapshot = f"{folder}/snapshot"
        run("make_snapshot", str(bindings), snapshot, bindings)
        for name in ("review_snapshot", "pandas_review") * rounds:
            keep_best(best, name, run(name, snapshot, folder, bindings))
    show(f"{bindings:,} bindings of 4 services: the first notebook's questions", best)
    ours, theirs = best["review_snapshot"], best["pandas_review"]
    print(f"          times the rows/s of pandas: {ours.speed / theirs.speed:.1f}")
    print(f"          of the memory of pandas: {ours.peak / theirs.peak:.2f}")
    if bindings == FULL:
        target("seconds", ours.seconds, 20, least=False)
        target("MB at most", ours.peak, 1000, least=False)


if __name__ == "__main__":
    main()
