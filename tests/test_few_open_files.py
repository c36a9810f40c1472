"""Many small services where a process may have few files open, as 256 on macOS: none is too many."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from migrate.map import small_services
from migrate.model.errors import reason_of
from tests.conftest import Run, service_sid
from tests.snapshots import binding, write_snapshot

MANY = 300
_LIMITED = """
import resource, sys
from migrate.cli.app import cli
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
cli(sys.argv[1:])
"""


def snapshot_of(folder: Path, many: int) -> Path:
    sids = [service_sid(number) for number in range(1, many + 1)]
    of_each = {sid: [[binding(3 * number + n) for n in range(1 + number % 3)]] for number, sid in enumerate(sids)}
    return write_snapshot(folder, {sid: {"friendly_name": sid} for sid in sids}, of_each)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_more_small_services_than_a_process_may_have_files_open_are_mapped(tmp_path: Path) -> None:
    snapshot, mapped = snapshot_of(tmp_path / "s", MANY), tmp_path / "m"
    words = [sys.executable, "-c", _LIMITED, "map", str(snapshot), "--out", str(mapped), "--json"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["services"]) == MANY
    assert [pq.read_table(part).num_rows for part in mapped.glob("bindings/*.parquet")] == [2 * MANY]


def test_a_full_disk_is_told_in_the_systems_words_and_without_our_own_files(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "Error writing bytes to file. Detail: [errno 28] No space left on device")

    monkeypatch.setattr(small_services, "new_part", full)
    done = run("map", snapshot_of(tmp_path / "s", 3), "--out", tmp_path / "m")
    assert done.exit_code == 1
    assert "m: no space left on device. Nothing was changed" in " ".join(done.stderr.split())
    assert "etail" not in done.stderr
    assert reason_of(OSError(28, "No space left on device")) == "no space left on device"
