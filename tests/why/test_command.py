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
from tests.why.conftest import IOS, OFF, ON, Ask, fates, new_app, old_app, with_push_errors

PERSON = "alice.of.nowhere@example.test"
MASKED = "al…st (29)"


# In these spellings a server that compares exactly has none of them, nor in the usual ones.
NOT_ASKED_FOR = ("JOSÉ", "STRASSE", "outer", "Alice.of.Nowhere@Example.test")


@pytest.fixture
def odd_world() -> dict[str, Any]:
    """One person, and identities that are hard to put into an address; all are registered with Conversations."""
    world = fates()
    people = [PERSON, "with a space", "100%25 & more=?#", "a+b", "José", "Straße", "  outer  ", "名前の人", "a/../b"]
    world["services"][0]["conversations_bindings"] = [new_app(one) for one in people]
    return world


@pytest.mark.parametrize(
    "identity",
    ["with a space", "100%25 & more=?#", "a+b", "José", "Jose\u0301", "JOSÉ", "Straße", "STRASSE", "  outer  ",
     "outer", "名前の人", "a/../b", "Alice.of.Nowhere@Example.test"],
)  # fmt: skip
def test_an_identity_is_found_in_any_case_and_unicode_form_from_twilio_and_from_files(
    tmp_path: Path, run: Run, serve: Serve, ask: Ask, odd_world: dict[str, Any], identity: str
) -> None:
    server = serve(odd_world)
    stored = next(
        one.identity for one in server.world.services[ON].conversations_bindings
        if alike(one.identity or "") == alike(identity)
    )  # fmt: skip
    assert run("extract", "--out", tmp_path / "c", "--source", "conversations").exit_code == 0
    found = [ask(identity, "--snapshot", tmp_path / "c", "--show-identities")]
    if identity not in NOT_ASKED_FOR:
        found.append(ask(identity, "--show-identities"))
    for told in found:
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
    assert told["settings"]["unreadable"] == ["new_message.enabled"]
    assert told["verdict"]["code"] == "push-unknown"


@pytest.mark.parametrize("refused", ["Credentials", "Configuration"])
def test_what_the_credentials_may_not_read_is_not_known_and_the_rest_is_answered(
    run: Run, environment: Any, refused: str
) -> None:
    good = {"sid": "BS" + "2" * 32, "identity": PERSON, "binding_type": "apn", "credential_sid": IOS,
            "message_types": ["new_message", "added_to_conversation"], "date_updated": "2026-06-14T08:00:00Z"}  # fmt: skip
    with answering({"bindings": [good]}, refused=refused) as server:
        point(environment, server)
        done = run("why", PERSON, "--service", ON, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["credentials"] == {} if refused == "Credentials" else told["verdict"]["code"] == "push-unknown"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"service": {"sid": OFF}}, "another one came"),
        ({"status": 401}, "TWILIO_ACCOUNT_SID"),
        ({"refused": "Configuration", "status": 401}, "TWILIO_ACCOUNT_SID"),
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


# --- the page ---------------------------------------------------------------------------------------------------


def test_the_page_has_both_sides_the_settings_the_credentials_and_ends_with_the_verdict(
    files: Path, tmp_path: Path, run: Run
) -> None:
    snapshot = Path(shutil.copytree(files / "chat", tmp_path / "s"))
    with_push_errors(snapshot, {"date": None, "error_code": 52131, "credential_sid": IOS})
    done = run(
        "why", "twice-user", "--service", ON, "--snapshot", snapshot, "--against", files / "conversations",
        "--mapped", files / "mapped",
    )  # fmt: skip
    for words in (
        "… (10)",
        f"{ON}  Tiny",
        f"apn with {IOS}, last seen 2026-06-14, 1 day ago",
        "listed by Conversations, made by the Conversations SDK, for new_message, added_to_conversation",
        "mapped: carried, becomes apn",
        "The device must register again",
        f"{IOS}  iOS  apn, updated 2026-06-15",
        "push error 52131 APNs credential invalid or expired, once",
        "a new message                       on             on                on",
        "push_credential_sid for apn",
        "registered-twice",
    ):
        assert words in done.stdout, done.stdout
    assert done.stdout.splitlines()[-3].startswith("Verdict: credential-refused")
    assert done.stdout.splitlines()[-1].startswith("  → Give this credential a valid certificate")


def test_a_binding_and_a_credential_that_lack_something_are_shown_as_they_are(
    files: Path, tmp_path: Path, run: Run
) -> None:
    options = ("--service", ON, "--snapshot", files / "chat", "--against", files / "conversations")
    assert "no-credential" in run("why", "no-token-user", *options).stdout
    assert "apn with (none)" in run("why", "no-token-user", *options).stdout
    assert "the account does not have it" in run("why", "lost-credential-user", *options).stdout
    undated = run("why", "undated-user", *options).stdout
    assert "never dated" in undated
    assert "when 1 binding was registered" in undated
    assert "(expired)" in run("why", "lapsed-user", *options).stdout
    assert "its device is registered under another identity, too" in run("why", "signed-in-user", *options).stdout
    assert "its identity is spelt otherwise" in run("why", "UNDATED-user", *options).stdout


def test_a_service_that_the_rules_leave_out_or_nobody_stated_is_changed_by_nothing(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    serve(fates())
    (tmp_path / "rules.toml").write_text(f'[services]\nleave_out = ["{OFF}"]')
    assert run("run", "--out", tmp_path, "--rules", tmp_path / "rules.toml").exit_code == 0
    mapped = tmp_path / "mapped"
    command = ("why", "in-order-user", "--mapped", mapped, "--service")
    assert "nothing: the rules leave the service out" in run(*command, OFF).stdout
    config = mapped / "push-config.yaml"
    config.write_text("format_version: 1\nservices: {}\n")
    shown = run(*command, ON)
    assert "nothing: push-config.yaml has no entry for the service" in shown.stdout, shown.output


# --- files that do not fit together -----------------------------------------------------------------------------


def test_a_snapshot_of_conversations_alone_answers_and_chats_side_is_not_known(files: Path, ask: Ask) -> None:
    told = ask("in-order-user", "--snapshot", files / "conversations")
    assert told["verdict"]["code"] == "nothing-found"
    assert "the bindings in Chat: the snapshot was read through Conversations" in told["unknown"]


def test_files_of_the_wrong_kind_or_account_are_refused(files: Path, tmp_path: Path, run: Run, serve: Serve) -> None:
    chat, theirs, mapped = files / "chat", files / "conversations", files / "mapped"
    command = ("why", "in-order-user", "--service", ON)
    assert "was read through Chat" in run(*command, "--snapshot", chat, "--against", chat).stderr
    serve({**fates(), "account_sid": "AC" + "9" * 32})
    for out, options in (("a", ()), ("b", ("--source", "conversations"))):
        assert run("extract", "--out", tmp_path / out, *options).exit_code == 0
    for files_of_two in (
        ("--snapshot", tmp_path / "a", "--against", theirs),
        ("--snapshot", tmp_path / "a", "--mapped", mapped),
        ("--mapped", mapped),
    ):
        done = run(*command, *files_of_two)
        assert (done.exit_code, done.stdout) == (4, ""), files_of_two
        assert "account" in done.stderr
    assert run(*command, "--snapshot", chat, "--replay", "demo").exit_code == 2
    missing = run("why", "in-order-user", "--service", service_sid(9), "--snapshot", chat)
    assert (missing.exit_code, "has no service" in missing.stderr) == (1, True)


def test_a_mapped_folder_of_another_snapshot_and_narrowed_ones_are_said(
    files: Path, tmp_path: Path, run: Run, serve: Serve, ask: Ask
) -> None:
    serve(fates())
    narrowed = {
        "types": ("--binding-type", "apn"),
        "others": ("--identity", "somebody-else"),
        "services": ("--service", OFF),
        "file": ("--identity-file", files / "chat"),
    }
    for name, options in narrowed.items():
        done = run("extract", "--out", tmp_path / name, "--source", "conversations", *options)
        assert done.exit_code == 0, done.output
    command = ("in-order-user", "--snapshot", files / "chat", "--mapped", files / "mapped", "--against")
    assert "narrowed to apn" in str(ask(*command, tmp_path / "types")["unknown"])
    assert "narrowed to the users in a file" in str(ask(*command, tmp_path / "file")["unknown"])
    for name, words in (("others", "narrowed to other users"), ("services", "narrowed to other services")):
        told = ask(*command, tmp_path / name)
        assert told["verdict"]["code"] == "not-known"
        assert words in told["verdict"]["what"]
    assert run("extract", "--out", tmp_path / "later").exit_code == 0
    told = ask("in-order-user", "--snapshot", tmp_path / "types", "--mapped", files / "mapped")
    assert "made from another snapshot" in str(told["unknown"])
    gone = run(
        "why", "nobody-at-all", "--service", ON, "--snapshot", files / "chat", "--against", tmp_path / "others"
    )
    assert "narrowed to other users" in gone.stderr.lower()


def test_a_service_that_conversations_lacks_is_the_verdict(serve: Serve, ask: Ask) -> None:
    world = fates()
    world["services"][0]["conversations"] = None
    serve(world)
    told = ask("old-app-user")
    assert (told["verdict"]["code"], told["read"]["conversations"]["is_missing"]) == ("service-missing", True)
