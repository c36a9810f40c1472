"""Accounts with many bindings, and the proof that a snapshot is whole."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from migrate.snapshot.manifest import Manifest
from migrate.snapshot.reader import read_snapshot
from tests.conftest import ROOT, tiny_world

_BY_SERVICE = ds.partitioning(pa.schema([("service_sid", pa.string())]), flavor="hive")
KINDS = ["apn", "fcm", "gcm"]


def account(*counts: int, more: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """A world file's content: services with so many bindings each, of all kinds; `more` go into the first service."""
    content = tiny_world()
    (like,) = content["services"]
    varied = {
        "binding_type": KINDS,
        "message_types": [["new_message"], ["new_message", "added_to_channel"], []],
        "age_days": [1, 30, 400, None],
        "identity": ["person-{n}", "Ünïcödé {n}", "", None],
    }
    content["services"] = [{**like, "bindings": [{"count": count, **varied}] if count else []} for count in counts]
    content["services"][0]["bindings"] += more
    return content


def rows(folder: Path) -> pa.Table:
    """All rows of a snapshot, sorted by sid."""
    table = pq.read_table(folder / "bindings", partitioning=_BY_SERVICE)
    return table.sort_by("sid")


def whole(folder: Path) -> pa.Table:
    """All rows of a finished snapshot, sorted by sid, once it is certain that nothing is amiss with it."""
    manifest = read_snapshot(folder).manifest  # verifies every checksum
    named = {file.path for file in manifest.files} | {"manifest.json"}
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == named
    table = rows(folder)
    assert len(table) == manifest.rows == pc.count_distinct(table.column("sid")).as_py()
    _adds_up(manifest)
    return table


def _adds_up(manifest: Manifest) -> None:
    assert sum(chain.rows for chain in manifest.chains) == manifest.rows + manifest.duplicates_removed
    assert sum(chain.rejected for chain in manifest.chains) == manifest.rejected
    for chain in manifest.chains:
        assert chain.pages >= 1
        assert chain.retries == chain.requests - chain.pages >= 0
        assert chain.pages * chain.page_size >= chain.rows


def program(*arguments: object, within: Sequence[str] = ()) -> subprocess.Popen[str]:
    """The program in a process of its own; `within` are the words of a command that runs another."""
    command = [*within, sys.executable, "-m", "migrate", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@contextmanager
def ending(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive the test, however that ends."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_until(process: subprocess.Popen[str], condition: Callable[[], bool]) -> bool:
    """Wait until something holds, or a process has ended; whether it is still running."""
    while process.poll() is None:
        if condition():
            return True
        time.sleep(0.002)
    return False


def messages(told: str) -> list[str]:
    """What the program said on standard error, without the lines that tell how far it is."""
    return [line for line in told.splitlines() if not line.endswith(" bindings/s")]
