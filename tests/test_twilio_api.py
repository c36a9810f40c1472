"""The way to Twilio: addresses and regions, credentials, and threads that never get each other's answers."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from migrate.model.errors import InterruptedRunError, RefusedError, TransientTwilioError, TwilioError, UsageError
from migrate.standin.world import World
from migrate.twilio_api.addresses import Addresses, public_url
from migrate.twilio_api.connect import ApiSettings, open_api
from migrate.twilio_api.login import Login
from migrate.twilio_api.pages import records_of
from migrate.twilio_api.retry import FIRST_WAIT, LONGEST_WAIT, RetryPolicy
from tests.conftest import Serve, service_sid
from tests.scripted import Reply, Scripted, scripted

CHAT, CONVERSATIONS = "https://chat.twilio.com", "https://conversations.twilio.com"
ACCOUNT, KEY = "AC" + "1" * 32, "SK" + "1" * 32


@pytest.mark.parametrize(
    ("environment", "host"),
    [
        ({}, "chat.twilio.com"),
        ({"TWILIO_REGION": "ie1"}, "chat.ie1.twilio.com"),
        ({"TWILIO_EDGE": "dublin"}, "chat.dublin.us1.twilio.com"),
        ({"TWILIO_REGION": "ie1", "TWILIO_EDGE": "dublin"}, "chat.dublin.ie1.twilio.com"),
    ],
)
def test_edge_and_region_choose_twilios_host(environment: dict[str, str], host: str) -> None:
    addresses = Addresses.resolve(CHAT, CONVERSATIONS, environment)
    assert addresses.chat == f"https://{host}"
    assert addresses.url("chat", "/Services", (("PageSize", "5"),)) == f"https://{host}/v2/Services?PageSize=5"
    # Twilio may link to its plain host; the request stays on the regional one.
    assert addresses.follow("chat", "https://chat.twilio.com/v2/x?Page=1") == f"https://{host}/v2/x?Page=1"
    assert addresses.canonical(f"https://{host}/v2/x?Page=1") == "https://chat.twilio.com/v2/x?Page=1"
    with pytest.raises(RefusedError):
        addresses.follow("chat", "https://conversations.twilio.com/v2/x")


@pytest.mark.parametrize("url", ["http://chat.twilio.com", "http://chat.twilio.com.", "HTTP://CHAT.TWILIO.COM"])
def test_twilio_is_never_asked_in_the_clear(url: str) -> None:
    with pytest.raises(UsageError, match="Use https"):
        Addresses.resolve(url, CONVERSATIONS, {})


@pytest.mark.parametrize("name", ["TWILIO_REGION", "TWILIO_EDGE"])
@pytest.mark.parametrize("value", ["evil.com/", "evil.com#", "https://ie1", "[", "a.b", "a@b", "é"])
def test_a_region_that_would_lead_elsewhere_is_wrong_usage(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=name):
        Addresses.resolve(CHAT, CONVERSATIONS, {name: value})


def test_the_region_comes_from_the_given_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_REGION", "ie1")
    assert Addresses.resolve(CHAT, CONVERSATIONS, {}) == Addresses()


def test_another_server_is_left_as_it_is_named() -> None:
    addresses = Addresses.resolve("http://127.0.0.1:80/", "http://[::1]:81", {"TWILIO_REGION": "ie1"})
    assert addresses == Addresses("http://127.0.0.1:80", "http://[::1]:81", monitor="", accounts="")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "chat.twilio.com",
        "ftp://x",
        "http://",
        "http://x/v2",
        "http://u:p@x",
        "http://x?y",
        "http://x/?#f",
        "http://x#f",
        "http://chat.twilio\u3002com",
        "http://x:99999",
        "http://[x",
    ],
)
def test_what_is_no_base_url_is_wrong_usage(url: str) -> None:
    with pytest.raises(UsageError, match="Not a base URL"):
        Addresses.resolve(url, CONVERSATIONS, {})


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TWILIO_AUTH_TOKEN": "t"}, (ACCOUNT, "t")),
        ({"TWILIO_API_KEY": KEY, "TWILIO_API_SECRET": "s"}, (KEY, "s")),
        ({"TWILIO_AUTH_TOKEN": "t", "TWILIO_API_KEY": KEY, "TWILIO_API_SECRET": "s"}, (KEY, "s")),
    ],
)
def test_an_api_key_goes_before_the_auth_token(environment: dict[str, str], expected: tuple[str, str]) -> None:
    found = Login.from_environment({"TWILIO_ACCOUNT_SID": ACCOUNT, **environment})
    assert (found.username, found.password, found.account_sid) == (*expected, ACCOUNT)
    assert (
        expected[1] not in repr(found).replace("Credentials", "").replace("password", "").replace("username", "")
        or len(expected[1]) == 1
    )


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TWILIO_AUTH_TOKEN": "t"},
        {"TWILIO_ACCOUNT_SID": ACCOUNT},
        {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": "  "},
        {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_API_KEY": KEY},
        {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": "t", "TWILIO_API_SECRET": "s"},
    ],
)
def test_missing_credentials_are_wrong_usage(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="TWILIO_"):
        Login.from_environment(environment)


def test_an_address_is_shown_without_personal_data_and_tokens() -> None:
    shown = public_url("https://x/v2/B?Identity=alice%40example.test&BindingType=apn&PageToken=PAabc")
    assert shown == "https://x/v2/B?Identity=al…st (18)&BindingType=apn"
    many = "&".join(f"Identity=person-{number:04}-of-many" for number in range(300))
    shown = public_url(f"https://x/v2/B?{many}&PageSize=5")
    assert shown == "https://x/v2/B?Identity=pe…ny (19)&(and 299 more)&PageSize=5"


def test_record_and_replay_exclude_each_other(tmp_path: object) -> None:
    settings = ApiSettings(record=str(tmp_path), replay=str(tmp_path))  # type: ignore[arg-type]
    with pytest.raises(UsageError), open_api(settings):
        pass


def test_threads_never_get_each_others_pages(serve: Serve, odd_world: World) -> None:
    server = serve(odd_world)
    environment = {"TWILIO_ACCOUNT_SID": odd_world.account_sid, "TWILIO_AUTH_TOKEN": odd_world.auth_token}
    settings = ApiSettings(server.url, server.url, environment=environment)
    asked = [(sid, number) for number in range(12) for sid in odd_world.services]

    with open_api(settings) as api, ThreadPoolExecutor(12) as pool:

        def walk(item: tuple[str, int]) -> tuple[str, list[str]]:
            path = f"/Services/{item[0]}/Bindings"
            pages = api.pages("chat", path, read=partial(records_of, key="bindings"), sizes=(7,))
            return item[0], [record["service_sid"] + record["sid"] for page in pages for record in page.content]

        for sid, found in pool.map(walk, asked):
            assert found == [sid + binding.sid for binding in odd_world.services[sid].bindings]


def live(url: str) -> ApiSettings:
    return ApiSettings(url, url, environment={"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": "t"})


def test_redirects_are_not_followed() -> None:
    with scripted(lambda server, path: Reply({})) as elsewhere:
        moved = Reply(b"", 302, {"Location": f"{elsewhere.url}/v2/Services/x"})
        with scripted(lambda server, path: moved) as server, open_api(live(server.url)) as api:
            with pytest.raises(TwilioError, match="answered 302"):
                api.get("chat", "/Services/x")
            assert len(server.seen) == 1
        assert elsewhere.seen == []


@pytest.mark.parametrize(
    ("status", "tries"),
    [(429, 9), (500, 9), (502, 9), (503, 9), (504, 9), (400, 1), (401, 1), (403, 1), (404, 1), (410, 1), (501, 1)],
)
def test_what_may_pass_is_tried_again_and_nothing_else(status: int, tries: int) -> None:
    with (
        scripted(lambda server, path: Reply({"message": "\x1b[2Jno"}, status)) as server,
        open_api(live(server.url)) as api,
    ):
        with pytest.raises(TwilioError, match=f"answered {status}") as error:
            api.get("chat", "/Services/x")
        assert len(server.seen) == 1 if tries == 1 else len(server.seen) >= tries
    assert "\x1b" not in str(error.value)


def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that are made from now on, in seconds."""
    made: list[float] = []
    monkeypatch.setattr(RetryPolicy, "sleep", lambda self, seconds: made.append(seconds))
    return made


@pytest.mark.parametrize(("header", "least"), [("7", 7.0), ("0", 0.0), ("soon", 0.0), ("-5", 0.0), ("nan", 0.0)])
def test_twilio_says_how_long_to_wait(monkeypatch: pytest.MonkeyPatch, header: str, least: float) -> None:
    made = waits(monkeypatch)
    replies = [Reply({}, 429, {"Retry-After": header})]
    with (
        scripted(lambda server, path: replies.pop() if replies else Reply({"sid": "x"})) as server,
        open_api(live(server.url)) as api,
    ):
        assert api.get("chat", "/Services/x") == {"sid": "x"}
    assert least <= made[0] <= max(least, FIRST_WAIT)


def test_pauses_grow_with_full_jitter_and_end_with_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    made = waits(monkeypatch)
    with scripted(lambda server, path: Reply({}, 503)) as server:
        settings = replace(live(server.url), retry_budget=100.0)
        with open_api(settings) as api, pytest.raises(TransientTwilioError):
            api.get("chat", "/Services/x")
        assert len(server.seen) == len(made) + 1
    bounds = [min(FIRST_WAIT * 2**number, LONGEST_WAIT) for number in range(len(made))]
    assert all(0 <= wait <= bound for wait, bound in zip(made, bounds, strict=True))
    assert 100.0 - LONGEST_WAIT < sum(made) <= 100.0


def test_a_wait_longer_than_the_budget_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    made = waits(monkeypatch)
    with scripted(lambda server, path: Reply({}, 429, {"Retry-After": "inf"})) as server:
        with open_api(live(server.url)) as api, pytest.raises(TransientTwilioError, match="answered 429"):
            api.get("chat", "/Services/x")
        assert (len(server.seen), made) == (1, [])


def test_a_stop_ends_a_pause_and_lets_nothing_further_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # real pauses
    with scripted(lambda server, path: Reply({}, 429, {"Retry-After": "200"})) as server:
        with open_api(live(server.url)) as api, ThreadPoolExecutor(1) as pool:
            asking = pool.submit(api.get, "chat", "/Services/x")
            while not server.seen:
                pass
            api.stop()
            with pytest.raises(InterruptedRunError):
                asking.result()
            with pytest.raises(InterruptedRunError):
                api.get("chat", "/Services/x")
        assert len(server.seen) == 1


@pytest.mark.parametrize("length", [1, 2, 3])
def test_pages_that_link_in_a_circle_end(length: int) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        number = int(path.partition("Page=")[2] or 0)
        return server.page("services", [], f"{server.url}/v2/Services?Page={number % length + 1}")

    with scripted(answer) as server, open_api(live(server.url)) as api:
        with pytest.raises(TwilioError, match="link in a circle"):
            list(api.pages("chat", "/Services", read=partial(records_of, key="services")))
        assert length < len(server.seen) <= 4 * length


def test_a_port_that_goes_without_saying_may_be_said() -> None:
    addresses = Addresses("https://example.test:443", "https://example.test")
    assert addresses.follow("chat", "https://example.test/v2/x") == "https://example.test:443/v2/x"
    assert addresses.follow("conversations", "https://EXAMPLE.test:443/v1/x") == "https://example.test/v1/x"
    for link in ("https://user@example.test/v2/x", "https://example.test:99999/x", "http://example.test/v2/x"):
        with pytest.raises(RefusedError):
            addresses.follow("chat", link)


def test_requests_say_who_asks() -> None:
    with scripted(lambda server, path: Reply({"sid": "x"})) as server:
        with open_api(live(server.url)) as api:
            assert api.get("chat", f"/Services/{service_sid(1)}") == {"sid": "x"}
        (_, path, headers) = server.seen[0]
    assert path == f"/v2/Services/{service_sid(1)}"
    assert headers["User-Agent"].startswith("twilio-python/")
    assert " chat-migrate/" in headers["User-Agent"]
    assert json.dumps(headers).count("Authorization") == 1


def test_trouble_that_is_over_is_told_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(RetryPolicy, "sleep", lambda self, seconds: seen.append(self.trouble))
    policy = RetryPolicy(300.0)

    def fail() -> None:
        raise TransientTwilioError("gone wrong")

    with pytest.raises(TransientTwilioError):
        policy.call(fail, 3)
    assert (seen, policy.trouble) == (["gone wrong"] * 2, "")
