"""A stand-in for measuring, in a process of its own: `python -m bench.standin WORLD [LATENCY]`.

Its pages are of the sizes that Twilio documents, and stay as they are first served. It prints its address.
"""

from __future__ import annotations

import sys
from pathlib import Path

from migrate.standin.faults import Faults
from migrate.standin.paging import PageSizes
from migrate.standin.server import StandInServer
from migrate.standin.world import load_world


def main(world: str, latency: str = "0") -> None:
    """Serve a world file until SIGTERM; `latency` is the time before each answer, in seconds."""
    faults = Faults(latency=float(latency))
    with StandInServer(load_world(Path(world)), PageSizes("docs"), faults=faults, prerendered=True) as server:
        print(server.url, flush=True)
        server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
