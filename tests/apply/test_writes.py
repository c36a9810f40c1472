"""A plan is written, journalled and read back; what somebody else has set is left alone."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from migrate.load.journal import Entry, read_journal
from migrate.model.errors import TwilioError
from migrate.standin.server import StandInServer
from migrate.twilio_api.client import TwilioApi
from tests.applying import FORCE, apply, codes, live, posts, wanted
from tests.conftest import Run, said, service_sid


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


def test_no_identity_and_no_secret_is_in_a_journal(run: Run, server: StandInServer, plan_file: Path) -> None:
    result = apply(run, plan_file)
    text = plan_file.with_suffix(".journal.jsonl").read_text("utf-8") + result.output + plan_file.read_text("utf-8")
    assert server.world.auth_token not in text
    for service in server.world.services.values():
        for item in service.bindings:
            assert item.identity is None or item.identity not in text


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


def test_half_a_letter_is_no_obstacle(tmp_path: Path, run: Run, server: StandInServer, plan_file: Path) -> None:
    server.world.services[service_sid(2)].configuration = {"removed_from_conversation.sound": "a\ud83d"}
    assert run("load", tmp_path / "run" / "mapped", "--plan-out", plan_file, *FORCE).exit_code == 0
    assert apply(run, plan_file).exit_code == 0
    assert run("rollback", plan_file.with_suffix(".journal.jsonl")).exit_code == 0


def test_after_a_stale_plan_a_new_one_can_be_made_and_applied(
    run: Run, server: StandInServer, plan_file: Path
) -> None:
    server.world.services[service_sid(7)].configuration = {"new_message.sound": "theirs"}
    stale = apply(run, plan_file)
    assert (stale.exit_code, f"--plan-out {plan_file.with_name('plan-2.json')}" in stale.stderr) == (5, True)
    assert run("load", plan_file.parent / "run" / "mapped", "--apply", "--yes", *FORCE).exit_code == 0
