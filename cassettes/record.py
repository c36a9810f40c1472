"""Records the demo cassette from the stand-in. Run by `make cassettes`; the same world gives the same bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from migrate.extract.extraction import ExtractOptions
from migrate.pipeline import run
from migrate.standin.server import StandInServer
from migrate.standin.world import DEMO_WORLD, load_world
from migrate.twilio_api.connect import ApiSettings, open_api

CASSETTE = Path(__file__).with_name("demo.yaml")
PAGE_SIZE = 5  # small, so that every list takes several pages


def record(cassette: Path, world_file: Path = DEMO_WORLD) -> None:
    """Record what `chat-migrate run` asks of a world, which is the demo's, to a new cassette."""
    world = load_world(world_file)
    with StandInServer(world) as server, tempfile.TemporaryDirectory() as folder:
        environment = {"TWILIO_ACCOUNT_SID": world.account_sid, "TWILIO_AUTH_TOKEN": world.auth_token}
        settings = ApiSettings(
            server.url,
            server.url,
            record=cassette,
            page_size=PAGE_SIZE,
            monitor_url=server.url,
            environment=environment,
        )
        with open_api(settings) as api:
            run(api, Path(folder), ExtractOptions(page_size=PAGE_SIZE))


if __name__ == "__main__":
    CASSETTE.unlink(missing_ok=True)
    record(CASSETTE)
