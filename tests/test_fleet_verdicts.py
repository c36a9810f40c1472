"""What a fleet's commands say of accounts that differ: what blocks where, who waits, whose pushes fail."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from migrate.standin.world import make_world
from tests.company import Company, company, sid_of, token_of
from tests.conftest import Run, tiny_world

GCM, PLAIN, EMPTY, PROPOSED = 1, 2, 3, 4
SERVICES: dict[int, dict[str, Any]] = {
    GCM: {"bindings": [{"count": 3, "binding_type": ["gcm"]}, {"count": 2}], "name": "Old"},
    EMPTY: {"bindings": [], "notifications": {}},
    PROPOSED: {"bindings": [{"count": 3, "message_types": [["new_message"]]}], "notifications": {}},
}


@pytest.fixture
def accounts(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Company]:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    environment.chdir(tmp_path)
    with company(environment, PROPOSED) as found:
        for number, service in SERVICES.items():
            content = tiny_world(**service) | {"account_sid": sid_of(number), "auth_token": token_of(number)}
            found.accounts.members[number - 1].world.services = make_world(content).services
        yield found


def said(result: Result, code: int) -> dict[int, tuple[str, str]]:
    """What is said of each account: its state, and why."""
    assert result.exit_code == code, result.output
    found = json.loads(result.stdout)["accounts"]
    return {int(one["account_sid"][-2:]): (one["state"], one["reason"]) for one in found}


def test_what_blocks_is_counted_by_account_and_the_others_are_written(run: Run, accounts: Company) -> None:
    ran = run("run", "--accounts", "--out", "fleet", "--json")
    assert {number: state for number, (state, _) in said(ran, 0).items()} == dict.fromkeys(range(1, 5), "done")
    blocks = [
        (one["code"], one["severity"], one["accounts"], one["count"]) for one in json.loads(ran.stdout)["blocks"]
    ]
    assert blocks == [
        ("binding-gcm", "blocker", [sid_of(GCM)], 1),
        ("blockers", "refused", [sid_of(GCM)], 1),
    ]
    applied = said(run("load", "fleet", "--accounts", "--apply", "--yes", "--json"), 4)
    assert {number: state for number, (state, _) in applied.items()} == {
        GCM: "failed",
        PLAIN: "done",
        EMPTY: "left-out",
        PROPOSED: "left-out",
    }
    assert "[blockers] the findings block it: binding-gcm" in applied[GCM][1]
    assert {*accounts.writes} == {sid_of(PLAIN)}

    forced = ("load", "fleet", "--accounts", "--json", "--force", "inferred")
    assert "only proposes 2 settings" in said(run(*forced, "--apply", "--yes"), 4)[PROPOSED][1]
    assert {*accounts.writes} == {sid_of(PLAIN)}
    assert said(run(*forced), 0)[PROPOSED][0] == "done"
    everything = said(run(*forced, "--force", "blockers", "--apply", "--yes"), 0)
    assert (everything[GCM][0], everything[PLAIN][0], everything[PROPOSED][0]) == ("done", "earlier", "done")
    assert {*accounts.writes} == {sid_of(GCM), sid_of(PLAIN), sid_of(PROPOSED)}


def test_who_waits_and_whose_pushes_fail_is_judged_by_account(run: Run, accounts: Company) -> None:
    run("run", "--accounts", "--out", "fleet")
    waiting = said(run("verify", "fleet", "--accounts", "--json"), 0)
    assert waiting[EMPTY] == ("left-out", "its snapshot has no binding")
    waits = said(run("verify", "fleet", "--accounts", "--json", "--fail-under", 50), 4)
    assert {number: state for number, (state, _) in waits.items()} == {
        GCM: "failed",
        PLAIN: "failed",
        EMPTY: "left-out",
        PROPOSED: "failed",
    }
    assert "--fail-under asks for 50 %" in waits[PLAIN][1]

    for number in (PLAIN, EMPTY):
        alerts = [{"code": 52117, "count": 5, "hours_ago": [3, 2], "service": "Tiny", "service_sid": "service"}]
        accounts.accounts.members[number - 1].world.alerts = make_world({**tiny_world(), "alerts": alerts}).alerts
    health = ("health", "--out", "fleet", "--accounts", "--json", "--since", "1d")
    assert {state for state, _ in said(run(*health), 0).values()} == {"done"}
    assert said(run(*health, "--fail-over", 1_000), 4)[PLAIN][0] == "done"
    judged = said(run(*health, "--fail-over", 1), 4)
    assert {number: state for number, (state, _) in judged.items()} == {
        GCM: "done",
        PLAIN: "failed",
        EMPTY: "failed",
        PROPOSED: "done",
    }
    assert "--fail-over allows 1" in judged[PLAIN][1]
    assert "is not known: there is no live device" in judged[EMPTY][1]


def test_what_is_finished_otherwise_than_is_asked_for_now_is_refused_and_stays(
    run: Run, accounts: Company, tmp_path: Path
) -> None:
    run("run", "--accounts", "--out", "fleet")
    names = [path for path in sorted(tmp_path.rglob("*")) if path.name not in ("fleet.json", "fleet")]
    Path("rules.toml").write_text('[media]\nenabled = "leave"\n', "utf-8")
    commands: list[tuple[tuple[str, ...], str]] = [
        (("extract", "--accounts", "--out", "fleet", "--binding-type", "apn"), "was narrowed otherwise"),
        (("map", "fleet", "--accounts", "--rules", "rules.toml"), "was mapped by other rules"),
    ]
    for words, why in commands:
        refused = said(run(*words, "--json"), 4)
        assert {state for state, _ in refused.values()} == {"failed"}
        assert all(why in reason for _, reason in refused.values()), refused
    assert {*names} - {*tmp_path.rglob("*")} == set()
    (tmp_path / "fleet" / sid_of(PLAIN) / "snapshot").rename(tmp_path / "old")
    accounts.accounts.members[PLAIN - 1].world.services = make_world(tiny_world(bindings=[{"count": 4}])).services
    run("extract", "--account", sid_of(PLAIN), "--out", "fleet")
    refused = said(run("map", "fleet", "--accounts", "--json"), 4)
    assert refused[GCM][0] == "earlier"
    assert "was mapped from another snapshot" in refused[PLAIN][1]
    assert said(run("map", "fleet", "--accounts", "--overwrite", "--json"), 0)[PLAIN][0] == "done"


def test_what_twilio_does_not_say_is_not_taken_for_well(
    run: Run, accounts: Company, environment: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for api in ("CHAT", "CONVERSATIONS"):
            environment.setenv(f"CHAT_MIGRATE_{api}_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        found = said(run("doctor", "--account", sid_of(PLAIN), "--json", "--retry-budget", 0), 1)
    assert found[PLAIN][0] == "failed"
    assert "Not known, because Twilio did not answer" in found[PLAIN][1]
