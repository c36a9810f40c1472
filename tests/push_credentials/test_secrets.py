"""Secrets come by reference, are checked before anything is written, and are shown nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from migrate.cli.commands import applying
from migrate.map.push_config_yaml import parse
from migrate.model.errors import InputError
from migrate.standin import credentials
from migrate.standin.paging import ProblemError
from migrate.standin.server import StandInServer
from migrate.standin.world import Credential
from tests.conftest import Run
from tests.push_credentials.conftest import (
    FCM,
    KEY,
    LIMITS,
    PEM,
    PRIVATE,
    SECRET,
    TWIN,
    apply,
    entries,
    named,
    plan,
    state,
)


@pytest.mark.parametrize(
    ("reference", "value", "problem"),
    [
        ("env:UNSET", None, "env:UNSET is not set, or empty"),
        ("env:S", " \n", "is not set, or empty"),
        ("file:no/such/file", None, "cannot be read: no such file or directory"),
        ("file:~nobody-of-that-name/x", None, "is not text that can be sent"),
        ("file:.", None, "cannot be read: is a directory"),
        ("file:{}", b"\xff" + SECRET.encode(), "is not text that can be sent"),
        ("file:{}", b"", "is not set, or empty"),
        ("env:S", SECRET, "is no service-account key"),
        ("env:S", '{"private_key": "' + SECRET + '"}', "is no service-account key"),
        ("env:S", "[" * 100_000, "is no service-account key"),
    ],
)
def test_a_reference_that_leads_nowhere_is_one_line_before_anything_is_written(
    tmp_path: Path, run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch,
    reference: str, value: str | bytes | None, problem: str,
) -> None:  # fmt: skip
    if isinstance(value, bytes):
        (tmp_path / "key").write_bytes(value)
    elif value:
        environment.setenv("S", value)
    reference = reference.format(tmp_path / "key")
    state(mapped, new=f'{{type: fcm, secret: "{reference}"}}', other=FCM)
    done = apply(run, plan(run, mapped))
    assert (done.exit_code, done.stderr.count("\n"), server.world.writes) == (1, 1, [])
    assert problem in done.stderr
    assert SECRET not in done.output


def test_what_is_no_pem_is_told(run: Run, server: StandInServer, mapped: Path) -> None:
    state(mapped, new='{type: apn, certificate: "env:FCM_KEY", private_key: "env:FCM_KEY"}')
    done = apply(run, plan(run, mapped))
    assert (done.exit_code, server.world.writes) == (1, [])
    assert "env:FCM_KEY is no certificate in PEM format" in done.stderr
    assert SECRET not in done.output


def test_a_certificate_and_its_key_are_not_mixed_up(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("CERT", PEM)
    environment.setenv("KEY", PRIVATE)
    for first, key, problem in (("KEY", "CERT", "KEY is no certificate"), ("CERT", "CERT", "no private key")):
        state(mapped, new=f'{{type: apn, certificate: "env:{first}", private_key: "env:{key}"}}')
        done = apply(run, plan(run, mapped))
        assert (done.exit_code, done.stderr.count("\n"), server.world.writes) == (1, 1, [])
        assert problem in done.stderr


@pytest.mark.parametrize(
    ("stated", "problem"),
    [
        (f"{{type: fcm, secret: {SECRET}}}", "secret must be env:NAME or file:PATH, and never the secret itself"),
        (f'{{type: fcm, secret: "env:{SECRET}"}}', "never the secret itself"),
        (f"{{type: fcm, secret: {{private_key: {SECRET}}}}}", "must be a text in quotes"),
        (f"{{type: fcm, secret: [{SECRET}]}}", "must be a text in quotes"),
        (f"{{type: {SECRET}, secret: 'env:A'}}", "type must be apn or fcm"),
        ("{type: gcm, secret: 'env:A'}", "type must be apn or fcm"),
        ("{type: fcm}", "a credential of type fcm needs secret"),
        ("{secret: 'env:A'}", "type must be apn or fcm"),
        ("{type: fcm, secret: 'env:A', certificate: 'env:B'}", "has no certificate"),
        ("{type: fcm, secret: 'env:A', sandbox: true}", "has no sandbox"),
        ("{type: fcm, secret: 'env:A', sandbox: 1}", "must be true or false"),
        ("{type: fcm, secret: 'env:A', sid: CR1}", "sid must be a credential's SID"),
        ("{type: fcm, secret: 'env:A', scret: 1}", "an unknown key under the credential 'new'; it has type, sid"),
        (f"{{type: fcm, {SECRET}: 1}}", "an unknown key under"),
        (f"{{{SECRET}: 1, {SECRET}: 1}}", "a key stands twice under"),
        ('{type: fcm, secret: "file:\\ud83d"}', "half of a character"),
        ("1", "the credential 'new' must be a mapping"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_never_the_secret(stated: str, problem: str) -> None:
    text = f"format_version: 1\nservices: {{}}\ncredentials:\n  new: {stated}\n"
    with pytest.raises(InputError) as told:
        parse(text, "push-config.yaml")
    assert "push-config.yaml line 4: " in str(told.value)
    assert problem in str(told.value)
    assert SECRET not in str(told.value)


@pytest.mark.parametrize("name", ["''", "x" * 65])
def test_a_name_is_as_long_as_twilio_takes_it(name: str) -> None:
    with pytest.raises(InputError, match="a credential's name has 1 to 64 characters"):
        parse(f"format_version: 1\nservices: {{}}\ncredentials:\n  {name}: {FCM}\n", "x")


def test_the_secret_is_in_nothing_that_is_written_or_told(
    tmp_path: Path, run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch
) -> None:
    """Also not where Twilio refuses it, and repeats it."""
    state(mapped, new=FCM, twin=TWIN)
    out = tmp_path / "out"
    out.mkdir()
    reports = ["--report", out / "r.md", "--report", out / "r.json", "--plan-out", out / "plan.json"]
    logs = ["-v", "-v", "--log-file", out / "log.jsonl"]
    shown = run("load", mapped, *reports, "--record", out / "c.yaml", *logs)
    assert shown.exit_code == 0, shown.output
    real, refusals = credentials.update, 0

    def refuse(found: Credential, form: dict[str, str], now: Any) -> None:
        nonlocal refusals
        refusals += 1
        assert form["Secret"] == KEY  # it was there to be told
        if refusals < 3:
            raise ProblemError([400, 503][refusals - 1], 20001, f"Secret {form['Secret']} is not valid")
        real(found, form, now)

    environment.setattr("migrate.standin.app.update", refuse)
    refused = apply(run, out / "plan.json", *logs[:2], "--log-file", out / "second.jsonl", "--record", out / "d.yaml")
    assert refused.exit_code == 6
    assert "/v1/Credentials answered 400" in refused.stdout
    assert [entry.status for entry in entries(out / "plan.json")] == ["void", "applied"]
    done = apply(run, out / "plan.json", *logs[:2], "--log-file", out / "third.jsonl", "--json")
    assert done.exit_code == 0, done.output
    undone = run("rollback", out / "plan.journal.jsonl", *logs[:2])
    assert len(named(server.world, "new")) == 1
    for told in (shown, refused, done, undone):
        assert SECRET not in told.output
    written = [path for path in out.rglob("*") if path.is_file()]
    assert len(written) == 9
    for path in written:
        data = path.read_bytes()
        assert SECRET.encode() not in data, path
        assert quote_plus(KEY).encode() not in data, path
    assert b"Secret=hidden" in (out / "d.yaml").read_bytes()


def test_credentials_come_first_and_a_failure_stops_nothing(
    tmp_path: Path, run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch
) -> None:
    """A question names both; a service alone, or credentials alone, leaves the other out."""
    text = (mapped / "push-config.yaml").read_text("utf-8").replace("log_enabled: false", "log_enabled: true", 1)
    sid = next(iter(server.world.services))
    (mapped / "push-config.yaml").write_text(
        f"format_version: 1\nservices: {{{sid}: {{notifications: {{log_enabled: true}}}}}}\n" if text else text
    )
    state(mapped, new=FCM)
    plan_file = tmp_path / "both.json"
    assert run("load", mapped, "--plan-out", plan_file).exit_code == 0
    kinds = [change["kind"] for change in json.loads(plan_file.read_bytes())["changes"]]
    assert kinds == ["credential", "notifications"]
    narrow = json.loads(run("load", mapped, "--service", sid, "--json").stdout)
    assert [change["kind"] for change in narrow["changes"]] == ["notifications"]
    narrow = json.loads(run("load", mapped, "--only-credentials", "--json").stdout)
    assert [change["kind"] for change in narrow["changes"]] == ["credential"]
    environment.setattr(applying, "_is_terminal", lambda: True)
    asked = run("load", "--plan", plan_file, "--apply", *LIMITS)
    assert "1 credentials, 1 services (2)" in asked.stderr
    server.world.credentials["CR" + "9" * 32] = Credential(
        9, "CR" + "9" * 32, "new", "fcm", None, server.world.now, server.world.now
    )
    server.world.credentials["CR" + "8" * 32] = Credential(
        8, "CR" + "8" * 32, "new", "fcm", None, server.world.now, server.world.now
    )
    done = apply(run, plan_file)
    assert done.exit_code == 6
    assert "1 of 2 objects are not as planned: a new fcm credential is failed" in done.stderr
    assert [write.split("/")[-1] for write in server.world.writes] == ["Notifications"]


@pytest.mark.parametrize("options", [["--service", "IS" + "1" * 32, "--only-credentials"]])
def test_one_narrows_or_the_other(run: Run, mapped: Path, options: list[str]) -> None:
    assert run("load", mapped, *options).exit_code == 2
    assert run("load", "--plan", plan(run, mapped), "--only-credentials").exit_code == 2


def test_a_plan_of_credentials_changed_by_hand_is_refused(run: Run, server: StandInServer, mapped: Path) -> None:
    state(mapped, twin=TWIN)
    plan_file = plan(run, mapped)
    whole = plan_file.read_text("utf-8")
    for old, new in [("env:FCM_KEY", "env:OTHER"), ('"fcm"', '"gcm"'), ("CR0", "XX0"), ('"existing": {', '"x": {')]:
        assert old in whole
        plan_file.write_text(whole.replace(old, new, 1))
        assert run("load", "--plan", plan_file).exit_code == 1, (old, new)


def test_a_list_that_is_none_of_credentials_is_one_line(run: Run, server: StandInServer, mapped: Path) -> None:
    state(mapped, new=FCM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("migrate.standin.views.credential", lambda *_: {"sid": 7, "friendly_name": "x", "type": "fcm"})
        done = run("load", mapped, "--retry-budget", 0)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "it lists what is no credential" in done.stderr
