"""Users of different fates, and the verdict for each, written by hand; from Twilio and from files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run, Serve, service_sid
from tests.why.conftest import (
    ANDROID_OLD,
    IOS,
    IOS_OTHER,
    OFF,
    ON,
    UNKNOWN,
    Ask,
    at,
    fates,
    new_app,
    old_app,
    with_push_errors,
)

# What stops each user's pushes, whether it is shown to, and what must be among the words.
VERDICTS = {
    "in-order-user": ("nothing-found", "no", "foreground"),
    "old-app-user": ("not-registered", "yes", "Chat alone knows 1 device of the user (apn)"),
    "no-token-user": ("no-credential", "yes", f"push_credential_sid {IOS} into its grant"),
    "other-token-user": ("credential-other", "perhaps", f"{IOS_OTHER}"),
    "wrong-type-user": ("credential-type", "yes", "(Android) is of type fcm"),
    "lost-credential-user": ("credential-missing", "yes", UNKNOWN),
    "lapsed-user": ("expired", "yes", "on 2025-05-11, 400 days ago, and a binding lives for 365 days"),
    "gone-for-good-user": ("expired", "yes", "500 days ago"),
    "back-in-chat-user": ("back-in-chat", "perhaps", "the phone may run the former app again"),
    "twice-user": ("registered-twice", "no", "registered 2 times (apn)"),
    "Two-Phones-User": ("some-not-registered", "perhaps", "Chat knows 1 more (fcm)"),
    "unclear-user": ("registration-unclear", "perhaps", "not shown that the Conversations SDK"),
    "web-only-user": ("not-registered", "yes", "twilsock, which brings no push to a phone"),
    "quiet-app-user": ("not-asked-for", "yes", "new messages are not asked for"),
}


def check(told: dict[str, Any], code: str, stops: str, words: str) -> None:
    verdict = told["verdict"]
    assert (verdict["code"], verdict["stops"]) == (code, stops), told
    assert words in f"{verdict['what']}. {verdict['next']}"


def test_each_user_gets_the_verdict_that_a_person_would_give_from_twilio(files: Path, serve: Serve, ask: Ask) -> None:
    serve(fates())
    for user, expected in VERDICTS.items():
        check(ask(user, "--mapped", files / "mapped"), *expected)


def test_files_give_the_same_verdicts_without_twilio(files: Path, ask: Ask) -> None:
    options = ("--snapshot", files / "chat", "--against", files / "conversations", "--mapped", files / "mapped")
    for user, expected in VERDICTS.items():
        check(ask(user, *options), *expected)


def test_a_phone_that_two_people_have_signed_in_on_is_seen_in_files(files: Path, ask: Ask) -> None:
    options = ("--snapshot", files / "chat", "--against", files / "conversations")
    check(ask("signed-out-user", *options), "device-shared", "perhaps", "another identity")
    serve_says = ask("signed-in-user", *options)
    assert [one["is_device_shared"] for one in serve_says["bindings"]] == [True]


def test_from_twilio_a_shared_phone_is_what_the_mapping_found(
    tmp_path: Path, run: Run, serve: Serve, ask: Ask
) -> None:
    phones = [old_app("first-signed-in", endpoint="one phone"), old_app("then-signed-in", endpoint="one phone")]
    world = fates()
    world["services"][0]["bindings"] = phones
    world["services"][0]["conversations_bindings"] = [new_app("first-signed-in", endpoint="one phone")]
    serve(world)
    assert run("run", "--out", tmp_path).exit_code == 0
    told = ask("first-signed-in", "--mapped", tmp_path / "mapped")
    check(told, "device-shared", "perhaps", "unregister at logout")
    assert (
        "whether the device is registered under another identity, which only a snapshot shows"
        in (ask("first-signed-in")["unknown"])
    )


def test_a_push_that_is_off_names_the_message_type_and_whether_load_switches_it_on(
    files: Path, serve: Serve, ask: Ask
) -> None:
    serve(fates())
    check(ask("in-order-user", service=OFF), "push-off", "yes", "Conversations: new_message")
    told = ask("in-order-user", "--mapped", files / "mapped", service=OFF)
    check(told, "push-off", "yes", "load would switch it on")
    assert told["plan"]["changes"]["new_message.enabled"] == {"existing": False, "desired": True}
    assert told["settings"]["chat"]["new_message"] == "on"
    assert told["settings"]["conversations"]["new_message"] == "off"


@pytest.mark.parametrize(
    ("notifications", "conversations", "rules", "expected"),
    [
        # Chat does not say: it is a proposal.
        ({}, {}, "", ("push-off", "yes", "waits for a decision")),
        ({}, {}, f'[services]\nleave_out = ["{ON}"]', ("push-off", "yes", "The rules leave this service out")),
        (
            {"new_message": {"enabled": False}},
            {},
            "",
            ("push-off", "yes", "as it is in Chat. push-config.yaml does not"),
        ),
        (
            {"new_message": {"enabled": True}, "added_to_channel": {"enabled": True}},
            {"new_message": {"enabled": True}},
            "",
            ("some-pushes-off", "perhaps", "new_message.with_media, added_to_conversation"),
        ),
    ],
)
def test_what_switches_a_push_on_is_said_by_what_the_mapping_has(
    tmp_path: Path, run: Run, serve: Serve, ask: Ask,
    notifications: Any, conversations: Any, rules: str, expected: tuple[str, str, str],
) -> None:  # fmt: skip
    world = fates()
    world["services"][0] |= {"notifications": notifications, "conversations": conversations}
    serve(world)
    (tmp_path / "rules.toml").write_text(rules)
    assert run("run", "--out", tmp_path, "--rules", tmp_path / "rules.toml").exit_code == 0
    check(ask("in-order-user", "--mapped", tmp_path / "mapped"), *expected)


# --- what APNs and FCM have refused -----------------------------------------------------------------------------

REFUSED = {"date": at(2), "error_code": 52117, "credential_sid": ANDROID_OLD, "service_sid": ON}


@pytest.mark.parametrize(
    ("errors", "user", "expected"),
    [
        (
            [REFUSED, {**REFUSED, "date": at(14)}],
            "refused-user",
            ("credential-refused", "yes", "push not sent, 2 times since 2026-06-02 08:00 UTC, last at 2026-06-14"),
        ),
        # Another user's credential says nothing of this one.
        ([REFUSED], "in-order-user", ("nothing-found", "no", "no proof of health")),
        # A warning: pushes are sent still.
        (
            [{**REFUSED, "error_code": 52116}],
            "refused-user",
            ("credential-legacy", "perhaps", "as push errors prove"),
        ),
        # Of a device or a service, a code says nothing of the credential.
        ([{**REFUSED, "error_code": 52102}], "refused-user", ("credential-legacy-suspected", "perhaps", "may hold")),
        (
            [{"date": at(14), "error_code": 52106, "service_sid": ON}],
            "in-order-user",
            ("service-errors", "perhaps", "52106 payload too large, once"),
        ),
        (
            [{"date": at(14), "error_code": 52106, "service_sid": OFF}],
            "in-order-user",
            ("nothing-found", "no", "app"),
        ),
        (
            [{"date": None, "error_code": 52004, "service_sid": ON}],
            "unclear-user",
            ("registration-unclear", "perhaps", "registers again"),
        ),
    ],
)
def test_a_refusal_is_proven_by_push_errors_and_else_only_suspected(
    files: Path, tmp_path: Path, ask: Ask, errors: list[dict[str, Any]], user: str, expected: tuple[str, str, str]
) -> None:
    snapshot = Path(shutil.copytree(files / "chat", tmp_path / "s"))
    with_push_errors(snapshot, *errors)
    told = ask(user, "--snapshot", snapshot, "--against", files / "conversations")
    check(told, *expected)


def test_an_error_from_before_the_credential_was_updated_proves_nothing_now(
    tmp_path: Path, run: Run, serve: Serve, ask: Ask
) -> None:
    world = fates()
    world["credentials"][3]["updated_days_ago"] = 3
    serve(world)
    assert run("extract", "--out", tmp_path / "s", "--source", "conversations").exit_code == 0
    with_push_errors(tmp_path / "s", REFUSED)
    check(
        ask("refused-user", "--snapshot", tmp_path / "s"),
        "credential-refused-before", "perhaps", "updated after that, on 2026-06-12",
    )  # fmt: skip


def test_an_error_that_names_the_users_binding_counts_until_its_device_registers_again(
    files: Path, tmp_path: Path, ask: Ask
) -> None:
    options = ("--against", files / "conversations")
    binding = next(
        one
        for one in ask("in-order-user", "--snapshot", files / "chat", *options)["bindings"]
        if one["is_registration"]
    )
    for day, hour, expected in ((15, 7, ("device-refused", "yes", "52134")), (13, 8, ("nothing-found", "no", "app"))):
        snapshot = Path(shutil.copytree(files / "chat", tmp_path / f"s{day}"))
        with_push_errors(snapshot, {"date": at(day, hour), "error_code": 52134, "binding_sid": binding["sid"]})
        check(ask("in-order-user", "--snapshot", snapshot, *options), *expected)


def test_an_error_that_names_the_binding_alone_is_of_the_credential_that_it_has(
    files: Path, tmp_path: Path, ask: Ask
) -> None:
    (binding,) = ask("refused-user", "--snapshot", files / "conversations")["bindings"]
    snapshot = Path(shutil.copytree(files / "chat", tmp_path / "s"))  # which does not have that binding
    with_push_errors(
        snapshot, {"date": at(14), "error_code": 52117, "binding_sid": binding["sid"], "service_sid": ON}
    )
    told = ask("refused-user", "--snapshot", snapshot, "--against", files / "conversations")
    check(told, "credential-refused", "yes", "push not sent, once, at 2026-06-14 08:00 UTC")
    assert told["others"] == []


def test_a_credential_of_apples_sandbox_is_suspect(tmp_path: Path, serve: Serve, ask: Ask) -> None:
    world = fates()
    world["credentials"][0]["sandbox"] = "True"
    serve(world)
    check(ask("in-order-user"), "credential-sandbox", "perhaps", "Apple's sandbox")


# --- what is not known ------------------------------------------------------------------------------------------


def test_without_an_extract_of_conversations_it_is_not_known_who_is_registered_and_that_is_said(
    files: Path, ask: Ask
) -> None:
    told = ask("in-order-user", "--snapshot", files / "chat", "--mapped", files / "mapped")
    check(told, "not-known", "perhaps", "--against")
    assert "the bindings in Conversations: no extract of Conversations is named" in told["unknown"]
    assert any("push errors" in doubt for doubt in told["unknown"])


def test_what_is_shown_to_stop_the_push_goes_before_what_is_not_known(files: Path, ask: Ask) -> None:
    check(ask("gone-for-good-user", "--snapshot", files / "chat"), "expired", "perhaps", "500 days")
    assert service_sid(2) == OFF


def test_chat_switched_off_leaves_its_side_unknown_and_the_rest_is_answered(serve: Serve, ask: Ask) -> None:
    from migrate.standin.faults import Faults

    serve(fates(), faults=Faults(chat_gone=410))
    told = ask("in-order-user")
    check(told, "nothing-found", "no", "foreground")
    assert "Chat's push settings" in told["unknown"]
    assert told["settings"]["chat"]["new_message"] == "unknown"
    assert told["read"]["chat"]["unread"].startswith("Chat ")


def test_push_errors_of_the_last_day_are_asked_of_twilio(serve: Serve, ask: Ask, environment: Any) -> None:
    alert = {"code": 52131, "service": "Tiny", "credential": "iOS", "resource_sid": "credential"}
    server = serve({**fates(), "alerts": [{**alert, "count": 3, "hours_ago": [20, 1]}]})
    told = ask("in-order-user")
    assert (
        "whether APNs or FCM refuses pushes: Monitor, which has them, has no address here (--monitor-url)"
        in (told["unknown"])
    )
    environment.setenv("CHAT_MIGRATE_MONITOR_URL", server.url)
    told = ask("in-order-user")
    check(told, "credential-refused", "yes", "52131 APNs credential invalid or expired, 3 times since 2026-06-14")
    assert told["credentials"][IOS]["push_errors"][0]["errors"] == 3


def test_push_errors_that_cannot_be_read_do_not_keep_the_answer(
    serve: Serve, ask: Ask, environment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from migrate.push_errors import reading

    server = serve(fates())
    environment.setenv("CHAT_MIGRATE_MONITOR_URL", server.url)
    monkeypatch.setattr(reading, "ALERTS_PATH", "/Alerts/Missing")
    told = ask("in-order-user")
    check(told, "nothing-found", "no", "foreground")
    assert "they could not be read" in str(told["unknown"])


def test_tokens_of_apples_other_environment_speak_against_a_credential(files: Path, tmp_path: Path, ask: Ask) -> None:
    snapshot = Path(shutil.copytree(files / "chat", tmp_path / "s"))
    with_push_errors(snapshot, {"date": at(2), "error_code": 52134, "credential_sid": IOS}, incomplete=1)
    told = ask("in-order-user", "--snapshot", snapshot, "--against", files / "conversations")
    check(told, "credential-environment", "perhaps", "may be of Apple's sandbox")
    assert "whether these are all push errors" in str(told["unknown"])


def test_push_errors_that_an_extract_could_not_read_are_said(files: Path, tmp_path: Path, ask: Ask) -> None:
    from msgspec.structs import replace

    from migrate.snapshot.manifest import PushErrorsRead, read_manifest

    snapshot = Path(shutil.copytree(files / "chat", tmp_path / "s"))
    read = PushErrorsRead("2026-05-16T08:00:00+00:00", "2026-06-15T08:00:00+00:00", note="the key may not")
    replace(read_manifest(snapshot), push_errors=read).write(snapshot)
    told = ask("in-order-user", "--snapshot", snapshot, "--against", files / "conversations")
    assert "whether APNs or FCM refuses pushes: they could not be read: the key may not" in told["unknown"]


def test_what_holds_for_one_of_several_phones_is_a_possibility(serve: Serve, ask: Ask) -> None:
    world = fates()
    phones = [
        new_app("two-phones", endpoint="one"),
        new_app("two-phones", endpoint="other", extra={"credential_sid": None}),
    ]
    world["services"][0] |= {"bindings": [], "conversations_bindings": phones}
    serve(world)
    check(ask("two-phones"), "no-credential", "perhaps", "in 1 of the 2 registrations")


def test_records_of_the_service_that_did_not_fit_may_be_this_users(
    tmp_path: Path, run: Run, serve: Serve, ask: Ask
) -> None:
    world = fates()
    world["services"][0]["conversations_bindings"].append(new_app("odd", extra={"identity": 7}))
    serve(world)
    for out, options in (("chat", ()), ("c", ("--source", "conversations"))):
        assert run("extract", "--out", tmp_path / out, *options).exit_code == 0
    told = ask("old-app-user", "--snapshot", tmp_path / "chat", "--against", tmp_path / "c")
    check(told, "not-registered", "perhaps", "Chat alone")
    assert "has 1 record of the service in rejected.jsonl" in str(told["unknown"])
