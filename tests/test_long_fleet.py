"""A fleet at length: a million bindings of 200 accounts, among faults, killed in every stage, and undone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrate.map.rules_toml import default_rules
from migrate.standin.company import Company, seeded_company
from migrate.standin.faults import Faults
from migrate.standin.paging import PageSizes
from migrate.standin.server import StandInServer
from migrate.standin.world import World
from tests.applying import live
from tests.conftest import ROOT
from tests.whole import ending, program, wait_until, whole

pytestmark = pytest.mark.long

ACCOUNTS, BINDINGS = 200, 1_025_000
FAULTS = Faults(seed=20, rate=0.05)
MOST_MEMORY = 600  # megabytes
COLUMNS = ("sid", "service_sid", "identity", "endpoint", "binding_type", "credential_sid")
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
WRITING = ("--accounts", "--apply", "--yes", "--max-accounts", ACCOUNTS, "--json")
MEASURED = """
import os, subprocess, sys
process = subprocess.Popen([sys.executable, "-m", "migrate", *sys.argv[1:]])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss, file=open("memory", "w"))
sys.exit(os.waitstatus_to_exitcode(status))
"""
ON = {
    "new_message.enabled": True,
    "new_message.template": "${PARTICIPANT}: ${MESSAGE}",
    "new_message.badge_count_enabled": True,
    "new_message.with_media.enabled": True,
    "added_to_conversation.enabled": True,
    "added_to_conversation.template": "${PARTICIPANT} added you",
}


@contextmanager
def served(environment: pytest.MonkeyPatch) -> Iterator[Company]:
    """Serve the company in this process: its state is the oracle."""
    company = seeded_company(ACCOUNTS, BINDINGS)
    with StandInServer(company, PageSizes("docs"), faults=FAULTS) as server:
        for api in ("CHAT", "CONVERSATIONS", "MONITOR", "ACCOUNTS"):
            environment.setenv(f"CHAT_MIGRATE_{api}_URL", server.url)
        environment.setenv("TWILIO_ACCOUNT_SID", company.main.account_sid)
        environment.setenv("TWILIO_AUTH_TOKEN", company.main.auth_token)
        yield company


def killed(is_due: Callable[[], bool], *command: object) -> None:
    """Begin a command, and kill it when it has come so far."""
    with ending(program(*command)) as process:
        assert wait_until(process, is_due)
        process.kill()
    assert process.returncode == -signal.SIGKILL


def finished(code: int, *command: object) -> dict[str, dict[str, Any]]:
    """Carry out a command to its end, in bounded memory, and give what became of each account."""
    words = [sys.executable, "-c", MEASURED, *map(str, command)]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == code, done.stderr[-3000:]
    assert int(Path("memory").read_text()) < MOST_MEMORY * 1024, command
    return {one["account_sid"]: one for one in json.loads(done.stdout)["accounts"]}


def bindings_of(world: World) -> pa.Table:
    """All bindings of an account, sorted by SID."""
    items = [(service.sid, item) for service in world.services.values() for item in service.bindings]
    columns = {"sid": [item.sid for _, item in items], "service_sid": [sid for sid, _ in items]}
    columns |= {name: [getattr(item, name) for _, item in items] for name in COLUMNS[2:]}
    return pa.table(columns, SCHEMA).sort_by("sid")


def living(world: World) -> int:
    """How many of its bindings have not expired."""
    born = world.now - default_rules().lifetime
    return sum(
        item.updated is None or item.updated >= born for one in world.services.values() for item in one.bindings
    )


def requests(company: Company) -> int:
    return sum(member.world.requests for member in company.members)


def writes(company: Company) -> dict[str, list[str]]:
    return {member.world.account_sid: list(member.world.writes) for member in company.members}


def settings(company: Company) -> dict[str, dict[str, Any]]:
    return {member.world.account_sid: live(member.world) for member in company.members}


def test_a_fleet_that_is_killed_in_every_stage_loses_nothing_and_writes_everything_once(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fleet = tmp_path / "fleet"
    environment.chdir(tmp_path)
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    with served(environment) as company:
        total = sum(len(one.bindings) for member in company.members for one in member.world.services.values())
        assert total >= 1_000_000
        (refused,) = (member.world.account_sid for member in company.members if member.refuses)
        usable = [one for one in company.members if one.status == "active" and not one.refuses]
        assert (len(usable), sum(one.most_at_once == 1 for one in usable)) == (ACCOUNTS - 5, 1)
        before = settings(company)

        extract = ("extract", "--accounts", "--out", fleet, "--json")
        killed(lambda: requests(company) > 1_500, *extract)
        extracted = finished(1, *extract)
        assert {sid for sid, one in extracted.items() if one["state"] == "failed"} == {refused}
        for member in usable:
            sid = member.world.account_sid
            assert whole(fleet / sid / "snapshot").select(COLUMNS).cast(SCHEMA).equals(bindings_of(member.world)), sid

        mapping = ("map", fleet, "--accounts", "--json")
        killed(lambda: len([*fleet.glob("AC*/mapped/summary.json")]) > 20, *mapping)
        mapped = finished(1, *mapping)
        assert sum(one["figures"].get("bindings", 0) for one in mapped.values()) == sum(
            extracted[one.world.account_sid]["figures"]["bindings"] for one in usable
        )
        planned = finished(1, "load", fleet, "--accounts", "--json")
        blocked = {sid for sid, one in planned.items() if one["figures"].get("blockers")}
        changing = {sid for sid, one in planned.items() if one["figures"].get("changes")} - blocked
        assert len(blocked) > 10
        assert len(changing) > 100
        assert not any(writes(company).values())

        killed(lambda: sum(map(len, writes(company).values())) > 40, "load", fleet, *WRITING)
        applied = finished(1, "load", fleet, *WRITING)
        assert {sid for sid, one in applied.items() if one["exit_code"] == 4} == blocked
        once = writes(company)
        assert {sid for sid, some in once.items() if some} == changing
        assert all(len({*some}) == len(some) for some in once.values())  # each service once
        now = settings(company)
        for member in company.members:
            for sid, service in member.world.services.items():
                is_on = (
                    member.world.account_sid in changing and (service.notifications or {})["new_message"]["enabled"]
                )
                wanted = before[member.world.account_sid][sid] | (ON if is_on else {})
                assert now[member.world.account_sid][sid] == wanted, (member.world.account_sid, sid)

        seen = requests(company)
        verify = ("verify", fleet, "--accounts", "--json")
        killed(lambda: requests(company) > seen + 1_500, *verify)
        verified = finished(1, *verify)
        for member in usable:  # Chat's bindings are shown in Conversations, too, which is no sign of a new app
            found = verified[member.world.account_sid]["figures"]
            assert (found["expected"], found["ready"]) == (living(member.world), 0), member.friendly_name

        killed(
            lambda: sum(map(len, writes(company).values())) > sum(map(len, once.values())) + 40,
            "rollback",
            fleet,
            *WRITING,
        )
        undone = finished(1, "rollback", fleet, *WRITING)
        assert {sid for sid, one in undone.items() if one["exit_code"]} == {refused}
        assert settings(company) == before
        assert {sid: 2 * len(some) for sid, some in once.items()} == {
            sid: len(some) for sid, some in writes(company).items()
        }
