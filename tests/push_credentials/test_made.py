"""A credential is made once, whatever becomes of answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from migrate.load import credentials as load_credentials
from migrate.load.journal import read_journal
from migrate.model.errors import TransientTwilioError
from migrate.standin import app
from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from migrate.standin.world import Credential, World
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.transports.live import LiveTransport
from tests.applying import codes, dying, mortal
from tests.conftest import Run, Serve, said
from tests.push_credentials.conftest import (
    FCM,
    KEY,
    LIMITS,
    PEM,
    PRIVATE,
    THIRD,
    TWIN,
    apply,
    digest,
    entries,
    named,
    plan,
    state,
)


def test_one_is_made_once_and_then_left_as_it_is(run: Run, server: StandInServer, mapped: Path) -> None:
    state(mapped, new=FCM)
    shown = run("load", mapped)
    assert (shown.exit_code, server.world.writes) == (0, [])
    assert "+ a new fcm credential  new\n" in shown.stdout
    assert "    secret         env:FCM_KEY\n" in shown.stdout
    assert "Dry run: 1 credential would be written, " in shown.stdout
    assert "credential-to-be-made" in shown.stdout
    assert run("load", mapped, "--detailed-exitcode").exit_code == 3
    plan_file = plan(run, mapped)
    done = apply(run, plan_file)
    assert done.exit_code == 0, done.output
    (made,) = named(server.world, "new")
    assert (made.type, made.sandbox, made.secrets) == ("fcm", None, {"Secret": digest(KEY)})
    assert f"its SID is {made.sid}" in done.stdout
    (entry,) = entries(plan_file)
    assert (entry.before, entry.status, entry.after and entry.after.sid) == (None, "applied", made.sid)
    again = run("load", mapped, "--only-credentials", "--json", "--detailed-exitcode")
    assert (again.exit_code, codes(again)) == (0, {"credential-exists"})
    assert apply(run, plan_file).exit_code == 4  # applied already
    assert apply(run, plan_file, "--journal", mapped.with_name("second.jsonl")).exit_code == 0
    assert server.world.writes == ["POST /v1/Credentials"]


def test_apples_have_two_secrets_and_a_sandbox(
    tmp_path: Path, run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("CERT", PEM)
    environment.setenv("HOME", str(tmp_path))
    (tmp_path / "key.pem").write_text(PRIVATE)
    state(mapped, new='{type: apn, certificate: "env:CERT", private_key: "file:~/key.pem", sandbox: true}')
    assert apply(run, plan(run, mapped)).exit_code == 0
    (made,) = named(server.world, "new")
    assert (made.type, made.sandbox) == ("apn", "True")
    assert made.secrets == {"Certificate": digest(PEM), "PrivateKey": digest(PRIVATE)}


@pytest.mark.parametrize(
    "sid", ["", pytest.param(", sid: CR00000000000000000000000000000002", marks=pytest.mark.long)]
)
def test_a_death_at_any_step_makes_no_second_one_and_loses_none(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch, sid: str
) -> None:
    state(mapped, **{"twin" if sid else "new": FCM.replace("}", sid + "}")})
    plan_file = plan(run, mapped)
    before = {found.sid: Credential(**vars(found)) for found in server.world.credentials.values()}
    step, steps = 0, 99
    while step < steps:
        step += 1
        server.world.credentials = {found.sid: Credential(**vars(found)) for found in before.values()}
        server.world.writes.clear()
        journal = plan_file.with_name(f"{step}.jsonl")
        with environment.context() as patch:
            count = dying(patch, step)
            died = apply(mortal, plan_file, "--journal", journal)
            steps = min(steps, count() if died.exit_code == 0 else 99)
        result = apply(run, plan_file, "--journal", journal)
        changed = [found for found in server.world.credentials.values() if found != before.get(found.sid)]
        assert [found.secrets for found in changed] == [{"Secret": digest(KEY)}]
        assert len(server.world.writes) == 1, "it is written once"
        *unseen, last = read_journal(journal).entries
        assert {entry.status for entry in unseen} <= {"void"}
        if result.exit_code == 5:  # it died before its end was seen: by us, or by somebody else?
            assert (bool(sid), last.status) == (True, "failed")
            assert "a secret cannot be read back" in result.stdout
        else:
            assert (result.exit_code in (0, 4), last.status) == (True, "applied")  # 4: it died after all was done
    assert step > 8


@pytest.mark.parametrize("seed", range(8))
def test_whatever_becomes_of_answers_there_is_one(
    run: Run, serve: Serve, world: World, mapped: Path, seed: int
) -> None:
    serve(world, faults=Faults(seed=seed, rate=0.5))
    state(mapped, new=FCM, twin=FCM.replace("}", ", sid: CR00000000000000000000000000000002}"))
    base = ("--force", "other-address", "--retry-budget", 600)
    done = run("load", mapped, "--only-credentials", "--apply", "--yes", *LIMITS, *base)
    assert done.exit_code == 0, done.output
    assert [found.secrets for found in named(world, "new")] == [{"Secret": digest(KEY)}]
    assert [found.secrets for found in named(world, "twin")] == [{"Secret": digest(KEY)}, {}]


def test_one_that_somebody_else_made_meanwhile_is_told(run: Run, server: StandInServer, mapped: Path) -> None:
    state(mapped, new=FCM)
    plan_file, world = plan(run, mapped), server.world
    other = Credential(9, "CR" + "9" * 32, "new", "fcm", None, world.now, world.now)
    world.credentials[other.sid] = other
    done = apply(run, plan_file)
    assert (done.exit_code, world.writes) == (0, [])
    assert f"{other.sid}, made meanwhile" in done.stdout
    world.credentials["CR" + "8" * 32] = Credential(8, "CR" + "8" * 32, "new", "fcm", None, world.now, world.now)
    done = apply(run, plan_file, "--journal", plan_file.with_name("second.jsonl"))
    assert (done.exit_code, world.writes) == (1, [])
    assert "there are several of its type and name" in done.stdout


def test_one_that_was_made_and_is_gone_since_is_told(run: Run, server: StandInServer, mapped: Path) -> None:
    """Somebody else's doing: nothing is written over it unasked."""
    state(mapped, new=FCM, other=FCM)
    plan_file, world = plan(run, mapped), server.world
    with pytest.MonkeyPatch.context() as patch:
        dying(patch, 10)  # after the first is made, and said to be
        assert apply(mortal, plan_file).exit_code == -9
    (made,) = named(world, "new") + named(world, "other")
    del world.credentials[made.sid]
    done = apply(run, plan_file)
    assert (done.exit_code, "it is not there any more" in done.stdout) == (5, True)
    assert len(world.writes) == 2


def test_apples_sandbox_is_looked_at(run: Run, server: StandInServer, mapped: Path, tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text(PEM)
    (tmp_path / "k.pem").write_text(PRIVATE)
    state(mapped, new=f'{{type: apn, certificate: "file:{tmp_path}/c.pem", private_key: "file:{tmp_path}/k.pem", '
          "sandbox: false}")  # fmt: skip
    plan_file, world = plan(run, mapped), server.world
    world.credentials["CR" + "9" * 32] = Credential(9, "CR" + "9" * 32, "new", "apn", "True", world.now, world.now)
    done = apply(run, plan_file)
    assert (done.exit_code, world.writes) == (1, [])
    assert "is of Apple's sandbox" in done.stdout


def test_where_nothing_can_be_seen_it_stays_open_and_the_next_run_settles_it(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch
) -> None:
    """It was made, its answer was lost, and from then on Twilio was away."""
    state(mapped, new=FCM)
    plan_file, real, away = plan(run, mapped), TwilioApi.post, False

    def post(self: TwilioApi, *arguments: Any) -> None:
        nonlocal away
        away = True
        real(self, *arguments)
        raise TransientTwilioError("the answer was lost")

    def send(*arguments: Any) -> Any:
        if away and server.world.writes:
            raise TransientTwilioError("it is away")
        return transport(*arguments)

    transport = LiveTransport.send
    with environment.context() as patch:
        patch.setattr(TwilioApi, "post", post)
        patch.setattr(LiveTransport, "send", send)
        lost = apply(run, plan_file, "--retry-budget", 1)
    assert (lost.exit_code, said(lost).count("\n")) == (1, 1)
    assert [entry.status for entry in entries(plan_file)] == [None]
    assert apply(run, plan_file).exit_code == 0
    assert server.world.writes == ["POST /v1/Credentials"]
    assert [entry.status for entry in entries(plan_file)] == ["applied"]


def test_what_twilio_makes_otherwise_is_told(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch
) -> None:
    """It says that all is well, and has made something else."""
    state(mapped, new=FCM, twin=TWIN)
    plan_file = plan(run, mapped)
    environment.setattr("migrate.standin.app.update", lambda found, *_: setattr(found, "friendly_name", "other"))
    done = apply(run, plan_file)
    assert done.exit_code == 1
    assert f"CR{'4'.zfill(32)} has another type or name" in done.stdout
    assert f"{THIRD} has another type or name" in done.stdout
    assert [entry.status for entry in entries(plan_file)] == ["failed", "failed"]


def late(environment: pytest.MonkeyPatch, looks: int, *, by_sid: bool) -> None:
    """Twilio shows a new credential only after so many looks; asked for it by its SID, perhaps at once."""
    list_all, one, seen = app._StandIn.credentials, app._StandIn.credential, 0

    async def credentials(self: Any, request: Any) -> Any:
        nonlocal seen
        seen += 1
        every = self.world.credentials
        shown = {sid: found for sid, found in every.items() if found.friendly_name != "new" or seen > looks}
        self.world.credentials = shown
        try:
            return await list_all(self, request)
        finally:
            self.world.credentials = every

    async def credential(self: Any, request: Any) -> Any:
        if not by_sid and seen <= looks:
            raise web.HTTPNotFound
        return await one(self, request)

    environment.setattr(app._StandIn, "credentials", credentials)
    environment.setattr(app._StandIn, "credential", credential)


@pytest.mark.parametrize("by_sid", [True, False])
@pytest.mark.parametrize("looks", [3, 99])
def test_one_that_shows_late_is_not_made_again(
    tmp_path: Path, run: Run, serve: Serve, world: World, environment: pytest.MonkeyPatch, looks: int, by_sid: bool
) -> None:
    with environment.context() as patch:
        late(patch, looks, by_sid=by_sid)
        serve(world)
        assert run("extract", "--out", tmp_path / "snapshot").exit_code == 0
        assert run("map", tmp_path / "snapshot", "--out", tmp_path / "mapped").exit_code == 0
        state(tmp_path / "mapped", new=FCM)
        plan_file = plan(run, tmp_path / "mapped")
        for _ in range(3):
            done = apply(run, plan_file)
            is_seen = by_sid or looks < 9
            assert done.exit_code in ((0, 4) if is_seen else (1,)), done.output
    assert world.writes == ["POST /v1/Credentials"]
    if not is_seen:
        assert "does not show it yet" in done.stdout
        serve(world)
        assert apply(run, plan_file, "--force", "other-address").exit_code == 0
    assert world.writes == ["POST /v1/Credentials"]
    assert [entry.status for entry in entries(plan_file)] == ["applied"]


def test_one_that_twilio_took_is_not_made_again_though_the_list_fails_and_lags(
    tmp_path: Path, run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch
) -> None:
    state(mapped, new=FCM)
    plan_file = plan(run, mapped)
    real, failing = load_credentials.read_credentials, [True]

    def read(api: TwilioApi) -> Any:
        found = [one for one in real(api) if one.friendly_name != "new"]
        if server.world.writes and failing:
            failing.pop()
            raise TransientTwilioError("nothing can be seen")
        return found

    environment.setattr(load_credentials, "read_credentials", read)
    assert apply(run, plan_file).exit_code == 0
    assert (server.world.writes, failing) == (["POST /v1/Credentials"], [])
    assert [entry.status for entry in entries(plan_file)] == ["applied"]


def test_apples_sandbox_is_a_finding_where_it_differs(run: Run, server: StandInServer, mapped: Path) -> None:
    state(mapped, push='{type: apn, certificate: "env:A", private_key: "env:B", sandbox: true}')
    assert codes(run("load", mapped, "--only-credentials", "--json")) == {"credential-sandbox-differs"}
