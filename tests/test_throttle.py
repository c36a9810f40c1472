"""The throttle: as many requests at a time as Twilio takes, found out by its answers."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from migrate.model.errors import InterruptedRunError
from migrate.standin.faults import Faults
from migrate.twilio_api import connect
from migrate.twilio_api import throttle as throttle_module
from migrate.twilio_api.throttle import TOO_MANY, Throttle
from tests.conftest import Run, Serve, service_sid, tiny_world
from tests.scripted import Reply, Scripted, scripted

pytestmark = pytest.mark.no_cover  # other tests cover the same lines; untraced, these take half the time

SECONDS = 30  # after which a test gives up; nothing here takes any time
CONCURRENT = "Twilio-Concurrent-Requests"


FIRST = 8  # places to begin with, here


@pytest.fixture(autouse=True)
def _eight_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the numbers below stay as they are, whatever the program begins with."""
    monkeypatch.setattr(throttle_module, "FIRST", FIRST)


def answers(throttle: Throttle, *statuses: int, running: int | None = None) -> list[int]:
    """How many places there are after each of some answers, one request after the other."""
    places = []
    for status in statuses:
        assert throttle.places >= 1, "else nothing would ever be let through again"
        with throttle.turn() as began:
            throttle.note(began, status, running)
        places.append(throttle.places)
    return places


def refuse_all(throttle: Throttle, running: int | None = None) -> int:
    """Fill all places, have every one of these requests refused, and say how many that were."""
    with ExitStack() as together:
        rounds = [together.enter_context(throttle.turn()) for _ in range(throttle.places)]
        for began in rounds:
            throttle.note(began, TOO_MANY, running)
    return len(rounds)


@pytest.mark.parametrize("most", [1, 3, FIRST, 40])
def test_never_more_run_than_the_most_from_however_many_threads(most: int) -> None:
    throttle, lock = Throttle(most), threading.Lock()
    now, peak = 0, 0

    def request(number: int) -> None:
        nonlocal now, peak
        with throttle.turn() as began:
            with lock:
                now += 1
                peak = max(peak, now)
                assert now <= throttle.most
            throttle.note(began, 200, None)
            with lock:
                now -= 1

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(request, range(3000)))
    assert 1 <= peak <= most
    assert (throttle.running, throttle.places) == (0, most)


@pytest.mark.parametrize("most", [1, 3, FIRST])
def test_as_many_run_as_there_are_places_and_the_next_one_waits(most: int) -> None:
    throttle, through = Throttle(most), threading.Event()

    def one_more() -> None:
        with throttle.turn():
            through.set()

    with ExitStack() as full:
        for _ in range(most):
            full.enter_context(throttle.turn())
        assert throttle.running == most
        waiting = threading.Thread(target=one_more, daemon=True)
        waiting.start()
        assert not through.wait(0.05)
    assert through.wait(SECONDS)
    waiting.join(SECONDS)
    assert throttle.running == 0


def test_a_place_is_free_again_whatever_became_of_the_request() -> None:
    throttle = Throttle(1)
    for _ in range(3):
        with pytest.raises(OSError, match="gone"), throttle.turn():
            raise OSError("gone")
    assert throttle.running == 0


def test_each_healthy_answer_opens_a_place_up_to_the_most() -> None:
    throttle = Throttle(12)
    assert throttle.places == FIRST == 8
    assert answers(throttle, *[200] * 6) == [9, 10, 11, 12, 12, 12]
    assert Throttle(3).places == 3


def test_an_answer_that_is_an_error_of_the_request_is_healthy_and_a_broken_server_opens_nothing() -> None:
    assert answers(Throttle(16), 404, 400) == [9, 10]
    assert answers(Throttle(16), 500, 502, 503, 504) == [8, 8, 8, 8]


@pytest.mark.parametrize("running", [None, 30])
def test_a_round_of_refusals_halves_once_however_many_there_are(running: int | None) -> None:
    throttle = Throttle(16)
    assert [refuse_all(throttle, running) for _ in range(3)] == [8, 4, 2]
    assert throttle.places == 1


def test_the_late_refusals_of_an_earlier_round_say_nothing_new() -> None:
    throttle = Throttle(16)
    with ExitStack() as together:
        late = [together.enter_context(throttle.turn()) for _ in range(6)]
        throttle.note(late.pop(), TOO_MANY, None)
        assert throttle.places == 4
        for began in late:
            throttle.note(began, TOO_MANY, None)
    assert throttle.places == 4
    assert answers(throttle, TOO_MANY) == [2]


def test_there_is_always_one_place() -> None:
    throttle = Throttle(16)
    assert answers(throttle, *[TOO_MANY] * 6) == [4, 2, 1, 1, 1, 1]
    assert answers(Throttle(1), TOO_MANY, TOO_MANY, 200) == [1, 1, 1]
    assert answers(throttle, *[200] * 3)[-1] > 1, "and it opens again"


def test_after_a_refusal_it_opens_by_no_more_than_one_a_round() -> None:
    throttle = Throttle(64)
    answers(throttle, *[200] * 56, TOO_MANY)
    rounds = [32]
    for _ in range(10):
        rounds.append(answers(throttle, *[200] * rounds[-1])[-1])
    assert all(after - before in (0, 1) for before, after in pairwise(rounds))
    assert rounds[-1] >= 32 + 9


def test_it_does_not_open_while_the_account_runs_as_many_as_when_it_refused() -> None:
    throttle = Throttle(16)
    assert answers(throttle, TOO_MANY, running=20) == [4]
    assert set(answers(throttle, *[200] * 50, running=20)) == {4}
    assert set(answers(throttle, *[200] * 50, running=21)) == {4}
    assert answers(throttle, *[200] * 50, running=19)[-1] > 4
    assert answers(throttle, TOO_MANY, running=None)[-1] >= 1
    assert answers(throttle, *[200] * 50, running=99)[-1] > 4, (
        "a refusal that does not say how many keeps nothing shut"
    )


def test_it_opens_where_an_answer_does_not_say_how_many_are_running() -> None:
    throttle = Throttle(16)
    answers(throttle, TOO_MANY, running=20)
    assert answers(throttle, *[200] * 6, running=None)[-1] == 5


def test_the_latest_refusal_is_the_one_that_counts() -> None:
    throttle = Throttle(16)
    answers(throttle, TOO_MANY, running=5)
    answers(throttle, TOO_MANY, running=50)
    assert answers(throttle, *[200] * 20, running=30)[-1] > 2


def test_once_stopped_it_lets_nothing_through_and_wakes_all_who_wait() -> None:
    throttle = Throttle(2)
    ended: list[str] = []
    here = threading.Barrier(11)

    def request() -> None:
        here.wait(SECONDS)
        try:
            with throttle.turn():
                ended.append("let through")
        except InterruptedRunError:
            ended.append("interrupted")

    with throttle.turn(), throttle.turn() as began:
        threads = [threading.Thread(target=request, daemon=True) for _ in range(10)]
        for thread in threads:
            thread.start()
        here.wait(SECONDS)
        assert not threading.Event().wait(0.1), "they have had the time to begin waiting"
        throttle.stop()
        for thread in threads:
            thread.join(SECONDS)
            assert not thread.is_alive()
        assert ended == ["interrupted"] * 10
        throttle.note(began, 200, None)  # those under way end as ever
    assert throttle.running == 0
    with pytest.raises(InterruptedRunError), throttle.turn():
        pytest.fail("it is stopped")


# --- through the whole of extract ---------------------------------------------------------------------------


class Watched(Throttle):
    """A throttle that remembers what it was told, and the most that ever ran."""

    made: list[Watched]

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._noting = threading.Lock()
        self.told: list[tuple[int, int | None]] = []
        self.after: list[int] = []
        self.peak = 0
        Watched.made.append(self)

    def note(self, began: int, status: int, account_running: int | None) -> None:
        with self._noting:
            self.peak = max(self.peak, self.running)
            self.told.append((status, account_running))
            super().note(began, status, account_running)
            self.after.append(self.places)


@pytest.fixture(autouse=True)
def _watched(monkeypatch: pytest.MonkeyPatch) -> None:
    Watched.made = []
    monkeypatch.setattr(connect, "Throttle", Watched)


def many_services(count: int, rows: int) -> dict[str, Any]:
    content = tiny_world()
    kinds = ["apn", "fcm", "gcm"]
    service = {**content["services"][0], "bindings": [{"count": rows, "binding_type": kinds, "identity": "p-{n}"}]}
    return {**content, "services": [service] * count}


def test_an_account_that_takes_three_at_a_time_is_read_whole_by_one_that_asks_for_sixteen(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    server = serve(many_services(4, 90), faults=Faults(latency=0.01, most_at_once=3))
    result = run("extract", "--out", tmp_path / "s", "--concurrency", 16, "--page-size", 10)
    assert result.exit_code == 0, result.output
    found = sorted(pd.read_parquet(tmp_path / "s" / "bindings")["sid"])
    assert found == sorted(each.sid for service in server.world.services.values() for each in service.bindings)
    (throttle,) = Watched.made
    assert throttle.peak <= 16
    assert len(throttle.told) == server.world.requests
    refused = [running for status, running in throttle.told if status == TOO_MANY]
    assert refused
    assert set(refused) == {4}
    assert {running for status, running in throttle.told if status == 200} <= {1, 2, 3}
    assert max(throttle.after[throttle.told.index((TOO_MANY, 4)) :]) < 16, "it found out that 16 are too many"
    chains = json.loads((tmp_path / "s" / "manifest.json").read_bytes())["chains"]
    assert sum(chain["retries"] for chain in chains) <= len(refused)


@pytest.mark.parametrize("most", [1, 2, 16])
def test_no_more_requests_are_on_the_wire_than_the_operator_allows(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    server = serve(many_services(4, 30), faults=Faults(latency=0.002, most_at_once=64))  # so that it counts
    assert run("extract", "--out", tmp_path / "s", "--concurrency", most, "--page-size", 10).exit_code == 0
    (throttle,) = Watched.made
    seen = {running for _, running in throttle.told}
    assert None not in seen
    assert max(running for running in seen if running) <= most
    assert len(pd.read_parquet(tmp_path / "s" / "bindings")) == 120
    assert server.world.requests == len(throttle.told)


MORE_OTHERS = [("21", False), (None, True), ("many", True)]


@pytest.mark.parametrize(
    ("others", "opens"),
    [("20", False), ("3", True), *(pytest.param(*more, marks=pytest.mark.long) for more in MORE_OTHERS)],
)
def test_what_other_programs_leave_of_the_account_is_all_that_is_taken(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, others: str | None, opens: bool
) -> None:
    """The account refuses once, at 20 requests; then it says how many it is running, which is not ours alone."""
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "synthetic-token")
    refusals = [Reply({"code": 20429, "message": "Too many"}, 429, {CONCURRENT: "20"})]
    sids = [service_sid(number) for number in range(1, 13)]

    def answer(server: Scripted, path: str) -> Reply:
        if path.startswith("/v2/Services?"):
            reply = refusals.pop() if refusals else server.page("services", [{"sid": sid} for sid in sids])
        elif "/Bindings" in path:
            reply = server.page("bindings", [{"sid": "BS" + path.split("/")[3][2:]}])
        elif path.startswith("/v2/"):
            reply = server.page("credentials", [])
        else:
            reply = Reply({})
        return Reply(reply.body, reply.status, {**({CONCURRENT: others} if others else {}), **reply.headers})

    with scripted(answer) as server:
        urls = ["--chat-url", server.url, "--conversations-url", server.url]
        result = run("extract", "--out", tmp_path / "s", "--no-shard", *urls)
    assert result.exit_code == 0, result.output
    (throttle,) = Watched.made
    assert throttle.told[0] == (TOO_MANY, 20)
    assert len(throttle.told) == len(server.seen) > 24
    assert (throttle.after[0], throttle.after[-1] > 4) == (4, opens)
    assert opens or set(throttle.after) == {4}
    assert len(pd.read_parquet(tmp_path / "s" / "bindings")) == 12
