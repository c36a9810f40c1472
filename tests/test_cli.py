"""The command line: help, exit codes, one line for bad input, and what goes to which stream."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from migrate import __version__
from migrate.cli.app import cli
from migrate.standin.world import World
from tests.conftest import CASSETTE, ROOT, Demo, Run, Serve, service_sid, tiny_world
from tests.scripted import Reply, Scripted, scripted

COMMANDS = sorted(cli.commands)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_has_help_with_an_example_that_is_a_real_command(run: Run, command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    _, _, example = result.stdout.partition("Example:\n")
    words = example.split()
    assert words[0] == "chat-migrate"
    assert words[1] in COMMANDS
    options = {option for item in cli.commands[words[1]].params for option in item.opts}
    assert {word for word in example.splitlines()[0].split() if word.startswith("--")} <= options


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_help_or_says_what_it_is(command: str) -> None:
    for item in cli.commands[command].params:
        if isinstance(item, click.Option):
            assert item.help or item.metavar, item.name


def test_the_version_is_told(run: Run) -> None:
    assert __version__ in run("--version").stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["extract"], "Missing option '--out'"),
        (["extract", "--out", "x", "--service", "IS1"], "'IS1' is not a service SID"),
        (["extract", "--out", "x", "--service", "AC" + "0" * 32], "is not a service SID"),
        (["extract", "--out", "x", "--binding-type", "sms"], "'sms' is not one of"),
        (["extract", "--out", "x", "--page-size", "1001"], "1001 is not in the range"),
        (["extract", "--out", "x", "--page-size", "many"], "is not a valid integer"),
        (["extract", "--out", "x", "--concurrency", "0"], "0 is not in the range"),
        (["extract", "--out", "x", "--chat-url", "chat.twilio.com"], "Not a base URL"),
        (["extract", "--out", "x", "--chat-url", "http://chat.twilio.com"], "would send the credentials unprotected"),
        (["extract", "--out", "x", "--chat-url", "http://:s3cret@127.0.0.1"], "one with a user or a password in it"),
        (["extract", "--out", "x", "--identity", "\udcff"], "not valid text"),
        (["extract", "--out", "x", "--source", "notify"], "'notify' is not one of"),
        (["extract", "--out", "x", "--identity-file", "nowhere.txt"], "does not exist"),
        (["extract", "--out", "x", "--identity-file", __file__, "--identity", "a"], "exclude each other"),
        (["extract", "--out", "x", "--retry-budget", "-1"], "-1.0 is not in the range"),
        (["load", "x", "--report", "report.pdf"], "a report ends in .html or .md or .json"),
        (["standin", "--chat-gone", "explode"], "'explode' is not one of"),
        (["migrate"], "No such command 'migrate'"),
    ],
)
def test_wrong_usage_exits_with_2(
    run: Run, environment: pytest.MonkeyPatch, arguments: list[str], problem: str
) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "x")
    result = run(*arguments)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert "Traceback" not in result.output
    assert "s3cret" not in result.output


@pytest.mark.parametrize("name", ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"])
def test_a_secret_that_was_pasted_badly_is_one_line(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, name: str
) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "x")
    environment.setenv(name, "tok…en")
    result = run("extract", "--out", tmp_path / "s")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert name in result.stderr
    assert "tok…en" not in result.stderr


def test_no_credentials_is_one_line_that_says_what_to_set(tmp_path: Path, run: Run) -> None:
    for command in (["extract", "--out", tmp_path / "s"], ["run", "--out", tmp_path / "r"]):
        result = run(*command)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert "TWILIO_ACCOUNT_SID" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_wrong_credentials_are_one_line(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())
    environment.setenv("TWILIO_AUTH_TOKEN", "planted-secret-token")
    result = run("extract", "--out", tmp_path / "s")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "answered 401, code 20003" in result.stderr
    assert "Check TWILIO_ACCOUNT_SID" in result.stderr
    assert "planted-secret-token" not in result.output


def test_an_unknown_service_is_one_line(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world())
    result = run("extract", "--out", tmp_path / "s", "--service", service_sid(9))
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"/v2/Services/{service_sid(9)} answered 404, code 20404" in result.stderr
    assert "Check the SID" in result.stderr


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_unreachable_host_is_one_warning_and_one_error(
    tmp_path: Path, run: Run, serve: Serve, scheme: str
) -> None:
    serve(tiny_world())
    result = run("extract", "--out", tmp_path / "s", "--chat-url", f"{scheme}://127.0.0.1:1")
    warning, error = result.stderr.splitlines()
    for line, begins in ((warning, "Warning"), (error, "Error")):
        assert line.startswith(
            f"{begins}: No answer from {scheme}://127.0.0.1:1/v2/Services?PageSize=1000: connection refused"
        )
    assert result.exit_code == 1


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run("extract", "--out", tmp_path / "file" / "s", "--replay", CASSETTE)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"Cannot write {tmp_path / 'file'}: file exists" in result.stderr


def test_json_is_one_document_on_standard_output(tmp_path: Path, run: Run) -> None:
    extracted = json.loads(run("extract", "--out", tmp_path / "s", "--replay", CASSETTE, "--json").stdout)
    mapped = json.loads(run("map", tmp_path / "s", "--out", tmp_path / "m", "--json").stdout)
    plan = json.loads(run("load", tmp_path / "m", "--replay", CASSETTE, "--json").stdout)
    assert extracted["rows"] == mapped["totals"]["bindings"] == sum(plan["counts"]["bindings"].values()) == 328
    whole = json.loads(run("run", "--out", tmp_path / "r", "--replay", CASSETTE, "--json").stdout)
    assert (whole["plan"], whole["mapped"]) == (plan, {**mapped, "source": "../snapshot"})


def test_reports_are_written_where_they_are_asked_for(tmp_path: Path, run: Run, demo: Demo) -> None:
    files = [tmp_path / "new" / "r.md", tmp_path / "r.json", tmp_path / "p.plan"]
    options = ["--report", files[0], "--report", files[1], "--plan-out", files[2]]
    assert run("load", demo.folder / "mapped", "--replay", CASSETTE, *options).exit_code == 0
    assert files[0].read_bytes() == (demo.folder / "report.md").read_bytes()
    assert files[1].read_bytes() == files[2].read_bytes() == (demo.folder / "plan.json").read_bytes()


def test_the_log_is_json_lines_without_identities_or_secrets(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve({**tiny_world(), "auth_token": "planted-secret-token"})
    log = tmp_path / "log.jsonl"
    options = ["-vv", "--log-file", log, "--identity", "person-0001-of-them"]
    result = run("extract", "--out", tmp_path / "s", *options)
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert any("/Bindings" in line["message"] for line in lines)
    assert all(set(line) == {"time", "level", "logger", "message"} for line in lines)
    assert "DEBUG GET " in result.stderr
    for secret in ("planted-secret-token", "person-0001-of-them"):
        assert secret not in log.read_text("utf-8") + result.output


def test_a_traceback_is_logged_only_if_asked_for(tmp_path: Path, run: Run) -> None:
    log = tmp_path / "log.jsonl"
    quiet = run("map", tmp_path / "absent", "--out", tmp_path / "m")
    assert "Traceback" not in quiet.output
    told = run("map", tmp_path / "absent", "--out", tmp_path / "m", "-v", "--log-file", log)
    assert (quiet.exit_code, told.exit_code) == (1, 1)
    assert "Traceback" in told.stderr
    assert "Traceback" in json.loads(log.read_text("utf-8"))["traceback"]


def test_an_interruption_before_anything_was_written_is_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("migrate.map.mapping.map_snapshot", interrupt)
    assert run("map", "x", "--out", "y").exit_code == 130


def test_a_mistake_of_ours_is_one_line_without_a_traceback_unless_asked_for(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistake(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("planted-secret-token")

    monkeypatch.setattr("migrate.map.mapping.map_snapshot", mistake)
    quiet, told = run("map", "x", "--out", "y"), run("map", "x", "--out", "y", "-v")
    assert (quiet.exit_code, quiet.stderr.count("\n")) == (1, 1)
    assert "Unexpected ZeroDivisionError" in quiet.stderr
    assert "planted-secret-token" not in quiet.stderr
    assert "Traceback" in told.stderr


def test_no_control_sequence_of_a_binding_reaches_the_terminal(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world(bindings=[{"binding_type": "\x1b[31m|"}]))
    assert "\x1b" not in run("run", "--out", tmp_path).output


def test_an_address_that_cannot_be_asked_is_one_line(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world())
    for url in ("http://a b", "http://" + "x" * 70 + ".test", "http://.test"):
        result = run("extract", "--out", tmp_path / "s", "--chat-url", url)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert "Check the address" in result.stderr


def program(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "migrate", *map(str, arguments)]
    return subprocess.Popen(command, text=True, cwd=ROOT, **options)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_standin_serves_until_it_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    with program("standin", "--port", 0, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stderr
            lines = [process.stdout.readline() for _ in range(5)]
            assert "stop with Ctrl-C" in process.stderr.readline()
            environment = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
            result = CliRunner(env=environment).invoke(cli, ["extract", "--out", str(tmp_path / "s")])
            process.send_signal(number)
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert result.exit_code == 0, result.output


def read_terminal(terminal: int) -> bytes:
    """Everything that was shown on a terminal, once its other end is closed; the terminal is closed too."""
    shown = b""
    try:
        while chunk := os.read(terminal, 4096):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    return shown


def test_colour_is_for_terminals_that_want_it(demo: Demo) -> None:
    def shown(*options: str) -> bytes:
        terminal, end = pty.openpty()
        arguments = ("load", demo.folder / "mapped", "--replay", CASSETTE, *options)
        environment = {**os.environ, "TERM": "xterm"} | {"NO_COLOR": ""}
        with program(*arguments, stdout=end, stderr=end, env=environment):
            os.close(end)
            return read_terminal(terminal)

    assert b"\x1b[31m" in shown()
    assert b"\x1b[31m" not in shown("--no-color")


def test_help_with_nowhere_to_write_is_no_traceback() -> None:
    command = f"{sys.executable} -m migrate --help >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False)
    assert "Traceback" not in done.stderr


def test_no_identity_and_no_secret_is_logged_when_the_connection_breaks(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "planted-secret-token")
    out, log = tmp_path / "s", tmp_path / "log.jsonl"

    def answer(server: Scripted, path: str) -> Reply:
        if path.startswith("/v2/Services?"):
            return server.page("services", [{"sid": service_sid(1)}])
        server.stop_listening()  # the next request, for the bindings, is refused
        return server.page("credentials", [])

    with scripted(answer) as server:
        urls = ["--chat-url", server.url, "--conversations-url", "http://127.0.0.1:1"]
        identity = ["--identity", "alice.private@example.test"]
        result = run("extract", "--out", out, *urls, *identity, "-vv", "--log-file", log)
    assert result.exit_code == 1
    assert "/Bindings?Identity=al…st (26)" in result.stderr
    assert "connection refused" in result.stderr
    assert "Traceback" in log.read_text()
    for secret in ("alice.private", "planted-secret-token"):
        assert secret not in result.output + log.read_text()


def test_progress_is_shown_on_a_terminal_and_the_result_stays_clean(tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    with program(
        "extract", "--out", tmp_path / "s", "--replay", CASSETTE, "--json", stdout=subprocess.PIPE, stderr=end
    ) as process:
        os.close(end)
        assert process.stdout
        document = json.loads(process.stdout.read())
        shown = read_terminal(terminal)
    assert document["rows"] == 328
    assert b"bindings" in shown


def test_characters_that_the_terminal_lacks_are_written_as_what_looks_like_them_or_as_escapes(odd: Demo) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    with program(
        "load", odd.folder / "mapped", "--replay", odd.cassette, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout
        shown = process.stdout.read()
    assert process.returncode == 0
    assert "false -> true" in shown
    assert "\\u05ea\\u05de\\u05d9\\u05db\\u05d4" in shown  # the Hebrew name of a service


def test_a_closed_pipe_is_no_error(demo: Demo) -> None:
    command = f"{sys.executable} -m migrate load {demo.folder / 'mapped'} --replay {CASSETTE} | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_options_of_commands_that_talk_to_twilio_come_from_the_environment(
    tmp_path: Path, run: Run, serve: Serve, demo_world: World, environment: pytest.MonkeyPatch
) -> None:
    server = serve(demo_world)
    environment.setenv("CHAT_MIGRATE_CHAT_URL", "http://127.0.0.1:1")
    assert run("extract", "--out", tmp_path / "s", "--chat-url", server.url).exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json", "show", "x"], "--json goes after the command: chat-migrate COMMAND --json"),
        (["-v", "show", "x"], "-v goes after the command: chat-migrate COMMAND -v"),
        (["--out", "y", "run"], "--out goes after the command: chat-migrate COMMAND --out"),
        (["show", "--version", "x"], "--version takes no command: chat-migrate --version"),
        (["--nonsense", "show", "x"], "No such option '--nonsense'"),
        (["show", "--nonsense", "x"], "No such option '--nonsense'"),
    ],
)
def test_an_option_on_the_wrong_side_of_the_command_is_told_its_place(run: Run, words: list[str], said: str) -> None:
    told = run(*words)
    assert (told.exit_code, f"Error: {said}" in told.stderr) == (2, True), told.stderr
    assert "Did you mean" not in told.stderr
