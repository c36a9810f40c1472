"""What the options of `chat-migrate standin` mean."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import click
import pytest
import requests
from click.testing import CliRunner

from migrate.cli.standin_options import standin_options
from migrate.standin.faults import DEFAULT_KINDS, KINDS, Faults
from migrate.standin.paging import PageSizes
from migrate.standin.world import World
from tests.conftest import ROOT, Run


def given(*arguments: str) -> Faults:
    """What the options of `standin` mean."""
    seen: list[Faults] = []

    @click.command()
    @standin_options
    def probe(port: int, world: Any, sizes: PageSizes, faults: Faults) -> None:
        seen.append(faults)

    result = CliRunner().invoke(probe, arguments)
    assert result.exit_code == 0, result.output
    return seen[0]


def test_options_order_the_faults() -> None:
    assert given() == Faults()
    every = (
        "--seed 4 --latency 0.5 --fault-rate 0.25 --fault cut --fault 503 --most-at-once 6 --retry-after 1 --chat-gone 410 "
        "--token-expiry 0.1 --growth 7 --deletion 8 --bytes-per-second 9"
    )
    faults = Faults(4, 0.5, 0.25, ("cut", "503"), 1, 5, 6, 410, 0.1, 7, 8, 9)
    assert given(*every.split()) == faults
    assert given("--fault-rate", "1").kinds == DEFAULT_KINDS == tuple(kind for kind in KINDS if kind != "stall")


@pytest.mark.parametrize(
    "arguments",
    [
        "--fault-rate 1.1", "--fault-rate nan", "--latency -1", "--latency inf", "--fault earthquake --fault-rate 1",
        "--fault cut", "--token-expiry 2", "--chat-gone 500", "--growth -1", "--seed x",
    ],
)  # fmt: skip
def test_faults_out_of_range_are_wrong_usage(run: Run, arguments: str) -> None:
    result = run("standin", *arguments.split())
    assert result.exit_code == 2
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error: ")]) == 1


def test_the_command_serves_with_the_faults_that_it_is_given(demo_world: World) -> None:
    command = [sys.executable, "-m", "migrate", "standin", "--port", "0", "--chat-gone", "410"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().strip().partition("=")[2]
            auth = (demo_world.account_sid, demo_world.auth_token)
            answers = [requests.get(f"{url}{api}/Services", auth=auth, timeout=10) for api in ("/v2", "/v1")]
        finally:
            process.terminate()
    assert [answer.status_code for answer in answers] == [410, 200]
