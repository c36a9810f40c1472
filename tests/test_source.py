"""Where the bindings are read: Chat, or Conversations where Chat has been switched off; 401 never means that."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from migrate.standin.faults import Faults
from migrate.standin.world import World
from migrate.twilio_api.addresses import CANONICAL
from tests.conftest import Demo, Run, Serve, service_sid, tiny_world
from tests.scripted import Reply, Scripted, scripted


def manifest(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_bytes())


def sids(folder: Path) -> set[str]:
    return set(pd.read_parquet(folder / "bindings")["sid"])


def visible(world: World) -> set[str]:
    """What Conversations shows: its own bindings, and Chat's where it shows those, of the services that it has."""
    services = [service for service in world.services.values() if service.configuration is not None]
    chats = [service.bindings if service.shows_chat else [] for service in services]
    return {
        b.sid
        for service, shown in zip(services, chats, strict=True)
        for b in (*shown, *service.conversations_bindings)
    }


@pytest.mark.parametrize("status", [403, 404, 410])
def test_where_chat_is_switched_off_the_same_bindings_come_through_conversations(
    tmp_path: Path, run: Run, serve: Serve, odd_world: World, status: int
) -> None:
    serve(odd_world, faults=Faults(chat_gone=status))  # type: ignore[arg-type]
    result = run("extract", "--out", tmp_path / "s")
    assert result.exit_code == 0, result.output
    facts = manifest(tmp_path / "s")
    assert facts["source"] == "conversations"
    assert f"answered {status}" in facts["source_reason"]
    assert "Through" in result.stdout
    assert f"answered {status}" in result.stdout
    assert "does not show Chat's push settings" in result.stdout
    assert sids(tmp_path / "s") == visible(odd_world)
    assert facts["shards"] == ["apn", "fcm", "gcm", "twilsock"]
    services = pq.ParquetFile(tmp_path / "s" / "services.parquet").read().to_pylist()
    assert {row["notifications"] for row in services} == {None}


def test_both_sources_give_the_same_columns_and_the_same_rows(
    tmp_path: Path, run: Run, serve: Serve, odd_world: World, odd: Demo
) -> None:
    for service in odd_world.services.values():
        service.conversations_bindings.clear()
        service.shows_chat = True
        service.configuration = service.configuration or {}
    serve(odd_world)
    assert run("extract", "--out", tmp_path / "s", "--source", "conversations").exit_code == 0
    assert manifest(tmp_path / "s")["source_reason"] == ""
    ours, chat = (
        pd.read_parquet(folder / "bindings").sort_values("sid").reset_index(drop=True)
        for folder in (tmp_path / "s", odd.folder / "snapshot")
    )
    pd.testing.assert_frame_equal(ours, chat)
    for name in ("services", "credentials"):
        here, there = (
            pq.read_schema(folder / f"{name}.parquet") for folder in (tmp_path / "s", odd.folder / "snapshot")
        )
        assert here == there


def test_a_snapshot_through_conversations_can_be_mapped_and_planned(
    tmp_path: Path, run: Run, serve: Serve, odd_world: World
) -> None:
    serve(odd_world, faults=Faults(chat_gone=410))
    assert run("run", "--out", tmp_path / "o").exit_code == 0
    plan = json.loads((tmp_path / "o" / "plan.json").read_bytes())
    assert "push-inferred" in {finding["code"] for finding in plan["findings"]}


def test_wrong_credentials_are_never_taken_for_a_chat_that_is_gone(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    serve(tiny_world(), faults=Faults(chat_gone=410))
    environment.setenv("TWILIO_AUTH_TOKEN", "another")
    result = run("extract", "--out", tmp_path / "s")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "answered 401, code 20003: Authenticate. Check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN" in result.stderr
    environment.setenv("TWILIO_API_KEY", "SK" + "1" * 32)
    environment.setenv("TWILIO_API_SECRET", "s")
    result = run("extract", "--out", tmp_path / "s")
    assert f"API key SK{'1' * 32} (TWILIO_API_KEY)" in result.stderr


@pytest.mark.parametrize("status", [403, 404, 410])
def test_who_asks_for_chat_alone_is_told_that_it_is_gone(tmp_path: Path, run: Run, serve: Serve, status: int) -> None:
    serve(tiny_world(), faults=Faults(chat_gone=status))  # type: ignore[arg-type]
    result = run("extract", "--out", tmp_path / "s", "--source", "chat")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"answered {status}" in result.stderr
    assert not (tmp_path / "s").exists()


def test_an_unknown_service_is_no_sign_that_chat_is_gone(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world())
    result = run("extract", "--out", tmp_path / "s", "--service", service_sid(9))
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"/v2/Services/{service_sid(9)} answered 404" in result.stderr


@pytest.mark.parametrize("status", [403, 404, 410])
def test_named_services_are_read_through_conversations_too(
    tmp_path: Path, run: Run, serve: Serve, odd_world: World, status: int
) -> None:
    serve(odd_world, faults=Faults(chat_gone=status))  # type: ignore[arg-type]
    assert run("extract", "--out", tmp_path / "s", "--service", service_sid(1)).exit_code == 0
    assert manifest(tmp_path / "s")["source"] == "conversations"
    assert set(pd.read_parquet(tmp_path / "s" / "bindings")["service_sid"]) == {service_sid(1)}


def unknown_host(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    real = socket.getaddrinfo

    def lookup(host: Any, *rest: Any, **options: Any) -> Any:
        if host == name:
            raise socket.gaierror(number, "Name or service not known")
        return real(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address that counts as Chat's plain host, so that its name may be asked for."""
    monkeypatch.setitem(CANONICAL, "chat", "http://chat.example.test")
    return CANONICAL["chat"]


def test_the_plain_host_is_gone_where_its_name_is_not_known_and_other_names_are(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, plain: str
) -> None:
    server = serve(tiny_world())
    unknown_host(monkeypatch, "chat.example.test", socket.EAI_NONAME)
    options = ("--chat-url", plain, "--conversations-url", server.url.replace("127.0.0.1", "localhost"))
    result = run("extract", "--out", tmp_path / "s", *options)
    assert result.exit_code == 0, result.output
    assert "name or service not known" in manifest(tmp_path / "s")["source_reason"]
    assert len(sids(tmp_path / "s")) == 3


def refused(run: Run, folder: Path, *options: object) -> str:
    """The error of an extract that must take nothing for Chat's end."""
    result = run("extract", "--out", folder / "s", "--retry-budget", 1, *options)
    *waited, error = result.stderr.splitlines()
    assert (result.exit_code, len(waited) < 2) == (1, True), result.output
    assert not (folder / "s" / "manifest.json").exists()
    assert "--source conversations" in error
    return error


def test_a_machine_that_knows_no_name_at_all_shows_nothing(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, plain: str
) -> None:
    serve(tiny_world())
    unknown_host(monkeypatch, "chat.example.test", socket.EAI_NONAME)
    unknown_host(monkeypatch, "conversations.example.test", socket.EAI_NONAME)
    options = ("--chat-url", plain, "--conversations-url", "http://conversations.example.test")
    assert "name or service not known" in refused(run, tmp_path, *options)


def test_a_regional_host_that_does_not_exist_is_not_chats_end(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    """TWILIO_REGION may be set for another product."""
    serve(tiny_world())
    for api in ("chat", "conversations"):
        environment.delenv(f"CHAT_MIGRATE_{api.upper()}_URL")
        unknown_host(environment, f"{api}.dublin.ie1.twilio.com", socket.EAI_NONAME)
        unknown_host(environment, f"{api}.ie1.twilio.com", socket.EAI_NONAME)
    environment.setenv("TWILIO_REGION", "ie1")
    told = refused(run, tmp_path)
    assert "ie1.twilio.com" in told
    assert "TWILIO_REGION and TWILIO_EDGE" in told


def test_a_host_that_somebody_named_and_that_is_not_known_is_not_chats_end(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())
    unknown_host(monkeypatch, "chat.example.test", socket.EAI_NONAME)
    assert "--chat-url" in refused(run, tmp_path, "--chat-url", "http://chat.example.test")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY", "http_proxy"])
def test_a_proxy_whose_own_name_is_not_known_is_not_chats_end(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch, plain: str, name: str
) -> None:
    serve(tiny_world())
    environment.setenv(name, "http://somebody:hidden@proxy.example.test:3128")
    environment.setenv("NO_PROXY", "127.0.0.1")
    unknown_host(environment, "proxy.example.test", socket.EAI_NONAME)
    result = run("extract", "--out", tmp_path / "s", "--chat-url", plain)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "through the proxy proxy.example.test:3128" in result.stderr
    assert "HTTPS_PROXY" in result.stderr
    assert "hidden" not in result.output
    environment.setenv("NO_PROXY", "127.0.0.1,chat.example.test")  # it is not asked: the name itself is not known
    unknown_host(environment, "chat.example.test", socket.EAI_NONAME)
    assert run("extract", "--out", tmp_path / "s", "--chat-url", plain).exit_code == 0


HTML = b"<html><body><h1>Blocked by policy</h1></body></html>"
IN_FORM = {"code": 20404, "message": "The requested resource was not found", "status": 404}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (HTML, 403),
        (HTML, 404),
        (HTML, 410),
        (HTML, 407),
        (HTML, 302),
        (HTML, 200),
        (b"", 404),
        ({"message": "Forbidden"}, 403),
        ({"error": "not found", "status": 404}, 404),
        ({"status": 404, "error": "Not Found", "message": "No handler", "path": "/"}, 404),
        ({**IN_FORM, "status": 403}, 404),
        ({**IN_FORM, "code": "20404"}, 404),
        ({**IN_FORM, "message": None}, 404),
        ({"code": 404, "message": "no Route matched", "status": 404}, 404),
        ([IN_FORM], 404),
    ],
)
@pytest.mark.parametrize("through", [False, True])
def test_what_is_not_in_the_form_of_twilios_errors_is_not_chats_end(
    tmp_path: Path,
    run: Run,
    serve: Serve,
    environment: pytest.MonkeyPatch,
    body: Any,
    status: int,
    through: bool,
) -> None:
    """A filtering proxy, a sign-in page, a gateway."""
    serve(tiny_world())
    with scripted(lambda server, path: Reply(body, status)) as server:
        if through:
            environment.setenv("HTTP_PROXY", server.url)
            environment.setenv("NO_PROXY", "127.0.0.1")
        address = "http://chat.example.test" if through else server.url
        options = ("--chat-url", address, *(("--service", service_sid(1)) if status == 403 else ()))
        if status == 302:
            result = run("extract", "--out", tmp_path / "s", *options)
            assert (result.exit_code, "not in the form of Twilio's errors" in result.stderr) == (1, True)
            return
        told = refused(run, tmp_path, *options)
        assert ("gave an answer that cannot be used" if status == 200 else f"answered {status}") in told
        assert ("HTTPS_PROXY" in told and server.url.removeprefix("http://") in told) == through


@pytest.mark.parametrize("status", [403, 407, 501])
def test_a_proxy_that_lets_no_connection_pass_is_an_error_at_once(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, status: int
) -> None:
    """With Twilio's own addresses: nothing leaves this machine, for the proxy is asked for both."""
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "t" * 32)
    with scripted(lambda server, path: Reply(HTML, status)) as server:
        environment.setenv("HTTPS_PROXY", server.url.replace("//", "//me:hidden@"))
        result = run("extract", "--out", tmp_path / "s")
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert [path for _, path, _ in server.seen] == ["chat.twilio.com:443"]
    assert f"through the proxy {server.url.removeprefix('http://')}" in result.stderr
    assert f": {status} " in result.stderr
    assert "HTTPS_PROXY" in result.stderr
    assert "hidden" not in result.output


def test_chats_end_is_told_by_twilio_through_a_proxy_too(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())
    with scripted(lambda server, path: Reply(IN_FORM, 404)) as server:
        environment.setenv("HTTP_PROXY", server.url)
        environment.setenv("NO_PROXY", "127.0.0.1")
        result = run("extract", "--out", tmp_path / "s", "--chat-url", "http://chat.example.test")
    assert result.exit_code == 0, result.output
    assert manifest(tmp_path / "s")["source"] == "conversations"


def test_a_403_of_the_list_for_an_api_key_is_not_chats_end_behind_a_service_that_is_not_there(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())
    environment.setenv("TWILIO_API_KEY", "SK" + "1" * 32)
    environment.setenv("TWILIO_API_SECRET", "secret-of-a-key")
    forbidden = {"code": 20403, "message": "Forbidden", "status": 403}

    def answer(server: Scripted, path: str) -> Reply:
        return Reply(forbidden, 403) if "Services?" in path else Reply(IN_FORM, 404)

    with scripted(answer) as server:
        result = run("extract", "--out", tmp_path / "s", "--chat-url", server.url, "--service", service_sid(1))
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "answered 404" in result.stderr


def test_a_401_names_regions_as_a_cause(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())
    environment.setenv("TWILIO_AUTH_TOKEN", "another")
    told = run("extract", "--out", tmp_path / "s").stderr
    assert "TWILIO_REGION and TWILIO_EDGE" in told


def test_a_service_is_not_missing_because_a_proxy_says_404(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())
    assert run("run", "--out", tmp_path / "o").exit_code == 0
    with scripted(lambda server, path: Reply(HTML, 404)) as server:
        result = run("load", tmp_path / "o" / "mapped", "--conversations-url", server.url)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "not in the form of Twilio's errors" in result.stderr


def test_doctor_does_not_take_a_filter_for_chats_end(run: Run, serve: Serve) -> None:
    serve(tiny_world())
    with scripted(lambda server, path: Reply(HTML, 403)) as server:
        result = run("doctor", "--chat-url", server.url, "--json")
    checks = {check["name"]: check["verdict"] for check in json.loads(result.stdout)["checks"]}
    assert checks["chat services"] == "wrong"


def test_a_name_service_that_does_not_answer_proves_nothing(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())
    unknown_host(monkeypatch, "chat.example.test", socket.EAI_AGAIN)
    options = ["--chat-url", "http://chat.example.test", "--retry-budget", 5]
    result = run("extract", "--out", tmp_path / "s", *options)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "No answer from http://chat.example.test" in result.stderr


def test_an_extract_goes_on_from_the_source_that_it_was_begun_with(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    """Begun through Conversations while Chat was away, and Chat is back; or the other way round."""
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "t")
    gone, broken = True, True

    def answer(server: Scripted, path: str) -> Reply:
        if gone and path.startswith("/v2/"):
            return Reply({"code": 20410, "message": "gone", "status": 410}, 410)
        key = {"Services": "services", "Credentials": "credentials"}.get(path.partition("?")[0].rpartition("/")[2])
        if key:
            return server.page(key, [{"sid": service_sid(1)}] if key == "services" else [])
        if "/Bindings" in path:
            return Reply({"message": "no"}, 403) if broken else server.page("bindings", [{"sid": "BS" + "1" * 32}])
        return Reply({"message": "nothing"}, 404)

    with scripted(answer) as server:
        options = ["--out", tmp_path / "s", "--chat-url", server.url, "--conversations-url", server.url]
        assert run("extract", *options).exit_code == 1
        gone, broken = False, False
        refused = run("extract", *options, "--source", "chat")
        assert (refused.exit_code, refused.stderr.count("\n")) == (4, 1)
        assert "from another source" in refused.stderr
        assert run("extract", *options).exit_code == 0
    assert manifest(tmp_path / "s")["source"] == "conversations"
    assert sids(tmp_path / "s") == {"BS" + "1" * 32}


def test_a_chat_that_breaks_for_a_while_is_waited_for(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "t")
    faults = [Reply({}, 503)] * 12

    def answer(server: Scripted, path: str) -> Reply:
        if faults:
            return faults.pop()
        return server.page("services" if "/Services?" in path else "credentials", [])

    with scripted(answer) as server:
        options = ["--out", tmp_path / "s", "--chat-url", server.url, "--conversations-url", server.url]
        assert run("extract", *options).exit_code == 0
    assert manifest(tmp_path / "s")["source"] == "chat"


def test_an_answer_that_is_no_push_configuration_is_not_stored_as_one(
    tmp_path: Path, run: Run, serve: Serve, odd_world: World
) -> None:
    serve(odd_world, faults=Faults(seed=1, rate=0.5, kinds=("not-a-page",)))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    services = pq.ParquetFile(tmp_path / "s" / "services.parquet").read().to_pylist()
    stored = [
        json.loads(row["conversations_notifications"]) for row in services if row["conversations_notifications"]
    ]
    assert stored
    assert all("new_message" in settings for settings in stored)
