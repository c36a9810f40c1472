"""Deletes: each once, journalled, settled after whatever becomes of its answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from migrate.model.errors import TransientTwilioError, TwilioError
from migrate.retire import journal as retire_journal
from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from migrate.standin.world import World
from migrate.storage.synced_log import SyncedLog
from migrate.twilio_api.client import TwilioApi
from tests.applying import dying, mortal
from tests.conftest import ROOT, Run, Serve, said
from tests.retire.conftest import PHONE, SERVICE, SIGN, chat, content, journal_of, lines, retire, told

PACKAGE = ROOT / "migrate"


def test_a_push_that_is_switched_off_while_deletes_are_under_way_keeps_the_rest(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    """Each is judged by what is live just before it, and not by what was when the list was made."""
    real = TwilioApi.delete

    def delete(api: TwilioApi, name: Any, path: str) -> None:
        real(api, name, path)
        if len(server.world.writes) == 2:
            server.world.services[SERVICE].configuration = {"new_message.enabled": True}

    environment.setattr(TwilioApi, "delete", delete)
    done = retire(run, snapshot, "--json", "--concurrency", 1)
    assert (done.exit_code, told(done), len(server.world.writes)) == (0, {"deleted": 2, "needed": 2}, 2)
    assert json.loads(done.stdout)["needed_because"] == {"media-off": 2}
    assert not any(server.world.losses.values())
    environment.setattr(TwilioApi, "delete", real)
    again = retire(run, snapshot)  # which has nothing to do, and says why
    assert (again.exit_code, len(server.world.writes)) == (0, 2)
    assert (
        "2  pushes of media messages are off in Conversations: load first, and decide its proposals" in again.stdout
    )


@pytest.mark.parametrize("status", [503, 429])
def test_a_phone_that_registers_while_a_delete_is_tried_again_keeps_its_binding(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch, status: int
) -> None:
    real, tried = TwilioApi.delete, False
    first = server.world.services[SERVICE].bindings[0]

    def delete(api: TwilioApi, name: Any, path: str) -> None:
        nonlocal tried
        if path.endswith(first.sid) and not tried:
            tried = True
            first.updated = server.world.now
            raise TransientTwilioError("later", status=status)
        real(api, name, path)

    environment.setattr(TwilioApi, "delete", delete)
    done = retire(run, snapshot, "--json")
    assert (done.exit_code, told(done)) == (0, {"deleted": 3, "changed": 1})
    assert first in server.world.services[SERVICE].bindings
    assert [line["status"] for line in lines(journal_of(snapshot)) if line.get("result") == first.sid] == ["failed"]


@pytest.mark.parametrize("stride", [8, pytest.param(1, marks=pytest.mark.long)])
def test_a_death_at_any_step_is_gone_on_from(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch, stride: int
) -> None:
    service = server.world.services[SERVICE]
    before = service.bindings[:]
    last = 1 + 2 + 2 + 4 * 6  # a line of the checkpoint, the first of the journal, and each deletion
    for step in range(1, last + 1 if stride == 1 else last, stride):
        service.bindings[:] = before
        server.world.writes.clear()
        journal = snapshot.with_name(f"{step}.jsonl")
        with environment.context() as patch:
            dying(patch, step, method="delete", threads=True)
            died = retire(mortal, snapshot, "--journal", journal)
        assert (died.exit_code == 0) == (step == last)
        if step == last:
            break
        done = retire(run, snapshot, "--journal", journal)
        assert done.exit_code == 0, done.output
        assert chat(server.world) == ["phone-0005", "phone-0006", "before", "phone"]
        assert len(server.world.writes) == len(set(server.world.writes)) == 4
        results = [line["result"] for line in lines(journal) if "result" in line]
        assert len(results) == len(set(results)) == 4


@pytest.mark.parametrize("seed", range(6))
def test_whatever_becomes_of_answers_each_is_deleted_once(
    run: Run, serve: Serve, world: World, server: StandInServer, snapshot: Path, seed: int
) -> None:
    serve(world, faults=Faults(seed=seed, rate=0.4), at=server)
    done = retire(run, snapshot, "--retry-budget", 600, "--journal", snapshot.with_name("j.jsonl"))
    assert done.exit_code == 0, done.output
    assert chat(world) == ["phone-0005", "phone-0006", "before", "phone"]
    assert len(world.writes) == 4


def test_what_twilio_refuses_is_told_and_the_others_go_on(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    first = server.world.services[SERVICE].bindings[0].sid
    real = TwilioApi.delete

    def delete(api: TwilioApi, name: Any, path: str) -> None:
        if path.endswith(first):
            raise TwilioError("it answered 403", status=403)
        real(api, name, path)

    with environment.context() as patch:
        patch.setattr(TwilioApi, "delete", delete)
        done = retire(run, snapshot)
    assert (done.exit_code, said(done).count("\n")) == (6, 1)
    assert "1 of 4 bindings could not be deleted" in done.stderr
    assert f"Resume with: chat-migrate retire {snapshot}" in done.stderr
    assert f"{first}: it answered 403" in done.stdout
    with environment.context() as patch:
        patch.setattr(TwilioApi, "delete", delete)
        assert retire(run, snapshot).exit_code == 1  # nothing was deleted by this one
    assert retire(run, snapshot).exit_code == 0
    assert len(chat(server.world)) == 4


def test_a_delete_that_nobody_saw_is_settled_by_the_next_run(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    """It was done, its answer was lost, and Twilio was away from then on; and one that somebody else was quicker with."""
    real, get, away = TwilioApi.delete, TwilioApi.get, False

    def delete(api: TwilioApi, name: Any, path: str) -> None:
        nonlocal away
        real(api, name, path)
        away = True
        raise TransientTwilioError("the answer was lost")

    def read(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        if away:
            raise TransientTwilioError("it is away")
        return get(api, name, path, *rest, **options)

    with environment.context() as patch:
        patch.setattr(TwilioApi, "delete", delete)
        patch.setattr(TwilioApi, "get", read)
        lost = retire(run, snapshot, "--retry-budget", 0, "--concurrency", 1)
    assert (lost.exit_code, len(server.world.writes)) == (1, 1)
    assert [next(iter(line)) for line in lines(journal_of(snapshot))][1:] == ["intent"]

    def late(api: TwilioApi, name: Any, path: str) -> None:
        real(api, name, path)
        real(api, name, path)

    with environment.context() as patch:
        patch.setattr(TwilioApi, "delete", late)
        done = retire(run, snapshot, "--json")
    assert (done.exit_code, told(done)) == (0, {"deleted": 4})
    assert len(server.world.writes) == 4


def test_ctrl_c_settles_what_was_begun_and_names_the_command(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    real = retire_journal.RetireJournal.end
    ended = 0

    def end(self: Any, *arguments: Any) -> None:
        nonlocal ended
        real(self, *arguments)
        ended += 1
        if ended == 2:
            raise KeyboardInterrupt

    with environment.context() as patch:
        patch.setattr(retire_journal.RetireJournal, "end", end)
        stopped = retire(run, snapshot, "--concurrency", 1)
    assert (stopped.exit_code, said(stopped).count("\n")) == (130, 1)
    assert "Interrupted: 2 bindings are deleted" in stopped.stderr
    assert "Resume with: chat-migrate retire" in stopped.stderr
    assert retire(run, snapshot).exit_code == 0
    assert len(server.world.writes) == 4


def test_a_full_disk_stops_it(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    real, written = SyncedLog.append, 0

    def full(log: SyncedLog, line: dict[str, Any]) -> None:
        nonlocal written
        written += 1
        if written > 3:
            raise OSError(28, "No space left on device")
        real(log, line)

    with environment.context() as patch:
        patch.setattr(SyncedLog, "append", full)
        stopped = retire(run, snapshot, "--concurrency", 1)
    assert (stopped.exit_code, said(stopped).count("\n")) == (1, 1)
    assert "The journal cannot be written: no space left on device" in stopped.stderr
    assert len(server.world.writes) == 1
    assert retire(run, snapshot).exit_code == 0
    assert len(server.world.writes) == 4


@pytest.mark.parametrize("status", [429, 503, None])
def test_what_is_tried_again_is_looked_at_again(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch, status: int | None
) -> None:
    """While a delete waits for its turn, the phone registers through Chat again, or its binding moves over."""
    real, service, tried = TwilioApi.delete, server.world.services[SERVICE], set[str]()
    first, second = service.bindings[0], service.bindings[1]

    def delete(api: TwilioApi, name: Any, path: str) -> None:
        if path not in tried:
            tried.add(path)
            if path.endswith(first.sid):
                first.updated = server.world.now
            if path.endswith(second.sid):
                service.conversations_bindings.append(second)
            raise TransientTwilioError("not now", status=status)
        real(api, name, path)

    with environment.context() as patch:
        patch.setattr(TwilioApi, "delete", delete)
        done = retire(run, snapshot, "--json")
    assert (done.exit_code, told(done)) == (0, {"deleted": 2, "changed": 1, "shared": 1})
    assert {first.endpoint, second.endpoint} <= set(chat(server.world))
    found = lines(journal_of(snapshot))
    assert sum("intent" in line for line in found) == 4
    assert sorted(line["status"] for line in found if "result" in line) == ["deleted"] * 2 + ["failed"] * 2


def test_a_429_is_waited_for(run: Run, serve: Serve, world: World, server: StandInServer, snapshot: Path) -> None:
    serve(world, faults=Faults(rate=0.4, kinds=("429",)), at=server)
    done = retire(run, snapshot, "--retry-budget", 600, "--json", "--journal", snapshot.with_name("j.jsonl"))
    assert (done.exit_code, told(done), len(world.writes)) == (0, {"deleted": 4}, 4)


def test_more_than_are_in_hand_at_a_time(tmp_path: Path, run: Run, serve: Serve) -> None:
    many = content(bindings=[{"count": 40, **PHONE}], conversations_bindings=[{"count": 39, **PHONE, **SIGN}])
    many["services"].append({"name": "Quiet", "conversations": {}})
    server = serve(many)
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    done = retire(run, tmp_path / "s", "--concurrency", 3)
    assert (done.exit_code, len(server.world.writes), chat(server.world)) == (0, 39, ["phone-0040"])
    assert len({line["result"] for line in lines(journal_of(tmp_path / "s")) if "result" in line}) == 39


def test_deletes_keep_to_the_pace_from_all_threads(run: Run, snapshot: Path, environment: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    environment.setattr(TwilioApi, "pause", lambda api, seconds: waited.append(seconds))
    environment.setattr("migrate.load.rate_limit.time", SimpleNamespace(monotonic=lambda: 100.0))  # all come at once
    assert retire(run, snapshot).exit_code == 0
    assert sorted(waited) == pytest.approx([1 / 25, 2 / 25, 3 / 25])  # the fourth waits for its turn behind three


def test_a_full_disk_before_anything_is_deleted_names_the_command(
    run: Run, server: StandInServer, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> Any:
        raise OSError(28, "No space left on device", "x")

    environment.setattr("migrate.retire.selection.write_coverage", full)
    stopped = retire(run, snapshot)
    assert (stopped.exit_code, said(stopped).count("\n"), server.world.writes) == (1, 1, [])
    assert f"Resume with: chat-migrate retire {snapshot}" in stopped.stderr


@pytest.mark.parametrize(
    "path",
    [
        f"/Credentials/CR{'1' * 32}", f"/Services/{SERVICE}", f"/Services/{SERVICE}/Bindings/", "",
        f"/Services/{SERVICE}/Bindings/BS{'1' * 32}/../../../Credentials/CR{'1' * 32}",
        f"/Services/{SERVICE}/Bindings/BS{'1' * 32}\n", f"/Services/{SERVICE}/Users/US{'1' * 32}",
    ],
)  # fmt: skip
def test_nothing_but_a_binding_can_be_deleted(path: str) -> None:
    api = TwilioApi.__new__(TwilioApi)
    with pytest.raises(ValueError, match="nothing but bindings is ever deleted"):
        api.delete("chat", path)


def test_there_is_one_way_to_delete_and_one_caller() -> None:
    """A credential's deletion deletes every registration made with it: no other code may even be able to ask for it."""
    sources = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
    sources = {name: text for name, text in sources.items() if not name.startswith("standin/")}  # the other side
    verbs = {name for name, text in sources.items() if re.search(r"\"DELETE\"|'DELETE'|\bmethod=\"delete", text)}
    assert verbs == {"twilio_api/client.py"}
    clients = {name for name, text in sources.items() if "_client.request(" in text or "session.send(" in text}
    assert clients == {"twilio_api/client.py", "twilio_api/transports/live.py"}
    callers = {name for name, text in sources.items() if re.search(r"api\.delete\(", text)}
    assert callers == {"retire/delete.py"}
