"""A mapped folder is checked offline: every mistake, what would block its load, and secrets that are never shown."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.keys import certificate, private_key, service_account

CONFIG = "push-config.yaml"
SECRET = service_account()


@pytest.fixture
def mapped(tmp_path: Path, run: Run, migration: Path) -> Path:
    """A mapped folder that can be loaded: what blocks the demo is decided by rules."""
    shutil.copytree(migration / "snapshot", tmp_path / "snapshot")
    rules = tmp_path / "rules.toml"
    gcm, fcm = (f"CR{number:032d}" for number in (5, 3))
    rules.write_text(f'[credentials]\n{gcm} = "{fcm}"\n')
    done = run("map", tmp_path / "snapshot", "--out", tmp_path / "mapped", "--rules", rules)
    assert done.exit_code == 0, done.output
    return tmp_path / "mapped"


def append(mapped: Path, text: str) -> None:
    with (mapped / CONFIG).open("a", encoding="utf-8") as file:
        file.write(text)


def checked(run: Run, mapped: Path, code: int) -> dict[str, Any]:
    """What `check --json` says; nothing that it says is the secret."""
    before = {path: path.read_bytes() for path in mapped.rglob("*") if path.is_file()}
    text, found = run("check", mapped), run("check", mapped, "--json")
    assert (text.exit_code, found.exit_code) == (code, code), text.output + found.output
    assert text.stderr.count("\n") == (1 if code else 0)
    assert "PRIVATE KEY" not in text.output + found.output
    assert {path: path.read_bytes() for path in mapped.rglob("*") if path.is_file()} == before
    said: dict[str, Any] = json.loads(found.stdout)
    return said


def test_what_can_be_loaded_is_fine(run: Run, mapped: Path) -> None:
    found = checked(run, mapped, 0)
    assert (found["mistakes"], found["blocked_by"], found["services"]) == ([], [], 7)
    assert "no mistake" in run("check", mapped).stdout


def test_a_blocker_ends_with_4(run: Run, tmp_path: Path, migration: Path) -> None:
    mapped = Path(shutil.copytree(migration / "mapped", tmp_path / "mapped"))
    shutil.copytree(migration / "snapshot", tmp_path / "snapshot")
    assert checked(run, mapped, 4)["blocked_by"] == ["binding-gcm"]


def test_a_snapshot_that_is_gone_or_another_ends_with_4(run: Run, mapped: Path) -> None:
    snapshot = mapped.parent / "snapshot"
    (snapshot / "manifest.json").rename(mapped.parent / "away.json")
    assert checked(run, mapped, 4)["blocked_by"] == ["snapshot-unverified"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("enabled: true", "enabeld: true", "did you mean 'log_enabled'"),
        ("enabled: true", 'enabled: "yes"', "must be true or false"),
        ("services:", "services: [", "not valid YAML"),
        ("format_version: 1", "format_version: 9", "format_version must be 1"),
    ],
)
def test_a_mistake_in_the_configuration_has_its_line_and_the_rules_are_checked_too(
    run: Run, mapped: Path, old: str, new: str, problem: str
) -> None:
    path = mapped / CONFIG
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    (mapped / "rules.toml").write_text("[message_type]\n")
    first, second = checked(run, mapped, 1)["mistakes"]
    assert problem in first
    assert f"{path} line " in first
    assert "unknown table 'message_type'" in second


def test_rules_that_were_edited_where_they_change_nothing_are_a_mistake(run: Run, mapped: Path) -> None:
    rules = mapped / "rules.toml"
    text = rules.read_text("utf-8")
    rules.write_text(text + "# a comment\n", "utf-8")
    checked(run, mapped, 0)
    rules.write_text(text.replace("bindings_per_identity = ", "bindings_per_identity = 9", 1), "utf-8")
    (mistake,) = checked(run, mapped, 1)["mistakes"]
    assert "was edited after it was mapped by" in mistake
    rules.unlink()
    (mistake,) = checked(run, mapped, 1)["mistakes"]
    assert "no such file" in mistake


def test_every_secret_is_looked_up_and_every_problem_is_said(
    run: Run, mapped: Path, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key.json"
    key.write_text(SECRET)
    append(
        mapped,
        f"""
credentials:
  good: {{type: fcm, secret: "file:{key}"}}
  unset: {{type: fcm, secret: "env:NOT_SET_HERE"}}
  unfit: {{type: fcm, secret: "env:UNFIT_KEY"}}
  absent: {{type: apn, p12: "file:{tmp_path / "absent.p12"}"}}
""",
    )
    environment.setenv("UNFIT_KEY", "my-very-secret-text")
    found = checked(run, mapped, 1)
    problems = {one["friendly_name"]: one["problem"] for one in found["credentials"]}
    assert problems["good"] == ""
    assert problems["unset"] == "env:NOT_SET_HERE is not set, or empty"
    assert "is no service-account key" in problems["unfit"]
    assert "cannot be read: no such file" in problems["absent"]
    assert len(found["mistakes"]) == 3
    output = run("check", mapped).output
    assert "my-very-secret-text" not in output
    assert "and 2 more" in output
    assert "can be read, and used" in output


def test_a_credential_that_is_named_is_compared_with_the_snapshot(run: Run, mapped: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.write_text(SECRET)
    append(mapped, f'\ncredentials:\n  other name: {{sid: CR{3:032d}, type: fcm, secret: "file:{key}"}}\n')
    assert checked(run, mapped, 4)["blocked_by"] == ["credential-not-as-named"]
    path = mapped / CONFIG
    path.write_text(path.read_text("utf-8").replace(f"CR{3:032d}", f"CR{99:032d}"), "utf-8")
    (note,) = checked(run, mapped, 0)["notes"]
    assert "newer than the snapshot" in note


def test_a_service_that_the_snapshot_does_not_have_is_said(run: Run, mapped: Path) -> None:
    path = mapped / CONFIG
    unknown = "  IS" + "9" * 32 + ":\n    notifications: {}\n"
    path.write_text(path.read_text("utf-8").replace("services:\n", f"services:\n{unknown}", 1), "utf-8")
    (note,) = checked(run, mapped, 0)["notes"]
    assert "IS" + "9" * 32 in note


def test_which_of_apples_sides_it_is_may_not_be_known_offline(
    run: Run, mapped: Path, environment: pytest.MonkeyPatch
) -> None:
    name = "Apple Development IOS Push Services: com.example.app"
    environment.setenv("CERT", certificate(name, datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)))
    environment.setenv("PRIVATE", private_key())
    stated = '{{sid: CR{:032d}, type: apn, certificate: "env:CERT", private_key: "env:PRIVATE"{}}}'
    append(mapped, f"\ncredentials:\n  pair: {stated.format(99, '')}\n")
    assert checked(run, mapped, 0)["credentials"][0]["problem"] == ""
    path = mapped / CONFIG
    path.write_text(path.read_text("utf-8").replace('"env:PRIVATE"', '"env:PRIVATE", sandbox: false'), "utf-8")
    assert "is for Apple's sandbox" in checked(run, mapped, 1)["credentials"][0]["problem"]
