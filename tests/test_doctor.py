"""doctor: what is not as it should be is told with its remedy, and nothing that does not belong into a ticket."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import click.shell_completion
import pytest

from docs.reference import reference
from migrate.cli.app import cli
from migrate.standin.faults import Faults
from migrate.standin.world import World
from tests.conftest import ROOT, Run, Serve, tiny_world
from tests.scripted import Reply, Scripted, scripted


def verdicts(run: Run, *options: object) -> dict[str, dict[str, str]]:
    found = json.loads(run("doctor", "--json", *options).stdout)["checks"]
    return {check["name"]: check for check in found}


def test_all_is_well(run: Run, serve: Serve, demo_world: World) -> None:
    demo_world.now = datetime.now(UTC)
    serve(demo_world)
    shown = run("doctor")
    assert shown.exit_code == 0, shown.output
    assert "\nDone: nothing is wrong.\n" in shown.stdout
    checks = verdicts(run)
    assert {name for name, check in checks.items() if check["verdict"] != "fine"} <= {"terminal"}
    assert "twilio 9." in checks["packages"]["found"]
    assert list(checks) == [
        "python", "packages", "terminal", "disk", "credentials", "chat services", "conversations services", "clock",
        "chat bindings", "conversations bindings", "push credentials", "push settings",
    ]  # fmt: skip
    assert demo_world.writes == []
    assert demo_world.account_sid not in shown.output
    assert "IS0000" not in shown.output
    assert demo_world.auth_token not in shown.output


def test_without_credentials_nothing_is_asked(run: Run) -> None:
    shown = run("doctor")
    assert (shown.exit_code, shown.stderr.count("\n")) == (1, 1)
    assert "TWILIO_ACCOUNT_SID is not set" in shown.stdout
    assert "→ Set it with TWILIO_AUTH_TOKEN" in shown.stdout
    assert "Not as it should be: credentials." in shown.stderr


def test_a_wrong_secret_and_a_wrong_account_are_told(
    run: Run, serve: Serve, demo_world: World, environment: pytest.MonkeyPatch
) -> None:
    serve(demo_world)
    environment.setenv("TWILIO_API_KEY", "SK" + "a" * 32)
    environment.setenv("TWILIO_API_SECRET", "planted-secret")
    environment.setenv("TWILIO_ACCOUNT_SID", "XX" + "1" * 32)
    shown = run("doctor")
    assert shown.exit_code == 1
    checks = verdicts(run)
    assert checks["credentials"]["verdict"] == "wrong"
    assert "AC in capitals" in checks["credentials"]["found"]
    assert not {name for name in checks if "services" in name}
    environment.setenv("TWILIO_ACCOUNT_SID", demo_world.account_sid)
    shown = run("doctor", "-v", "-v")
    assert shown.exit_code == 1
    checks = verdicts(run)
    assert checks["chat services"]["verdict"] == checks["conversations services"]["verdict"] == "wrong"
    assert "answered 401" in checks["chat services"]["found"]
    assert "API key SK… (TWILIO_API_KEY)" in checks["chat services"]["remedy"]
    assert "push settings" not in checks
    assert "planted-secret" not in shown.output
    assert "standard key" in verdicts(run)["credentials"]["remedy"]


@pytest.mark.parametrize("status", [403, 404, 410])
def test_where_chat_is_switched_off_conversations_is_the_way(
    run: Run, serve: Serve, demo_world: World, status: Any
) -> None:
    serve(demo_world, faults=Faults(chat_gone=status))
    checks = verdicts(run)
    assert checks["chat services"]["verdict"] == checks["chat bindings"]["verdict"] == "note"
    assert "--source conversations" in checks["chat services"]["remedy"]
    assert checks["conversations bindings"]["verdict"] == checks["push settings"]["verdict"] == "fine"
    assert run("doctor").exit_code == 0


def test_an_account_without_services_is_fine(run: Run, serve: Serve) -> None:
    serve({**tiny_world(), "services": []})
    checks = verdicts(run)
    assert checks["chat services"]["found"] == "readable, and there are none"
    assert "chat bindings" not in checks


def test_an_address_that_is_none_and_a_recording_that_has_nothing(run: Run, serve: Serve, demo_world: World) -> None:
    serve(demo_world)
    assert verdicts(run, "--chat-url", "nowhere")["credentials"]["verdict"] == "wrong"
    played = verdicts(run, "--replay", ROOT / "cassettes" / "demo.yaml")
    assert "has no" in played["conversations services"]["found"] or played["conversations services"]["found"]


def test_this_machine_is_looked_at(
    run: Run, serve: Serve, demo_world: World, environment: pytest.MonkeyPatch
) -> None:
    demo_world.now = datetime.now(UTC) - timedelta(hours=30, minutes=30, seconds=10)  # and there it stands still
    serve(demo_world)
    environment.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    environment.setattr("migrate.doctor.sys", SimpleNamespace(stdout=SimpleNamespace(encoding="ascii")))
    checks = verdicts(run)
    assert {name for name, check in checks.items() if check["verdict"] == "note"} == {"terminal", "disk"}
    assert checks["disk"]["found"] == "1.0 GB free where this was called"
    assert checks["clock"]["found"] == f"a stand-in's, which is its world's: {demo_world.now:%Y-%m-%d %H:%M} UTC"
    assert not checks["clock"]["remedy"]


def test_a_server_without_a_clock(run: Run, environment: pytest.MonkeyPatch) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        return Reply({}, 404) if "/v2/" in path else server.page("services", [])

    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "t")
    with scripted(answer) as server:
        checks = verdicts(run, "--chat-url", server.url, "--conversations-url", server.url)
    assert checks["clock"]["verdict"] == "unknown"


@pytest.mark.parametrize("kind", ["429", "reset", "503", "cut"])
def test_a_failure_that_passes_is_nothing_wrong(run: Run, serve: Serve, demo_world: World, kind: str) -> None:
    demo_world.now = datetime.now(UTC)
    serve(demo_world, faults=Faults(rate=0.6, kinds=(kind,), seed=3))
    shown = run("doctor")
    assert (shown.exit_code, shown.stderr) == (0, ""), shown.output


@pytest.mark.parametrize("status", [429, 503])
def test_a_failure_that_lasts_is_unknown_and_was_tried_for_the_whole_budget(
    run: Run, environment: pytest.MonkeyPatch, status: int
) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "t")

    def answer(server: Scripted, path: str) -> Reply:
        return Reply({"message": "busy"}, status)

    with scripted(answer) as server:
        urls = ("--chat-url", server.url, "--conversations-url", server.url)
        shown = run("doctor", *urls)
        patient = len(server.seen)
        checks = verdicts(run, *urls, "--retry-budget", 1)
        assert len(server.seen) - patient < patient / 2
    assert (shown.exit_code, shown.stderr.count("\n")) == (1, 1)
    assert "not known whether all is well: chat services, conversations services. Look again later" in shown.stderr
    assert "Done: nothing is known to be wrong; not known: chat services, conversations services." in shown.stdout
    assert {checks[f"{side} services"]["verdict"] for side in ("chat", "conversations")} == {"unknown"}
    assert f"answered {status}" in checks["chat services"]["found"]
    assert "wrong" not in {check["verdict"] for check in checks.values()}


def test_an_api_that_does_not_answer_is_waited_for_once(
    run: Run, serve: Serve, demo_world: World, environment: pytest.MonkeyPatch
) -> None:
    serve(demo_world)
    checks = verdicts(run, "--chat-url", "http://127.0.0.1:1", "--retry-budget", 5)
    assert checks["chat services"]["found"].startswith("not reached: No answer from http://127.0.0.1:1/")
    assert checks["chat bindings"]["found"] == "not asked for: chat could not be reached"
    assert checks["conversations bindings"]["verdict"] == checks["push settings"]["verdict"] == "fine"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_what_the_shell_asks_the_program_for(run: Run, shell: str) -> None:
    script = run("completion", shell).stdout
    assert f"_CHAT_MIGRATE_COMPLETE={shell}_complete" in script
    kind = click.shell_completion.get_completion_class(shell)
    assert kind
    complete = kind(cli, {}, "chat-migrate", "_CHAT_MIGRATE_COMPLETE").get_completions
    assert {item.value for item in complete([], "re")} == {"rehearse", "retire"}
    assert {item.value for item in complete(["load"], "--only")} == {"--only", "--only-credentials"}
    assert {item.value for item in complete(["load", "--force"], "other")} == {"other-account", "other-address"}
    assert run("completion", "tcsh").exit_code == 2


def test_the_command_reference_is_what_help_says() -> None:
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == reference(), "write it anew with: make docs"
    for name, command in cli.commands.items():
        assert f"## {name}\n" in reference()
        assert "Example:" in (command.help or ""), f"{name} has no example"
