"""The list for spreadsheets: every binding once, nothing in it runs, endpoints masked."""

from __future__ import annotations

import csv
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.map.mapping import map_snapshot
from migrate.map.spreadsheet import read_csv, write_csv, write_spreadsheet
from migrate.model.errors import InputError
from migrate.model.schemas import PENDING
from migrate.verify.pending import read_pending, write_pending
from tests.conftest import Demo, Run, service_sid
from tests.snapshots import binding, write_snapshot

ACTIVE = tuple("=+-@\t\r\n＝＋－＠")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_every_binding_has_a_line_that_says_who_and_what(tmp_path: Path, run: Run, odd: Demo) -> None:
    path = tmp_path / "lists" / "devices.csv"
    result = run("map", odd.folder / "snapshot", "--out", tmp_path / "m", "--csv", path)
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
    for endpoint in pd.read_parquet(odd.folder / "snapshot" / "bindings")["endpoint"]:
        assert endpoint not in text
    formulas = [row for row in rows if row["identity"].startswith("'")]
    assert {row["identity"] for row in formulas} == {"'=1+1"}


ACTS = re.compile(f"'*[{re.escape(''.join(ACTIVE))}]")  # or would, without its apostrophes
starts = st.sampled_from([*ACTIVE, "'", "'=", "''@", '"', "\r\n", ",", ";", "\ufeff", "NULL", "' ="])
cells = st.text(max_size=6) | starts.flatmap(lambda start: st.text(max_size=4).map(start.__add__))


@given(st.lists(st.none() | cells, min_size=1, max_size=4), cells)
@settings(max_examples=20)
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
    assert [row["identity"].removeprefix("'") if ACTS.match(identity or "") else row["identity"]
            for row, identity in zip(found, identities, strict=True)] == [identity or "" for identity in identities]  # fmt: skip


def test_a_place_within_the_mapped_folder_is_refused(tmp_path: Path, run: Run, odd: Demo) -> None:
    command = ("map", odd.folder / "snapshot", "--out", tmp_path / "m")
    for place, code in ((tmp_path / "m" / "x.csv", 2), (odd.folder / "snapshot" / "x.csv", 4), (tmp_path, 2)):
        result = run(*command, "--csv", place)
        assert result.exit_code == code
        assert not (tmp_path / "m").exists()


def test_the_list_is_not_written_over_what_is_read(tmp_path: Path, run: Run, odd: Demo) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("# mine")
    command = ("map", odd.folder / "snapshot", "--out", tmp_path / "m", "--rules", rules)
    for options in (["--csv", rules], ["--log-file", rules], ["--csv", tmp_path / "m"]):
        assert run(*command, *options).exit_code == 2
    assert rules.read_text() == "# mine"
    assert not (tmp_path / "m").exists()


def test_a_list_that_was_interrupted_leaves_no_identities_behind(
    tmp_path: Path, run: Run, odd: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("migrate.map.spreadsheet._safe", interrupted)
    result = run("map", odd.folder / "snapshot", "--out", tmp_path / "m", "--csv", tmp_path / "x.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (130, 1)
    assert "The mapping is finished" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"m"}


def test_a_list_that_cannot_be_written_leaves_nothing_half_done(tmp_path: Path, run: Run, odd: Demo) -> None:
    (tmp_path / "file").write_text("x")
    result = run("map", odd.folder / "snapshot", "--out", tmp_path / "m", "--csv", tmp_path / "file" / "x.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"The mapping is finished in {tmp_path / 'm'}" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"file", "m"}


times = st.none() | st.datetimes(datetime(1900, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)).map(
    lambda time: time.replace(microsecond=0)
)
pending_rows = st.fixed_dictionaries(
    {
        field.name: times if pa.types.is_timestamp(field.type) else cells if not field.nullable else st.none() | cells
        for field in PENDING
    }
)


@given(st.lists(pending_rows, max_size=4), st.integers(1, 4))
@settings(max_examples=80)
def test_what_is_read_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]], size: int
) -> None:
    path = tmp_path_factory.mktemp("csv") / "list.csv"
    table = pa.Table.from_pylist(rows, schema=PENDING)
    assert write_csv(path, PENDING.names, table.to_batches(max_chunksize=size)) == len(rows)
    found = read_csv(path, PENDING)
    assert found.schema == PENDING
    assert found.to_pylist() == table.to_pylist()
    with path.open(encoding="utf-8-sig", newline="") as file:  # as others read it
        assert not [cell for row in csv.reader(file) for cell in row if cell.startswith(ACTIVE)]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_list_of_who_is_pending_comes_back_from_either_format(tmp_path: Path, ending: str) -> None:
    seen = datetime(2026, 6, 1, 12, 30, 5, tzinfo=UTC)
    people = ["=1+1", "'=1+1", 'a "b", c', "two\r\nlines", "", None]
    rows = [
        {"service_sid": service_sid(1), "identity": who, "endpoint": "e" * 20, "platform": "apn", "last_seen": seen if number else None, "sid": f"BS{number}"}
        for number, who in enumerate(people)
    ]  # fmt: skip
    part, path = tmp_path / "part.parquet", tmp_path / f"pending{ending}"
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    pq.write_table(
        pa.table({**columns, "last_seen": pa.array(columns["last_seen"], PENDING.field("last_seen").type)}), part
    )
    assert write_pending(path, {service_sid(1): "@name", service_sid(2): "none"}, [part], tmp_path) == 6
    found = read_pending(path)
    assert found.schema == PENDING
    assert sorted((row["sid"], row["identity"], row["last_seen"]) for row in found.to_pylist()) == [
        (row["sid"], row["identity"], row["last_seen"]) for row in rows
    ]
    assert {(row["service"], row["service_sid"], row["device"]) for row in found.to_pylist()} == {
        ("@name", service_sid(1), "ee…ee (20)")
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("none.csv", None),
        ("none.parquet", None),
        ("empty.csv", b""),
        ("other.csv", b"a,b\n1,2\n"),
        ("excel.csv", b"service;service_sid;identity;device;platform;last_seen;sid\n;;;;;;\n"),
        ("time.csv", b"service,service_sid,identity,device,platform,last_seen,sid\nn,IS,i,d,apn,15.06.2026,BS\n"),
        ("rubbish.parquet", b"rubbish" * 9),
    ],
)
def test_what_is_no_list_of_who_is_pending_is_refused_with_the_command_that_makes_one(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="chat-migrate verify SNAPSHOT --pending FILE"):
        read_pending(tmp_path / name)


def test_a_parquet_file_of_other_columns_is_no_list_of_who_is_pending(tmp_path: Path) -> None:
    pq.write_table(pa.table({"sid": ["BS1"]}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="not a list"):
        read_pending(tmp_path / "x.parquet")
