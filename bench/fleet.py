"""A fleet of accounts beside one account that has all their services: `python -m bench.fleet`, run by `make bench`.

The commands of a night run as whole processes, in turn for both, against a stand-in whose pages are rendered by the
first round. The best time counts, because other work on the machine can only make a run slower.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click

from bench.measure import Result, keep_best, run_whole, show, target

APIS = ("CHAT", "CONVERSATIONS", "MONITOR", "ACCOUNTS")
TIMES = 1.5


@contextmanager
def standin(kind: str, accounts: int, bindings: int) -> Iterator[tuple[dict[str, str], int]]:
    """Serve an invented fleet, or account; gives the variables that point there, and how many bindings it has."""
    command = [sys.executable, "-m", "bench.standin", f"{kind}:{accounts}:{bindings}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            url, sid, token, rows = server.stdout.readline().split()
            login = {"TWILIO_ACCOUNT_SID": sid, "TWILIO_AUTH_TOKEN": token}
            yield {**{f"CHAT_MIGRATE_{api}_URL": url for api in APIS}, **login}, int(rows)
        finally:
            server.terminate()


def commands(kind: str) -> dict[str, list[str]]:
    """The arguments of the commands of a night, one after the other; each by its name."""
    if kind == "fleet":
        snapshot = mapped = plan = journal = "f"
        coverage, save = [], []
        many = ["--accounts", "--max-accounts", "1000"]
    else:
        snapshot, mapped, plan, journal = "snapshot", "mapped", "plan.json", "plan.journal.jsonl"
        coverage, save, many = ["--coverage", "coverage"], ["--plan-out", plan], []
    every, write = many[:1], ["--apply", "--yes", *many, "--max-services", "100000"]
    return {
        "extract": ["extract", "--out", snapshot, *every],
        "map": ["map", snapshot, *([] if many else ["--out", mapped]), *every],
        "load": ["load", mapped, *save, *every],
        "load --apply": ["load", *([plan] if many else ["--plan", plan]), *write, "--force", "blockers"],
        "verify": ["verify", snapshot, *coverage, *every],
        "rollback --apply": ["rollback", journal, *write],
    }


def night(kind: str, environment: Mapping[str, str], rows: int) -> dict[str, Result]:
    """Run the commands of a night in an empty folder; each by its name."""
    with tempfile.TemporaryDirectory() as folder:
        return {
            name: run_whole([sys.executable, "-m", "migrate", *arguments], environment, rows, folder)
            for name, arguments in commands(kind).items()
        }


@click.command()
@click.option("--accounts", default=200, show_default=True)
@click.option("--bindings", default=200_000, show_default=True, help="About so many, in all accounts together.")
@click.option("--rounds", default=2, show_default=True, help="How often each is run; the first renders the pages.")
def main(accounts: int, bindings: int, rounds: int) -> None:
    """Print all, and whether the target is met."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, best of {rounds}")
    best: dict[str, dict[str, Result]] = {"fleet": {}, "account": {}}
    with standin("fleet", accounts, bindings) as fleet, standin("account", accounts, bindings) as account:
        for kind, (environment, rows) in (("fleet", fleet), ("account", account)) * rounds:
            for name, result in night(kind, environment, rows).items():
                keep_best(best[kind], name, result)
    show(f"{accounts:,} accounts with {fleet[1]:,} bindings in all", best["fleet"])
    show(f"One account with the same services and bindings: {account[1]:,}", best["account"])
    for name, result in best["fleet"].items():
        print(f"          {name}: times that of one account: {result.seconds / best['account'][name].seconds:.2f}")
    both = (sum(result.seconds for result in best[kind].values()) for kind in ("fleet", "account"))
    target("times the seconds of one account, all commands", next(both) / next(both), TIMES, least=False)


if __name__ == "__main__":
    main()
