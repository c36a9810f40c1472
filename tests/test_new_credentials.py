"""A credential is made once, though the server changes its name and answers are lost: by what is new since."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from migrate.load.journal import CredentialEntry, read_journal
from migrate.model.errors import TransientTwilioError, TwilioError
from migrate.standin import credentials
from migrate.standin.server import StandInServer
from migrate.standin.world import Credential, make_world
from migrate.twilio_api.client import TwilioApi
from tests.conftest import Migrated, Run, Serve, tiny_world
from tests.keys import service_account

pytestmark = pytest.mark.no_cover  # other tests cover the same lines; untraced, these take half the time

Change = Callable[[str], str]
CHANGES: list[tuple[str, Change]] = [
    ("Android app ", str.strip),
    ("  Android   app", lambda name: " ".join(name.split())),
    ("Androïd app", lambda name: unicodedata.normalize("NFD", name)),
    ("Android app", str.lower),
    ("Android app (née iOS!)", lambda name: "".join(one for one in name if one.isalnum() or one == " ")),
    ("Android application of ours", lambda name: name[:12]),
]
OTHER = "something else altogether"


@pytest.fixture
def server(serve: Serve, environment: pytest.MonkeyPatch, tmp_path: Path) -> StandInServer:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.setenv("FCM_KEY", service_account())
    content = tiny_world(notifications={}, bindings=[{"count": 1}])
    content["credentials"] += [{"name": "former", "type": "fcm"}, {"name": "other", "type": "apn"}]
    return serve(make_world(content))


@pytest.fixture
def plan_file(tmp_path: Path, run: Run, server: StandInServer, migrated: Migrated) -> Callable[[str], Path]:
    migrated(server.world)

    def made(name: str) -> Path:
        path = tmp_path / "mapped" / "push-config.yaml"
        text = path.read_text("utf-8").partition("\ncredentials:")[0]
        path.write_text(
            f'{text}\ncredentials:\n  {json.dumps(name)}: {{type: fcm, secret: "env:FCM_KEY"}}\n', "utf-8"
        )
        plan = tmp_path / "plan.json"
        assert run("load", path.parent, "--only-credentials", "--plan-out", plan).exit_code == 0
        return plan

    return made


def renaming(environment: pytest.MonkeyPatch, change: Change) -> None:
    real = credentials.update

    def update(found: Credential, form: Any, now: Any) -> None:
        real(found, form, now)
        found.friendly_name = change(found.friendly_name or "")

    environment.setattr("migrate.standin.app.update", update)


def losing(environment: pytest.MonkeyPatch, *, arrives: bool = True) -> None:
    """Lose every answer to a write, which may arrive or not."""
    real = TwilioApi.post

    def post(self: TwilioApi, *arguments: Any) -> None:
        if arrives:
            real(self, *arguments)
        raise TransientTwilioError("the answer was lost")

    environment.setattr(TwilioApi, "post", post)


def apply(run: Run, plan: Path) -> Result:
    return run("load", "--plan", plan, "--apply", "--yes", "--force", "blockers", "--retry-budget", 2)


def entry(plan: Path) -> CredentialEntry:
    found = read_journal(plan.with_suffix(".journal.jsonl")).entries[-1]
    assert isinstance(found, CredentialEntry)
    return found


def add(server: StandInServer, number: int, name: str) -> str:
    world, sid = server.world, f"CR{number:032}"
    world.credentials[sid] = Credential(number, sid, name, "fcm", None, world.now, world.now)
    return sid


@pytest.mark.parametrize(("name", "change"), CHANGES)
@pytest.mark.parametrize("is_lost", [True, pytest.param(False, marks=pytest.mark.long)])
def test_one_whose_name_the_server_changes_is_made_once_and_found(
    run: Run, server: StandInServer, plan_file: Callable[[str], Path], environment: pytest.MonkeyPatch, name: str,
    change: Change, is_lost: bool,
) -> None:  # fmt: skip
    plan = plan_file(name)
    renaming(environment, change)
    if is_lost:
        losing(environment)
    for code in (0, 4):  # done, and done already
        assert apply(run, plan).exit_code == code
    assert server.world.writes == ["POST /v1/Credentials"]
    after = entry(plan).after
    assert (entry(plan).status, after and server.world.credentials[after.sid].friendly_name) == (
        "applied",
        change(name),
    )


def test_a_name_that_was_trimmed_is_not_planned_again(
    run: Run, server: StandInServer, plan_file: Callable[[str], Path], environment: pytest.MonkeyPatch
) -> None:
    plan = plan_file("Android app ")
    renaming(environment, str.strip)
    assert apply(run, plan).exit_code == 0
    plan.with_suffix(".journal.jsonl").unlink()
    assert json.loads(plan_file("Android app ").read_bytes())["changes"] == []


@pytest.mark.parametrize("change", [lambda _: "", lambda _: OTHER, lambda _: "?????? ???"])
def test_one_that_cannot_be_known_again_stays_open_and_is_never_made_again(
    run: Run, server: StandInServer, plan_file: Callable[[str], Path], environment: pytest.MonkeyPatch, change: Change
) -> None:
    """Its answer was lost, and what is new has another name: ours, or somebody else's."""
    plan = plan_file("Android app")
    renaming(environment, change)
    losing(environment)
    for _ in range(3):
        done = apply(run, plan)
        assert (done.exit_code, "has another type or name; none is made again" in done.stdout) == (1, True)
        assert "name its sid in push-config.yaml" in done.stdout
        assert entry(plan).status is None
    assert server.world.writes == ["POST /v1/Credentials"]


def test_two_that_are_new_are_told_and_none_is_made(
    run: Run, server: StandInServer, plan_file: Callable[[str], Path], environment: pytest.MonkeyPatch
) -> None:
    plan = plan_file("Android app ")
    with environment.context() as patch:
        losing(patch, arrives=False)
        assert apply(run, plan).exit_code == 1
    first, second = add(server, 80, "android-app"), add(server, 90, "ANDROID APP")
    add(server, 70, "another apn")
    server.world.credentials["CR" + "7".zfill(32)] = replace(
        server.world.credentials[first], sid="CR" + "7".zfill(32), type="apn"
    )
    for _ in range(2):
        done = apply(run, plan)
        assert done.exit_code == 1
        assert f"{first}, " in done.stdout
        assert second in done.stdout
        assert "which of them is ours is unknown" in done.stdout
    assert server.world.writes == []


def test_one_of_the_very_name_is_ours_whatever_else_is_new(
    run: Run, server: StandInServer, plan_file: Callable[[str], Path], environment: pytest.MonkeyPatch
) -> None:
    plan, real = plan_file("Android app"), TwilioApi.post

    def post(self: TwilioApi, *arguments: Any) -> None:
        real(self, *arguments)
        add(server, 80, OTHER)
        raise TransientTwilioError("the answer was lost")

    environment.setattr(TwilioApi, "post", post)
    assert apply(run, plan).exit_code == 0
    assert (entry(plan).sid, server.world.writes) == (f"CR{4:032}", ["POST /v1/Credentials"])


def test_what_was_there_before_is_not_taken_for_ours(
    run: Run, server: StandInServer, plan_file: Callable[[str], Path], environment: pytest.MonkeyPatch
) -> None:
    add(server, 80, "android-app")  # it resembles it, and has another name
    plan = plan_file("Android app")
    losing(environment)
    assert apply(run, plan).exit_code == 0
    assert server.world.writes == ["POST /v1/Credentials"]
    seen, after = entry(plan).seen, entry(plan).after
    assert seen == frozenset(f"CR{n:032}" for n in (1, 2, 3, 80))
    assert after
    assert after.sid == f"CR{81:032}"


def test_a_refusal_is_one_though_somebody_else_makes_another_meanwhile(
    run: Run, server: StandInServer, plan_file: Callable[[str], Path], environment: pytest.MonkeyPatch
) -> None:
    plan = plan_file("Android app")

    def refuse(*_: Any) -> None:
        add(server, 80, OTHER)
        raise TwilioError("it answered 400", status=400, code=20001)

    with environment.context() as patch:
        patch.setattr(TwilioApi, "post", refuse)
        assert apply(run, plan).exit_code == 1
    assert entry(plan).status == "void"
    assert apply(run, plan).exit_code == 0
    assert server.world.writes == ["POST /v1/Credentials"]


def test_one_that_was_taken_for_lost_and_comes_late_is_found_by_the_next_run(
    run: Run, server: StandInServer, plan_file: Callable[[str], Path], environment: pytest.MonkeyPatch
) -> None:
    plan = plan_file("Android app ")

    def refuse(*_: Any) -> None:
        raise TwilioError("it answered 400", status=400)

    with environment.context() as patch:
        patch.setattr(TwilioApi, "post", refuse)
        assert apply(run, plan).exit_code == 1
    assert entry(plan).status == "void"
    sid = add(server, 80, "android app")
    done = apply(run, plan)
    assert (done.exit_code, server.world.writes) == (0, [])
    assert f"{sid}, made meanwhile" in done.stdout


def test_a_journal_that_does_not_say_what_was_there_goes_by_the_name(
    run: Run, server: StandInServer, plan_file: Callable[[str], Path], environment: pytest.MonkeyPatch
) -> None:
    """Of an earlier version."""
    plan = plan_file("Android app")
    losing(environment, arrives=False)
    assert apply(run, plan).exit_code == 1
    journal = plan.with_suffix(".journal.jsonl")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        line.pop("seen", None)
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    sid = add(server, 80, "Android app")
    add(server, 90, OTHER)
    assert apply(run, plan).exit_code == 0
    assert (entry(plan).status, entry(plan).sid, server.world.writes) == ("applied", sid, [])
    journal.write_text(journal.read_text().replace('"type": "fcm"', '"seen": 5, "type": "fcm"'))
    assert apply(run, plan).exit_code == 1
