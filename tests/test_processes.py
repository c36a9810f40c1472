"""Jobs in child processes: results and errors come back, and no child outlives whoever began it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from io import BytesIO
from pathlib import Path
from textwrap import dedent

import pytest

from migrate.map import mapping
from migrate.map.mapping import map_snapshot
from migrate.model.errors import InputError, InterruptedRunError, MigrateError
from migrate.runtime.child import answer, read_frame, write_frame
from migrate.runtime.processes import Processes
from migrate.runtime.workers import result_of
from tests.conftest import ROOT
from tests.test_many_services import services_of


def refuse(what: str) -> None:
    raise InputError(what, remedy="see there")


def sleep(told: Path) -> None:
    told.write_text(str(os.getpid()))
    time.sleep(60)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def unpicklable() -> object:
    return lambda: None


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def wait_for(condition: object) -> None:
    end = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)


def test_results_and_errors_come_back_from_other_processes() -> None:
    with Processes(2) as processes:
        pids = {result_of(processes.submit(os.getpid)) for _ in range(5)}
        refused = processes.submit(refuse, "no")
        failed = processes.submit(int, "x")
        strange = processes.submit(unpicklable)
        assert result_of(processes.submit(divmod, 7, 2)) == (3, 1)
        with pytest.raises(InputError, match="no") as error:
            result_of(refused)
        assert error.value.remedy == "see there"
        with pytest.raises(ValueError, match="invalid literal"):
            result_of(failed)
        with pytest.raises(RuntimeError, match="cannot be passed on"):
            result_of(strange)
        pids.add(result_of(processes.submit(os.getpid)))  # an error ends no child
    assert os.getpid() not in pids
    assert len(pids) <= 2
    wait_for(lambda: not any(map(alive, pids)))


def test_a_child_that_dies_is_an_error_and_not_a_hang() -> None:
    with Processes(1) as processes, pytest.raises(MigrateError, match="child process ended"):
        result_of(processes.submit(die))


def test_where_no_child_can_begin_the_system_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with Processes(1) as processes, pytest.raises(FileNotFoundError):
        result_of(processes.submit(os.getpid))


def test_an_error_ends_the_children_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    told = tmp_path / "pid"
    processes, begun = Processes(1), list[Future[None]]()

    def fail() -> None:
        with processes:
            begun.append(processes.submit(sleep, told))
            wait_for(lambda: told.exists() and told.read_text())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with pytest.raises(InterruptedRunError):
        result_of(begun[0])
    assert not alive(int(told.read_text()))
    assert time.monotonic() - began < 50
    with pytest.raises(RuntimeError):
        processes.submit(os.getpid)


def test_no_child_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    script = dedent(f"""
        from pathlib import Path
        from migrate.runtime.processes import Processes
        from tests.test_processes import sleep
        with Processes(1) as processes:
            processes.submit(sleep, Path({str(told)!r})).result()
    """)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=environment) as parent:
        wait_for(lambda: told.exists() and told.read_text())
        parent.kill()
    wait_for(lambda: not alive(int(told.read_text())))


@pytest.mark.parametrize("flags", [["-I"], ["-P"], ["-E", "-X", "utf8"]])
def test_a_child_imports_what_its_parent_does_whatever_the_environment_and_the_folder_have(
    tmp_path: Path, flags: list[str]
) -> None:
    for name in ("json", "pickle", "migrate"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not this one')")
    script = dedent(f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from migrate.runtime.processes import Processes
        with Processes(1) as processes:
            print(processes.submit(eval, "__import__('sys').path == " + repr([*dict.fromkeys(sys.path)])).result())
            print(processes.submit(eval, "__import__('sys').flags.utf8_mode").result() == sys.flags.utf8_mode)
    """)
    environment = {**os.environ, "PYTHONPATH": "" if flags == ["-P"] else str(tmp_path)}
    command = [sys.executable, *flags, "-c", script]
    cwd = ROOT if flags[0] == "-E" else tmp_path  # where the parent looks first, but for -I and -P
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True", "True"]


def test_what_was_cut_short_is_no_frame() -> None:
    stream = BytesIO()
    write_frame(stream, b"some")
    write_frame(stream, b"more")
    whole = stream.getvalue()
    stream = BytesIO(whole[:-1])
    assert read_frame(stream) == b"some"
    assert read_frame(stream) is None
    assert read_frame(BytesIO(whole[:5])) is None
    assert b"UnpicklingError" in answer(b"no job")


def test_many_small_services_are_mapped_by_a_few_child_processes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = services_of(tmp_path / "s", 12)
    threads = map_snapshot(snapshot, tmp_path / "threads")
    begun: list[int] = []

    def recorded(many: int) -> Processes:
        begun.append(many)
        return Processes(many)

    monkeypatch.setattr(mapping, "Processes", recorded)
    monkeypatch.setattr(mapping, "MANY_SERVICES", 12)
    monkeypatch.setattr(mapping, "SERVICES_A_TASK", 3)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert map_snapshot(snapshot, tmp_path / "processes") == threads
    assert begun == [4], "of a machine with many processors a container may have two, and little memory"
    files = {path.relative_to(tmp_path / "threads") for path in (tmp_path / "threads").rglob("*") if path.is_file()}
    assert len(files) > 12
    for file in files - {Path("summary.json")}:
        assert (tmp_path / "threads" / file).read_bytes() == (tmp_path / "processes" / file).read_bytes()
        assert (tmp_path / "processes" / file).stat().st_mode & 0o077 in (0, 0o044)
