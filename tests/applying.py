"""What tests of apply share: what is live and what is wanted, and deaths at each step of a write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from migrate.cli.app import cli
from migrate.model.push_config import flatten
from migrate.standin import views
from migrate.standin.world import World
from migrate.storage.synced_log import SyncedLog
from migrate.twilio_api.client import TwilioApi
from tests.conftest import Run

FORCE = ("--force", "blockers", "--force", "switches-off", "--force", "inferred")
Settings = dict[str, bool | str]


def live(world: World) -> dict[str, Settings]:
    """What each service has now, as its API shows it."""
    return {
        sid: flatten(views.notifications(world, service, service.configuration or {}, ""))
        for sid, service in world.services.items()
    }


def wanted(plan_file: Path, before: dict[str, Settings]) -> dict[str, Settings]:
    """What is to be live once a plan is applied."""
    after = {sid: dict(settings) for sid, settings in before.items()}
    for change in json.loads(plan_file.read_bytes())["changes"]:
        after[change["service_sid"]] |= {path: change["desired"][path] for path in change["fields"]}
    return after


def apply(run: Run, plan_file: Path, *options: object) -> Result:
    return run("load", "--plan", plan_file, "--apply", "--yes", *FORCE, *options)


def codes(result: Result) -> set[str]:
    return {finding["code"] for finding in json.loads(result.stdout)["findings"]}


def posts(world: World) -> int:
    assert all(write.startswith("POST ") for write in world.writes)
    return len(world.writes)


class KilledError(BaseException):
    """The process is gone: nothing catches this but the test."""


def dying(
    monkeypatch: pytest.MonkeyPatch, step: int, *, method: str = "post", threads: bool = False
) -> Callable[[], int]:
    """Die at a step: before or after a line of the journal, before or after a write. Gives the steps that there were.

    `method` is what the API is asked to do. With `threads`, all of them die.
    """
    steps = 0

    def tick() -> None:
        nonlocal steps
        steps += 1
        if steps == step or (threads and steps > step):
            raise KilledError

    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            tick()
            answer = real(*arguments)
            tick()
            return answer

        return called

    monkeypatch.setattr(SyncedLog, "append", around(SyncedLog.append))
    monkeypatch.setattr(TwilioApi, method, around(getattr(TwilioApi, method)))
    return lambda: steps


def mortal(*arguments: object) -> Result:
    """As `run`, for a process that may die; then its exit code is -9."""
    try:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])
    except KilledError as error:
        return Result(CliRunner(), b"", b"", b"", None, -9, error)
