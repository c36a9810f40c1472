"""A small world of users with different fates, and what is read of it. All of it is synthetic."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from migrate.model.schemas import PUSH_ERRORS
from migrate.snapshot.manifest import PUSH_ERRORS_FILE, PushErrorsRead, read_manifest
from migrate.snapshot.writer import file_record
from migrate.storage.parquet import parquet_bytes
from tests.conftest import Run, Serve, service_sid, tiny_world

IOS, IOS_OTHER, ANDROID, ANDROID_OLD, UNKNOWN = (f"CR{number:032d}" for number in (1, 2, 3, 4, 99))
ON, OFF = service_sid(1), service_sid(2)
SWITCHED_ON = {"new_message": {"enabled": True, "with_media": {"enabled": True}}}
TYPES = [["new_message", "added_to_conversation", "removed_from_conversation"]]


def old_app(identity: str, **changes: Any) -> dict[str, Any]:
    """A phone that the Chat SDK has registered."""
    group = {"identity": identity, "endpoint": f"phone of {identity}", "message_types": [["new_message"]]}
    return {**group, **changes}


def new_app(identity: str, credential: str | None = None, **changes: Any) -> dict[str, Any]:
    """A phone that the Conversations SDK has registered, with another credential than its service's, if one is named."""
    extra = {"credential_sid": credential} if credential else {}
    group = {"identity": identity, "endpoint": f"phone of {identity}", "message_types": TYPES, "age_days": 1}
    return {**group, "extra": extra, **changes}


def fates() -> dict[str, Any]:
    """Users of two services by what becomes of them; in the second the pushes are off."""
    service = tiny_world()["services"][0]
    users = ("in-order-user", "other-token-user", "wrong-type-user", "lapsed-user", "twice-user", "back-in-chat-user")
    shared = {
        **service,
        "credentials": {"apn": "iOS", "fcm": "Android"},
        "conversations": SWITCHED_ON,
        "conversations_shows_chat": False,
    }
    first = {
        **shared,
        "bindings": [
            *(old_app(user) for user in (*users, "old-app-user")),
            old_app("back-in-chat-user", age_days=0.1),
            old_app("gone-for-good-user", age_days=500),
            old_app("Two-Phones-User", binding_type="fcm"),
        ],
        "conversations_bindings": [
            new_app("in-order-user"),
            new_app("back-in-chat-user"),
            new_app("no-token-user", extra={"credential_sid": None}),
            new_app("other-token-user", IOS_OTHER),
            new_app("wrong-type-user", ANDROID),
            new_app("lost-credential-user", UNKNOWN),
            new_app("lapsed-user", age_days=400),
            new_app("twice-user", count=2),
            new_app("Two-Phones-User"),
            new_app("refused-user", ANDROID_OLD, binding_type="fcm"),
            new_app("unclear-user", message_types=[["new_message"]]),
            new_app("web-only-user", binding_type="twilsock"),
            new_app("signed-in-user", endpoint="one shared phone"),
            new_app("signed-out-user", endpoint="one shared phone"),
            new_app("quiet-app-user", message_types=[["added_to_conversation"]]),
            new_app("undated-user", age_days=None),
        ],
    }
    second = {**shared, "conversations": {}, "bindings": [], "conversations_bindings": [new_app("in-order-user")]}
    return {
        **tiny_world(),
        "credentials": [
            {"name": "iOS", "type": "apn", "sandbox": "False"},
            {"name": "iOS of another app", "type": "apn", "sandbox": "False"},
            {"name": "Android", "type": "fcm"},
            {"name": "Android, old", "type": "fcm", "updated_days_ago": 1500},
        ],
        "services": [first, second],
    }


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of the world of `fates` are, once."""
    return tmp_path_factory.mktemp("fates")


@pytest.fixture
def files(folders: Path, run: Run, serve: Serve) -> Path:
    """A folder with what was extracted of that world through each API, and what Chat's is mapped to."""
    if not (folders / "mapped").exists():
        serve(fates())
        for out, options in (("chat", ()), ("conversations", ("--source", "conversations", "--no-shard"))):
            done = run("extract", "--out", folders / out, *options)
            assert done.exit_code == 0, done.output
        assert run("map", folders / "chat", "--out", folders / "mapped").exit_code == 0
    return folders


def with_push_errors(folder: Path, *errors: dict[str, Any], **read: Any) -> None:
    """Give a snapshot push errors, as an extract takes them along."""
    rows = [{"sid": f"NO{number:032x}", "log_level": "error", **error} for number, error in enumerate(errors)]
    path = folder / PUSH_ERRORS_FILE
    path.write_bytes(parquet_bytes(pa.Table.from_pylist(rows, schema=PUSH_ERRORS)))
    manifest = read_manifest(folder)
    taken = {"since": "2026-05-16T08:00:00+00:00", "until": "2026-06-15T08:00:00+00:00", "errors": len(rows)}
    replace(
        manifest,
        files=(*manifest.files, file_record(folder, path)),
        push_errors=PushErrorsRead(**{**taken, "alerts": len(rows), **read}),
    ).write(folder)


def at(day: int, hour: int = 8) -> datetime:
    """A time in the June of the world."""
    return datetime(2026, 6, day, hour, tzinfo=UTC)


Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(run: Run) -> Ask:
    """Ask why, and give the document; the command exits with 0 whatever the verdict is."""

    def call(identity: str, *options: object, service: str = ON) -> dict[str, Any]:
        done = run("why", identity, "--service", service, "--json", *options)
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return call
