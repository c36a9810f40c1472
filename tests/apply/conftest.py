"""What tests of apply and rollback start from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from migrate.standin.server import StandInServer
from migrate.standin.world import World
from tests.conftest import Run, Serve


@pytest.fixture(autouse=True)
def _state(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))


@pytest.fixture
def server(serve: Serve, demo_world: World) -> StandInServer:
    """A stand-in with a demo world of its own."""
    return serve(demo_world)


@pytest.fixture
def plan_file(tmp_path: Path, run: Run, server: StandInServer, migration: Path) -> Path:
    """The demo's plan, made against the test's own stand-in, with what is only inferred."""
    shutil.copytree(migration, tmp_path / "run")
    path = tmp_path / "plan.json"
    assert run("load", tmp_path / "run" / "mapped", "--plan-out", path, "--force", "inferred").exit_code == 0
    return path
