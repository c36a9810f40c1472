"""Page sizes: any refusal that a smaller page can help is taken for one, and each kind of list is asked once."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from migrate.model.errors import InterruptedRunError, TransientTwilioError, TwilioError
from migrate.standin.paging import PageSizes
from migrate.twilio_api.sizes import PageSizes as Sizes
from migrate.twilio_api.transports.live import LiveTransport
from migrate.twilio_api.transports.transport import Answer, Request
from tests.conftest import Run, Serve, tiny_world

Asked = list[tuple[str, str, int]]  # the name of a list, the size, the status of the answer
GATEWAYS = (
    PageSizes("openapi", "refuse", 422),
    PageSizes("openapi", "refuse", 500),
    PageSizes("openapi", "refuse", 413),
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Every first page that was asked for."""
    seen: Asked = []
    send = LiveTransport.send

    def noting(transport: LiveTransport, request: Request) -> Answer:
        answer = send(transport, request)
        query = dict(parse_qsl(urlsplit(request.url).query))
        if "PageSize" in query and "PageToken" not in query:
            name = "/".join(urlsplit(request.url).path.split("/")[i] for i in (1, -1))
            seen.append((name, query["PageSize"], answer.status_code))
        return answer

    monkeypatch.setattr(LiveTransport, "send", noting)
    return seen


def account(services: int) -> dict[str, Any]:
    content = tiny_world(bindings=[{"count": 60, "identity": "person-{n}"}])
    return {**content, "services": content["services"] * services}


def failed(asked: Asked) -> Counter[str]:
    """How many requests failed, by list."""
    return Counter(name for name, _, status in asked if status != 200)


@pytest.mark.parametrize("sizes", GATEWAYS, ids=lambda sizes: str(sizes.status))
def test_a_gateway_that_refuses_larger_pages_is_met_once_for_each_kind_of_list(
    tmp_path: Path, run: Run, serve: Serve, asked: Asked, sizes: PageSizes
) -> None:
    serve(account(8), sizes)
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    each = 5 if sizes.status == 500 else 1  # a 500 may pass, and is tried again a few times first
    # 1000 is refused of services, and 1000 and 100 of bindings; of credentials Chat gives 1000.
    assert failed(asked) == {"v2/Services": each, "v2/Bindings": each + 1}
    assert len([name for name, _, status in asked if name == "v2/Bindings" and status == 200]) == 24  # chains
    asked.clear()
    shown = run("verify", tmp_path / "s", "--coverage", tmp_path / "c")
    assert shown.exit_code == 0, shown.output
    assert failed(asked) == {"v1/Services": each, "v1/Credentials": each, "v1/Bindings": each}


def commands(tmp_path: Path) -> list[tuple[object, ...]]:
    place = ("--coverage", tmp_path / "c")
    return [("verify", tmp_path / "s", *place), ("retire", tmp_path / "s", *place), ("doctor",)]


@pytest.mark.parametrize("number", range(3))
def test_every_command_that_reads_lists_takes_the_size_of_a_page(
    tmp_path: Path, run: Run, serve: Serve, asked: Asked, number: int
) -> None:
    serve(account(2), GATEWAYS[0])
    assert run("extract", "--out", tmp_path / "s", "--page-size", 50).exit_code == 0
    assert {size for _, size, _ in asked} == {"50"}
    asked.clear()
    words = commands(tmp_path)[number]
    shown = run(*words, "--page-size", 7)
    assert shown.exit_code == 0, shown.output
    assert {size for _, size, _ in asked} == {"7"}
    asked.clear()
    assert run(*words).exit_code == 0
    assert failed(asked)


def test_a_doctor_says_what_pages_the_server_takes(run: Run, serve: Serve) -> None:
    serve(account(1), GATEWAYS[0])
    found = {check["name"]: check for check in json.loads(run("doctor", "--json").stdout)["checks"]}
    assert found["chat bindings"]["found"].endswith(", 50 at a time")
    assert found["conversations bindings"]["found"].endswith(", 100 at a time")


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_who_asks_and_what_there_is_are_no_matter_of_size(
    tmp_path: Path, run: Run, serve: Serve, asked: Asked, status: int
) -> None:
    serve(account(1), PageSizes("openapi", "refuse", status))
    assert run("extract", "--out", tmp_path / "s", "--source", "chat").exit_code == 1
    assert [size for _, size, _ in asked] == ["1000"]


# --- by itself ----------------------------------------------------------------------------------------------


def refusing(over: int, status: int = 422) -> Callable[[int, int | None], int]:
    def fetch(size: int, tries: int | None) -> int:
        if size > over:
            raise TwilioError("too large", status=status)
        return size

    return fetch


def never() -> bool:
    return False


def test_many_walks_that_begin_together_fail_as_often_as_one() -> None:
    sizes, tried, found = Sizes(never, never), list[int](), list[int]()
    together = threading.Barrier(20)

    def fetch(size: int, tries: int | None) -> int:
        tried.append(size)
        return refusing(50)(size, tries)

    def walk() -> None:
        together.wait(20)
        found.append(sizes.first("bindings", (1000, 100, 50), None, fetch))

    threads = [threading.Thread(target=walk) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [50] * 20
    assert Counter(tried) == {1000: 1, 100: 1, 50: 20}


def test_a_list_that_is_not_there_says_nothing_of_sizes_and_keeps_nobody_waiting() -> None:
    sizes = Sizes(never, never)
    with pytest.raises(TwilioError):
        sizes.first("bindings", (1000, 100), None, refusing(0, 404))
    assert sizes.first("bindings", (1000, 100), None, refusing(100)) == 100
    assert sizes.first("services", (1000, 100), None, refusing(1000)) == 1000
    assert sizes.first("services", (1000, 100), None, refusing(100)) == 100  # another of them may be larger


def test_while_one_is_patient_the_others_go_their_way() -> None:
    sizes, waits, goes_on = Sizes(never, never), threading.Event(), threading.Event()

    def broken(size: int, tries: int | None) -> int:
        if tries is None:
            waits.set()
            assert goes_on.wait(20)
            return size
        raise TransientTwilioError("later", status=503)

    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(sizes.first("bindings", (1000, 100), None, broken)))
    thread.start()
    assert waits.wait(20)
    assert sizes.first("bindings", (1000, 100), None, refusing(1000)) == 1000
    goes_on.set()
    thread.join(20)
    assert found == [1000]


def test_who_waits_for_the_first_is_stopped_with_it() -> None:
    stopped, scouting = threading.Event(), threading.Event()
    sizes = Sizes(stopped.is_set, never)

    def hang(size: int, tries: int | None) -> int:
        scouting.set()
        stopped.wait(20)
        raise InterruptedRunError("Interrupted")

    def first() -> None:
        with pytest.raises(InterruptedRunError):
            sizes.first("b", (9, 5), None, hang)

    thread = threading.Thread(target=first)
    thread.start()
    assert scouting.wait(20)
    threading.Timer(0.1, stopped.set).start()
    with pytest.raises(InterruptedRunError):
        sizes.first("b", (9, 5), None, refusing(9))
    thread.join(20)


def test_no_time_is_spent_on_smaller_pages_once_all_of_it_went_by_without_an_answer() -> None:
    tried: list[int] = []

    def silent(size: int, tries: int | None) -> int:
        tried.append(size)
        raise TransientTwilioError("no answer")

    with pytest.raises(TransientTwilioError):
        Sizes(never, lambda: True).first("bindings", (1000, 100, 50), None, silent)
    assert tried == [1000]


def test_a_refusal_of_every_size_is_told_as_the_first_was() -> None:
    told = iter(["first", "second", "third"])

    def refuse(size: int, tries: int | None) -> int:
        raise TwilioError(next(told), status=422)

    with pytest.raises(TwilioError, match="first"):
        Sizes(never, never).first("bindings", (1000, 100, 50), None, refuse)


def test_a_smaller_page_that_fails_for_another_reason_tells_that() -> None:
    def fetch(size: int, tries: int | None) -> int:
        raise TwilioError("too large" if size > 100 else "gone", status=422 if size > 100 else 404)

    with pytest.raises(TwilioError, match="gone"):
        Sizes(never, never).first("bindings", (1000, 100, 50), None, fetch)
