"""How chains end, together and apart: tokens, services and credentials that go, and Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from migrate.extract import buffer, chains
from migrate.model.errors import InterruptedRunError, RefusedError, TransientTwilioError
from migrate.snapshot.manifest import Filters, Manifest
from migrate.snapshot.reader import read_snapshot
from migrate.snapshot.writer import open_writer
from migrate.standin.faults import Faults
from migrate.standin.paging import PageSizes
from migrate.twilio_api import retry
from migrate.twilio_api.retry import RetryPolicy
from migrate.twilio_api.transports.live import LiveTransport
from tests.chains.conftest import SERVICE, binding, facts, link, numbers, ordinary
from tests.conftest import Run, Serve, tiny_world
from tests.scripted import Reply, Scripted, scripted


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_ctrl_c_does_not_wait_for_a_server_that_hangs(
    tmp_path: Path, extract: Callable[..., Any], number: signal.Signals
) -> None:
    """The hung request is cut after a moment, and what is in hand is stored; SIGTERM is taken the same way."""
    hanging, release = threading.Event(), threading.Event()

    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        if place == 6:
            hanging.set()
            release.wait()
        return ordinary(server, 3, place, 9)

    def interrupted(*command: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "migrate", *map(str, command)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            hanging.wait()
            process.send_signal(number)
            output, told = process.communicate(timeout=40)  # long before the request would time out
        return subprocess.CompletedProcess(words, process.returncode, output, told)

    try:
        result, _ = extract(bindings, run=interrupted)
    finally:
        release.set()
    *_, last = result.stderr.splitlines()  # before it, lines of progress
    assert result.returncode == 130
    assert last.startswith("Error: Interrupted")
    assert "Resume with: chat-migrate extract" in last
    assert numbers(tmp_path) == [0, 1, 2, 3, 4, 5]
    assert extract(lambda server, path, size, place: ordinary(server, 3, place, 9))[0].exit_code == 0
    assert numbers(tmp_path) == list(range(9))


def test_a_slow_body_is_waited_for(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world(bindings=[{"count": 30}]), faults=Faults(bytes_per_second=200_000))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    assert read_snapshot(tmp_path / "s").manifest.rows == 30


def test_a_binding_type_that_is_not_documented_comes_without_shards(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world(bindings=[{"count": 3}, {"binding_type": "carrier-pigeon"}]), PageSizes("docs"))
    assert run("extract", "--out", tmp_path / "sharded").exit_code == 0
    assert run("extract", "--out", tmp_path / "whole", "--no-shard").exit_code == 0
    assert read_snapshot(tmp_path / "sharded").manifest.shards == ("apn", "fcm", "gcm")
    assert read_snapshot(tmp_path / "whole").manifest.shards == ()
    rows = [read_snapshot(tmp_path / name).manifest.rows for name in ("sharded", "whole")]
    assert rows == [3, 4]


def test_pages_that_alternate_for_ever_end_their_chain(extract: Callable[..., Any]) -> None:
    """Two pages in turn, each time under an address of its own."""

    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        return server.page("bindings", [binding(place % 2)], link(server, size, place + 1))

    result, pages = extract(bindings)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "the same page twice" in result.stderr
    assert len(pages) < 20


@pytest.mark.parametrize("meta", [{"page_size": -1}, {"page_size": "many"}, {"next_page_url": 5}])
def test_a_page_that_cannot_be_gone_on_from_spoils_nothing_that_is_stored(
    tmp_path: Path, extract: Callable[..., Any], meta: dict[str, Any]
) -> None:
    healthy = False

    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        reply = ordinary(server, 3, place, 9)
        if place == 6 and not healthy:
            reply.body["meta"] |= meta
        return reply

    result, _ = extract(bindings, "--retry-budget", 5)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "Resume with: chat-migrate extract" in result.stderr
    healthy = True
    assert extract(bindings)[0].exit_code == 0
    assert numbers(tmp_path) == list(range(9))


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_token_that_has_expired_begins_its_chain_anew_whatever_the_answer(
    tmp_path: Path, extract: Callable[..., Any], status: int
) -> None:
    expired = True

    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        nonlocal expired
        if place == 6 and expired:
            expired = False
            return Reply({"message": "token"}, status)
        return ordinary(server, 3, place, 9)

    result, _ = extract(bindings)
    assert result.exit_code == 0, result.output
    assert numbers(tmp_path) == list(range(9))
    assert facts(tmp_path)["restarts"] == 1


def test_a_service_that_is_gone_meanwhile_costs_nothing_that_is_stored(
    tmp_path: Path, extract: Callable[..., Any]
) -> None:
    """Its first page does not come either, so beginning anew would help nobody."""
    gone = False

    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        nonlocal gone
        gone = gone or place == 6
        return Reply({"message": "no such service"}, 404) if gone else ordinary(server, 3, place, 9)

    result, _ = extract(bindings)
    assert result.exit_code == 1
    assert numbers(tmp_path) == list(range(6))


def test_pages_that_are_cut_at_one_size_come_at_a_smaller_one(tmp_path: Path, extract: Callable[..., Any]) -> None:
    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        reply = ordinary(server, size, place, 230)
        return Reply(json.dumps(reply.body).encode()[:-5]) if size > 100 else reply

    result, _ = extract(bindings)
    assert result.exit_code == 0, result.output
    assert numbers(tmp_path) == list(range(230))
    assert facts(tmp_path)["page_size"] == 100


def test_a_server_that_is_away_is_given_up_by_all_chains_together(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first chains spend their patience; for those after them nothing has succeeded for so long already."""
    content = tiny_world()
    content["services"] = content["services"] * 30
    serve(content)
    clock = [0.0]

    def sleep(self: RetryPolicy, seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(retry, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(RetryPolicy, "sleep", sleep)
    send, refused = LiveTransport.send, []

    def away(self: LiveTransport, request: Any) -> Any:
        if "/Bindings" not in request.url:
            return send(self, request)
        refused.append(request.url)
        raise TransientTwilioError("connection refused")

    monkeypatch.setattr(LiveTransport, "send", away)
    result = run("extract", "--out", tmp_path / "s", "--concurrency", 1, "--retry-budget", 100)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "(and 89 more) stopped" in result.stderr
    assert len(refused) < 10 * 90  # where each alone would ask some fifteen times


def test_credentials_that_stop_working_stop_all_chains(tmp_path: Path, run: Run, serve: Serve) -> None:
    content = tiny_world()
    content["services"] = content["services"] * 40
    server = serve(content)
    real = chains.Walk.run

    def rotated(self: chains.Walk) -> None:
        server.world.auth_token = "rotated"
        real(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(chains.Walk, "run", rotated)
        result = run("extract", "--out", tmp_path / "s", "--concurrency", 1)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "answered 401" in result.stderr
    assert server.world.requests < 60  # of 120 chains, and 42 requests before them


def test_ctrl_c_is_heard_while_credentials_are_listed(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "t")
    asking = threading.Event()

    def answer(server: Scripted, path: str) -> Reply:
        if path.startswith("/v2/Credentials"):
            asking.set()
            return Reply({}, 503, {"Retry-After": "200"})
        return server.page("services", [{"sid": SERVICE}]) if path.startswith("/v2/Services?") else Reply({}, 404)

    with scripted(answer) as server:
        words = [sys.executable, "-m", "migrate", "extract", "--out", str(tmp_path / "s")]
        words += ["--chat-url", server.url, "--conversations-url", server.url]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            asking.wait()
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=60)  # long before it would be asked again
    assert process.returncode == 130
    assert told.splitlines()[-1].startswith("Error: Interrupted")


def test_nothing_is_written_to_a_snapshot_that_is_not_open_any_more(tmp_path: Path) -> None:
    """A thread that was left behind may come back when another extract has the folder."""
    manifest = Manifest("unfinished", "0", "AC1", "chat", "2026-01-01T00:00:00+00:00", "now", Filters())
    with open_writer(tmp_path / "s", manifest) as writer:
        held = buffer.Parts(writer, 10, lambda: None)
        held.state("chat:" + SERVICE, SERVICE)
        with held:
            pass
        with pytest.raises(InterruptedRunError):
            held.start_over("chat:" + SERVICE)
    with pytest.raises(RefusedError, match="not open any more"):
        writer.start_over("chat:" + SERVICE)
    assert not (tmp_path / "s" / "checkpoint.jsonl").exists()


@pytest.mark.parametrize("failures", [4, 5, 6, 12])
def test_a_capped_page_size_takes_no_patience_away(
    tmp_path: Path, extract: Callable[..., Any], failures: int
) -> None:
    """1,000 rows were asked for and 50 came: there is no smaller page to look at, and the whole budget to wait."""
    left = failures

    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        nonlocal left
        if place == 50 and left:
            left -= 1
            return Reply({}, 503)
        return ordinary(server, 50, place, 120)

    result, _ = extract(bindings)
    assert result.exit_code == 0, result.output
    assert numbers(tmp_path) == list(range(120))
    assert facts(tmp_path)["restarts"] == 0
