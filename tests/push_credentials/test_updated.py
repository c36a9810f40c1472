"""A credential that is given another secret keeps its SID; whose an update was is not guessed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from migrate.model.errors import TwilioError
from migrate.standin.server import StandInServer
from migrate.twilio_api.client import TwilioApi
from tests.applying import codes, dying, mortal
from tests.conftest import Run
from tests.push_credentials.conftest import FCM, KEY, THIRD, TWIN, apply, digest, entries, plan, state


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
