"""Records that do not fit: set aside on the disk as they come, alike after an interruption, and never a chain's end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migrate.extract import buffer
from migrate.snapshot import writer
from migrate.storage import files
from tests.conftest import Run, Serve, service_sid, tiny_world
from tests.scripted import Reply, Scripted, scripted

ODD = {"extra": {"identity": 5}}
SERVICE = service_sid(1)


def lines(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "rejected.jsonl").read_text("utf-8").splitlines()]


def test_they_go_to_the_disk_as_they_come_and_none_stays_in_memory(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tiny_world(bindings=[{"count": 4}, {"count": 20, **ODD}]))
    monkeypatch.setattr(buffer, "MOST_PART_ROWS", 4)
    stored: list[int] = []
    held: list[Any] = []
    real = writer.SnapshotWriter.add

    def add(self: writer.SnapshotWriter, pages: Any) -> None:
        real(self, pages)
        stored.append(sum(len(path.read_text().splitlines()) for path in (self.folder / "rejected").glob("*")))
        held.append(self.chain(next(iter(pages)), SERVICE).rejected)

    monkeypatch.setattr(writer.SnapshotWriter, "add", add)
    assert run("extract", "--no-shard", "--out", tmp_path / "s", "--page-size", 2).exit_code == 0
    assert stored == [0, 4, 8, 12, 16, 20]
    assert "identity" not in repr(held)
    assert len(lines(tmp_path / "s")) == 20
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == [
        "bindings", "credentials.parquet", "manifest.json", "rejected.jsonl", "services.parquet",
    ]  # fmt: skip


def test_large_ones_are_stored_before_they_are_many(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tiny_world(bindings=[{"count": 6, "extra": {"identity": 5, "more": "x" * 3000}}]))
    monkeypatch.setattr(buffer, "MOST_PART_ROWS", 10)
    stored: list[int] = []
    real = writer.SnapshotWriter.add

    def add(self: Any, pages: Any) -> None:
        stored.append(sum(len(progress.rejected) for _, progress in pages.values()))
        real(self, pages)

    monkeypatch.setattr(writer.SnapshotWriter, "add", add)
    assert run("extract", "--no-shard", "--out", tmp_path / "s", "--page-size", 1).exit_code == 0
    assert stored == [2, 2, 2]


@pytest.mark.parametrize("step", range(1, 13, 2))
def test_after_an_interruption_they_are_the_same(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    serve(tiny_world(bindings=[{"count": 3}, {"count": 9, **ODD}, {"count": 3}]))
    monkeypatch.setattr(buffer, "MOST_PART_ROWS", 2)
    whole = ("extract", "--page-size", 2)
    assert run(*whole, "--out", tmp_path / "whole").exit_code == 0
    real, steps = files.write_whole, 0

    def dying(*arguments: Any, **options: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            raise KeyboardInterrupt
        real(*arguments, **options)

    with monkeypatch.context() as patch:
        for place in ("migrate.snapshot.writer.write_whole", "migrate.snapshot.rejected.write_whole"):
            patch.setattr(place, dying)
        died = run(*whole, "--out", tmp_path / "s")
    assert died.exit_code in (0, 130)
    if died.exit_code:
        (tmp_path / "s" / "rejected").mkdir(exist_ok=True)
        (tmp_path / "s" / "rejected" / "chat-stray-00099.jsonl").write_text("of no line\n")
        assert run(*whole, "--out", tmp_path / "s").exit_code == 0
    assert lines(tmp_path / "s") == lines(tmp_path / "whole")
    assert len(lines(tmp_path / "s")) == 9
    assert not (tmp_path / "s" / "rejected").exists()


def test_what_is_somebody_elses_in_a_folder_of_that_name_stays(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world(bindings=[{"count": 2, **ODD}]))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    (tmp_path / "s" / "rejected").mkdir()
    (tmp_path / "s" / "rejected" / "notes.txt").write_text("mine")
    (tmp_path / "s" / "rejected" / "chat-00000.jsonl").write_text("left by a kill")
    assert run("extract", "--out", tmp_path / "s").exit_code == 4
    assert [path.name for path in (tmp_path / "s" / "rejected").iterdir()] == ["notes.txt"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "chat-00000.jsonl").write_text("mine")
    (tmp_path / "s" / "rejected" / "notes.txt").unlink()
    (tmp_path / "s" / "rejected").rmdir()
    (tmp_path / "s" / "rejected").symlink_to(tmp_path / "elsewhere")
    assert run("extract", "--out", tmp_path / "s").exit_code == 4
    assert (tmp_path / "elsewhere" / "chat-00000.jsonl").read_text() == "mine"


@pytest.mark.parametrize("damage", [b"tampered\n", None])
def test_an_unfinished_snapshot_whose_rejected_records_are_not_as_written_is_not_resumed(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, damage: bytes | None
) -> None:
    serve(tiny_world(bindings=[{"count": 6, **ODD}]))
    with monkeypatch.context() as patch:
        patch.setattr(writer.SnapshotWriter, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run("extract", "--no-shard", "--out", tmp_path / "s").exit_code == 130
    (path,) = (tmp_path / "s" / "rejected").iterdir()
    path.unlink()
    if damage:
        path.write_bytes(damage)
    refused = run("extract", "--no-shard", "--out", tmp_path / "s")
    assert (refused.exit_code, "--restart" in refused.stderr) == (4, True)
    assert run("extract", "--no-shard", "--out", tmp_path / "s", "--restart").exit_code == 0
    assert len(lines(tmp_path / "s")) == 6


def test_an_unfinished_snapshot_of_an_earlier_version_is_resumed_unless_it_has_rejected_records(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a list of records in each line of its checkpoint."""
    serve(tiny_world())
    for rejected, code in (([], 0), ([{"reason": "x", "record": 5}], 4)):
        out = tmp_path / str(code)
        with monkeypatch.context() as patch:
            patch.setattr(writer.SnapshotWriter, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            assert run("extract", "--no-shard", "--out", out).exit_code == 130
        path = out / "checkpoint.jsonl"
        found = [{**json.loads(line), "rejected": rejected} for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(line) + "\n" for line in found))
        assert run("extract", "--no-shard", "--out", out).exit_code == code


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("odd", "asked"),
    [
        ('"identity": ' + "9" * 5000, 1),
        ('"identity": -1e999', 1),
        ('"identity": ' + DEEP, 1),
        ('"more": ' + DEEP, 1),
        ('"identity": "\\ud83d"', 1),
        ('"identity": NaN', 6),
        ('"more": Infinity', 6),
        ('"identity": "a raw\nline break"', 6),
        ('"identity": "\xff"', 6),
        ('"identity": oops', 6),
    ],
    ids=lambda value: str(value)[:30].replace("\n", " "),
)
def test_one_record_that_cannot_be_read_is_set_aside_and_the_chain_goes_to_its_end(
    tmp_path: Path, run: Run, environment: pytest.MonkeyPatch, odd: str, asked: int
) -> None:
    """What is no JSON is asked for again first: it may have been spoilt on its way."""
    environment.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    environment.setenv("TWILIO_AUTH_TOKEN", "x")

    def answer(server: Scripted, path: str) -> Reply:
        if "/Bindings" not in path:
            return server.page("services" if "/Services" in path else "credentials", [{"sid": SERVICE}])
        following = f"{server.url}/v2/Services/{SERVICE}/Bindings?Page=1&PageToken=t"
        if "Page=1" in path:
            return server.page("bindings", [{"sid": "BS3"}])
        meta = json.dumps({"page_size": 2, "next_page_url": following})
        body = f'{{"meta": {meta}, "bindings": [{{"sid": "BS1"}}, {{"sid": "BS2", {odd}}}]}}'
        return Reply(body.encode("latin-1" if "\xff" in odd else "utf-8"))

    with scripted(answer) as server:
        urls = ("--chat-url", server.url, "--conversations-url", server.url)
        done = run("extract", "--no-shard", "--out", tmp_path / "s", *urls)
        pages = [path for _, path, _ in server.seen if "/Bindings" in path and "Page=1" not in path]
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "s" / "manifest.json").read_bytes())
    assert (manifest["rows"], manifest["rejected"], len(pages)) == (2, 1, asked)
    (kept,) = lines(tmp_path / "s")
    assert kept["chain"] == f"chat:{SERVICE}"
    assert "BS2" in str(kept["record"])
