"""A small service has one part, and one line of the checkpoint: durable and resumed like any other."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow.parquet as pq
import pytest

from migrate.extract import buffer
from migrate.snapshot.reader import read_snapshot
from migrate.snapshot.writer import SnapshotWriter
from tests.conftest import Run, Serve, service_sid, tiny_world
from tests.extract.conftest import empty_account, manifest, rows
from tests.scripted import Reply, Scripted, scripted
from tests.test_durability import TWICE, dies, expected, kill_at, sids

KINDS = ("apn", "fcm", "gcm")
OURS: list[dict[str, Any]] = [
    {"count": 2, "binding_type": "apn"},
    {"binding_type": "apn", "extra": {**TWICE, "identity": "former"}},
    {"binding_type": "fcm", "extra": {**TWICE, "identity": "later"}},
    {"count": 2, "binding_type": "gcm", "extra": {"identity": 5}},
]


def parts(folder: Path, number: int = 1) -> dict[str, int]:
    """The rows of each part of a service, by its name."""
    found = (folder / "bindings" / f"service_sid={service_sid(number)}").glob("*.parquet")
    return {path.name: pq.read_metadata(path).num_rows for path in sorted(found)}


def world(*services: list[dict[str, Any]]) -> dict[str, Any]:
    content = tiny_world()
    content["services"] = [{**content["services"][0], "bindings": bindings} for bindings in services]
    return content


def test_only_a_service_of_few_rows_has_one_part_however_they_are_shared_among_its_chains(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buffer, "FEW_ROWS", 6)
    counts = [(3, 2, 1), (0, 6, 0), (0, 0, 0), (1, 7, 0), (4, 3, 0)]
    serve(
        world(
            *(
                [{"count": many, "binding_type": kind} for kind, many in zip(KINDS, some, strict=True) if many]
                for some in counts
            )
        )
    )
    for concurrency in (1, 16):
        out = tmp_path / str(concurrency)
        assert run("extract", "--out", out, "--page-size", 2, "--concurrency", concurrency).exit_code == 0
        together = "chat-apn-and-others-00000.parquet"
        assert [parts(out, number) for number in range(1, 6)] == [
            {together: 6},
            {together: 6},
            {},
            {"chat-apn-00000.parquet": 1, "chat-fcm-00000.parquet": 7},
            {"chat-apn-00000.parquet": 4, "chat-fcm-00000.parquet": 3},
        ]
        chains = {chain["chain"]: chain["rows"] for chain in manifest(out)["chains"]}
        assert chains == {
            f"chat:{service_sid(number)}:{kind}": many
            for number, some in enumerate(counts, 1)
            for kind, many in zip(KINDS, some, strict=True)
        }
    assert read_snapshot(tmp_path / "1").manifest.digest == read_snapshot(tmp_path / "16").manifest.digest


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("name", "number"), [("append", 1), ("append", 2), ("write_whole", 3), ("write_whole", 4)])
def test_one_that_dies_at_the_part_of_a_small_service_or_at_its_line_has_each_row_once(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str, number: int, after: bool
) -> None:
    server = serve(world(OURS, [{"count": 2, "binding_type": "fcm"}]))
    options = ["extract", "--out", tmp_path / "s", "--page-size", 2, "--concurrency", 1]
    with monkeypatch.context() as patched:
        kill_at(patched, name, number, after=after)
        assert dies(run, *options)
    again = run(*options)
    assert again.exit_code == 0, again.output
    rejected = {b.sid for s in server.world.services.values() for b in s.bindings if b.extra.get("identity") == 5}
    assert sids(tmp_path / "s") == [sid for sid in expected(server) if sid not in rejected]
    found = read_snapshot(tmp_path / "s").manifest
    assert (found.rows, found.duplicates_removed, found.rejected) == (5, 1, 2)
    who = rows(tmp_path / "s").set_index("sid")["identity"]
    assert who[TWICE["sid"]] == "later"  # the answer of the chain that is read later is the newer one


def test_the_others_of_its_service_do_not_wait_for_a_chain_that_fails_and_are_not_read_again(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "planted-secret-token")
    asked: list[str] = []
    healthy = False

    def answer(server: Scripted, path: str) -> Reply:
        if "/Bindings" not in path:
            return empty_account(server, path)
        kind = path.partition("BindingType=")[2][:3]
        asked.append(kind)
        if kind == "fcm" and not healthy:
            return Reply({"message": "down"}, 503)
        return server.page("bindings", [{"sid": f"BS{KINDS.index(kind):032d}", "binding_type": kind}])

    out = tmp_path / "s"
    with scripted(answer) as server:
        urls = ["--chat-url", server.url, "--conversations-url", server.url]
        assert run("extract", "--out", out, *urls).exit_code == 1
        before = (out / "checkpoint.jsonl").read_text("utf-8")
        (line,) = map(json.loads, before.splitlines())
        assert [(one, facts["rows"], facts["done"]) for one, facts in line["chains"].items()] == [
            (f"chat:{service_sid(1)}:{kind}", 1, True) for kind in ("apn", "gcm")
        ]
        shown = json.loads(run("show", out, "--json").stdout)
        assert (shown["begun"]["done"], shown["services"][0]["bindings"]) == (2, 2)
        asked.clear()
        for damage in ({"rows": 2}, {"rows": -1}, {"rows": 1.0}, {"pages": "x"}, {"done": False}, {}):
            first, *others = line["chains"].items()
            spoilt = {**line, "chains": dict([(first[0], first[1] | damage), *others])}
            if not damage:  # the part is that of a chain which is not there
                spoilt["chain"] = f"chat:{service_sid(1)}:fcm"
            (out / "checkpoint.jsonl").write_text(json.dumps(spoilt) + "\n", "utf-8")
            assert run("show", out).exit_code == 4
            refused = run("extract", "--out", out, *urls)
            assert refused.exit_code == 4, refused.output
            assert "does not agree with its checkpoint" in refused.stderr
        (out / "checkpoint.jsonl").write_text(before, "utf-8")
        healthy = True
        assert run("extract", "--out", out, *urls).exit_code == 0
    assert asked == ["fcm"]
    assert parts(out) == {"chat-apn-and-others-00000.parquet": 2, "chat-fcm-00000.parquet": 1}


def test_what_waits_for_a_slow_chain_is_stored_once_it_is_too_old(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(world(OURS))
    stored, add, store = Event(), buffer.Parts.add, SnapshotWriter.add
    waited: list[bool] = []

    def add_and_wait(self: buffer.Parts, *page: Any) -> None:
        add(self, *page)
        waited.append(stored.wait(60))  # the chains after this one have not begun

    def tell(self: SnapshotWriter, pages: Any) -> None:
        store(self, pages)
        stored.set()

    monkeypatch.setattr(buffer, "LONGEST_IN_HAND", 0.01)
    monkeypatch.setattr(buffer.Parts, "add", add_and_wait)
    monkeypatch.setattr(SnapshotWriter, "add", tell)
    assert run("extract", "--out", tmp_path / "s", "--concurrency", 1).exit_code == 0
    assert waited[0]
    assert {name.partition("-0")[0] for name in parts(tmp_path / "s")} == {"chat-apn", "chat-fcm"}
    assert set(sids(tmp_path / "s")) <= set(expected(server))
    assert read_snapshot(tmp_path / "s").manifest.rows == 3
