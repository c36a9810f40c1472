"""What tests of push credentials start from."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from migrate.load.journal import CredentialEntry, read_journal
from migrate.standin.server import StandInServer
from migrate.standin.world import Credential, World, make_world
from tests.conftest import Migrated, Run, Serve, tiny_world
from tests.keys import certificate, private_key, service_account

SECRET = "planted-9c1d-secret"
KEY = service_account(private_key_id=SECRET)
PEM, PRIVATE = certificate(), private_key()
FCM = '{type: fcm, secret: "env:FCM_KEY"}'
THIRD = "CR" + "3".zfill(32)
LIMITS = ("--force", "blockers")


@pytest.fixture
def world(environment: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """One service whose push configuration is as it should be, and three credentials."""
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.setenv("FCM_KEY", KEY)
    content = tiny_world(notifications={}, bindings=[{"count": 2}])
    kinds = [("push", "apn"), ("twin", "fcm")]
    content["credentials"] = [{"name": name, "type": kind, "updated_days_ago": 9} for name, kind in kinds]
    world = make_world(content)
    twin = world.credentials["CR" + "2".zfill(32)]
    world.credentials[THIRD] = replace(twin, number=3, sid=THIRD, secrets={})
    return world


@pytest.fixture
def server(serve: Serve, world: World) -> StandInServer:
    return serve(world)


@pytest.fixture
def mapped(server: StandInServer, migrated: Migrated) -> Path:
    """A mapped folder of that world."""
    return migrated(server.world)


def state(mapped: Path, **credentials: str) -> None:
    """Have these credentials in push-config.yaml, by their names."""
    path = mapped / "push-config.yaml"
    text = path.read_text("utf-8").partition("\ncredentials:")[0]
    path.write_text("\n".join([text, "credentials:", *(f"  {name}: {it}" for name, it in credentials.items())]))


def plan(run: Run, mapped: Path) -> Path:
    path = mapped.with_name("plan.json")
    assert run("load", mapped, "--only-credentials", "--plan-out", path).exit_code == 0
    return path


def apply(run: Run, plan_file: Path, *options: object) -> Result:
    return run("load", "--plan", plan_file, "--apply", "--yes", *LIMITS, *options)


def named(world: World, name: str) -> list[Credential]:
    return [found for found in world.credentials.values() if found.friendly_name == name]


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def entries(plan_file: Path) -> list[CredentialEntry]:
    found = read_journal(plan_file.with_suffix(".journal.jsonl")).entries
    return [entry for entry in found if isinstance(entry, CredentialEntry)]


# --- another secret for one that is there ----------------------------------------------------------------

TWIN = FCM.replace("}", f", sid: {THIRD}}}")
