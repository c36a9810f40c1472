"""A rollback undoes what a journal says, and nothing that is somebody else's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from migrate.load.account_lock import only_loader
from migrate.load.journal import read_journal
from migrate.model.errors import TransientTwilioError
from migrate.standin.server import StandInServer
from migrate.twilio_api.client import TwilioApi
from tests.applying import apply, dying, live, mortal, posts
from tests.conftest import DEMO_ACCOUNT, Run, said, service_sid


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


def test_a_rollback_waits_for_a_load_that_is_at_work(
    tmp_path: Path, run: Run, server: StandInServer, plan_file: Path
) -> None:
    assert apply(run, plan_file).exit_code == 0
    journal = plan_file.with_suffix(".journal.jsonl")
    with only_loader(Path(click.get_app_dir("chat-migrate")), server.world.account_sid):
        refused = run("rollback", journal, "--apply", "--yes")
    assert (refused.exit_code, refused.stdout, posts(server.world)) == (4, "", 5)
    assert "Another process is writing" in refused.stderr


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
