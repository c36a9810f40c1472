"""A request has a limit of time from its first byte to its last, and its answer one of size, whatever a server sends."""

from __future__ import annotations

import gzip
import json
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.hostile import Hostile
from migrate.model.errors import InterruptedRunError, TransientTwilioError, TwilioError
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.connect import ApiSettings, open_api
from migrate.twilio_api.limits import LARGEST_BODY
from migrate.twilio_api.retry import RetryPolicy
from migrate.twilio_api.transports.live import LiveTransport
from migrate.twilio_api.transports.transport import Request
from tests.conftest import Run
from tests.scripted import Reply, Scripted, scripted

ACCOUNT = "AC" + "1" * 32
GZIP = {"Content-Encoding": "gzip"}
ENDLESS = ("stall", "stall-body", "drip-headers", "drip", "handshake")


@pytest.fixture(autouse=True)
def _account(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", ACCOUNT)
    environment.setenv("TWILIO_AUTH_TOKEN", "t")


@pytest.fixture
def transport() -> Iterator[LiveTransport]:
    made = LiveTransport()
    yield made
    made.close()


def request(url: str, seconds: float = 30.0, method: str = "GET") -> Request:
    return Request(method, f"{url}/v2/Services", {}, None, ("a", "b"), seconds)


def settings(server: str, **changes: float) -> ApiSettings:
    return ApiSettings(
        server,
        server,
        environment={"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": "t"},
        retry_budget=changes.get("retry_budget", 300.0),
    )


@pytest.mark.parametrize("way", ENDLESS)
def test_an_answer_that_does_not_end_is_a_failure_that_may_pass(transport: LiveTransport, way: str) -> None:
    with Hostile("http://127.0.0.1:1", way) as server:
        began = time.monotonic()
        with pytest.raises(TransientTwilioError, match="it was not complete after 1 s"):
            transport.send(request(server.url, 0.7))
    assert 0.6 < time.monotonic() - began < 4


def test_a_connection_that_was_used_before_is_cut_too(transport: LiveTransport) -> None:
    hangs, answers = threading.Event(), [Reply({"sid": "x"})]

    def answer(server: Scripted, path: str) -> Reply:
        if not answers:
            hangs.wait(20)
        return answers.pop() if answers else Reply({})

    with scripted(answer) as server:
        assert transport.send(request(server.url)).status_code == 200
        with pytest.raises(TransientTwilioError, match="not complete"):
            transport.send(request(server.url, 0.3))
        hangs.set()
        assert transport.send(request(server.url)).status_code == 200


def test_a_request_through_a_proxy_is_cut_too(transport: LiveTransport, environment: pytest.MonkeyPatch) -> None:
    with Hostile("http://127.0.0.1:1", "stall") as proxy:
        environment.setenv("http_proxy", proxy.url)
        with pytest.raises(TransientTwilioError, match=r"twilio\.test.*not complete"):
            transport.send(request("http://twilio.test", 0.4))
        assert proxy.asked == 1


@pytest.mark.parametrize("way", ["stall", "drip", "handshake"])
def test_a_stop_ends_what_is_under_way_and_begins_nothing(transport: LiveTransport, way: str) -> None:
    raised: list[BaseException] = []

    def ask() -> None:
        try:
            transport.send(request(server.url, 60))
        except BaseException as error:
            raised.append(error)

    with Hostile("http://127.0.0.1:1", way) as server:
        thread = threading.Thread(target=ask)
        thread.start()
        assert server.hangs.wait(20)
        began = time.monotonic()
        transport.stop()
        thread.join(20)
        assert time.monotonic() - began < 4
        with pytest.raises(InterruptedRunError):
            transport.send(request(server.url))
        assert server.asked == 1
    assert [type(error) for error in raised] == [InterruptedRunError]


def test_the_budget_bounds_the_time_of_one_request() -> None:
    assert RetryPolicy(300).seconds_left(time.monotonic()) == 60
    assert 19 < RetryPolicy(20).seconds_left(time.monotonic()) <= 20
    assert 9 < RetryPolicy(300).seconds_left(time.monotonic() - 290) <= 10
    for budget in (0, 3):
        assert RetryPolicy(budget).seconds_left(time.monotonic()) == 5


@pytest.mark.long
@pytest.mark.parametrize("way", ENDLESS)
@pytest.mark.parametrize("command", ["extract", "doctor"])
def test_a_budget_of_five_seconds_ends_after_five_seconds(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, way: str, command: str
) -> None:
    environment.undo()  # real pauses
    environment.setenv("TWILIO_ACCOUNT_SID", ACCOUNT)
    environment.setenv("TWILIO_AUTH_TOKEN", "t")
    with Hostile("http://127.0.0.1:1", way) as server:
        words = [command, "--chat-url", server.url, "--conversations-url", server.url, "--retry-budget", 5]
        began = time.monotonic()
        result = run(*words, *(["--out", tmp_path / "s"] if command == "extract" else []))
    assert (result.exit_code, result.stderr.count("Error: ")) == (1, 1), result.output
    assert "was not complete after 5 s" in " ".join(result.output.split())  # on a screen of 80 columns
    # A doctor asks both APIs. Without a budget the limit of each request would be a minute.
    assert time.monotonic() - began < (15 if command == "extract" else 25)


# --- size ---------------------------------------------------------------------------------------------------


def bomb(size: int) -> Reply:
    return Reply(gzip.compress(b" " * size, 1), 200, GZIP)


def test_what_is_small_on_the_wire_and_huge_in_memory_is_refused_before_it_is_there(transport: LiveTransport) -> None:
    reply = bomb(LARGEST_BODY * 10)
    with scripted(lambda server, path: reply) as server:
        tracemalloc.start()
        try:
            with pytest.raises(TwilioError, match="more than 32 MiB") as raised:
                transport.send(request(server.url))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert not isinstance(raised.value, TransientTwilioError)
    assert peak < 2.5 * LARGEST_BODY


def test_a_flood_is_one_line(tmp_path: Path, run: Run) -> None:
    with Hostile("http://127.0.0.1:1", "flood") as server:
        result = run("extract", "--out", tmp_path / "s", "--chat-url", server.url, "--conversations-url", server.url)
        assert server.asked == 3  # larger and smaller pages, each once
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "answered with more than 32 MiB, which is no answer of Twilio's. Find out who answers" in result.stderr


@pytest.mark.parametrize("status", [404, 503])
def test_of_an_error_that_is_too_large_the_status_counts(transport: LiveTransport, status: int) -> None:
    large = Reply(gzip.compress(b" " * (LARGEST_BODY + 1), 1), status, GZIP)
    with scripted(lambda server, path: large) as server:
        answer = transport.send(request(server.url))
    assert (answer.status_code, answer.body) == (status, b"")


def test_a_body_of_the_largest_size_comes_whole(transport: LiveTransport) -> None:
    with scripted(lambda server, path: bomb(LARGEST_BODY)) as server:
        assert len(transport.send(request(server.url)).body) == LARGEST_BODY


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (gzip.compress(b"{}"), b"{}"),
        (gzip.compress(b'{"a"') + gzip.compress(b": 1}"), b'{"a": 1}'),
        (gzip.compress(b"{}") + b"\0\0 more", b"{}"),
        (b"", b""),
    ],
    ids=["one member", "two", "and something else", "nothing"],
)
def test_gzip_comes_as_it_was(transport: LiveTransport, sent: bytes, found: bytes) -> None:
    with scripted(lambda server, path: Reply(sent, 200, GZIP)) as server:
        assert transport.send(request(server.url)).body == found


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(b"no gzip", 200, GZIP), "it is not gzip"),
        (Reply(gzip.compress(b"a text that is longer")[:-9], 200, GZIP), "its gzip ends in the middle"),
        (Reply(b"?", 200, {"Content-Encoding": "br"}), "it is encoded as br, which was not asked for"),
    ],
    ids=["no gzip", "cut", "brotli"],
)
def test_what_cannot_be_decoded_may_pass(transport: LiveTransport, reply: Reply, told: str) -> None:
    with scripted(lambda server, path: reply) as server, pytest.raises(TransientTwilioError, match=told):
        transport.send(request(server.url))
    assert server.seen[0][2]["Accept-Encoding"] == "gzip"


def test_a_body_that_does_not_say_how_long_it_is_comes_whole(transport: LiveTransport) -> None:
    body = json.dumps({"meta": {}, "services": ["x" * 100] * 5_000}).encode()
    pieces = (
        b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:70_000], body[70_000:]))
        + b"0\r\n\r\n"
    )
    # `scripted` adds a Content-Length, which Transfer-Encoding overrides (RFC 9112, section 6.3).
    with scripted(lambda server, path: Reply(pieces, 200, {"Transfer-Encoding": "chunked"})) as server:
        assert transport.send(request(server.url)).body == body


def test_a_write_whose_answer_is_too_large_is_no_success() -> None:
    with Hostile("http://127.0.0.1:1", "flood") as server, open_api(settings(server.url)) as api:
        assert isinstance(api, TwilioApi)
        with pytest.raises(TwilioError, match="more than 32 MiB"):
            api.post("conversations", "/Services/IS1/Configuration/Notifications", {"LogEnabled": "true"})
