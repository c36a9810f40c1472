"""Retire, where something on the way answers in Twilio's place: it deletes nothing by that, and counts nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrate.standin.server import StandInServer
from migrate.twilio_api.transports.live import LiveTransport
from migrate.twilio_api.transports.transport import Answer, Request
from tests.conftest import Run, Serve, tiny_world
from tests.retire.conftest import chat, journal_of, lines, one, retire, server, several, snapshot, told, world

__all__ = ["server", "snapshot", "world"]  # fixtures

Change = Callable[[Request], Answer | None]


def answering(environment: pytest.MonkeyPatch, change: Change) -> None:
    """Have something on the way answer some of the requests."""
    real = LiveTransport.send
    environment.setattr(LiveTransport, "send", lambda transport, asked: change(asked) or real(transport, asked))


def of(status: int, body: Any) -> Answer:
    return Answer(status, json.dumps(body).encode() if body is not None else b"<html>", {})


NOT_TWILIOS = {"code": 404, "message": "no route", "status": 404}  # a gateway's: the code is the status


def test_a_gateways_404_after_a_delete_without_an_answer_does_not_mean_deleted(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    def gateway(asked: Request) -> Answer | None:
        if asked.method == "DELETE":
            sent.append(asked.url)
            return of(502, None)
        return of(404, NOT_TWILIOS) if asked.url in sent else None

    sent: list[str] = []
    with environment.context() as patch:
        answering(patch, gateway)
        done = retire(run, snapshot, "--retry-budget", 0)
    assert done.exit_code == 1, done.output
    assert len(chat(server.world)) == 8
    assert not [line for line in lines(journal_of(snapshot)) if line.get("result") == "deleted"]


def test_a_gateways_404_does_not_mean_that_conversations_lacks_a_binding(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    """The very SIDs that Conversations shows too, though its list and its gateway say otherwise."""
    server = serve(several(one({}, {})))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    phone = next(iter(server.world.services.values())).bindings[0].sid
    answering(
        environment,
        lambda asked: of(404, NOT_TWILIOS) if phone in asked.url and "/v1/" in asked.url else None,
    )
    done = retire(run, tmp_path / "s")
    assert (done.exit_code, server.world.writes) == (1, []), done.output


@pytest.mark.parametrize("status", [200, 201])
def test_a_sign_in_page_is_no_answer_to_a_deletion(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch, status: int
) -> None:
    with environment.context() as patch:
        answering(patch, lambda asked: of(status, None) if asked.method == "DELETE" else None)
        assert retire(run, snapshot, "--retry-budget", 0).exit_code == 1
    assert len(chat(server.world)) == 8
    done = retire(run, snapshot, "--json")
    assert (done.exit_code, told(done)) == (0, {"deleted": 4})


def test_a_service_of_another_sid_says_nothing_of_what_chat_pushes(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    """A cache on the way mixes two services up: the first pushes invites, the second nothing."""
    invites = {"message_types": ["new_message", "invited_to_channel"]}
    world = several(one(invites, {}), one({}, {}))
    world["services"][0]["notifications"] = {
        "new_message": {"enabled": True},
        "invited_to_channel": {"enabled": True},
    }
    world["services"][1]["notifications"] = {
        name: {"enabled": False} for name in ("new_message", "invited_to_channel")
    }
    server = serve(world)
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    first, second = server.world.services
    real = LiveTransport.send

    def mixed_up(transport: LiveTransport, asked: Request) -> Answer:
        wrong = asked.url.endswith(f"/v2/Services/{first}")
        return real(transport, replace(asked, url=asked.url.replace(first, second)) if wrong else asked)

    environment.setattr(LiveTransport, "send", mixed_up)
    done = retire(run, tmp_path / "s", "--service", first, "--json")
    assert server.world.writes == []
    assert json.loads(done.stdout)["services"][0]["needed_because"] == {"other-service": 1}


def test_an_account_without_services_has_nothing_to_retire(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve({**tiny_world(), "services": []})
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    done = run("retire", tmp_path / "s")
    assert done.exit_code == 4, done.output
    assert "mistake in this program" not in done.output


def test_what_was_read_through_conversations_is_deleted_at_its_own_server_alone(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    ours, theirs = serve(tiny_world()), serve(tiny_world())
    run("extract", "--out", tmp_path / "s", "--source", "conversations", "--conversations-url", ours.url)
    sides = ["--chat-url", theirs.url, "--conversations-url", ours.url]
    done = retire(run, tmp_path / "s", *sides)
    assert (done.exit_code, "[other-address]" in done.stderr) == (4, True), done.output
    assert theirs.world.writes == []
