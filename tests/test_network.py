"""A real TLS server with an authority of its own, and a real proxy that asks for a password."""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import Result

from migrate.standin.world import make_world
from tests.conftest import TOKEN, Run, Serve, said, tiny_world
from tests.proxies import proxy
from tests.tls import NAMES, SecureStandIn, authority, listening, reset, server_context

ADDRESSES = {"CHAT_MIGRATE_CHAT_URL": NAMES[1], "CHAT_MIGRATE_CONVERSATIONS_URL": NAMES[2]}
PASSWORD = "p@ss:w/ord#1?x %41ü€"


@pytest.fixture(autouse=True)
def signed(environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    return environment


@pytest.fixture
def secure(tmp_path: Path, signed: pytest.MonkeyPatch) -> Iterator[Callable[..., SecureStandIn]]:
    """Start a stand-in that speaks TLS, and point the command line at it."""
    servers: list[SecureStandIn] = []

    def start(names: tuple[str, ...] = NAMES, days: int = 30) -> SecureStandIn:
        context = server_context(tmp_path, names, days=days)
        servers.append(SecureStandIn(make_world(tiny_world()), context).__enter__())
        point_at(signed, servers[0].url)
        return servers[0]

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def point_at(environment: pytest.MonkeyPatch, *urls: str) -> None:
    environment.setenv("CHAT_MIGRATE_CHAT_URL", urls[0])
    environment.setenv("CHAT_MIGRATE_CONVERSATIONS_URL", urls[-1])


def extract(run: Run, folder: Path, *options: object) -> Result:
    return run("extract", "--out", folder / "snapshot", "--retry-budget", 2, *options)


def told(result: Result, code: int = 1) -> str:
    assert (result.exit_code, said(result).count("\n")) == (code, 1), result.output
    return said(result)


# --- certificates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_an_authority_of_ones_own_is_named_in_the_environment(
    tmp_path: Path, run: Run, secure: Callable[..., SecureStandIn], signed: pytest.MonkeyPatch, name: str
) -> None:
    secure()
    refused = told(extract(run, tmp_path))
    assert "certificate verify failed" in refused
    assert "REQUESTS_CA_BUNDLE or SSL_CERT_FILE" in refused
    signed.setenv(name, str(authority(tmp_path)))
    assert extract(run, tmp_path).exit_code == 0
    assert run("run", "--out", tmp_path / "r").exit_code == 0
    assert run("load", tmp_path / "r" / "mapped", "--apply", "--yes").exit_code == 0
    assert run("verify", tmp_path / "snapshot", "--coverage", tmp_path / "c").exit_code == 0
    assert run("doctor").exit_code == 0


@pytest.mark.parametrize(
    ("names", "days", "bundle", "reason", "remedy"),
    [
        (NAMES, 30, "Another authority", "unable to get local issuer certificate", "Somebody else may be answering"),
        (NAMES, -1, "Test authority", "certificate has expired", "Check this machine's clock first"),
        (("chat.twilio.com",), 30, "Test authority", "not valid for '127.0.0.1'", "Somebody else may be answering"),
    ],
)
def test_a_certificate_that_is_not_good_ends_it_at_once(
    tmp_path: Path,
    run: Run,
    secure: Callable[..., SecureStandIn],
    signed: pytest.MonkeyPatch,
    names: tuple[str, ...],
    days: int,
    bundle: str,
    reason: str,
    remedy: str,
) -> None:
    secure(names, days)
    signed.setenv("REQUESTS_CA_BUNDLE", str(authority(tmp_path, bundle)))
    refused = told(extract(run, tmp_path))
    assert reason in refused
    assert remedy in refused
    assert run("doctor").exit_code == 1


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "which cannot be read: no such file or directory"),
        (b"", "which holds no certificate"),
        (b"hello", "which holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "which holds no certificate"),
    ],
)
def test_a_bundle_that_is_none_is_named_before_anything_is_asked(
    tmp_path: Path, run: Run, signed: pytest.MonkeyPatch, name: str, content: bytes | None, reason: str
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    signed.setenv(name, str(bundle))
    asked: list[socket.socket] = []
    with listening(asked.append) as address:
        point_at(signed, f"https://{address}")
        refused = told(extract(run, tmp_path))
    assert f"{name} names {bundle}, {reason}" in refused
    assert asked == []
    assert not (tmp_path / "snapshot").exists()


def test_a_bundle_of_another_program_is_no_matter_without_tls(
    tmp_path: Path, run: Run, serve: Serve, signed: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())
    signed.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    assert extract(run, tmp_path).exit_code == 0


def test_a_bundle_that_goes_missing_is_not_a_snapshot_that_cannot_be_written(
    tmp_path: Path, run: Run, secure: Callable[..., SecureStandIn], signed: pytest.MonkeyPatch
) -> None:
    secure()
    bundle = authority(tmp_path)
    signed.setenv("REQUESTS_CA_BUNDLE", str(bundle))

    def gone(place: str) -> str:
        bundle.unlink(missing_ok=True)
        return place

    signed.setattr("migrate.twilio_api.transports.surroundings._bundle", lambda environment: gone(str(bundle)))
    assert "Cannot ask https://127.0.0.1" in told(extract(run, tmp_path))


def test_plain_http_on_a_port_for_tls_and_tls_on_a_plain_one(
    tmp_path: Path, run: Run, secure: Callable[..., SecureStandIn], serve: Serve, signed: pytest.MonkeyPatch
) -> None:
    signed.setenv("REQUESTS_CA_BUNDLE", str(authority(tmp_path)))
    url = secure().url
    point_at(signed, url.replace("https", "http"))
    assert "No answer from http://" in told(extract(run, tmp_path))
    point_at(signed, serve(tiny_world()).url.replace("http", "https"))
    assert "What answers there does not speak TLS: check the address and its port" in told(extract(run, tmp_path))


def _closes(connection: socket.socket) -> None:
    connection.recv(100)


def _resets(connection: socket.socket) -> None:
    connection.recv(100)
    reset(connection)


def _alerts(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")


@pytest.mark.parametrize("handle", [_closes, _resets, _alerts])
def test_a_handshake_that_breaks_off_is_tried_again_and_told_in_one_line(
    tmp_path: Path, run: Run, signed: pytest.MonkeyPatch, handle: Callable[[socket.socket], None]
) -> None:
    asked: list[socket.socket] = []

    def count(connection: socket.socket) -> None:
        asked.append(connection)
        handle(connection)

    with listening(count) as address:
        point_at(signed, f"https://{address}")
        assert f"No answer from https://{address}" in told(extract(run, tmp_path, "--source", "chat"))
    assert len(asked) > 1
    assert not (tmp_path / "snapshot").exists()


# --- a proxy ------------------------------------------------------------------------------------------------


@pytest.fixture
def behind(secure: Callable[..., SecureStandIn], tmp_path: Path, signed: pytest.MonkeyPatch) -> dict[str, str]:
    """Where a proxy leads to: a stand-in that speaks TLS, under two names that it alone knows."""
    address = secure().url.removeprefix("https://")
    signed.setenv("REQUESTS_CA_BUNDLE", str(authority(tmp_path)))
    for name, host in ADDRESSES.items():
        signed.setenv(name, f"https://{host}")
    return dict.fromkeys(ADDRESSES.values(), address)


def assert_nowhere(folder: Path, *shown: str, password: str = PASSWORD) -> None:
    """No form of a password is in what was shown, or in any file."""
    texts = [*shown, *(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())]
    forms = (password, password.encode().decode("latin-1"), quote(password), quote(password, safe=""))
    for form in (*forms, json.dumps(password)[1:-1], b64encode(f"me:{password}".encode()).decode()):
        assert not any(form in text for text in texts)


@pytest.mark.parametrize("password", [PASSWORD, "plain-password-of-a-proxy", "100%-and-more-of-it"])
def test_a_proxy_gets_its_password_and_nothing_else_does(
    tmp_path: Path, run: Run, behind: dict[str, str], signed: pytest.MonkeyPatch, password: str
) -> None:
    with proxy({"me": password}, behind) as found:
        signed.setenv("HTTPS_PROXY", f"http://me:{quote(password, safe='')}@{found.address}")
        words = ["-vv", "--log-file", tmp_path / "log"]
        results = [
            extract(run, tmp_path, "--record", tmp_path / "cassette.yaml", *words),
            run("map", tmp_path / "snapshot", "--out", tmp_path / "mapped"),
            run("load", tmp_path / "mapped", "--apply", "--yes", *words),
            run("doctor", *words),
        ]
    assert [result.exit_code for result in results] == [0] * 4, results[0].output
    assert {line.split()[1] for line in found.asked} == {f"{host}:443" for host in behind}
    assert found.refused == 0
    assert_nowhere(tmp_path, *(result.output for result in results), password=password)


def test_what_is_not_encoded_in_a_password_is_sent_where_it_can_be_told(
    tmp_path: Path, run: Run, behind: dict[str, str], signed: pytest.MonkeyPatch
) -> None:
    with proxy({"me": "simple@pass:word%"}, behind) as found:
        signed.setenv("HTTPS_PROXY", f"http://me:simple@pass:word%@{found.address}")
        assert extract(run, tmp_path).exit_code == 0


@pytest.mark.parametrize("user", ["me:another-password@", "me@", ""])
def test_a_proxy_that_wants_another_password_is_told_at_once(
    tmp_path: Path, run: Run, behind: dict[str, str], signed: pytest.MonkeyPatch, user: str
) -> None:
    with proxy({"me": PASSWORD}, behind) as found:
        signed.setenv("HTTPS_PROXY", f"http://{user}{found.address}")
        result = extract(run, tmp_path, "--log-file", tmp_path / "log")
    refused = told(result)
    assert f"through the proxy {found.address}: 407 " in refused
    assert "The proxy asks for a user and a password, or for other ones: check HTTPS_PROXY" in refused
    assert len(found.asked) == 1
    assert_nowhere(tmp_path, result.output, password="another-password")


def test_a_407_to_a_request_without_tls_is_not_taken_for_the_page_size(
    tmp_path: Path, run: Run, serve: Serve, signed: pytest.MonkeyPatch
) -> None:
    address = serve(tiny_world()).url.removeprefix("http://")
    point_at(signed, f"http://{NAMES[1]}", f"http://{NAMES[2]}")
    with proxy({"me": PASSWORD}, dict.fromkeys(NAMES, address)) as found:
        signed.setenv("HTTP_PROXY", f"http://me:another-password@{found.address}")
        refused = told(extract(run, tmp_path))
        assert "answered 407" in refused
        assert f"The proxy {found.address} asks for a user and a password" in refused
        assert len(found.asked) == 1
        assert "HTTP_PROXY" in told(extract(run, tmp_path, "--source", "conversations"))
        signed.setenv("HTTP_PROXY", f"http://me:{quote(PASSWORD, safe='')}@{found.address}")
        assert extract(run, tmp_path).exit_code == 0


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://me:se/cret-of-mine@{}", "is not the address of a proxy"),
        ("http://me:12/cret-of-mine@{}", "is not the address of a proxy"),
        ("http://me:se#cret-of-mine@{}", "is not the address of a proxy"),
        ("http://me:12?cret-of-mine@{}", "is not the address of a proxy"),
        ("me:cret-of-mine@{}", "is not the address of a proxy"),
        ("nonsense://me:cret-of-mine@{}", "is not the address of a proxy"),
        ("http://me:cret-of-mine@", "is not the address of a proxy"),
        ("http://me:cret-of-mine@127.0.0.1:99999", "is not the address of a proxy"),
        ("socks5://me:cret-of-mine@{}", "which needs the package PySocks"),
    ],
)
def test_an_address_that_is_no_proxys_is_wrong_usage(
    tmp_path: Path, run: Run, behind: dict[str, str], signed: pytest.MonkeyPatch, address: str, reason: str
) -> None:
    signed.setattr("migrate.twilio_api.transports.surroundings.find_spec", lambda name: None)
    with proxy({}, behind) as found:
        signed.setenv("HTTPS_PROXY", address.format(found.address))
        result = extract(run, tmp_path, "--log-file", tmp_path / "log")
        refused = told(result, 2)
        assert run("doctor").exit_code == 1
    assert reason in refused
    assert found.asked == []
    assert "cret-of-mine" not in result.output + (tmp_path / "log").read_text()


def test_a_proxy_without_a_scheme_is_one(
    tmp_path: Path, run: Run, behind: dict[str, str], signed: pytest.MonkeyPatch
) -> None:
    with proxy({}, behind) as found:
        signed.setenv("HTTPS_PROXY", found.address)
        assert extract(run, tmp_path).exit_code == 0
    assert found.asked


def test_a_proxy_that_dies_on_the_way_leaves_a_snapshot_that_resumes(
    tmp_path: Path, run: Run, behind: dict[str, str], signed: pytest.MonkeyPatch
) -> None:
    secret = quote(PASSWORD, safe="")
    words = ["--page-size", 1, "--concurrency", 1]
    with proxy({"me": PASSWORD}, behind, lives=3) as found:
        signed.setenv("HTTPS_PROXY", f"http://me:{secret}@{found.address}")
        result = extract(run, tmp_path, *words, "--log-file", tmp_path / "log")
    refused = told(result)
    assert f"through the proxy {found.address}: " in refused
    assert "what was read is kept in" in refused
    assert_nowhere(tmp_path, result.output)
    with proxy({"me": PASSWORD}, behind) as found:
        signed.setenv("HTTPS_PROXY", f"http://me:{secret}@{found.address}")
        assert extract(run, tmp_path, *words).exit_code == 0
    assert json.loads((tmp_path / "snapshot" / "manifest.json").read_bytes())["rows"] == 3
    assert_nowhere(tmp_path)
