"""Jobs in containers: killed at random instants, their disk is gone with them, and only the store is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from migrate.model.errors import MigrateError
from migrate.remote.tree import UNSTORED
from migrate.snapshot.reader import read_snapshot
from migrate.standin.faults import Faults
from tests.conftest import SEED, Run, Serve, service_sid, tiny_world
from tests.object_storage.conftest import SECRET, Bucket
from tests.snapshots import binding, write_snapshot
from tests.whole import whole

pytestmark = pytest.mark.long

SERVICES = 24
MOST_KILLS = 5


def world() -> dict[str, object]:
    """Many small chains, so that there is progress between kills."""
    one = tiny_world()
    service = one["services"][0]
    bindings = [{"count": 30, "identity": "person-{n}"}, {"count": 2, "extra": {"identity": 5}}]
    one["services"] = [{**service, "name": f"Service {number}", "bindings": bindings} for number in range(SERVICES)]
    return one


_SLOW = "from migrate.__main__ import main; from migrate.remote import tree; tree.LAST_PASS = 30; main()"


def command(out: str, temporary: Path, *start: str) -> subprocess.Popen[bytes]:
    """An extract in a process and with a disk of its own."""
    return started(temporary, ["extract", "--out", out, "--page-size", "5", "--concurrency", "3"], start)


def started(temporary: Path, words: Sequence[object], start: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """A command in a process and with a disk of its own."""
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "CHAT_MIGRATE_LEASE": "1"}
    command = [sys.executable, *(start or ("-m", "migrate")), *map(str, words)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def brought(bucket: Bucket, folder: Path) -> Path:
    for name, data in bucket.objects("night/").items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / "night"


def test_after_kills_at_random_instants_the_rows_are_those_of_an_undisturbed_run(
    bucket: Bucket, run: Run, serve: Serve, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    server = serve(world(), faults=Faults(latency=0.02))
    assert run("extract", "--out", tmp_path / "here", "--page-size", "5").exit_code == 0
    out, progress, requests = f"{bucket.url}/night", [0], 0
    for number in range(MOST_KILLS):
        process = command(out, tmp_path / f"disk-{number}")
        requests = server.world.requests
        while server.world.requests < requests + 5 and process.poll() is None:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 2))
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        progress.append(sum("service_sid=" in key for key in bucket.objects()))
    else:
        process = command(out, tmp_path / "disk")
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0 or b"a finished snapshot" in told, told
    assert len(set(progress)) > 1, "nothing was stored between the kills"
    there = brought(bucket, tmp_path)
    assert whole(there).equals(whole(tmp_path / "here"))
    assert read_snapshot(there).manifest.rejected == read_snapshot(tmp_path / "here").manifest.rejected
    assert not [key for key in bucket.objects() if ".lease" in key or ".push-errors" in key]


def documents(bucket: Bucket) -> dict[str, bytes]:
    """What says what the folder is, and which parts count."""
    return {
        key: data
        for name in ("manifest.json", "checkpoint.jsonl")
        for key, data in bucket.objects(f"night/{name}").items()
    }


def copied(bucket: Bucket, folder: Path) -> bool:
    """Copy the folder as it is now; whether that was possible before its documents were others."""
    said = documents(bucket)  # before all else: what they name must be there then
    found = {**bucket.objects("night/"), **said}
    if documents(bucket) != said:
        return False
    for key, data in found.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return True


@pytest.mark.parametrize(
    ("number", "start"), [(signal.SIGINT, ()), (signal.SIGTERM, ()), (signal.SIGINT, ("-c", _SLOW))],
    ids=["SIGINT", "SIGTERM", "an end that is forced"],
)  # fmt: skip
def test_a_signal_ends_it_in_time_though_the_store_stalls(
    bucket: Bucket, serve: Serve, tmp_path: Path, number: signal.Signals, start: tuple[str, ...]
) -> None:
    server = serve(world(), faults=Faults(latency=0.02))
    process = command(f"{bucket.url}/night", tmp_path / "disk", *start)
    while server.world.requests < 20 and process.poll() is None:
        time.sleep(0.02)
    bucket.faults.wants, bucket.faults.seconds = (lambda method, path: method == "PUT"), 30
    time.sleep(0.5)
    process.send_signal(number)
    begun = time.monotonic()
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert time.monotonic() - begun < 8  # the limit is 5, on a machine that has nothing else to do
    assert b"Traceback" not in told
    (kept,) = (tmp_path / "disk").glob("chat-migrate-store-*")
    assert (kept / UNSTORED).exists()  # by which the next command leaves it alone
    assert f"What was stored until then is kept there; all that was made is in {kept}".encode() in told
    assert f"resume with: chat-migrate extract --out {bucket.url}/night".encode() in told
    assert SECRET.encode() not in told


_NO_REMOVAL = """
import time
from types import SimpleNamespace
from migrate.__main__ import main
from migrate.remote import tree
tree.shutil = SimpleNamespace(rmtree=lambda *_, **__: time.sleep(30))
main()
"""


@pytest.mark.parametrize("is_stored", [False, True])
def test_a_signal_while_a_command_that_has_failed_is_stored_loses_nothing(
    bucket: Bucket, tmp_path: Path, is_stored: bool
) -> None:
    """What is not stored yet stays, and is named, with the error; of what is stored nothing stays for good."""
    snapshot = write_snapshot(tmp_path / "s", {service_sid(1): {}}, {service_sid(1): [[binding(1)]]})
    (tmp_path / "file").touch()
    begun = threading.Event()

    def wants(method: str, path: str) -> bool:
        if method == "PUT" and ".lease" not in path and (not is_stored or path.endswith("summary.json")):
            begun.set()
        return begun.is_set() and not is_stored

    bucket.faults.wants, bucket.faults.seconds = wants, 30
    words = ["map", snapshot, "--out", f"{bucket.url}/m", "--csv", tmp_path / "file" / "list.csv"]
    process = started(tmp_path / "disk", words, ("-c", _NO_REMOVAL) if is_stored else ())
    assert begun.wait(60)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    (left,) = (tmp_path / "disk").glob("chat-migrate-store-*")
    assert (left / UNSTORED).exists() is not is_stored
    assert (f"all that was made is in {left}".encode() in told) is not is_stored
    assert b"list.csv: file exists; and it was interrupted while it stored. What was stored" in told
    assert f"resume with: chat-migrate map {snapshot} --out {bucket.url}/m --csv".encode() in told


def test_a_snapshot_in_the_store_is_one_that_a_kill_would_leave_whenever_it_is_looked_at(
    bucket: Bucket, run: Run, serve: Serve, tmp_path: Path
) -> None:
    """Copies that are taken while it is written can all be resumed on this machine, and end with the same rows."""
    server = serve(world(), faults=Faults(latency=0.02))
    process = command(f"{bucket.url}/night", tmp_path / "disk")
    copies = 0
    while process.poll() is None:
        time.sleep(0.2)
        # An object that is replaced while it is read may fail its checksum: then that was no copy.
        with suppress(BotoCoreError, ClientError):
            if process.poll() is None and bucket.objects("night/manifest.json"):
                copies += copied(bucket, tmp_path / f"copy-{copies}")
    assert process.wait() == 0
    process.communicate()
    assert copies > 1
    server.world.requests = 0
    for number in range(0, copies, 1 + copies // 5):
        folder = tmp_path / f"copy-{number}" / "night"
        resumed = run("extract", "--out", folder, "--page-size", "5", "--concurrency", "8")
        assert resumed.exit_code == 0 or "finished snapshot" in resumed.stderr, resumed.stderr
        try:
            assert read_snapshot(folder).manifest.rows == SERVICES * 30
        except MigrateError as error:
            pytest.fail(str(error))
