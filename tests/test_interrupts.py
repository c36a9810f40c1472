"""It always ends: after Ctrl-C or SIGTERM, at any server and any step, in one line; and at once after a second one."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import pytest

from bench.hostile import WAYS, at_once
from bench.interrupts import CASES, LIMIT, Case, Ended, Prepared, interrupt, prepared
from migrate.load.account_lock import only_loader
from migrate.model.errors import InterruptedRunError, MigrateError
from migrate.runtime import interrupts
from migrate.runtime.workers import Workers, result_of
from migrate.snapshot.reader import batches
from tests.conftest import ROOT, Run, Serve, tiny_world

BY_NAME = {case.name: case for case in CASES}


@pytest.fixture(scope="module")
def ready() -> Iterator[Prepared]:
    with prepared() as found:
        yield found


def intents(journal: Path) -> tuple[int, int]:
    """How many writes a journal announces, and how many of them have a result."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    return sum("intent" in line for line in lines), sum("result" in line for line in lines)


def latest(ready: Prepared, name: str) -> Path:
    """A file in the folder of the last run."""
    return max(ready.folder.glob("run-*"), key=lambda path: int(path.name[4:])) / name


@pytest.mark.long
def test_a_write_without_an_answer_is_open_in_the_journal_after_ctrl_c(ready: Prepared) -> None:
    ended = interrupt(ready, BY_NAME["load --apply, a write"], "stall")
    assert ended.flaw == ""
    assert "Error: Interrupted: 0 of 4 services are written. The journal is " in ended.said
    assert "Resume with: chat-migrate load --plan" in ended.said
    assert intents(latest(ready, "plan.journal.jsonl")) == (1, 0)


@pytest.mark.long
def test_a_deletion_that_drips_ends_and_the_lock_is_free(ready: Prepared) -> None:
    ended = interrupt(ready, BY_NAME["retire --apply, a deletion"], "drip", number=signal.SIGTERM)
    assert ended.flaw == ""
    begun, settled = intents(latest(ready, "retired.jsonl"))
    assert begun > 0
    assert settled == 0
    assert "Error: Interrupted: 0 bindings are deleted. What was deleted is in" in ended.said
    with only_loader(ready.folder / "state" / "chat-migrate", ready.upstream.world.account_sid):
        pass


@pytest.mark.long
def test_a_second_ctrl_c_ends_it_at_once_in_the_same_line(ready: Prepared) -> None:
    ended = interrupt(ready, BY_NAME["verify"], "stall", again=0.4)
    assert ended.flaw == ""
    assert ended.seconds < 1  # where the first alone gives requests a second to end
    assert "Error: Interrupted. What was read is kept in" in ended.said
    assert "Resume with: chat-migrate verify" in ended.said


def test_two_signals_of_one_key_press_are_one(ready: Prepared) -> None:
    ended = interrupt(ready, BY_NAME["extract, bindings"], "stall", again=0.05)
    assert ended.flaw == ""
    assert ended.seconds > 0.5


# Every command where no answer comes, where one drips, and by either signal. Where one drips, half of the commands get
# SIGINT, and the others SIGTERM. The other servers differ in the transport alone: each gets a third of the commands.
# `python -m bench.interrupts --all` tries every pair.
ALL = [("stall", signal.SIGINT)]
HALVES = [("drip", signal.SIGINT), ("drip", signal.SIGTERM), ("stall", signal.SIGTERM)]
OTHERS = [(way, signal.SIGINT) for way in WAYS if way not in ("stall", "drip")]


def cases_at(way: str, number: signal.Signals) -> list[Case]:
    if way == "handshake":
        return [case for case in CASES if case.begins is at_once]
    if (way, number) in ALL:
        return [*CASES]
    if (way, number) in HALVES:
        return [*CASES[HALVES.index((way, number)) % 2 :: 2]]
    return [*CASES[OTHERS.index((way, number)) % 3 :: 3]]


@pytest.mark.long
@pytest.mark.parametrize(("way", "number"), [*ALL, *HALVES, *OTHERS])
def test_every_command_ends_at_every_kind_of_hostile_server(
    ready: Prepared, way: str, number: signal.Signals
) -> None:
    cases = cases_at(way, number)
    wrong: dict[str, str] = {}
    for together in (False, True):  # those that hold the account's lock, or change the world: one after the other
        some = [case for case in cases if together is not (case.name.startswith("load") or "--apply" in case.words)]
        with ThreadPoolExecutor(3 if together else 1) as pool:
            for case, ended in zip(
                some, pool.map(lambda one: interrupt(ready, one, way, number=number), some), strict=True
            ):
                wrong |= {case.name: ended.flaw} if ended.flaw else {}
    assert wrong == {}


def program(code: str, *arguments: object, signals: tuple[float, ...] = (), **environment: str) -> Ended:
    """The program with something of it replaced by `code`, which prints a line when it is to be interrupted."""
    whole = f"import sys\nsys.argv[1:] = {[*map(str, arguments)]!r}\n{textwrap.dedent(code)}\n"
    whole += "from migrate.__main__ import main\nmain()\n"
    with subprocess.Popen(
        [sys.executable, "-c", whole],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "now\n"
            for pause in signals:
                time.sleep(pause)
                process.send_signal(signal.SIGINT)
            sent = time.monotonic()
            _, said = process.communicate(timeout=30)
            return Ended(time.monotonic() - sent, process.returncode, said)
        finally:
            process.kill()


HANGS = """
import time
from migrate.cli.commands import extract
from migrate.extract import extraction
from migrate.runtime.interrupts import resumable
def hang(*_):
    print("now", flush=True)
    with resumable(kept=lambda: "All is kept", remedy="Resume with: x"):
        try:
            time.sleep(60)
        finally:
            time.sleep(60)
extraction.extract_snapshot = hang
"""
WORDS = ("extract", "--out", "nowhere", "--replay", "cassettes/demo.yaml")


@pytest.mark.parametrize(
    # After the first alone it would be 3.5 s from that, which is 3.1 s from the second.
    ("signals", "least", "most"),
    [((0.1, 0.4), 0, 2.5), pytest.param((0.1,), 3, LIMIT, marks=pytest.mark.long)],
)
def test_what_hangs_while_it_cleans_up_is_ended_in_one_line(
    signals: tuple[float, ...], least: float, most: float
) -> None:
    ended = program(HANGS, *WORDS, signals=signals)
    assert (ended.code, ended.said) == (130, "Error: Interrupted. All is kept. Resume with: x\n")
    assert least <= ended.seconds < most


def test_the_line_is_said_once_though_the_time_is_up_as_it_is_shown() -> None:
    code = """
    import sys, time
    import click
    from migrate.extract import extraction
    from migrate.runtime import interrupts
    interrupts.GRACE, interrupts.HEED = 0.3, 20
    real = click.ClickException.show
    def show(self, file=None):
        real(self, file)
        time.sleep(0.6)  # the time is up, and nothing notes yet that the line is shown
    click.ClickException.show = show
    def hang(*_):
        print("now", flush=True)
        time.sleep(60)
    extraction.extract_snapshot = hang
    """
    ended = program(code, *WORDS, signals=(0.1,))
    assert (ended.code, ended.said) == (130, "Error: Interrupted\n")


def test_threads_that_hang_are_not_waited_for() -> None:
    code = """
    import threading, time
    from migrate.extract import extraction
    from migrate.runtime import interrupts
    interrupts.GRACE = 30
    def hang(*_):
        for daemon in (True, False):
            threading.Thread(target=time.sleep, args=(60,), daemon=daemon).start()
        print("now", flush=True)
        time.sleep(60)
    extraction.extract_snapshot = hang
    """
    ended = program(code, *WORDS, signals=(0.1,))
    assert (ended.code, ended.said) == (130, "Error: Interrupted\n")
    assert ended.seconds < 15  # the threads sleep for longer, and a forced end comes later


@pytest.mark.parametrize(
    "raised",
    [
        "ImportError('cannot import')",
        pytest.param("OSError('closed')", marks=pytest.mark.long),
        pytest.param("SystemError('result')", marks=pytest.mark.long),
    ],
)
def test_what_a_library_makes_of_ctrl_c_is_ctrl_c(raised: str) -> None:
    code = f"""
    import time
    from migrate.extract import extraction
    def hang(*_):
        print("now", flush=True)
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            raise {raised}
    extraction.extract_snapshot = hang
    """
    assert program(code, *WORDS, signals=(0.1,)).said == "Error: Interrupted\n"


def test_ctrl_c_in_the_middle_of_an_import_is_one_line() -> None:
    code = """
    import sys, time
    class Slow:
        def find_spec(self, name, path=None, target=None):
            if name == "migrate.cli.app":
                print("now", flush=True)
                time.sleep(60)
    sys.meta_path.insert(0, Slow())
    """
    ended = program(code, "extract", "--help", signals=(0.1,))
    assert (ended.code, ended.said) == (130, "Error: Interrupted\n")


def test_a_query_of_duckdb_is_interrupted(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world())
    for name, options in (("s", ()), ("l", ("--source", "conversations"))):
        assert run("extract", "--out", tmp_path / name, *options).exit_code == 0
    code = """
    from migrate.runtime import interrupts
    from migrate.verify import partition
    interrupts.GRACE = 30  # only the query's own end is sooner
    def long_query(database, partition):
        print("now", flush=True)
        # Of a million groups: in one step of the query, in which DuckDB looks at no signal.
        database.execute("SELECT sum(n) FROM (SELECT i % 1000003, count(*) AS n FROM range(60000000000) t(i) GROUP BY ALL)")
    partition._prepare = long_query
    """
    words = ("verify", tmp_path / "s", "--against", tmp_path / "l", "--coverage", tmp_path / "c")
    ended = program(code, *words, signals=(0.5,))
    assert (ended.code, ended.said.count("\n")) == (130, 1), ended.said
    assert ended.said.startswith("Error: Interrupted. No coverage was written. Resume with: ")
    assert ended.seconds < 15


def test_ctrl_c_at_the_question_writes_nothing(ready: Prepared) -> None:
    with ready.places() as places:
        for service in ready.upstream.world.services.values():
            service.configuration = {}
        words = [
            "load",
            places["mapped"],
            "--apply",
            "--force",
            "old-snapshot",
            "--plan-out",
            places["work"] / "p.json",
        ]
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "migrate", *map(str, words)],
            env=ready.environment(ready.upstream.url),
            cwd=places["work"],
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stderr
            asked = b""
            while b"(4)" not in asked:
                asked += os.read(process.stderr.fileno(), 100)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=20)[1].decode()
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "Error: Interrupted. Nothing was written. The same command asks again"
    assert not latest(ready, "p.journal.jsonl").exists()


def hears(process: subprocess.Popen[str], number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.long
def test_ctrl_c_while_the_program_starts_is_one_line_or_none() -> None:
    for number in range(20):
        with subprocess.Popen(
            [sys.executable, "-m", "migrate", "rules"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            while not hears(process, signal.SIGTERM):  # before that Python itself is starting
                time.sleep(0.002)
            time.sleep(number * 0.04)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=20)[1]
        assert process.returncode in (130, 0), said
        assert said == ("Error: Interrupted\n" if process.returncode else "")


@pytest.mark.long
def test_a_rehearsal_ends_with_its_children(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world())
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 0
    code = """
    import time
    from migrate.rehearse import scenario
    from migrate.rehearse import rehearsal
    real = rehearsal._try
    def slow(*arguments):
        print("now", flush=True)
        yield from real(*arguments)
    rehearsal._try = slow
    """
    ended = program(
        code, "rehearse", tmp_path / "m", "--snapshot", tmp_path / "s", signals=(1.0,), TMPDIR=str(tmp_path)
    )
    assert ended.flaw == ""
    assert list(tmp_path.glob("chat-migrate-rehearsal-*")) == []
    running = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert [line for line in running.splitlines() if str(tmp_path) in line and "-m migrate" in line] == []


# --- what it is made of -----------------------------------------------------------------------------------


def test_files_are_read_no_further_once_the_process_is_to_end(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tiny_world())
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    parts = [*(tmp_path / "s").glob("bindings/*/*.parquet")]
    assert len(list(batches(parts))) == 1
    monkeypatch.setattr(interrupts, "_state", interrupts._State(stopping=True))
    with pytest.raises(InterruptedRunError):
        list(batches(parts))


@pytest.mark.parametrize("stopped", [KeyboardInterrupt(), InterruptedRunError("Interrupted")])
def test_the_innermost_says_how_to_resume_however_it_is_stopped(stopped: BaseException) -> None:
    with (
        pytest.raises(InterruptedRunError) as raised,
        interrupts.resumable(kept=lambda: "outer", remedy="outer"),
        interrupts.resumable(what=lambda: "Stopped: 3 of 4", kept=lambda: "inner", remedy="inner"),
    ):
        raise stopped
    assert str(raised.value) == "Stopped: 3 of 4. inner. inner"


def test_workers_stop_what_is_under_way_and_leave_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrate.runtime.workers.GRACE", 0.3)
    hangs, stopped, done = threading.Event(), threading.Event(), []

    def job(number: int) -> None:
        if number < 2:
            (hangs if number else stopped).wait(20)
        done.append(number)

    began = time.monotonic()
    workers = Workers(2, stop=stopped.set)
    jobs = [workers.submit(job, number) for number in range(9)]
    with pytest.raises(MigrateError, match="wrong"), workers:
        raise MigrateError("wrong")
    assert 0.2 < time.monotonic() - began < 5
    assert (done, sum(each.cancelled() for each in jobs)) == ([0], 7)
    hangs.set()
    with pytest.raises(RuntimeError):
        workers.submit(job, 9)


def test_workers_do_all_jobs_and_raise_where_a_result_is_asked_for() -> None:
    def half(number: int) -> int:
        return 10 // number

    with Workers(3) as workers:
        jobs = [workers.submit(half, number) for number in range(5)]
    assert [result_of(each) for each in jobs[1:]] == [10, 5, 3, 2]
    with pytest.raises(ZeroDivisionError):
        result_of(jobs[0])


def test_an_option_that_is_interrupted_is_no_abort(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> click.Context:
        raise KeyboardInterrupt

    monkeypatch.setattr(click.Group, "make_context", interrupted)
    result = run("--version")
    assert (result.exit_code, result.stderr) == (130, "Error: Interrupted\n")


@pytest.mark.parametrize("step", ["exit", "close"])
def test_a_command_that_is_interrupted_as_it_ends_is_no_abort(
    run: Run, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(click.Context, step, interrupted)
    result = run("rules")
    assert (result.exit_code, result.stderr) == (130, "Error: Interrupted\n")
