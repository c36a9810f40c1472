"""What a fleet reports of each account: why it is not as wanted, what to do, and how far all of them are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from migrate.cli.console import Screen
from migrate.cli.progress import _line
from migrate.fleet.folder import NAME
from migrate.fleet.progress import FleetProgress
from migrate.fleet.running import Ended
from migrate.fleet.stages_after import doctor_account
from migrate.model.diagnosis import Check
from migrate.standin.world import make_world
from migrate.twilio_api.connect import ApiSettings
from migrate.twilio_api.login import Login
from tests.company import MAIN, MAIN_TOKEN, Company, company, outcomes, sid_of, states, token_of
from tests.conftest import Run, tiny_world
from tests.scripted import Reply, Scripted, scripted

SUSPENDED, LAST = 3, 4
ALL = ("--accounts", "--json")


@pytest.fixture
def accounts(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Company]:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.setenv("COLUMNS", "500")
    environment.chdir(tmp_path)
    with company(environment, LAST, suspended={SUSPENDED}) as found:
        yield found


def test_what_to_do_about_each_account_is_in_every_output(run: Run, accounts: Company) -> None:
    accounts.listed(1, hides_token=True)
    accounts.listed(2, refuses=True)
    failed = run("run", *ALL, "--out", "fleet")
    found = outcomes(failed, 1)
    assert "--accounts-file" in found[1]["remedy"]
    shown = run("run", "--accounts", "--out", "fleet").stdout
    outputs = [shown, *(Path(f"fleet/report.{kind}").read_text("utf-8") for kind in ("md", "html"))]
    for output in outputs:
        assert "name a key of this account in the file of" in output
    checked = run("doctor", *ALL)
    diagnosis = outcomes(checked, 1)
    assert {check["name"]: check["verdict"] for check in diagnosis[2]["checks"]}["chat services"] == "wrong"
    assert "chat services: " in diagnosis[2]["reason"]
    assert diagnosis[2]["remedy"]
    assert diagnosis[2]["remedy"] in run("doctor", "--accounts").stdout
    assert {check["verdict"] for check in diagnosis[LAST]["checks"]} <= {"fine", "note"}


def test_a_mistake_of_usage_in_an_account_is_its_own_and_ranks_among_the_others(
    run: Run, accounts: Company, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("CHAT_MIGRATE_MONITOR_URL")
    measured = run("health", *ALL, "--out", "fleet")
    assert states(measured, 2)[1] == ("failed", 2)
    assert "Unexpected" not in measured.output
    assert "Monitor" in measured.stderr
    accounts.listed(1, hides_token=True)
    assert states(run("health", *ALL, "--out", "fleet"), 1)[1] == ("failed", 1), "an error is worse than wrong usage"


def test_each_account_is_diagnosed_where_all_else_is_asked(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[ApiSettings] = []

    def diagnose(settings: ApiSettings, folder: Path) -> list[Check]:
        asked.append(settings)
        return []

    environment.setattr("migrate.doctor.diagnose", diagnose)
    variables = {
        "TWILIO_REGION": "au1",
        "TWILIO_EDGE": "sydney",
        "TWILIO_ACCOUNT_SID": MAIN,
        "TWILIO_API_KEY": "SK" + "0" * 32,
        "TWILIO_API_SECRET": "main-secret",
    }
    doctor_account(ApiSettings(environment=variables), Login(sid_of(1), sid_of(1), token_of(1)), tmp_path)
    (settings,) = asked
    assert settings.environment == {
        "TWILIO_REGION": "au1",
        "TWILIO_EDGE": "sydney",
        "TWILIO_ACCOUNT_SID": sid_of(1),
        "TWILIO_AUTH_TOKEN": token_of(1),
    }


def test_the_worst_accounts_come_first_in_reports_of_the_whole_fleet(run: Run, accounts: Company) -> None:
    alerts = [{"code": 52117, "count": 5, "hours_ago": [3, 2], "service": "Tiny", "service_sid": "service"}]
    accounts.world(LAST).alerts = make_world({**tiny_world(), "alerts": alerts}).alerts
    accounts.world(1).services = make_world(tiny_world(bindings=[])).services
    run("run", *ALL, "--out", "fleet")
    shown = run("health", "--accounts", "--out", "fleet").stdout
    assert shown.index(sid_of(LAST)) < shown.index(sid_of(2))
    run("verify", "fleet", "--accounts")
    for page in ("health.html", "health.md"):
        text = Path("fleet", page).read_text("utf-8")
        assert text.index(sid_of(LAST)) < text.index(sid_of(2))
    assert sid_of(2) in Path("fleet/verified.md").read_text("utf-8")
    rehearsed = run("rehearse", "fleet", "--account", sid_of(1), "--json")
    assert states(rehearsed, 0) == {1: ("left-out", 0)}, "an account without a binding has nothing to rehearse"


def test_show_says_who_was_left_out_who_is_refused_and_what_a_folder_without_its_manifest_is(
    run: Run, accounts: Company
) -> None:
    run("run", *ALL, "--out", "fleet")
    accounts.listed(1, status="closed")
    run("load", "fleet", *ALL, "--apply", "--yes")
    lines = run("show", "fleet").stdout.splitlines()
    verdicts = sorted(line.split("  ")[0] for line in lines if " Customer " in line)
    assert verdicts == ["done", "done", "left out", "refused"]
    place = next(number for number, line in enumerate(lines) if line.startswith("left out"))
    assert f"{sid_of(SUSPENDED)}  Customer {SUSPENDED}" in lines[place]
    assert lines[place + 1].strip() == "it is suspended"
    Path("fleet", NAME).unlink()
    for words in (("show", "fleet"), ("load", "fleet", "--accounts"), ("rehearse", "fleet", "--accounts")):
        lost = run(*words)
        assert (lost.exit_code, lost.stdout) == (1, "")
        assert "fleet has folders of accounts, and its fleet.json is missing" in lost.stderr
        assert lost.stderr.rstrip().endswith("chat-migrate run --accounts --out fleet")
    assert states(run("run", *ALL, "--out", "fleet"), 4)[2][0] in ("done", "earlier")
    assert run("show", "fleet").exit_code == 0


def test_an_account_without_a_folder_was_in_no_wave_and_is_left_out(run: Run, accounts: Company) -> None:
    run("run", "--account", sid_of(1), "--out", "fleet")
    for words in (("load", "fleet"), ("verify", "fleet"), ("map", "fleet")):
        found = outcomes(run(*words, *ALL), 0)
        others = {number: one for number, one in found.items() if number not in (1, SUSPENDED)}
        assert {(one["state"], one["reason"]) for one in others.values()} <= {
            ("left-out", "it has no folder: nothing was extracted")
        }
    named = outcomes(run("load", "fleet", "--account", sid_of(2), "--json"), 1)
    assert named[2]["state"] == "failed"


def test_a_token_in_the_name_of_an_account_is_in_no_output_and_no_file(run: Run, accounts: Company) -> None:
    accounts.listed(1, friendly_name=f"{token_of(1)}, {token_of(2)} and {MAIN_TOKEN}")
    ran = run("run", "--account", sid_of(1), "--out", "fleet")
    assert ran.exit_code == 0
    assert "…, … and …" in ran.stdout
    files = [path for path in Path("fleet").rglob("*") if path.is_file()]
    assert Path("fleet/report.md") in files
    for content in [ran.output.encode(), *(path.read_bytes() for path in files)]:
        for token in (token_of(1), token_of(2), MAIN_TOKEN):
            assert token.encode() not in content


def test_a_list_of_accounts_that_brings_no_new_one_ends_with_an_error(
    environment: pytest.MonkeyPatch, tmp_path: Path, run: Run
) -> None:
    def answer(server: Scripted, path: str) -> Reply:
        one = {"sid": sid_of(1), "auth_token": token_of(1), "friendly_name": "", "status": "active"}
        uri = f"/2010-04-01/Accounts.json?Page={len(server.seen)}"
        return Reply({"accounts": [one], "next_page_uri": uri})

    environment.setenv("TWILIO_ACCOUNT_SID", MAIN)
    environment.setenv("TWILIO_AUTH_TOKEN", MAIN_TOKEN)
    with scripted(answer) as server:
        for api in ("CHAT", "CONVERSATIONS", "MONITOR", "ACCOUNTS"):
            environment.setenv(f"CHAT_MIGRATE_{api}_URL", server.url)
        endless = run("extract", "--accounts", "--out", tmp_path / "fleet")
    assert endless.exit_code == 1
    assert "The list of accounts does not end" in endless.stderr


def test_a_list_of_keys_takes_sids_in_any_case_and_no_pipe_and_says_who_is_not_active(
    run: Run, accounts: Company, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("KEY", token_of(SUSPENDED))
    Path("list").write_text(f"{sid_of(SUSPENDED).lower()} env:KEY\n")
    refused = outcomes(run("extract", "--accounts-file", "list", "--out", "other", "--json"), 1)
    assert "Account is not active" in refused[SUSPENDED]["reason"]
    os.mkfifo("pipe")
    Path("list").write_text(f"{sid_of(1)} file:pipe\n")
    pipe = run("extract", "--accounts-file", "list", "--out", "other")
    assert pipe.exit_code != 0
    assert "is no regular file" in pipe.stderr


def test_progress_counts_all_accounts_of_the_stage_whatever_the_stage_is(
    run: Run, accounts: Company, environment: pytest.MonkeyPatch
) -> None:
    run("run", *ALL, "--out", "fleet")
    shown: list[FleetProgress] = []

    @contextmanager
    def kept(screen: Screen, progress: FleetProgress) -> Iterator[None]:
        shown.append(progress)
        yield

    environment.setattr("migrate.cli.console.Screen.progress", kept)
    lines: list[str] = []

    @contextmanager
    def watched(name: str, result: object = None) -> Iterator[None]:
        module, _, attribute = name.rpartition(".")
        real = getattr(__import__(module, fromlist=[attribute]), attribute)

        def call(*arguments: Any, **how: Any) -> Any:
            lines.append(_line(shown[-1])[0])
            return result or real(*arguments, **how)

        with environment.context() as patched:
            patched.setattr(name, call)
            yield

    for name, words, result in (
        ("migrate.fleet.plans.make_plan", ("load", "fleet"), None),
        ("migrate.fleet.writing.look_at_plan", ("load", "fleet"), None),
        ("migrate.fleet.applying.apply_plan", ("load", "fleet", "--apply", "--yes"), None),
        ("migrate.fleet.fleet.map_account", ("map", "fleet"), None),
        ("migrate.fleet.fleet.rehearse_account", ("rehearse", "fleet"), Ended()),
        ("migrate.fleet.applying.rollback_plan", ("rollback", "fleet", "--apply", "--yes"), None),
    ):
        with watched(name, result):
            assert run(*words, *ALL).exit_code == 0, words
        assert all(f" of {LAST - 1} accounts complete" in line for line in lines), lines
        assert _line(shown[-1])[0].split(" · ")[1] == f"{LAST - 1} of {LAST - 1} accounts complete"
    assert len(lines) == 5 * (LAST - 1)
    assert json.loads(Path("fleet", NAME).read_text())["accounts"].keys() >= {sid_of(1)}
