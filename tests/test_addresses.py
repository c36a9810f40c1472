"""Where it is: one snapshot is of one server, and what one server says is no evidence of what another has."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from migrate.model.address import is_on_this_machine, is_same_api, is_twilios, other_address
from migrate.retire.limits import LIMITS
from migrate.snapshot.manifest import read_manifest
from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from migrate.twilio_api.addresses import Addresses
from migrate.twilio_api.transports.live import LiveTransport
from tests.applying import FORCE
from tests.conftest import CASSETTE, Run, Serve, said, tiny_world
from tests.retire.conftest import content

TWILIO, TWILIOS = "https://chat.twilio.com", "https://conversations.twilio.com"


@pytest.fixture(autouse=True)
def _state(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))


@pytest.fixture
def offline(environment: pytest.MonkeyPatch) -> None:
    """Nothing may be asked."""

    def send(*_: Any) -> Any:
        raise AssertionError("something was asked")

    environment.setattr(LiveTransport, "send", send)


def interrupted(run: Run, folder: Path, *options: object) -> None:
    """An extract that stops once its services are stored."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("migrate.extract.extraction._Extract._walk", stop)
        assert run("extract", "--out", folder, *options).exit_code == 130


def told(result: Result, *words: str) -> None:
    assert (result.exit_code, said(result).count("\n")) == (4, 1), result.output
    for word in words:
        assert word in result.stderr


# --- which addresses are the same -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (TWILIO, "https://chat.dublin.ie1.twilio.com", True),
        (TWILIO, "https://ip-messaging.twilio.com", True),
        ("https://ip-messaging.ie1.twilio.com", "https://CHAT.twilio.com.:443", True),
        (TWILIO, TWILIOS, False),
        (TWILIO, "https://chat.twilio.com.evil.test", False),
        (TWILIO, "https://twilio.com", False),
        ("http://127.0.0.1:80", "http://127.0.0.1", True),
        ("https://gateway.test", "https://GATEWAY.test:443", True),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8081", False),
        ("http://127.0.0.1:8080", "http://localhost:8080", False),
        ("http://gateway.test", "https://gateway.test", False),
        ("cassette:1", "cassette:2", False),
        ("cassette:1", "cassette:1", True),
        ("http://[x", "http://[x", True),
        ("http://x:99999", "http://x:99998", False),
        ("", "x", False),
    ],
)
def test_two_addresses_are_of_one_api_or_they_are_not(one: str, other: str, same: bool) -> None:
    assert is_same_api(one, other) == is_same_api(other, one) == same


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_a_file_says_can_be_compared(one: str, other: str) -> None:
    assert is_same_api(one, one)
    assert is_same_api(one, other) == is_same_api(other, one)
    assert is_twilios(f"http://[{one}") is False
    assert other_address({"chat": one}, {}) == other_address({}, {"chat": one}) == ""
    assert (other_address({"chat": one}, {"chat": other}) == "") == is_same_api(one, other)


@pytest.mark.parametrize(
    ("chat", "conversations", "is_mixture"),
    [
        (TWILIO, TWILIOS, False),
        ("https://chat.dublin.ie1.twilio.com", TWILIOS, False),
        ("http://127.0.0.1:1", "http://127.0.0.1:2", False),
        (TWILIO, "http://127.0.0.1:8080", True),
        ("http://127.0.0.1:8080", TWILIOS, True),
        ("https://chat.twilio.com.evil.test", TWILIOS, True),
    ],
)
def test_a_mixture_is_one_side_that_is_twilios_and_one_that_is_not(
    chat: str, conversations: str, is_mixture: bool
) -> None:
    found = Addresses(chat, conversations)
    assert bool(found.mixture) == is_mixture
    for address in (chat, conversations) if is_mixture else ():
        assert address in found.mixture


# --- the belief that an extract is resumed where it was begun -----------------------------------------------


@pytest.mark.parametrize("side", ["chat", "conversations"])
def test_an_extract_is_not_resumed_at_another_server(tmp_path: Path, run: Run, serve: Serve, side: str) -> None:
    first = serve(tiny_world())
    interrupted(run, tmp_path / "s")
    before = (tmp_path / "s" / "services.parquet").read_bytes()
    second = serve(tiny_world(name="Another"))
    urls = {"chat": first.url, "conversations": first.url, side: second.url}
    options = [word for api, url in urls.items() for word in (f"--{api}-url", url)]
    former = f"--{side}-url {first.url}"
    told(run("extract", "--out", tmp_path / "s", *options), first.url, second.url, former, "--restart")
    assert second.world.requests == 0
    assert (tmp_path / "s" / "services.parquet").read_bytes() == before
    done = run("extract", "--out", tmp_path / "s", *options, "--restart")
    assert done.exit_code == 0, done.output
    assert read_manifest(tmp_path / "s").addresses == urls


def test_it_is_resumed_by_another_name_of_the_same_address(tmp_path: Path, run: Run, serve: Serve) -> None:
    server = serve(tiny_world())
    interrupted(run, tmp_path / "s")
    manifest = tmp_path / "s" / "manifest.json"
    manifest.write_text(manifest.read_text("utf-8").replace(server.url, server.url.upper()), "utf-8")
    assert run("extract", "--out", tmp_path / "s").exit_code == 0


def test_one_that_an_earlier_version_began_does_not_say_where_and_is_not_resumed(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    serve(tiny_world())
    interrupted(run, tmp_path / "s")
    without_addresses(tmp_path / "s")
    told(run("extract", "--out", tmp_path / "s"), "by an earlier version", "--restart")
    assert run("extract", "--out", tmp_path / "s", "--restart").exit_code == 0


def without_addresses(snapshot: Path) -> None:
    """The manifest as an earlier version has written it."""
    content = json.loads((snapshot / "manifest.json").read_bytes())
    assert content["format_version"] == 1
    del content["addresses"]
    (snapshot / "manifest.json").write_text(json.dumps(content), "utf-8")


def test_a_replay_is_not_resumed_with_another_recording(tmp_path: Path, run: Run) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(CASSETTE.read_text("utf-8") + "\n", "utf-8")
    interrupted(run, tmp_path / "s", "--replay", CASSETTE)
    told(
        run("extract", "--out", tmp_path / "s", "--replay", other),
        "was begun from a recording (SHA-256 ",
        "--restart",
    )
    assert run("extract", "--out", tmp_path / "s", "--replay", CASSETTE).exit_code == 0


def test_what_verify_has_read_of_another_server_is_read_anew(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(content())
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    command = ["verify", tmp_path / "s", "--coverage", tmp_path / "c", "--json"]
    with pytest.MonkeyPatch.context() as patch:

        def stop(*_: Any) -> None:
            raise KeyboardInterrupt

        patch.setattr("migrate.extract.extraction._Extract._walk", stop)
        assert run(*command).exit_code == 130
    serve(content(conversations_bindings=[]))
    done = run(*command)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["total"]["ready_device"] == 0


# --- the belief that both sides are the same Twilio -----------------------------------------------------------


@pytest.fixture
def snapshot(tmp_path: Path, run: Run, serve: Serve) -> Path:
    serve(content())
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    return tmp_path / "s"


def made_at(snapshot: Path, *addresses: str) -> None:
    """Have a snapshot say that it was made there."""
    content = json.loads((snapshot / "manifest.json").read_bytes())
    content["addresses"] = dict(zip(("chat", "conversations"), addresses, strict=True))
    (snapshot / "manifest.json").write_text(json.dumps(content), "utf-8")


@pytest.mark.parametrize("left_over", ["chat", "conversations"])
@pytest.mark.usefixtures("offline")
def test_a_leftover_of_a_rehearsal_beside_twilios_own_address_is_refused_before_anything_is_asked(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, left_over: str
) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "t")
    for command in ("extract", "run"):
        result = run(command, "--out", tmp_path / "new", f"--{left_over}-url", "http://127.0.0.1:8080")
        told(result, "http://127.0.0.1:8080", "twilio.com", f"CHAT_MIGRATE_{left_over.upper()}_URL")
        assert not (tmp_path / "new").exists()
    result = run("doctor", f"--{left_over}-url", "http://127.0.0.1:8080", "--json")
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert (result.exit_code, checks["addresses"]["verdict"]) == (1, "wrong")
    assert "http://127.0.0.1:8080" in checks["addresses"]["found"]
    assert "chat services" not in checks


@pytest.mark.parametrize("left_over", ["chat", "conversations"])
@pytest.mark.parametrize("applied", [False, True])
def test_retire_does_not_delete_at_twilio_by_what_a_stand_in_says(
    run: Run, snapshot: Path, environment: pytest.MonkeyPatch, left_over: str, applied: bool
) -> None:
    made_at(snapshot, TWILIO, TWILIOS)
    other = {"chat": "conversations", "conversations": "chat"}[left_over]
    environment.delenv(f"CHAT_MIGRATE_{other.upper()}_URL")
    forced = [word for limit in LIMITS for word in ("--force", limit)]
    options = ["--apply", "--yes", *forced] if applied else []
    with pytest.MonkeyPatch.context() as patch:

        def send(*_: Any) -> Any:
            raise AssertionError("something was asked")

        patch.setattr(LiveTransport, "send", send)
        result = run("retire", snapshot, "--coverage", snapshot.with_name("c"), *options)
    told(result, f"CHAT_MIGRATE_{left_over.upper()}_URL", "which is Twilio's", "which is not")
    assert not snapshot.with_name("c").exists()


def retire(run: Run, snapshot: Path, *options: object) -> Result:
    forced = ("--force", "few-ready")
    coverage = snapshot.with_name("c")
    return run("retire", snapshot, "--coverage", coverage, "--apply", "--yes", *forced, *options)


def test_retire_goes_by_a_snapshot_of_the_same_address(run: Run, serve: Serve, snapshot: Path) -> None:
    server = serve(content())  # at another port
    told(retire(run, snapshot), "[other-address]", server.url, "--force other-address")
    without_addresses(snapshot)
    told(retire(run, snapshot), "[other-address]", "does not say from which address")
    assert server.world.writes == []
    # It is a rehearsal's, and lifts the limit there.
    assert retire(run, snapshot, "--force", "other-address").exit_code == 0
    assert len(server.world.writes) == 4


def test_a_gateway_to_twilio_is_no_rehearsal(
    run: Run, serve: Serve, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    made_at(snapshot, TWILIO, TWILIOS)
    for api in ("CHAT", "CONVERSATIONS"):
        environment.setenv(f"CHAT_MIGRATE_{api}_URL", "https://gateway.example.test")
    told(retire(run, snapshot, "--force", "other-address"), "[other-address]", "No --force lifts other-address")


@pytest.mark.parametrize(
    "host", ["127.example.test", "127.0.0.1.example.test", "127.0.0.256", "localhost.example.test"]
)
def test_a_name_that_begins_like_this_machines_address_is_another_machine(
    run: Run, snapshot: Path, environment: pytest.MonkeyPatch, host: str
) -> None:
    made_at(snapshot, TWILIO, TWILIOS)
    for api in ("CHAT", "CONVERSATIONS"):
        environment.setenv(f"CHAT_MIGRATE_{api}_URL", f"https://{host}")
    told(retire(run, snapshot, "--force", "other-address"), "[other-address]", "No --force lifts other-address")


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:8080", "http://localhost:1", "http://LOCALHOST"],
)
def test_an_address_of_this_machine_is_a_rehearsals(address: str) -> None:
    assert is_on_this_machine(address)


@pytest.mark.parametrize("made", [("http://127.0.0.1:1", "http://127.0.0.1:1"), None])
def test_at_twilios_own_address_nothing_lifts_that(
    run: Run, serve: Serve, snapshot: Path, environment: pytest.MonkeyPatch, made: tuple[str, str] | None
) -> None:
    """The stand-in answers in Twilio's place."""
    if made:
        made_at(snapshot, *made)
    else:
        without_addresses(snapshot)
    server = serve(content())
    as_twilio(environment, server)
    told(retire(run, snapshot, "--force", "other-address"), "[other-address]", "No --force lifts other-address")
    assert server.world.writes == []
    made_at(snapshot, "https://chat.dublin.ie1.twilio.com", TWILIOS)
    done = retire(run, snapshot)
    assert (done.exit_code, len(server.world.writes)) == (0, 4), done.output
    assert "Warning" not in done.stderr


def as_twilio(environment: pytest.MonkeyPatch, server: StandInServer) -> None:
    """Have the stand-in answer under Twilio's names."""
    for api in ("CHAT", "CONVERSATIONS"):
        environment.delenv(f"CHAT_MIGRATE_{api}_URL")
    real = LiveTransport.send

    def send(transport: LiveTransport, request: Any) -> Any:
        parts = urlsplit(request.url)
        assert is_twilios(request.url), f"another host was asked: {request.url}"
        home = f"{parts.scheme}://{parts.netloc}"
        answer = real(transport, replace(request, url=server.url + request.url.removeprefix(home)))
        answer.body = answer.body.replace(server.url.encode(), home.encode())
        return answer

    environment.setattr(LiveTransport, "send", send)


@pytest.mark.parametrize("chat", ["https://chat.dublin.ie1.twilio.com", "https://conversations.twilio.com"])
def test_twilios_404_at_an_address_that_is_not_chats_own_is_not_chats_end(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch, chat: str
) -> None:
    as_twilio(environment, serve(tiny_world(), faults=Faults(chat_gone=404)))
    done = run("extract", "--out", tmp_path / "s", "--chat-url", chat)
    assert (done.exit_code, said(done).count("\n")) == (1, 1), done.output
    assert "TWILIO_REGION and TWILIO_EDGE" in done.stderr
    assert run("extract", "--out", tmp_path / "t").exit_code == 0  # at Chat's own it is


def test_a_retirements_journal_is_of_both_addresses(run: Run, snapshot: Path) -> None:
    journal = snapshot.with_name("j.jsonl")
    assert retire(run, snapshot, "--journal", journal).exit_code == 0
    first, *rest = journal.read_text("utf-8").splitlines()
    head = json.loads(first)
    assert head["target"] == head["conversations"]
    for name in ("target", "conversations"):
        journal.write_text("\n".join([json.dumps({**head, name: "http://127.0.0.1:1"}), *rest, ""]), "utf-8")
        told(retire(run, snapshot, "--journal", journal), "another snapshot, account or address")
    del head["conversations"]  # as an earlier version wrote it
    journal.write_text("\n".join([json.dumps(head), *rest, ""]), "utf-8")
    assert retire(run, snapshot, "--journal", journal).exit_code == 0


def test_a_snapshot_of_a_recording_is_of_no_account_that_may_be_deleted_in(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    """Its account can be any: that suffices to look, not to delete."""
    assert run("extract", "--out", tmp_path / "s", "--replay", CASSETTE).exit_code == 0
    server = serve(tiny_world())
    forced = [word for limit in LIMITS for word in ("--force", limit)]
    told(retire(run, tmp_path / "s", *forced), "[other-account]", "No --force lifts other-account")
    assert server.world.writes == []


# --- the belief that a plan is of where it is written to ---------------------------------------------------------


def test_what_a_stand_in_had_is_not_planned_for_twilio(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    server = serve(tiny_world())
    assert run("run", "--out", tmp_path).exit_code == 0
    as_twilio(environment, server)
    asked = server.world.requests
    for options in ([], ["--apply", "--yes", *FORCE, "--force", "other-address"]):
        told(run("load", tmp_path / "mapped", *options), server.url, TWILIOS)
    assert server.world.requests == asked
    told(run("verify", tmp_path / "snapshot", "--coverage", tmp_path / "c"), server.url, TWILIOS)
    assert not (tmp_path / "c").exists()
    assert run("extract", "--out", tmp_path / "at-twilio").exit_code == 0
    both = ["--against", tmp_path / "at-twilio", "--coverage", tmp_path / "c"]
    told(run("verify", tmp_path / "snapshot", *both), server.url, TWILIOS)
    forced = [*FORCE, "--force", "other-address", "--force", "old-snapshot"]
    planned = run("load", "--plan", tmp_path / "plan.json", "--apply", "--yes", *forced)
    told(planned, "[other-address]", "No --force lifts other-address")
    shown = run("load", "--plan", tmp_path / "plan.json", "--force", "other-address")
    assert (shown.exit_code, "other-address" in shown.stdout) == (0, True), shown.output
    assert server.world.writes == []
    (tmp_path / "snapshot" / "manifest.json").unlink()
    # Nor where the snapshot is not there any more: the mapped folder says where it came from.
    told(run("load", tmp_path / "mapped", "--apply", "--yes", *forced), server.url, TWILIOS)


def test_a_plan_may_be_written_by_another_name_of_twilios_address(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    server = serve(tiny_world())
    as_twilio(environment, server)
    assert run("run", "--out", tmp_path).exit_code == 0
    assert json.loads((tmp_path / "plan.json").read_bytes())["target"] == TWILIOS
    alias = [
        "--chat-url",
        "https://ip-messaging.twilio.com",
        "--conversations-url",
        "https://conversations.dublin.us1.twilio.com",
    ]
    done = run("load", "--plan", tmp_path / "plan.json", "--apply", "--yes", "--force", "blockers", *alias)
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    assert len(server.world.writes) == 1


# --- a warning names what is not Twilio's ---------------------------------------------------------------------


def test_whatever_would_write_names_an_address_that_is_not_twilios(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    server = serve(content())
    warning = f"Warning: this is not Twilio's own address: Chat and Conversations at {server.url}\n"
    looked = run("run", "--out", tmp_path / "o")
    assert (looked.exit_code, "Warning" in looked.stderr) == (0, False)
    plan, snapshot = tmp_path / "o" / "plan.json", tmp_path / "o" / "snapshot"
    # Before the question, too.
    asked = run("load", "--plan", plan, "--apply", *FORCE)
    assert (asked.exit_code, asked.stderr.startswith(warning)) == (4, True)
    assert run("load", "--plan", plan, "--apply", "--yes", *FORCE).stderr == warning
    rolled_back = run("rollback", plan.with_name("plan.journal.jsonl"), "--apply", "--yes")
    assert (rolled_back.exit_code, rolled_back.stderr) == (0, warning)
    assert run("load", "--plan", plan, "--apply", "--yes", *FORCE, "--journal", tmp_path / "j").exit_code == 0
    environment.setenv("CHAT_MIGRATE_CHAT_URL", server.url.replace("127.0.0.1", "localhost"))
    made_at(snapshot, server.url.replace("127.0.0.1", "localhost"), server.url)
    gone = retire(run, snapshot)
    assert gone.exit_code == 0, gone.output
    assert gone.stderr.count("\n") == 1
    assert f"Chat at {server.url.replace('127.0.0.1', 'localhost')}, Conversations at {server.url}" in gone.stderr
