"""Arbitrary worlds: no device that had a push from Chat for something lacks it from Conversations after `retire`.

The stand-in says so at each delete (`migrate.standin.deliveries`), which knows nothing of the rule that it judges.
A world is a device: what its service pushes on either side, its bindings on both, and what comes of them meanwhile.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from migrate.retire.limits import LIMITS
from migrate.retire.replacement import CONDITIONS, Evidence
from migrate.standin import views
from migrate.standin.deliveries import lost_with
from migrate.standin.world import Binding, Credential, Service, World, binding_sid
from migrate.twilio_api.client import TwilioApi
from tests.conftest import SEED, TOKEN, Run, Serve, service_sid

NOW = datetime(2026, 6, 15, 8, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=900)
CONVERSATIONS = "twilio.conversations."
ALL_OF_THEM = ["new_message", "added_to_conversation", "removed_from_conversation"]
CHAT = ["new_message", "added_to_channel", "removed_from_channel", "invited_to_channel"]
MESS: list[Any] = [{}, None, [], "none", 7, True]
NOT_IN_THE_ACCOUNT = "CR" + "9" * 32


class Worlds:
    """Makes worlds, and lets things happen in them, by a seed. Most of each is as it should be."""

    def __init__(self, seed: int, devices: int = 2) -> None:
        self._random = Random(seed)
        self._devices = devices  # of each service

    def make(self, many: int) -> World:
        """An account with so many worlds."""
        kinds = [
            ("apn", "False"),
            ("apn", "True"),
            ("apn", None),
            ("fcm", None),
            ("fcm", None),
            ("gcm", None),
            (None, ""),
        ]
        credentials = [
            Credential(number, f"CR{number:032}", "", kind, sandbox, LONG_AGO, LONG_AGO if number == 5 else NOW)
            for number, (kind, sandbox) in enumerate(kinds, 1)
        ]
        services = [self._service(number) for number in range(1, many // self._devices + 1)]
        return World(
            NOW,
            "AC" + "1" * 32,
            TOKEN,
            {service.sid: service for service in services},
            {credential.sid: credential for credential in credentials},
        )

    def _mostly(self, good: Any, *bad: Any, chance: float = 0.97) -> Any:
        return good if self._random.random() < chance else self._random.choice(bad)

    def _service(self, number: int) -> Service:
        sid = service_sid(number)
        service = Service(
            number, sid, f"World {number}", self._notifications(), self._configuration(), shows_chat=False
        )
        for place in range(self._devices):
            self._device(service, place)
        service.shows_chat = self._mostly(False, True)
        return service

    def _notifications(self) -> Any:
        if self._random.random() < 0.05:
            return self._random.choice(MESS)
        on, off, silent = (
            {"enabled": True},
            {"enabled": False},
            [{}, "on", None, ["x"], {"enabled": "true"}, {"enabled": 0}],
        )
        found = {name: self._mostly(self._random.choice((on, on, off)), *silent) for name in CHAT[:3]}
        found["invited_to_channel"] = self._mostly(off, on, *silent, chance=0.85)
        found |= self._mostly({}, {"reaction_added": on}, {"pinned": "?"}, {"reaction_added": off})
        return {name: said for name, said in found.items() if self._random.random() > 0.03}

    def _configuration(self) -> dict[str, Any]:
        pushes = ["new_message", "new_message.with_media", *ALL_OF_THEM[1:]]
        found: dict[str, Any] = {f"{push}.enabled": self._mostly(True, False, "true", 1, None) for push in pushes}
        return {path: value for path, value in found.items() if self._random.random() > 0.02}

    def _device(self, service: Service, place: int) -> None:
        choose, number = self._random.choice, 2 * place + 1
        kind = choose(("apn", "apn", "fcm", "fcm", "gcm"))
        successor = "apn" if kind == "apn" else "fcm"
        credential = {"apn": choose((1, 2, 3)), "fcm": choose((4, 5)), "gcm": 6}[kind]
        seen = NOW - timedelta(days=self._mostly(self._random.uniform(3, 300), 700, chance=0.95))
        chats = Binding(
            number=number,
            sid=binding_sid(service.sid, number),
            identity=self._mostly(f"person-{place // 2}{choose('ab')}", "", None),
            endpoint=self._mostly(f"phone-{choose('xyz')}", "", None),
            binding_type=self._mostly(kind, None, "twilsock", "web"),
            credential_sid=self._mostly(f"CR{credential:032}", None, NOT_IN_THE_ACCOUNT),
            message_types=self._chats_names(),
            created=seen - timedelta(days=90),
            updated=self._mostly(seen, None, NOW, NOW - timedelta(days=1), NOW - timedelta(days=400)),
        )
        service.bindings.append(chats)
        if self._random.random() < 0.1:
            return
        same = f"CR{4 if kind == 'gcm' else credential:032}"
        registered = NOW - timedelta(days=1)
        theirs = Binding(
            number=number + 1,
            sid=self._mostly(binding_sid(service.sid, number + 1), chats.sid),
            identity=self._mostly(chats.identity, "person-0a", "person-0b", None),
            endpoint=self._mostly(chats.endpoint, "phone-x", "another", None),
            binding_type=self._mostly(successor, "gcm", "apn", "fcm", "twilsock", None),
            credential_sid=self._mostly(
                same, *(f"CR{other:032}" for other in range(1, 8)), None, NOT_IN_THE_ACCOUNT, chance=0.85
            ),
            message_types=self._theirs_names(),
            created=self._mostly(registered - timedelta(hours=1), None, NOW - timedelta(days=800)),
            updated=self._mostly(registered, None, NOW - timedelta(days=500), NOW + timedelta(days=800), seen),
        )
        if self._random.random() < 0.08:
            theirs.created = theirs.updated = self._random.choice((None, NOW - timedelta(days=400)))
        service.conversations_bindings.append(theirs)

    def _chats_names(self) -> list[str] | None:
        choose, prefix = self._random.choice, self._mostly("", "twilio.channel.", "twilio.ipmsg.", chance=0.6)
        names = [prefix + name for name in self._random.sample(CHAT[:3], choose((0, 1, 1, 2, 3)))]
        names += [prefix + CHAT[3]] if self._random.random() < 0.2 else []
        names += (
            [choose(("consumption_update", "twilio.ipmsg.typing_indicator"))] if self._random.random() < 0.2 else []
        )
        odd = ["reaction_added", "twilio.channel.pinned", f"{CONVERSATIONS}new_message", "added_to_conversation", ""]
        found: list[str] | None = self._mostly(names, None, [*names, choose(odd)], [*names, choose(odd)], chance=0.94)
        return found

    def _theirs_names(self) -> list[str] | None:
        names = [self._mostly(CONVERSATIONS, "", chance=0.8) + name for name in ALL_OF_THEM]
        fewer = [name for name in names if self._random.random() > 0.3]
        chats = [*names, "twilio.channel.new_message"], [*names, "removed_from_channel"]
        found: list[str] | None = self._mostly(
            names, fewer, fewer, None, [], ["new_message"], [f"{CONVERSATIONS}typing"], *chats, chance=0.9
        )
        return found

    def happen(self, world: World, service: Service) -> None:
        """One thing that may happen between the list and a delete."""
        binding = self._random.choice(service.bindings) if service.bindings else None
        registration = self._random.choice(service.conversations_bindings or [None])
        choice = self._random.randrange(12)
        if choice == 0 and binding:
            binding.updated = NOW
        elif choice == 1 and binding:
            binding.message_types = self._chats_names()
        elif choice == 2:
            service.notifications = self._notifications()
        elif choice in (3, 4):
            service.configuration = self._configuration()
        elif choice == 5 and binding:
            service.conversations_bindings.append(binding)  # it stands on both sides from now on
        elif choice == 6 and registration:
            service.conversations_bindings.remove(registration)
        elif choice == 7 and self._random.random() < 0.02:
            world.credentials.pop(self._random.choice(sorted(world.credentials)), None)
        elif choice == 8 and binding:
            binding.endpoint = "another"
        elif registration:
            changes: dict[str, list[Any]] = {
                "endpoint": ["another", None],
                "identity": ["another"],
                "binding_type": ["gcm", "apn", "fcm", None],
                "credential_sid": [None, NOT_IN_THE_ACCOUNT, *(f"CR{number:032}" for number in range(1, 8))],
                "updated": [None, NOW, LONG_AGO],
                "message_types": [self._theirs_names(), None],
            }
            name = self._random.choice(list(changes))
            setattr(registration, name, self._random.choice(changes[name]))


# --- the rule beside the oracle --------------------------------------------------------------------------


def evidence_of(world: World, service: Service, binding: Binding, registration: Binding) -> Evidence:
    """What both APIs show, with nothing changed since it was listed."""
    chats = views.chat_binding(world, service, binding, "")
    theirs = views.conversations_binding(world, service, registration, "")
    shown = [views.credential(world, credential, "") for credential in world.credentials.values()]
    return Evidence(
        held={**chats, "service_sid": service.sid},
        binding=chats,
        listed=theirs,
        registration=theirs,
        is_shared=service.shows_chat or any(other.sid == binding.sid for other in service.conversations_bindings),
        chat_service=service.sid,
        notifications=service.notifications,
        settings=views.notifications(world, service, service.configuration or {}, ""),
        credentials={credential["sid"]: credential for credential in shown},
        now=NOW,
    )


# Those that keep to what has changed, or whose answers it is: the worlds of this half do not change, and are one.
OF_CHANGES = {"changed", "registration-changed", "no-service", "other-service"}


@pytest.mark.parametrize("many", [1_500, pytest.param(20_000, marks=pytest.mark.long)])
def test_the_rule_deletes_what_the_oracle_sees_replaced_and_no_condition_is_in_vain(many: int) -> None:
    """Nothing is lost; and without any one of its conditions, something is."""
    caught, counted = Counter[str](), Counter[str]()
    world = Worlds(SEED).make(many)
    for service in world.services.values():
        for binding in service.bindings:
            for registration in service.conversations_bindings:
                evidence = evidence_of(world, service, binding, registration)
                holding = [each.name for each in CONDITIONS if each.holds(evidence)]
                lost = lost_with(world, service, binding)
                assert holding or not lost, (service, binding, registration, lost)
                counted["deleted" if not holding else "lost" if lost else "kept in vain"] += 1
                if len(holding) == 1 and (lost or holding == ["shared"]):
                    caught.update(holding)
    assert counted["deleted"] > many / 10
    assert counted["lost"] > many / 10
    assert set(caught) == {each.name for each in CONDITIONS} - OF_CHANGES, caught


# --- the command -----------------------------------------------------------------------------------------


def retire_all(
    folder: Path, run: Run, serve: Serve, patch: pytest.MonkeyPatch, seed: int, many: int
) -> tuple[World, dict[str, Any]]:
    """Extract so many worlds and retire what may be, while things happen; the world after it, and what was told."""
    worlds = Worlds(seed, devices=10)
    server = serve(worlds.make(many))
    world = server.world
    assert run("extract", "--out", folder / "s", "--no-shard").exit_code == 0
    rested, delete = TwilioApi.reset_budget, TwilioApi.delete
    chance = Random(seed)

    def meanwhile(api: TwilioApi) -> None:
        for service in world.services.values():
            for _ in range(chance.choice((0, 1, 3, 6))):
                worlds.happen(world, service)
        rested(api)

    def then(api: TwilioApi, side: Any, path: str) -> None:
        delete(api, side, path)
        if chance.random() < 0.3:
            worlds.happen(world, chance.choice(list(world.services.values())))

    forced = [item for name in LIMITS for item in ("--force", name)]
    with patch.context() as patched:
        patched.setattr(TwilioApi, "reset_budget", meanwhile)
        patched.setattr(TwilioApi, "delete", then)
        patched.setattr(TwilioApi, "pause", lambda api, seconds: None)
        options = ["--coverage", folder / "c", "--apply", "--yes", *forced, "--concurrency", 1, "--json"]
        done = run("retire", folder / "s", *options)
    assert done.exit_code == 0, done.output
    return world, json.loads(done.stdout)


def check(world: World, told: dict[str, Any], many: int, share: float) -> None:
    lost = {sid: pushes for sid, pushes in world.losses.items() if pushes}
    assert not lost
    assert len(world.losses) == told["retired"]["deleted"] > many * share


def test_no_device_loses_a_push_whatever_its_world_is(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    world, told = retire_all(tmp_path, run, serve, environment, SEED, 100)
    check(world, told, 100, 0.1)


@pytest.mark.long
def test_no_device_loses_a_push_in_5_000_worlds(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        world, told = retire_all(tmp_path / str(number), run, serve, environment, SEED + number, 1_000)
        check(world, told, 1_000, 0.1)


@pytest.mark.long
def test_a_rule_that_goes_by_the_list_alone_loses_pushes(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    """The worlds are such that it shows: what happens between the list and a delete costs pushes."""
    environment.setattr("migrate.retire.delete.why_needed", lambda evidence: None)
    world, _ = retire_all(tmp_path, run, serve, environment, SEED, 200)
    assert any(world.losses.values())
