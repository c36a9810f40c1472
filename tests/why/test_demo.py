"""The demo's users: the verdict for each as a person gives it who reads the demo's world file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from migrate.standin.world import World
from tests.conftest import Demo, Serve, service_sid
from tests.why.conftest import Ask
from tests.why.test_verdicts import check

RIDER_SUPPORT, DRIVER_APP, COURIER_BETA, PARTNER_PORTAL, DISPATCH, STAFF_APP = map(service_sid, (1, 2, 3, 4, 6, 7))
# Before anything is loaded, with the mapped folder at hand.
VERDICTS = {
    # Registered, on, and a good credential.
    ("rider-0001", DISPATCH): ("nothing-found", "no", "foreground"),
    # Three phones that have not registered with Conversations yet.
    ("rider-0051", DISPATCH): ("not-registered", "yes", "Chat alone knows 1 device of the user (apn)"),
    ("staff-0002", STAFF_APP): ("not-registered", "yes", "(apn)"),
    # Went back to the former app.
    ("undecided-0001", DISPATCH): ("back-in-chat", "perhaps", "former app"),
    # Registered already, and nothing is set up in Conversations.
    ("customer-0001@example.test", RIDER_SUPPORT): ("push-off", "yes", "load would switch it on"),
    # Switched off on both sides.
    ("user-0001", PARTNER_PORTAL): ("push-off", "yes", "as it is in Chat"),
    ("long-gone-0002", RIDER_SUPPORT): ("expired", "yes", "800 days ago"),
    # Without push errors its old server key is only suspected.
    ("driver-0001", DRIVER_APP): ("not-registered", "yes", "(fcm)"),
    ("old-android-0001", DRIVER_APP): ("not-registered", "yes", "(gcm)"),
}


def test_each_user_of_the_demo_gets_the_verdict_that_a_person_gives(
    migration: Path, demo_world: World, serve: Serve, ask: Ask, environment: Any
) -> None:
    server = serve(demo_world)
    for (user, service), expected in VERDICTS.items():
        check(ask(user, "--mapped", migration / "mapped", service=service), *expected)
    environment.setenv("CHAT_MIGRATE_MONITOR_URL", server.url)
    told = ask("driver-0001", "--mapped", migration / "mapped", service=DRIVER_APP)
    check(told, "credential-refused", "yes", "52117 legacy FCM key, push not sent")
    assert "not-registered" in {reason["code"] for reason in told["others"]}
    # The same service and another key: nothing is proven of that.
    check(ask("driver-0002", service=DRIVER_APP), "not-registered", "yes", "(apn)")
    assert demo_world.writes == []


def test_offline_from_the_demos_files_what_is_not_known_is_said(demo: Demo, ask: Ask) -> None:
    options = ("--snapshot", demo.folder / "snapshot", "--mapped", demo.folder / "mapped")
    for user, service, code in (
        ("rider-0001", DISPATCH, "not-known"),
        ("user-0001", PARTNER_PORTAL, "push-off"),
        ("beta-0001", COURIER_BETA, "device-refused"),
    ):
        told = ask(user, *options, service=service)
        assert told["verdict"]["code"] == code
        assert any(doubt.startswith("the bindings in Conversations") for doubt in told["unknown"])
