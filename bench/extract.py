"""Extract beside other ways to read the same bindings, on loopback against the stand-in; run by `make bench`.

The stand-in serves pages that it rendered before. Each reader runs several times in turn and its best time counts,
because other work on the machine can only make a run slower; ratios are of best times of the same run. Nothing here
has spoken to Twilio, whose own speed will be the limit.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import psutil
import yaml

from bench.floor import ACCOUNT, PAGE_SIZE, TOKEN, TYPES
from bench.measure import Result, keep_best, run, run_whole, show, target
from bench.readers import ENVIRONMENT

LATENCY = 0.05  # seconds
SERVICES = 8


def world(services: int, bindings: int, odd: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A world file's content: so many services, each with so many bindings, of all types in turn; `odd` for all."""
    group = {
        "count": bindings,
        "identity": "user-{n}",
        "binding_type": list(TYPES),
        "message_types": [["new_message"], ["new_message", "added_to_channel"]],
        **(odd or {}),
    }
    service = {"name": "bench", "credentials": dict.fromkeys(TYPES, "push"), "bindings": [group]}
    return {
        "now": "2026-06-15T08:00:00Z",
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "credentials": [{"name": "push", "type": "apn"}],
        "services": [service] * services,
    }


@dataclass(frozen=True)
class Standin:
    """A running stand-in."""

    url: str
    process: psutil.Process
    bindings: int

    def cpu(self) -> float:
        """Seconds of processor time that it has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def standin(
    services: int, bindings: int, latency: float = 0.0, *, odd: Mapping[str, Any] | None = None
) -> Iterator[Standin]:
    """Serve a world of so many services with so many bindings each."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "world.yaml")
        file.write_text(yaml.safe_dump(world(services, bindings, odd)))
        command = [sys.executable, "-m", "bench.standin", str(file), str(latency)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            assert server.stdout is not None
            try:
                url = server.stdout.readline().split()[0]
                yield Standin(url, psutil.Process(server.pid), services * bindings)
            finally:
                server.terminate()


def measure(server: Standin, rounds: int, *names: str) -> dict[str, Result]:
    """Run readers in turn. Each must bring every binding."""
    best: dict[str, Result] = {}
    for name in names * rounds:
        with tempfile.TemporaryDirectory() as folder:
            before = server.cpu()
            result = run(name, server.url, folder, server.bindings)
        keep_best(best, name, replace(result, server=server.cpu() - before))
    return best


def no_latency(bindings: int, rounds: int) -> None:
    """One service, no latency, all peers."""
    with standin(1, bindings) as server:
        measure(server, 1, "fetch_and_decode", "chat_migrate")  # renders the pages
        found = measure(server, rounds, "chat_migrate", "fetch_and_decode", "stock_twilio")
        found |= measure(server, 1, "dlt_rest")
    show(f"1 service of {bindings:,} bindings, pages of {PAGE_SIZE:,}, no latency", found)
    ours = found["chat_migrate"]
    target("times the rows/s of stock twilio-python", ours.speed / found["stock_twilio"].speed, 8, least=True)
    for peer in ("fetch_and_decode", "dlt_rest"):
        print(f"          times the rows/s of {peer}: {ours.speed / found[peer].speed:.2f}")


def whole_process(server: Standin, rounds: int) -> None:
    """Whole processes, from their start to their end: the command, and the floor that it cannot get below."""
    urls = {"CHAT_MIGRATE_CHAT_URL": server.url, "CHAT_MIGRATE_CONVERSATIONS_URL": server.url}
    best: dict[str, Result] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            commands = {
                "chat-migrate": ["-m", "migrate", "extract", "--out", f"{folder}/snapshot"],
                "floor": ["-m", "bench.floor", server.url, str(server.bindings)],
            }
            for name, command in commands.items():
                before = server.cpu()
                result = run_whole([sys.executable, *command], {**ENVIRONMENT, **urls}, server.bindings)
                keep_best(best, name, replace(result, server=server.cpu() - before))
    show(f"1 service of {server.bindings:,} bindings, whole processes; floor: urllib3 and orjson.loads", best)
    target("times the floor's rows/s", best["chat-migrate"].speed / best["floor"].speed, 0.9, least=True)


def with_latency(bindings: int, rounds: int) -> None:
    """Several services and a latency, beside what the latency and this machine alone would take."""
    each = bindings // SERVICES
    with standin(SERVICES, each) as server:
        measure(server, 1, "chat_migrate")
        machine = measure(server, rounds, "chat_migrate")["chat_migrate"].seconds
    with standin(SERVICES, each, LATENCY) as server:
        measure(server, 1, "chat_migrate")
        found = measure(server, rounds, "chat_migrate")
    show(f"{SERVICES} services of {each:,} bindings, pages of {PAGE_SIZE:,}, {LATENCY * 1000:.0f} ms", found)
    chain = -(-each // len(TYPES) // PAGE_SIZE) * LATENCY
    print(
        f"          floors: the longest chain's latency {chain:.2f} s, this machine without latency {machine:.2f} s"
    )
    target("times the larger floor", found["chat_migrate"].seconds / max(chain, machine), 1.5, least=False)


def small_pages(bindings: int, rounds: int) -> None:
    """One service, small pages and a latency: one chain, and an identity file."""
    with standin(1, bindings, LATENCY) as server:
        measure(server, 1, "identity_file")
        found = measure(server, 1, "one_chain") | measure(server, rounds, "identity_file")
    show(f"1 service of {bindings:,} bindings, pages of 50, {LATENCY * 1000:.0f} ms", found)
    target("times faster than one chain", found["one_chain"].seconds / found["identity_file"].seconds, 6, least=True)


def rejected(bindings: int) -> None:
    """Peak memory where no record fits, beside as many that do."""
    found: dict[str, Result] = {}
    for name, odd in (("good", {}), ("rejected", {"extra": {"identity": 5}})):
        with standin(1, bindings, odd=odd) as server:
            found[name] = measure(server, 1, "chat_migrate")["chat_migrate"]
    show(f"chat_migrate, {bindings:,} bindings that fit, and as many records that do not", found)
    target("times the memory for rejected records", found["rejected"].peak / found["good"].peak, 1.2, least=False)


def memory(small: int, large: int, rounds: int) -> None:
    """Peak memory at two sizes; and the larger one again as whole processes, beside the floor."""
    found: dict[str, Result] = {}
    for bindings in (small, large):
        with standin(1, bindings) as server:
            found[f"{bindings:,} bindings"] = measure(server, 1, "chat_migrate")["chat_migrate"]
            if bindings == large:
                whole_process(server, rounds)
    show("chat_migrate's memory (here the stand-in renders each page)", found)
    peaks = [result.peak for result in found.values()]
    target("MB at most", max(peaks), 250, least=False)
    target("times as much for the larger", max(peaks) / min(peaks), 1.2, least=False)


@click.command()
@click.option("--bindings", default=200_000, show_default=True, help="Bindings of the speed runs.")
@click.option("--small", default=20_000, show_default=True, help="Bindings of the runs with small pages.")
@click.option("--large", default=2_000_000, show_default=True, help="Bindings of the largest runs.")
@click.option(
    "--rejected", "odd", default=1_000_000, show_default=True, help="Records of the run with rejected ones."
)
@click.option("--rounds", default=3, show_default=True, help="How often each is run.")
@click.option(
    "--only",
    type=click.Choice(["speed", "latency", "identities", "memory", "rejected"]),
    multiple=True,
    help="Only these.",
)
def main(bindings: int, small: int, large: int, odd: int, rounds: int, only: tuple[str, ...]) -> None:
    """Print all tables, and whether the targets are met."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, best of {rounds}")
    if not only or "speed" in only:
        no_latency(bindings, rounds)
    if not only or "latency" in only:
        with_latency(bindings, rounds)
    if not only or "identities" in only:
        small_pages(small, rounds)
    if not only or "memory" in only:
        memory(bindings, large, rounds)
    if not only or "rejected" in only:
        rejected(odd)


if __name__ == "__main__":
    main()
