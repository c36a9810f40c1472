"""A right loader passes every point."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from migrate.rehearse.processes import Child
from tests.conftest import Demo, Run, Serve, service_sid, tiny_world
from tests.keys import service_account
from tests.rehearse.conftest import POINTS, UP_TO_DATE, Make, reasons, rehearse, verdicts, world


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.long
def test_a_right_loader_passes_every_point_and_nothing_else_is_touched(
    tmp_path: Path, run: Run, serve: Serve, make: Make, temporary: Path, environment: pytest.MonkeyPatch
) -> None:
    server = serve(world())
    folder = make(world())
    server.world.requests = 0
    # What the operator has set is for Twilio, or would lead elsewhere: the children see nothing of it.
    environment.setenv("TWILIO_AUTH_TOKEN", "planted-secret")
    environment.setenv("TWILIO_REGION", "nowhere")
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    before = contents(folder)
    reports = tmp_path / "reports" / "r.md", tmp_path / "reports" / "r.json"
    result = rehearse(run, folder, "--fault-rate", "0.05", "--report", reports[0], "--report", reports[1])
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    held = json.loads(reports[1].read_bytes())
    assert [(point["name"], point["verdict"]) for point in held["points"]] == [(name, "passed") for name in POINTS]
    assert (held["changes"], held["writes"] >= 2 * 2 + 2) == (2, True)  # there, back, and the stranger twice
    # This limit would refuse the real load; the snapshot's age counts from today, not from the stand-in's clock.
    assert list(held["limits"]) == ["old-snapshot", "switches-off"]
    assert contents(folder) == before
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "config").exists()
    assert server.world.requests == 0
    for text in (result.stdout, reports[0].read_text("utf-8")):
        assert "10 passed" in text
        assert "switches-off" in text
        assert all(name in text for name in POINTS)
    assert "planted-secret" not in result.output + reports[0].read_text("utf-8") + reports[1].read_text("utf-8")


@pytest.mark.long
def test_a_plan_without_changes_passes_by_its_dry_run_and_what_comes_after_it(run: Run, make: Make) -> None:
    result = rehearse(run, make(tiny_world(conversations=UP_TO_DATE)), "--fault-rate", "0", "--json")
    passed = {"dry run": "passed", "retire": "passed"}
    assert (result.exit_code, verdicts(result)) == (0, dict.fromkeys(POINTS, "skipped") | passed)
    assert set(reasons(result).values()) == {"", "there is nothing to change"}
    told = json.loads(result.stdout)
    assert (told["changes"], told["writes"], told["passed"]) == (0, 0, True)


@pytest.mark.long
def test_where_there_is_one_change_and_nothing_may_be_retired_three_points_are_skipped_and_say_why(
    run: Run, make: Make
) -> None:
    invited = [{"count": 3, "identity": "person-{n}", "message_types": [["invited_to_channel"]]}]
    result = rehearse(run, make(tiny_world(bindings=invited)), "--fault-rate", "0", "--json")
    skipped = {
        "limits": "no limit refuses it",
        "stranger": "no other service is left to be changed",
        "retire": "of no device is it shown that it gets the same through Conversations",
    }
    assert result.exit_code == 0, result.output
    assert verdicts(result) == dict.fromkeys(POINTS, "passed") | dict.fromkeys(skipped, "skipped")
    assert {name: reason for name, reason in reasons(result).items() if reason} == skipped


@pytest.mark.long
def test_a_loader_that_is_done_before_the_kill_is_told_and_passes(
    run: Run, make: Make, environment: pytest.MonkeyPatch
) -> None:
    def late(child: Child, seen: Callable[[], bool], seconds: float) -> bool:
        if "standin" not in child.out.name:
            child.wait(seconds)
        return real(child, seen, seconds)

    real = Child.wait_until
    environment.setattr(Child, "wait_until", late)
    result = rehearse(run, make(world()), "--fault-rate", "0", "--json")
    assert result.exit_code == 0, result.output
    found = verdicts(result)
    assert [name for name in POINTS if found[name] == "skipped"] == ["kill", "stranger"]
    assert reasons(result)["kill"] == "it was done before it could be killed"


@pytest.mark.long
def test_the_demo_is_rehearsed_in_time_whatever_fails(run: Run, demo: Demo, temporary: Path) -> None:
    started = time.monotonic()
    result = rehearse(run, demo.folder, "--seed", 1, "--json")
    assert (result.exit_code, set(verdicts(result).values())) == (0, {"passed"}), result.output
    assert time.monotonic() - started < 120  # it ends; how fast, a shared machine decides
    assert list(json.loads(result.stdout)["limits"]) == ["blockers", "old-snapshot", "switches-off"]


@pytest.mark.long
def test_credentials_are_rehearsed_too_and_their_secrets_are_told_nowhere(
    run: Run, make: Make, environment: pytest.MonkeyPatch
) -> None:
    content = world()
    content["credentials"].append({"name": "old", "type": "fcm"})
    folder = make(content)
    secret = service_account(private_key_id="planted-9c1d-secret")
    environment.setenv("FCM_KEY", secret)
    config = folder / "mapped" / "push-config.yaml"
    made, updated = '{type: fcm, secret: "env:FCM_KEY"}', f'{{type: fcm, sid: CR{2:032}, secret: "env:FCM_KEY"}}'
    config.write_text(f"{config.read_text()}\ncredentials:\n  new: {made}\n  old: {updated}\n")
    result = rehearse(run, folder, "--fault-rate", "0.2", "--json")
    assert result.exit_code == 0, result.output
    assert set(verdicts(result).values()) == {"passed"}
    told = json.loads(result.stdout)
    assert (told["changes"], told["writes"] >= 2 + 2 * 2 + 2) == (4, True)
    assert "planted" not in result.output
    environment.delenv("FCM_KEY")
    assert rehearse(run, folder).exit_code == 1


@pytest.mark.long
def test_what_the_snapshot_does_not_know_is_noted(tmp_path: Path, run: Run, make: Make) -> None:
    folder = make(world(conversations=None))  # the service is not there
    other = run("extract", "--out", tmp_path / "other", "--no-shard")
    assert other.exit_code == 0
    result = run("rehearse", folder / "mapped", "--snapshot", tmp_path / "other", "--fault-rate", "0", "--json")
    assert result.exit_code == 0, result.output
    notes = json.loads(result.stdout)["notes"]
    assert len(notes) == 2
    assert "another snapshot" in notes[0]
    assert service_sid(1) in notes[1]
