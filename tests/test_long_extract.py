"""The extractor at length, among faults of every kind; tests/test_long_fleet.py has a million bindings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrate.snapshot.reader import read_snapshot
from migrate.standin.faults import KINDS, Faults
from migrate.standin.paging import PageSizes
from migrate.standin.world import Binding, World
from migrate.twilio_api import retry
from tests.conftest import Run, Serve
from tests.whole import account, messages, whole

pytestmark = pytest.mark.long

# 25,000 bindings: one large service, some of middling size, small ones, and one without any.
COUNTS = (7_500, 5_000, 3_700, 2_500, *([700] * 7), *([133] * 9), 151, 50, 1, 1, 0)
CHAOS = Faults(rate=0.25, kinds=KINDS, stall=0.01, token_expiry=0.004, most_at_once=8)
MOST_RUNS = 6  # of the same command, until it succeeds


def facts(row: dict[str, Any]) -> tuple[object, ...]:
    kinds = tuple(row["message_types"] or ())
    names = ("service_sid", "identity", "endpoint", "binding_type", "credential_sid", "date_created", "date_updated")
    return (*(row[name] for name in names), kinds)


def facts_of(service: str, binding: Binding) -> tuple[object, ...]:
    names = ("identity", "endpoint", "binding_type", "credential_sid", "created", "updated")
    return (service, *(getattr(binding, name) for name in names), tuple(binding.message_types or ()))


def everything(world: World) -> dict[str, tuple[object, ...]]:
    """All that there is to know of each binding that is there now, by sid."""
    return {b.sid: facts_of(s.sid, b) for s in world.services.values() for b in s.bindings}


def found_in(table: pa.Table) -> dict[str, tuple[object, ...]]:
    return {row["sid"]: facts(row) for row in table.to_pylist()}


def extract(run: Run, *options: object) -> None:
    """Extract. Only where page tokens of one chain failed too often may it take the same command again."""
    for _ in range(MOST_RUNS):
        result = run("extract", *options)
        if result.exit_code == 0:
            return
        (said,) = messages(result.stderr)
        assert result.exit_code == 1
        assert "PageToken is not valid" in said
        assert "Resume with: chat-migrate extract --out" in said
    pytest.fail(f"It did not come to an end: {said}")


@pytest.mark.parametrize(
    ("seed", "sizes", "options"),
    [
        (1, PageSizes("docs"), ("--page-size", 500)),
        (2, PageSizes("docs"), ("--page-size", 101)),
        (3, PageSizes("openapi"), ()),
        (4, PageSizes("openapi", "refuse"), ("--source", "conversations", "--concurrency", 32)),
        (5, PageSizes("docs", "refuse"), ("--page-size", 400, "--no-shard")),
    ],
)
def test_in_chaos_every_binding_arrives_once_and_as_it_is(
    tmp_path: Path,
    run: Run,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    sizes: PageSizes,
    options: tuple[object, ...],
) -> None:
    faults = replace(CHAOS, seed=seed)
    if seed == 1:  # it has the fewest requests; let those that stall run into the client's own limit
        faults = replace(faults, stall=0.8)
        monkeypatch.setattr(retry, "LONGEST_REQUEST", 0.5)
    server = serve(account(*COUNTS), sizes, faults=faults)
    assert sum(COUNTS) == 25_000
    extract(run, "--out", tmp_path / "s", *options)
    assert found_in(whole(tmp_path / "s")) == everything(server.world)
    chains = read_snapshot(tmp_path / "s").manifest.chains
    assert sum(chain.retries for chain in chains) > sum(chain.pages for chain in chains) / 5


@pytest.mark.parametrize("seed", [12, 13])
def test_what_comes_and_goes_meanwhile_does_not_disturb_what_stays(
    tmp_path: Path, run: Run, serve: Serve, seed: int
) -> None:
    faults = replace(CHAOS, seed=seed, growth=2 + seed % 3, deletion=3)
    server = serve(account(9_000, 6_000, 3_000, 1_500, 300, 150, 40, 9, 1, 0), faults=faults)
    before = everything(server.world)
    extract(run, "--out", tmp_path / "s", "--page-size", (20, 50)[seed % 2])
    found = found_in(whole(tmp_path / "s"))
    came = everything(server.world).keys() - before.keys() | {b.sid for b in server.world.registered}
    stayed = before.keys() & everything(server.world).keys()
    assert len(server.world.deleted) > 100
    assert len(server.world.registered) > 100
    assert stayed <= found.keys() <= before.keys() | came
    assert {sid: found[sid] for sid in found.keys() & before.keys()}.items() <= before.items()
