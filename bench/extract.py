"""Extract beside stock twilio-python, on loopback against the stand-in; run by `make bench`.

Both read the same bindings, page by page, into Parquet. The peer is what one would write without this project:
`bindings.stream()`, a pandas DataFrame, `to_parquet`. Each is run several times in turn and the best time counts,
because other work on the machine can only make a run slower. A third figure says how much of the time is the
stand-in's own: fetching the same pages and doing nothing with them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pandas as pd
import requests
import yaml
from twilio.rest import Client

from migrate.extract.run import ExtractOptions, extract_snapshot
from migrate.twilio_api.api import ApiSettings, open_api

ACCOUNT, TOKEN, SERVICE = "AC" + "1" * 32, "synthetic-token", "IS" + "1".zfill(32)
PAGE_SIZE = 1000


def world(bindings: int) -> dict[str, Any]:
    """A world file's content: one service with so many bindings."""
    group = {
        "count": bindings,
        "identity": "user-{n}",
        "message_types": [["new_message"], ["new_message", "added_to_channel"]],
    }
    service = {"name": "bench", "credentials": {"apn": "push"}, "bindings": [group]}
    return {
        "now": "2026-06-15T08:00:00Z",
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "credentials": [{"name": "push", "type": "apn"}],
        "services": [service],
    }


def chat_migrate(url: str, folder: Path) -> int:
    """This project, through its public functions."""
    environment = {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN}
    with open_api(ApiSettings(url, url, environment=environment)) as api:
        return extract_snapshot(api, folder / "snapshot", ExtractOptions(page_size=PAGE_SIZE)).rows


def stock_twilio(url: str, folder: Path) -> int:
    """Stock twilio-python, pandas, Parquet."""
    client: Any = Client(ACCOUNT, TOKEN)  # type: ignore[no-untyped-call]
    client.chat.base_url = url
    names = ["sid", "account_sid", "endpoint", "identity", "binding_type", "credential_sid", "message_types"]
    names += ["date_created", "date_updated"]
    bindings = client.chat.v2.services(SERVICE).bindings.stream(page_size=PAGE_SIZE)
    frame = pd.DataFrame([{name: getattr(item, name) for name in names} for item in bindings])
    frame.to_parquet(folder / "bindings.parquet")
    return len(frame)


def bytes_only(url: str, folder: Path) -> int:
    """The stand-in's share: the same pages, read and thrown away."""
    rows, link = 0, f"{url}/v2/Services/{SERVICE}/Bindings?PageSize={PAGE_SIZE}"
    with requests.Session() as session:
        while link:
            page = session.get(link, auth=(ACCOUNT, TOKEN), timeout=60).json()
            rows, link = rows + len(page["bindings"]), page["meta"]["next_page_url"]
    return rows


def timed(work: Callable[[str, Path], int], url: str, bindings: int) -> float:
    """Seconds for one run, which must bring every binding."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        rows = work(url, Path(folder))
        seconds = time.perf_counter() - start
    if rows != bindings:
        raise SystemExit(f"{work.__name__} brought {rows:,} of {bindings:,} bindings")
    return seconds


@click.command()
@click.option("--bindings", default=20_000, show_default=True, help="How many bindings one service has.")
@click.option("--rounds", default=3, show_default=True, help="How often each is run.")
def main(bindings: int, rounds: int) -> None:
    """Print rows a second for each, and the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "world.yaml")
        file.write_text(yaml.safe_dump(world(bindings)))
        command = [sys.executable, "-m", "migrate", "standin", "--world", str(file), "--port", "0"]
        command += ["--page-size-maxima", "docs"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            assert server.stdout is not None
            url = server.stdout.readline().strip().partition("=")[2]
            try:
                runs = [[timed(work, url, bindings) for work in WORKS] for _ in range(rounds)]
            finally:
                server.terminate()
    best = [min(times) for times in zip(*runs, strict=True)]
    print(f"{bindings:,} bindings, pages of {PAGE_SIZE:,}, no latency, best of {rounds}")
    for work, seconds in zip(WORKS, best, strict=True):
        print(f"  {work.__name__:14} {seconds:7.2f} s  {bindings / seconds:10,.0f} rows/s")
    print(f"  chat-migrate reads {best[1] / best[0]:.1f} times as many rows a second as stock twilio-python")
    print(f"  {best[2] / best[0]:.0%} of chat-migrate's time is the stand-in's and its client's, reading alone")


WORKS = (chat_migrate, stock_twilio, bytes_only)

if __name__ == "__main__":
    main()
