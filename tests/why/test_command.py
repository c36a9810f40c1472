"""The command: what it shows and hides, odd identities, and what ends in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from migrate.model.text import alike
from tests.conftest import Run, Serve, said, service_sid, tiny_world
from tests.scripted import Reply, Scripted, scripted
from tests.why.conftest import IOS, OFF, ON, Ask, fates, new_app, old_app

PERSON = "alice.of.nowhere@example.test"
MASKED = "al…st (29)"


ASKED_FOR = ("Jose\u0301", "ALICE.OF.NOWHERE@EXAMPLE.TEST", " a+b ")
# In these spellings a server that compares exactly has none of them, nor in the usual ones.
NOT_ASKED_FOR = ("JOSÉ", "STRASSE", "outer", "Alice.of.Nowhere@Example.test")


@pytest.fixture
def odd_world() -> dict[str, Any]:
    """One person, and identities that are hard to put into an address; all are registered with Conversations."""
    world = fates()
    people = [PERSON, "with a space", "100%25 & more=?#", "a+b", "José", "Straße", "  outer  ", "名前の人", "a/../b"]
    world["services"][0]["conversations_bindings"] = [new_app(one) for one in people]
    return world


def test_an_identity_is_found_in_any_case_and_unicode_form_from_twilio_and_from_files(
    tmp_path: Path, run: Run, serve: Serve, ask: Ask, odd_world: dict[str, Any]
) -> None:
    server = serve(odd_world)
    held = {alike(one.identity or ""): one.identity for one in server.world.services[ON].conversations_bindings}
    assert run("extract", "--out", tmp_path / "c", "--source", "conversations").exit_code == 0
    for identity in (*held.values(), *ASKED_FOR, *NOT_ASKED_FOR):
        assert identity is not None
        found = [ask(identity, "--snapshot", tmp_path / "c", "--show-identities")]
        if identity not in NOT_ASKED_FOR:
            found.append(ask(identity, "--show-identities"))
        for told in found:
            stored = held[alike(identity)]
            assert [one["identity"] for one in told["bindings"]] == [stored]
            assert any("spell the identity otherwise" in doubt for doubt in told["unknown"]) is (stored != identity)


def test_a_server_is_asked_for_the_usual_spellings_of_an_identity_at_once(
    serve: Serve, ask: Ask, odd_world: dict[str, Any]
) -> None:
    serve(odd_world)
    told = ask(PERSON.upper(), "--show-identities")
    assert [one["identity"] for one in told["bindings"]] == [PERSON]


def test_two_spellings_of_one_identity_are_a_reason_of_their_own(
    tmp_path: Path, run: Run, serve: Serve, ask: Ask
) -> None:
    world = fates()
    world["services"][0]["bindings"] = [old_app("Some.Body@example.test")]
    world["services"][0]["conversations_bindings"] = [new_app("some.body@example.test", endpoint="other")]
    serve(world)
    for out, options in (("chat", ()), ("c", ("--source", "conversations"))):
        assert run("extract", "--out", tmp_path / out, *options).exit_code == 0
    told = ask("some.body@example.test", "--snapshot", tmp_path / "chat", "--against", tmp_path / "c")
    assert told["verdict"]["code"] == "several-spellings"


def test_an_identity_is_masked_in_every_output_unless_it_is_asked_for(
    tmp_path: Path, run: Run, serve: Serve, odd_world: dict[str, Any]
) -> None:
    serve(odd_world)
    command = ("why", PERSON, "--service", ON)
    log = tmp_path / "log.jsonl"
    for options in ((), ("--json",), ("-vv", "--log-file", log)):
        done = run(*command, *options)
        assert done.exit_code == 0
        assert "alice" not in done.output
        assert MASKED in done.output
        assert "alice" in run(*command, *options, "--show-identities").stdout
    assert "alice" not in log.read_text("utf-8")
    assert "phone of" not in done.output  # nor the endpoint


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        ((PERSON, "--service", service_sid(77)), 1),  # no such service
        ((PERSON, "--service", OFF), 1),  # no such user there
        ((PERSON, "surname-of-alice", "--service", ON), 2),
        ((f"-{PERSON}", "--service", ON), 2),
        ((PERSON, "--service", "alice"), 2),
        ((PERSON,), 2),
        ((PERSON, "--service", ON, "--against", "."), 2),
        ((PERSON, "--service", ON, "--snapshot", "missing"), 1),
        (("alice" * 2000, "--service", ON), 2),
        (("", "--service", ON), 2),
    ],
)
def test_what_cannot_be_answered_is_one_line_that_does_not_repeat_the_identity(
    run: Run, serve: Serve, odd_world: dict[str, Any], arguments: tuple[str, ...], exit_code: int
) -> None:
    serve(odd_world)
    done = run("why", *arguments)
    assert (done.exit_code, done.stdout) == (exit_code, "")
    assert said(done).splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert PERSON not in done.stderr
    assert "surname" not in done.stderr
    assert "alicealice" not in done.stderr


def test_a_misspelt_option_is_still_reported_as_such(run: Run) -> None:
    done = run("why", PERSON, "--servce", ON)
    assert (done.exit_code, "--service" in done.stderr) == (2, True)


def test_an_unknown_user_is_one_line_with_the_services_that_have_one(
    tmp_path: Path, run: Run, serve: Serve, odd_world: dict[str, Any]
) -> None:
    serve(odd_world)
    live = run("why", PERSON, "--service", OFF)
    assert run("extract", "--out", tmp_path / "c", "--source", "conversations").exit_code == 0
    held = run("why", PERSON.title(), "--service", OFF, "--snapshot", tmp_path / "c")
    for done in (live, held):
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
        assert "no binding of " in done.stderr
        assert f"There is one in {ON}: name that with --service" in done.stderr
    nobody = run("why", "never-registered", "--service", ON, "--snapshot", tmp_path / "c")
    assert "There is one in" not in nobody.stderr
    assert "never registered for pushes" in nobody.stderr


def test_a_user_whose_bindings_were_deleted_since_the_mapping_must_register_again(
    files: Path, tmp_path: Path, run: Run, serve: Serve
) -> None:
    world = fates()
    world["services"][0] |= {"bindings": [], "conversations_bindings": []}
    serve(world)
    torn = Path(shutil.copytree(files / "mapped", tmp_path / "m"))
    for part in torn.rglob("*.parquet"):
        part.write_bytes(part.read_bytes()[:50])
    for user, mapped, is_held in (
        ("old-app-user", files / "mapped", True),
        ("never-registered", files / "mapped", False),
        ("old-app-user", torn, False),
    ):
        done = run("why", user, "--service", ON, "--mapped", mapped)
        assert (done.exit_code, done.stdout) == (1, "")
        assert ("it was deleted since" in done.stderr) is is_held


def test_of_very_many_services_some_are_asked_whether_they_have_the_user(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    from migrate.why import live

    monkeypatch.setattr(live, "MOST_ELSEWHERE", 2)
    content = tiny_world(bindings=[])
    content["services"] *= 5
    serve(content)
    done = run("why", PERSON, "--service", ON)
    assert "2 other services were asked, and not all" in done.stderr


def test_a_filter_that_the_server_ignores_is_refused_and_names_no_one_else(run: Run, environment: Any) -> None:
    other = {"sid": "BS" + "1" * 32, "identity": "bob.of.elsewhere@example.test", "binding_type": "apn"}
    with answering({"bindings": [other]}) as server:
        point(environment, server)
        done = run("why", PERSON, "--service", ON)
    assert done.exit_code == 4
    assert "the server ignores the filter" in done.stderr
    assert "bob.of" not in done.stderr


def test_records_and_answers_that_are_no_use_are_counted_or_said(run: Run, environment: Any) -> None:
    good = {"sid": "BS" + "2" * 32, "identity": PERSON, "binding_type": "apn", "credential_sid": IOS,
            "message_types": ["added_to_conversation", "new_message"], "date_updated": "2026-06-14T08:00:00Z"}  # fmt: skip
    odd = [good, {"sid": 7}, {"sid": "BS" + "3" * 32, "identity": None}]
    with answering({"bindings": odd}, credential={"sid": IOS, "type": 7}) as server:
        point(environment, server)
        told = json.loads(run("why", PERSON, "--service", ON, "--json").stdout)
    assert "whether these are all of the bindings in Conversations: 2 records could not be read" in told["unknown"]
    assert "the type of 1 credential, which could not be read" in told["unknown"]
    assert told["settings"]["unreadable"] == ["new_message.enabled"]
    assert told["verdict"]["code"] == "push-unknown"


@pytest.mark.parametrize(
    ("refused", "unknown"),
    [
        ("Credentials", "the type of 1 credential, which could not be read"),
        ("Configuration", "the push settings in Conversations"),
        ("/v2/", "the bindings in Chat: Chat cannot be read"),
    ],
)
def test_what_the_credentials_may_not_read_is_not_known_and_the_rest_is_answered(
    run: Run, environment: Any, refused: str, unknown: str
) -> None:
    good = {"sid": "BS" + "2" * 32, "identity": PERSON, "binding_type": "apn", "credential_sid": IOS,
            "message_types": ["new_message", "added_to_conversation"], "date_updated": "2026-06-14T08:00:00Z"}  # fmt: skip
    for status in (401, 403):
        with answering({"bindings": [good]}, refused=refused, status=status) as server:
            point(environment, server)
            done = run("why", PERSON, "--service", ON, "--json")
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)
        assert any(doubt.startswith(unknown) for doubt in told["unknown"])
        assert told["verdict"]["code"] == "push-unknown"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"service": {"sid": OFF}}, "another one came"),
        ({"status": 401}, "TWILIO_ACCOUNT_SID"),
    ],
)
def test_answers_of_another_service_or_to_wrong_credentials_end_in_one_line(
    run: Run, environment: Any, changes: dict[str, Any], words: str
) -> None:
    with answering({"bindings": []}, **changes) as server:
        point(environment, server)
        done = run("why", PERSON, "--service", ON)
    assert (done.exit_code, done.stdout) == (1, "")
    assert words in done.stderr


def answering(page: dict[str, Any], *, refused: str = "/", status: int = 403, **objects: Any) -> Any:
    """A server of both APIs that answers with these objects, and refuses what has `refused` in its path."""

    def answer(server: Scripted, path: str) -> Reply:
        place = urlsplit(path).path
        if refused in place and (status == 401 or refused != "/"):
            return Reply({"code": 20003, "message": "No", "more_info": "", "status": status}, status)
        if place.endswith("/Bindings"):
            assert ("Identity", PERSON) in parse_qsl(urlsplit(path).query)
            return server.page("bindings", page["bindings"])
        if "/Credentials/" in place:
            return Reply(objects.get("credential", {"sid": IOS, "type": "apn"}))
        if place.endswith("/Notifications"):
            return Reply({"chat_service_sid": ON, "new_message": {"enabled": "true"}})
        return Reply(objects.get("service", {"sid": ON, "friendly_name": None}))

    return scripted(answer)


def point(environment: Any, server: Scripted) -> None:
    """Have the command line ask that server."""
    for name in ("CHAT", "CONVERSATIONS"):
        environment.setenv(f"CHAT_MIGRATE_{name}_URL", server.url)
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "synthetic-token")
