"""The extractor, stopped again and again: by kills at any instant, signals, a full disk, and another of its kind."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrate.snapshot.reader import read_snapshot
from migrate.standin.faults import Faults
from migrate.standin.paging import PageSizes
from migrate.standin.server import StandInServer
from tests.conftest import Run, Serve
from tests.mortal import Child, children
from tests.whole import account, ending, messages, program, wait_until, whole

pytestmark = pytest.mark.long

# Many small chains, each of which is stored when it is through: so there is progress between kills.
MANY_CHAINS = [420 + number for number in range(55)]
TWICE = {"sid": "BS" + "d" * 32}
# What also has to be stored or removed at the end: repeated sids, and records that do not fit.
ODD: list[dict[str, Any]] = [{"count": 3, "extra": TWICE}, {"count": 40}, {"extra": {**TWICE, "identity": "last"}}]
ODD += [{"count": 5, "extra": {"identity": 5}}]
# Steps of the work on the disk, and up to which of its kind one is chosen to be the last.
OFTEN = {"write": 40, "fsync": 80, "replace": 25, "mkdir": 5, "unlink": 5}
FINISHED = "holds a finished snapshot"


def asked(server: StandInServer, times: int) -> bool:
    return server.world.requests >= times


def undisturbed(run: Run, folder: Path, *options: object) -> pa.Table:
    assert run("extract", "--out", folder, *options).exit_code == 0
    return whole(folder)


def is_finished(folder: Path) -> bool:
    manifest = folder / "manifest.json"
    return manifest.exists() and json.loads(manifest.read_bytes())["status"] == "finished"


def refused_as_finished(run: Run, folder: Path) -> bool:
    """Whether the same command again leaves a folder alone. It removes what a kill between the last steps left."""
    result = run("extract", "--out", folder)
    return result.exit_code == 4 and FINISHED in result.stderr


def test_kills_at_any_instant_lose_nothing(tmp_path: Path, run: Run, serve: Serve) -> None:
    server = serve(account(*MANY_CHAINS), faults=Faults(latency=0.01))
    assert 20_000 < sum(MANY_CHAINS) < 30_000
    options = ("--page-size", 15, "--concurrency", 6)
    expected = undisturbed(run, tmp_path / "undisturbed", "--page-size", 50)
    chance, kills, folders, resumed = random.Random(1), 0, 0, 0
    while kills < 24:
        out = tmp_path / f"s{folders}"
        resumed += (out / "checkpoint.jsonl").exists()
        before = server.world.requests
        with ending(program("extract", "--out", out, *options)) as process:
            if chance.random() < 0.85:
                # An extract asks some 120 times before its first chain is through, and there is something to go on from.
                wait_until(process, partial(asked, server, before + chance.randint(1, 240)))
                time.sleep(chance.uniform(0, 0.01))
            else:  # while the program starts, or soon after
                time.sleep(chance.uniform(0, 1))
            process.kill()
        assert process.returncode in (-signal.SIGKILL, 0)
        kills += process.returncode == -signal.SIGKILL
        if is_finished(out):
            assert refused_as_finished(run, out)
            assert whole(out).equals(expected)
            folders += 1
    out = tmp_path / f"s{folders}"
    assert run("extract", "--out", out, *options).exit_code == 0
    assert whole(out).equals(expected)
    assert resumed > 9


@pytest.mark.parametrize("kind", ["shards", "one list", "identities"])
def test_a_kill_at_any_step_of_the_work_on_the_disk_loses_nothing(
    tmp_path: Path, run: Run, serve: Serve, kind: str
) -> None:
    """Before, after and in the middle of writes; the parts are small, so that there are many."""
    server = serve(account(200, 120, 40, 1, 0, more=ODD))
    names = tmp_path / "names.txt"
    names.write_text("".join(f"person-{number:04}\nÜnïcödé {number:04}\n" for number in range(1, 201)))
    options = {"shards": [], "one list": ["--no-shard"], "identities": ["--identity-file", str(names)]}[kind]
    options += ["--page-size", "10"]
    expected = undisturbed(run, tmp_path / "undisturbed", *options)
    assert read_snapshot(tmp_path / "undisturbed").manifest.rejected == 5 * (kind != "identities")
    chance, steps, folders = random.Random(kind), Counter[str](), 0
    with children() as family:
        # Some names are rare, and which come depends on the parts: of those that are missing, more until each has come.
        while steps.total() < 15 or (steps.total() < 200 and min(steps[name] for name in OFTEN) == 0):
            out, told = tmp_path / f"s{folders}", tmp_path / "told"
            command = ["extract", "--out", str(out), *options]
            when = chance.choice(["before", "middle", "after"])
            rare = [name for name in OFTEN if not steps[name]] if steps.total() >= 15 else []
            name = chance.choice(rare or [*OFTEN])
            child = Child(command, str(told), 25, chance.randint(1, OFTEN[name]), name, when)
            (code,) = family.run(child)
            assert code in (-signal.SIGKILL, 0), told.read_text()
            steps.update([child.died_at()] if code else [])
            if is_finished(out):
                assert refused_as_finished(run, out)
                assert whole(out).equals(expected)
                folders += 1
        if not is_finished(out):
            assert family.run(Child(command, str(told), rows=25)) == [0], told.read_text()
            assert whole(out).equals(expected)
    assert folders > 1
    assert min(steps[name] for name in OFTEN) > 0
    assert server.world.writes == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_by_signal_is_one_line_and_what_was_read_is_not_read_again(
    tmp_path: Path, run: Run, serve: Serve, number: signal.Signals
) -> None:
    server = serve(account(1_500, 900, 400, 100, 50, 1, 0), faults=Faults(latency=0.02))
    options = ("--page-size", 5, "--concurrency", 4)
    expected = undisturbed(run, tmp_path / "undisturbed", "--page-size", 5)
    pages = sum(chain.pages for chain in read_snapshot(tmp_path / "undisturbed").manifest.chains)
    needed, out = server.world.requests, tmp_path / "s"
    instants = [1, 14, 60, 140]  # requests after which the signal comes
    for instant in instants:
        before = server.world.requests
        with ending(program("extract", "--out", out, *options)) as process:
            assert wait_until(process, partial(asked, server, before + instant))
            process.send_signal(number)
            _, told = process.communicate(timeout=60)
        assert process.returncode == 130, told
        (said,) = messages(told)
        assert said.startswith("Error: Interrupted")
        assert f"Resume with: chat-migrate extract --out {out}" in said
    assert run("extract", "--out", out, *options).exit_code == 0
    assert whole(out).equals(expected)
    assert sum(chain.pages for chain in read_snapshot(out).manifest.chains) == pages
    # Each run asks for the services and credentials again, and what was on the wire when it was stopped is lost.
    beginnings = 14 * (len(instants) + 1)
    assert server.world.requests - 2 * needed < beginnings + 8 * len(instants)


def test_ctrl_c_at_any_step_of_the_work_on_the_disk_loses_nothing(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(account(300, 120, 40, 1, 0, more=ODD))
    expected = undisturbed(run, tmp_path / "undisturbed", "--page-size", 10)
    chance, stops, folders = random.Random(2), 0, 0
    with children() as family:
        while stops < 9:
            out, told = tmp_path / f"s{folders}", tmp_path / "told"
            command = ["extract", "--out", str(out), "--page-size", "10"]
            child = Child(command, str(told), rows=25, step=chance.randint(1, 120), signal=signal.SIGINT)
            (code,) = family.run(child)
            assert code in (0, 130), told.read_text()
            said = messages("\n".join(child.said()))
            assert len(said) == (code == 130)
            assert all(line.startswith("Error: Interrupted") for line in said)
            stops += code == 130
            if is_finished(out):
                assert refused_as_finished(run, out)
                assert whole(out).equals(expected)
                folders += 1
    assert folders > 1


def test_ctrl_c_is_heeded_at_once_whichever_thread_the_signal_reaches(tmp_path: Path, serve: Serve) -> None:
    """It reaches the thread that stores parts; the fourth write, after the manifest and the tables, is a part's."""
    server = serve(account(1_200, 90, 90), faults=Faults(latency=0.05))
    pages = 2 * 6 + 3 * 80
    command = ["extract", "--out", str(tmp_path / "s"), "--page-size", "5", "--concurrency", "2"]
    child = Child(command, str(tmp_path / "told"), 25, 4, "write", signal=signal.SIGINT)
    with children() as family:
        assert family.run(child) == [130]
    assert child.died_at() == "write"
    assert [line.partition(".")[0] for line in messages("\n".join(child.said()))] == ["Error: Interrupted"]
    assert server.world.requests < pages / 2


@contextmanager
def scarce_room(folder: Path) -> Iterator[Callable[[int], list[str]]]:
    """A folder with so much room as is given, in kilobytes; gives the words to put before a command.

    It is a disk of its own; where none may be mounted, each file is limited instead.
    """

    def mount(kilobytes: int, *how: str) -> bool:
        options = ",".join([f"size={kilobytes}k", *how])
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0

    def resize(kilobytes: int) -> list[str]:
        assert mount(kilobytes, "remount")
        return []

    folder.mkdir()
    if not mount(4):
        yield lambda kilobytes: ["bash", "-c", 'ulimit -f "$0" && exec "$@"', str(kilobytes)]
        return
    try:
        yield resize
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=30)


def test_a_disk_that_is_full_at_any_point_is_one_line_and_the_same_command_goes_on(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    serve(account(6_000, 4_000, 2_000, 800, 70, 1, 0, more=ODD), PageSizes("docs"))
    expected = undisturbed(run, tmp_path / "undisturbed")
    needed = sum(path.stat().st_size for path in (tmp_path / "undisturbed").rglob("*.*")) // 1024
    out, failures = tmp_path / "disk" / "s", []
    with scarce_room(tmp_path / "disk") as room:
        # Room for nothing, for the manifest, for more and more parts, for nearly all, and for everything.
        for kilobytes in (4, 8, 20, *range(60, needed, needed // 4), *range(needed, 3 * needed, 24)):
            with ending(program("extract", "--out", out, within=room(kilobytes))) as process:
                _, told = process.communicate(timeout=120)
            if process.returncode == 0:
                break
            assert (process.returncode, len(messages(told))) == (1, 1), told
            failures.append((messages(told)[0], (out / "checkpoint.jsonl").exists()))
        assert whole(out).equals(expected)
    assert len(failures) > 3
    for said, has_begun in failures:
        assert "no space left on device" in said or "file too large" in said
        assert f"Resume with: chat-migrate extract --out {out}" in said
        assert f"kept in {out}" in said or not has_begun


@pytest.mark.parametrize("kind", ["at once", "one of them anew", "both go on"])
def test_of_two_extracts_into_one_folder_one_writes(tmp_path: Path, run: Run, serve: Serve, kind: str) -> None:
    serve(account(150, 90, 30, 1, 0, more=ODD))
    expected = undisturbed(run, tmp_path / "undisturbed", "--page-size", 20)
    chance, told = random.Random(kind), (str(tmp_path / "told0"), str(tmp_path / "told1"))
    with children() as family:
        for pair in range(4):
            out = tmp_path / f"s{pair}"
            command = ["extract", "--out", str(out), "--page-size", "20"]
            if kind == "both go on":
                assert family.run(Child(command, told[0], 25, chance.randint(8, 120))) == [-signal.SIGKILL]
            second = [*command, "--restart"] if kind == "one of them anew" else command
            codes = family.run(Child(command, told[0], 25), Child(second, told[1], 25))
            assert sorted(codes) == [0, 4]
            (said,) = Child(command, told[codes.index(4)]).said()
            assert f"Another process is writing {out}" in said or FINISHED in said
            assert whole(out).equals(expected)
