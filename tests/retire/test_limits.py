"""What refuses a retirement, and what no --force lifts."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from migrate.cli.app import cli
from migrate.load.account_lock import only_loader
from migrate.model.errors import TransientTwilioError, TwilioError
from migrate.retire.limits import LIMITS
from migrate.standin.server import StandInServer
from migrate.standin.world import World
from migrate.twilio_api.client import TwilioApi
from tests.conftest import ROOT, Run, Serve, service_sid
from tests.retire.conftest import PHONE, SERVICE, content, journal_of, one, retire, several, told

SILENT: list[Any] = [
    {}, None, [], "none", 7, {"new_message": {}}, {"new_message": None}, {"new_message": []}, {"new_message": "on"},
    {"new_message": {"enabled": "true"}}, {"new_message": {"enabled": "false"}}, {"new_message": {"enabled": None}},
    {"new_message": {"enabled": 0}}, {"new_message": {"enabled": []}}, {"added_to_channel": {"enabled": True}},
]  # fmt: skip


def test_a_chat_that_does_not_say_is_not_taken_to_push_nothing(tmp_path: Path, run: Run, serve: Serve) -> None:
    server = serve(several(*(one({}, {}, conversations={}, notifications=said) for said in SILENT)))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    refused = retire(run, tmp_path / "s")
    assert (refused.exit_code, server.world.writes) == (4, [])
    assert "does not push new_message, new_message.with_media" in refused.stderr.splitlines()[-1]
    for service in server.world.services.values():
        service.configuration = {"new_message.enabled": True, "new_message.with_media.enabled": True}
    done = retire(run, tmp_path / "s")
    assert (done.exit_code, len(server.world.writes)) == (0, len(SILENT)), done.output


def test_pushes_must_be_on_in_conversations_and_no_force_lifts_that(tmp_path: Path, run: Run, serve: Serve) -> None:
    content = one({}, {}, conversations={"added_to_conversation": {"enabled": True}})
    content["services"] *= 2
    server = serve(content)
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    every = [item for name in LIMITS for item in ("--force", name)]
    refused = retire(run, tmp_path / "s", *every, "--min-ready", 0)
    assert (refused.exit_code, server.world.writes) == (4, [])
    assert (
        f"[pushes-off] Conversations does not push new_message, new_message.with_media of {SERVICE}" in refused.stderr
    )
    assert f"new_message, new_message.with_media of {service_sid(2)}, as Chat does" in refused.stderr
    assert "decide its proposals (state them in push-config.yaml, trust them under [inference]" in refused.stderr
    assert "load them with --force inferred): chat-migrate load MAPPED" in refused.stderr
    assert retire(run, tmp_path / "s", "--force", "pushes-off").exit_code == 2
    server.world.services[SERVICE].configuration = {
        "new_message.enabled": True,
        "new_message.with_media.enabled": True,
    }
    done = retire(run, tmp_path / "s", "--json")  # what is left of the other is told, and no error
    assert (done.exit_code, told(done)) == (0, {"deleted": 1})
    assert json.loads(done.stdout)["services"][1]["needed_because"] == {"push-off": 1}
    again = retire(run, tmp_path / "s")  # the same command resumes, and there is nothing left that it could do
    assert (again.exit_code, len(server.world.writes)) == (0, 1), again.output
    assert "is off in Conversations: load first, and decide its proposals" in again.stdout
    other = retire(run, tmp_path / "s", "--service", service_sid(2))
    assert (other.exit_code, "[pushes-off]" in other.stderr) == (4, True)


def test_live_records_that_do_not_fit_are_told_and_so_is_the_file_that_holds_them(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    serve(several(one({}, {}, {"extra": {"identity": 5}}), one({}, {})))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    shown = run("retire", tmp_path / "s", "--coverage", tmp_path / "coverage")
    row = f"1 live record that do not fit, and count for nothing: {SERVICE} (1)"
    assert row in shown.stdout, shown.output
    assert not list(tmp_path.rglob("*.rejected.jsonl"))
    in_json = json.loads(run("retire", tmp_path / "s", "--coverage", tmp_path / "coverage", "--json").stdout)
    assert [service["rejected"] for service in in_json["services"]] == [1, 0]
    alone = run("retire", tmp_path / "s", "--coverage", tmp_path / "coverage", "--service", service_sid(2))
    assert "do not fit" not in alone.stdout
    done = retire(run, tmp_path / "s", "--service", service_sid(2))
    (file,) = tmp_path.rglob("*.rejected.jsonl")
    assert done.exit_code == 0, done.output
    assert f"{file} (it holds identities" in done.stdout
    assert json.loads(retire(run, tmp_path / "s", "--json").stdout)["rejected_file"].endswith(".rejected.jsonl")


@pytest.mark.parametrize(
    ("bindings", "said"),
    [
        (
            [{"count": 2, **PHONE, "age_days": 500}],
            f"All bindings of {SERVICE} had expired when the snapshot was made",
        ),
        ([], f"The snapshot has no binding of {SERVICE}"),
    ],
)
def test_a_service_with_nothing_to_wait_for_is_not_taken_for_the_snapshot(
    tmp_path: Path, run: Run, serve: Serve, bindings: list[dict[str, Any]], said: str
) -> None:
    serve(several(content(bindings=bindings), one({}, {})))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    refused = retire(run, tmp_path / "s", "--service", SERVICE)
    assert (refused.exit_code, "bindings of the snapshot" in refused.stderr) == (4, False)
    assert said in refused.stderr
    assert "--service" in refused.stderr.split(said)[1]


def test_no_limit_that_can_be_lifted_lifts_the_rule(tmp_path: Path, run: Run, serve: Serve) -> None:
    """Whatever is forced, and whatever rules are given, what is not shown to be replaced is left alone."""
    groups: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"age_days": 0.5}, {}), ({"message_types": [None]}, {}), ({"message_types": [["reaction_added"]]}, {}),
        ({}, {"age_days": None}), ({}, {"age_days": 800}), ({}, {"binding_type": "gcm"}), ({}, {"endpoint": "other"}),
        ({}, {"message_types": [["new_message"]]}), ({}, {"message_types": [["acme.new_message"]]}),
        ({"message_types": [["acme.shout"]]}, {}),
    ]  # fmt: skip
    content = one({}, {})
    content["services"] = [{**content["services"][0], **one(*pair)["services"][0]} for pair in groups]
    server = serve(content)
    rules = tmp_path / "rules.toml"
    rules.write_text(
        '[message_type_names]\nconversations_prefixes = ["twilio.conversations.", "acme."]\n'
        'chat_prefixes = ["twilio.channel."]\nignored = ["reaction_added", "shout"]\n[limits]\nlifetime_days = 9000\n'
    )
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    every = [item for name in LIMITS for item in ("--force", name)]
    done = retire(run, tmp_path / "s", *every, "--min-ready", 0, "--rules", rules)
    assert (done.exit_code, server.world.writes) == (0, []), done.output


def test_a_chat_that_is_switched_off_says_nothing_of_bindings(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    """It may answer 404 to everything, and the bindings are there all the same: begun or not, none is gone by that."""
    real = TwilioApi.get

    def lost(api: TwilioApi, name: Any, path: str) -> None:
        raise TransientTwilioError("it is away")

    def off(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        if name == "chat":
            raise TwilioError("it answered 404", status=404, code=20404)
        return real(api, name, path, *rest, **options)

    with environment.context() as patch:
        patch.setattr(TwilioApi, "delete", lost)
        assert retire(run, snapshot, "--retry-budget", 0, "--concurrency", 1).exit_code == 1
    before = journal_of(snapshot).read_bytes()
    assert before.count(b"intent") == 4
    with environment.context() as patch:
        patch.setattr(TwilioApi, "get", off)
        stopped = retire(run, snapshot)
    assert stopped.exit_code == 0
    assert "Chat does not show their service: it is switched off" in " ".join(stopped.stdout.split())
    assert (journal_of(snapshot).read_bytes(), server.world.writes) == (before, [])
    assert retire(run, snapshot).exit_code == 0
    assert len(server.world.writes) == 4


@pytest.mark.parametrize("status", [403, 410])
def test_where_chat_is_switched_off_nothing_is_to_be_deleted(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch, status: int
) -> None:
    real = TwilioApi.get

    def off(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        if name == "chat":
            raise TwilioError(f"it answered {status}", status=status)
        return real(api, name, path, *rest, **options)

    environment.setattr(TwilioApi, "get", off)
    shown = run("retire", snapshot, "--coverage", snapshot.with_name("c"), "--json")
    assert (shown.exit_code, json.loads(shown.stdout)["deletions"]) == (0, 0), shown.output
    assert json.loads(shown.stdout)["services"][0]["needed_because"] == {"no-service": 5}


def test_one_at_a_time_for_an_account_and_a_dead_ones_lock_is_told(
    tmp_path: Path, run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    state = Path(click.get_app_dir("chat-migrate"))
    with only_loader(state, server.world.account_sid):
        second = retire(run, snapshot)
    assert (second.exit_code, second.stderr.count("\n"), server.world.writes) == (4, 1, [])
    left = json.dumps({"process": 1, "host": "elsewhere", "since": "2026-06-15T08:00:00+00:00"})
    (state / f"{server.world.account_sid}.lock").write_text(left)
    done = retire(run, snapshot)
    assert (done.exit_code, "process 1 on elsewhere" in done.stderr) == (0, True)


def test_all_limits_that_do_not_hold_are_listed_at_once(run: Run, serve: Serve, world: World, snapshot: Path) -> None:
    world.now += timedelta(days=31)
    refused = retire(run, snapshot, "--max-bindings", 3, force=False)
    assert (refused.exit_code, world.writes) == (4, [])
    assert refused.stderr.count("\n") == 1
    for name in ("few-ready", "many-bindings", "old-snapshot"):
        assert f"[{name}]" in refused.stderr
    assert f"of {SERVICE} (71.4 %)" in refused.stderr
    some = retire(run, snapshot, "--max-bindings", 3, "--force", "old-snapshot")
    assert (some.exit_code, "[many-bindings]" in some.stderr, "[old-" in some.stderr) == (4, True, False)
    assert retire(run, snapshot, "--force", "old-snapshot", "--min-ready", 71, force=False).exit_code == 0


def test_many_services_that_are_not_ready_are_not_all_listed(tmp_path: Path, run: Run, serve: Serve) -> None:
    many = content()
    many["services"] *= 7
    serve(many)
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    refused = retire(run, tmp_path / "s", force=False)
    assert (refused.exit_code, "and 2 more; wait for them" in refused.stderr) == (4, True)


def test_it_asks_for_the_number_first(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    command = ["retire", str(snapshot), "--coverage", str(snapshot.parent / "c"), "--apply", "--force", "few-ready"]
    silent = run(*command)
    assert (silent.exit_code, "Pass --yes" in silent.stderr) == (4, True)
    environment.setattr("migrate.cli.commands.applying._is_terminal", lambda: True)
    wrong = CliRunner().invoke(cli, command, input="5\n")
    assert (wrong.exit_code, server.world.writes) == (4, [])
    assert "bindings that are to be deleted for good (4)" in wrong.stderr
    assert CliRunner().invoke(cli, command, input="4\n").exit_code == 0
    assert len(server.world.writes) == 4


def test_a_recording_is_not_written_to(run: Run, snapshot: Path) -> None:
    assert retire(run, snapshot, "--replay", snapshot.with_name("c.yaml")).exit_code == 2


def test_every_limit_is_documented() -> None:
    page = (ROOT / "docs" / "afterwards.md").read_text("utf-8")
    assert all(f"| `{name}` |" in page for name in LIMITS)
