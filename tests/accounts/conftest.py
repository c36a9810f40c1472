"""Two accounts, an API key of one of them, and a server that says whose its answers are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrate.standin.server import StandInServer
from migrate.standin.world import World, make_world
from tests.conftest import Run, Serve, service_sid
from tests.retire.conftest import content

OURS, THEIRS, KEY = "AC" + "1" * 32, "AC" + "2" * 32, "SK" + "3" * 32
SERVICE, SECRET = service_sid(1), "synthetic-key-secret"


@pytest.fixture(autouse=True)
def _state(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))


def by_key(environment: pytest.MonkeyPatch) -> None:
    """Sign with the API key, beside the SID that says that it is ours."""
    environment.delenv("TWILIO_AUTH_TOKEN", raising=False)
    environment.setenv("TWILIO_ACCOUNT_SID", OURS)
    environment.setenv("TWILIO_API_KEY", KEY)
    environment.setenv("TWILIO_API_SECRET", SECRET)


def world_of(account_sid: str, **changes: Any) -> World:
    """An account that this key opens; like the other, but for its SID."""
    shows_account = changes.pop("shows_account", True)
    world = make_world({**content(**changes), "account_sid": account_sid})
    return replace(world, api_keys={KEY: SECRET}, shows_account=shows_account)


@pytest.fixture
def mapped(tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch) -> StandInServer:
    """Our own account, extracted and mapped; then the key is taken for it, and opens the other."""
    server = serve(world_of(OURS))
    by_key(environment)
    assert run("run", "--out", tmp_path / "o").exit_code == 0
    assert run("load", tmp_path / "o" / "mapped", "--plan-out", tmp_path / "plan.json").exit_code == 0
    server.world.account_sid = THEIRS
    return server
