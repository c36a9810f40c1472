"""Hundreds of thousands of alerts: each push error once, in memory that does not grow, whatever is killed meanwhile."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from tests.conftest import MEASURE, ROOT
from tests.push_errors.conftest import Monitored, alerts_world, read_facts
from tests.whole import ending, program, wait_until

pytestmark = pytest.mark.long

KILLS = 4
FEW, MANY = 150_000, 600_000


def groups(many: int) -> list[dict[str, object]]:
    """So many alerts: most are of pushes, a part of them close together; the rest are of other products."""
    legacy = {"code": 52117, "credential": "push", "resource_sid": "binding", "alert_text": "to {n}@example.com"}
    return [
        {**legacy, "count": many * 5 // 10, "hours_ago": [719, 0]},
        {**legacy, "code": 52141, "count": many * 2 // 10, "hours_ago": [71, 70]},
        {"code": 30007, "count": many * 3 // 10, "hours_ago": [700, 1]},
    ]


def peak(folder: Path) -> int:
    """The peak memory of an extract, in kilobytes; it must end well."""
    command = [sys.executable, "-c", MEASURE, "extract", "--out", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    code, kilobytes = json.loads(done.stdout)
    assert code == 0, done.stderr
    return int(kilobytes)


def test_all_are_read_once_each_in_flat_memory_though_killed(tmp_path: Path, monitored: Monitored) -> None:
    few = monitored(alerts_world(*groups(FEW)))  # enough for as many windows side by side
    small = peak(tmp_path / "few")
    assert few.world.requests < 1_000
    server = monitored(alerts_world(*groups(MANY)), faults=Faults(seed=7, rate=0.02, kinds=("429", "500", "cut")))
    chance, kills = random.Random(7), 0
    while kills < KILLS:
        stop_at = server.world.requests + chance.randint(60, 260)
        with ending(program("extract", "--out", tmp_path / "s")) as process:
            assert wait_until(process, partial(_asked, server, stop_at)), process.stderr
            process.kill()
        assert process.returncode == -signal.SIGKILL
        kills += 1
    large = peak(tmp_path / "s")
    facts = read_facts(tmp_path / "s")
    assert (facts["errors"], facts["incomplete"], facts["note"]) == (MANY * 7 // 10, 0, "")
    assert facts["alerts"] >= MANY
    sids = pq.read_table(tmp_path / "s" / "push_errors.parquet", columns=["sid"]).column("sid")
    assert len(sids) == pc.count_distinct(sids).as_py() == MANY * 7 // 10
    assert large < 1.5 * small, f"{small:,} kB, then {large:,} kB"


def _asked(server: StandInServer, times: int) -> bool:
    return server.world.requests >= times
