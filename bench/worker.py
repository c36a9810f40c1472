"""One measured run in a process of its own, so that imports are not timed and memory is its own alone."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from bench.engines import ENGINES
from bench.mappers import MAPPERS
from bench.readers import READERS
from bench.reviewers import REVIEWERS
from bench.verifiers import VERIFIERS


def main(name: str, source: str, folder: str) -> None:
    """Run one reader, mapper, verifier or reviewer, and print its rows, its seconds, and its peak memory in MB."""
    work = (READERS | MAPPERS | VERIFIERS | REVIEWERS | ENGINES)[name](source, Path(folder))
    start = time.perf_counter()
    rows = work()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    print(json.dumps({"rows": rows, "seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
