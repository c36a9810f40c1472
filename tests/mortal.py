"""The program in children that may die at a given step of their work on the disk: `python -m tests.mortal`.

It imports the program once, and then reads orders, one JSON line each: a list of children to run side by side. Each
child has the arguments of its command line, a file for its standard error, and perhaps how it is to die: at its
`step`th step, or the `step`th that is called `name`; `before` it, `after` it, or in the `middle` of a write; by a
signal. `rows` is how many rows make a part. The answer is one line with the children's exit codes, negative for a
signal.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any, NoReturn

from tests.conftest import ROOT

# All that changes the disk, beside writing: `pathlib` and `shutil` call these too.
STEPS = ("mkdir", "fsync", "replace", "unlink", "rmdir")
DEATH = "Died at "


@dataclass(frozen=True)
class Child:
    """One run of the program. A `step` of 0 lets it live."""

    arguments: Sequence[str]
    told: str
    rows: int = 0
    step: int = 0
    name: str = ""
    when: str = "before"
    signal: int = signal.SIGKILL

    def died_at(self) -> str:
        """The name of the step at which its signal came; empty if none did."""
        last = Path(self.told).read_text().partition(DEATH)[2]
        return last.partition("\n")[0]

    def said(self) -> list[str]:
        """The lines that the program itself wrote to standard error."""
        return [line for line in Path(self.told).read_text().splitlines() if not line.startswith(DEATH)]


class Children:
    """Runs children, and waits for them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, *children: Child) -> list[int]:
        """Run them all at the same time; their exit codes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([asdict(child) for child in children]) + "\n")
        self._process.stdin.flush()
        codes: list[int] = json.loads(self._process.stdout.readline())
        return codes


@contextmanager
def children() -> Iterator[Children]:
    """A process whose children these are. It has the environment of this moment."""
    command = [sys.executable, "-m", "tests.mortal"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Children(process)
        assert process.stdin is not None
        process.stdin.close()


class _Steps:
    """Counts steps, and sends the signal at the right one."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._lock = threading.Lock()
        self._left = child.step

    def is_last(self, name: str) -> bool:
        with self._lock:
            self._left -= self._child.name in ("", name)
            return self._left == 0 and self._child.name in ("", name)

    def die(self, name: str) -> None:
        os.write(2, f"{DEATH}{name}\n".encode())
        # To this thread: that is where the kernel may deliver any signal, and not all wake the main thread.
        signal.pthread_kill(threading.get_ident(), self._child.signal)

    def around(self, name: str) -> None:
        real: Callable[..., Any] = getattr(os, name)

        @wraps(real)
        def step(*arguments: Any, **options: Any) -> Any:
            last = self.is_last(name)
            if last and self._child.when != "after":
                self.die(name)
            result = real(*arguments, **options)
            if last and self._child.when == "after":
                self.die(name)
            return result

        setattr(os, name, step)


class _Torn:
    """An open file whose writes are steps too."""

    def __init__(self, file: Any, steps: _Steps, when: str) -> None:
        self._file, self._steps, self._when = file, steps, when

    def __enter__(self) -> _Torn:
        self._file.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._file.__exit__(*error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes) -> int:
        if not self._steps.is_last("write"):
            return int(self._file.write(data))
        cut = {"before": 0, "middle": len(data) // 2, "after": len(data)}[self._when]
        self._file.write(data[:cut])
        self._file.flush()
        self._steps.die("write")
        self._file.write(data[cut:])
        return len(data)


def _torn(real: Callable[..., Any], steps: _Steps, when: str, *given: Any, **options: Any) -> _Torn:
    return _Torn(real(*given, **options), steps, when)


def _live(child: Child) -> NoReturn:
    """Be the program, to the end."""
    from migrate.__main__ import main
    from migrate.extract import buffer
    from migrate.storage import files

    os.dup2(os.open(child.told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    buffer.MOST_PART_ROWS = child.rows or buffer.MOST_PART_ROWS
    if child.step:
        steps = _Steps(child)
        for place, name, real in ((os, "fdopen", os.fdopen), (files, "open", open)):
            setattr(place, name, partial(_torn, real, steps, child.when))
        for name in STEPS:
            steps.around(name)
    sys.argv = ["chat-migrate", *child.arguments]
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


def _serve() -> None:
    # What every child needs, imported once for all.
    import duckdb
    import pyarrow.parquet
    import tomlkit
    import twilio.rest

    import migrate.cli.commands.extract
    import migrate.cli.progress
    import migrate.extract.chains
    import migrate.extract.extraction
    import migrate.report.text
    import migrate.snapshot.deduplicate
    import migrate.snapshot.writer
    import migrate.twilio_api.transports.live

    assert all((duckdb, migrate, pyarrow, tomlkit, twilio))
    for line in sys.stdin:
        started: list[int] = []
        for order in json.loads(line):
            process = os.fork()
            if process == 0:
                _live(Child(**order))
            started.append(process)
        codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in started]
        sys.stdout.write(json.dumps(codes) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
