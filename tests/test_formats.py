"""What the version before has left on the disk: journals and a checkpoint are read, and resumed.

formats/ holds them as 0.2.0 wrote them when it was killed; {URL}, {PLAN} and {SNAPSHOT} stand for what differs with each run.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from migrate.load.journal import Entry, read_journal
from migrate.snapshot.reader import read_snapshot
from migrate.standin.server import StandInServer
from tests.applying import live, posts
from tests.conftest import ROOT, Run, Serve, service_sid
from tests.retire.conftest import content

FORMATS = ROOT / "tests" / "formats"
TORN = '{"intent": '  # by the crash


@pytest.fixture
def server(serve: Serve) -> StandInServer:
    return serve(json.loads((FORMATS / "world.json").read_bytes()))


def place(name: str, path: Path, server: StandInServer, **values: str) -> None:
    """Put a file there as the version before left it, for this server."""
    text = (FORMATS / name).read_text("utf-8")
    for key, value in {"URL": server.url, **values}.items():
        text = text.replace(f"{{{key}}}", value)
    path.write_text(text + ("" if path.suffix == ".json" else TORN), "utf-8")


def test_an_unfinished_snapshot_is_resumed_at_the_page_where_it_stood(
    tmp_path: Path, run: Run, server: StandInServer
) -> None:
    folder = shutil.copytree(FORMATS / "unfinished", tmp_path / "snapshot")
    for name in ("manifest.json", "checkpoint.jsonl"):
        place(f"unfinished/{name}", folder / name, server)
    done = run("extract", "--out", folder, "--no-shard", "--page-size", 2)
    assert done.exit_code == 0, done.output
    chains = read_snapshot(folder).manifest.chains
    assert {chain.service_sid[-1]: (chain.pages, chain.requests, chain.rows) for chain in chains} == {
        "1": (3, 3, 5), "2": (3, 3, 5), "3": (3, 3, 5),
    }  # fmt: skip


def test_a_journal_of_writes_is_resumed_at_the_one_that_was_open_and_undone(
    tmp_path: Path, run: Run, server: StandInServer
) -> None:
    assert run("run", "--out", tmp_path).exit_code == 0
    before = live(server.world)
    plan, journal = tmp_path / "plan.json", tmp_path / "plan.journal.jsonl"
    place("load.journal.jsonl", journal, server, PLAN=json.loads(plan.read_bytes())["plan_id"])
    written = read_journal(journal).entries
    assert [entry.status for entry in written] == ["applied", None]
    assert isinstance(written[0], Entry)
    server.world.services[service_sid(1)].configuration = dict(written[0].after or {})
    done = run("load", "--plan", plan, "--apply", "--yes")
    assert (done.exit_code, posts(server.world)) == (0, 2), done.output
    assert run("rollback", journal, "--apply", "--yes").exit_code == 0
    assert (live(server.world), posts(server.world)) == (before, 5)


def test_a_journal_of_deletes_is_resumed_and_no_delete_is_repeated(tmp_path: Path, run: Run, serve: Serve) -> None:
    server = serve(content())
    snapshot, journal = tmp_path / "snapshot", tmp_path / "snapshot.retire.jsonl"
    assert run("extract", "--out", snapshot).exit_code == 0
    place("retire.jsonl", journal, server, SNAPSHOT=read_snapshot(snapshot).manifest.digest)
    lines = [json.loads(line) for line in journal.read_text("utf-8").splitlines()[:-1]]
    deleted, begun = lines[1]["intent"], lines[3]["intent"]
    service = server.world.services[service_sid(1)]
    service.bindings[:] = [binding for binding in service.bindings if binding.sid != deleted]
    options = ("--coverage", tmp_path / "coverage", "--apply", "--yes", "--force", "few-ready", "--json")
    done = run("retire", snapshot, *options)
    assert done.exit_code == 0, done.output
    sent = [write.rpartition("/")[2] for write in server.world.writes]
    assert (len(sent), len({*sent}), begun in sent, deleted in sent) == (3, 3, True, False)
    results = [json.loads(line).get("result") for line in journal.read_text("utf-8").splitlines()]
    assert {result for result in results if result} == {deleted, *sent}
