"""A host that has never answered: it is said at once what is tried again, for how long, and what may be wrong."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from urllib3.util import connection

from migrate.twilio_api import first_answers
from tests.conftest import Migrated, Run, Serve, said, tiny_world
from tests.test_next_steps import on_terminal


@pytest.fixture
def nowhere() -> str:
    """An address at which nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


@pytest.fixture
def account(environment: pytest.MonkeyPatch, nowhere: str) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "t")
    for api in ("CHAT", "CONVERSATIONS"):
        environment.setenv(f"CHAT_MIGRATE_{api}_URL", nowhere)


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(("command", "api"), [("extract", "chat"), ("run", "chat"), ("load", "conversations")])
def test_a_wrong_port_is_said_once_and_ends_the_command_soon_with_a_remedy_that_fits(
    tmp_path: Path,
    run: Run,
    migrated: Migrated,
    environment: pytest.MonkeyPatch,
    nowhere: str,
    command: str,
    api: str,
) -> None:
    environment.setattr(first_answers, "PATIENCE", 0.0)
    words = ["load", migrated(tiny_world())] if command == "load" else [command, "--out", tmp_path / "new"]
    told = run(*words)
    warning, error = said(told).splitlines()
    right = f"Is the address right (--{api}-url, CHAT_MIGRATE_{api.upper()}_URL)?"
    assert warning.startswith(f"Warning: No answer from {nowhere}/")
    assert warning.endswith(f": connection refused; trying again for up to 0 s. {right}")
    assert (told.exit_code, error.startswith(f"Error: No answer from {nowhere}/")) == (1, True)
    assert right in error
    assert "--source conversations" not in told.output


@pytest.mark.usefixtures("account")
def test_an_address_gets_the_time_that_a_server_takes_to_start(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    """The first connection is refused, and the second finds the server."""
    server, real = serve(tiny_world()), connection.create_connection
    refused: list[object] = []

    def connect(*arguments: object, **options: object) -> socket.socket:
        if not refused:
            refused.append(arguments)
            raise ConnectionRefusedError(111, "Connection refused")
        return real(*arguments, **options)  # type: ignore[arg-type]

    environment.setattr("urllib3.util.connection.create_connection", connect)
    done = run("extract", "--out", tmp_path / "s", "--concurrency", 1)
    assert done.exit_code == 0, done.output
    assert refused
    assert said(done).startswith(
        f"Warning: No answer from {server.url}/v2/Services?PageSize=1000: connection refused; "
    )
    assert "trying again for up to 10 s" in said(done)


def test_what_has_answered_is_tried_for_the_whole_budget_without_that_line(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    environment.setattr(first_answers, "PATIENCE", 0.0)
    serve(tiny_world())
    real = connection.create_connection
    calls: list[object] = []

    def connect(*arguments: object, **options: object) -> socket.socket:
        calls.append(arguments)
        if 1 < len(calls) < 5:
            raise ConnectionRefusedError(111, "Connection refused")
        return real(*arguments, **options)  # type: ignore[arg-type]

    environment.setattr("urllib3.util.connection.create_connection", connect)
    done = run("extract", "--out", tmp_path / "s", "--concurrency", 2)
    assert (done.exit_code, said(done)) == (0, ""), done.output
    assert len(calls) >= 5


def test_a_host_of_twilios_gets_the_whole_budget(tmp_path: Path, run: Run, environment: pytest.MonkeyPatch) -> None:
    def connect(*_: object, **__: object) -> socket.socket:
        raise ConnectionRefusedError(111, "Connection refused")

    environment.setattr(first_answers, "PATIENCE", 0.0)
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "t")
    environment.setattr("urllib3.util.connection.create_connection", connect)
    told = run("extract", "--out", tmp_path / "s", "--retry-budget", 60)
    warning, error = told.stderr.splitlines()
    assert warning.startswith("Warning: No answer from https://chat.twilio.com/v2/Services")
    assert "trying again for up to 60 s" in warning
    assert "a firewall, a filter" in error


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("columns", [40, 80])
def test_the_warning_is_shown_on_a_terminal_while_bars_are(
    tmp_path: Path, environment: pytest.MonkeyPatch, columns: int
) -> None:
    environment.setattr(first_answers, "PATIENCE", 0.0)
    told = on_terminal(environment, columns, ["extract", "--out", str(tmp_path / "new")], since="Warning: ")
    assert "trying again for up to 0 s" in " ".join(told.split())
    assert "Error: No answer from" in " ".join(told.split())
