"""A stand-in with alerts, and what it should be found to have."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from migrate.snapshot.manifest import PUSH_ERRORS_FILE
from migrate.standin.server import StandInServer
from migrate.standin.world import World, make_world
from tests.conftest import Serve, tiny_world

Monitored = Callable[..., StandInServer]


def alerts_world(*groups: dict[str, Any], **log: Any) -> World:
    """A small world with groups of alerts; `log` is what of Monitor is not known (see `AlertLog`)."""
    made = make_world({**tiny_world(), "alerts": list(groups)})
    return replace(made, alerts=replace(made.alerts, **log))


@pytest.fixture
def monitored(serve: Serve, environment: pytest.MonkeyPatch) -> Monitored:
    """Serve a world with alerts, and point the command line at its Monitor, too."""

    def start(world: World, **options: Any) -> StandInServer:
        server = serve(world, **options)
        environment.setenv("CHAT_MIGRATE_MONITOR_URL", server.url)
        return server

    return start


def errors_in(world: World) -> dict[str, int]:
    """The push errors of the last 30 days by the SID of their alert, with their codes, as the world itself has them."""
    found = world.alerts.find(world.now, None, None, None)
    if len(found) >= world.alerts.most:
        found = replace(world.alerts, most=10**9).find(world.now, None, None, None)
    return {one.sid: int(one.error_code or 0) for one in found if 52000 <= int(one.error_code or 0) < 52200}


def errors_read(folder: Path) -> dict[str, int]:
    """The push errors in a snapshot; each is there once."""
    rows = pq.read_table(folder / PUSH_ERRORS_FILE).to_pylist()
    found = {row["sid"]: row["error_code"] for row in rows}
    assert len(found) == len(rows)
    return found


def read_facts(folder: Path) -> Any:
    """What a snapshot's manifest says of push errors; None where it says nothing."""
    return json.loads((folder / "manifest.json").read_bytes()).get("push_errors")
