"""Whatever a server, a proxy or a library says back of what it was sent, in whatever form, is not shown."""

from __future__ import annotations

import base64
import html
import json
import re
import socket
import ssl
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import requests
import urllib3
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from migrate.twilio_api.addresses import public_url
from migrate.twilio_api.concealment import Sent
from migrate.twilio_api.transports import failures
from tests.conftest import Run, service_sid
from tests.scripted import Reply, Scripted, scripted

TOKEN = "Planted/7f3a+Token=="
NAME = "Zoë.Quixote+1@exämple.test"
Form = Callable[[str], str]
FORMS: dict[str, Form] = {
    "as it is": str,
    "percent-encoded": lambda text: quote(text, safe=""),
    "in small hexadecimals": lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
    "every byte": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "form-encoded": quote_plus,
    "for JSON": lambda text: json.dumps(text)[1:-1],
    "every character for JSON": lambda text: "".join(f"\\u{ord(one) & 0xFFFF:04x}" for one in text),
    "for HTML": html.escape,
    "numbers for HTML": lambda text: "".join(f"&#{ord(one)};" for one in text),
    "named for HTML": lambda text: text.replace("@", "&commat;").replace(".", "&period;"),
    "NFC": lambda text: unicodedata.normalize("NFC", text),
    "NFD": lambda text: unicodedata.normalize("NFD", text),
    "NFKD": lambda text: unicodedata.normalize("NFKD", text),
    "upper case": str.upper,
    "folded": str.casefold,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "reversed": lambda text: text[::-1],
    "in pieces": lambda text: "-".join(text),
    "quoted": repr,
}
forms = st.lists(st.sampled_from(list(FORMS)), min_size=1, max_size=3)
# What is long enough, and not of our own words, can be looked for.
names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=3, max_size=30).map(
    lambda text: f"zqx{text}jv"
)


def formed(text: str, how: list[str]) -> str:
    for name in how:
        text = FORMS[name](text)
    return text


def assert_hidden(value: str, said: str, *shown: str) -> None:
    """Neither the value nor what was said of it is in what is shown, in no case or composition of letters."""
    for text in shown:
        folded = unicodedata.normalize("NFKC", text).casefold()
        for secret in (value, said):
            assert secret not in text
            assert unicodedata.normalize("NFKC", secret).casefold() not in folded


@given(names, forms, st.sampled_from(["{}", "no: {}", "'{}' is not valid", "Identity={}&x was not found", "({})."]))
def test_no_form_of_a_value_is_shown(value: str, how: list[str], around: str) -> None:
    said = formed(value, how)
    url = f"https://x/v2/Services?Identity={quote_plus(value)}&PageSize=1"
    for sent in (Sent(url), Sent("https://x/v2", [value]), Sent("https://x/v2", (), [value])):
        assert_hidden(value, said, sent.conceal(around.format(said)))


@given(st.text(st.sampled_from("abcdefghijklmnop valid not found"), min_size=1, max_size=12))
@example("not valid")
@example("down")
def test_a_word_that_was_sent_is_not_shown_though_everybodys_messages_have_it(value: str) -> None:
    said = Sent("https://x/v2", [value]).conceal(f"The value {value} is not valid or down")
    assert not set(re.findall(r"\w+", value.casefold())) & set(re.findall(r"\w+", said.casefold()))


def test_plain_words_are_shown_and_an_identity_as_it_was_sent_is_masked() -> None:
    sent = Sent(f"https://x/v2?Identity={quote(NAME)}", [TOKEN])
    for text in (
        "Authenticate",
        "The requested resource was not found",
        "Too many concurrent requests: 429.",
        "PageToken is not valid",
    ):
        assert sent.conceal(text) == text
    assert sent.conceal(f"Identity '{NAME}' is not valid") == "Identity 'Zo…st (26)' is not valid"
    assert (
        sent.conceal(f"Identity {quote(NAME)}, {TOKEN} and 15551234567 is\n not valid")
        == "Identity … and … is not valid"
    )
    assert sent.conceal("Ωmega ☃ !!!!") == ""
    assert len(sent.conceal("not found " * 100)) <= 300


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (20404, ", code 20404"),
        (54321, ", code 54321"),
        (None, ""),
        (15551234567, ""),
        (7, ""),
        (-20404, ""),
        (90210, ""),
    ],
)
def test_a_code_is_shown_where_it_is_one(number: int | None, shown: str) -> None:
    assert Sent("https://x/v2?Identity=in-90210-there").code(number)[0] == shown


def test_an_address_shows_nothing_that_a_server_has_put_into_a_link() -> None:
    """A link is followed as it is given, and it can have anything in its path and its parameters."""
    sid = service_sid(1)
    link = f"https://x/v2/Services/{sid}/Bindings/{quote(NAME)}?Page=2&PageToken=t&q={quote(NAME)}&{quote(NAME)}=1"
    assert public_url(link) == f"https://x/v2/Services/{sid}/Bindings/…?Page=2"
    assert public_url(f"https://x/v2/Services?Page={quote(NAME)}&BindingType=zoë&PageSize=50") == (
        "https://x/v2/Services?PageSize=50"
    )


# --- through the command line ----------------------------------------------------------------------------


@pytest.fixture
def signed(environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    return environment


def told(run: Run, url: str, folder: Path, *options: object) -> tuple[str, ...]:
    """All that an extract says: on both streams, in the log, and in what it records of a failure."""
    command = ("extract", "--out", folder / "s", "--chat-url", url, "--conversations-url", url, "--retry-budget", 0)
    result = run(*command, *options, "-vv", "--log-file", folder / "log", "--record", folder / "c.yaml")
    assert result.exit_code in (1, 2, 4), result.output  # 2: what the environment names is no proxy
    assert "Traceback" in result.stderr
    return result.output, (folder / "log").read_text("utf-8"), (folder / "c.yaml").read_text("utf-8")


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(value=names, how=forms, status=st.sampled_from([200, 400, 401, 403, 404, 503]), is_token=st.booleans())
def test_no_failure_shows_what_was_sent(
    run: Run, signed: pytest.MonkeyPatch, tmp_path: Path, value: str, how: list[str], status: int, is_token: bool
) -> None:
    token = base64.b64encode(value.encode()).decode() if is_token else TOKEN
    said = formed(token if is_token else value, how)
    folder = Path(mkdtemp(dir=tmp_path))
    sid = service_sid(1)

    def answer(server: Scripted, path: str) -> Reply:
        if "/Bindings" not in path:
            return server.page("services" if "/Services" in path else "credentials", [{"sid": sid}])
        if status == 200:  # pages that link in a circle, by way of what was sent
            place = quote(said, safe="")
            return server.page("bindings", [], f"{server.url}/v2/Services/{sid}/Bindings/{place}?Page=1&x={place}")
        return Reply({"code": 20001, "message": f"?Identity={said}& is not valid", "more_info": said}, status)

    signed.setenv("TWILIO_AUTH_TOKEN", token)
    with scripted(answer) as server:
        output, log, cassette = told(run, server.url, folder, "--identity", value, "--no-shard")
    log = "\n".join(json.dumps(json.loads(line), ensure_ascii=False) for line in log.splitlines())
    assert_hidden(token if is_token else value, said, output, log)
    assert token not in cassette
    if status != 200:
        for asked in (quote(value, safe=""), quote_plus(value)):  # a recording has the request itself
            cassette = cassette.replace(asked, "")
        assert said not in cassette or said in value


@pytest.mark.parametrize("how", list(FORMS))
def test_a_foreign_host_in_a_link_is_not_named(
    run: Run, signed: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    host = re.sub(r"[^a-z0-9-]", "", FORMS[how](NAME).lower()) or "x"

    def answer(server: Scripted, path: str) -> Reply:
        return server.page("services", [{"sid": service_sid(1)}], f"http://{host}.example.test/v2/Services?Page=1")

    with scripted(answer) as server:
        shown = told(run, server.url, tmp_path, "--identity", NAME)
    assert "links to another host" in shown[0]
    assert not any(f"{host}.example" in text for text in shown[:2])


@contextmanager
def echo(prefix: bytes = b"") -> Iterator[str]:
    """A server that is none of HTTP's: it sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(prefix + connection.recv(65_536))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize(
    "prefix",
    [
        b"",
        b"HTTP/1.1 ",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 60\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: ",
    ],
)
def test_a_server_that_sends_back_what_it_gets_is_not_quoted(
    run: Run, signed: pytest.MonkeyPatch, tmp_path: Path, prefix: bytes
) -> None:
    basic = base64.b64encode(f"AC{'1' * 32}:{TOKEN}".encode()).decode()
    with echo(prefix) as url:
        shown = told(run, url, tmp_path)
    assert not any(secret in text for text in shown for secret in (TOKEN, basic, "Authorization", "GET /v2"))


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:hunter2-passphrase@127.0.0.1:1",
        "http://user:hunter2-passphrase@127.0.0.1:99999",
        "http://user:hunter2-passphrase@[bad",
        "http://user:hunter2-passphrase@",
        "user:hunter2-passphrase@127.0.0.1:hunter2-passphrase",
        "socks5://user:hunter2-passphrase@127.0.0.1:1",
        "nonsense://user:hunter2-passphrase@127.0.0.1:1",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_password_of_a_proxy_is_in_no_error(
    run: Run, signed: pytest.MonkeyPatch, tmp_path: Path, proxy: str, scheme: str
) -> None:
    signed.setenv(f"{scheme}_proxy", proxy)
    shown = told(run, f"{scheme}://chat.example.test", tmp_path)
    assert not any("hunter2" in text for text in shown)
    assert "Unexpected" not in shown[0]


def test_a_traceback_says_where_and_not_what(run: Run, signed: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of whatever a library raises, and of what led to it."""

    def fail(*_: Any, **__: Any) -> None:
        try:
            raise ValueError(f"https://x/?Identity={NAME}")
        except ValueError as error:
            raise KeyError(f"{TOKEN} in {NAME}") from error

    signed.setattr("migrate.twilio_api.transports.transport.TransportHttpClient.request", fail)
    output, log, _ = told(run, "http://127.0.0.1:1", tmp_path)
    assert "Unexpected KeyError" in output
    for text in (output, json.loads(log.splitlines()[-1])["traceback"]):
        assert "ValueError" in text
        assert "which led to:" in text
        assert "test_concealment.py" in text
        assert not any(secret in text for secret in (NAME, TOKEN))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "no TLS (unknown)"),
        (urllib3.exceptions.LocationParseError("http://user:hunter2@"), "…"),
        (requests.exceptions.InvalidURL("alice"), "InvalidURL"),
        (ConnectionRefusedError(111, "alice has refused"), "connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name or service not known"),
        (TimeoutError("timed out"), "timed out"),
    ],
)
def test_a_librarys_reason_is_in_plain_words(error: BaseException, reason: str) -> None:
    assert failures.reason_of(error) in (reason, type(error).__name__)
