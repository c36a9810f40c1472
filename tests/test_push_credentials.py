"""Credentials in push-config.yaml: made once or given another secret, never deleted, and their secrets told nowhere."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from aiohttp import web
from click.testing import Result

from migrate.cli.commands import applying
from migrate.load import credentials as load_credentials
from migrate.load.journal import CredentialEntry, read_journal
from migrate.map.push_config_yaml import parse
from migrate.model.errors import InputError, TransientTwilioError, TwilioError
from migrate.standin import app, credentials
from migrate.standin.faults import Faults
from migrate.standin.paging import ProblemError
from migrate.standin.server import StandInServer
from migrate.standin.world import Credential, World, make_world
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.transports.live import LiveTransport
from tests.applying import codes, dying, mortal
from tests.conftest import Run, Serve, said, tiny_world
from tests.keys import certificate, private_key, service_account

SECRET = "planted-9c1d-secret"
KEY = service_account(private_key_id=SECRET)
PEM, PRIVATE = certificate(), private_key()
FCM = '{type: fcm, secret: "env:FCM_KEY"}'
THIRD = "CR" + "3".zfill(32)
LIMITS = ("--force", "blockers")


@pytest.fixture
def world(environment: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """One service whose push configuration is as it should be, and three credentials."""
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.setenv("FCM_KEY", KEY)
    content = tiny_world(notifications={}, bindings=[{"count": 2}])
    kinds = [("push", "apn"), ("twin", "fcm")]
    content["credentials"] = [{"name": name, "type": kind, "updated_days_ago": 9} for name, kind in kinds]
    world = make_world(content)
    twin = world.credentials["CR" + "2".zfill(32)]
    world.credentials[THIRD] = replace(twin, number=3, sid=THIRD, secrets={})
    return world


@pytest.fixture
def server(serve: Serve, world: World) -> StandInServer:
    return serve(world)


@pytest.fixture
def mapped(tmp_path: Path, run: Run, server: StandInServer) -> Path:
    """A mapped folder of that world."""
    assert run("extract", "--out", tmp_path / "snapshot").exit_code == 0
    assert run("map", tmp_path / "snapshot", "--out", tmp_path / "mapped").exit_code == 0
    server.world.writes.clear()
    return tmp_path / "mapped"


def state(mapped: Path, **credentials: str) -> None:
    """Have these credentials in push-config.yaml, by their names."""
    path = mapped / "push-config.yaml"
    text = path.read_text("utf-8").partition("\ncredentials:")[0]
    path.write_text("\n".join([text, "credentials:", *(f"  {name}: {it}" for name, it in credentials.items())]))


def plan(run: Run, mapped: Path) -> Path:
    path = mapped.with_name("plan.json")
    assert run("load", mapped, "--only-credentials", "--plan-out", path).exit_code == 0
    return path


def apply(run: Run, plan_file: Path, *options: object) -> Result:
    return run("load", "--plan", plan_file, "--apply", "--yes", *LIMITS, *options)


def named(world: World, name: str) -> list[Credential]:
    return [found for found in world.credentials.values() if found.friendly_name == name]


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def entries(plan_file: Path) -> list[CredentialEntry]:
    found = read_journal(plan_file.with_suffix(".journal.jsonl")).entries
    return [entry for entry in found if isinstance(entry, CredentialEntry)]


# --- making one ------------------------------------------------------------------------------------------


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


# --- another secret for one that is there ----------------------------------------------------------------

TWIN = FCM.replace("}", f", sid: {THIRD}}}")


def test_the_sid_stays_and_so_do_the_registrations(run: Run, server: StandInServer, mapped: Path) -> None:
    state(mapped, twin=TWIN)
    shown = run("load", mapped)
    assert "~ CR00000000000000000000000000000003  twin\n    secret  env:FCM_KEY\n" in shown.stdout
    assert "credential-secret-unseen" in shown.stdout
    plan_file = plan(run, mapped)
    assert apply(run, plan_file).exit_code == 0
    assert server.world.writes == ["POST /v1/Credentials/CR00000000000000000000000000000003"]
    assert server.world.credentials[THIRD].secrets == {"Secret": digest(KEY)}
    assert run("load", mapped, "--detailed-exitcode").exit_code == 3  # what it has cannot be seen
    markdown = mapped.with_name("r.md")
    assert run("load", mapped, "--report", markdown).exit_code == 0
    assert "to be given another secret" in markdown.read_text("utf-8")


def test_a_credential_that_was_changed_since_the_plan_is_left_alone(
    run: Run, server: StandInServer, mapped: Path
) -> None:
    state(mapped, twin=TWIN)
    plan_file, found = plan(run, mapped), server.world.credentials[THIRD]
    assert run("load", "--plan", plan_file).exit_code == 0
    found.updated = server.world.now
    assert run("load", "--plan", plan_file).exit_code == 5
    done = apply(run, plan_file)
    assert (done.exit_code, server.world.writes) == (5, [])
    assert "changed since the plan was made" in done.stdout
    del server.world.credentials[found.sid]
    done = apply(run, plan_file)
    assert (done.exit_code, server.world.writes) == (1, [])
    assert "there is no such credential" in done.stdout


def test_a_credential_that_was_changed_since_it_was_applied_is_told(
    run: Run, server: StandInServer, mapped: Path
) -> None:
    state(mapped, twin=TWIN, zzz=FCM)
    plan_file, found = plan(run, mapped), server.world.credentials[THIRD]
    with pytest.MonkeyPatch.context() as patch:
        dying(patch, 10)
        assert apply(mortal, plan_file).exit_code == -9
    found.updated = found.created
    done = apply(run, plan_file)
    assert (done.exit_code, "changed since it was applied" in done.stdout) == (5, True)


def test_a_plan_that_was_applied_is_not_stale_by_what_it_did(run: Run, server: StandInServer, mapped: Path) -> None:
    state(mapped, twin=TWIN)
    plan_file, found = plan(run, mapped), server.world.credentials[THIRD]
    elsewhere = plan_file.with_name("elsewhere.jsonl")
    assert apply(run, plan_file, "--journal", elsewhere).exit_code == 0
    assert run("load", "--plan", plan_file, "--journal", elsewhere).exit_code == 0
    assert run("load", "--plan", plan_file).exit_code == 5, "by whom, only that journal says"
    another = plan_file.with_name("another.jsonl")
    another.write_text(elsewhere.read_text("utf-8").replace('"plan_id": "sha256:', '"plan_id": "sha256:0'), "utf-8")
    assert run("load", "--plan", plan_file, "--journal", another).exit_code == 5, "nor does another plan's"
    found.updated = found.created
    assert run("load", "--plan", plan_file, "--journal", elsewhere).exit_code == 5


def test_the_age_of_what_they_rest_on_is_told_by_the_targets_clock(
    run: Run, server: StandInServer, mapped: Path
) -> None:
    state(mapped, new=FCM)
    report = mapped.with_name("r.md")
    server.world.now = server.world.now.replace(year=server.world.now.year - 9)  # not this machine's, in any case
    assert apply(run, plan(run, mapped), "--report", report).exit_code == 0
    assert "old-snapshot" not in report.read_text("utf-8")


@pytest.mark.parametrize("is_sent", [True, False])
def test_whose_an_update_was_is_not_guessed_after_a_death(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch, is_sent: bool
) -> None:
    """Somebody sets another secret while nobody is there: it stays, and a new plan asks again."""
    state(mapped, twin=TWIN)
    plan_file, found = plan(run, mapped), server.world.credentials[THIRD]
    with environment.context() as patch:
        dying(patch, 6 if is_sent else 5)
        assert apply(mortal, plan_file).exit_code == -9
    found.updated, found.secrets = found.created, {"Secret": "theirs"}
    for reason in ("by us or by somebody else", "changed since the plan was made"):
        done = apply(run, plan_file)
        assert (done.exit_code, len(server.world.writes), found.secrets) == (5, is_sent, {"Secret": "theirs"})
        assert reason in done.stdout
    assert [entry.status for entry in entries(plan_file)] == ["failed"]
    another = plan_file.with_name("another.json")
    assert run("load", mapped, "--only-credentials", "--plan-out", another).exit_code == 0
    assert apply(run, another).exit_code == 0
    assert found.secrets == {"Secret": digest(KEY)}


def test_one_that_was_refused_and_cannot_be_looked_for_is_left_open(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch
) -> None:
    state(mapped, new=FCM)
    plan_file, refused = plan(run, mapped), False

    def post(*_: Any) -> Any:
        nonlocal refused
        refused = True
        raise TwilioError("it answered 400", status=400)

    real = TwilioApi.pages

    def pages(*arguments: Any, **options: Any) -> Any:
        if refused:
            raise TwilioError("it answered 403", status=403)
        return real(*arguments, **options)

    environment.setattr(TwilioApi, "post", post)
    environment.setattr(TwilioApi, "pages", pages)
    done = apply(run, plan_file)
    assert (done.exit_code, "it answered 400" in done.stdout) == (1, True)
    assert [entry.status for entry in entries(plan_file)] == [None]


def test_the_type_the_name_and_the_sid_must_belong_together(run: Run, server: StandInServer, mapped: Path) -> None:
    state(mapped, misnamed=TWIN)
    refused = run("load", mapped, "--only-credentials", "--apply", "--yes")
    assert (refused.exit_code, server.world.writes) == (4, [])
    assert "credential-not-as-named" in refused.stdout
    state(mapped, misnamed=TWIN, other=FCM, twin=FCM)
    found = codes(run("load", mapped, "--only-credentials", "--json"))
    assert found == {"credential-not-as-named", "credential-to-be-made", "credential-ambiguous"}
    refused = run("load", mapped, "--only-credentials", "--apply", "--yes")
    assert (refused.exit_code, server.world.writes) == (4, [])
    blockers = re.search(r"\[blockers\] the findings block it: (.*?); decide them", refused.stderr)
    assert blockers
    assert re.fullmatch(r"credential-ambiguous \(.*\btwin\b.*\), credential-not-as-named \(.*\)", blockers[1])


def test_a_rollback_says_what_stays(run: Run, server: StandInServer, mapped: Path) -> None:
    state(mapped, twin=TWIN, new=FCM)
    plan_file = plan(run, mapped)
    assert apply(run, plan_file).exit_code == 0
    number = len(server.world.credentials)
    shown = run("rollback", plan_file.with_suffix(".journal.jsonl"), "--apply", "--yes")
    assert shown.exit_code == 0, shown.output
    assert "rollback-credential-stays" in shown.stdout
    assert shown.stdout.count("· the account  fcm ") == 2
    assert (len(server.world.writes), len(server.world.credentials)) == (2, number)


# --- secrets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "value", "problem"),
    [
        ("env:UNSET", None, "env:UNSET is not set, or empty"),
        ("env:S", " \n", "is not set, or empty"),
        ("file:no/such/file", None, "cannot be read: no such file or directory"),
        ("file:~nobody-of-that-name/x", None, "is not text that can be sent"),
        ("file:.", None, "cannot be read: is a directory"),
        ("file:{}", b"\xff" + SECRET.encode(), "is not text that can be sent"),
        ("file:{}", b"", "is not set, or empty"),
        ("env:S", SECRET, "is no service-account key"),
        ("env:S", '{"private_key": "' + SECRET + '"}', "is no service-account key"),
        ("env:S", "[" * 100_000, "is no service-account key"),
    ],
)
def test_a_reference_that_leads_nowhere_is_one_line_before_anything_is_written(
    tmp_path: Path, run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch,
    reference: str, value: str | bytes | None, problem: str,
) -> None:  # fmt: skip
    if isinstance(value, bytes):
        (tmp_path / "key").write_bytes(value)
    elif value:
        environment.setenv("S", value)
    reference = reference.format(tmp_path / "key")
    state(mapped, new=f'{{type: fcm, secret: "{reference}"}}', other=FCM)
    done = apply(run, plan(run, mapped))
    assert (done.exit_code, done.stderr.count("\n"), server.world.writes) == (1, 1, [])
    assert problem in done.stderr
    assert SECRET not in done.output


def test_what_is_no_pem_is_told(run: Run, server: StandInServer, mapped: Path) -> None:
    state(mapped, new='{type: apn, certificate: "env:FCM_KEY", private_key: "env:FCM_KEY"}')
    done = apply(run, plan(run, mapped))
    assert (done.exit_code, server.world.writes) == (1, [])
    assert "env:FCM_KEY is no certificate in PEM format" in done.stderr
    assert SECRET not in done.output


def test_a_certificate_and_its_key_are_not_mixed_up(
    run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("CERT", PEM)
    environment.setenv("KEY", PRIVATE)
    for first, key, problem in (("KEY", "CERT", "KEY is no certificate"), ("CERT", "CERT", "no private key")):
        state(mapped, new=f'{{type: apn, certificate: "env:{first}", private_key: "env:{key}"}}')
        done = apply(run, plan(run, mapped))
        assert (done.exit_code, done.stderr.count("\n"), server.world.writes) == (1, 1, [])
        assert problem in done.stderr


@pytest.mark.parametrize(
    ("stated", "problem"),
    [
        (f"{{type: fcm, secret: {SECRET}}}", "secret must be env:NAME or file:PATH, and never the secret itself"),
        (f'{{type: fcm, secret: "env:{SECRET}"}}', "never the secret itself"),
        (f"{{type: fcm, secret: {{private_key: {SECRET}}}}}", "must be a text in quotes"),
        (f"{{type: fcm, secret: [{SECRET}]}}", "must be a text in quotes"),
        (f"{{type: {SECRET}, secret: 'env:A'}}", "type must be apn or fcm"),
        ("{type: gcm, secret: 'env:A'}", "type must be apn or fcm"),
        ("{type: fcm}", "a credential of type fcm needs secret"),
        ("{secret: 'env:A'}", "type must be apn or fcm"),
        ("{type: fcm, secret: 'env:A', certificate: 'env:B'}", "has no certificate"),
        ("{type: fcm, secret: 'env:A', sandbox: true}", "has no sandbox"),
        ("{type: fcm, secret: 'env:A', sandbox: 1}", "must be true or false"),
        ("{type: fcm, secret: 'env:A', sid: CR1}", "sid must be a credential's SID"),
        ("{type: fcm, secret: 'env:A', scret: 1}", "an unknown key under the credential 'new'; it has type, sid"),
        (f"{{type: fcm, {SECRET}: 1}}", "an unknown key under"),
        (f"{{{SECRET}: 1, {SECRET}: 1}}", "a key stands twice under"),
        ('{type: fcm, secret: "file:\\ud83d"}', "half of a character"),
        ("1", "the credential 'new' must be a mapping"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_never_the_secret(stated: str, problem: str) -> None:
    text = f"format_version: 1\nservices: {{}}\ncredentials:\n  new: {stated}\n"
    with pytest.raises(InputError) as told:
        parse(text, "push-config.yaml")
    assert "push-config.yaml line 4: " in str(told.value)
    assert problem in str(told.value)
    assert SECRET not in str(told.value)


@pytest.mark.parametrize("name", ["''", "x" * 65])
def test_a_name_is_as_long_as_twilio_takes_it(name: str) -> None:
    with pytest.raises(InputError, match="a credential's name has 1 to 64 characters"):
        parse(f"format_version: 1\nservices: {{}}\ncredentials:\n  {name}: {FCM}\n", "x")


def test_the_secret_is_in_nothing_that_is_written_or_told(
    tmp_path: Path, run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch
) -> None:
    """Also not where Twilio refuses it, and repeats it."""
    state(mapped, new=FCM, twin=TWIN)
    out = tmp_path / "out"
    out.mkdir()
    reports = ["--report", out / "r.md", "--report", out / "r.json", "--plan-out", out / "plan.json"]
    logs = ["-v", "-v", "--log-file", out / "log.jsonl"]
    shown = run("load", mapped, *reports, "--record", out / "c.yaml", *logs)
    assert shown.exit_code == 0, shown.output
    real, refusals = credentials.update, 0

    def refuse(found: Credential, form: dict[str, str], now: Any) -> None:
        nonlocal refusals
        refusals += 1
        assert form["Secret"] == KEY  # it was there to be told
        if refusals < 3:
            raise ProblemError([400, 503][refusals - 1], 20001, f"Secret {form['Secret']} is not valid")
        real(found, form, now)

    environment.setattr("migrate.standin.app.update", refuse)
    refused = apply(run, out / "plan.json", *logs[:2], "--log-file", out / "second.jsonl", "--record", out / "d.yaml")
    assert refused.exit_code == 6
    assert "/v1/Credentials answered 400" in refused.stdout
    assert [entry.status for entry in entries(out / "plan.json")] == ["void", "applied"]
    done = apply(run, out / "plan.json", *logs[:2], "--log-file", out / "third.jsonl", "--json")
    assert done.exit_code == 0, done.output
    undone = run("rollback", out / "plan.journal.jsonl", *logs[:2])
    assert len(named(server.world, "new")) == 1
    for told in (shown, refused, done, undone):
        assert SECRET not in told.output
    written = [path for path in out.rglob("*") if path.is_file()]
    assert len(written) == 9
    for path in written:
        data = path.read_bytes()
        assert SECRET.encode() not in data, path
        assert quote_plus(KEY).encode() not in data, path
    assert b"Secret=hidden" in (out / "d.yaml").read_bytes()


# --- beside services -------------------------------------------------------------------------------------


def test_credentials_come_first_and_a_failure_stops_nothing(
    tmp_path: Path, run: Run, server: StandInServer, mapped: Path, environment: pytest.MonkeyPatch
) -> None:
    """A question names both; a service alone, or credentials alone, leaves the other out."""
    text = (mapped / "push-config.yaml").read_text("utf-8").replace("log_enabled: false", "log_enabled: true", 1)
    sid = next(iter(server.world.services))
    (mapped / "push-config.yaml").write_text(
        f"format_version: 1\nservices: {{{sid}: {{notifications: {{log_enabled: true}}}}}}\n" if text else text
    )
    state(mapped, new=FCM)
    plan_file = tmp_path / "both.json"
    assert run("load", mapped, "--plan-out", plan_file).exit_code == 0
    kinds = [change["kind"] for change in json.loads(plan_file.read_bytes())["changes"]]
    assert kinds == ["credential", "notifications"]
    narrow = json.loads(run("load", mapped, "--service", sid, "--json").stdout)
    assert [change["kind"] for change in narrow["changes"]] == ["notifications"]
    narrow = json.loads(run("load", mapped, "--only-credentials", "--json").stdout)
    assert [change["kind"] for change in narrow["changes"]] == ["credential"]
    environment.setattr(applying, "_is_terminal", lambda: True)
    asked = run("load", "--plan", plan_file, "--apply", *LIMITS)
    assert "1 credentials, 1 services (2)" in asked.stderr
    server.world.credentials["CR" + "9" * 32] = Credential(
        9, "CR" + "9" * 32, "new", "fcm", None, server.world.now, server.world.now
    )
    server.world.credentials["CR" + "8" * 32] = Credential(
        8, "CR" + "8" * 32, "new", "fcm", None, server.world.now, server.world.now
    )
    done = apply(run, plan_file)
    assert done.exit_code == 6
    assert "1 of 2 objects are not as planned: a new fcm credential is failed" in done.stderr
    assert [write.split("/")[-1] for write in server.world.writes] == ["Notifications"]


@pytest.mark.parametrize("options", [["--service", "IS" + "1" * 32, "--only-credentials"]])
def test_one_narrows_or_the_other(run: Run, mapped: Path, options: list[str]) -> None:
    assert run("load", mapped, *options).exit_code == 2
    assert run("load", "--plan", plan(run, mapped), "--only-credentials").exit_code == 2


def test_a_plan_of_credentials_changed_by_hand_is_refused(run: Run, server: StandInServer, mapped: Path) -> None:
    state(mapped, twin=TWIN)
    plan_file = plan(run, mapped)
    whole = plan_file.read_text("utf-8")
    for old, new in [("env:FCM_KEY", "env:OTHER"), ('"fcm"', '"gcm"'), ("CR0", "XX0"), ('"existing": {', '"x": {')]:
        assert old in whole
        plan_file.write_text(whole.replace(old, new, 1))
        assert run("load", "--plan", plan_file).exit_code == 1, (old, new)


def test_a_list_that_is_none_of_credentials_is_one_line(run: Run, server: StandInServer, mapped: Path) -> None:
    state(mapped, new=FCM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("migrate.standin.views.credential", lambda *_: {"sid": 7, "friendly_name": "x", "type": "fcm"})
        done = run("load", mapped, "--retry-budget", 0)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "it lists what is no credential" in done.stderr
