"""What is read back after a write may lag, fail or be refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migrate.load.journal import read_journal
from migrate.model.errors import TwilioError
from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from migrate.standin.world import World
from migrate.twilio_api.client import TwilioApi
from tests.applying import FORCE, apply, live, posts, wanted
from tests.conftest import Run, Serve, said


@pytest.mark.parametrize("kind", ["429", "500", "503", "reset", "garbage", "short", "not-a-page"])
def test_whatever_becomes_of_an_answer_is_settled_by_reading_back(
    run: Run, serve: Serve, demo_world: World, plan_file: Path, kind: str
) -> None:
    before = live(demo_world)
    path = plan_file.with_name("faulty.json")
    faulty = serve(demo_world, faults=Faults(seed=3, rate=0.5, kinds=(kind,)))
    assert run("load", plan_file.parent / "run" / "mapped", "--plan-out", path, *FORCE).exit_code == 0
    result = apply(run, path)
    assert result.exit_code == 0, result.output
    assert live(demo_world) == wanted(path, before)
    assert faulty.world.writes
    journal = read_journal(path.with_suffix(".journal.jsonl"))
    assert [entry.status for entry in journal.entries] == ["applied"] * 5


def test_a_field_that_twilio_ignores_is_found_by_reading_back(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TwilioApi.post

    def misspelt(api: TwilioApi, name: Any, path: str, form: dict[str, str]) -> None:
        real(api, name, path, {key.replace("LogEnabled", "LogEnable"): value for key, value in form.items()})

    with monkeypatch.context() as patch:
        patch.setattr(TwilioApi, "post", misspelt)
        result = apply(run, plan_file)
    assert (result.exit_code, said(result).count("\n")) == (6, 1)
    assert "log_enabled is false" in result.stdout
    journal = read_journal(plan_file.with_suffix(".journal.jsonl"))
    assert [entry.status for entry in journal.entries] == ["failed"] + ["applied"] * 4


def lagging(monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """After a write, so many looks show what was there before it."""
    real_get, real_post = TwilioApi.get, TwilioApi.post
    stale: dict[str, list[Any]] = {}

    def post(api: TwilioApi, name: Any, path: str, form: Any) -> Any:
        stale[path] = [real_get(api, name, path)] * looks
        return real_post(api, name, path, form)

    def get(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        return stale[path].pop() if stale.get(path) else real_get(api, name, path, *rest, **options)

    monkeypatch.setattr(TwilioApi, "post", post)
    monkeypatch.setattr(TwilioApi, "get", get)


@pytest.mark.parametrize("looks", [2, 9])
def test_a_read_back_that_lags_is_not_taken_for_a_write_that_did_not_arrive(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    before = live(server.world)
    with monkeypatch.context() as patch:
        lagging(patch, looks)
        done = apply(run, plan_file)
    assert done.exit_code == (0 if looks == 2 else 1), done.output
    assert live(server.world) == wanted(plan_file, before)
    assert run("rollback", plan_file.with_suffix(".journal.jsonl"), "--apply", "--yes").exit_code == 0
    assert live(server.world) == before


def looks(monkeypatch: pytest.MonkeyPatch, *after: Any) -> None:
    """After each write, the looks at what is live give these, one after the other: a status, or `old` for as before."""
    real_get, real_post = TwilioApi.get, TwilioApi.post
    coming: dict[str, list[Any]] = {}

    def post(api: TwilioApi, name: Any, path: str, form: Any) -> Any:
        old = real_get(api, name, path)
        coming[path] = [old if each == "old" else each for each in after]
        return real_post(api, name, path, form)

    def get(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        if not coming.get(path):
            return real_get(api, name, path, *rest, **options)
        found = coming[path].pop(0)
        if isinstance(found, int):
            raise TwilioError(f"answered {found}", status=found, is_twilios=True)
        return found

    monkeypatch.setattr(TwilioApi, "post", post)
    monkeypatch.setattr(TwilioApi, "get", get)


def test_a_service_that_is_not_found_right_after_a_write_is_looked_for_again(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks(monkeypatch, 404)
    assert apply(run, plan_file).exit_code == 0
    assert posts(server.world) == 5


def test_a_look_that_is_refused_makes_no_write_undone(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twilio took it; that it cannot be seen, or not yet, is not to be taken for a refusal of the write."""
    before = live(server.world)
    with monkeypatch.context() as patch:
        looks(patch, 403, "old")
        assert apply(run, plan_file).exit_code == 1
    path = plan_file.with_suffix(".journal.jsonl")
    assert [entry.status for entry in read_journal(path).entries] == [None] * 5
    assert run("rollback", path, "--apply", "--yes").exit_code == 0
    assert live(server.world) == before


def test_a_write_that_is_refused_and_cannot_be_looked_at_stays_open(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []
    real = TwilioApi.get

    def post(api: TwilioApi, name: Any, path: str, form: Any) -> Any:
        refused.append(path)
        raise TwilioError("it answered 400", status=400)

    def get(api: TwilioApi, name: Any, path: str, *rest: Any, **options: Any) -> Any:
        if path in refused:
            raise TwilioError("it answered 403", status=403)
        return real(api, name, path, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(TwilioApi, "post", post)
        patch.setattr(TwilioApi, "get", get)
        told = apply(run, plan_file)
    assert (told.exit_code, len(refused)) == (1, 5)
    assert (told.stdout.count("it answered 400"), told.stdout.count("it answered 403")) == (5, 0)
    assert [entry.status for entry in read_journal(plan_file.with_suffix(".journal.jsonl")).entries] == [None] * 5
    assert apply(run, plan_file).exit_code == 0


def test_a_service_that_goes_with_the_write_is_told_and_may_still_be_undone(
    run: Run, server: StandInServer, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = live(server.world)
    with monkeypatch.context() as patch:
        looks(patch, 404, 404, 404, 404)
        gone = apply(run, plan_file)
    assert (gone.exit_code, gone.stdout.count("there is no such service in Conversations any more")) == (1, 5)
    path = plan_file.with_suffix(".journal.jsonl")
    assert {entry.status for entry in read_journal(path).entries} == {"failed"}
    assert run("rollback", path, "--apply", "--yes").exit_code == 0  # it was there after all
    assert live(server.world) == before
