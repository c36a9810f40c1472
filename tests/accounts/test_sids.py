"""SIDs that are none of their kind are refused, wherever they stand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from migrate.model.errors import RefusedError, UsageError
from migrate.model.plan import Plan
from migrate.model.sids import is_account_sid, is_api_key_sid, is_binding_sid, is_credential_sid, is_service_sid
from migrate.snapshot.manifest import Manifest, read_manifest
from migrate.snapshot.reader import read_snapshot
from migrate.standin.server import StandInServer
from migrate.standin.world import make_world
from migrate.twilio_api.connect import ApiSettings, open_api
from migrate.twilio_api.login import Login
from migrate.twilio_api.pages import records_of
from tests.accounts.conftest import KEY, OURS, SECRET, SERVICE, by_key
from tests.applying import FORCE
from tests.conftest import Run, Serve, tiny_world
from tests.retire.conftest import content
from tests.scripted import Reply, scripted

# --- the belief that a variable or a file holds what its name says ----------------------------------------

BAD = ["ACshort", "SK" + "1" * 32, "ac" + "1" * 32, "AC" + "A" * 32, f"AC{'1' * 32}/../x", "AC" + "g" * 32,
       "AC" + "1" * 33, "AC" + "1" * 31, "0123456789abcdef0123456789abcdef", "IS" + "1" * 32, "AC" + "１" * 32]  # fmt: skip


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("command", ["extract", "doctor"])
def test_what_is_no_accounts_sid_is_wrong_usage_and_not_shown(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch, value: str, command: str
) -> None:
    server = serve(tiny_world())
    environment.setenv("TWILIO_ACCOUNT_SID", value)
    result = run(command, *(["--out", tmp_path / "s"] if command == "extract" else []))
    assert result.exit_code == (2 if command == "extract" else 1), result.output
    assert result.stderr.count("\n") == 1
    assert "TWILIO_ACCOUNT_SID" in result.output
    assert value not in result.output
    assert value[-8:] not in result.output
    assert server.world.requests == 0


@pytest.mark.parametrize("value", ["SK1", "AC" + "1" * 32, "sk" + "1" * 32, "SK" + "F" * 32, "SK" + "1" * 31 + "\n/"])
def test_what_is_no_api_keys_sid_is_wrong_usage_and_not_shown(value: str) -> None:
    with pytest.raises(UsageError, match="TWILIO_API_KEY") as error:
        Login.from_environment({"TWILIO_ACCOUNT_SID": OURS, "TWILIO_API_KEY": value, "TWILIO_API_SECRET": SECRET})
    assert value.strip() not in str(error.value)


@pytest.mark.parametrize(
    ("is_one", "letters"),
    [(is_account_sid, "AC"), (is_api_key_sid, "SK"), (is_service_sid, "IS"), (is_binding_sid, "BS"),
     (is_credential_sid, "CR")],
)  # fmt: skip
def test_each_kind_of_sid_is_told_from_the_others(is_one: Callable[[Any], bool], letters: str) -> None:
    assert is_one(letters + "0123456789abcdef" * 2)
    for other in {"AC", "SK", "IS", "BS", "CR", "XX", letters.lower(), ""} - {letters}:
        assert not is_one(other + "1" * 32)
    for bad in ("", letters, letters + "1" * 31, letters + "1" * 33, f"{letters}{'1' * 32}\n", None, 5):
        assert not is_one(bad)


def edit_lines(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    entries = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for entry in entries:
        change(entry)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), "utf-8")


@pytest.mark.parametrize("sid", ["IS", f"{SERVICE}/../../x", "CR" + "1" * 32, None])
def test_a_journal_names_services_by_sids_or_it_is_none(
    tmp_path: Path, run: Run, mapped: StandInServer, sid: Any
) -> None:
    mapped.world.account_sid = OURS
    assert run("load", "--plan", tmp_path / "plan.json", "--apply", "--yes", *FORCE).exit_code == 0
    journal = tmp_path / "plan.journal.jsonl"
    edit_lines(journal, lambda entry: entry.update(service_sid=sid) if "service_sid" in entry else None)
    asked = mapped.world.requests
    result = run("rollback", journal, "--apply", "--yes")
    assert (result.exit_code, result.stderr.count("\n"), "is not a journal" in result.stderr) == (1, 1, True)
    assert mapped.world.requests == asked


def test_a_plan_and_a_snapshot_are_of_an_account_or_they_are_none(
    tmp_path: Path, run: Run, mapped: StandInServer
) -> None:
    data = json.loads((tmp_path / "plan.json").read_bytes())
    assert Plan.from_json(data)
    for bad in ("AC", f"{OURS}/..", "x"):
        changed = {**data, "account_sid": bad}
        with pytest.raises(ValueError, match="account_sid: not a known value"):
            Plan.from_json(changed)
    manifest = tmp_path / "o" / "snapshot" / "manifest.json"
    manifest.write_text(manifest.read_text("utf-8").replace(OURS, "AC/../../x"), "utf-8")
    result = run("map", tmp_path / "o" / "snapshot", "--out", tmp_path / "m")
    assert (result.exit_code, "is not a snapshot" in result.stderr) == (1, True)


def test_a_path_that_holds_anything_but_names_is_not_asked_for(environment: pytest.MonkeyPatch) -> None:
    by_key(environment)
    with scripted(lambda server, path: Reply({})) as server, open_api(ApiSettings(server.url, server.url)) as api:
        for sid in ("..", "IS1/../../x", "IS1?x=1", "IS1#", "", "IS 1", "IS1%2e"):
            with pytest.raises(RefusedError, match="not a SID"):
                api.get("conversations", f"/Services/{sid}/Configuration/Notifications")
            with pytest.raises(RefusedError, match="not a SID"):
                api.post("conversations", f"/Services/{sid}", {})
            with pytest.raises(RefusedError, match="not a SID"):
                next(api.pages("chat", f"/Services/{sid}/Bindings", read=partial(records_of, key="bindings")))
        assert server.seen == []


def test_a_credential_whose_sid_is_none_is_not_written_to(run: Run, tmp_path: Path, serve: Serve) -> None:
    server = serve(tiny_world())
    (credential,) = server.world.credentials.values()
    assert run("run", "--out", tmp_path / "o").exit_code == 0
    credential.sid = "CR1/../x"
    config = tmp_path / "o" / "mapped" / "push-config.yaml"
    config.write_text(
        config.read_text("utf-8") + "credentials:\n  new:\n    type: fcm\n    secret: env:FCM\n", "utf-8"
    )
    result = run("load", tmp_path / "o" / "mapped", "--only-credentials", "--retry-budget", 0)
    assert (result.exit_code, "lists what is no credential" in result.stderr) == (1, True)


def test_a_service_sid_that_somebody_types_may_be_in_capitals(tmp_path: Path, run: Run, serve: Serve) -> None:
    world = make_world(tiny_world())
    (service,) = world.services.values()
    sid = "IS" + "ab" * 16
    service.sid, world.services = sid, {sid: service}
    serve(world)
    assert run("extract", "--out", tmp_path / "s", "--service", sid.upper()).exit_code == 0
    assert [row["sid"] for row in read_snapshot(tmp_path / "s").services()] == [sid]
    assert pq.read_table(tmp_path / "s" / "services.parquet").num_rows == 1
    assert isinstance(read_manifest(tmp_path / "s"), Manifest)


@pytest.mark.parametrize("source", ["chat", "conversations"])
def test_what_an_api_key_records_is_replayed_whole_though_the_account_was_proven_first(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch, source: str
) -> None:
    credentials = [{"name": f"push-{number}", "type": "apn"} for number in range(5)]
    world = make_world({**content(), "credentials": [*content()["credentials"], *credentials]})
    serve(replace(world, api_keys={KEY: SECRET}))
    by_key(environment)
    options = ["--source", source, "--page-size", 2]
    live = run("extract", "--out", tmp_path / "a", "--record", tmp_path / "c.yaml", *options)
    again = run("extract", "--out", tmp_path / "b", "--replay", tmp_path / "c.yaml", *options)
    assert (live.exit_code, again.exit_code) == (0, 0), again.output
    one, other = (read_snapshot(tmp_path / name) for name in "ab")
    assert [row["sid"] for row in one.credentials()] == [row["sid"] for row in other.credentials()]
    assert one.manifest.rows == other.manifest.rows > 0
