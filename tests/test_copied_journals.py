"""An unfinished journal on a second machine: copied whole, cut short, damaged, without its plan, to another address."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from migrate.standin.server import StandInServer
from tests.applying import codes, dying, live, mortal
from tests.conftest import Run, Serve, said, service_sid, tiny_world

pytestmark = pytest.mark.no_cover  # other tests cover the same lines; untraced, these take half the time

SWITCH = "new_message.enabled"
Machine = Callable[[str], None]


@pytest.fixture
def on(environment: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """Be on a machine of that name, with a state of its own: no lock reaches it."""

    def be(name: str) -> None:
        environment.setattr("platform.node", lambda: name)
        environment.setenv("XDG_CONFIG_HOME", str(tmp_path / f"state-{name}"))

    be("one")
    return be


@pytest.fixture
def server(serve: Serve) -> StandInServer:
    content = tiny_world()
    content["services"] *= 3
    return serve(content)


@pytest.fixture
def begun(tmp_path: Path, run: Run, on: Machine, server: StandInServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plan that was begun: one of three services is done, and nothing of the second was sent."""
    folder = tmp_path / "one"
    assert run("run", "--out", folder).exit_code == 0
    with monkeypatch.context() as patch:
        dying(patch, 10)
        assert mortal("load", "--plan", folder / "plan.json", "--apply", "--yes").exit_code == -9
    assert len(server.world.writes) == 1
    return folder


def apply(run: Run, folder: Path) -> Result:
    return run("load", "--plan", folder / "plan.json", "--apply", "--yes")


def undo(run: Run, folder: Path, *options: object) -> Result:
    return run("rollback", folder / "plan.journal.jsonl", *options)


def on_now(server: StandInServer) -> list[bool]:
    settings = live(server.world)
    return [settings[service_sid(number)].get(SWITCH) is True for number in (1, 2, 3)]


def test_a_copied_folder_is_completed_and_undone_on_another_machine(
    tmp_path: Path, run: Run, on: Machine, server: StandInServer, begun: Path
) -> None:
    shutil.copytree(begun, tmp_path / "two")
    on("two")
    assert apply(run, tmp_path / "two").exit_code == 0
    assert on_now(server) == [True] * 3
    on("one")  # which finds all done, and writes nothing
    assert apply(run, begun).exit_code == 0
    assert len(server.world.writes) == 3
    on("two")
    assert undo(run, tmp_path / "two", "--apply", "--yes").exit_code == 0
    assert on_now(server) == [False] * 3
    on("one")
    assert undo(run, begun, "--apply", "--yes").exit_code == 0
    assert len(server.world.writes) == 6


def test_two_machines_at_once_write_nothing_that_is_not_planned(
    tmp_path: Path, run: Run, on: Machine, server: StandInServer, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second applies the same plan between two steps of the first."""
    from migrate.twilio_api.client import TwilioApi

    shutil.copytree(begun, tmp_path / "two")
    real, codes = TwilioApi.post, list[int]()

    def post(*arguments: Any) -> Any:
        monkeypatch.setattr(TwilioApi, "post", real)
        on("two")
        codes.append(apply(run, tmp_path / "two").exit_code)
        on("one")
        return real(*arguments)

    monkeypatch.setattr(TwilioApi, "post", post)
    assert [apply(run, begun).exit_code, *codes] == [0, 0]
    assert on_now(server) == [True] * 3
    assert undo(run, begun, "--apply", "--yes").exit_code == 0
    assert undo(run, tmp_path / "two", "--apply", "--yes").exit_code == 0
    assert on_now(server) == [False] * 3


def test_a_journal_that_was_cut_short_is_said_to_be_unfinished_and_loses_no_write(
    tmp_path: Path, run: Run, server: StandInServer, begun: Path
) -> None:
    data = (begun / "plan.journal.jsonl").read_bytes()
    whole = [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]
    for end in sorted({*range(whole[0], len(data), 211), *whole, whole[1] - 1}):
        (begun / "plan.journal.jsonl").write_bytes(data[:end])
        shown = undo(run, begun, "--json")
        assert (shown.exit_code, "rollback-unfinished" in codes(shown)) == (0, True)
        assert {change["service_sid"] for change in json.loads(shown.stdout)["changes"]} <= {service_sid(1)}
    assert apply(run, begun).exit_code == 0
    assert on_now(server) == [True] * 3
    assert "rollback-unfinished" not in codes(undo(run, begun, "--json"))


DAMAGE: dict[str, tuple[Callable[[list[bytes]], bytes], str]] = {
    "a line is missing": (lambda lines: b"".join([lines[0], *lines[2:]]), "line 2 does not follow"),
    "twice the same": (lambda lines: b"".join([*lines, *lines]), "does not follow"),
    "in another order": (lambda lines: b"".join([lines[0], *reversed(lines[1:])]), "does not follow"),
    "a merge conflict": (lambda lines: b"".join([*lines, b"<<<<<<< mine\n"]), "does not follow"),
    "a byte-order mark": (lambda lines: b"\xef\xbb\xbf" + b"".join(lines), "is not a journal"),
    "UTF-16": (lambda lines: b"".join(lines).decode().encode("utf-16"), "is not a journal"),
    "without its head": (lambda lines: b"".join(lines[1:]), "is not a journal"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_copy_is_refused_and_nothing_is_written(
    run: Run, server: StandInServer, begun: Path, name: str
) -> None:
    journal = begun / "plan.journal.jsonl"
    damage, reason = DAMAGE[name]
    journal.write_bytes(damage(journal.read_bytes().splitlines(keepends=True)))
    for result in (apply(run, begun), undo(run, begun), undo(run, begun, "--apply", "--yes")):
        assert (result.exit_code, said(result).count("\n")) == (1, 1), result.output
        assert reason in result.stderr
    assert len(server.world.writes) == 1


def test_windows_line_ends_and_a_tail_of_zeros_are_read(run: Run, server: StandInServer, begun: Path) -> None:
    journal = begun / "plan.journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b"\n", b"\r\n") + b"\0" * 512)
    assert apply(run, begun).exit_code == 0
    assert on_now(server) == [True] * 3


def test_a_rollback_at_another_address_is_not_done_because_nothing_is_there(
    run: Run, serve: Serve, begun: Path, server: StandInServer
) -> None:
    content = tiny_world()
    content["services"] *= 3
    other = serve(content)
    refused = undo(run, begun, "--apply", "--yes")
    assert (refused.exit_code, said(refused).count("\n")) == (4, 1)
    assert "[other-address]" in refused.stderr
    assert undo(run, begun, "--apply", "--yes", "--force", "other-address").exit_code == 0
    assert other.world.writes == []
    assert on_now(server)[0]
