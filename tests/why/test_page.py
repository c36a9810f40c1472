"""The page that is shown, and files that do not fit together."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.conftest import Demo, Run, Serve, service_sid
from tests.why.conftest import IOS, OFF, ON, Ask, fates, new_app, with_push_errors

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


def test_what_waits_for_a_decision_and_what_could_not_be_read_is_on_the_page(demo: Demo, run: Run) -> None:
    command = ("why", "beta-0001", "--service", service_sid(3), "--snapshot", demo.folder / "snapshot")
    shown = run(*command, "--mapped", demo.folder / "mapped").stdout
    assert "to be decided in push-config.yaml: new_message.enabled" in shown
    assert "Conversations  not known: no extract of Conversations is named" in shown
    assert "It waits for a decision" in shown


def test_of_very_many_registrations_the_first_are_shown_and_their_number_is_a_reason(
    run: Run, serve: Serve, ask: Ask
) -> None:
    world = fates()
    world["services"][0]["conversations_bindings"] = [new_app("crowd-user", endpoint="phone {n}", count=25)]
    serve(world)
    assert ask("crowd-user")["verdict"]["code"] == "crowded"
    assert "… and 5 more bindings, of 25 in all: use --json" in run("why", "crowd-user", "--service", ON).stdout


def test_a_mapped_folder_that_lacks_the_service_is_said(tmp_path: Path, run: Run, serve: Serve, ask: Ask) -> None:
    serve(fates())
    assert run("extract", "--out", tmp_path / "s", "--service", OFF).exit_code == 0
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 0
    told = ask("in-order-user", "--mapped", tmp_path / "m")
    assert any("has no such service" in doubt for doubt in told["unknown"])
    assert told["plan"]["desired"] is None


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


def test_a_service_that_conversations_lacks_is_the_verdict(run: Run, serve: Serve, ask: Ask) -> None:
    world = fates()
    world["services"][0]["conversations"] = None
    serve(world)
    told = ask("old-app-user")
    assert (told["verdict"]["code"], told["read"]["conversations"]["is_missing"]) == ("service-missing", True)
    assert "Conversations  no such service; " in run("why", "old-app-user", "--service", ON).stdout


def test_without_an_extract_the_list_of_verify_says_whether_a_device_has_registered(
    files: Path, tmp_path: Path, run: Run, ask: Ask
) -> None:
    pending = tmp_path / "pending.csv"
    done = run(
        "verify", files / "chat", "--against", files / "conversations", "--pending", pending,
        "--coverage", tmp_path / "coverage",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    options = ("--snapshot", files / "chat", "--pending", pending)
    assert ask("old-app-user", *options)["verdict"]["code"] == "not-registered"
    told = ask("in-order-user", *options)
    assert (told["verdict"]["code"], told["verdict"]["stops"]) == ("not-known", "perhaps")
    assert "verify does not wait for it" in told["verdict"]["what"]
    assert ask("gone-for-good-user", *options)["verdict"]["code"] == "expired"
    lines = pending.read_text("utf-8").splitlines(keepends=True)
    sids = [one["sid"] for one in ask("back-in-chat-user", *options)["bindings"]]
    pending.write_text(lines[0] + lines[1].replace(lines[1].strip().rpartition(",")[2], sids[0]), "utf-8")
    assert "for 1 it did not" in ask("back-in-chat-user", *options)["verdict"]["what"]
    command = ("why", "old-app-user", "--service", ON, "--snapshot", files / "chat", "--pending")
    assert run(*command, files / "mapped" / "rules.toml").exit_code == 1
    assert run(*command, pending, "--against", files / "conversations").exit_code == 2
    assert run("why", "old-app-user", "--service", ON, "--pending", pending).exit_code == 2
