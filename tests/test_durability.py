"""Durability: an extract that is stopped anywhere, by anything, is gone on with and loses nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from migrate.extract import buffer
from migrate.extract.chains import MOST_RESTARTS, Walk
from migrate.snapshot import writer
from migrate.snapshot.manifest import Manifest
from migrate.snapshot.reader import read_snapshot
from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from migrate.standin.world import Binding
from migrate.storage import lock
from migrate.storage.synced_log import SyncedLog
from tests.conftest import Run, Serve, service_sid, tiny_world

pytestmark = pytest.mark.no_cover  # other tests cover the same lines; untraced, these take half the time

SERVICE = service_sid(1)
TWICE = {"sid": "BS" + "d" * 32}
# Two rows of the first part come again at the end, one of them alone in its part.
REPEATING: list[dict[str, Any]] = [
    {"count": 2, "extra": TWICE},
    {"count": 9},
    {"extra": {**TWICE, "identity": "last"}},
]


def sids(folder: Path) -> list[str]:
    return sorted(pd.read_parquet(folder / "bindings")["sid"])


def expected(server: StandInServer) -> list[str]:
    return sorted({b.extra.get("sid", b.sid) for s in server.world.services.values() for b in s.bindings})


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


# Everything that reaches the disk goes through one of these.
PLACES = {"fsync": os, "append": SyncedLog, "write_whole": writer, "write": Manifest}


def kill_at(monkeypatch: pytest.MonkeyPatch, name: str, number: int, *, after: bool = False) -> None:
    """Let the process die at the `number`th call of a function, before or after what it does.

    The dead do nothing: whatever is called after that has no effect either.
    """
    calls, dead = 0, False

    def mortal(which: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls, dead
            calls += which == name
            dies = which == name and calls == number
            if dead or (dies and not after):
                dead = True
                raise Killed
            result = real(*arguments, **options)
            if dies:
                dead = True
                raise Killed
            return result

        return call

    for which, place in PLACES.items():
        monkeypatch.setattr(place, which, mortal(which, getattr(place, which)))


def dies(run: Run, *options: object) -> bool:
    """Whether a command came to the point at which it was to die."""
    try:
        assert run(*options).exit_code == 0
    except Killed:
        return True
    return False


# How often each is called for `REPEATING`; a test below keeps the numbers true.
STEPS = {"fsync": 25, "append": 4, "write_whole": 6, "write": 2}


@pytest.mark.parametrize("name", STEPS)
def test_no_step_is_left_out(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    serve(tiny_world(bindings=REPEATING))
    monkeypatch.setattr(buffer, "MOST_PART_ROWS", 4)
    kill_at(monkeypatch, name, STEPS[name] + 1)
    assert not dies(run, "extract", "--no-shard", "--out", tmp_path / "s", "--page-size", 2, "--concurrency", 1)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param(name, number, marks=() if number % 3 == 1 or times < 5 else pytest.mark.long)
        for name, times in STEPS.items()
        for number in range(1, times + 1)
    ],
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_extract_that_dies_at_any_step_is_gone_on_with(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str, number: int, after: bool
) -> None:
    server = serve(tiny_world(bindings=REPEATING))
    monkeypatch.setattr(buffer, "MOST_PART_ROWS", 4)
    options = ["extract", "--out", tmp_path / "s", "--page-size", 2, "--concurrency", 1, "--no-shard"]
    with monkeypatch.context() as patched:
        kill_at(patched, name, number, after=after)
        assert dies(run, *options)
    again = run(*options)
    assert again.exit_code == 0 or (again.exit_code == 4 and "finished snapshot" in again.stderr), again.output
    assert sids(tmp_path / "s") == expected(server)
    snapshot = read_snapshot(tmp_path / "s")
    assert (snapshot.manifest.rows, snapshot.manifest.duplicates_removed) == (10, 2)
    named = {file.path for file in snapshot.manifest.files} | {"manifest.json"}
    on_disk = {p.relative_to(tmp_path / "s").as_posix() for p in (tmp_path / "s").rglob("*") if p.is_file()}
    assert {path for path in on_disk if not path.endswith(".partial")} - {"checkpoint.jsonl"} == named
    run(*options)  # refused, but it clears what a kill between the last two steps left
    assert not (tmp_path / "s" / "checkpoint.jsonl").exists()


def test_the_disk_has_a_part_before_its_line_and_both_before_the_next_page(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of syncs, by what each of them is for."""
    serve(tiny_world())
    synced: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        name = Path(f"/proc/self/fd/{handle}").resolve().name
        synced.append(re.sub(r"\.[0-9a-f]{16}\.partial$", ".partial", name))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    assert run("extract", "--no-shard", "--out", tmp_path / "s", "--concurrency", 1).exit_code == 0
    part = synced.index(".chat-00000.parquet.partial")
    assert synced[part : part + 3] == [".chat-00000.parquet.partial", f"service_sid={SERVICE}", "checkpoint.jsonl"]
    assert synced[-3:] == [".manifest.json.partial", "s", "s"]


def start(out: Path, *options: object, wait_for: Callable[[], bool]) -> subprocess.Popen[str]:
    """The program in a process of its own, once a condition holds or it has ended."""
    command = [sys.executable, "-m", "migrate", "extract", "--out", str(out), *map(str, options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not wait_for():
        time.sleep(0.005)
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_a_signal_in_the_middle_loses_nothing(tmp_path: Path, run: Run, serve: Serve, number: signal.Signals) -> None:
    server = serve(tiny_world(bindings=[{"count": 3000}]))
    out = tmp_path / "s"
    codes = []
    for _ in range(3):
        enough = server.world.requests + 20
        process = start(out, "--page-size", 10, wait_for=partial(asked, server, enough))
        process.send_signal(number)
        _, told = process.communicate(timeout=30)
        codes.append(process.returncode)
        assert told.count("\n") <= 1
    assert run("extract", "--out", out).exit_code in (0, 4)
    assert sids(out) == expected(server)
    assert read_snapshot(out).manifest.rows == 3000
    assert set(codes) <= {-9, 130, 0, 4}


def by_sid(binding: Binding) -> str:
    return binding.sid


def asked(server: StandInServer, times: int) -> bool:
    return server.world.requests >= times


def test_two_extracts_into_one_folder_are_not_possible(tmp_path: Path, run: Run, serve: Serve) -> None:
    server = serve(tiny_world(bindings=[{"count": 3000}]))
    out = tmp_path / "s"
    first = start(out, "--page-size", 10, wait_for=lambda: (out / "services.parquet").exists())
    second = run("extract", "--out", out)
    restarted = run("extract", "--out", out, "--restart")
    first.communicate(timeout=60)
    assert first.returncode == 0
    for result in (second, restarted):
        assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
        assert f"Another process is writing {out}" in result.stderr
    assert sids(out) == expected(server)


def test_a_snapshot_that_another_process_finished_meanwhile_is_left_alone(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder looks unfinished, but when the lock is free it is finished: nothing of it may go."""
    server = unfinished(tmp_path / "s", run, serve, monkeypatch)
    real = lock.hold

    def late(folder: Path) -> int:
        with monkeypatch.context() as patched:
            patched.setattr(writer, "hold", real)
            assert run("extract", "--no-shard", "--out", folder).exit_code == 0
        return real(folder)

    with monkeypatch.context() as patched:
        patched.setattr(writer, "hold", late)
        for options in ([], ["--restart"]):
            assert run("extract", "--no-shard", "--out", tmp_path / "s", *options).exit_code == 4
    assert sids(tmp_path / "s") == expected(server)
    read_snapshot(tmp_path / "s")


def test_a_page_token_that_no_longer_works_restarts_that_chain_alone(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = tiny_world()
    content["services"] = [{**content["services"][0], "bindings": [{"count": 7}]} for _ in range(2)]
    server = serve(content)
    monkeypatch.setattr(buffer, "MOST_PART_ROWS", 2)
    options = ["extract", "--out", tmp_path / "s", "--page-size", 2, "--concurrency", 1, "--no-shard"]
    with monkeypatch.context() as patched:
        kill_at(patched, "append", 7)
        assert dies(run, *options)
    checkpoint = tmp_path / "s" / "checkpoint.jsonl"
    lines = [json.loads(line) for line in checkpoint.read_text().splitlines()]
    last = {line["service_sid"]: line for line in lines}  # of each chain
    expired = next(line for line in last.values() if not line["done"])
    expired["next_url"] = expired["next_url"].replace("PageToken=PA", "PageToken=expired")
    checkpoint.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run(*options).exit_code == 0
    assert sids(tmp_path / "s") == expected(server)
    facts = json.loads((tmp_path / "s" / "manifest.json").read_bytes())["chains"]
    found = {chain["service_sid"]: (chain["pages"], chain["restarts"]) for chain in facts}
    assert found == {sid: (4, int(sid == expired["service_sid"])) for sid in map(service_sid, (1, 2))}


def test_a_snapshot_that_lacks_pages_is_never_finished(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tiny_world(bindings=[{"count": 7}]))
    monkeypatch.setattr(Walk, "run", lambda self: None)
    result = run("extract", "--no-shard", "--out", tmp_path / "s", "--page-size", 2)
    assert result.exit_code == 4
    assert "has not come to its end" in result.stderr
    assert json.loads((tmp_path / "s" / "manifest.json").read_bytes())["status"] == "unfinished"


def test_a_page_token_that_never_works_ends_its_chain_after_some_restarts(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    server = serve(tiny_world(bindings=[{"count": 7}]), faults=Faults(token_expiry=1.0))
    result = run("extract", "--no-shard", "--out", tmp_path / "s", "--page-size", 2)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"Chain chat:{SERVICE} stopped" in result.stderr
    assert sids(tmp_path / "s") == [b.sid for b in sorted(server.world.services[SERVICE].bindings[:2], key=by_sid)]
    state = json.loads((tmp_path / "s" / "checkpoint.jsonl").read_text().splitlines()[-2])
    assert state["restart"] is True
    assert (tmp_path / "s" / "checkpoint.jsonl").read_text().count("restart") == MOST_RESTARTS


def unfinished(folder: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> StandInServer:
    server = serve(tiny_world(bindings=[{"count": 7}]))
    with monkeypatch.context() as patched:
        patched.setattr(buffer, "MOST_PART_ROWS", 2)
        kill_at(patched, "append", 3)
        assert dies(run, "extract", "--no-shard", "--out", folder, "--page-size", 2)
    return server


def cut_a_part(folder: Path) -> None:
    part = next(folder.glob("bindings/*/*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])


def change_a_part(folder: Path) -> None:
    part = next(folder.glob("bindings/*/*.parquet"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)


def line(**changes: Any) -> Callable[[Path], None]:
    """A last line of the checkpoint with other values."""

    def damage(folder: Path) -> None:
        *lines, last = (folder / "checkpoint.jsonl").read_text().splitlines()
        text = "\n".join([*lines, json.dumps({**json.loads(last), **changes})])
        (folder / "checkpoint.jsonl").write_text(text + "\n")

    damage.__name__ = f"line-{'-'.join(changes)}-{'-'.join(map(str, changes.values()))}"[:40]
    return damage


def lose_a_part(folder: Path) -> None:
    next(folder.glob("bindings/*/*.parquet")).unlink()


def write(name: str, content: bytes) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content)

    damage.__name__ = f"{name}-{content[:12].decode()}"
    return damage


@pytest.mark.parametrize(
    "damage",
    [
        cut_a_part,
        lose_a_part,
        write("checkpoint.jsonl", b"junk\n"),
        write("checkpoint.jsonl", b"\n"),
        write("checkpoint.jsonl", b"[]\n"),
        write("checkpoint.jsonl", b'{"chain": "x", "service_sid": "y", "part": {"path": 5}}\n'),
        write("checkpoint.jsonl", b'{"chain": "x", "service_sid": "y", "part": null, "replaces": "z"}\n'),
        write("checkpoint.jsonl", b"[" * 20_000 + b"\n"),
        line(next_url=5),
        line(next_url="http://x"),
        line(chain=5),
        line(chain=f"chat:{service_sid(2)}"),
        line(service_sid=service_sid(2)),
        line(rejected="ab"),
        line(rejected=[1]),
        line(pages=1.5),
        line(page_size="q"),
        line(part={"path": "services.parquet", "rows": 1, "bytes": 1, "sha256": "x"}),
        change_a_part,
        write("services.parquet", b""),
    ],
)
def test_an_unfinished_snapshot_that_was_damaged_is_refused_until_begun_anew(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    server = unfinished(tmp_path / "s", run, serve, monkeypatch)
    damage(tmp_path / "s")
    result = run("extract", "--no-shard", "--out", tmp_path / "s")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert "--restart" in result.stderr
    assert run("extract", "--no-shard", "--out", tmp_path / "s", "--restart").exit_code == 0
    assert sids(tmp_path / "s") == expected(server)


def test_links_in_the_folder_lead_to_no_loss(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished(tmp_path / "s", run, serve, monkeypatch)
    (tmp_path / "real" / "below").mkdir(parents=True)
    (tmp_path / "real" / "keep").write_text("mine")
    (tmp_path / "s" / "bindings" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "s" / "bindings" / f"service_sid={SERVICE}" / "link").symlink_to(tmp_path / "real" / "below")
    assert run("extract", "--no-shard", "--out", tmp_path / "s").exit_code == 0
    assert (tmp_path / "real" / "keep").read_text() == "mine"
    assert (tmp_path / "real" / "below").exists()
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 0


def test_ctrl_c_before_the_first_page_says_how_to_go_on_too(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("migrate.extract.extraction.list_credentials", interrupt)
        result = run("extract", "--no-shard", "--out", tmp_path / "s", "--binding-type", "apn")
    assert (result.exit_code, result.stderr.count("\n")) == (130, 1)
    assert f"Resume with: chat-migrate extract --out {tmp_path / 's'} --binding-type apn" in result.stderr
    assert run("extract", "--no-shard", "--out", tmp_path / "s", "--binding-type", "apn").exit_code == 0


def test_beginning_anew_takes_nothing_over(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = unfinished(tmp_path / "s", run, serve, monkeypatch)
    server.world.services[SERVICE].bindings.clear()
    assert run("extract", "--no-shard", "--out", tmp_path / "s", "--restart").exit_code == 0
    assert read_snapshot(tmp_path / "s").manifest.rows == 0
    assert not list((tmp_path / "s" / "bindings").iterdir())


def test_a_resumed_snapshot_is_of_the_time_when_it_began_and_of_its_account(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = unfinished(tmp_path / "s", run, serve, monkeypatch)
    others = serve({**tiny_world(bindings=[{"count": 7}]), "account_sid": "AC" + "2" * 32}, at=first)
    assert run("extract", "--no-shard", "--out", tmp_path / "s").exit_code == 4
    serve({**tiny_world(bindings=[{"count": 7}]), "now": "2026-09-09T00:00:00Z"}, at=others)
    assert run("extract", "--no-shard", "--out", tmp_path / "s").exit_code == 0
    assert read_snapshot(tmp_path / "s").manifest.as_of == "2026-06-15T08:00:00+00:00"


def test_rows_and_rejected_records_alike_are_stored_before_they_are_many(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tiny_world(bindings=[{"count": 8}, {"count": 8, "extra": {"identity": 5}}]))
    monkeypatch.setattr(buffer, "MOST_PART_ROWS", 4)
    stored: list[int] = []
    real = writer.SnapshotWriter.add

    def add(self: Any, pages: Any) -> None:
        stored.append(sum(table.num_rows + len(progress.rejected) for table, progress in pages.values()))
        real(self, pages)

    monkeypatch.setattr(writer.SnapshotWriter, "add", add)
    assert run("extract", "--no-shard", "--out", tmp_path / "s", "--page-size", 2).exit_code == 0
    assert stored == [4, 4, 4, 4]
    assert [pq.read_metadata(path).num_rows for path in sorted((tmp_path / "s").glob("bindings/*/*"))] == [4, 4]


@pytest.mark.parametrize("damage", [b"tampered\n", None])
def test_rejected_records_are_under_the_checksum_too(
    tmp_path: Path, run: Run, serve: Serve, damage: bytes | None
) -> None:
    serve(tiny_world(bindings=[{}, {"extra": {"identity": 5}}]))
    assert run("extract", "--no-shard", "--out", tmp_path / "s").exit_code == 0
    path = tmp_path / "s" / "rejected.jsonl"
    path.unlink()
    if damage:
        path.write_bytes(damage)
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 4
