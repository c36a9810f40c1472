"""Chains against a server that misbehaves or a list that moves: nothing is lost, nothing comes twice."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
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
from tests.conftest import Run, Serve, service_sid, tiny_world
from tests.scripted import Reply, Scripted, scripted

SERVICE = service_sid(1)


def binding(number: int) -> dict[str, Any]:
    return {"sid": f"BS{number:032x}"}


def link(server: Scripted, size: int, place: int) -> str:
    return f"{server.url}/v2/Services/{SERVICE}/Bindings?PageSize={size}&Page=1&PageToken=PA{place}"


def ordinary(server: Scripted, size: int, place: int, many: int) -> Reply:
    """The page of `many` bindings that begins at a place."""
    end = min(place + size, many)
    after = link(server, size, end) if end < many else None
    return server.page("bindings", [binding(number) for number in range(place, end)], after, page_size=size)


def asked(path: str) -> tuple[int, int]:
    """The page size and the place that a request for bindings names."""
    size = int(path.partition("PageSize=")[2].partition("&")[0])
    return size, int(path.partition("PageToken=PA")[2] or 0)


@pytest.fixture
def extract(tmp_path: Path, run: Run, environment: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Extract from a server whose pages of bindings a test gives; one service, one chain."""
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "t")
    port = 0  # each server is at the address of the one before it: a snapshot is not resumed at another

    def call(bindings: Callable[[Scripted, str, int, int], Reply], *options: object, run: Run = run) -> Any:
        nonlocal port

        def answer(server: Scripted, path: str) -> Reply:
            if path.startswith("/v2/Services?"):
                return server.page("services", [{"sid": SERVICE}])
            if path.startswith("/v2/Credentials"):
                return server.page("credentials", [])
            return bindings(server, path, *asked(path)) if "/Bindings" in path else Reply({}, 404)

        with scripted(answer, port) as server:
            port = int(server.url.rpartition(":")[2])
            urls = ["--chat-url", server.url, "--conversations-url", server.url, "--no-shard"]
            result = run("extract", "--out", tmp_path / "s", *urls, *options)
        pages = [path for _, path, _ in server.seen if "/Bindings" in path]
        return result, pages

    return call


def numbers(tmp_path: Path) -> list[int]:
    return sorted(int(sid[2:], 16) for sid in pd.read_parquet(tmp_path / "s" / "bindings")["sid"])


def facts(tmp_path: Path) -> Any:
    (chain,) = json.loads((tmp_path / "s" / "manifest.json").read_bytes())["chains"]
    return chain


# --- the size of a page -------------------------------------------------------------------------------------


@pytest.mark.parametrize("largest", [100, 50])
def test_a_server_that_breaks_over_large_pages_is_asked_for_smaller_ones(
    tmp_path: Path, extract: Callable[..., Any], largest: int
) -> None:
    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        return Reply({}, 500) if size > largest else ordinary(server, size, place, 230)

    result, _ = extract(bindings)
    assert result.exit_code == 0, result.output
    assert numbers(tmp_path) == list(range(230))
    assert facts(tmp_path)["page_size"] == largest


def test_a_chain_begins_anew_with_smaller_pages_where_only_the_large_ones_break(
    tmp_path: Path, extract: Callable[..., Any]
) -> None:
    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        return Reply({}, 500) if size > 100 and place >= 2000 else ordinary(server, size, place, 2500)

    result, _ = extract(bindings)
    assert result.exit_code == 0, result.output
    assert numbers(tmp_path) == list(range(2500))
    chain = facts(tmp_path)
    assert (chain["page_size"], chain["restarts"], chain["pages"], chain["rows"]) == (100, 1, 25, 2500)


def test_an_outage_in_the_middle_is_waited_for_and_costs_no_page(tmp_path: Path, extract: Callable[..., Any]) -> None:
    failures = 9

    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        nonlocal failures
        if (failures and place >= 2000) or failures not in (0, 9):
            failures -= 1
            return Reply({}, 503)
        return ordinary(server, size, place, 2500)

    result, _ = extract(bindings)
    assert result.exit_code == 0, result.output
    assert numbers(tmp_path) == list(range(2500))
    chain = facts(tmp_path)
    assert (chain["page_size"], chain["restarts"], chain["pages"]) == (1000, 0, 3)


def test_an_outage_at_the_beginning_leaves_the_large_pages(tmp_path: Path, extract: Callable[..., Any]) -> None:
    failures = 9

    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        nonlocal failures
        failures -= 1
        return Reply({}, 503) if failures >= 0 else ordinary(server, size, place, 2500)

    result, pages = extract(bindings)
    assert result.exit_code == 0, result.output
    assert facts(tmp_path)["page_size"] == 1000
    assert [asked(path)[0] for path in pages[:8]] == [1000] * 5 + [100, 50, 1000]


# --- a list that moves, a server that goes round --------------------------------------------------------------


def test_bindings_that_come_and_go_meanwhile_cost_no_other(tmp_path: Path, run: Run, serve: Serve) -> None:
    server = serve(tiny_world(bindings=[{"count": 300}]), faults=Faults(seed=3, growth=2, deletion=3))
    before = {b.sid for b in server.world.services[SERVICE].bindings}
    result = run("extract", "--out", tmp_path / "s", "--page-size", 7)
    assert result.exit_code == 0, result.output
    found = list(pd.read_parquet(tmp_path / "s" / "bindings")["sid"])
    assert len(found) == len(set(found))
    gone, come = {b.sid for b in server.world.deleted}, {b.sid for b in server.world.registered}
    assert gone
    assert come
    assert before - gone <= set(found) <= before | come


def test_pages_without_a_binding_are_no_end(tmp_path: Path, extract: Callable[..., Any]) -> None:
    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        if 0 < place < 30:
            return server.page("bindings", [], link(server, size, place + 1))
        return (
            ordinary(server, 5, place, 40) if place else server.page("bindings", [binding(0)], link(server, size, 1))
        )

    result, _ = extract(bindings)
    assert result.exit_code == 0, result.output
    assert numbers(tmp_path) == [0, *range(30, 40)]


def test_pages_without_a_binding_have_an_end_some_day(
    extract: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chains, "MOST_EMPTY_PAGES", 7)
    result, pages = extract(
        lambda server, path, size, place: server.page("bindings", [], link(server, size, place + 1))
    )
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "more than 7 pages in a row without a binding" in result.stderr
    assert "Resume with: chat-migrate extract" in result.stderr
    assert len(pages) <= 10


def test_a_page_that_comes_again_under_another_address_ends_its_chain(
    tmp_path: Path, extract: Callable[..., Any]
) -> None:
    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        return server.page("bindings", [binding(1), binding(2)], link(server, size, place + 1))

    result, pages = extract(bindings)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "gave the same page twice" in result.stderr
    assert len(pages) <= 4
    assert numbers(tmp_path) == [1, 2]


def test_links_in_a_circle_end_their_chain(extract: Callable[..., Any]) -> None:
    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        return server.page("bindings", [binding(place)], link(server, size, place % 5 + 1))

    result, pages = extract(bindings)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "link in a circle" in result.stderr or "the same page twice" in result.stderr
    assert len(pages) <= 20


# --- reading ahead ----------------------------------------------------------------------------------------------


def test_a_page_that_says_at_its_beginning_something_else_than_in_the_end_is_read_by_the_letter(
    tmp_path: Path, extract: Callable[..., Any]
) -> None:
    """JSON takes the last of two keys; what was read ahead by the first is not used."""

    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        if place == 0:
            first, last = ({"page_size": 1, "next_page_url": link(server, size, n)} for n in (50, 7))
            records = json.dumps([binding(0)])
            body = f'{{"meta": {json.dumps(first)}, "bindings": {records}, "meta": {json.dumps(last)}}}'
            return Reply(body.encode())
        return server.page("bindings", [binding(place)])

    result, _ = extract(bindings)
    assert result.exit_code == 0, result.output
    assert numbers(tmp_path) == [0, 7]


def test_a_page_that_is_broken_behind_its_beginning_is_asked_for_again(
    tmp_path: Path, extract: Callable[..., Any]
) -> None:
    broken = [True, True]

    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        reply = ordinary(server, 3, place, 9)
        if place == 3 and broken:
            broken.pop()
            return Reply(json.dumps(reply.body).encode()[:-9])
        return reply

    result, _ = extract(bindings)
    assert result.exit_code == 0, result.output
    assert numbers(tmp_path) == list(range(9))
    assert (facts(tmp_path)["pages"], facts(tmp_path)["retries"]) == (3, 2)


def test_a_failure_ahead_keeps_the_page_before_it(tmp_path: Path, extract: Callable[..., Any]) -> None:
    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        return Reply({"message": "no"}, 403) if place == 6 else ordinary(server, 3, place, 9)

    result, _ = extract(bindings)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert numbers(tmp_path) == list(range(6))


def test_pages_whose_meta_comes_last_are_read_too(tmp_path: Path, extract: Callable[..., Any]) -> None:
    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        body = ordinary(server, 3, place, 9).body
        return Reply({"bindings": body["bindings"], "meta": body["meta"]})

    result, _ = extract(bindings)
    assert result.exit_code == 0, result.output
    assert numbers(tmp_path) == list(range(9))


def test_compressed_pages_are_asked_for_and_taken(tmp_path: Path, extract: Callable[..., Any]) -> None:
    encodings: list[str] = []

    def bindings(server: Scripted, path: str, size: int, place: int) -> Reply:
        encodings.append(server.seen[-1][2]["Accept-Encoding"])
        body = gzip.compress(json.dumps(ordinary(server, 3, place, 9).body).encode())
        return Reply(body, 200, {"Content-Encoding": "gzip"})

    result, _ = extract(bindings)
    assert result.exit_code == 0, result.output
    assert numbers(tmp_path) == list(range(9))
    assert all("gzip" in encoding for encoding in encodings)


# --- hands, parts, threads ------------------------------------------------------------------------------------


def test_pages_do_not_stay_in_hand_for_long(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash costs what is in hand; so a slow chain stores a few pages now and then."""
    serve(tiny_world(bindings=[{"count": 40}]), faults=Faults(latency=0.02))
    monkeypatch.setattr(buffer, "LONGEST_IN_HAND", 0.01)
    assert run("extract", "--out", tmp_path / "s", "--page-size", 2, "--no-shard").exit_code == 0
    assert len(list((tmp_path / "s").glob("bindings/*/*.parquet"))) > 2
    assert read_snapshot(tmp_path / "s").manifest.rows == 40


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


# --- what a review found ------------------------------------------------------------------------------------


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
