"""The stand-in's faults: each can be seen, comes when it is asked for, and comes again for the same seed."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from migrate.standin import fault_middleware
from migrate.standin.faults import DAMAGES, KINDS, REFUSALS, Faults
from migrate.standin.server import StandInServer
from migrate.standin.world import make_world
from tests.conftest import Serve, service_sid, tiny_world

SERVICE = service_sid(1)
BINDINGS = f"/v2/Services/{SERVICE}/Bindings"
NOTIFICATIONS = f"/v1/Services/{SERVICE}/Configuration/Notifications"
LOST = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def ask(server: StandInServer, path: str, method: str = "GET", **options: Any) -> requests.Response:
    options = {"auth": (server.world.account_sid, server.world.auth_token), "timeout": 10, **options}
    return requests.request(method, f"{server.url}{path}", **options)


def outcome(server: StandInServer, path: str, method: str = "GET") -> tuple[object, ...]:
    """All that a client can see of an answer, or how it was lost."""
    try:
        answer = ask(server, path, method, headers={"Host": "the-same"})
    except LOST as error:
        return (type(error).__name__, *map(str, getattr(error.args[0], "args", ())[1:]))
    return (answer.status_code, answer.content, answer.headers.get("Retry-After"), answer.headers["Date"])


def walk(server: StandInServer, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    link: str | None = f"{server.url}{path}"
    while link:
        page = ask(server, link.removeprefix(server.url)).json()
        found += page["bindings"]
        link = page["meta"]["next_page_url"]
    return found


class Sleeps:
    """Stands in for `sleep`: notes how long each sleep is to be, and ends all when there are enough of them."""

    def __init__(self, enough: int = 0) -> None:
        self.seconds: list[float] = []
        self._enough = enough

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        while len(self.seconds) < self._enough:
            await asyncio.sleep(0)


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> Sleeps:
    fake = Sleeps()
    monkeypatch.setattr(fault_middleware, "sleep", fake)
    return fake


def test_by_default_nothing_goes_wrong(serve: Serve) -> None:
    assert not Faults(seed=7, kinds=KINDS, retry_after=3, stall=1).active
    plain, quiet = serve(tiny_world()), serve(tiny_world(), faults=Faults(seed=7))
    # A latency of next to nothing brings the middlewares in, and they change nothing.
    harmless = serve(tiny_world(), faults=Faults(latency=1e-9))
    for path in (BINDINGS, "/v1/Credentials", NOTIFICATIONS, "/v2/Nothing", f"{BINDINGS}?PageSize=no"):
        answers = [ask(server, path, headers={"Host": "the-same"}) for server in (plain, quiet, harmless)]
        assert len({(answer.status_code, answer.content, *answer.headers.items()) for answer in answers}) == 1
    assert plain.world.requests == quiet.world.requests == harmless.world.requests == 5


@pytest.mark.parametrize(
    "fault",
    ["latency", "rate", "most_at_once", "token_expiry", "growth", "deletion", "bytes_per_second", "chat_gone"],
)
def test_each_fault_alone_is_applied(fault: str) -> None:
    given: dict[str, Any] = {fault: 404}
    assert Faults(**given).active


@pytest.mark.parametrize("kinds", [(), ("429", "earthquake")])
def test_kinds_that_are_not_known_are_refused(kinds: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="not-a-page"):
        Faults(rate=1, kinds=kinds)


@pytest.mark.parametrize(
    ("kind", "status", "content_type", "code"),
    [
        ("429", 429, "application/json", 20429),
        ("500", 500, "application/json", None),
        ("502", 502, "text/html", None),
        ("503", 503, "application/json", 20503),
        ("504", 504, "", None),
    ],
)
def test_a_refusal_has_its_status_and_body(
    serve: Serve, kind: str, status: int, content_type: str, code: int | None
) -> None:
    answer = ask(serve(tiny_world(), faults=Faults(rate=1, kinds=(kind,))), BINDINGS)
    assert answer.status_code == status
    assert answer.headers.get("Content-Type", "").startswith(content_type)
    assert answer.headers["Date"] == "Mon, 15 Jun 2026 08:00:00 GMT"
    if content_type == "application/json":
        assert answer.json().get("code") == code
    else:
        assert answer.text.startswith("<html>" if content_type else "")


def test_some_429s_have_a_retry_after(serve: Serve) -> None:
    server = serve(tiny_world(), faults=Faults(rate=1, kinds=("429",), retry_after=1))
    assert {ask(server, BINDINGS).headers.get("Retry-After") for _ in range(20)} == {None, "1"}


@pytest.mark.parametrize("kind", ["reset", "cut", "stall"])
def test_an_answer_is_lost_or_ends_early(serve: Serve, sleeps: Sleeps, kind: str) -> None:
    server = serve(tiny_world(), faults=Faults(rate=1, kinds=(kind,), stall=30))
    with pytest.raises(LOST) as caught:
        ask(server, BINDINGS)
    assert ("IncompleteRead" in str(caught.value)) == (kind != "reset")
    assert sleeps.seconds == ([30] if kind == "stall" else [])
    # Where there is no body to send a part of, the answer is lost.
    with pytest.raises(requests.ConnectionError):
        ask(server, BINDINGS, "HEAD")


@pytest.mark.parametrize("kind", ["short", "garbage", "not-a-page"])
def test_an_answer_of_status_200_is_no_page(serve: Serve, kind: str) -> None:
    whole = ask(serve(tiny_world()), BINDINGS, headers={"Host": "the-same"}).content
    server = serve(tiny_world(), faults=Faults(rate=1, kinds=(kind,)))
    answer = ask(server, BINDINGS, headers={"Host": "the-same"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    if kind == "not-a-page":
        assert "meta" not in answer.json()
        return
    assert (whole.startswith(answer.content) and 0 < len(answer.content) < len(whole)) == (kind == "short")
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_write_changes_nothing_and_one_whose_answer_is_damaged_is_done(
    serve: Serve, sleeps: Sleeps, kind: str
) -> None:
    server = serve(tiny_world(), faults=Faults(rate=1, kinds=(kind,)))
    service = server.world.services[SERVICE]
    gone = f"{BINDINGS}/{service.bindings[0].sid}"
    for method, path, form in (("POST", NOTIFICATIONS, {"LogEnabled": "true"}), ("DELETE", gone, {})):
        try:
            ask(server, path, method, data=form)
        except LOST:
            assert kind in ("reset", "cut", "short", "stall")
    assert (kind in DAMAGES) != (kind in REFUSALS)
    assert (service.configuration == {"log_enabled": True}) == (kind in DAMAGES)
    assert len(service.bindings) == (2 if kind in DAMAGES else 3)
    assert len(server.world.writes) == (2 if kind in DAMAGES else 0)
    assert server.world.requests == 2


def test_an_answer_that_is_an_error_anyway_is_left_alone(serve: Serve) -> None:
    server = serve(tiny_world(), faults=Faults(rate=1, kinds=DAMAGES))
    for _ in range(20):
        assert ask(server, "/v2/Nothing").json()["code"] == 20404


@pytest.mark.parametrize(
    "faults", [Faults(rate=1, kinds=(*REFUSALS, "garbage")), Faults(chat_gone=410), Faults(token_expiry=1)]
)
def test_authentication_comes_first(serve: Serve, faults: Faults) -> None:
    server = serve(tiny_world(), faults=faults)
    for _ in range(5):
        assert ask(server, f"{BINDINGS}?PageToken=PA1", auth=("AC" + "1" * 32, "wrong")).json()["code"] == 20003


@pytest.mark.parametrize("status", [403, 404, 410])
def test_chat_can_be_gone_while_conversations_goes_on(serve: Serve, status: Any) -> None:
    server = serve(tiny_world(), faults=Faults(chat_gone=status))
    for path in ("/v2/Services", f"{BINDINGS}?PageSize=2", "/v2/Nothing"):
        answer = ask(server, path)
        assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert answer.json()["code"] == 20000 + status
    assert ask(server, f"/v1/Services/{SERVICE}/Bindings").status_code == 200


def test_all_requests_wait_without_waiting_for_each_other(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault_middleware, "sleep", together := Sleeps(enough=3))
    server = serve(tiny_world(), faults=Faults(latency=30))
    with ThreadPoolExecutor(3) as pool:
        assert {answer.status_code for answer in pool.map(lambda _: ask(server, BINDINGS), range(3))} == {200}
    assert together.seconds == [30, 30, 30]


def test_more_than_the_most_at_once_are_refused_and_all_answers_say_how_many(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fault_middleware, "sleep", Sleeps(enough=5))
    server = serve(tiny_world(), faults=Faults(latency=1, most_at_once=2))
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: ask(server, BINDINGS), range(5)))
    running = sorted((answer.headers["Twilio-Concurrent-Requests"], answer.status_code) for answer in answers)
    assert running == [("1", 200), ("2", 200), ("3", 429), ("3", 429), ("3", 429)]
    refused = [answer.json() for answer in answers if answer.status_code == 429]
    assert {(body["code"], body["message"]) for body in refused} == {(20429, "Too many concurrent requests")}
    # All have ended, so that there is room again.
    assert ask(server, BINDINGS).headers["Twilio-Concurrent-Requests"] == "1"


def test_a_right_page_token_is_refused_at_times(serve: Serve) -> None:
    server = serve(tiny_world(bindings=[{"count": 40}]), faults=Faults(token_expiry=0.5))
    assert all(ask(server, BINDINGS).status_code == 200 for _ in range(10))
    path = f"{BINDINGS}?PageToken=PA3&Page=1&PageSize=2"
    answers = [ask(server, path) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200, 400}
    refused = next(answer.json() for answer in answers if answer.status_code == 400)
    assert (refused["code"], refused["message"]) == (20001, "PageToken is not valid")


@pytest.mark.parametrize("api", ["/v2", "/v1"])
@pytest.mark.parametrize("query", ["PageSize=3", "PageSize=3&BindingType=fcm"])
@pytest.mark.parametrize("faults", [Faults(growth=2), Faults(deletion=1), Faults(seed=3, growth=2, deletion=1)])
def test_rows_that_stay_are_read_once_while_others_come_and_go(
    serve: Serve, faults: Faults, query: str, api: str
) -> None:
    content = tiny_world(
        bindings=[{"count": 40, "binding_type": ["fcm", "apn", "fcm"]}],
        conversations_bindings=[{"count": 5, "binding_type": "fcm"}],
    )
    server = serve(content, faults=faults)
    service = server.world.services[SERVICE]
    before = service.bindings + (service.conversations_bindings if api == "/v1" else [])
    sids = [item["sid"] for item in walk(server, f"{api}/Services/{SERVICE}/Bindings?{query}")]
    assert len(set(sids)) == len(sids)
    deleted, registered = ({item.sid for item in items} for items in (server.world.deleted, server.world.registered))
    wanted = [item.sid for item in before if "Type" not in query or item.binding_type == "fcm"]
    assert set(wanted) - deleted <= set(sids) <= set(wanted) | registered
    assert [sid for sid in sids if sid in wanted] == [sid for sid in wanted if sid in sids]
    assert bool(registered) == bool(faults.growth)
    assert bool(deleted) == bool(faults.deletion)
    assert not {item.sid for item in before} & registered


def test_what_registers_has_a_number_of_its_own_though_the_last_one_has_gone(serve: Serve) -> None:
    server = serve(tiny_world(bindings=[{"count": 4, "binding_type": "gcm"}]), faults=Faults(growth=1))
    service = server.world.services[SERVICE]
    last = service.bindings[-1]
    assert ask(server, f"{BINDINGS}/{last.sid}", "DELETE").status_code == 204
    ask(server, BINDINGS)
    new = service.bindings[-1]
    assert server.world.registered == [new]
    assert new.number > last.number
    assert (new.binding_type, new.credential_sid) == (last.binding_type, last.credential_sid)
    assert new.identity != last.identity
    ask(server, f"/v2/Services/{SERVICE}/Users/{new.identity}/Bindings")
    assert service.bindings[-1].number > new.number


def test_a_service_without_bindings_can_get_one_and_lose_it(serve: Serve) -> None:
    server = serve(tiny_world(bindings=[]), faults=Faults(deletion=1))
    assert walk(server, BINDINGS) == []
    assert server.world.deleted == []
    server = serve(tiny_world(bindings=[]), faults=Faults(growth=1, deletion=1))
    assert walk(server, BINDINGS) == []
    assert server.world.registered == server.world.deleted
    assert len(server.world.deleted) == 1


def test_only_pages_of_bindings_that_were_answered_count(serve: Serve) -> None:
    server = serve(tiny_world(), faults=Faults(growth=1))
    for path in ("/v2/Services", BINDINGS.replace("1", "9"), f"{BINDINGS}?PageSize=no", NOTIFICATIONS):
        ask(server, path)
    assert server.world.registered == []


def test_a_slow_body_is_whole(serve: Serve, sleeps: Sleeps) -> None:
    whole = ask(serve(tiny_world()), BINDINGS, headers={"Host": "the-same"})
    server = serve(tiny_world(), faults=Faults(bytes_per_second=1000))
    slow = ask(server, BINDINGS, headers={"Host": "the-same"})
    assert (slow.content, slow.headers) == (whole.content, whole.headers)
    assert len(sleeps.seconds) > 10
    assert sum(sleeps.seconds) == pytest.approx(len(whole.content) / 1000)
    assert ask(server, BINDINGS, "HEAD").headers["Content-Length"] == str(len(ask(server, BINDINGS).content))
    assert ask(server, f"{BINDINGS}/{server.world.services[SERVICE].bindings[0].sid}", "DELETE").status_code == 204


def test_a_client_that_leaves_early_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    with StandInServer(make_world(tiny_world()), faults=Faults(bytes_per_second=200)) as server:
        with ask(server, BINDINGS, stream=True) as answer:
            assert answer.raw.read(1) == b"{"
        assert ask(server, "/v2/Nothing").status_code == 404
    assert caplog.records == []


def test_the_same_seed_decides_the_same_whatever_the_order(serve: Serve, demo_content: dict[str, Any]) -> None:
    sids = [service_sid(number) for number in (1, 2, 3)]
    paths = [f"/{api}/Services/{sid}/Bindings?PageSize={n}" for api in ("v1", "v2") for sid in sids for n in (5, 7)]
    asked = [path for path in paths for _ in range(6)]
    random.Random(1).shuffle(shuffled := asked.copy())

    def outcomes(order: Iterable[str], threads: int, seed: int) -> dict[str, list[str]]:
        faults = Faults(seed=seed, rate=0.7, token_expiry=0.3, retry_after=1)
        server = serve(make_world(demo_content), faults=faults)
        found = defaultdict(list)
        with ThreadPoolExecutor(threads) as pool:
            for path, seen in pool.map(lambda path: (path, outcome(server, path)), order):
                found[path].append(repr(seen))
        return {path: sorted(seen) for path, seen in found.items()}

    once = outcomes(asked, 1, seed=5)
    assert outcomes(shuffled, 8, seed=5) == once
    assert outcomes(asked, 1, seed=6) != once
    assert {len(set(seen)) for seen in once.values()} != {1}, "the same request, asked again, is decided again"
