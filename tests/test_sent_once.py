"""What was sent is looked for before anything is sent again: whether its answer was received or lost."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from migrate.load.journal import Entry, read_journal
from migrate.model.errors import TransientTwilioError, TwilioError
from migrate.standin.server import StandInServer
from migrate.standin.world import World
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.transports.live import LiveTransport
from migrate.twilio_api.transports.transport import Answer, Request
from tests.applying import apply, live, posts, wanted
from tests.conftest import Run, Serve, service_sid

pytestmark = pytest.mark.no_cover  # other tests cover the same lines; untraced, these take half the time

FIRST = service_sid(1)


@pytest.fixture
def server(serve: Serve, demo_world: World, environment: pytest.MonkeyPatch, tmp_path: Path) -> StandInServer:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    return serve(demo_world)


@pytest.fixture
def plan_file(tmp_path: Path, run: Run, server: StandInServer, migration: Path) -> Path:
    """A plan for one service."""
    mapped = Path(shutil.copytree(migration, tmp_path / "run")) / "mapped"
    path = tmp_path / "plan.json"
    assert run("load", mapped, "--service", FIRST, "--plan-out", path).exit_code == 0
    return path


def blind(
    monkeypatch: pytest.MonkeyPatch,
    server: StandInServer,
    *,
    arrives: bool,
    answered: bool,
    edit: str,
    times: int = 1,
) -> list[str]:
    """Let the first look after the first POST fail until its patience ends; meanwhile somebody may make an `edit`.

    The POST may not arrive, and its answer may be lost. Gives the paths of all that is sent.
    """
    real_post, real_get, sent, failing = TwilioApi.post, TwilioApi.get, list[str](), [times]

    def post(api: TwilioApi, name: Any, path: str, form: Any) -> Any:
        sent.append(path)
        first = len(sent) == 1
        answer = real_post(api, name, path, form) if arrives or not first else {}
        if first and not answered:
            raise TransientTwilioError("no answer")
        return answer

    def get(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        if sent and failing[0]:
            failing[0] -= 1
            if edit:
                configuration = server.world.services[FIRST].configuration
                assert configuration is not None
                configuration["new_message.sound"] = edit
            raise TransientTwilioError("nothing can be seen")
        return real_get(api, name, path, *rest, **options)

    monkeypatch.setattr(TwilioApi, "post", post)
    monkeypatch.setattr(TwilioApi, "get", get)
    return sent


@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize(("answered", "arrives"), [(True, True), (False, True), (False, False)])
def test_nothing_is_sent_again_over_what_somebody_else_has_set(
    run: Run,
    server: StandInServer,
    plan_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    answered: bool,
    arrives: bool,
    undo: bool,
) -> None:
    journal = plan_file.with_suffix(".journal.jsonl")
    if undo:
        assert apply(run, plan_file).exit_code == 0
    server.world.services[FIRST].configuration = server.world.services[FIRST].configuration or {}
    with monkeypatch.context() as patch:
        sent = blind(patch, server, arrives=arrives, answered=answered, edit="theirs")
        done = run("rollback", journal, "--apply", "--yes") if undo else apply(run, plan_file)
    assert (done.exit_code, len(sent), live(server.world)[FIRST]["new_message.sound"]) == (1, 1, "theirs")
    written = read_journal(journal.with_suffix(".rollback.jsonl") if undo else journal)
    assert [entry.status for entry in written.entries] == ["failed"]


@pytest.mark.parametrize(("answered", "arrives", "sends"), [(True, True, 1), (False, True, 1), (False, False, 2)])
def test_it_is_sent_again_only_where_it_was_seen_not_to_have_arrived(
    run: Run,
    server: StandInServer,
    plan_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    answered: bool,
    arrives: bool,
    sends: int,
) -> None:
    desired = wanted(plan_file, live(server.world))
    sent = blind(monkeypatch, server, arrives=arrives, answered=answered, edit="", times=2)
    assert (apply(run, plan_file).exit_code, len(sent)) == (0, sends)
    assert (live(server.world), posts(server.world)) == (desired, 1)
    assert [entry.status for entry in read_journal(plan_file.with_suffix(".journal.jsonl")).entries] == ["applied"]


def test_what_twilio_took_is_not_sent_again_though_it_does_not_show(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answered that it was done: that nothing of it shows yet is no reason to do it once more."""
    sent = blind(monkeypatch, server, arrives=False, answered=True, edit="")
    done = apply(run, plan_file)
    assert (done.exit_code, len(sent)) == (1, 1)
    assert "Read back after the write" in done.stdout


@pytest.mark.parametrize("edit", ["", "theirs"])
def test_a_write_that_was_one_too_many_is_sent_again_where_nobody_else_has_been(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch, edit: str
) -> None:
    """A 429 says that nothing was done; until it is sent again somebody else may have done something."""
    desired = wanted(plan_file, live(server.world))
    configuration = server.world.services[FIRST].configuration = dict(
        server.world.services[FIRST].configuration or {}
    )
    real, refused = LiveTransport.send, list[str]()

    def send(transport: LiveTransport, request: Request) -> Answer:
        if request.method == "POST" and len(refused) < 2:
            refused.append(request.url)
            if edit:
                configuration["new_message.sound"] = edit
            return Answer(429, b'{"code": 20429, "status": 429}', {"Retry-After": "0"})
        return real(transport, request)

    monkeypatch.setattr(LiveTransport, "send", send)
    done = apply(run, plan_file)
    if edit:
        assert (done.exit_code, len(refused), posts(server.world)) == (1, 1, 0)
        assert live(server.world)[FIRST]["new_message.sound"] == "theirs"
    else:
        assert (done.exit_code, len(refused), posts(server.world)) == (0, 2, 1)
        assert live(server.world) == desired


def test_a_service_that_is_gone_after_an_answer_was_lost_is_sent_nothing_more(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    real = TwilioApi.get

    def post(api: TwilioApi, name: Any, path: str, form: Any) -> Any:
        sent.append(path)
        raise TransientTwilioError("no answer")

    def get(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        if sent and server.world.services[FIRST].configuration is not None:
            server.world.services[FIRST].configuration = None
            raise TransientTwilioError("nothing can be seen")
        return real(api, name, path, *rest, **options)

    monkeypatch.setattr(TwilioApi, "post", post)
    monkeypatch.setattr(TwilioApi, "get", get)
    done = apply(run, plan_file)
    assert (done.exit_code, len(sent)) == (1, 1)
    assert "there is no such service in Conversations any more" in done.stdout


def test_what_was_refused_and_arrived_in_part_is_undone(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = live(server.world)
    real = TwilioApi.post

    def post(api: TwilioApi, name: Any, path: str, form: dict[str, str]) -> None:
        real(api, name, path, {key: form[key] for key in list(form)[:1]})
        raise TwilioError("answered 400", status=400)

    with monkeypatch.context() as patch:
        patch.setattr(TwilioApi, "post", post)
        assert apply(run, plan_file).exit_code == 1
    journal = plan_file.with_suffix(".journal.jsonl")
    (entry,) = read_journal(journal).entries
    assert isinstance(entry, Entry)
    assert (len(entry.desired) > 1, entry.status) == (True, "failed")
    assert live(server.world) != before
    assert run("rollback", journal, "--apply", "--yes").exit_code == 0
    assert live(server.world) == before
