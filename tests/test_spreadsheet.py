"""The list for spreadsheets: every binding once, nothing in it runs, endpoints masked."""

from __future__ import annotations

import csv
import stat
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.map.run import map_snapshot
from migrate.snapshot.spreadsheet import write_spreadsheet
from tests.conftest import Demo, Run, service_sid
from tests.snapshots import binding, write_snapshot

ACTIVE = tuple("=+-@\t\r\n＝＋－＠")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_every_binding_has_a_line_that_says_who_and_what(tmp_path: Path, run: Run, demo: Demo) -> None:
    path = tmp_path / "lists" / "devices.csv"
    result = run("map", demo.folder / "snapshot", "--out", tmp_path / "m", "--csv", path)
    assert result.exit_code == 0
    assert "328 rows" in result.stdout
    rows, frame = read(path), pd.read_parquet(tmp_path / "m" / "bindings")
    assert [row["sid"] for row in rows] == list(frame["sid"])
    assert [row["action"] for row in rows] == list(frame["action"])
    assert rows[0]["service"] == "Acme Support"
    assert rows[0]["last_seen"] == f"{frame['last_seen'][0]:%Y-%m-%d %H:%M:%S}"
    assert set(rows[0]) >= {"identity", "device", "platform", "service", "credential_sid", "push_credential_sid"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text("utf-8")
    for endpoint in pd.read_parquet(demo.folder / "snapshot" / "bindings")["endpoint"]:
        assert endpoint not in text
    formulas = [row for row in rows if row["identity"].startswith("'")]
    assert {row["identity"] for row in formulas} == {"'=1+1"}


cells = st.text(max_size=6) | st.sampled_from(ACTIVE).flatmap(lambda sign: st.text(max_size=4).map(sign.__add__))


@given(st.lists(st.none() | cells, min_size=1, max_size=4), cells)
@settings(max_examples=40)
def test_no_cell_begins_like_a_formula_and_all_come_back(
    tmp_path_factory: pytest.TempPathFactory, identities: list[str | None], name: str
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    sid = service_sid(1)
    rows = [binding(number, identity=identity) for number, identity in enumerate(identities)]
    write_snapshot(folder / "s", {sid: {"friendly_name": name}}, {sid: [rows]})
    summary = map_snapshot(folder / "s", folder / "m")
    assert write_spreadsheet(folder / "m", summary, folder / "x.csv") == len(rows)
    found = read(folder / "x.csv")
    for row in found:
        assert not any(cell.startswith(ACTIVE) for cell in row.values())
    assert [row["identity"].removeprefix("'") if (identity or "").startswith(ACTIVE) else row["identity"]
            for row, identity in zip(found, identities, strict=True)] == [identity or "" for identity in identities]  # fmt: skip


def test_a_place_within_the_mapped_folder_is_refused(tmp_path: Path, run: Run, demo: Demo) -> None:
    command = ("map", demo.folder / "snapshot", "--out", tmp_path / "m")
    for place, code in ((tmp_path / "m" / "x.csv", 2), (demo.folder / "snapshot" / "x.csv", 4), (tmp_path, 2)):
        result = run(*command, "--csv", place)
        assert result.exit_code == code
        assert not (tmp_path / "m").exists()


def test_the_list_is_not_written_over_what_is_read(tmp_path: Path, run: Run, demo: Demo) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("# mine")
    command = ("map", demo.folder / "snapshot", "--out", tmp_path / "m", "--rules", rules)
    for options in (["--csv", rules], ["--log-file", rules], ["--csv", tmp_path / "m"]):
        assert run(*command, *options).exit_code == 2
    assert rules.read_text() == "# mine"
    assert not (tmp_path / "m").exists()


def test_a_list_that_was_interrupted_leaves_no_identities_behind(
    tmp_path: Path, run: Run, demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("migrate.snapshot.spreadsheet._safe", interrupted)
    result = run("map", demo.folder / "snapshot", "--out", tmp_path / "m", "--csv", tmp_path / "x.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (130, 1)
    assert "The mapping is finished" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"m"}


def test_a_list_that_cannot_be_written_leaves_nothing_half_done(tmp_path: Path, run: Run, demo: Demo) -> None:
    (tmp_path / "file").write_text("x")
    result = run("map", demo.folder / "snapshot", "--out", tmp_path / "m", "--csv", tmp_path / "file" / "x.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"The mapping is finished in {tmp_path / 'm'}" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"file", "m"}
