"""A list is followed within itself alone, to an end that is one, and brings what it was asked for and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.model.errors import RefusedError
from migrate.standin import app
from migrate.standin.world import Binding
from migrate.twilio_api.addresses import Addresses
from tests.conftest import Run, Serve, service_sid, tiny_world
from tests.scripted import Reply, Scripted, scripted

SERVICE, OTHER = service_sid(1), service_sid(2)
BINDINGS = f"/v2/Services/{SERVICE}/Bindings"
OTHERS = f"/v2/Services/{OTHER}/Bindings"
Pages = Callable[[Scripted, str], Reply]


def records(first: int, many: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"sid": f"BS{number:032x}", **fields} for number in range(first, first + many)]


@pytest.fixture
def extract(tmp_path: Path, run: Run, environment: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Extract from a server of one service, whose bindings a test gives; it has the same address each time."""
    ports = [0]
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "synthetic-token")

    def call(bindings: Pages, *options: object) -> Any:
        def answer(server: Scripted, path: str) -> Reply:
            if path.startswith("/v2/Services?"):
                return server.page("services", [{"sid": SERVICE}])
            if path.startswith("/v2/Credentials"):
                return server.page("credentials", [])
            return bindings(server, path) if "/Bindings" in path else Reply({}, 404)

        with scripted(answer, ports[-1]) as server:
            ports.append(urlsplit(server.url).port or 0)
            urls = ["--chat-url", server.url, "--conversations-url", server.url]
            result = run("extract", "--out", tmp_path / "s", *urls, *options)
        return result, [path for _, path, _ in server.seen if "/Bindings" in path]

    return call


def is_refused(result: Any) -> bool:
    """Whether a run ended with 4 and one line, which says what is kept."""
    return (result.exit_code, result.stderr.count("\n")) == (4, 1) and "is kept in" in result.stderr


# --- the next page ------------------------------------------------------------------------------------------

ELSEWHERE = [
    pytest.param(OTHERS, id="another service's list"),
    pytest.param(f"{BINDINGS}/../../{OTHER}/Bindings", id="dots, which requests resolves"),
    pytest.param(f"{BINDINGS}/../../%2E%2E/Services/{OTHER}/Bindings", id="encoded dots"),
    pytest.param(f"/v2/Services/{SERVICE}%2FBindings", id="an encoded slash"),
    pytest.param(f"/v2/./Services/{SERVICE}/Bindings", id="one dot"),
    pytest.param(f"//v2/Services/{SERVICE}/Bindings", id="two slashes"),
    pytest.param(f"{BINDINGS}/", id="a slash at the end"),
    pytest.param(f"/v1/Services/{SERVICE}/Bindings", id="the other API"),
    pytest.param(f"/v2/Services/{SERVICE}/Users", id="another kind"),
    pytest.param("", id="no path"),
    pytest.param(f"{BINDINGS};x", id="a parameter of the path"),
]


@pytest.mark.parametrize("meta_first", [True, False])
@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_link_to_another_list_of_the_same_host_is_not_followed(
    extract: Callable[..., Any], path: str, meta_first: bool
) -> None:
    def bindings(server: Scripted, asked: str) -> Reply:
        if "PageToken" in asked:
            return server.page("bindings", records(50, 20))
        link = f"{server.url}{path}?PageSize=50&Page=1&PageToken=PA50"
        found = {"meta": {"page_size": 50, "next_page_url": link}, "bindings": records(0, 50)}
        return Reply(found if meta_first else dict(reversed(found.items())))

    result, asked = extract(bindings, "--no-shard")
    assert is_refused(result), result.output
    assert "links to another list" in result.stderr
    assert (
        f"Resume with: chat-migrate extract --out {result.stderr.split('kept in ')[1].split('. ')[0]}"
        in result.stderr
    )
    assert len(asked) == 1  # no request went there, not even ahead


def test_a_list_goes_on_where_a_wrong_link_stopped_it_and_the_page_before_it_is_kept(
    tmp_path: Path, extract: Callable[..., Any]
) -> None:
    wrong = [True]

    def bindings(server: Scripted, asked: str) -> Reply:
        place = int(asked.partition("PageToken=PA")[2] or 0)
        path = OTHERS if wrong[0] and place == 50 else BINDINGS
        after = f"{server.url}{path}?PageSize=50&Page=1&PageToken=PA{place + 50}"
        return server.page("bindings", records(place, 50), None if place == 100 else after)

    result, _ = extract(bindings, "--no-shard")
    assert is_refused(result), result.output
    wrong[0] = False
    result, asked = extract(bindings, "--no-shard")
    assert result.exit_code == 0, result.output
    assert len(pd.read_parquet(tmp_path / "s" / "bindings")) == 150
    assert [path.partition("PageToken=")[2] for path in asked] == ["PA50", "PA100"]


def test_a_checkpoint_that_leads_to_another_list_is_not_resumed_there(
    tmp_path: Path, extract: Callable[..., Any]
) -> None:
    def bindings(server: Scripted, asked: str) -> Reply:
        if "PA50" in asked:
            return Reply({}, 403)
        return server.page("bindings", records(0, 50), f"{server.url}{BINDINGS}?Page=1&PageToken=PA50")

    assert extract(bindings, "--no-shard")[0].exit_code == 1
    checkpoint = tmp_path / "s" / "checkpoint.jsonl"
    checkpoint.write_text(checkpoint.read_text().replace(BINDINGS, OTHERS))
    result, asked = extract(bindings, "--no-shard")
    assert is_refused(result), result.output
    assert asked == []


@pytest.mark.parametrize(
    ("asked", "named", "follows"),
    [
        ("BindingType=apn", "BindingType=apn", True),
        ("BindingType=apn", "BindingType=fcm", False),
        ("BindingType=apn", "", True),  # it may be in the page token; what comes shows it
        ("", "BindingType=apn", False),
        ("", "Identity=a", False),
        ("", "Identity=", True),
        ("", "identity=a", False),
        ("Identity=a&Identity=b", "Identity=b&Identity=a", True),
        ("Identity=a&Identity=b", "Identity=a", False),
        ("Identity=a", "Identity=a&Identity=b", False),
        ("Identity=a", "Identity=A", True),
        ("BindingType=apn&BindingType=fcm", "BindingType=apn&Identity=a&BindingType=fcm", False),
        ("Identity=a+b", "Identity=a%20b", True),
    ],
)
def test_a_next_page_has_the_filters_of_its_list_or_leaves_them_to_its_token(
    asked: str, named: str, follows: bool
) -> None:
    params = tuple(
        (name, value.replace("+", " ")) for name, _, value in (one.partition("=") for one in asked.split("&"))
    )
    link = f"https://chat.twilio.com{BINDINGS}?PageSize=5&{named}&Order=asc&PageToken=PA1"
    path = f"/Services/{SERVICE}/Bindings"
    if follows:
        assert Addresses().next_page("chat", link, path, params if asked else ()) == link
    else:
        with pytest.raises(RefusedError, match="another list"):
            Addresses().next_page("chat", link, path, params if asked else ())


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_stands_in_a_path_only_the_lists_own_is_followed(before: str, after: str) -> None:
    own = f"https://chat.twilio.com{BINDINGS}"
    link = f"https://chat.twilio.com{before}{BINDINGS}{after}?PageToken=1"
    try:
        followed = Addresses().next_page("chat", link, f"/Services/{SERVICE}/Bindings")
    except RefusedError:
        return
    assert followed.partition("?")[0] == own


def test_a_list_of_services_that_links_elsewhere_is_refused_too(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "synthetic-token")

    def answer(server: Scripted, path: str) -> Reply:
        return server.page("services", [{"sid": SERVICE}], f"{server.url}/v2/Credentials?PageToken=PA1")

    with scripted(answer) as server:
        urls = ["--chat-url", server.url, "--conversations-url", server.url]
        result = run("extract", "--out", tmp_path / "s", *urls)
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert "links to another list" in result.stderr


@pytest.mark.parametrize("fault", ["absent", "absent with meta last"])
def test_a_page_that_does_not_say_whether_it_is_the_last_is_no_page(
    tmp_path: Path, extract: Callable[..., Any], fault: str
) -> None:
    def bindings(server: Scripted, asked: str) -> Reply:
        found = {"meta": {"page_size": 50, "key": "bindings"}, "bindings": records(0, 50)}
        return Reply(found if fault == "absent" else dict(reversed(found.items())))

    result, asked = extract(bindings, "--no-shard", "--retry-budget", 5)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1), result.output
    assert "has no next_page_url" in result.stderr
    assert len(asked) > 1  # it was tried again
    assert json.loads((tmp_path / "s" / "manifest.json").read_bytes())["status"] == "unfinished"


@pytest.mark.parametrize("end", [None, ""])
def test_a_next_page_that_is_null_or_empty_is_the_end(
    tmp_path: Path, extract: Callable[..., Any], end: str | None
) -> None:
    result, _ = extract(lambda server, asked: server.page("bindings", records(0, 7), end), "--no-shard")
    assert result.exit_code == 0, result.output
    assert len(pd.read_parquet(tmp_path / "s" / "bindings")) == 7


def test_a_page_without_an_end_that_comes_whole_the_second_time_is_taken_then(
    tmp_path: Path, extract: Callable[..., Any]
) -> None:
    cut = [True]

    def bindings(server: Scripted, asked: str) -> Reply:
        if cut and cut.pop():
            return Reply({"meta": {}, "bindings": records(0, 50)})
        return server.page("bindings", records(0, 70))

    result, _ = extract(bindings, "--no-shard")
    assert result.exit_code == 0, result.output
    assert len(pd.read_parquet(tmp_path / "s" / "bindings")) == 70


# --- what comes is what was asked for -----------------------------------------------------------------------


def all_of_them(binding: Binding) -> bool:
    """What a server wants that ignores its filters."""
    return True


@pytest.fixture
def ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the stand-in ignore both filters."""
    monkeypatch.setattr(app._StandIn, "_wanted", lambda *_: all_of_them)


WORLD = tiny_world(bindings=[{"count": 30, "identity": "person-{n}", "binding_type": ["apn", "fcm"]}])


@pytest.mark.usefixtures("ignored")
@pytest.mark.parametrize(
    ("options", "name"),
    [
        ([], "BindingType"),  # the lists by binding type: each would be the whole, three times over
        (["--binding-type", "apn"], "BindingType"),
        (["--no-shard", "--binding-type", "apn"], "BindingType"),
        (["--identity", "person-0002"], "Identity"),
        (["--identity-file"], "Identity"),
    ],
)
def test_a_server_that_ignores_a_filter_is_refused_and_nothing_of_it_is_kept(
    tmp_path: Path, run: Run, serve: Serve, options: list[str], name: str
) -> None:
    serve(WORLD)
    if options == ["--identity-file"]:
        (tmp_path / "people.txt").write_text("person-0002\nperson-0005\n")
        options = [*options, str(tmp_path / "people.txt")]
    result = run("extract", "--out", tmp_path / "s", *options)
    assert is_refused(result), result.output
    assert f"narrowed by {name}" in result.stderr
    assert "into another folder" in result.stderr
    assert "Resume with" not in result.stderr  # the same would be refused again
    assert "person-0001" not in result.stderr
    assert not (tmp_path / "s" / "bindings").exists()
    whole = run("extract", "--out", tmp_path / "whole", "--no-shard")
    assert whole.exit_code == 0, whole.output


def test_verify_takes_no_more_from_a_server_that_ignores_the_filter_of_its_snapshot(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(WORLD)
    assert run("extract", "--out", tmp_path / "s", "--identity", "person-0002").exit_code == 0
    monkeypatch.setattr(app._StandIn, "_wanted", lambda *_: all_of_them)
    result = run("verify", tmp_path / "s", "--coverage", tmp_path / "c")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1), result.output
    assert "narrowed by Identity" in result.stderr


def test_a_filter_that_is_lost_on_the_way_from_page_to_page_shows_in_what_comes(
    tmp_path: Path, extract: Callable[..., Any]
) -> None:
    def bindings(server: Scripted, asked: str) -> Reply:
        if "Identity" in asked:
            link = f"{server.url}{BINDINGS}?PageSize=50&Page=1&PageToken=PA50"
            return server.page("bindings", records(0, 50, identity="alice"), link)
        return server.page("bindings", records(50, 50, identity="bob"))

    result, _ = extract(bindings, "--identity", "alice")
    assert is_refused(result), result.output
    stored = pd.read_parquet(tmp_path / "s" / "bindings")
    assert set(stored["identity"]) == {"alice"}


def test_a_record_that_does_not_fit_is_evidence_too(extract: Callable[..., Any]) -> None:
    odd = [{**one, "message_types": 5} for one in records(0, 3, identity="bob")]
    result, _ = extract(lambda server, asked: server.page("bindings", [*odd, "none"]), "--identity", "alice")
    assert is_refused(result), result.output


@pytest.mark.parametrize("identity", ["Alice", " alice", "ALICE", "ａlice", None])
def test_an_identity_that_a_server_finds_equal_is_kept_as_it_is(
    tmp_path: Path, extract: Callable[..., Any], identity: str | None
) -> None:
    result, _ = extract(
        lambda server, asked: server.page("bindings", records(0, 3, identity=identity)), "--identity", "alice"
    )
    assert result.exit_code == 0, result.output
    assert pq.read_table(tmp_path / "s" / "bindings")["identity"].to_pylist() == [identity] * 3


def test_a_service_that_was_not_asked_for_is_not_extracted(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "synthetic-token")
    with scripted(lambda server, path: Reply({"sid": OTHER})) as server:
        urls = ["--chat-url", server.url, "--conversations-url", server.url]
        result = run("extract", "--out", tmp_path / "s", *urls, "--service", SERVICE)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"answered with {OTHER}" in result.stderr
