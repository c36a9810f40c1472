"""Pages of one chain: sizes, turns, circles, broken and slow ones."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from migrate.extract import buffer, chains
from migrate.snapshot.reader import read_snapshot
from migrate.standin.faults import Faults
from tests.chains.conftest import SERVICE, asked, binding, facts, link, numbers, ordinary
from tests.conftest import Run, Serve, tiny_world
from tests.scripted import Reply, Scripted


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


def test_pages_do_not_stay_in_hand_for_long(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash costs what is in hand; so a slow chain stores a few pages now and then."""
    serve(tiny_world(bindings=[{"count": 40}]), faults=Faults(latency=0.02))
    monkeypatch.setattr(buffer, "LONGEST_IN_HAND", 0.01)
    assert run("extract", "--out", tmp_path / "s", "--page-size", 2, "--no-shard").exit_code == 0
    assert len(list((tmp_path / "s").glob("bindings/*/*.parquet"))) > 2
    assert read_snapshot(tmp_path / "s").manifest.rows == 40
