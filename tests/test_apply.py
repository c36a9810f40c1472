"""Apply and roll back: every write journalled and read back, nobody else's changes touched, nothing written twice."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import shutil
import stat
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from migrate.cli.app import cli
from migrate.cli.commands.applying import ask
from migrate.cli.console import Screen
from migrate.load import journal
from migrate.load.account_lock import only_loader
from migrate.load.journal import Entry, read_journal
from migrate.load.limits import LIMITS
from migrate.model.digest import digest
from migrate.model.errors import RefusedError, TransientTwilioError, TwilioError
from migrate.model.plan import Plan
from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from migrate.standin.world import World
from migrate.storage.synced_log import SyncedLog
from migrate.twilio_api.client import TwilioApi
from tests.applying import FORCE, apply, codes, dying, live, mortal, posts, wanted
from tests.conftest import CASSETTE, DEMO_ACCOUNT, Run, Serve, said, service_sid


@pytest.fixture(autouse=True)
def _state(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))


@pytest.fixture
def server(serve: Serve, demo_world: World) -> StandInServer:
    """A stand-in with a demo world of its own."""
    return serve(demo_world)


@pytest.fixture
def plan_file(tmp_path: Path, run: Run, server: StandInServer, migration: Path) -> Path:
    """The demo's plan, made against the test's own stand-in, with what is only inferred."""
    shutil.copytree(migration, tmp_path / "run")
    path = tmp_path / "plan.json"
    assert run("load", tmp_path / "run" / "mapped", "--plan-out", path, "--force", "inferred").exit_code == 0
    return path


def test_a_plan_is_applied_read_back_and_undone(run: Run, server: StandInServer, plan_file: Path) -> None:
    before = live(server.world)
    result = apply(run, plan_file)
    assert (result.exit_code, said(result)) == (0, "")
    assert "5 applied" in result.stdout
    assert live(server.world) == wanted(plan_file, before)
    journal = plan_file.with_suffix(".journal.jsonl")
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    entries = read_journal(journal).entries
    assert [entry.status for entry in entries] == ["applied"] * 5 == ["applied"] * posts(server.world)
    for entry in entries:
        assert isinstance(entry, Entry)
        assert entry.before == before[entry.service_sid]
        assert entry.after == live(server.world)[entry.service_sid]
    shown = run("rollback", journal)
    assert (shown.exit_code, posts(server.world)) == (0, 5)
    assert "true → false" in shown.stdout
    assert run("rollback", journal, "--apply", "--yes").exit_code == 0
    assert live(server.world) == before
    assert posts(server.world) == 10
    again = run("rollback", journal, "--apply", "--yes")
    assert (again.exit_code, posts(server.world)) == (0, 10)


def test_a_mapped_folder_is_applied_by_a_plan_that_is_saved(
    tmp_path: Path, run: Run, server: StandInServer, plan_file: Path
) -> None:
    before = live(server.world)
    mapped = tmp_path / "run" / "mapped"
    result = run("load", mapped, "--apply", "--yes", *FORCE, "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert {item["verdict"] for item in told["applied"]} == {"applied"}
    assert live(server.world) == wanted(plan_file, before)
    (saved,) = (tmp_path / "run").glob("plan-*.json")
    assert json.loads(saved.read_bytes()) == told["plan"] == json.loads(plan_file.read_bytes())
    assert Path(told["journal"]) == saved.with_suffix(".journal.jsonl")
    again = run("load", mapped, "--apply", "--yes", *FORCE)
    assert (again.exit_code, posts(server.world)) == (0, 5)


def test_only_the_services_that_are_named_are_changed(
    tmp_path: Path, run: Run, server: StandInServer, plan_file: Path
) -> None:
    before = live(server.world)
    sid = service_sid(1)
    result = run("load", tmp_path / "run" / "mapped", "--service", sid, "--apply", "--yes")
    assert result.exit_code == 0  # the blocker is another's
    assert live(server.world) == {**before, sid: wanted(plan_file, before)[sid]}
    unknown = run("load", tmp_path / "run" / "mapped", "--service", service_sid(99))
    assert (unknown.exit_code, unknown.stderr.count("\n")) == (2, 1)


def test_one_plan_is_not_applied_twice_unnoticed(run: Run, server: StandInServer, plan_file: Path) -> None:
    assert apply(run, plan_file, "--journal", plan_file.with_suffix(".journal.jsonl")).exit_code == 0
    again = apply(run, plan_file)
    assert (again.exit_code, said(again).count("\n")) == (4, 1)
    assert "applied already" in again.stderr
    other = apply(run, plan_file, "--journal", plan_file.with_name("other.jsonl"))
    assert (other.exit_code, posts(server.world)) == (0, 5)
    assert "5 already" in other.stdout


# --- others ----------------------------------------------------------------------------------------------


def test_what_somebody_else_has_changed_is_left_alone(run: Run, server: StandInServer, plan_file: Path) -> None:
    before = live(server.world)
    sid = service_sid(2)
    server.world.services[sid].configuration = {"new_message.sound": "theirs"}
    theirs = live(server.world)[sid]
    shown = run("load", "--plan", plan_file)
    assert (shown.exit_code, shown.stderr.count("\n")) == (5, 1)
    assert sid in shown.stderr
    result = apply(run, plan_file)
    assert (result.exit_code, said(result).count("\n")) == (5, 1)
    assert "new_message.sound" in result.stdout
    assert "chat-migrate load MAPPED" in result.stderr
    assert live(server.world) == {**wanted(plan_file, before), sid: theirs}
    assert posts(server.world) == 4


def test_what_somebody_else_has_set_the_same_is_not_written_again(
    run: Run, server: StandInServer, plan_file: Path
) -> None:
    sid = service_sid(3)
    desired = wanted(plan_file, live(server.world))
    server.world.services[sid].configuration = dict(desired[sid])
    result = apply(run, plan_file)
    assert result.exit_code == 0
    assert "1 already, 4 applied" in result.stdout
    assert (live(server.world), posts(server.world)) == (desired, 4)


def test_what_somebody_has_set_since_the_snapshot_is_told(
    tmp_path: Path, run: Run, server: StandInServer, plan_file: Path
) -> None:
    mapped = tmp_path / "run" / "mapped"
    assert "target-drifted" not in codes(run("load", mapped, "--json"))
    server.world.services[service_sid(5)].configuration = {"new_message.enabled": True, "new_message.sound": "theirs"}
    findings = json.loads(run("load", mapped, "--json").stdout)["findings"]
    # That the push is on is what is wanted, whoever did it.
    drifted = [item["subject"] for item in findings if item["code"] == "target-drifted"]
    assert drifted == ["new_message.sound"]
    assert apply(run, plan_file).exit_code == 5
    assert "target-drifted" not in codes(run("load", mapped, "--service", service_sid(1), "--json"))


def test_a_rollback_leaves_alone_what_was_changed_since(run: Run, server: StandInServer, plan_file: Path) -> None:
    before = live(server.world)
    assert apply(run, plan_file).exit_code == 0
    sid = service_sid(1)
    configuration = server.world.services[sid].configuration
    assert configuration is not None
    configuration["new_message.template"] = "theirs"
    journal = plan_file.with_suffix(".journal.jsonl")
    result = run("rollback", journal, "--apply", "--yes", "--json")
    assert result.exit_code == 5
    findings = json.loads(result.stdout)["plan"]["findings"]
    assert [(item["code"], item["subject"]) for item in findings] == [("rollback-left-alone", "new_message.template")]
    assert live(server.world) == {**before, sid: {**before[sid], "new_message.template": "theirs"}}


def test_a_service_that_is_gone_is_told_and_does_not_stop_the_others(
    run: Run, server: StandInServer, plan_file: Path
) -> None:
    server.world.services[service_sid(1)].configuration = None
    result = apply(run, plan_file)
    assert (result.exit_code, said(result).count("\n"), posts(server.world)) == (6, 1, 4)
    assert "missing" in result.stdout
    assert f"chat-migrate load --plan {plan_file} --apply" in result.stderr
    journal = plan_file.with_suffix(".journal.jsonl")
    server.world.services[service_sid(2)].configuration = None
    rolled = run("rollback", journal, "--json")
    assert json.loads(rolled.stdout)["missing"] == [service_sid(2)]


# --- Twilio ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["429", "500", "503", "reset", "garbage", "short", "not-a-page"])
def test_whatever_becomes_of_an_answer_is_settled_by_reading_back(
    run: Run, serve: Serve, demo_world: World, plan_file: Path, kind: str
) -> None:
    before = live(demo_world)
    path = plan_file.with_name("faulty.json")
    faulty = serve(demo_world, faults=Faults(seed=3, rate=0.5, kinds=(kind,)))
    assert run("load", plan_file.parent / "run" / "mapped", "--plan-out", path, *FORCE).exit_code == 0
    result = apply(run, path)
    assert result.exit_code == 0, result.output
    assert live(demo_world) == wanted(path, before)
    assert faulty.world.writes
    journal = read_journal(path.with_suffix(".journal.jsonl"))
    assert [entry.status for entry in journal.entries] == ["applied"] * 5


def test_a_field_that_twilio_ignores_is_found_by_reading_back(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TwilioApi.post

    def misspelt(api: TwilioApi, name: Any, path: str, form: dict[str, str]) -> None:
        real(api, name, path, {key.replace("LogEnabled", "LogEnable"): value for key, value in form.items()})

    with monkeypatch.context() as patch:
        patch.setattr(TwilioApi, "post", misspelt)
        result = apply(run, plan_file)
    assert (result.exit_code, said(result).count("\n")) == (6, 1)
    assert "log_enabled is false" in result.stdout
    journal = read_journal(plan_file.with_suffix(".journal.jsonl"))
    assert [entry.status for entry in journal.entries] == ["failed"] + ["applied"] * 4


@pytest.mark.parametrize("allowed", [0, 3])
def test_a_write_that_is_refused_is_told_and_the_others_go_on(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    before = live(server.world)
    real, count = TwilioApi.post, 0

    def limited(api: TwilioApi, name: Any, path: str, form: dict[str, str]) -> None:
        nonlocal count
        count += 1
        real(api, name, path if count <= allowed else path + "/none", form)

    with monkeypatch.context() as patch:
        patch.setattr(TwilioApi, "post", limited)
        result = apply(run, plan_file)
    assert (result.exit_code, said(result).count("\n")) == (6 if allowed else 1, 1)
    assert result.stdout.count("answered 404") == 5 - allowed
    # The same command goes on, with those that failed.
    assert apply(run, plan_file).exit_code == 0
    assert (live(server.world), posts(server.world)) == (wanted(plan_file, before), 5)


# --- interruptions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.long)])
def test_a_death_at_any_step_is_gone_on_from_and_nothing_is_written_twice(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    before = live(server.world)
    desired = wanted(plan_file, before)
    configurations = {sid: service.configuration for sid, service in server.world.services.items()}
    step, steps = 1 - stride, 99
    while step < steps:
        step += stride
        for sid, service in server.world.services.items():
            service.configuration = dict(configurations[sid] or {})
        server.world.writes.clear()
        journal = plan_file.with_name(f"{step}.jsonl")
        with monkeypatch.context() as patch:
            count = dying(patch, step)
            died = apply(mortal, plan_file, "--journal", journal)
            steps = min(steps, count() if died.exit_code == 0 else 99)
        result = apply(run, plan_file, "--journal", journal)
        assert result.exit_code in (0, 4), result.output  # 4: it had died after all was done
        assert live(server.world) == desired
        assert posts(server.world) == 5
        assert run("rollback", journal, "--apply", "--yes").exit_code == 0
        assert live(server.world) == before
    assert step > 30


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_last_line_that_was_cut_short_is_dropped(
    run: Run, server: StandInServer, plan_file: Path, cut: int
) -> None:
    desired = wanted(plan_file, live(server.world))
    journal = plan_file.with_suffix(".journal.jsonl")
    assert apply(run, plan_file).exit_code == 0
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-2]) + lines[-2][:-cut])  # the last result, torn
    result = apply(run, plan_file)
    assert (result.exit_code, posts(server.world)) == (0, 5)
    assert live(server.world) == desired
    assert [entry.status for entry in read_journal(journal).entries] == ["applied"] * 5


def test_a_write_that_died_and_was_overwritten_since_is_stale(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        dying(patch, 5)  # after the intent's line
        assert apply(mortal, plan_file).exit_code == -9
    server.world.services[service_sid(1)].configuration = {"new_message.sound": "theirs"}
    result = apply(run, plan_file)
    assert (result.exit_code, posts(server.world)) == (5, 4)
    journal = read_journal(plan_file.with_suffix(".journal.jsonl"))
    assert journal.entries[0].status == "failed"


def test_ctrl_c_tells_what_is_written_and_the_command_that_goes_on(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = TwilioApi.post, 0

    def interrupted(*arguments: Any) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(TwilioApi, "post", interrupted)
    result = apply(run, plan_file)
    assert (result.exit_code, said(result).count("\n")) == (130, 1)
    assert "2 of 5 services are written" in result.stderr
    assert f"chat-migrate load --plan {plan_file} --apply" in result.stderr


# --- refusals --------------------------------------------------------------------------------------------


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


# --- what is no plan, and no journal ---------------------------------------------------------------------


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


def test_no_identity_and_no_secret_is_in_a_journal(run: Run, server: StandInServer, plan_file: Path) -> None:
    result = apply(run, plan_file)
    text = plan_file.with_suffix(".journal.jsonl").read_text("utf-8") + result.output + plan_file.read_text("utf-8")
    assert server.world.auth_token not in text
    for service in server.world.services.values():
        for item in service.bindings:
            assert item.identity is None or item.identity not in text


# --- what a review found ---------------------------------------------------------------------------------


def test_what_was_undone_is_not_taken_for_applied(run: Run, server: StandInServer, plan_file: Path) -> None:
    first = server.world.services[service_sid(1)]
    configuration, first.configuration = first.configuration, None
    assert apply(run, plan_file).exit_code == 6
    before = live(server.world)
    journal = plan_file.with_suffix(".journal.jsonl")
    assert run("rollback", journal, "--apply", "--yes").exit_code == 0
    first.configuration = configuration
    result = apply(run, plan_file)
    assert (result.exit_code, said(result).count("\n")) == (5, 1)
    assert "1 applied, 4 stale" in result.stdout
    assert not read_journal(journal).finished
    assert before != live(server.world)


@pytest.mark.parametrize("named", [True, False])
def test_a_mapped_folder_whose_plan_was_interrupted_names_it(
    tmp_path: Path, run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    desired = wanted(plan_file, live(server.world))
    mapped = tmp_path / "run" / "mapped"
    options = ["--plan-out", tmp_path / "mine.json"] if named else []
    with monkeypatch.context() as patch:
        dying(patch, 12)
        assert mortal("load", mapped, "--apply", "--yes", *FORCE, *options).exit_code == -9
    again = run("load", mapped, "--apply", "--yes", *FORCE, *options)
    assert (again.exit_code, again.stderr.count("\n")) == (4, 1)
    (command,) = re.findall(r"Resume with: chat-migrate (load --plan \S+ --apply)", again.stderr)
    assert run(*command.split(), "--yes", *FORCE).exit_code == 0
    assert (live(server.world), posts(server.world)) == (desired, 5)


def test_what_somebody_else_set_meanwhile_is_not_undone_as_ours(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = server.world.services[service_sid(1)]

    def lost(*_: object) -> None:
        first.configuration = {"new_message.sound": "theirs"}
        raise TransientTwilioError("answered 500", status=500)

    with monkeypatch.context() as patch:
        patch.setattr(TwilioApi, "post", lost)
        result = apply(run, plan_file)
    assert result.exit_code == 1
    assert "Read back after the write" in result.stdout
    rolled = run("rollback", plan_file.with_suffix(".journal.jsonl"), "--json")
    assert service_sid(1) not in {change["service_sid"] for change in json.loads(rolled.stdout)["changes"]}


def test_a_write_that_landed_can_be_undone_after_somebody_was_there(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = live(server.world)
    with monkeypatch.context() as patch:
        dying(patch, 6)  # after the first write, before its result is known
        assert apply(mortal, plan_file).exit_code == -9
    first = server.world.services[service_sid(1)]
    assert posts(server.world) == 1
    first.configuration = {**(first.configuration or {}), "new_message.sound": "theirs"}
    assert apply(run, plan_file).exit_code == 5
    assert run("rollback", plan_file.with_suffix(".journal.jsonl"), "--apply", "--yes").exit_code == 5
    assert live(server.world) == {**before, first.sid: {**before[first.sid], "new_message.sound": "theirs"}}


def test_a_journal_of_nothing_to_do_is_one(run: Run, server: StandInServer, plan_file: Path) -> None:
    assert apply(run, plan_file).exit_code == 0
    other = plan_file.with_name("other.jsonl")
    assert apply(run, plan_file, "--journal", other).exit_code == 0
    assert read_journal(other).finished
    assert run("rollback", other).exit_code == 0


def test_one_service_that_cannot_be_read_does_not_stop_the_others(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TwilioApi.get

    def forbidden(api: TwilioApi, name: Any, path: str, **options: Any) -> dict[str, Any]:
        if service_sid(3) in path:
            raise TwilioError("answered 403", status=403)
        return real(api, name, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(TwilioApi, "get", forbidden)
        result = apply(run, plan_file)
    assert (result.exit_code, posts(server.world)) == (6, 4)


def test_a_write_that_was_taken_in_part_is_finished_by_the_same_command(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = live(server.world)
    real = TwilioApi.post

    def partly(api: TwilioApi, name: Any, path: str, form: dict[str, str]) -> None:
        real(api, name, path, {key: value for key, value in form.items() if key != "LogEnabled"})

    with monkeypatch.context() as patch:
        patch.setattr(TwilioApi, "post", partly)
        assert apply(run, plan_file).exit_code == 6
    assert apply(run, plan_file).exit_code == 0
    assert live(server.world) == wanted(plan_file, before)
    assert run("rollback", plan_file.with_suffix(".journal.jsonl"), "--apply", "--yes").exit_code == 0
    assert live(server.world) == before


def test_a_rollback_goes_on_from_its_own_journal(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = live(server.world)
    assert apply(run, plan_file).exit_code == 0
    after = live(server.world)
    journal = plan_file.with_suffix(".journal.jsonl")
    with monkeypatch.context() as patch:
        dying(patch, 12)
        assert mortal("rollback", journal, "--apply", "--yes").exit_code == -9
    assert run("rollback", journal, "--apply", "--yes").exit_code == 0
    assert (live(server.world), posts(server.world)) == (before, 10)
    # One journal has all of it, and undoes all of it.
    assert run("rollback", journal.with_suffix(".rollback.jsonl"), "--apply", "--yes").exit_code == 0
    assert live(server.world) == after


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


def test_half_a_letter_is_no_obstacle(tmp_path: Path, run: Run, server: StandInServer, plan_file: Path) -> None:
    server.world.services[service_sid(2)].configuration = {"removed_from_conversation.sound": "a\ud83d"}
    assert run("load", tmp_path / "run" / "mapped", "--plan-out", plan_file, *FORCE).exit_code == 0
    assert apply(run, plan_file).exit_code == 0
    assert run("rollback", plan_file.with_suffix(".journal.jsonl")).exit_code == 0


def test_a_full_disk_stops_it_and_the_line_says_what_was_written(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, lines = SyncedLog.append, 0

    def full(log: SyncedLog, line: dict[str, Any]) -> None:
        nonlocal lines
        lines += 1
        if lines > 4:
            raise OSError(28, "No space left on device")
        real(log, line)

    with monkeypatch.context() as patch:
        patch.setattr(SyncedLog, "append", full)
        result = apply(run, plan_file)
    assert (result.exit_code, said(result).count("\n")) == (6, 1)
    assert "4 of 5 services are not as planned" in result.stderr
    assert "no space left on device" in result.stdout
    assert apply(run, plan_file).exit_code == 0
    assert posts(server.world) == 5


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


def test_the_command_that_goes_on_has_its_options(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = plan_file.with_name("mine.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(TwilioApi, "post", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        result = apply(run, plan_file, "--journal", mine, "--record", plan_file.with_name("c.yaml"))
    (command,) = re.findall(r"Resume with: chat-migrate (.*)", result.stderr)  # a recording is not gone on with
    assert run(*shlex.split(command)).exit_code == 0
    assert read_journal(mine).finished


# --- what a review found ---------------------------------------------------------------------------------


def lagging(monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """After a write, so many looks show what was there before it."""
    real_get, real_post = TwilioApi.get, TwilioApi.post
    stale: dict[str, list[Any]] = {}

    def post(api: TwilioApi, name: Any, path: str, form: Any) -> Any:
        stale[path] = [real_get(api, name, path)] * looks
        return real_post(api, name, path, form)

    def get(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        return stale[path].pop() if stale.get(path) else real_get(api, name, path, *rest, **options)

    monkeypatch.setattr(TwilioApi, "post", post)
    monkeypatch.setattr(TwilioApi, "get", get)


@pytest.mark.parametrize("looks", [2, 9])
def test_a_read_back_that_lags_is_not_taken_for_a_write_that_did_not_arrive(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    before = live(server.world)
    with monkeypatch.context() as patch:
        lagging(patch, looks)
        done = apply(run, plan_file)
    assert done.exit_code == (0 if looks == 2 else 1), done.output
    assert live(server.world) == wanted(plan_file, before)
    assert run("rollback", plan_file.with_suffix(".journal.jsonl"), "--apply", "--yes").exit_code == 0
    assert live(server.world) == before


def test_a_rollback_waits_for_a_load_that_is_at_work(
    tmp_path: Path, run: Run, server: StandInServer, plan_file: Path
) -> None:
    assert apply(run, plan_file).exit_code == 0
    journal = plan_file.with_suffix(".journal.jsonl")
    with only_loader(Path(click.get_app_dir("chat-migrate")), server.world.account_sid):
        refused = run("rollback", journal, "--apply", "--yes")
    assert (refused.exit_code, refused.stdout, posts(server.world)) == (4, "", 5)
    assert "Another process is writing" in refused.stderr


def test_a_plan_whose_write_is_open_is_neither_replaced_nor_written_beside(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        dying(patch, 12)
        assert apply(mortal, plan_file).exit_code == -9
    mapped = plan_file.parent / "run" / "mapped"
    plan_file.rename(plan_file.parent / "run" / "plan.json")
    plan_file.with_suffix(".journal.jsonl").rename(plan_file.parent / "run" / "plan.journal.jsonl")
    saved = plan_file.parent / "run" / "plan.json"
    whole = saved.read_bytes()
    for options in (["--apply", "--yes", *FORCE], ["--plan-out", saved]):
        refused = run("load", mapped, *options)
        assert (refused.exit_code, refused.stderr.count("\n"), saved.read_bytes()) == (4, 1, whole)
        assert f"Resume with: chat-migrate load --plan {saved} --apply" in refused.stderr


def test_after_a_stale_plan_a_new_one_can_be_made_and_applied(
    run: Run, server: StandInServer, plan_file: Path
) -> None:
    server.world.services[service_sid(7)].configuration = {"new_message.sound": "theirs"}
    stale = apply(run, plan_file)
    assert (stale.exit_code, f"--plan-out {plan_file.with_name('plan-2.json')}" in stale.stderr) == (5, True)
    assert run("load", plan_file.parent / "run" / "mapped", "--apply", "--yes", *FORCE).exit_code == 0


def test_an_error_of_any_kind_stops_one_change_alone(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TwilioApi.post

    def post(api: TwilioApi, name: Any, path: str, form: Any) -> Any:
        if service_sid(3) in path:
            raise RefusedError("it leads to another host", remedy="Find out who answers")
        return real(api, name, path, form)

    monkeypatch.setattr(TwilioApi, "post", post)
    done = apply(run, plan_file)
    assert (done.exit_code, posts(server.world)) == (6, 4)
    assert "it leads to another host" in done.stdout


def test_a_rollback_of_another_accounts_journal_is_refused(
    run: Run, server: StandInServer, plan_file: Path, environment: pytest.MonkeyPatch
) -> None:
    assert apply(run, plan_file).exit_code == 0
    journal = plan_file.with_suffix(".journal.jsonl")
    journal.write_text(journal.read_text("utf-8").replace(DEMO_ACCOUNT, "AC" + "8" * 32), "utf-8")
    server.world.account_sid = "AC" + "7" * 32
    environment.setenv("TWILIO_ACCOUNT_SID", server.world.account_sid)
    refused = run("rollback", journal)
    assert (refused.exit_code, refused.stderr.count("\n")) == (4, 1)


def looks(monkeypatch: pytest.MonkeyPatch, *after: Any) -> None:
    """After each write, the looks at what is live give these, one after the other: a status, or `old` for as before."""
    real_get, real_post = TwilioApi.get, TwilioApi.post
    coming: dict[str, list[Any]] = {}

    def post(api: TwilioApi, name: Any, path: str, form: Any) -> Any:
        old = real_get(api, name, path)
        coming[path] = [old if each == "old" else each for each in after]
        return real_post(api, name, path, form)

    def get(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        if not coming.get(path):
            return real_get(api, name, path, *rest, **options)
        found = coming[path].pop(0)
        if isinstance(found, int):
            raise TwilioError(f"answered {found}", status=found, is_twilios=True)
        return found

    monkeypatch.setattr(TwilioApi, "post", post)
    monkeypatch.setattr(TwilioApi, "get", get)


def test_a_service_that_is_not_found_right_after_a_write_is_looked_for_again(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks(monkeypatch, 404)
    assert apply(run, plan_file).exit_code == 0
    assert posts(server.world) == 5


def test_a_look_that_is_refused_makes_no_write_undone(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twilio took it; that it cannot be seen, or not yet, is not to be taken for a refusal of the write."""
    before = live(server.world)
    with monkeypatch.context() as patch:
        looks(patch, 403, "old")
        assert apply(run, plan_file).exit_code == 1
    path = plan_file.with_suffix(".journal.jsonl")
    assert [entry.status for entry in read_journal(path).entries] == [None] * 5
    assert run("rollback", path, "--apply", "--yes").exit_code == 0
    assert live(server.world) == before


def test_a_write_that_is_refused_and_cannot_be_looked_at_stays_open(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []
    real = TwilioApi.get

    def post(api: TwilioApi, name: Any, path: str, form: Any) -> Any:
        refused.append(path)
        raise TwilioError("it answered 400", status=400)

    def get(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        if path in refused:
            raise TwilioError("it answered 403", status=403)
        return real(api, name, path, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(TwilioApi, "post", post)
        patch.setattr(TwilioApi, "get", get)
        told = apply(run, plan_file)
    assert (told.exit_code, len(refused)) == (1, 5)
    assert (told.stdout.count("it answered 400"), told.stdout.count("it answered 403")) == (5, 0)
    assert [entry.status for entry in read_journal(plan_file.with_suffix(".journal.jsonl")).entries] == [None] * 5
    assert apply(run, plan_file).exit_code == 0


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


def test_whoever_interrupts_it_before_anything_is_written_is_told_how_to_go_on(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TwilioApi, "get", get)
        mapped, tape = plan_file.parent / "run" / "mapped", plan_file.with_name("c.yaml")
        left = run("load", mapped, "--apply", "--yes", *FORCE, "--record", tape)
    assert (left.exit_code, left.stderr.count("\n"), server.world.writes) == (130, 1, [])
    (command,) = re.findall(r"Interrupted. Nothing was written. Resume with: chat-migrate (.*)", left.stderr)
    assert run(*shlex.split(command)).exit_code == 0


@pytest.mark.parametrize(
    ("allowed", "code", "told"), [(9, 1, "All of the plan is applied"), (3, 6, "2 of 5 services")]
)
def test_a_result_that_cannot_be_shown_does_not_hide_what_was_done(
    run: Run,
    server: StandInServer,
    plan_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    allowed: int,
    code: int,
    told: str,
) -> None:
    def result(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    real, count = TwilioApi.post, 0

    def post(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count > allowed:
            raise TwilioError("it answered 400", status=400)
        return real(*arguments)

    monkeypatch.setattr(Screen, "result", result)
    monkeypatch.setattr(TwilioApi, "post", post)
    done = apply(run, plan_file)
    assert (done.exit_code, said(done).count("\n")) == (code, 1)
    assert told in done.stderr
    assert str(plan_file.with_suffix(".journal.jsonl")) in done.stderr


def test_a_disk_that_is_full_at_the_last_line_changes_nothing_of_what_is_told(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SyncedLog.append

    def full(log: SyncedLog, line: dict[str, Any]) -> None:
        if "finished" in line:
            raise OSError(28, "No space left on device")
        real(log, line)

    with monkeypatch.context() as patch:
        patch.setattr(SyncedLog, "append", full)
        done = apply(run, plan_file)
    assert (done.exit_code, said(done)) == (0, "")
    assert "Done: 5 applied" in done.stdout
    assert apply(run, plan_file).exit_code == 0
    assert posts(server.world) == 5


def test_a_rollback_that_is_interrupted_twice_counts_what_it_has_to_do(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert apply(run, plan_file).exit_code == 0
    path, real, count = plan_file.with_suffix(".journal.jsonl"), TwilioApi.post, 0

    def post(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count > 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(TwilioApi, "post", post)
    first, second = (run("rollback", path, "--apply", "--yes") for _ in range(2))
    assert "Interrupted: 3 of 5 services are written" in first.stderr
    assert "Interrupted: 0 of 2 services are written" in second.stderr


def test_what_helps_a_rollback_is_a_rollback(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert apply(run, plan_file).exit_code == 0
    path, real = plan_file.with_suffix(".journal.jsonl"), TwilioApi.get
    refused = run("rollback", path, "--apply", "--yes", "--max-services", "1")
    assert (refused.exit_code, "plan" in refused.stderr) == (4, False)
    count = 0

    def get(api: TwilioApi, name: Any, place: str, *rest: Any, **options: Any) -> Any:
        nonlocal count
        if service_sid(1) in place:
            count += 1
            if count == 2:  # between its plan and its write
                server.world.services[service_sid(1)].configuration = {"new_message.sound": "theirs"}
        return real(api, name, place, *rest, **options)

    monkeypatch.setattr(TwilioApi, "get", get)
    stale = run("rollback", path, "--apply", "--yes")
    assert (stale.exit_code, "load MAPPED" in stale.stderr) == (5, False)
    assert f"Look at what is left with: chat-migrate rollback {path}" in stale.stderr


def test_a_service_that_goes_with_the_write_is_told_and_may_still_be_undone(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = live(server.world)
    with monkeypatch.context() as patch:
        looks(patch, 404, 404, 404, 404)
        gone = apply(run, plan_file)
    assert (gone.exit_code, gone.stdout.count("there is no such service in Conversations any more")) == (1, 5)
    path = plan_file.with_suffix(".journal.jsonl")
    assert {entry.status for entry in read_journal(path).entries} == {"failed"}
    assert run("rollback", path, "--apply", "--yes").exit_code == 0  # it was there after all
    assert live(server.world) == before
