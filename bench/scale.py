"""The model of docs/scale.md beside what is measured here: `python -m bench.scale`.

The costs of this program come from small runs without latency, of one account and of some tiny ones (CALIBRATION).
With them the model predicts other companies, at a latency (CHECKS); every command runs as a whole process against a
stand-in of its own, whose pages are rendered by a first round, and the best of the others counts,
because other work on the machine can only add. Processor seconds
and memory are those of the command alone; the stand-in works on the same machine, which is part of the seconds.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bench.fleet import APIS, commands
from bench.measure import run_whole
from docs.scale_measured import FILE, NEEDED, Measured, Run, Setting, best_of, comparison
from docs.scale_work import STAGES, Stage

# What each cost comes from; see `costs_of`.
CALIBRATION = {
    "least": Setting("even:1:1:3"),
    "services": Setting("even:1:401:3"),
    "accounts": Setting("even:101:1:3"),
    "bindings": Setting("even:1:1:400000"),
    "small services": Setting("even:1:2:50000"),  # as many tasks of map as this machine does at a time
    "requests": Setting("even:1:1:20000", sizes="openapi"),
}
LATENCY = 0.2
CHECKS = {
    "1 account": Setting("seeded:1:60000", LATENCY),
    "10 accounts": Setting("seeded:10:120000", LATENCY),
    "100 accounts": Setting("seeded:100:200000", LATENCY),
    "10 accounts, small pages, 4 requests at a time": Setting("seeded:10:20000", LATENCY, "openapi", 4),
}


@dataclass(frozen=True)
class Server:
    """A running stand-in: where, whose, and what each account has."""

    url: str
    login: tuple[str, str]
    accounts: list[dict[str, Any]]

    @property
    def environment(self) -> dict[str, str]:
        """What points a command there."""
        sid, token = self.login
        login = {"TWILIO_ACCOUNT_SID": sid, "TWILIO_AUTH_TOKEN": token}
        return {**{f"CHAT_MIGRATE_{api}_URL": self.url for api in APIS}, **login}

    def requests(self) -> int:
        """How many requests it has had, of all accounts together."""
        return sum(self._requests(*login) for login in (self.login, *(one["login"] for one in self.accounts)))

    def _requests(self, sid: str, token: str) -> int:
        signed = base64.b64encode(f"{sid}:{token}".encode()).decode()
        asked = urllib.request.Request(f"{self.url}/_standin", headers={"Authorization": f"Basic {signed}"})
        with urllib.request.urlopen(asked) as answer:
            return int(json.load(answer)["requests"])


@contextmanager
def standin(setting: Setting) -> Iterator[Server]:
    """Serve a company. It is made over there: its size in this process would be passed on to the commands' peak."""
    words = [setting.world, str(setting.latency), setting.sizes, str(setting.most_at_once)]
    command = [sys.executable, "-m", "bench.scale_server", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            told = json.loads(server.stdout.readline())
            yield Server(told["url"], tuple(told["login"]), told["accounts"])
        finally:
            server.terminate()


def measure(setting: Setting, rounds: int) -> Run:
    """Run the night of a company so often, and once before; the best of them."""
    with standin(setting) as server:
        nights = [night(server) for _ in range(rounds + 1)][1:]  # the first renders the pages
        shape = tuple(tuple((tuple(types), on) for types, on in one["services"]) for one in server.accounts)
    best = {stage: best_of([one[stage] for one in nights]) for stage in STAGES}
    return Run(setting, shape, best, rounds, os.cpu_count() or 1)


def night(server: Server) -> dict[Stage, Measured]:
    """Run each command in turn, in an empty folder."""
    found: dict[Stage, Measured] = {}
    words = commands("fleet")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as state:
        environment = {**server.environment, "XDG_CONFIG_HOME": state}
        for stage in STAGES:
            asked, stored = server.requests(), size_of(folder)
            command = [sys.executable, "-m", "migrate", *words[stage]]
            done = run_whole(command, environment, 1, folder)
            assert done.processor is not None
            found[stage] = Measured(
                requests=server.requests() - asked,
                seconds=round(done.seconds, 3),
                processor=round(done.processor, 3),
                memory=round(done.peak * (1 << 20)),
                stored=size_of(folder) - stored,
            )
    return found


def size_of(folder: str) -> int:
    """The bytes of all files below."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


@click.command()
@click.option("--rounds", default=3, type=click.IntRange(1), show_default=True,
              help="How often each company is run; one more comes before.")  # fmt: skip
@click.option("--only", multiple=True, type=click.Choice([*CALIBRATION, *CHECKS]),
              help="Measure these runs alone, by their names; the record keeps the others.")  # fmt: skip
@click.option("--more", is_flag=True, help="Keep the better of what the record has and of these rounds.")
@click.option("--record", type=click.Path(path_type=Path), default=FILE, show_default=True, help="The file to write.")
def main(rounds: int, only: tuple[str, ...], more: bool, record: Path) -> None:
    """Measure, write the record, and print measured and predicted side by side."""
    kept = json.loads(record.read_text()) if record.exists() else {}
    machine = f"Python {platform.python_version()}, {os.cpu_count()} processors"
    runs = {name: Run.read(run) for name, run in kept.get("runs", {}).items()}
    for name, setting in (CALIBRATION | CHECKS).items():
        if not only or name in only:
            click.echo(f"{name}: {setting.world}", err=True)
            found = measure(setting, rounds)
            runs[name] = runs[name].with_more(found) if more and name in runs else found
            ordered = {each: runs[each] for each in CALIBRATION | CHECKS if each in runs}
            content = {"machine": machine, "runs": {each: run.to_json() for each, run in ordered.items()}}
            record.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    if lacking := [name for name in NEEDED if name not in runs]:
        click.echo(f"Nothing is predicted without {', '.join(map(repr, lacking))}: measure these, too", err=True)
        return
    click.echo(comparison(machine, runs, [*CHECKS]), nl=False)


if __name__ == "__main__":
    main()
