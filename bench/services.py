"""Many small services beside one with as many bindings: map and verify; run by `make bench`.

Each run is a process of its own and the best time counts, because other work on the machine can only make a run
slower. Verify compares the snapshot with itself.
"""

from __future__ import annotations

import os
import platform
import tempfile

import click

from bench.measure import Result, keep_best, run, show, target
from bench.synthetic import EACH

FULL = 5_000  # what the targets are for
TIMES, SECONDS = 3, 5


@click.command()
@click.option("--services", default=FULL, show_default=True, help="Services of 4 bindings each.")
@click.option("--rounds", default=3, show_default=True, help="How often each is run.")
def main(services: int, rounds: int) -> None:
    """Print all, and whether the targets are met."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, best of {rounds}")
    bindings = services * EACH
    best: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, number in (("many", services), ("one", 1)):
            run("make_services", f"{number} {bindings}", f"{folder}/{name}", bindings)
        for name in ("map_snapshot", "verify_itself") * rounds:
            for snapshot in ("many", "one"):
                with tempfile.TemporaryDirectory(dir=folder) as out:
                    keep_best(best, f"{name}, {snapshot}", run(name, f"{folder}/{snapshot}", out, bindings))
    show(f"{services:,} services of {EACH} bindings, and one of {bindings:,}", best)
    for name in ("map_snapshot", "verify_itself"):
        many, one = best[f"{name}, many"].seconds, best[f"{name}, one"].seconds
        print(f"          {name}: {1000 * (many - one) / services:.2f} ms a service")
        target("seconds for many services", many, max(TIMES * one, SECONDS), least=False)


if __name__ == "__main__":
    main()
