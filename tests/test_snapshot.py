"""A snapshot that is not what was written is refused, and says in one line what is wrong with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.model.errors import RefusedError
from migrate.model.schemas import BINDINGS, CREDENTIALS, SERVICES
from migrate.snapshot.reader import read_snapshot
from migrate.storage.parquet import table_of
from tests.conftest import CASSETTE, Demo, Run


@pytest.fixture
def snapshot(tmp_path: Path, demo: Demo) -> Path:
    """A copy of the demo's snapshot, to be damaged."""
    return Path(shutil.copytree(demo.folder / "snapshot", tmp_path / "snapshot"))


def change_a_byte(folder: Path) -> None:
    part = next(folder.glob("bindings/*/*.parquet"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)


def cut_a_file(folder: Path) -> None:
    (folder / "credentials.parquet").write_bytes((folder / "credentials.parquet").read_bytes()[:-1])


def remove_a_part(folder: Path) -> None:
    next(folder.glob("bindings/*/*.parquet")).unlink()


def add_a_part(folder: Path) -> None:
    part = next(folder.glob("bindings/*/*.parquet"))
    shutil.copy(part, part.with_name("chat-00009.parquet"))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (change_a_byte, "-00000.parquet is not what was written"),
        (cut_a_file, "credentials.parquet is not what was written"),
        (remove_a_part, "-00000.parquet is missing"),
        (add_a_part, "chat-00009.parquet does not belong to it"),
    ],
)
def test_a_damaged_snapshot_is_refused(
    snapshot: Path, tmp_path: Path, run: Run, damage: Callable[[Path], None], problem: str
) -> None:
    damage(snapshot)
    result = run("map", snapshot, "--out", tmp_path / "mapped")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert f"The snapshot {snapshot} is damaged: " in result.stderr
    assert problem in result.stderr
    assert not (tmp_path / "mapped").exists()


def test_all_damage_is_told_at_once_but_not_endlessly(snapshot: Path) -> None:
    parts = list(snapshot.glob("bindings/*/*.parquet"))
    for part in parts:
        part.unlink()
    with pytest.raises(RefusedError, match=f"and {len(parts) - 3} more"):
        read_snapshot(snapshot)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"format_version": 1}', '{"format_version": 1, "filters": {"x": 1}}', "[" * 100_000],
)
def test_a_folder_with_another_manifest_is_not_a_snapshot(tmp_path: Path, run: Run, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    result = run("map", tmp_path, "--out", tmp_path / "mapped")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "is not a snapshot" in result.stderr


@pytest.mark.parametrize(
    "changes",
    [
        {"as_of": "yesterday"},
        {"as_of": 5},
        {"as_of": "0001-01-01T00:00:00+00:00"},
        {"as_of": "2026-06-15T08:00:00"},
        {"rows": 5},
        {"rejected": "none"},
        {"account_sid": 1},
    ],
)
def test_a_manifest_with_odd_values_is_not_trusted(snapshot: Path, tmp_path: Path, run: Run, changes: object) -> None:
    facts = json.loads((snapshot / "manifest.json").read_bytes())
    (snapshot / "manifest.json").write_text(json.dumps({**facts, **changes}))  # type: ignore[dict-item]
    result = run("map", snapshot, "--out", tmp_path / "mapped")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "its manifest.json cannot be read" in result.stderr


def test_a_snapshot_in_another_format_is_refused(snapshot: Path, tmp_path: Path, run: Run) -> None:
    facts = json.loads((snapshot / "manifest.json").read_bytes())
    (snapshot / "manifest.json").write_text(json.dumps({**facts, "format_version": 99}))
    result = run("map", snapshot, "--out", tmp_path / "mapped")
    assert (result.exit_code, "another snapshot format" in result.stderr) == (1, True)


def test_what_is_no_snapshot_says_how_to_make_one(tmp_path: Path, run: Run) -> None:
    for folder, problem in ((tmp_path, "it has no manifest.json"), (tmp_path / "absent", "there is no such folder")):
        result = run("map", folder, "--out", tmp_path / "mapped")
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert problem in result.stderr
        assert "chat-migrate extract --out DIR" in result.stderr


def test_a_finished_snapshot_is_never_overwritten(snapshot: Path, run: Run) -> None:
    before = {path: path.read_bytes() for path in snapshot.rglob("*") if path.is_file()}
    for options in ([], ["--restart"]):
        result = run("extract", "--out", snapshot, "--replay", CASSETTE, *options)
        assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
        assert "chat-migrate map" in result.stderr
    assert before == {path: path.read_bytes() for path in snapshot.rglob("*") if path.is_file()}


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path, run: Run) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    result = run("extract", "--out", tmp_path, "--replay", CASSETTE)
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_equal_snapshots_have_equal_digests_whenever_they_were_made(tmp_path: Path, run: Run, demo: Demo) -> None:
    assert run("extract", "--out", tmp_path / "s", "--replay", CASSETTE).exit_code == 0
    again, first = read_snapshot(tmp_path / "s"), read_snapshot(demo.folder / "snapshot")
    assert again.manifest.digest == first.manifest.digest
    assert again.manifest.started_at != first.manifest.started_at
    assert [row["sid"] for row in again.credentials()] == [f"CR{number:032d}" for number in range(1, 8)]


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)  # half of a surrogate pair is refused before
_DATES = st.datetimes(timezones=st.just(UTC))


_VALUES = {"string": _TEXTS, "list<item: string>": st.lists(_TEXTS, max_size=3), "timestamp[us, tz=UTC]": _DATES}


@st.composite
def rows_of(draw: st.DrawFn, schema: pa.Schema) -> list[dict[str, Any]]:
    """Rows as an extract makes them: texts and times, in any order of the columns, what is not there left out."""

    def row() -> dict[str, Any]:
        found: dict[str, Any] = {"sid": draw(_TEXTS)}
        for field in draw(st.permutations([field for field in schema if field.name != "sid"])):
            values = _VALUES[str(field.type)]
            if draw(st.booleans()):
                found[field.name] = draw(st.none() | values)
        return found

    return [row() for _ in range(draw(st.integers(0, 4)))]


@pytest.mark.parametrize("schema", [BINDINGS, SERVICES, CREDENTIALS], ids=["bindings", "services", "credentials"])
@given(data=st.data())
@settings(max_examples=25)
def test_a_table_holds_its_rows_to_the_microsecond_and_the_character(schema: pa.Schema, data: st.DataObject) -> None:
    rows = data.draw(rows_of(schema))
    assert table_of(rows, schema) == pa.Table.from_pylist(rows, schema=schema)
