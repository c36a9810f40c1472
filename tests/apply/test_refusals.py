"""What refuses an apply: limits, other plans and journals, another loader at work, no consent."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from migrate.cli.app import cli
from migrate.cli.commands.applying import ask
from migrate.load import journal
from migrate.load.account_lock import only_loader
from migrate.load.journal import read_journal
from migrate.load.limits import LIMITS
from migrate.model.digest import digest
from migrate.model.errors import RefusedError
from migrate.model.plan import Plan
from migrate.standin.server import StandInServer
from tests.applying import FORCE, apply, codes, posts
from tests.conftest import CASSETTE, DEMO_ACCOUNT, Run, said, service_sid


def test_all_limits_that_do_not_hold_are_listed_at_once(run: Run, server: StandInServer, plan_file: Path) -> None:
    result = run("load", "--plan", plan_file, "--apply", "--yes", "--max-services", "4")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    for name in ("blockers", "switches-off", "many-services"):
        assert f"[{name}]" in result.stderr
        assert f"--force {name}" in result.stderr
    assert "binding-gcm" in result.stderr
    part = run("load", "--plan", plan_file, "--apply", "--yes", "--force", "blockers")
    assert "[blockers]" not in part.stderr
    named = f"removed_from_conversation.enabled of {service_sid(7)}"
    assert f"[switches-off] it would switch off what is on now (1): {named}; take those keys" in part.stderr
    assert server.world.writes == []
    assert not list(plan_file.parent.glob("*.jsonl"))


def test_a_plan_for_another_account_or_address_is_refused(
    tmp_path: Path, run: Run, server: StandInServer, plan_file: Path
) -> None:
    assert (
        run("load", tmp_path / "run" / "mapped", "--replay", CASSETTE, "--plan-out", tmp_path / "r.json").exit_code
        == 0
    )
    result = run("load", "--plan", tmp_path / "r.json", "--apply", "--yes", *FORCE)
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert "[other-address]" in result.stderr
    assert "https://conversations.twilio.com" in result.stderr
    text = plan_file.read_text("utf-8")
    server.world.account_sid = "AC" + "7" * 32
    other = run("load", "--plan", plan_file, "--apply", "--yes", *FORCE)
    assert other.exit_code in (1, 4)
    assert text == plan_file.read_text("utf-8")
    assert server.world.writes == []
    assert DEMO_ACCOUNT in text


def test_the_snapshot_must_be_there_and_the_same(
    tmp_path: Path, run: Run, server: StandInServer, plan_file: Path
) -> None:
    snapshot, mapped = tmp_path / "run" / "snapshot", tmp_path / "run" / "mapped"
    snapshot.rename(tmp_path / "away")
    gone = run("load", mapped, "--apply", "--yes", *FORCE)
    assert (gone.exit_code, "[unverified-snapshot]" in gone.stderr) == (4, True)
    assert "snapshot-unverified" in codes(run("load", mapped, "--json"))
    assert run("extract", "--out", snapshot, "--service", service_sid(1)).exit_code == 0
    other = run("load", mapped, "--apply", "--yes", *FORCE)
    assert (other.exit_code, "[changed-snapshot]" in other.stderr) == (4, True)
    assert "snapshot-changed" in codes(run("load", mapped, "--json"))
    assert server.world.writes == []


def test_an_old_snapshot_is_refused(tmp_path: Path, run: Run, server: StandInServer, plan_file: Path) -> None:
    server.world.now = server.world.now.replace(month=7, day=16)
    assert run("load", "--plan", plan_file, "--apply", "--yes", *FORCE).exit_code == 4
    server.world.now = server.world.now.replace(day=15)
    assert run("load", "--plan", plan_file, "--apply", "--yes", *FORCE).exit_code == 0


def test_every_limit_is_documented() -> None:
    page = Path("docs/safety.md").read_text("utf-8")
    assert all(f"| `{name}` |" in page for name in LIMITS)


def test_it_asks_first_and_nothing_is_written_without_the_right_answer(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["load", "--plan", str(plan_file), "--apply", *FORCE]
    silent = run(*command)
    assert (silent.exit_code, said(silent).count("\n")) == (4, 1)
    assert "--yes" in silent.stderr
    monkeypatch.setattr("migrate.cli.commands.applying._is_terminal", lambda: True)
    for answer, code in (("", 4), ("6", 4), ("yes", 4), ("5", 0)):
        assert server.world.writes == []
        assert CliRunner().invoke(cli, command, input=f"{answer}\n").exit_code == code
    assert posts(server.world) == 5


def test_two_loaders_at_once_are_not_possible(
    tmp_path: Path, run: Run, server: StandInServer, plan_file: Path
) -> None:
    account = server.world.account_sid
    with only_loader(tmp_path / "state" / "chat-migrate", account) as said:
        assert said == ""
        result = apply(run, plan_file)
        assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
        assert f"process {os.getpid()} on " in result.stderr
        with pytest.raises(RefusedError), only_loader(tmp_path / "state" / "chat-migrate", account):
            pass
    assert server.world.writes == []


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (b'{"process": 77, "host": "elsewhere", "since": "2026-01-01T00:00:00+00:00"}', "process 77 on elsewhere"),
        (b"\xff", "unknown"),
    ],
)
def test_the_lock_of_one_that_was_killed_is_explained_and_taken_over(
    tmp_path: Path, run: Run, server: StandInServer, plan_file: Path, left: bytes, told: str
) -> None:
    folder = tmp_path / "state" / "chat-migrate"
    folder.mkdir(parents=True)
    (folder / f"{server.world.account_sid}.lock").write_bytes(left)
    result = apply(run, plan_file)
    assert result.exit_code == 0
    assert told in result.stderr
    with (folder / f"{server.world.account_sid}.lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert file.read() == b""


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace('"new_message.enabled": true', '"new_message.enabled": false', 1),
        lambda text: text.replace('"plan_id": "sha256:', '"plan_id": "sha256:0'),
        lambda text: text.replace('"format_version": 4', '"format_version": 2'),
        lambda text: text.replace('"fields": [', '"fields": ["zzz",', 1),
        lambda text: text.replace(service_sid(1), "IS1"),
        lambda text: "[]",
        lambda text: "{",
        lambda text: "[" * 100_000,
        lambda text: "",
    ],
)
def test_a_plan_that_was_changed_by_hand_is_refused(
    run: Run, server: StandInServer, plan_file: Path, damage: Callable[[str], str]
) -> None:
    plan_file.write_text(damage(plan_file.read_text("utf-8")), "utf-8")
    result = run("load", "--plan", plan_file)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "was changed since it was made" in result.stderr


ODD: list[tuple[tuple[Any, ...], Any]] = [
    (("counts", "bindings"), {"carried": "many"}),
    (("counts", "bindings"), {"carried": True}),
    (("counts", "bindings"), [1]),
    (("findings", 0, "service_sid"), 0),
    (("findings", 0, "subject"), 7),
    (("services",), ["x"]),
    (("missing",), [1]),
    (("changes", 0, "fields"), [[]]),
    (("as_of",), 7),
]


def test_a_plan_of_other_types_is_none_though_its_digest_is_right(
    run: Run, server: StandInServer, plan_file: Path
) -> None:
    whole = plan_file.read_bytes()
    for (*way, last), value in ODD:
        content = json.loads(whole)
        inner = content
        for name in way:
            inner = inner[name]
        inner[last] = value
        del content["plan_id"]
        plan_file.write_text(json.dumps({"plan_id": digest(content), **content}), "utf-8")
        result = run("load", "--plan", plan_file)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1), (*way, last)
        assert "is not a plan of this version" in result.stderr


@pytest.mark.parametrize(
    "content",
    [
        b"", b"mine\nand yours", b"{}\n", b"\xff\n", b"[" * 100_000 + b"\n", b'{"format_version": 1}\n',
        b'{"format_version": 1, "plan_id": "x", "account_sid": "a", "target": "t"}\n{"result": 7}\n',
        b'{"format_version": 1, "plan_id": "x", "account_sid": "a", "target": "t"}\n{"intent": 3}\n',
    ],
    ids=range(8),
)  # fmt: skip
def test_what_is_no_journal_is_one_line_and_stays_as_it_is(
    tmp_path: Path, run: Run, server: StandInServer, plan_file: Path, content: bytes
) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    result = run("rollback", path)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert path.read_bytes() == content
    if content:
        assert apply(run, plan_file, "--journal", path).exit_code == 1
        assert path.read_bytes() == content
    assert server.world.writes == []


def test_the_journal_of_another_plan_is_refused(
    tmp_path: Path, run: Run, server: StandInServer, plan_file: Path
) -> None:
    journal = plan_file.with_suffix(".journal.jsonl")
    assert apply(run, plan_file).exit_code == 0
    sid = service_sid(1)
    result = run("load", tmp_path / "run" / "mapped", "--service", sid, "--plan-out", tmp_path / "q.json")
    assert result.exit_code == 0
    server.world.services[sid].configuration = {}
    assert run("load", tmp_path / "run" / "mapped", "--plan-out", tmp_path / "q.json").exit_code == 0
    refused = run("load", "--plan", tmp_path / "q.json", "--apply", "--yes", *FORCE, "--journal", journal)
    assert (refused.exit_code, said(refused).count("\n")) == (4, 1)
    assert "another plan" in refused.stderr


@pytest.mark.parametrize(
    "options",
    [[], ["m", "--plan", "p"], ["--plan", "p", "--service", "IS" + "0" * 32]],
)
def test_a_plan_or_a_mapped_folder_is_named_and_not_both(run: Run, plan_file: Path, options: list[str]) -> None:
    options = [str(plan_file) if option == "p" else option for option in options]
    assert run("load", *options).exit_code == 2
    assert run("load", "--plan", plan_file, "--replay", CASSETTE, "--apply").exit_code == 2


@pytest.mark.parametrize("kind", [KeyboardInterrupt, click.Abort])
def test_whoever_leaves_at_the_question_has_written_nothing(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    def leaving(*_: object, **__: object) -> None:
        raise kind

    monkeypatch.setattr("migrate.cli.commands.applying._is_terminal", lambda: True)
    monkeypatch.setattr("click.prompt", leaving)
    result = run("load", "--plan", plan_file, "--apply", *FORCE)
    assert result.exit_code == 130
    assert "Nothing was written" in result.stderr
    assert server.world.writes == []


@pytest.mark.parametrize(
    ("answer", "right"), [("1234", True), (" 1,234 ", True), ("1.234", False), ("234", False), ("", False)]
)
def test_a_number_may_be_typed_as_it_is_shown(monkeypatch: pytest.MonkeyPatch, answer: str, right: bool) -> None:
    monkeypatch.setattr("migrate.cli.commands.applying._is_terminal", lambda: True)
    monkeypatch.setattr("click.prompt", lambda question, **_: answer if "(1,234)" in question else "")
    with nullcontext() if right else pytest.raises(RefusedError):
        ask(1234, "bindings")


def test_the_journal_is_nobody_elses_file(tmp_path: Path, run: Run, server: StandInServer, plan_file: Path) -> None:
    path = plan_file.with_suffix(".journal.jsonl")
    assert apply(run, plan_file, "--log-file", path).exit_code == 2
    assert not path.exists()
    made = Plan.from_json(json.loads(plan_file.read_bytes()))
    with journal.open_journal(path, made, made.plan_id):
        refused = apply(run, plan_file)
    assert (refused.exit_code, said(refused).count("\n")) == (4, 1)
    assert server.world.writes == []
    (tmp_path / "link").symlink_to(tmp_path / "behind")
    assert apply(run, plan_file, "--journal", tmp_path / "link").exit_code == 0
    assert (tmp_path / "link").is_symlink()
    assert read_journal(tmp_path / "behind").finished


def test_another_plan_is_not_saved_in_the_place_of_one_that_is_not_done(
    run: Run, server: StandInServer, plan_file: Path
) -> None:
    mapped = plan_file.parent / "run" / "mapped"
    server.world.services[service_sid(7)].configuration = {"new_message.sound": "theirs"}
    assert apply(run, plan_file).exit_code == 5
    whole = plan_file.read_bytes()
    refused = run("load", mapped, "--plan-out", plan_file)
    assert (refused.exit_code, refused.stderr.count("\n"), plan_file.read_bytes()) == (4, 1, whole)
    another = plan_file.with_name("plan-2.json")
    assert f"Or make the new plan beside it: chat-migrate load --plan-out {another} {mapped}\n" in refused.stderr
    assert run("load", mapped, "--plan-out", another).exit_code == 0
    assert apply(run, another).exit_code == 0


def test_a_journal_that_was_hardly_begun_stands_in_nobodys_way(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_file.with_suffix(".journal.jsonl").write_bytes(b'{"format_ver')
    assert run("load", "--plan", plan_file).exit_code == 0
    mapped = plan_file.parent / "run" / "mapped"
    assert run("load", mapped, "--plan-out", plan_file, "--apply", "--yes", *FORCE).exit_code == 0
