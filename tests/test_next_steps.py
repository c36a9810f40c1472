"""What a command says at its end: the next step, how to resume, and errors that fit the screen and can be copied."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shlex
import struct
import termios
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from migrate.cli.app import cli
from migrate.model.errors import MigrateError, place_of
from migrate.rehearse import rehearsal
from migrate.rehearse.points import Conditions
from migrate.standin.world import World
from migrate.storage import database
from migrate.storage.database import over_parts
from tests.conftest import Run, Serve, tiny_world
from tests.scripted import Reply, Scripted, scripted


@pytest.fixture(autouse=True)
def _here(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.chdir(tmp_path)


def next_of(result: Result) -> list[str]:
    """The command of the next step: a line of its own, the last of all."""
    assert result.exit_code == 0, result.output
    (command,) = re.findall(r"\nNext: .+:\n  chat-migrate (.*)\n\Z", result.stdout)
    return shlex.split(command)


def follow(run: Run, result: Result, *options: str) -> tuple[list[str], Result]:
    """The next command, and what it brings."""
    command = next_of(result)
    return command, run(*command, *options)


def test_the_next_steps_lead_from_the_first_command_to_the_write(run: Run, serve: Serve) -> None:
    server = serve(tiny_world())
    command, done = follow(run, run("doctor", "--concurrency", "3"))
    assert command == ["run", "--out", "migration", "--concurrency", "3"]
    command, done = follow(run, done)
    assert command[:2] == ["load", "migration/mapped"]
    command, done = follow(run, done)
    assert command[:5] == ["load", "--plan-out", "plan.json", "--report", "plan.html"]
    command, done = follow(run, done, "--yes")
    assert command[:4] == ["load", "--plan", "plan.json", "--apply"]
    assert "Next: " not in done.stdout, "a plan does not name its snapshot"
    assert len(server.world.writes) == 1
    command, done = follow(run, run("load", "migration/mapped"))
    assert command[:2] == ["verify", "migration/snapshot"]
    command, done = follow(run, done)
    assert command[:2] == ["verify", "migration/snapshot"], "until they are ready"


def test_the_next_steps_lead_from_a_snapshot_to_a_rehearsal_and_back(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())
    command, done = follow(run, run("extract", "--out", "one/snapshot"))
    assert command == ["map", "one/snapshot", "--out", "one/mapped"]
    command, done = follow(run, done)
    assert command == ["load", "one/mapped"]
    assert run("load", "one/mapped", "--plan-out", "plan.json").exit_code == 0
    applied = run("load", "--plan", "plan.json", "--apply", "--yes")
    assert "Next: " not in applied.stdout
    command, done = follow(run, run("rollback", "plan.journal.jsonl"), "--yes")
    assert command == ["rollback", "--apply", "plan.journal.jsonl"]
    assert next_of(done)[:4] == ["load", "MAPPED", "--plan-out", "FILE"]
    assert next_of(run("extract", "--out", "one/again"))[-1] == "MAPPED", "the folder beside it is taken"
    command, done = follow(run, run("purge", "one", "--older-than", "0"), "--yes")
    assert (command[0], "--apply" in command, done.exit_code) == ("purge", True, 0)


def test_the_next_steps_of_a_second_extract_carry_the_review_over_and_name_the_snapshot(
    run: Run, serve: Serve
) -> None:
    serve(tiny_world())
    assert run("run", "--out", "one").exit_code == 0
    again = run("extract", "--out", "two/snapshot", "--expect", "one/snapshot")
    assert next_of(again) == ["map", "two/snapshot", "--out", "two/mapped", "--like", "one/mapped"]
    assert run(*next_of(again)).exit_code == 0
    other = run("extract", "--out", "three/snapshot", "--expect", "two/snapshot")
    assert next_of(other)[-2:] == ["--like", "two/mapped"]
    Path("one/mapped/summary.json").unlink()
    assert "--like" not in next_of(run("extract", "--out", "four/snapshot", "--expect", "one/snapshot"))
    done = run("load", "two/mapped", "--plan-out", "two/plan.json")
    done = run("load", "--plan", "two/plan.json", "--apply", "--yes")
    assert next_of(done)[:2] == ["verify", "two/snapshot"]


def test_a_run_carries_a_review_over(run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(tiny_world())
    assert run("run", "--out", "one").exit_code == 0
    config = Path("one/mapped/push-config.yaml")
    config.write_text(config.read_text("utf-8").replace("${MESSAGE}", "${MESSAGE}!"), "utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("migrate.extract.extraction._Extract._walk", _interrupted)
        left = run("run", "--out", "two", "--like", "one/mapped")
    resume = shlex.split(left.stderr.partition("Resume with: chat-migrate ")[2])
    assert resume[resume.index("--like") + 1] == "one/mapped"
    assert run(*resume).exit_code == 0
    assert "${MESSAGE}!" in Path("two/mapped/push-config.yaml").read_text("utf-8")
    Path("rules.toml").write_text("")
    both = run("run", "--out", "three", "--like", "one/mapped", "--rules", "rules.toml")
    assert (both.exit_code, "exclude each other" in both.stderr) == (2, True)
    Path("one/mapped/push-config.as-mapped.yaml").unlink()
    for like, code in (("nowhere", 1), ("one/mapped", 4)):
        assert run("run", "--out", "four", "--like", like).exit_code == code
        assert not Path("four").exists(), "nothing is read for a review that cannot be carried over"


def test_when_they_are_ready_the_next_step_is_to_retire(run: Run, serve: Serve) -> None:
    phone = {"identity": "person-{n}", "endpoint": "phone-{n}", "count": 3}
    sign = {"message_types": [["twilio.conversations.new_message"]], "age_days": 1}
    on = {"new_message": {"enabled": True, "with_media": {"enabled": True}}}
    world = tiny_world(
        conversations_shows_chat=False, conversations=on, bindings=[phone], conversations_bindings=[{**phone, **sign}]
    )
    world["credentials"] = [{"name": "push", "type": kind} for kind in ("apn",)]
    serve(world)
    assert run("extract", "--out", "s").exit_code == 0
    command, done = follow(run, run("verify", "s"))
    assert command == ["retire", "s"]
    command = next_of(done)
    assert command[:2] in (["retire", "--apply"], ["verify", "s"])


def test_where_something_blocks_it_the_next_step_is_to_decide(run: Run, serve: Serve, demo_world: World) -> None:
    serve(demo_world)
    assert run("run", "--out", "m").exit_code == 0
    shown = run("load", "m/mapped", "--json")
    assert "Next" not in shown.stdout + shown.stderr
    assert json.loads(shown.stdout)["changes"]
    shown = run("load", "m/mapped", "--plan-out", "p.json", "--detailed-exitcode")
    assert shown.stdout.endswith(
        "decide what blocks it, then look again:\n  chat-migrate load m/mapped --plan-out p.json\n"
    )
    forced = ("--force", "blockers", "--force", "switches-off")
    lifted = next_of(run("load", "m/mapped", "--plan-out", "p.json", *forced))
    assert lifted == ["load", "--plan", "p.json", "--apply", *forced]
    looked = next_of(run("load", "--plan", "p.json", "--journal", "mine.jsonl", *forced))
    assert looked == ["load", "--plan", "p.json", "--apply", "--journal", "mine.jsonl", *forced]
    assert run("load", "--plan", "p.json", "--apply", "--yes", *forced).exit_code == 0
    waits = run("load", "m/mapped", "--apply", "--yes", *forced)
    assert "Next: decide what waits (edit m/mapped/push-config.yaml)" in waits.stdout
    assert next_of(waits) == ["load", "m/mapped", *forced]


@pytest.mark.parametrize("command", ["extract", "run"])
def test_an_interrupted_command_names_itself_with_its_options(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    serve(tiny_world())
    Path("rules.toml").write_text("")

    options = ["--concurrency", "3", "--retry-budget", "7.5", "--page-size", "20", "--no-shard"]
    rules = ["--rules", "rules.toml"] if command == "run" else []
    with monkeypatch.context() as patch:
        patch.setattr("migrate.extract.extraction._Extract._walk", _interrupted)
        left = run(command, "--out", "new", *options, *rules, "--identity", "somebody")
    assert left.exit_code == 130, left.output
    resume = shlex.split(left.stderr.partition("Resume with: chat-migrate ")[2])
    assert resume[:3] == [command, "--out", "new"]
    for option, value in zip(options[:6:2], options[1:6:2], strict=True):
        assert resume[resume.index(option) + 1] == value
    assert "--no-shard" in resume
    assert ("--rules" in resume) == (command == "run")
    assert "somebody" not in left.stderr
    resume[resume.index("--identity") + 1] = "somebody"
    assert run(*resume).exit_code == 0


def _interrupted(*_: Any) -> Any:
    raise KeyboardInterrupt


def test_a_run_that_is_interrupted_later_names_what_brings_the_same_files(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())
    with monkeypatch.context() as patch:
        patch.setattr("migrate.pipeline.make_plan", _interrupted)
        left = run("run", "--out", "m", "--concurrency", "3")
    assert left.exit_code == 130
    resume = shlex.split(left.stderr.partition("Resume with: chat-migrate ")[2])
    assert resume[-2:] == ["--concurrency", "3"]
    assert run(*resume).exit_code == 0
    assert {path.name for path in Path("m").iterdir()} == {
        "snapshot",
        "mapped",
        "plan.json",
        "report.html",
        "report.md",
    }


def on_terminal(environment: pytest.MonkeyPatch, columns: int, words: Sequence[str], since: str = "Error: ") -> str:
    """What a command that fails writes to standard error after some words, where that is a terminal so wide."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    with environment.context() as patch, os.fdopen(child, "w", encoding="utf-8") as terminal:
        patch.delenv("COLUMNS")
        patch.setattr("sys.stderr", terminal)
        with pytest.raises(SystemExit) as ended:
            cli.main([*words], prog_name="chat-migrate")
    assert ended.value.code
    told = b""
    with suppress(OSError):  # which is the end: the other side is closed
        while part := os.read(parent, 65_536):
            told += part
    os.close(parent)
    return told.decode().replace("\r\n", "\n").partition(since)[2]


@pytest.mark.parametrize("width", [40, 60, 100])
def test_an_error_fits_the_screen_and_its_command_stays_whole(
    run: Run, serve: Serve, environment: pytest.MonkeyPatch, width: int
) -> None:
    serve(tiny_world())
    assert run("extract", "--out", "one").exit_code == 0
    for words in (
        ["extract", "--out", "one"],
        ["load", "one"],
        ["load", "one", "--plan", "x"],
        ["rehearse", "nowhere"],
    ):
        lines = f"Error: {on_terminal(environment, width, words)}".splitlines()
        assert lines != ["Error: "]
        assert not [line for line in lines if len(line) > width and not line.strip().startswith("chat-migrate ")], (
            lines
        )
    command = "chat-migrate map one --out MAPPED"
    assert command in on_terminal(environment, width, ["extract", "--out", "one"]), "to be copied"


@pytest.mark.parametrize("columns", [None, "40"])
def test_an_error_or_a_warning_is_one_line_for_what_is_no_terminal_though_columns_is_exported(
    run: Run, serve: Serve, environment: pytest.MonkeyPatch, columns: str | None
) -> None:
    environment.delenv("COLUMNS")
    if columns:
        environment.setenv("COLUMNS", columns)
    told = run("rehearse", "a-folder-that-is-not-there-and-has-a-name-so-long-that-no-terminal-has-room-for-it")
    assert (told.exit_code, told.stderr.count("\n")) == (1, 1)
    assert run("load", "one", "--plan", "x").stderr.splitlines()[-1].startswith("Error: ")
    serve(tiny_world())
    warned = run("doctor")
    assert [line.partition(":")[0] for line in warned.stderr.splitlines()] == ["Warning"] * warned.stderr.count("\n")


def test_a_rehearsal_finds_the_snapshot_that_was_mapped(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Conditions] = []

    def hold(work: Path, snapshot: Any, conditions: Conditions, *_: Any, **__: Any) -> Any:
        seen.append(conditions)
        raise MigrateError("seen")

    serve(tiny_world())
    assert run("run", "--out", "m").exit_code == 0
    monkeypatch.setattr(rehearsal, "_hold", hold)
    assert run("rehearse", "m/mapped").exit_code == 1
    assert [one.snapshot for one in seen] == ["m/snapshot"]
    Path("m/snapshot").rename("m/elsewhere")
    lost = run("rehearse", "m/mapped")
    assert (lost.exit_code, lost.stderr.count("\n")) == (1, 1)
    assert "where there is no snapshot any more" in lost.stderr
    assert lost.stderr.endswith("Name it with --snapshot DIR\n")
    assert run("rehearse", "m/mapped", "--snapshot", "m/elsewhere").exit_code == 1
    assert seen[-1].snapshot == "m/elsewhere"


def test_a_clock_that_is_nobodys_stand_in_is_to_be_set(run: Run, environment: pytest.MonkeyPatch) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        reply = Reply({}, 404) if "/v2/" in path else server.page("services", [])
        return Reply(reply.body, reply.status, {"Date": "Mon, 02 Jan 2023 00:00:00 GMT"})

    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "t")
    with scripted(answer) as server:
        shown = run("doctor", "--chat-url", server.url, "--conversations-url", server.url, "--json")
    (clock,) = (check for check in json.loads(shown.stdout)["checks"] if check["name"] == "clock")
    assert (clock["verdict"], "ahead of the server's" in clock["found"]) == ("wrong", True)
    assert clock["remedy"].startswith("Set this machine's clock")


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).filter(
    lambda name: name[0] != "."
)


@given(folders=st.lists(NAMES, max_size=3), name=NAMES, own=st.sampled_from(["partial", "lock", "duckdb", ""]))
def test_no_error_names_a_file_that_only_the_program_knows(folders: list[str], name: str, own: str) -> None:
    internal = {"partial": f".{name}.0f.partial", "lock": f".{name}.lock", "duckdb": f".duckdb-{name}", "": name}[own]
    place = Path(*folders, internal, *(["x"] if own == "duckdb" else []))
    told = place_of(OSError(28, "No space left on device", str(place)), "the result")
    shown = Path(*folders) if own else place
    assert told == (str(shown) if folders or not own else "the result")


def test_what_has_no_name_is_told_as_what_it_is_for() -> None:
    assert place_of(OSError(28, "x"), "the result") == "the result"
    assert place_of(OSError(28, "x", 7)) == ""
    assert place_of(OSError(28, "x", b"a/b")) == "a/b"


def test_a_full_disk_below_duckdb_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise duckdb.IOException(
            f'IO Error: Could not write file "{tmp_path}/.duckdb-ab12/duckdb_temp_storage-0.tmp": No space left on device'
        )

    monkeypatch.setattr(database._Instances, "connection", full)
    with pytest.raises(MigrateError) as told, over_parts([], tmp_path):
        pass
    assert f'Could not write file "{tmp_path}": No space left on device' in str(told.value)
