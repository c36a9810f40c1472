"""The journal of a retirement, and SIDs and answers that would spoil it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migrate.model.errors import TransientTwilioError
from migrate.standin.server import StandInServer
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.transports.live import LiveTransport
from migrate.twilio_api.transports.transport import Answer
from tests.conftest import Run, Serve
from tests.retire.conftest import SERVICE, content, journal_of, lines, one, retire, several, told


def test_something_on_the_way_that_answers_404_proves_nothing(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    real = LiveTransport.send

    def send(transport: Any, request: Any) -> Answer:
        is_conversations = "/v1/" in request.url and "/Bindings/BS" in request.url
        return Answer(404, b"<h1>Not here</h1>", {}) if is_conversations else real(transport, request)

    environment.setattr(LiveTransport, "send", send)
    done = retire(run, snapshot)
    assert (done.exit_code, server.world.writes) == (1, [])


def test_a_sid_that_is_none_spoils_no_journal(tmp_path: Path, run: Run, serve: Serve) -> None:
    server = serve(content())
    server.world.services[SERVICE].bindings[0].sid = "BS1"
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    done = retire(run, tmp_path / "s")
    assert (done.exit_code, len(server.world.writes)) == (6, 3)
    assert "not a binding's SID" in done.stdout
    assert retire(run, tmp_path / "s").exit_code == 1


def test_no_other_file_takes_the_journals_place(run: Run, server: StandInServer, snapshot: Path) -> None:
    assert retire(run, snapshot, "--log-file", journal_of(snapshot)).exit_code == 2
    assert retire(run, snapshot, "--journal", journal_of(snapshot)).exit_code == 0
    again = retire(run, snapshot)
    assert (again.exit_code, "Done: 0 bindings deleted." in again.stdout) == (0, True)


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (TransientTwilioError("away"), 1)])
def test_a_reading_of_both_sides_that_fails_leaves_nothing(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    real = TwilioApi.get

    def fail(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        if name == "chat":
            raise error
        return real(api, name, path, *rest, **options)

    environment.setattr(TwilioApi, "get", fail)
    stopped = retire(run, snapshot)
    assert (stopped.exit_code, stopped.stderr.count("\n"), server.world.writes) == (code, 1, [])
    assert not snapshot.with_name("coverage").exists()


def test_sids_that_are_none_are_asked_for_nowhere(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    server = serve(several(one({}, {}), one({}, {})))
    first, second = server.world.services.values()
    first.conversations_bindings[0].sid = "BS/../x"
    second.conversations_bindings[0].credential_sid = "CR/../../Services"
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    asked: list[str] = []
    real = TwilioApi.get

    def get(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        asked.append(path)
        return real(api, name, path, *rest, **options)

    environment.setattr(TwilioApi, "get", get)
    done = retire(run, tmp_path / "s", "--json")
    assert (told(done), server.world.writes) == ({"unready": 1}, [])
    assert json.loads(done.stdout)["services"][1]["needed_because"] == {"no-credential": 1}
    assert asked
    assert not [path for path in asked if ".." in path]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"mine\n", 1), (b'{"format_version": 2, "kind": "retire"}\n', 1), (b"\xff\n", 1), (b"[]\n", 1),
        (b'{"format_version": 1, "kind": "retire", "snapshot": "x", "account_sid": "y", "target": "z"}\n', 4),
        (b'{"format_version": 1, "kind": "retire", "snapshot": "x", "account_sid": "y", "target": "z"}\n{"a": 1}\n', 1),
        (b'{"format_version": 1, "kind": "retire", "snapshot": "x", "account_sid": "y", "target": "z"}\n'
         b'{"intent": "CR"}\n', 1),
        (b'{"format_version": 9, "kind": "retire", "snapshot": "x", "account_sid": "y", "target": "z"}\n', 1),
    ],
    ids=range(8),
)  # fmt: skip
def test_what_is_no_journal_of_it_stays_as_it_is(
    run: Run, server: StandInServer, snapshot: Path, content: bytes, code: int
) -> None:
    journal_of(snapshot).write_bytes(content)
    refused = retire(run, snapshot)
    assert (refused.exit_code, refused.stderr.count("\n")) == (code, 1)
    assert (server.world.writes, journal_of(snapshot).read_bytes()) == ([], content)


def test_an_unknown_result_makes_no_journal(run: Run, server: StandInServer, snapshot: Path) -> None:
    assert retire(run, snapshot).exit_code == 0
    text = journal_of(snapshot).read_text("utf-8")
    journal_of(snapshot).write_text(text.replace('"deleted"', '"perhaps"', 1), "utf-8")
    assert retire(run, snapshot).exit_code == 1


def test_a_torn_last_line_is_dropped(run: Run, server: StandInServer, snapshot: Path) -> None:
    assert retire(run, snapshot).exit_code == 0
    data = journal_of(snapshot).read_bytes()
    for torn in (data[:-7], data[:-7] + b"9" * 9000):
        journal_of(snapshot).write_bytes(torn)
        done = retire(run, snapshot, "--json")
        assert (done.exit_code, told(done)) == (0, {"deleted": 1})
        assert len(lines(journal_of(snapshot))) == data.count(b"\n")  # what came next is a line of its own
        assert retire(run, snapshot).exit_code == 0
    assert len(server.world.writes) == 4
