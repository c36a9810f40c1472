"""No command takes the SID in the environment for the account of the key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from migrate.model.errors import OtherAccountError, RefusedError
from migrate.snapshot.manifest import read_manifest
from migrate.standin.server import StandInServer
from migrate.standin.world import World
from migrate.twilio_api.connect import ApiSettings, open_api
from migrate.twilio_api.proof import prove_account
from tests.accounts.conftest import KEY, OURS, SECRET, SERVICE, THEIRS, by_key, world_of
from tests.applying import FORCE
from tests.conftest import CASSETTE, Run, Serve, said, service_sid, tiny_world
from tests.scripted import Reply, Scripted, scripted


@pytest.fixture
def theirs(serve: Serve, environment: pytest.MonkeyPatch) -> StandInServer:
    """The account that the key belongs to, which is not the one in TWILIO_ACCOUNT_SID."""
    server = serve(world_of(THEIRS))
    by_key(environment)
    return server


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 4, result.output
    assert said(result).count("\n") == 1
    for word in (OURS, THEIRS, f"set TWILIO_ACCOUNT_SID to {THEIRS}", *words):
        assert word in result.stderr
    assert SECRET not in result.output


def test_doctor_does_not_take_the_sid_for_the_keys_account(run: Run, theirs: StandInServer) -> None:
    result = run("doctor", "--json")
    checks = json.loads(result.stdout)["checks"]
    assert result.exit_code == 1
    assert [check["name"] for check in checks if check["verdict"] == "wrong"] == ["account"]
    assert OURS in checks[-1]["found"]
    assert THEIRS in checks[-1]["found"]
    assert THEIRS in checks[-1]["remedy"]
    assert "nothing is wrong" not in run("doctor").stdout


@pytest.mark.parametrize("source", ["auto", "chat", "conversations"])
@pytest.mark.parametrize("command", ["extract", "run"])
def test_a_snapshot_is_not_labelled_with_an_account_that_it_is_not_of(
    tmp_path: Path, run: Run, theirs: StandInServer, source: str, command: str
) -> None:
    refused(run(command, "--out", tmp_path / "s", "--source", source))
    assert [path for path in tmp_path.glob("s/**/*") if path.is_file()] == []


def test_it_is_seen_from_bindings_alone_and_nothing_of_them_is_kept(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    """Services, credentials and settings say nothing; one of many chains does, where nothing else was wrong before."""

    def answer(server: Scripted, path: str) -> Reply:
        if "/Services?" in path:
            return server.page("services", [{"sid": service_sid(n), "account_sid": None} for n in range(1, 9)])
        if "/Credentials?" in path:
            return server.page("credentials", [])
        if "/Bindings?" not in path:
            return Reply({"code": 20404}, 404)
        whose = {"account_sid": THEIRS} if service_sid(8) in path else {}
        return server.page("bindings", [{"sid": "BS" + "1" * 32, "identity": "a", **whose}])

    by_key(environment)
    with scripted(answer) as server:
        urls = ["--chat-url", server.url, "--conversations-url", server.url]
        for way in (["--no-shard"], [], ["--source", "conversations"]):
            refused(
                run("extract", "--out", tmp_path / "s", *urls, *way), f"Nothing of it is kept in {tmp_path / 's'}"
            )
            assert list((tmp_path / "s").iterdir()) == []


@pytest.mark.parametrize("odd", [{}, {"unknown_field": 1}], ids=["columns", "record by record"])
def test_one_foreign_binding_among_ours_is_seen_in_either_way_of_reading(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, odd: dict[str, Any]
) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        if path.startswith("/v2/Services?"):
            return server.page("services", [{"sid": SERVICE, "account_sid": OURS}])
        records = [{"sid": f"BS{n:032d}", "account_sid": OURS, **odd} for n in range(5)]
        records[3]["account_sid"] = THEIRS
        return server.page("bindings", records) if "/Bindings" in path else server.page("credentials", [])

    by_key(environment)
    with scripted(answer) as server:
        urls = ["--chat-url", server.url, "--conversations-url", server.url]
        refused(run("extract", "--out", tmp_path / "s", *urls))


def test_an_extract_that_is_resumed_with_another_accounts_key_keeps_what_it_had_and_nothing_else(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    server = serve(world_of(OURS))
    by_key(environment)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("migrate.extract.extraction._Extract._walk", interrupt)
        assert run("extract", "--out", tmp_path / "s").exit_code == 130
    kept = {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()}
    server.world.account_sid = THEIRS
    refused(run("extract", "--out", tmp_path / "s"))
    assert kept == {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()}
    server.world.account_sid = OURS
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    assert read_manifest(tmp_path / "s").account_sid == OURS


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_load_does_not_write_to_the_keys_account(tmp_path: Path, run: Run, mapped: StandInServer) -> None:
    for what in ([tmp_path / "o" / "mapped"], ["--plan", tmp_path / "plan.json"]):
        refused(run("load", *what))
        refused(run("load", *what, "--apply", "--yes", *FORCE))
        refused(run("load", *what, "--apply", "--yes", *FORCE, "--force", "other-account"))
    assert mapped.world.writes == []


def test_a_rollback_does_not_write_there_either(tmp_path: Path, run: Run, mapped: StandInServer) -> None:
    mapped.world.account_sid = OURS
    applied = run("load", "--plan", tmp_path / "plan.json", "--apply", "--yes", *FORCE)
    assert applied.exit_code == 0, applied.output
    mapped.world.account_sid = THEIRS
    writes = list(mapped.world.writes)
    for options in ([], ["--apply", "--yes"]):
        refused(run("rollback", tmp_path / "plan.journal.jsonl", *options))
    assert mapped.world.writes == writes


def test_verify_does_not_count_another_accounts_devices(tmp_path: Path, run: Run, mapped: StandInServer) -> None:
    refused(run("verify", tmp_path / "o" / "snapshot", "--coverage", tmp_path / "c"))
    assert not [path for path in tmp_path.glob("c/**/*") if path.is_file()]


def test_retire_deletes_nothing_in_the_keys_account(tmp_path: Path, run: Run, mapped: StandInServer) -> None:
    for options in ([], ["--apply", "--yes", "--force", "few-ready"]):
        refused(run("retire", tmp_path / "o" / "snapshot", "--coverage", tmp_path / "c", *options))
    assert mapped.world.writes == []


def test_an_answer_of_another_account_in_the_midst_of_deletes_ends_all_of_them(
    tmp_path: Path, run: Run, mapped: StandInServer
) -> None:
    mapped.world.account_sid = OURS
    real = mapped.world.shown_account

    class Turning(World):
        """From the second delete on its answers are another account's."""

        @property
        def shown_account(self) -> str | None:
            return real if len(self.writes) < 1 else THEIRS

    mapped.world.__class__ = Turning
    snapshot = tmp_path / "o" / "snapshot"
    options = ["--coverage", tmp_path / "c", "--apply", "--yes", "--force", "few-ready", "--concurrency", 1]
    refused(run("retire", snapshot, *options), "What was deleted is in")
    assert len(mapped.world.writes) == 1


def test_and_in_the_midst_of_writes_it_is_no_failure_of_one_of_them(
    tmp_path: Path, run: Run, serve: Serve, demo_world: World, environment: pytest.MonkeyPatch
) -> None:
    class Turning(World):
        @property
        def shown_account(self) -> str | None:
            return THEIRS if self.writes else OURS

    demo_world.account_sid, demo_world.api_keys = OURS, {KEY: SECRET}
    server = serve(demo_world)
    by_key(environment)
    assert run("run", "--out", tmp_path / "o").exit_code == 0
    demo_world.__class__ = Turning
    plan = tmp_path / "plan.json"
    assert run("load", tmp_path / "o" / "mapped", "--plan-out", plan).exit_code == 0
    journal = tmp_path / "plan.inferred.journal.jsonl"  # of the plan with its proposals
    refused(run("load", "--plan", plan, "--apply", "--yes", *FORCE), f"The journal is {journal}")
    assert len(server.world.writes) == 1  # whose answer said so: the second was not begun


@pytest.fixture
def silent(serve: Serve, environment: pytest.MonkeyPatch) -> StandInServer:
    """An account that shows nowhere whose it is."""
    server = serve(world_of(OURS, shows_account=False))
    by_key(environment)
    return server


def test_where_nothing_says_whose_account_it_is_that_is_said_and_nothing_is_deleted(
    tmp_path: Path, run: Run, silent: StandInServer, environment: pytest.MonkeyPatch
) -> None:
    warning = f"no answer of Twilio's says that it is of account {OURS}"
    done = run("run", "--out", tmp_path / "o")
    assert (done.exit_code, warning in done.stderr) == (0, True)
    snapshot = tmp_path / "o" / "snapshot"
    assert warning in run("extract", "--out", tmp_path / "s").stderr
    assert warning in run("verify", snapshot, "--coverage", tmp_path / "c").stderr
    applied = run("load", tmp_path / "o" / "mapped", "--apply", "--yes", *FORCE)
    assert (applied.exit_code, warning in applied.stderr) == (0, True)
    silent.world.writes.clear()
    options = ["--coverage", tmp_path / "c", "--apply", "--yes", "--force", "few-ready", "--force", "other-address"]
    kept = run("retire", snapshot, *options)
    assert (kept.exit_code, "[other-account]" in kept.stderr, silent.world.writes) == (4, True, [])
    assert "No --force lifts other-account" in kept.stderr
    (last,) = (check for check in json.loads(run("doctor", "--json").stdout)["checks"] if check["name"] == "account")
    assert (last["verdict"], "TWILIO_AUTH_TOKEN" in last["remedy"]) == ("unknown", True)
    # The auth token is the account's own.
    environment.delenv("TWILIO_API_KEY")
    environment.delenv("TWILIO_API_SECRET")
    environment.setenv("TWILIO_AUTH_TOKEN", silent.world.auth_token)
    gone = run("retire", snapshot, *options)
    assert (gone.exit_code, warning in gone.stderr, len(silent.world.writes)) == (0, False, 4), gone.output


def test_nothing_is_deleted_whoever_asks_before_an_answer_says_whose_account_it_is(silent: StandInServer) -> None:
    environment = {"TWILIO_ACCOUNT_SID": OURS, "TWILIO_API_KEY": KEY, "TWILIO_API_SECRET": SECRET}
    binding = silent.world.services[SERVICE].bindings[0]
    with open_api(ApiSettings(silent.url, silent.url, environment=environment)) as api:
        with pytest.raises(RefusedError, match="may be another account's"):
            api.delete("chat", f"/Services/{SERVICE}/Bindings/{binding.sid}")
        assert silent.world.requests == 0


@pytest.mark.parametrize("place", ["/v1/Credentials", "/Configuration/Notifications", "/Bindings", ""])
def test_the_proof_is_looked_for_where_it_is(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, place: str
) -> None:
    """Before the first write, of whatever says it; a 403, a 404 and an empty list say nothing."""
    whose = {"account_sid": OURS if place else None}

    def answer(server: Scripted, path: str) -> Reply:
        if place and place not in path and "/Services?" not in path:
            return Reply({"code": 20404, "message": "no"}, 403 if "Notifications" in path else 404)
        if "/Services?" in path:
            return server.page("services", [{"sid": SERVICE, "account_sid": None}])
        if path.endswith("Notifications"):
            return Reply({**whose, "new_message": {"enabled": True}})
        key = "credentials" if "Credentials" in path else "bindings"
        return server.page(key, [{"sid": "CR" + "1" * 32, **whose}] if place else [])

    by_key(environment)
    with scripted(answer) as server, open_api(ApiSettings(server.url, server.url)) as api:
        proven = prove_account(api)
        assert proven == api.is_account_proven == bool(place)
        asked = len(server.seen)
        assert prove_account(api) == bool(place)
        assert len(server.seen) == asked if place else len(server.seen) > asked  # once is enough


@pytest.mark.parametrize(
    "said_by", [None, "", "AC1", 5, ["x"], {"a": 1}, "SK" + "2" * 32, THEIRS.lower(), OURS, "AC" + "1" * 31 + "²"]
)
def test_what_names_no_account_is_no_evidence_against_it(environment: pytest.MonkeyPatch, said_by: Any) -> None:
    by_key(environment)
    with (
        scripted(lambda server, path: Reply({"sid": SERVICE, "account_sid": said_by})) as server,
        open_api(ApiSettings(server.url, server.url)) as api,
    ):
        assert api.get("chat", f"/Services/{SERVICE}")["sid"] == SERVICE
        assert api.is_account_proven == (said_by == OURS)


def test_the_same_account_in_digits_of_the_other_case_is_the_same(environment: pytest.MonkeyPatch) -> None:
    by_key(environment)
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "ab" * 16)
    with (
        scripted(lambda server, path: Reply({"account_sid": "AC" + "AB" * 16})) as server,
        open_api(ApiSettings(server.url, server.url)) as api,
    ):
        api.get("chat", "/Services/x")
        assert api.is_account_proven


def test_an_answer_to_the_auth_token_that_is_of_another_account_is_refused_too(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    class Odd(World):
        @property
        def shown_account(self) -> str | None:
            return THEIRS

    server = serve(tiny_world())
    server.world.__class__ = Odd
    result = run("extract", "--out", tmp_path / "s")
    assert (result.exit_code, OURS in result.stderr, THEIRS in result.stderr) == (4, True, True)
    assert "TWILIO_API_KEY" not in result.stderr


def test_once_it_is_contradicted_every_thread_is_told_that_and_not_that_it_was_interrupted(
    environment: pytest.MonkeyPatch,
) -> None:
    by_key(environment)
    with (
        scripted(lambda server, path: Reply({"account_sid": THEIRS})) as server,
        open_api(ApiSettings(server.url, server.url)) as api,
    ):
        asks: list[Callable[[], object]] = [
            lambda: api.get("chat", "/Services/x"),
            lambda: api.post("conversations", "/Services/x", {"a": "b"}),
            lambda: api.retry(lambda: api.get("chat", "/Services/x")),
        ]
        for ask in asks:
            with pytest.raises(OtherAccountError):
                ask()
        assert len(server.seen) == 1


def test_a_recording_is_of_one_account_and_which_it_is_does_not_matter(tmp_path: Path, run: Run) -> None:
    text = CASSETTE.read_text("utf-8")
    (tmp_path / "one.yaml").write_text(text.replace("AC" + "0" * 32, THEIRS), "utf-8")
    assert run("extract", "--replay", tmp_path / "one.yaml", "--out", tmp_path / "one").exit_code == 0
    (tmp_path / "two.yaml").write_text(text.replace("AC" + "0" * 32, THEIRS, 3), "utf-8")
    mixed = run("extract", "--replay", tmp_path / "two.yaml", "--out", tmp_path / "two")
    assert (mixed.exit_code, "answers of two accounts" in mixed.stderr, THEIRS in mixed.stderr) == (4, True, True)
