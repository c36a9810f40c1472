"""Cassettes: recorded anywhere, played offline, with nothing in them that should not be."""

from __future__ import annotations

import base64
import html
import json
import re
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import vcr
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.rest import Client

from cassettes.record import record
from migrate.model.errors import TwilioError
from migrate.standin.world import World
from migrate.twilio_api.addresses import Addresses
from migrate.twilio_api.connect import ApiSettings, open_api
from migrate.twilio_api.login import Login
from migrate.twilio_api.transports.live import LiveTransport
from migrate.twilio_api.transports.record import RecordTransport
from migrate.twilio_api.transports.replay import ReplayTransport
from migrate.twilio_api.transports.transport import Answer, Request
from tests.conftest import CASSETTE, DEMO_ACCOUNT, Run, Serve, service_sid, tiny_world
from tests.scripted import Reply, Scripted, scripted


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody opens a socket, not even to this machine."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def read(path: Path) -> Any:
    """A cassette's content, by libyaml where it is there: it takes a tenth of the time."""
    return yaml.load(path.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def write(content: Any, path: Path) -> None:
    path.write_text(yaml.dump(content, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)))


def interactions(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(path)["interactions"]
    return found


@pytest.mark.usefixtures("no_sockets")
@pytest.mark.parametrize("concurrency", [1, 16])
def test_replay_needs_no_socket_and_no_credentials(tmp_path: Path, run: Run, concurrency: int) -> None:
    result = run("run", "--replay", CASSETTE, "--out", tmp_path, "--concurrency", concurrency)
    assert result.exit_code == 0, result.output


def test_the_shipped_cassette_is_what_recording_the_demo_gives(tmp_path: Path) -> None:
    record(tmp_path / "again.yaml")
    assert (tmp_path / "again.yaml").read_bytes() == CASSETTE.read_bytes()


def test_a_recording_is_the_same_whatever_the_concurrency(
    tmp_path: Path, run: Run, serve: Serve, demo_world: World, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("CHAT_MIGRATE_MONITOR_URL", serve(demo_world).url)
    made = []
    for concurrency in (1, 16):
        cassette = tmp_path / f"{concurrency}.yaml"
        options = ["--record", cassette, "--concurrency", concurrency, "--page-size", 5]
        assert run("run", "--out", tmp_path / str(concurrency), *options).exit_code == 0
        made.append(cassette.read_bytes())
    assert made[0] == made[1] == CASSETTE.read_bytes()


def test_a_recording_holds_twilios_hosts_and_nothing_of_the_recorder(tmp_path: Path, run: Run, serve: Serve) -> None:
    server = serve({**tiny_world(), "auth_token": "planted-secret-token"})
    cassette = tmp_path / "new" / "c.yaml"
    assert run("run", "--out", tmp_path / "live", "--record", cassette).exit_code == 0
    text = cassette.read_text("utf-8")
    for secret in ("planted-secret-token", server.world.account_sid, "127.0.0.1", "Authorization", "User-Agent"):
        assert secret.lower() not in text.lower()
    assert DEMO_ACCOUNT in text
    hosts = {entry["request"]["uri"].split("/")[2] for entry in interactions(cassette)}
    assert hosts == {"chat.twilio.com", "conversations.twilio.com"}
    for entry in interactions(cassette):
        assert entry["request"]["headers"] == {}
        assert set(entry["response"]["headers"]) == {"content-type", "date"}
    assert cassette.stat().st_mode & 0o777 == 0o600
    assert run("run", "--out", tmp_path / "replayed", "--replay", cassette).exit_code == 0
    account = server.world.account_sid
    live, replayed = ((tmp_path / name / "mapped" / "push-config.yaml").read_text() for name in ("live", "replayed"))
    assert live == replayed
    assert account in (tmp_path / "live" / "plan.json").read_text()
    assert account not in (tmp_path / "replayed" / "plan.json").read_text()


def test_every_list_of_the_demo_takes_several_pages() -> None:
    uris = [entry["request"]["uri"] for entry in interactions(CASSETTE)]
    for path in ("/v2/Services?", "/v2/Credentials?", *(f"/{service_sid(n)}/Bindings?" for n in (1, 2, 3, 4, 6, 7))):
        assert sum(path in uri for uri in uris) > 1, path


def test_vcrpy_itself_plays_the_cassette_for_stock_twilio_python() -> None:
    with vcr.use_cassette(str(CASSETTE), record_mode="none"):
        client = Client(DEMO_ACCOUNT, "any")  # type: ignore[no-untyped-call]
        found = client.chat.v2.services(service_sid(2)).bindings.list(binding_type=["apn"], page_size=5)
    assert {str(binding.binding_type) for binding in found} == {"apn"}


def test_a_cassette_from_vcrpys_own_recorder_plays_here(tmp_path: Path, run: Run, serve: Serve) -> None:
    server = serve(tiny_world())
    recorded = tmp_path / "by-vcr.yaml"
    client: Any = Client(server.world.account_sid, server.world.auth_token)  # type: ignore[no-untyped-call]
    client.chat.base_url = server.url
    with vcr.use_cassette(str(recorded), filter_headers=["Authorization"]):
        client.chat.v2.services.list()
        client.chat.v2.credentials.list()
        for kind in ("apn", "fcm", "gcm"):
            client.chat.v2.services(service_sid(1)).bindings.list(binding_type=[kind])
        client.conversations.base_url = server.url
        client.conversations.v1.services(service_sid(1)).configuration.notifications().fetch()
    text = recorded.read_text().replace(f"{server.url}/v1", "https://conversations.twilio.com/v1")
    recorded.write_text(text.replace(server.url, "https://chat.twilio.com"))
    assert run("extract", "--out", tmp_path / "s", "--replay", recorded).exit_code == 0


@pytest.mark.parametrize(
    ("options", "request_line"),
    [
        (["--service", service_sid(1)], f"GET https://chat.twilio.com/v2/Services/{service_sid(1)}"),
        (["--identity", "alice@example.test"], "Bindings?Identity=al…st (18)&PageSize=1000"),
    ],
)
def test_a_request_that_was_not_recorded_is_one_line_that_names_it(
    tmp_path: Path, run: Run, options: list[str], request_line: str
) -> None:
    result = run("extract", "--replay", CASSETTE, "--out", tmp_path / "s", *options)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"The cassette {CASSETTE} has no recording of" in result.stderr
    assert request_line in result.stderr
    assert "alice@example.test" not in result.stderr


def test_exchanges_of_one_address_are_played_in_the_order_of_their_recording(tmp_path: Path) -> None:
    address, environment = "https://chat.twilio.com/v2/Services/x", {"status": {"code": 200, "message": ""}}
    entries = [
        {
            "request": {"method": "GET", "uri": address, "body": None, "headers": {}},
            "response": {**environment, "headers": {}, "body": {"string": f'{{"number": {number}}}'}},
        }
        for number in range(3)
    ]
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"version": 1, "interactions": entries}))
    with open_api(ApiSettings(replay=tmp_path / "c.yaml")) as api:
        assert [api.get("chat", "/Services/x")["number"] for _ in range(3)] == [0, 1, 2]


def test_a_recording_that_could_not_be_saved_shows_before_the_run(tmp_path: Path, run: Run, serve: Serve) -> None:
    server = serve(tiny_world())
    (tmp_path / "file").write_text("in the way")
    result = run("extract", "--out", tmp_path / "s", "--record", tmp_path / "file" / "c.yaml")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert server.world.requests == 0


def test_an_exchange_is_played_once(tmp_path: Path, run: Run) -> None:
    shorter = read(CASSETTE)
    first = {entry["request"]["uri"]: entry for entry in reversed(shorter["interactions"])}
    shorter["interactions"] = [entry for entry in shorter["interactions"] if entry is first[entry["request"]["uri"]]]
    write(shorter, tmp_path / "c.yaml")
    result = run("run", "--replay", tmp_path / "c.yaml", "--out", tmp_path / "out")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "has no further recording of GET https://conversations.twilio.com" in result.stderr


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "There is no cassette"),
        (b"", "or it is empty"),
        (b"\xff\xfe\x00", "Cannot read the cassette"),
        (b"interactions:\n\t- x", "line 2: not valid YAML"),
        (b"!!python/object/apply:os.system [echo]", "Cannot read the cassette"),
        (b"{}", "not a recording in vcrpy's format"),
        (b"interactions: 5", "not a recording in vcrpy's format"),
        (b"- request: {}", "not a recording in vcrpy's format"),
        (b"interactions: [{request: {method: GET, uri: x, body: null, headers: {}}, response: {}}]", "Cannot read"),
        (
            b"interactions: [{request: {method: GET, uri: x, body: null, headers: {}},"
            b" response: {status: {code: '200'}, headers: {}, body: {string: x}}}]",
            "an interaction is incomplete",
        ),
        (
            b"interactions: [{request: {method: GET, uri: x, body: null, headers: {}},"
            b" response: {status: {code: 200}, headers: {a: []}, body: {string: x}}}]",
            "not a recording in vcrpy's format",
        ),
        (b"[" * 5000, "Cannot read the cassette"),
    ],
)
def test_an_unreadable_cassette_is_one_line(tmp_path: Path, run: Run, content: bytes | None, problem: str) -> None:
    cassette = tmp_path / "c.yaml"
    if content is not None:
        cassette.write_bytes(content)
    result = run("extract", "--replay", cassette, "--out", tmp_path / "s")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert problem in result.stderr
    assert not (tmp_path / "s").exists()


def test_a_recording_never_overwrites_another(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world())
    (tmp_path / "c.yaml").write_text("mine")
    result = run("extract", "--out", tmp_path / "s", "--record", tmp_path / "c.yaml")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert (tmp_path / "c.yaml").read_text() == "mine"


def test_record_and_replay_exclude_each_other(tmp_path: Path, run: Run) -> None:
    result = run("extract", "--out", tmp_path / "s", "--record", "a.yaml", "--replay", "b.yaml")
    assert result.exit_code == 2


def test_a_failing_run_is_recorded_too_and_fails_alike_when_replayed(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "synthetic-token")

    def answer(server: Scripted, path: str) -> Reply:
        return Reply({"code": 20429, "message": "slow down"}, 429, {"Retry-After": "0", "Set-Cookie": "a=b"})

    with scripted(answer) as server:
        options = ["--out", tmp_path / "a", "--retry-budget", 0]
        urls = ["--chat-url", server.url, "--conversations-url", server.url]
        live = run("extract", *options, *urls, "--record", tmp_path / "c.yaml")
        assert len(server.seen) > 1
    replayed = run("extract", *options, "--replay", tmp_path / "c.yaml")
    assert live.exit_code == replayed.exit_code == 1
    assert live.stderr.replace(server.url, "https://chat.twilio.com") == replayed.stderr
    assert {tuple(entry["response"]["headers"]) for entry in interactions(tmp_path / "c.yaml")} == {("retry-after",)}


def test_a_run_that_got_no_answer_leaves_an_empty_recording(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "synthetic-token")
    run("extract", "--out", tmp_path / "a", "--chat-url", "http://127.0.0.1:1", "--record", tmp_path / "c.yaml")
    assert interactions(tmp_path / "c.yaml") == []


@pytest.mark.parametrize("told", [
    lambda secret: json.dumps({"message": f"{secret} is not valid"}).encode(),
    lambda secret: json.dumps({"got": json.loads(secret)}).encode(),
    lambda secret: html.escape(secret).encode(),
    lambda secret: base64.b64encode(secret.encode()),
    lambda secret: secret[20:40].encode(),
])  # fmt: skip
def test_what_a_server_says_to_a_secret_is_not_recorded(
    tmp_path: Path, environment: pytest.MonkeyPatch, told: Callable[[str], bytes]
) -> None:
    secret = json.dumps({"project_id": "p", "private_key": "planted-<9c1d>/secret"})
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "synthetic-token")

    def answer(request: Request) -> Answer:
        return Answer(400, told(secret), {})

    environment.setattr(LiveTransport, "send", lambda self, request: answer(request))
    with open_api(ApiSettings(record=tmp_path / "c.yaml")) as api, pytest.raises(TwilioError) as error:
        api.post("conversations", "/Credentials", {"Type": "fcm", "Secret": secret})
    assert "has refused the certificate, private key or secret" in str(error.value)
    assert not any(part in str(error.value) for part in ("planted", "9c1d", "project_id"))
    (kept,) = interactions(tmp_path / "c.yaml")
    assert (kept["request"]["body"], kept["response"]["body"]["string"]) == ("Type=fcm&Secret=hidden", "{}")


# --- a recording is what was answered -----------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["x", "page", "1", "null", "next_page", "synthetic-t"])
@pytest.mark.parametrize("variable", ["TWILIO_AUTH_TOKEN", "TWILIO_API_SECRET"])
def test_a_secret_too_short_to_be_concealed_is_not_recorded_with(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch, variable: str, secret: str
) -> None:
    server = serve({**tiny_world(), "auth_token": secret})
    environment.setenv(variable, secret)
    if variable == "TWILIO_API_SECRET":
        environment.setenv("TWILIO_API_KEY", "SK" + "1" * 32)
    result = run("extract", "--out", tmp_path / "s", "--record", tmp_path / "c.yaml")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert variable in result.stderr
    assert "fewer than 12 characters" in result.stderr
    assert server.world.requests == 0
    assert list(tmp_path.iterdir()) == []


def test_a_short_password_of_a_proxy_cannot_be_concealed_either(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    server = serve(tiny_world())
    environment.setenv("http_proxy", f"http://somebody:{'pw'}@127.0.0.1:1")
    result = run("extract", "--out", tmp_path / "s", "--record", tmp_path / "c.yaml")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert "the password of proxy 1" in result.stderr
    environment.setenv("no_proxy", "127.0.0.1")  # then it is not on the way
    assert run("extract", "--out", tmp_path / "s", "--record", tmp_path / "c.yaml").exit_code == 0
    assert server.world.requests > 0


class Fixed:
    """A transport that always answers with one body."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self.answer = Answer(status, body, {"Content-Type": "application/json", "Date": "x", "Server": "y"})

    def send(self, request: Request) -> Answer:
        return self.answer

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass


ASKED = Request("GET", "https://chat.twilio.com/v2/Services?PageSize=5", {}, None, None)
TWILIO = Addresses()
SIGNED = Login("AC" + "7" * 32, "AC" + "7" * 32, 'planted/secret-"token')


def replayed(body: bytes, addresses: Addresses = TWILIO, asked: Request = ASKED) -> bytes:
    """A body as it comes out of a cassette that was recorded and is played."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.yaml"
        recorder = RecordTransport(Fixed(body), path, addresses, SIGNED)
        recorder.send(asked)
        recorder.close()
        assert SIGNED.password not in path.read_text("utf-8", "replace")
        return ReplayTransport(path).send(ASKED).body


@given(
    st.one_of(
        st.binary(max_size=40),
        st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.lists(
            st.sampled_from(["\r\n", "\x85", "\u2028", "\ufeff", "\0", "\t", " ", ": ", "#", "'", '"', "\\", "%"])
        )
        .map("".join)
        .map(str.encode),
    )
)
@settings(max_examples=60)
def test_what_is_played_is_what_was_answered_to_the_byte(body: bytes) -> None:
    assert replayed(body) == body


@pytest.mark.parametrize(
    ("answered", "kept"),
    [
        (b'{"said": "planted/secret-\\"token"}', b'{"said": "hidden"}'),
        (b"planted%2Fsecret-%22token", b"hidden"),
        (b"Basic " + base64.b64encode(f"AC{'7' * 32}:{SIGNED.password}".encode()), b"Basic hidden"),
        (b"AC" + b"7" * 32, DEMO_ACCOUNT.encode()),
        (b"planted/secret", b"planted/secret"),  # no more than a part of it
    ],
)
def test_secrets_are_concealed_in_every_form_and_nothing_else_is(answered: bytes, kept: bytes) -> None:
    assert replayed(answered) == kept


def test_an_address_is_replaced_where_it_is_the_apis_and_not_within_another() -> None:
    addresses = Addresses("http://127.0.0.1:80", "http://127.0.0.1:80")
    asked = Request("GET", "http://127.0.0.1:80/v2/Services?PageSize=5", {}, None, None)
    body = b'["http://127.0.0.1:80/v2/Services", "http://127.0.0.1:8080/v2/x", "see http://127.0.0.1:80"]'
    expected = b'["https://chat.twilio.com/v2/Services", "http://127.0.0.1:8080/v2/x", "see http://127.0.0.1:80"]'
    assert replayed(body, addresses, asked) == expected


def test_a_server_that_escapes_slashes_is_recorded_as_twilio_too(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    """Which is JSON as some libraries write it: a replay follows the links to the next pages."""
    serve(tiny_world(bindings=[{"count": 9, "identity": "person-{n}"}]))
    real = LiveTransport.send

    def send(transport: LiveTransport, request: Request) -> Answer:
        answer = real(transport, request)
        return Answer(answer.status_code, answer.body.replace(b"/", b"\\/"), answer.headers)

    options = ("--page-size", 2)
    with environment.context() as patch:
        patch.setattr(LiveTransport, "send", send)
        assert run("extract", "--out", tmp_path / "s", "--record", tmp_path / "c.yaml", *options).exit_code == 0
    assert "127.0.0.1" not in (tmp_path / "c.yaml").read_text("utf-8")
    again = run("extract", "--out", tmp_path / "t", "--replay", tmp_path / "c.yaml", *options)
    assert again.exit_code == 0, again.output
    rows = [json.loads((tmp_path / name / "manifest.json").read_bytes())["rows"] for name in ("s", "t")]
    assert rows == [9, 9]


def test_a_recording_whose_pages_lost_their_ends_does_not_finish(tmp_path: Path, run: Run) -> None:
    """As an earlier version recorded it with the token "page"."""
    (tmp_path / "c.yaml").write_text(CASSETTE.read_text("utf-8").replace("next_page_url", "next_hidden_url"))
    result = run("extract", "--out", tmp_path / "s", "--replay", tmp_path / "c.yaml", "--retry-budget", 1)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


# --- a replay says how it resumes ---------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["extract", "run"])
def test_a_replay_that_its_cassette_does_not_cover_names_no_command_without_it(
    tmp_path: Path, run: Run, command: str
) -> None:
    result = run(command, "--out", tmp_path / "s", "--replay", CASSETTE, "--no-shard")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "has no recording of" in result.stderr
    assert "o on with" not in result.stderr
    assert "record it again" in result.stderr


def test_a_verification_that_its_cassette_does_not_cover_says_so(tmp_path: Path, run: Run, demo: Any) -> None:
    result = run("verify", demo.folder / "snapshot", "--coverage", tmp_path / "c", "--replay", CASSETTE)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "has no recording of" in result.stderr
    assert "o on with" not in result.stderr


@pytest.mark.parametrize("command", [pytest.param("extract", marks=pytest.mark.long), "run"])
def test_a_replay_that_fails_resumes_with_the_same_cassette(tmp_path: Path, run: Run, command: str) -> None:
    damaged = read(CASSETTE)
    for entry in damaged["interactions"]:
        if "/Bindings" in entry["request"]["uri"]:
            entry["response"]["status"]["code"] = 403
    write(damaged, tmp_path / "c.yaml")
    result = run(command, "--out", tmp_path / "s", "--replay", tmp_path / "c.yaml", "--retry-budget", 0)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    again = rf"Resume with: chat-migrate {command} --out \S+ --replay {tmp_path / 'c.yaml'} --retry-budget 0$"
    assert re.search(again, result.stderr)


def test_a_run_that_stops_half_way_names_the_servers_that_it_talked_to(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    server = serve(tiny_world())
    for name in ("CHAT_MIGRATE_CHAT_URL", "CHAT_MIGRATE_CONVERSATIONS_URL"):
        environment.delenv(name)
    urls = ["--chat-url", server.url, "--conversations-url", server.url]
    environment.setattr("migrate.pipeline.make_plan", interrupted)
    result = run("run", "--out", tmp_path / "r", *urls)
    assert result.exit_code == 130
    assert f"Resume with: chat-migrate load {tmp_path / 'r' / 'mapped'} --plan-out " in result.stderr
    assert result.stderr.endswith(f" --chat-url {server.url} --conversations-url {server.url}\n")


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_a_verification_that_stops_while_recording_resumes_without_its_recording(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    environment.setattr("migrate.verify.verification.extract_snapshot", interrupted)
    result = run("verify", tmp_path / "s", "--coverage", tmp_path / "c", "--record", tmp_path / "c.yaml")
    assert result.exit_code == 130
    assert f"Resume with: chat-migrate verify {tmp_path / 's'} --coverage {tmp_path / 'c'}\n" in result.stderr
