"""No secret in any output: planted, and then looked for in everything that a run leaves behind or says."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from migrate.standin.faults import Faults
from tests.conftest import Run, Serve, tiny_world
from tests.planted import assert_hidden, forms
from tests.scripted import Reply, Scripted, scripted

pytestmark = pytest.mark.no_cover  # other tests cover the same lines; untraced, these take half the time

SECRET = "planted-7f3a-secret"
ACCOUNT = "AC" + "1" * 32
KEY = "SK" + "2" * 32


def assert_nowhere(folder: Path, *told: str) -> None:
    """Neither a file's content, nor its name, nor what was said holds the secret."""
    assert_hidden({SECRET: (ACCOUNT, KEY)}, folder, *told)


@pytest.fixture(params=["auth token", "api key"])
def signed(request: pytest.FixtureRequest, environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The planted secret in the environment, as either kind of credential."""
    environment.setenv("TWILIO_ACCOUNT_SID", ACCOUNT)
    if request.param == "auth token":
        environment.setenv("TWILIO_AUTH_TOKEN", SECRET)
    else:
        environment.setenv("TWILIO_API_KEY", KEY)
        environment.setenv("TWILIO_API_SECRET", SECRET)
    return environment


def test_a_whole_run_with_faults_and_all_logging_keeps_the_secret(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    content = tiny_world(bindings=[{"count": 40, "binding_type": ["apn", "fcm", "gcm"]}])
    serve({**content, "auth_token": SECRET}, faults=Faults(rate=0.3, seed=5, token_expiry=0.1))
    logs = ["-v", "-v", "--log-file", tmp_path / "log.jsonl"]
    result = run("run", "--out", tmp_path / "o", "--record", tmp_path / "c.yaml", "--page-size", 3, *logs)
    assert result.exit_code == 0, result.output
    assert "GET " in result.stderr
    assert_nowhere(tmp_path, result.stdout, result.stderr)


@pytest.mark.parametrize(
    "reply",
    [
        Reply({"code": 20003, "message": f"no: {SECRET}, "}, 401),
        Reply({}, 403),
        Reply({}, 500),
        Reply(b"not json"),
        Reply(b"cut", 200, {"Content-Length": "500", "Connection": "close"}),
        Reply(b"", 302, {"Location": "http://elsewhere.example.test/"}),
        Reply({"meta": {"next_page_url": "http://elsewhere.example.test/x"}, "services": []}),
    ],
)
def test_no_failure_tells_the_secret(tmp_path: Path, run: Run, signed: pytest.MonkeyPatch, reply: Reply) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        """A server may say what it was sent."""
        if reply.status != 401:
            return reply
        return Reply({**reply.body, "message": reply.body["message"] + server.seen[-1][2]["Authorization"]}, 401)

    with scripted(answer) as server:
        urls = ["--chat-url", server.url, "--conversations-url", server.url]
        logs = ["-v", "-v", "--log-file", tmp_path / "log.jsonl"]
        result = run("extract", "--out", tmp_path / "s", "--record", tmp_path / "c.yaml", *urls, *logs)
        (sent,) = {headers["Authorization"] for _, _, headers in server.seen}
    assert result.exit_code != 0
    assert any(secret in sent for secret in forms(SECRET, ACCOUNT, KEY))  # it was there to be told
    assert_nowhere(tmp_path, result.stdout, result.stderr)


def test_a_crash_tells_no_secret_not_even_with_its_traceback(
    tmp_path: Path, run: Run, signed: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(self: Any, request: Any) -> Any:
        raise RuntimeError("a mistake in the program")

    signed.setattr("migrate.twilio_api.transports.live.LiveTransport.send", crash)
    with caplog.at_level(logging.DEBUG):
        logs = ["-v", "-v", "--log-file", tmp_path / "log.jsonl"]
        urls = ["--chat-url", "http://127.0.0.1:1", "--conversations-url", "http://127.0.0.1:1"]
        result = run("extract", "--out", tmp_path / "s", *urls, *logs)
    assert result.exit_code == 1
    assert "Unexpected RuntimeError" in result.stderr
    assert "Traceback" in result.stderr
    assert_nowhere(tmp_path, result.stdout, result.stderr, caplog.text)


def test_a_crash_of_the_whole_process_tells_no_secret(tmp_path: Path, signed: pytest.MonkeyPatch) -> None:
    """In a process of its own, where nothing of the tests catches what is written."""

    def answer(server: Scripted, path: str) -> Reply:
        if path.startswith("/v2/Services?"):
            return server.page("services", [{"sid": "IS" + "1" * 32}])
        return Reply({}, 500) if "/Bindings" in path else server.page("credentials", [])

    with scripted(answer) as server:
        command = [sys.executable, "-m", "migrate", "extract", "--out", str(tmp_path / "s"), "-v", "-v"]
        command += ["--chat-url", server.url, "--conversations-url", server.url, "--retry-budget", "0"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert_nowhere(tmp_path, done.stdout, done.stderr)


def test_no_argument_takes_a_secret(run: Run) -> None:
    for command in ("extract", "run", "load"):
        words = run(command, "--help").stdout.lower()
        assert not {"--token", "--auth-token", "--api-secret", "--password"} & set(words.split())


def test_an_identity_that_a_server_names_is_masked(tmp_path: Path, run: Run, signed: pytest.MonkeyPatch) -> None:
    name = "alice.wonderland@example.test"

    def answer(server: Scripted, path: str) -> Reply:
        if "/Bindings" in path:
            return Reply({"message": f"Identity '{name}' is not valid"}, 403)
        return server.page("services" if "/Services?" in path else "credentials", [{"sid": "IS" + "1" * 32}])

    with scripted(answer) as server:
        urls = ["--chat-url", server.url, "--conversations-url", server.url]
        result = run("extract", "--out", tmp_path / "s", "--identity", name, *urls, "-v", "-v")
    assert result.exit_code == 1
    assert "Identity 'al…st (29)' is not valid" in result.stderr
    assert name not in result.stderr


@pytest.mark.long
def test_identities_and_endpoints_are_only_where_they_belong(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    """A whole migration, from the extract to retiring, with all logging: planted, and looked for in all that it leaves."""
    planted = ("planted.person@example.test", "planted-phone-of-somebody")
    phone = {"identity": planted[0], "endpoint": planted[1]}
    serve(
        tiny_world(
            bindings=[phone],
            conversations_bindings=[
                {**phone, "message_types": [["twilio.conversations.new_message"]], "age_days": 1}
            ],
            conversations_shows_chat=False,
        )
    )
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    out = tmp_path / "out"
    out.mkdir()
    snapshot, mapped, plan = out / "snapshot", out / "mapped", out / "plan.json"
    force = ("--force", "blockers", "--yes", "--apply")
    commands: list[list[object]] = [
        ["extract", "--out", snapshot],
        ["map", snapshot, "--out", mapped],
        ["load", mapped, "--plan-out", plan, "--report", out / "r.md", "--report", out / "r.json"],
        ["rehearse", mapped, "--snapshot", snapshot, "--report", out / "rehearsal.md", "--fault-rate", 0],
        ["load", "--plan", plan, *force],
        ["verify", snapshot, "--coverage", out / "coverage"],
        ["retire", snapshot, "--coverage", out / "coverage", "--apply", "--yes"],
        ["rollback", out / "plan.journal.jsonl", "--apply", "--yes"],
        ["doctor"],
        ["purge", out],
    ]
    for number, command in enumerate(commands):
        done = run(*command, "-v", "-v", "--log-file", out / f"{number}.log")
        assert done.exit_code == 0, done.output
        assert not any(secret in done.output for secret in planted), command[0]
    private = {snapshot / "bindings", mapped / "bindings"}
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        if not private & set(path.parents):
            assert not any(secret.encode() in path.read_bytes() for secret in planted), path
    held = [path for path in files if private & set(path.parents)]
    assert any(planted[0].encode() in path.read_bytes() for path in held)  # it was there to be told
