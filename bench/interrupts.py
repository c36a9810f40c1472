"""How long each command takes to end after Ctrl-C, whatever its server does: `python -m bench.interrupts`.

Each command runs in a process of its own, against a server that turns hostile at a given request. Some time after
that the process gets a signal; the seconds until it has ended are printed, with what it said if that is wrong.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bench.hostile import WAYS, Begins, Hostile, at_once
from migrate.standin.server import StandInServer
from migrate.standin.world import make_world

LIMIT = 5.0  # seconds
SETTLED = 0.6  # seconds between the first bad answer and the signal
SHOWN = ("stall", "drip", "reset", "flood")
_ROOT = Path(__file__).parent.parent


def bindings(method: str, path: str) -> bool:
    """Be hostile from the first list of bindings on."""
    return "/Bindings?" in path


def one_binding(method: str, path: str) -> bool:
    """Be hostile from the first look at a single binding on, which is where a deletion begins."""
    return "/Bindings/" in path


def settings(method: str, path: str) -> bool:
    """Be hostile from the first look at push settings on."""
    return path.endswith("/Notifications")


def writes(method: str, path: str) -> bool:
    """Be hostile from the first write on."""
    return method != "GET"


@dataclass(frozen=True)
class Case:
    """A command, where its server turns hostile, and whether it is offered over TLS, too."""

    name: str
    words: Sequence[str]
    begins: Begins = at_once


_FORCED = ("--apply", "--yes", "--force", "old-snapshot")
_LOAD = ("load", "{mapped}", *_FORCED, "--plan-out", "{work}/plan.json")
_ROLLBACK = (
    "rollback",
    "{journal}",
    "--apply",
    "--yes",
    "--force",
    "other-address",
    "--journal",
    "{work}/back.jsonl",
)
_VERIFY = ("verify", "{snapshot}", "--coverage", "{work}/coverage")
_RETIRE = ("retire", "{snapshot}", "--coverage", "{work}/coverage", "--journal", "{work}/retired.jsonl")
_DELETE = (*_RETIRE, *_FORCED, "--force", "few-ready", "--force", "other-address")
# `{…}` are the places of `Prepared.places`.
CASES = (
    Case("extract, first request", ("extract", "--out", "{work}/new")),
    Case("extract, bindings", ("extract", "--out", "{work}/new"), bindings),
    Case("run, push settings", ("run", "--out", "{work}/new"), settings),
    Case("load", ("load", "{mapped}"), settings),
    Case("load --apply, a write", _LOAD, writes),
    Case("rollback", ("rollback", "{journal}"), settings),
    Case("rollback --apply, a write", _ROLLBACK, writes),
    Case("verify", _VERIFY, bindings),
    Case("retire", _RETIRE, bindings),
    Case("retire --apply, a look", _DELETE, one_binding),
    Case("retire --apply, a deletion", _DELETE, writes),
    Case("why", ("why", "person-0001", "--service", f"IS{1:032d}"), bindings),
    Case("doctor", ("doctor",)),
)


@dataclass(frozen=True)
class Ended:
    """How a command ended: seconds from the (last) signal, its exit code, and what it said."""

    seconds: float
    code: int
    said: str
    by_itself: bool = False

    @property
    def flaw(self) -> str:
        """What is wrong with it; empty if nothing is."""
        said = self.said.splitlines()
        lines = [line for line in said if not line.endswith(" bindings/s") and not line.startswith("Warning: ")]
        if self.seconds > LIMIT:
            return f"it took {self.seconds:.1f} s"
        if self.by_itself and self.code == 1 and len(lines) == 1:  # what is too much is an error at once
            return ""
        if self.code != 130 or len(lines) != 1 or not lines[0].startswith("Error: Interrupted"):
            return f"exit code {self.code}: {self.said}"
        return ""


def world() -> dict[str, Any]:
    """A world file's content, with something to load, and something to retire."""
    new, phone = {"message_types": [["twilio.conversations.new_message"]], "age_days": 1}, {"identity": "person-{n}"}
    phone["endpoint"] = "phone-{n}"
    service = {
        "credentials": {"apn": "push", "fcm": "push", "gcm": "push"},
        "notifications": {"new_message": {"enabled": True, "template": "${USER}: ${MESSAGE}"}},
        "conversations_shows_chat": False,
        "bindings": [{"count": 40, **phone}],
        "conversations_bindings": [{"count": 40, **phone, **new}],
    }
    return {
        "now": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "account_sid": "AC" + "1" * 32,
        "auth_token": "synthetic-token",
        "credentials": [{"name": "push", "type": "apn"}],
        "services": [{"name": f"Service {number}", **service} for number in range(4)],
    }


class Prepared:
    """A stand-in, and a migration that is made from it once: a snapshot, a mapped folder, a journal."""

    def __init__(self, folder: Path, upstream: StandInServer) -> None:
        self.folder = folder
        self.upstream = upstream
        self._runs = itertools.count(1)
        for name in ("snapshot", "mapped", "state"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        self._run("extract", "--out", folder / "snapshot")
        self._run("map", folder / "snapshot", "--out", folder / "mapped")
        self._run(
            "load",
            folder / "mapped",
            "--apply",
            "--yes",
            "--journal",
            folder / "journal.jsonl",
            "--plan-out",
            folder / "plan.json",
        )

    def _run(self, *words: object) -> None:
        command = [sys.executable, "-m", "migrate", *map(str, words)]
        done = subprocess.run(
            command, env=self.environment(self.upstream.url), cwd=_ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise click.ClickException(f"{words[0]} failed: {done.stderr}")

    def environment(self, url: str) -> Mapping[str, str]:
        """What a command's environment is, with a server's address."""
        ours = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return {
            **ours,
            "CHAT_MIGRATE_CHAT_URL": url,
            "CHAT_MIGRATE_CONVERSATIONS_URL": url,
            "TWILIO_ACCOUNT_SID": self.upstream.world.account_sid,
            "TWILIO_AUTH_TOKEN": self.upstream.world.auth_token,
            "XDG_CONFIG_HOME": str(self.folder / "state"),
            "PYTHONPATH": str(_ROOT),
        }

    @contextmanager
    def places(self) -> Iterator[dict[str, Path]]:
        """Where a run finds what was made, and a new folder of its own. The world is as after the extract."""
        work = self.folder / f"run-{next(self._runs)}"
        work.mkdir()
        places = {name: self.folder / name for name in ("snapshot", "mapped")}
        yield {**places, "journal": self.folder / "journal.jsonl", "work": work}


@contextmanager
def prepared() -> Iterator[Prepared]:
    """All that the commands need."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, StandInServer(make_world(world())) as it:
        yield Prepared(Path(folder), it)


def interrupt(
    ready: Prepared, case: Case, way: str, *, number: int = signal.SIGINT, again: float | None = None
) -> Ended:
    """Run a command, and send a signal once its server is hostile; and `again`, so many seconds later."""
    with ready.places() as places, Hostile(ready.upstream.url, way, case.begins) as server:
        loads = case.name.startswith("load")
        before = {sid: service.configuration for sid, service in ready.upstream.world.services.items()}
        if loads:  # there must be something to write
            for service in ready.upstream.world.services.values():
                service.configuration = {}
        words = [word.format(**places) for word in case.words]
        process = subprocess.Popen(
            [sys.executable, "-m", "migrate", *words],
            env=ready.environment(server.url), cwd=places["work"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            while not server.hangs.wait(0.05):
                if process.poll() is not None:
                    said = process.communicate()[1]
                    return Ended(0, process.returncode, f"it ended before its server was hostile: {said}")
            with suppress(subprocess.TimeoutExpired):
                _, said = process.communicate(timeout=SETTLED)
                return Ended(0, process.returncode, said, by_itself=True)
            process.send_signal(number)
            if again is not None:
                time.sleep(again)
                process.send_signal(number)
            sent = time.monotonic()
            try:
                _, said = process.communicate(timeout=4 * LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                said = process.communicate()[1]
            # Of a flood a command may have had enough just as it is interrupted.
            enough = way == "flood" and process.returncode == 1
            return Ended(time.monotonic() - sent, process.returncode, said, by_itself=enough)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
            if loads:
                for sid, configuration in before.items():
                    ready.upstream.world.services[sid].configuration = configuration


@click.command()
@click.option(
    "--all", "ways", flag_value=WAYS, type=click.UNPROCESSED, default=SHOWN, help="All ways, not only four."
)
def main(ways: Sequence[str]) -> None:
    """Print the table, and exit with 1 if a command took too long or did not say what is kept."""
    flaws: list[str] = []
    print(f"| seconds to end after Ctrl-C | {' | '.join(ways)} |")
    print(f"|---|{'---|' * len(ways)}")
    with prepared() as ready:
        for case in CASES:
            cells = []
            for way in ways:
                if way == "handshake" and case.begins is not at_once:
                    cells.append("")
                    continue
                ended = interrupt(ready, case, way)
                flaws += [f"{case.name}, {way}: {ended.flaw}"] if ended.flaw else []
                seconds = "by itself" if ended.by_itself else f"{ended.seconds:.1f}"
                cells.append("WRONG" if ended.flaw else seconds)
            print(f"| {case.name} | {' | '.join(cells)} |", flush=True)
    for flaw in flaws:
        print(flaw)
    sys.exit(bool(flaws))


if __name__ == "__main__":
    main()
