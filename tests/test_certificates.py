"""Certificates and keys of push credentials: what of a file is sent, and what cannot work is refused before a write."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.load.keys import UnfitKeyError, pair_of_pem
from migrate.standin.paging import ProblemError
from migrate.standin.server import StandInServer
from migrate.standin.world import make_world
from tests.conftest import Migrated, Run, Serve, tiny_world
from tests.keys import BOTH, PASSWORD, SINCE, certificate, p12, private_key, service_account

APN = '{type: apn, certificate: "env:CERT", private_key: "env:PRIVATE"}'
BAGS = "Bag Attributes\n    friendlyName: Apple Push Services\n    localKeyID: 01 02\nsubject=CN = x\n\n"
DEVELOPMENT, PRODUCTION = "Apple Development IOS Push Services: com.x", "Apple Production IOS Push Services: com.x"


@pytest.fixture
def server(serve: Serve, environment: pytest.MonkeyPatch, tmp_path: Path) -> StandInServer:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.setenv("CERT", certificate())
    environment.setenv("PRIVATE", private_key())
    content = tiny_world(notifications={}, bindings=[{"count": 1}])
    content["credentials"].append({"name": "old", "type": "apn", "sandbox": True, "updated_days_ago": 9})
    return serve(make_world(content))


@pytest.fixture
def mapped(server: StandInServer, migrated: Migrated) -> Path:
    return migrated(server.world)


def state(mapped: Path, stated: str, name: str = "new") -> None:
    path = mapped / "push-config.yaml"
    text = path.read_text("utf-8").partition("\ncredentials:")[0]
    path.write_text(f"{text}\ncredentials:\n  {name}: {stated}\n")


def look(run: Run, mapped: Path) -> Result:
    return run("load", mapped, "--only-credentials", "--json")


def codes(result: Result) -> set[str]:
    return {finding["code"] for finding in json.loads(result.stdout)["findings"]}


def apply(run: Run, mapped: Path, *options: object) -> Result:
    limits = ("--force", "blockers")
    return run("load", mapped, "--only-credentials", "--apply", "--yes", *limits, *options)


def damaged(text: str) -> str:
    """A PEM block that lacks some lines."""
    lines = text.splitlines(keepends=True)
    return "".join(lines[:3] + lines[5:])


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def sent(server: StandInServer, name: str = "new") -> dict[str, str]:
    (made,) = [found for found in server.world.credentials.values() if found.friendly_name == name]
    return made.secrets


WHOLE: dict[str, Callable[[], str]] = {
    "Certificate": lambda: digest(certificate()),
    "PrivateKey": lambda: digest(private_key()),
}


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text,
        lambda text: BAGS + text + "\ntrailing words",
        lambda text: "\ufeff" + BAGS + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "  \n   "),
        lambda text: text.replace("\n", "\\n"),
        lambda text: text.rstrip("\n"),
    ],
    ids=["plain", "bag attributes", "byte-order mark", "crlf", "spaces", "escaped breaks", "no last break"],
)
def test_the_block_alone_is_sent_whatever_stands_around_it(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch, written: Any
) -> None:
    environment.setenv("CERT", written(certificate()))
    environment.setenv("PRIVATE", written(private_key()))
    state(mapped, APN)
    done = apply(run, mapped)
    assert done.exit_code == 0, done.output
    assert sent(server) == {field: wanted() for field, wanted in WHOLE.items()}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_one_file_with_both_and_others_beside_them_gives_the_two_that_belong_together(
    tmp_path: Path, run: Run, server: StandInServer, mapped: Path, encoding: str
) -> None:
    parts = (BAGS, certificate(number=2), certificate(), BAGS, private_key(2, pkcs8=True), private_key())
    (tmp_path / "both.pem").write_bytes("".join(parts).replace(certificate(number=2), "").encode(encoding))
    state(mapped, f'{{type: apn, certificate: "file:{tmp_path}/both.pem", private_key: "file:{tmp_path}/both.pem"}}')
    assert apply(run, mapped).exit_code == 0
    assert sent(server) == {field: wanted() for field, wanted in WHOLE.items()}


def test_what_openssl_writes_of_a_p12_file_is_sent_as_its_blocks(
    tmp_path: Path, run: Run, server: StandInServer, mapped: Path
) -> None:
    """By the real openssl, with its `Bag Attributes`."""
    (tmp_path / "a.p12").write_bytes(p12())
    command = ["openssl", "pkcs12", "-in", str(tmp_path / "a.p12"), "-nodes", "-passin", f"pass:{PASSWORD}"]
    written = subprocess.run(command, capture_output=True, check=True).stdout
    assert b"Bag Attributes" in written or b"subject=" in written
    (tmp_path / "a.pem").write_bytes(written)
    state(mapped, f'{{type: apn, certificate: "file:{tmp_path}/a.pem", private_key: "file:{tmp_path}/a.pem"}}')
    assert apply(run, mapped).exit_code == 0
    assert sent(server)["Certificate"] == digest(certificate())


@pytest.mark.parametrize(
    ("cert", "key", "stated", "problem"),
    [
        (
            certificate,
            lambda: private_key(password="x"),
            APN,
            "env:PRIVATE holds a private key that needs a password",
        ),
        (
            certificate,
            lambda: private_key(password="x", pkcs8=True),
            APN,
            "needs a password; send it without: openssl",
        ),
        (certificate, lambda: private_key(2), APN, "env:PRIVATE does not belong to the certificate in env:CERT"),
        (certificate, lambda: damaged(private_key()), APN, "holds a private key that cannot be read"),
        (lambda: damaged(certificate()), private_key, APN, "holds a certificate that cannot be read"),
        (lambda: certificate(until=SINCE + timedelta(days=9)), private_key, APN, "env:CERT expired on 2026-01-10"),
        (lambda: certificate(since=SINCE + timedelta(days=300)), private_key, APN, "is not valid before 2026-10-28"),
        (lambda: certificate(DEVELOPMENT), private_key, APN, "is for Apple's sandbox, and the credential is for"),
        (
            lambda: certificate(PRODUCTION),
            private_key,
            APN.replace("}", ", sandbox: true}"),
            "is for production, and",
        ),
        (lambda: certificate(DEVELOPMENT), private_key, APN.replace("}", ", sandbox: false}"), "state sandbox: true"),
    ],
)
def test_what_cannot_work_is_refused_in_the_dry_run_and_before_anything_is_written(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch,
    cert: Any, key: Any, stated: str, problem: str,
) -> None:  # fmt: skip
    environment.setenv("CERT", cert())
    environment.setenv("PRIVATE", key())
    state(mapped, stated)
    shown = run("load", mapped, "--only-credentials")
    assert (shown.exit_code, problem in shown.stdout) == (0, True), shown.stdout
    done = apply(run, mapped)
    assert (done.exit_code, done.stderr.count("\n"), server.world.writes) == (1, 1, [])
    assert problem in done.stderr
    assert "Nothing was written" in done.stderr


@pytest.mark.parametrize(
    ("name", "stated", "is_refused"),
    [
        (BOTH, "", False),
        (BOTH, ", sandbox: true", False),
        (DEVELOPMENT, ", sandbox: true", False),
        (PRODUCTION, ", sandbox: false", False),
        (PRODUCTION, "", False),
        (DEVELOPMENT, ", sid: CR00000000000000000000000000000002", False),  # which is of the sandbox
        (PRODUCTION, ", sid: CR00000000000000000000000000000002", True),
    ],
)
def test_sandbox_and_production_are_told_apart_by_what_is_stated_or_else_live(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch, name: str, stated: str,
    is_refused: bool,
) -> None:  # fmt: skip
    environment.setenv("CERT", certificate(name))
    state(mapped, APN.replace("}", stated + "}"), "old" if "sid" in stated else "new")
    done = apply(run, mapped)
    assert (done.exit_code, len(server.world.writes)) == ((1, 0) if is_refused else (0, 1)), done.output


def test_a_common_name_that_says_nothing_is_said_and_not_refused(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("CERT", certificate("my own name"))
    state(mapped, APN)
    assert "credential-certificate-unknown" in codes(look(run, mapped))
    assert apply(run, mapped).exit_code == 0


@pytest.mark.parametrize(("days", "is_said"), [(1, True), (30, True), (31, False)])
def test_an_end_within_thirty_days_by_the_servers_clock_is_a_warning(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch, days: int, is_said: bool
) -> None:
    """The stand-in's clock stands at another time than this machine's."""
    until = server.world.now + timedelta(days=days)
    environment.setenv("CERT", certificate(until=until))
    state(mapped, APN)
    assert ("credential-certificate-ends" in codes(look(run, mapped))) == is_said
    plan_file = mapped.with_name("plan.json")
    with environment.context() as patch:
        patch.delenv("CERT")  # a plan that is made where the secret is not known
        assert run("load", mapped, "--only-credentials", "--plan-out", plan_file).exit_code == 0
    done = run("load", "--plan", plan_file, "--apply", "--yes")
    assert done.exit_code == 0
    assert (f"credential-certificate-ends: apn new, {until:%Y-%m-%d}" in done.stderr) == is_said


@pytest.mark.parametrize("password", [PASSWORD, ""])
@pytest.mark.parametrize("way", ["file", "env"])
def test_a_p12_file_is_taken_with_its_password_by_reference(
    tmp_path: Path, run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch, way: str,
    password: str,
) -> None:  # fmt: skip
    (tmp_path / "a.p12").write_bytes(p12(password=password))
    environment.setenv("P12", base64.encodebytes(p12(password=password)).decode())
    (tmp_path / "word").write_text(PASSWORD + "\n")
    reference = f"file:{tmp_path}/a.p12" if way == "file" else "env:P12"
    word = f', p12_password: "file:{tmp_path}/word"' if password else ""
    state(mapped, f'{{type: apn, p12: "{reference}"{word}}}')
    shown = run("load", mapped, "--only-credentials")
    assert reference in shown.stdout
    done = apply(run, mapped)
    assert done.exit_code == 0, done.output
    assert sent(server) == {field: wanted() for field, wanted in WHOLE.items()}
    assert PASSWORD not in shown.output + done.output


@pytest.mark.parametrize(
    ("content", "stated", "problem"),
    [
        (lambda: p12(), '{type: apn, p12: "env:P12"}', "cannot be opened"),
        (lambda: p12(), '{type: apn, p12: "env:P12", p12_password: "env:CERT"}', "its p12_password is another"),
        (lambda: b"no such file", '{type: apn, p12: "env:P12"}', "cannot be opened"),
        (lambda: p12(password="", whole=False), '{type: apn, p12: "env:P12"}', "does not hold a certificate and"),
        (
            lambda: p12(DEVELOPMENT, password=""),
            '{type: apn, p12: "env:P12"}',
            "certificate in env:P12 is for Apple's",
        ),
        (None, '{type: apn, p12: "env:CERT"}', "is not in base64"),
        (lambda: b"", '{type: apn, p12: "env:P12"}', "env:P12 is not set, or empty"),
    ],
)
def test_a_p12_file_that_cannot_work_is_refused(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch, content: Any, stated: str,
    problem: str,
) -> None:  # fmt: skip
    environment.setenv("P12", base64.b64encode(content()).decode() if content else "")
    state(mapped, stated)
    done = apply(run, mapped)
    assert (done.exit_code, done.stderr.count("\n"), server.world.writes) == (1, 1, [])
    assert problem in done.stderr


@pytest.mark.parametrize(
    ("stated", "problem"),
    [
        ('{type: apn, p12: "env:A", certificate: "env:B"}', "either p12, or certificate and private_key"),
        ('{type: fcm, secret: "env:A", p12: "env:B"}', "has no p12"),
        ('{type: apn, certificate: "env:A", private_key: "env:B", p12_password: "env:C"}', "has no p12_password"),
        ('{type: apn, p12: "hunter2"}', "p12 must be env:NAME or file:PATH"),
    ],
)
def test_a_p12_file_stands_alone(run: Run, server: StandInServer, mapped: Path, stated: str, problem: str) -> None:
    state(mapped, stated)
    done = run("load", mapped)
    assert (done.exit_code, problem in done.stderr, "hunter2" in done.output) == (1, True, False)


# --- service accounts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_service_account_file_is_sent_without_its_byte_order_mark(
    tmp_path: Path, run: Run, server: StandInServer, mapped: Path, encoding: str
) -> None:
    (tmp_path / "key.json").write_bytes(service_account().encode(encoding))
    state(mapped, f'{{type: fcm, secret: "file:{tmp_path}/key.json"}}')
    assert apply(run, mapped).exit_code == 0
    assert sent(server) == {"Secret": digest(service_account())}


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (service_account(type="authorized_user"), "is the key of something else than a service account"),
        (service_account(client_email=""), "one of them is empty, or no text"),
        (service_account(private_key=5), "one of them is empty, or no text"),
        ('{"private_key": ' + "9" * 5000 + "}", "is no service-account key"),
    ],
)
def test_what_is_no_service_account_is_refused(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch, key: str, problem: str
) -> None:
    environment.setenv("S", key)
    state(mapped, '{type: fcm, secret: "env:S"}')
    done = apply(run, mapped)
    assert (done.exit_code, done.stderr.count("\n"), server.world.writes) == (1, 1, [])
    assert problem in done.stderr


@pytest.mark.parametrize("key", ["x", private_key(password="x"), private_key()[:90]], ids=["x", "sealed", "cut"])
def test_a_private_key_in_it_that_cannot_be_read_is_said(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch, key: str
) -> None:
    environment.setenv("S", service_account(private_key=key))
    state(mapped, '{type: fcm, secret: "env:S"}')
    assert "credential-key-unread" in codes(look(run, mapped))


# --- what Twilio says ------------------------------------------------------------------------------------


def test_a_refusal_has_twilios_code_and_speaks_of_the_certificate(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise ProblemError(400, 20001, f"Certificate {certificate()} is not valid")

    environment.setattr("migrate.standin.app.update", refuse)
    state(mapped, APN)
    done = apply(run, mapped)
    assert done.exit_code == 1
    assert "Twilio has refused the certificate, private key or secret" in done.stdout
    assert "answered 400, code 20001" in done.stdout
    assert "address" not in done.stdout
    assert not any(line in done.output for line in certificate().splitlines()[1:-1])


@settings(max_examples=20)
@given(st.text(max_size=400), st.text(max_size=400))
def test_whatever_a_file_has_it_is_refused_or_a_pair(one: str, two: str) -> None:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    for text in (one, f"{begin}{one}{end}", f"{one}{certificate()}{two}"):
        for key in (two, two + private_key()):
            try:
                pair = pair_of_pem(("c", text), ("k", key))
            except UnfitKeyError:
                continue
            assert (pair.certificate, pair.private_key) == (certificate(), private_key())
