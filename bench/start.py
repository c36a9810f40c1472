"""How long each command takes from its start to its first request, beside twilio-python; run by `make bench`.

A listener on loopback notes when the first byte of a request arrives, and answers nothing. Each is run several times
in turn and its best time counts, because other work on the machine can only make a run slower.
"""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from bench.measure import target
from bench.readers import ENVIRONMENT

MOST = 0.25  # seconds: half of what it took
STOCK = """
import os
from twilio.rest import Client
client = Client(os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"])
client.chat.base_url = os.environ["CHAT_MIGRATE_CHAT_URL"]
client.chat.v2.services.list()
"""
LONGEST = 60.0  # seconds to wait for a request


def commands(folder: Path) -> dict[str, list[str]]:
    """Every command that asks Twilio at once, with a migration in a folder to work on."""
    snapshot = str(folder / "m" / "snapshot")
    coverage = ["--coverage", str(folder / "coverage")]
    return {
        "extract": ["--out", str(folder / "new")],
        "run": ["--out", str(folder / "all")],
        "load": [str(folder / "m" / "mapped")],
        "verify": [snapshot, *coverage],
        "retire": [snapshot, *coverage],
        "doctor": [],
    }


def first_request(command: list[str]) -> float:
    """Seconds from the start of a process to the first byte of its first request; the process is ended then."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LONGEST)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        urls = {"CHAT_MIGRATE_CHAT_URL": url, "CHAT_MIGRATE_CONVERSATIONS_URL": url}
        began = time.perf_counter()
        with subprocess.Popen(
            command, env={**os.environ, **ENVIRONMENT, **urls}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1)
                    return time.perf_counter() - began
            except TimeoutError:
                raise click.ClickException(f"No request came of: {' '.join(command)}") from None
            finally:
                process.kill()


def whole(code: str) -> float:
    """Seconds that Python takes for a piece of code, from its start to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


@click.command()
@click.option("--rounds", default=5, show_default=True, help="How often each is run.")
def main(rounds: int) -> None:
    """Print all, and whether the targets are met."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, best of {rounds}")
    print("\nFrom the start of a process to its first request")
    program = [sys.executable, "-m", "migrate"]
    with tempfile.TemporaryDirectory() as folder:
        made = [*program, "run", "--replay", "demo", "--out", str(Path(folder, "m"))]
        subprocess.run(made, check=True, capture_output=True)
        best: dict[str, float] = {}

        def keep(name: str, seconds: float) -> None:
            best[name] = min(seconds, best.get(name, seconds))

        for _ in range(rounds):
            keep("python, at its end", whole("pass"))
            keep("import twilio.rest, at its end", whole("import twilio.rest"))
            keep("twilio-python's services.list()", first_request([sys.executable, "-c", STOCK]))
            for name, options in commands(Path(folder)).items():
                keep(name, first_request([*program, name, *options]))
    for name, seconds in best.items():
        print(f"  {name:34}{seconds:6.3f} s")
    slowest = max(best[name] for name in commands(Path()))
    target("seconds for the slowest command", slowest, MOST, least=False)
    stock = best["twilio-python's services.list()"]
    target("times twilio-python's own first request", slowest / stock, 2, least=False)


if __name__ == "__main__":
    main()
