"""Where the bindings are read: Chat, or Conversations where Chat has been switched off; 401 never means that."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from migrate.standin.faults import Faults
from migrate.standin.world import World
from tests.conftest import Demo, Run, Serve, service_sid, tiny_world
from tests.scripted import Reply, Scripted, scripted


def manifest(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_bytes())


def sids(folder: Path) -> set[str]:
    return set(pd.read_parquet(folder / "bindings")["sid"])


def visible(world: World) -> set[str]:
    """What Conversations shows: its own bindings and Chat's, of the services that it has."""
    services = [service for service in world.services.values() if service.configuration is not None]
    return {b.sid for service in services for b in (*service.bindings, *service.conversations_bindings)}


@pytest.mark.parametrize("status", [403, 404, 410])
def test_where_chat_is_switched_off_the_same_bindings_come_through_conversations(
    tmp_path: Path, run: Run, serve: Serve, demo_world: World, status: int
) -> None:
    serve(demo_world, faults=Faults(chat_gone=status))  # type: ignore[arg-type]
    result = run("extract", "--out", tmp_path / "s")
    assert result.exit_code == 0, result.output
    facts = manifest(tmp_path / "s")
    assert facts["source"] == "conversations"
    assert f"answered {status}" in facts["source_reason"]
    assert "Through" in result.stdout
    assert f"answered {status}" in result.stdout
    assert "does not show Chat's push settings" in result.stdout
    assert sids(tmp_path / "s") == visible(demo_world)
    assert facts["shards"] == ["apn", "fcm", "gcm", "twilsock"]
    services = pq.ParquetFile(tmp_path / "s" / "services.parquet").read().to_pylist()
    assert {row["notifications"] for row in services} == {None}


def test_both_sources_give_the_same_columns_and_the_same_rows(
    tmp_path: Path, run: Run, serve: Serve, demo_world: World, demo: Demo
) -> None:
    for service in demo_world.services.values():
        service.conversations_bindings.clear()
        service.configuration = service.configuration or {}
    serve(demo_world)
    assert run("extract", "--out", tmp_path / "s", "--source", "conversations").exit_code == 0
    assert manifest(tmp_path / "s")["source_reason"] == ""
    ours, chat = (
        pd.read_parquet(folder / "bindings").sort_values("sid").reset_index(drop=True)
        for folder in (tmp_path / "s", demo.folder / "snapshot")
    )
    pd.testing.assert_frame_equal(ours, chat)
    for name in ("services", "credentials"):
        here, there = (
            pq.read_schema(folder / f"{name}.parquet") for folder in (tmp_path / "s", demo.folder / "snapshot")
        )
        assert here == there


def test_a_snapshot_through_conversations_can_be_mapped_and_planned(
    tmp_path: Path, run: Run, serve: Serve, demo_world: World
) -> None:
    serve(demo_world, faults=Faults(chat_gone=410))
    assert run("run", "--out", tmp_path / "o").exit_code == 0
    plan = json.loads((tmp_path / "o" / "plan.json").read_bytes())
    assert "push-inferred" in {finding["code"] for finding in plan["findings"]}


def test_wrong_credentials_are_never_taken_for_a_chat_that_is_gone(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    serve(tiny_world(), faults=Faults(chat_gone=410))
    environment.setenv("TWILIO_AUTH_TOKEN", "another")
    result = run("extract", "--out", tmp_path / "s")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "answered 401, code 20003: Authenticate. Check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN" in result.stderr
    environment.setenv("TWILIO_API_KEY", "SK" + "1" * 32)
    environment.setenv("TWILIO_API_SECRET", "s")
    result = run("extract", "--out", tmp_path / "s")
    assert f"API key SK{'1' * 32} (TWILIO_API_KEY)" in result.stderr


@pytest.mark.parametrize("status", [403, 404, 410])
def test_who_asks_for_chat_alone_is_told_that_it_is_gone(tmp_path: Path, run: Run, serve: Serve, status: int) -> None:
    serve(tiny_world(), faults=Faults(chat_gone=status))  # type: ignore[arg-type]
    result = run("extract", "--out", tmp_path / "s", "--source", "chat")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"answered {status}" in result.stderr
    assert not (tmp_path / "s").exists()


def test_an_unknown_service_is_no_sign_that_chat_is_gone(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world())
    result = run("extract", "--out", tmp_path / "s", "--service", service_sid(9))
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"/v2/Services/{service_sid(9)} answered 404" in result.stderr


@pytest.mark.parametrize("status", [403, 404, 410])
def test_named_services_are_read_through_conversations_too(
    tmp_path: Path, run: Run, serve: Serve, demo_world: World, status: int
) -> None:
    serve(demo_world, faults=Faults(chat_gone=status))  # type: ignore[arg-type]
    assert run("extract", "--out", tmp_path / "s", "--service", service_sid(1)).exit_code == 0
    assert manifest(tmp_path / "s")["source"] == "conversations"
    assert set(pd.read_parquet(tmp_path / "s" / "bindings")["service_sid"]) == {service_sid(1)}


def unknown_host(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    real = socket.getaddrinfo

    def lookup(host: Any, *rest: Any, **options: Any) -> Any:
        if host == name:
            raise socket.gaierror(number, "Name or service not known")
        return real(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


def test_a_host_whose_name_is_not_known_is_gone(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())
    unknown_host(monkeypatch, "chat.example.test", socket.EAI_NONAME)
    result = run("extract", "--out", tmp_path / "s", "--chat-url", "http://chat.example.test")
    assert result.exit_code == 0, result.output
    assert "name or service not known" in manifest(tmp_path / "s")["source_reason"]
    assert len(sids(tmp_path / "s")) == 3


def test_a_name_service_that_does_not_answer_proves_nothing(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())
    unknown_host(monkeypatch, "chat.example.test", socket.EAI_AGAIN)
    options = ["--chat-url", "http://chat.example.test", "--retry-budget", 5]
    result = run("extract", "--out", tmp_path / "s", *options)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "No answer from http://chat.example.test" in result.stderr


def test_an_extract_goes_on_from_the_source_that_it_was_begun_with(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    """Begun through Conversations while Chat was away, and Chat is back; or the other way round."""
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "t")
    gone, broken = True, True

    def answer(server: Scripted, path: str) -> Reply:
        if gone and path.startswith("/v2/"):
            return Reply({"message": "gone"}, 410)
        key = {"Services": "services", "Credentials": "credentials"}.get(path.partition("?")[0].rpartition("/")[2])
        if key:
            return server.page(key, [{"sid": service_sid(1)}] if key == "services" else [])
        if "/Bindings" in path:
            return Reply({"message": "no"}, 403) if broken else server.page("bindings", [{"sid": "BS" + "1" * 32}])
        return Reply({"message": "nothing"}, 404)

    with scripted(answer) as server:
        options = ["--out", tmp_path / "s", "--chat-url", server.url, "--conversations-url", server.url]
        assert run("extract", *options).exit_code == 1
        gone, broken = False, False
        refused = run("extract", *options, "--source", "chat")
        assert (refused.exit_code, refused.stderr.count("\n")) == (4, 1)
        assert "from another source" in refused.stderr
        assert run("extract", *options).exit_code == 0
    assert manifest(tmp_path / "s")["source"] == "conversations"
    assert sids(tmp_path / "s") == {"BS" + "1" * 32}


def test_a_chat_that_breaks_for_a_while_is_waited_for(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "t")
    faults = [Reply({}, 503)] * 12

    def answer(server: Scripted, path: str) -> Reply:
        if faults:
            return faults.pop()
        return server.page("services" if "/Services?" in path else "credentials", [])

    with scripted(answer) as server:
        options = ["--out", tmp_path / "s", "--chat-url", server.url, "--conversations-url", server.url]
        assert run("extract", *options).exit_code == 0
    assert manifest(tmp_path / "s")["source"] == "chat"


def test_an_answer_that_is_no_push_configuration_is_not_stored_as_one(
    tmp_path: Path, run: Run, serve: Serve, demo_world: World
) -> None:
    serve(demo_world, faults=Faults(seed=1, rate=0.5, kinds=("not-a-page",)))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    services = pq.ParquetFile(tmp_path / "s" / "services.parquet").read().to_pylist()
    stored = [
        json.loads(row["conversations_notifications"]) for row in services if row["conversations_notifications"]
    ]
    assert stored
    assert all("new_message" in settings for settings in stored)
