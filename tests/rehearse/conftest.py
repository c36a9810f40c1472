"""A world to rehearse on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from migrate.rehearse import scenario
from migrate.standin.world import World
from tests.conftest import Run, Serve, tiny_world

POINTS = [name for name, _, _ in scenario.POINTS]
Make = Callable[..., Path]
# Of a service whose settings in Conversations are those that it is mapped to.
UP_TO_DATE = {
    "new_message": {"enabled": True, "template": "${PARTICIPANT}: ${MESSAGE}", "with_media": {"enabled": True}}
}


@pytest.fixture
def temporary(tmp_path: Path, environment: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    environment.setenv("TMPDIR", str(folder))
    environment.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def make(tmp_path: Path, run: Run, serve: Serve, temporary: Path) -> Make:
    """Make a snapshot and a mapped folder of a world; the folder of both. The server stays, to be left alone."""

    def call(world: dict[str, Any]) -> Path:
        server = serve(world)
        assert run("run", "--out", tmp_path / "run").exit_code == 0
        assert server.world.requests
        server.world.requests = 0
        asked.append(server.world)
        return tmp_path / "run"

    asked: list[World] = []
    return call


def world(services: int = 2, **changes: Any) -> dict[str, Any]:
    """A world of services that are each to be changed; the first switches something off, unless it is said otherwise."""
    content = tiny_world(**{"conversations": {"removed_from_conversation": {"enabled": True}}, **changes})
    first = content["services"][0]
    first["notifications"] = {**first["notifications"], "removed_from_channel": {"enabled": False}}
    others = [{**tiny_world()["services"][0], "name": f"Service {number}"} for number in range(2, services + 1)]
    return {**content, "services": [first, *others]}


def rehearse(run: Run, folder: Path, *options: object) -> Result:
    return run("rehearse", folder / "mapped", "--snapshot", folder / "snapshot", *options)


def verdicts(result: Result) -> dict[str, str]:
    return {point["name"]: point["verdict"] for point in json.loads(result.stdout)["points"]}


def reasons(result: Result) -> dict[str, str]:
    return {point["name"]: point["reason"] for point in json.loads(result.stdout)["points"]}
