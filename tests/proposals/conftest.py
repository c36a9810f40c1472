"""A service whose pushes are only inferred."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from migrate.model.plan import Plan
from migrate.model.proposal import Proposal
from migrate.standin.server import StandInServer
from tests.conftest import Migrated, Serve, service_sid, tiny_world
from tests.plans import EMPTY

SERVICE = service_sid(1)
NEW, MEDIA, ADDED = "new_message.enabled", "new_message.with_media.enabled", "added_to_conversation.enabled"
REMOVED = "removed_from_conversation.enabled"
ALL = ["new_message", "added_to_channel", "removed_from_channel"]


@pytest.fixture(autouse=True)
def _state(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))


def silent(notifications: Any = None, **changes: Any) -> dict[str, Any]:
    """A world whose Chat does not say what is on, while 4 devices subscribe to all that their SDKs know."""
    bindings = [{"count": 4, "identity": "person-{n}", "binding_type": ["apn", "apn", "apn", "fcm"]}]
    bindings[0]["message_types"] = [ALL]
    return tiny_world(notifications=notifications or {}, bindings=bindings, **changes)


@pytest.fixture
def server(serve: Serve) -> StandInServer:
    return serve(silent())


@pytest.fixture
def mapped(server: StandInServer, migrated: Migrated) -> Path:
    """The silent world, mapped."""
    return migrated(server.world)


def edit(mapped: Path, old: str, new: str) -> None:
    path = mapped / "push-config.yaml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def many(number: int) -> Plan:
    proposals = [
        Proposal(service_sid(place), path, True, "Chat does not say", 1_000, {"apn": 1_000})
        for place in range(number)
        for path in (NEW, ADDED)
    ]
    names = {service_sid(place): f"Service {place}" for place in range(number)}
    return replace(
        EMPTY,
        services=names,
        unchanged=tuple(names),
        proposals=tuple(proposals),
        live={sid: {} for sid in names},
    )
