"""The question before a retirement: what stands above it, and what there is where it is declined."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from migrate.cli.app import cli
from migrate.standin.server import StandInServer
from migrate.standin.world import make_world
from tests.conftest import Run, Serve, service_sid
from tests.retire.conftest import content


@pytest.fixture(autouse=True)
def _state(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.setattr("migrate.cli.commands.applying._is_terminal", lambda: True)


@pytest.fixture
def server(serve: Serve) -> StandInServer:
    return serve(make_world(content()))


@pytest.fixture
def snapshot(tmp_path: Path, run: Run, server: StandInServer) -> Path:
    assert run("extract", "--out", tmp_path / "snapshot").exit_code == 0
    return tmp_path / "snapshot"


def retiring(snapshot: Path, answer: str, *options: str) -> Result:
    coverage = str(snapshot.with_name("coverage"))
    words = ["retire", str(snapshot), "--coverage", coverage, "--apply", *options]
    return CliRunner().invoke(cli, words, input=answer, prog_name="chat-migrate")


def test_where_it_deletes_and_what_was_lifted_stands_above_the_question(
    snapshot: Path, server: StandInServer
) -> None:
    asked = retiring(snapshot, "3\n", "--force", "few-ready")
    shown = asked.stderr.partition("Type the number of bindings that are to be deleted for good (4)")[0]
    for told in (
        f"  {service_sid(1)}  4 bindings    Tiny, 71.4 % ready\n",
        "To be deleted for good: 4 bindings of 1 service.\n",
        f"Account     {server.world.account_sid}\n",
        f"Deletes at  {server.url}\n",
        f"Ready by    {server.url}\n",
        f"Lifted      [few-ready] less than 90 % of the bindings are ready of {service_sid(1)} (71.4 %)\n",
    ):
        assert told in shown, told


@pytest.mark.parametrize("answer", ["3\n", ""])
def test_a_declined_retirement_leaves_nothing_and_says_so(snapshot: Path, server: StandInServer, answer: str) -> None:
    before = sorted(snapshot.parent.rglob("*"))
    declined = retiring(snapshot, answer, "--force", "few-ready")
    assert (declined.exit_code, server.world.writes) == (4 if answer else 130, [])
    assert "Nothing was deleted" in declined.stderr
    assert "Nothing was written" not in declined.stderr
    assert not [
        path
        for path in sorted(snapshot.parent.rglob("*"))
        if path not in before and path.suffix != ".lock" and path.is_file()
    ]
    assert not snapshot.with_name("coverage").exists()


def test_one_that_is_confirmed_keeps_the_numbers(snapshot: Path, server: StandInServer) -> None:
    done = retiring(snapshot, "4\n", "--force", "few-ready")
    assert (done.exit_code, len(server.world.writes)) == (0, 4)
    (kept,) = snapshot.with_name("coverage").glob("*.parquet")
    assert str(kept) in done.stdout
    assert "\nNext: see who is still pending:\n  chat-migrate verify " in done.stdout


def test_a_limit_on_bindings_names_the_services(snapshot: Path) -> None:
    refused = retiring(snapshot, "", "--max-bindings", "3", "--force", "few-ready")
    assert refused.exit_code == 4
    assert f"it deletes 4 bindings, more than 3, of {service_sid(1)} (4); raise --max-bindings" in refused.stderr
    assert "Nothing was deleted" in refused.stderr
