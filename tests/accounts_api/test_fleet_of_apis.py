"""Several accounts at a time, each by its own login: a stage does with a share what it does with its own threads."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest

from migrate.extract.extraction import ExtractOptions, extract_snapshot
from migrate.model.errors import InterruptedRunError, TwilioError
from migrate.runtime import interrupts
from migrate.runtime.workers import Workers
from migrate.twilio_api.accounts import TwilioAccount
from migrate.twilio_api.connect import ApiSettings, open_api, open_shared
from migrate.twilio_api.login import Login
from migrate.twilio_api.throttle import Gate, Throttle
from tests.conftest import Serve, tiny_world

LONG = 60.0


def rows_of(folder: Path) -> list[Any]:
    table = pyarrow.dataset.dataset(folder / "bindings").to_table()
    return sorted(map(str, table.to_pylist()))


def test_extracts_side_by_side_have_what_each_has_alone_and_one_with_a_refused_token_ends_alone(
    serve: Serve, tmp_path: Path
) -> None:
    world: dict[str, Any] = tiny_world(bindings=[{"count": 120, "identity": "person-{n}"}])
    server = serve(world)
    settings = ApiSettings(server.url, server.url, page_size=20)
    with open_api(settings) as api:
        alone = extract_snapshot(api, tmp_path / "alone", ExtractOptions())
    sid = world["account_sid"]
    good = TwilioAccount(sid, "", "active", Login(sid, sid, world["auth_token"], origin="its token"))
    bad = TwilioAccount("AC" + "9" * 32, "", "active", Login("AC" + "9" * 32, "AC" + "9" * 32, "0" * 32, origin="x"))
    with open_shared(settings, total_concurrency=4) as shared:

        def job(number: int, account: TwilioAccount) -> Any:
            with shared.open(account) as api:
                return extract_snapshot(api, tmp_path / str(number), ExtractOptions())

        with Workers(4, "account") as coordinators:
            jobs = [coordinators.submit(job, number, each) for number, each in enumerate((good, bad, good))]
    with pytest.raises(TwilioError) as caught:
        jobs[1].result(LONG)
    assert caught.value.status == 401
    for number in (0, 2):
        assert jobs[number].result(LONG).rows == alone.rows == 120
        assert rows_of(tmp_path / str(number)) == rows_of(tmp_path / "alone")


def test_a_request_has_its_accounts_place_first_and_then_one_of_all_in_the_order_of_their_coming() -> None:
    gate = Gate(1)
    held_back, other = Throttle(1, gate), Throttle(5, gate)
    order, threads = list[str](), list[threading.Thread]()

    def ask(throttle: Throttle, name: str) -> None:
        with throttle.turn():
            order.append(name)

    def begin(throttle: Throttle, name: str, waiting: int) -> None:
        thread = threading.Thread(target=ask, args=(throttle, name), daemon=True)
        threads.append(thread)
        thread.start()
        while len(gate._line) + len(held_back._line) < waiting:
            time.sleep(0.001)

    with other.turn():
        assert (other.running, held_back.running) == (1, 0)
        begin(held_back, "first of the held back", 1)
        begin(held_back, "second of the held back", 2)
        begin(other, "of the other", 3)
        assert len(gate._line) == 2
        assert held_back.running == 0
    for thread in threads:
        thread.join(LONG)
    assert order == ["first of the held back", "of the other", "second of the held back"]
    assert gate._running == held_back.running == other.running == 0


def test_a_request_that_waits_for_the_gate_ends_with_its_account_and_leaves_the_line() -> None:
    gate, errors = Gate(1), list[BaseException]()
    stopped, other = Throttle(1, gate), Throttle(1, gate)

    def ask() -> None:
        try:
            with stopped.turn():
                pass
        except InterruptedRunError as error:
            errors.append(error)

    with other.turn():
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        while not gate._line:
            time.sleep(0.001)
        stopped.stop()
        thread.join(LONG)
        assert errors
        assert not gate._line
    with other.turn():
        pass


def test_a_forced_end_tells_what_the_main_thread_was_doing(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(interrupts, "_write", written.append)
    monkeypatch.setattr("os._exit", lambda code: written.append(str(code)))
    monkeypatch.setattr(interrupts, "_state", interrupts._State())
    inside, end = threading.Event(), threading.Event()

    def coordinate() -> None:
        with interrupts.resumable(kept="one account's", remedy="alone"):
            inside.set()
            end.wait(LONG)

    with interrupts.resumable(kept="The fleet's folder is kept", remedy="Resume all"):
        thread = threading.Thread(target=coordinate, daemon=True)
        thread.start()
        assert inside.wait(LONG)
        interrupts._end()
        end.set()
        thread.join(LONG)
    interrupts._voice.release()
    assert written == ["Error: Interrupted. The fleet's folder is kept. Resume all\n", "130"]
