"""Without what only Linux and macOS have: the modules, calls and flags that Windows lacks, and what it refuses to do.

Simulated on the system that the tests run on: no modules and names of POSIX, no folder that is opened, no rename or
removal of what is open, no sync of a file that is open for reading. Windows itself is not: not its paths, its
terminal, its access lists, nor filelock's locks there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from migrate.standin.faults import Faults
from tests.applying import FORCE
from tests.conftest import ROOT, Run, Serve, tiny_world

WITHOUT = """
import asyncio, errno, os, pathlib, pkgutil, shutil, signal, sys, tempfile, threading
import aiohttp, click, duckdb, filelock, pandas, pyarrow.parquet, rich.console, twilio.rest, vcr  # theirs, as they are

for module in ("fcntl", "grp", "pwd", "resource", "termios", "tty"):
    sys.modules[module] = None
LACKS = {os: "O_NOFOLLOW O_NONBLOCK O_DIRECTORY fchmod fchown chown geteuid getuid getegid getgid fork pread pwrite "
             "setsid killpg mkfifo".split(),
         signal: "SIGHUP SIGKILL SIGALRM SIGUSR1 alarm setitimer pthread_kill pthread_sigmask".split()}
for module, names in LACKS.items():
    for name in names:
        delattr(module, name)
shutil._use_fd_functions = False

def is_open(path):
    place = os.path.realpath(path)
    for handle in os.listdir("/proc/self/fd"):
        try:
            found = os.readlink(f"/proc/self/fd/{handle}")
        except OSError:
            continue
        if found == place or found.startswith(place + os.sep):
            return True
    return False

def refusing(name, is_refused):
    real = getattr(os, name)
    def call(path, *arguments, **options):
        if is_refused(path, *arguments):
            raise PermissionError(errno.EACCES, f"{name} as on Windows", str(path))
        return real(path, *arguments, **options)
    setattr(os, name, call)

modes = {}
real_open = os.open
def remembering(path, flags, *arguments, **options):
    handle = real_open(path, flags, *arguments, **options)
    modes[handle] = flags & os.O_ACCMODE
    return handle
os.open = remembering
refusing("open", lambda path, *_: os.path.isdir(path))
refusing("fsync", lambda handle: modes.get(handle) == os.O_RDONLY)
for name in ("rename", "replace", "unlink", "remove"):
    refusing(name, lambda path, *_: is_open(path))
"""
ALL = """
import migrate
for found in pkgutil.walk_packages(migrate.__path__, "migrate."):
    if not found.name.endswith("__main__") and ".demo" not in found.name:
        __import__(found.name)
"""
MAIN = """
from migrate.__main__ import main
main()
"""
INTERRUPTED = "threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"


def without(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT + code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


def test_every_module_is_imported_and_the_demo_is_extracted_mapped_and_compared(
    tmp_path: Path, demo_run: Path
) -> None:
    done = without(ALL + MAIN, "run", "--replay", "demo", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "plan.json").read_bytes() == (demo_run / "plan.json").read_bytes()
    left = {path.name for path in (tmp_path / "out").rglob("*")} - {path.name for path in demo_run.rglob("*")}
    assert {name for name in left if not name.endswith(".lock")} == set()


@pytest.fixture
def demo_run(tmp_path: Path, run: Run) -> Path:
    """The same on this system."""
    assert run("run", "--replay", "demo", "--out", tmp_path / "here").exit_code == 0
    return tmp_path / "here"


def test_a_plan_is_applied_undone_and_chats_bindings_are_retired(tmp_path: Path, run: Run, serve: Serve) -> None:
    server = serve(tiny_world())
    assert run("run", "--out", tmp_path).exit_code == 0
    done = without(MAIN, "load", "--plan", tmp_path / "plan.json", "--apply", "--yes", *FORCE)
    assert (done.returncode, len(server.world.writes)) == (0, 1), done.stderr
    journal = tmp_path / "plan.journal.jsonl"
    assert [next(iter(json.loads(line))) for line in journal.read_text().splitlines()] == [
        "format_version", "intent", "result", "finished",
    ]  # fmt: skip
    done = without(MAIN, "rollback", journal, "--apply", "--yes")
    assert (done.returncode, len(server.world.writes)) == (0, 2), done.stderr


def test_ctrl_c_ends_it_in_one_line_and_it_is_resumed(tmp_path: Path, run: Run, serve: Serve) -> None:
    content = tiny_world()
    serve(content, faults=Faults(latency=2))
    stopped = without(INTERRUPTED + MAIN, "extract", "--out", tmp_path / "s")
    assert stopped.returncode == 130, stopped.stderr
    assert "Interrupted" in stopped.stderr
    assert "Traceback" not in stopped.stderr


REFUSED = """
import os, signal, sys
def tried(code):
    try:
        exec(code, {"os": os, "signal": signal, "f": sys.argv[1] + "/f"})
    except Exception:
        return "refused"
    return "done"
print(*map(tried, ("import fcntl", "os.geteuid()", "signal.SIGHUP", "os.open(os.path.dirname(f), os.O_RDONLY)",
                   "file = open(f, 'w'); os.replace(f, f + '2')", "os.fsync(os.open(f + '2', os.O_RDONLY))")))
"""


def test_what_is_simulated_works_here_and_is_refused_there(tmp_path: Path) -> None:
    here = subprocess.run([sys.executable, "-c", REFUSED, tmp_path], capture_output=True, text=True, check=True)
    there = without(REFUSED, tmp_path)
    assert ({*here.stdout.split()}, {*there.stdout.split()}) == ({"done"}, {"refused"}), there.stderr
