"""Many small services: what one costs is not a database, and none is told apart from what it would be alone."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import migrate
import migrate.review
from migrate.diff import partition as diff_partition
from migrate.diff.partition import OF_MAPPED
from migrate.map.bindings import NEEDED, Mapper
from migrate.map.counts import TaskCounts
from migrate.map.credentials import Credentials
from migrate.map.mapped_bindings import find_bindings_of, parts_by_service, parts_in
from migrate.map.mapped_folder import open_mapped
from migrate.map.mapping import map_some
from migrate.map.rules_toml import default_rules
from migrate.map.sharing import read_together
from migrate.map.small_services import Service as SmallService
from migrate.map.small_services import TaskTogether, map_together
from migrate.model.errors import InputError
from migrate.model.schemas import BINDINGS, MAPPED_BINDINGS, MAPPED_FILE, PENDING
from migrate.storage import database
from migrate.storage.database import FullMemoryError
from migrate.verify import partition
from migrate.verify.partition import ServiceParts, partitions, verify_partition
from migrate.verify.pending import write_pending
from tests.conftest import Run, service_sid
from tests.snapshots import AS_OF, binding, write_snapshot
from tests.test_crowds import Row as Owned
from tests.test_crowds import naively as crowds_naively
from tests.verify.conftest import CAME_BACK, TERMS

CALM = Credentials.of(())


def services_of(folder: Path, many: int) -> Path:
    """A snapshot of so many services with four bindings each, in two parts."""
    sids = [service_sid(number) for number in range(1, many + 1)]
    parts = {
        sid: [[binding(4 * number + n, identity=f"of-{sid}") for n in some] for some in ((0, 1), (2, 3))]
        for number, sid in enumerate(sids)
    }
    return write_snapshot(folder, {sid: {"friendly_name": sid} for sid in sids}, parts)


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One item for each database that was opened."""
    opened: list[None] = []
    connection = database._Instances.connection

    def counting(*words: Any) -> Any:
        opened.append(None)
        return connection(*words)

    monkeypatch.setattr(database._Instances, "connection", counting)
    return opened


@pytest.mark.parametrize("many", [1, 30])
def test_mapping_opens_one_database_however_many_small_services_there_are(
    tmp_path: Path, run: Run, connections: list[None], many: int
) -> None:
    summary = json.loads(run("map", services_of(tmp_path / "s", many), "--out", tmp_path / "m", "--json").stdout)
    assert (len(summary["services"]), summary["totals"]["bindings"]) == (many, 4 * many)
    assert len(connections) == 1


@pytest.mark.parametrize("many", [1, 30])
def test_verifying_opens_one_database_and_its_list_another_however_many_small_services_there_are(
    tmp_path: Path, run: Run, connections: list[None], many: int
) -> None:
    snapshot, listed = services_of(tmp_path / "s", many), tmp_path / "pending.parquet"
    words = ("--against", snapshot, "--coverage", tmp_path / "c", "--pending", listed)
    assert run("verify", snapshot, *words).exit_code == 0
    assert len(connections) == 2
    sids = [service_sid(number) for number in range(1, many + 1) for _ in range(4)]
    assert pq.read_table(listed)["service_sid"].to_pylist() == sids


@pytest.mark.parametrize("empty", ["source", "live"])
def test_several_services_of_which_one_side_has_no_binding_at_all_are_compared(
    tmp_path: Path, run: Run, empty: str
) -> None:
    sids = [service_sid(number) for number in (1, 2)]
    services = {sid: {"friendly_name": sid} for sid in sids}
    sides = {
        side: write_snapshot(
            tmp_path / side, services, {} if side == empty else {sid: [[binding(n)]] for n, sid in enumerate(sids)}
        )
        for side in ("source", "live")
    }
    listed = tmp_path / "pending.parquet"
    words = ("--against", sides["live"], "--coverage", tmp_path / "c", "--pending", listed, "--json")
    done = run("verify", sides["source"], *words)
    assert done.exit_code == (4 if empty == "source" else 0), done.output  # of no bindings there is no percentage
    found = [service["total"] for service in json.loads(done.stdout)["services"]]
    expected = {"source": ("bindings", 0), "live": ("pending", 1)}[empty]
    assert [counts[expected[0]] for counts in found] == [expected[1]] * 2
    assert pq.read_table(listed).num_rows == (0 if empty == "source" else 2)


texts = st.none() | st.sampled_from(["", "a", "b", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
few_rows = st.lists(st.tuples(texts, texts), min_size=1, max_size=8)


@given(st.lists(few_rows, min_size=1, max_size=4), st.integers(1, 3))
@settings(max_examples=25)
def test_crowds_are_those_of_each_service_however_many_are_read_together(
    services: list[list[Owned]], limit: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths: dict[str, list[Path]] = {}
        for number, rows in enumerate(services):
            sid = service_sid(9 - number)  # in their order, and not in that of their names
            place = Path(folder, f"service_sid={sid}")
            place.mkdir()
            content = [{"sid": f"BS{n}", "endpoint": e, "identity": who} for n, (e, who) in enumerate(rows)]
            for half, some in enumerate((content[:3], content[3:])):
                pq.write_table(pa.Table.from_pylist(some, schema=BINDINGS), place / f"{half}.parquet")
            paths[sid] = [place / "0.parquet", place / "1.parquet"]
        found = read_together(paths, NEEDED, limit, Path(folder)).to_pylist()
    places = [(number, f"BS{n}") for number, rows in enumerate(services) for n in range(len(rows))]
    assert [(row["service"], row["sid"]) for row in found] == places
    for number, rows in enumerate(services):
        crowded, shared = crowds_naively(rows, limit)
        flags = [(row["shared"], row["crowded"]) for row in found if row["service"] == number]
        assert flags == [(endpoint in shared, who in crowded) for endpoint, who in rows]


def test_a_part_in_the_folder_of_another_service_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    paths = {}
    for sid, folder in ((service_sid(1), service_sid(1)), (service_sid(2), service_sid(3))):
        place = tmp_path / f"service_sid={folder}"
        place.mkdir()
        pq.write_table(pa.Table.from_pylist([{"sid": "BS1"}], schema=BINDINGS), place / "0.parquet")
        paths[sid] = [place / "0.parquet"]
    with pytest.raises(InputError, match="of another service"):
        read_together(paths, NEEDED, 5, tmp_path)


def rows_of(parts: Iterable[Path]) -> dict[str, list[dict[str, Any]]]:
    """The mapped bindings of each service in some files, in their order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in parts:
        with pq.ParquetFile(path) as file:
            assert file.schema_arrow == MAPPED_FILE
            for row in file.read().to_pylist():
                found.setdefault(row["service_sid"], []).append(row)
    return found


def test_a_small_service_becomes_what_it_would_alone(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[Mapping[str, Any]] = [
        {}, {"binding_type": "gcm"}, {"message_types": None}, {"message_types": ["new_message", "odd"]},
        {"identity": None}, {"endpoint": "shared-by-several-identities"}, {"identity": "crowd"}, {"credential_sid": None},
        {"date_updated": AS_OF.replace(year=2020)},
    ]  # fmt: skip
    sids = [service_sid(number) for number in range(1, 8)]
    parts: dict[str, Sequence[Sequence[dict[str, Any]]]] = {
        sid: [[binding(100 * n + row, **kinds[(n + row) % len(kinds)]) for row in range(3 + 14 * (n % 2))]]
        for n, sid in enumerate(sids[:-1])
    }
    write_snapshot(tmp_path / "s", {sid: {"friendly_name": f"name of {sid}"} for sid in sids}, parts)
    ways = {
        "together": {},
        "in pairs": {"SERVICES_A_TASK": 2},
        "few rows": {"BATCH_ROWS": 20},
        "alone": {"BATCH_ROWS": 0},
    }
    for way, changes in ways.items():
        with monkeypatch.context() as patch:
            for name, value in changes.items():
                patch.setattr(f"migrate.map.mapping.{name}", value)
            done = run("map", tmp_path / "s", "--out", tmp_path / way, "--csv", tmp_path / f"{way}.csv")
            assert done.exit_code == 0, done.output
    first, *others = ways
    in_folders(tmp_path / first, tmp_path / "as before")
    total = sum(3 + 14 * (n % 2) for n in range(len(sids) - 1))
    for other in (*others, "as before"):
        if other != "as before":
            assert rows_of(parts_in(tmp_path / first)) == rows_of(parts_in(tmp_path / other))
            assert (tmp_path / f"{first}.csv").read_bytes() == (tmp_path / f"{other}.csv").read_bytes()
            for name in ("summary.json", "push-config.yaml"):
                assert (tmp_path / first / name).read_bytes() == (tmp_path / other / name).read_bytes()
        for together in (partition.SERVICES_TOGETHER, 2, 1):
            monkeypatch.setattr(partition, "SERVICES_TOGETHER", together)
            done = run("diff", tmp_path / first, tmp_path / other, "--json")
            assert done.exit_code == 0, done.output
            bindings = json.loads(done.stdout)["bindings"]
            assert (bindings["total"]["same"], bindings["total"]["before"], bindings["total"]["after"]) == (
                total,
            ) * 3
            assert len(bindings["services"]) == len(sids) - 1


def in_folders(mapped: Path, copy: Path) -> None:
    """The same mapped folder with a folder of files for each service, as it was before services shared files."""
    shutil.copytree(mapped, copy, ignore=shutil.ignore_patterns("*.parquet"))
    for sid, rows in rows_of(parts_in(mapped)).items():
        folder = copy / "bindings" / f"service_sid={sid}"
        folder.mkdir()
        pq.write_table(pa.Table.from_pylist(rows, schema=MAPPED_BINDINGS), folder / "part-00000.parquet")


def test_mapped_bindings_are_read_with_their_service_by_whatever_reads_parquet(tmp_path: Path) -> None:
    """The same as from folders of services, small ones beside one that has files of its own."""
    sids = [service_sid(number) for number in (3, 1, 2)]
    of_each = {sid: [[binding(100 * n + row) for row in range(30 if n == 1 else 2)]] for n, sid in enumerate(sids)}
    write_snapshot(tmp_path / "s", {sid: {"friendly_name": sid} for sid in sids}, of_each)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("migrate.map.mapping.BATCH_ROWS", 10)
        migrate.map_snapshot(tmp_path / "s", tmp_path / "m")
    in_folders(tmp_path / "m", tmp_path / "before")
    assert {path.name for path in parts_in(tmp_path / "m")} == {
        f"{service_sid(1)}-00000.parquet",
        f"{service_sid(2)}-and-others.parquet",
    }
    expected = {(sid, row["sid"]) for sid, parts in of_each.items() for part in parts for row in part}
    for mapped in (tmp_path / "m", tmp_path / "before"):
        frame = pd.read_parquet(mapped / "bindings")
        assert str(frame["service_sid"].dtype) == "category"
        assert set(zip(frame["service_sid"], frame["sid"], strict=True)) == expected
        files = str(mapped / "bindings" / "**" / "*.parquet")
        assert set(duckdb.execute(f"SELECT service_sid, sid FROM read_parquet('{files}')").fetchall()) == expected
        for sid in sids:
            (row,) = find_bindings_of(open_mapped(mapped), sid, [of_each[sid][0][0]["sid"]])
            assert row["service_sid"] == sid
        review = migrate.review.open_mapped(mapped)
        assert {(sid, n) for sid, n in review.bindings["service_sid"].value_counts().items()} == {
            (sid, len(parts[0])) for sid, parts in of_each.items()
        }


def test_a_comparison_by_halves_of_services_that_share_files_has_each_binding_once(tmp_path: Path) -> None:
    sids = [service_sid(number) for number in range(1, 6)]
    for name, numbers in (("a", range(5)), ("b", range(1, 6))):
        of_each = {sid: [[binding(number)] for number in numbers] for sid in sids}
        write_snapshot(tmp_path / name / "s", {sid: {"friendly_name": sid} for sid in sids}, of_each)
        migrate.map_snapshot(tmp_path / name / "s", tmp_path / name / "m")
    then, now = (parts_by_service(open_mapped(tmp_path / name / "m")) for name in "ab")
    (whole,) = diff_partition.partitions([ServiceParts(sid, then[sid], now[sid]) for sid in sids], OF_MAPPED)
    pieces = [whole]
    while len(pieces) < 2 * len(sids):
        pieces = [half for piece in pieces for half in piece.halves()]
    found: dict[str, diff_partition.Tally] = {}
    for piece in pieces:
        for sid, tally in diff_partition.compare_partition(piece).items():
            found.setdefault(sid, diff_partition.Tally({}, {})).add(tally)
    assert found == diff_partition.compare_partition(whole)
    assert {
        sid: (
            sum(one.new for one in tally.types.values()),
            sum(one.gone for one in tally.types.values()),
            sum(one.same for one in tally.types.values()),
        )
        for sid, tally in found.items()
    } == dict.fromkeys(sids, (1, 1, 4))


@pytest.mark.parametrize(
    "damage", ["lost", "torn", "of another service", "service_sid", "identity", "damaged inside"]
)
def test_shared_files_that_are_not_as_they_were_mapped_are_refused(tmp_path: Path, run: Run, damage: str) -> None:
    sids = [service_sid(number) for number in range(1, 4)]
    write_snapshot(tmp_path / "s", {sid: {} for sid in sids}, {sid: [[binding(n)]] for n, sid in enumerate(sids)})
    migrate.map_snapshot(tmp_path / "s", tmp_path / "m")
    shutil.copytree(tmp_path / "m", tmp_path / "n")
    (path,) = parts_in(tmp_path / "m")
    table = pq.read_table(path)
    if damage == "lost":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:99])
    elif damage == "of another service":
        named = pa.array([sids[0]] * len(table)).dictionary_encode()
        pq.write_table(table.set_column(table.schema.get_field_index("service_sid"), "service_sid", named), path)
    elif damage in ("service_sid", "identity"):
        pq.write_table(table.drop_columns([damage]), path)
    else:
        column, data = pq.read_metadata(path).row_group(0).column(0), bytearray(path.read_bytes())
        start, size = column.data_page_offset, column.total_compressed_size
        data[start : start + size] = bytes(size)
        path.write_bytes(data)
    for words in (["diff", tmp_path / "m", tmp_path / "n"], ["explain", tmp_path / "m", binding(1)["sid"]]):
        done = run(*words)
        if words[0] == "explain" and damage == "of another service":
            continue  # it tells of the binding that it has found
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
        assert "not as they were mapped" in done.stderr


sides = st.lists(
    st.tuples(
        st.sampled_from(["u", "v", "", None]), st.sampled_from(["e", "f", None]), st.sampled_from(["apn", "fcm", "gcm"]),
        st.booleans(),
    ),
    max_size=5,
)  # fmt: skip


@given(st.lists(st.tuples(sides, sides), min_size=2, max_size=4))
@settings(max_examples=8)
@pytest.mark.long
def test_services_that_are_compared_together_have_what_they_would_have_alone(
    pairs: list[tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        services = [
            ServiceParts(service_sid(number), *(written(Path(folder, side), number, rows) for side, rows in zip("ab", pair, strict=True)))
            for number, pair in enumerate(pairs)
        ]  # fmt: skip
        together = compared(services, Path(folder))
        patch.setattr(partition, "SERVICES_TOGETHER", 1)
        assert compared(services, Path(folder)) == together


def written(folder: Path, number: int, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Path, int]]:
    """The one part of a service's bindings; SIDs are the same in every service, as where those list the same ones."""
    path = folder / f"service_sid={service_sid(number)}" / "part.parquet"
    path.parent.mkdir(parents=True)
    content = [
        binding(n, identity=who, endpoint=endpoint, binding_type=kind, message_types=CAME_BACK if back else ["x"])
        for n, (who, endpoint, kind, back) in enumerate(rows)
    ]
    pq.write_table(pa.Table.from_pylist(content, schema=BINDINGS), path)
    return [(path, len(rows))]


def compared(services: list[ServiceParts], folder: Path, **options: Any) -> tuple[Any, ...]:
    """The counts of each service, and its lists."""
    tasks = partitions(services, TERMS, folder, pending="pending", ready="ready", **options)
    counts = {sid: found for task in tasks for sid, found in verify_partition(task).items()}
    lists = [
        sorted(
            json.dumps(row, default=str, sort_keys=True)
            for task in tasks
            for row in pq.read_table(getattr(task, kind)).to_pylist()
        )
        for kind in ("pending", "ready")
    ]
    return counts, lists


@given(st.lists(st.text("AB\N{GRINNING FACE}\x00", max_size=10) | st.text("B", min_size=7, max_size=9), max_size=25))
def test_examples_are_the_smallest_of_all_whatever_form_sids_have(sids: list[str]) -> None:
    rows = [binding(n, sid=sid, binding_type="odd" if n % 2 else "apn") for n, sid in enumerate(sids)]
    batch, counted = pa.RecordBatch.from_pylist(rows, schema=BINDINGS), TaskCounts()
    for piece in (batch.slice(7), batch.slice(0, 7)):
        Mapper(AS_OF, default_rules(), CALM).map_batch(piece, counted)
    found = {finding.code: finding.examples for finding in counted.by_service()[0].findings("x")}
    assert found.get("binding-type-unknown", ()) == tuple(sorted(sids[1::2])[:5])


def test_more_kinds_than_a_number_tells_apart_are_still_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrate.map.bindings._MOST_CODES", 4)
    rows = [
        binding(n, binding_type=kind, message_types=[name])
        for n, (kind, name) in enumerate(zip("aabb", "xyxy", strict=True))
    ]
    counted = TaskCounts()
    Mapper(AS_OF, default_rules(), CALM).map_batch(pa.RecordBatch.from_pylist(rows, schema=BINDINGS), counted)
    counts = counted.by_service()[0]
    assert counts.binding_types == Counter(a=2, b=2)
    assert counts.notes["message-type-unknown", "x"] == counts.notes["message-type-unknown", "y"] == 2


LISTED = ("service_sid", "identity", "endpoint", "platform", "last_seen", "sid")


def test_pending_bindings_are_sorted_by_few_services_at_a_time(tmp_path: Path, connections: list[None]) -> None:
    """Buckets of one service together, and no two services that are in no file together."""
    parts, expected = [], []
    for number, who in enumerate(["1b", "1a", "2a", "", "3b 4a", "3a", "5a"]):
        rows = [
            {"service_sid": service_sid(int(one[0])), "identity": one[1], "endpoint": "e", "platform": "apn"}
            | {"last_seen": AS_OF, "sid": f"BS{number}"}
            for one in who.split()
        ]
        parts.append(tmp_path / f"{number}.parquet")
        kinds = {name: pa.string() for name in LISTED} | {"last_seen": PENDING.field("last_seen").type}
        schema = pa.schema(list(kinds.items()))
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), parts[-1])
        expected += [(row["service_sid"], row["identity"]) for row in rows]
    assert write_pending(tmp_path / "pending.parquet", {}, parts, tmp_path) == len(expected)
    found = pq.read_table(tmp_path / "pending.parquet").to_pylist()
    assert [(row["service_sid"], row["identity"]) for row in found] == sorted(expected)
    assert len(connections) == 4


def long_texts(folder: Path, many: int, size: int) -> dict[str, list[Path]]:
    """So many services with a few bindings each, whose endpoints are so long."""
    paths = {}
    for number in range(many):
        rows = [(f"u{n}", f"{n}-{number}-".ljust(size, "x"), "apn", False) for n in range(20)]
        paths[service_sid(number)] = [path for path, _ in written(folder, number, rows)]
    return paths


def test_texts_that_are_too_long_for_the_memory_are_mapped_by_fewer_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrate.map.sharing._MEMORY_LIMIT", "12MB")
    services = []
    for sid, parts in long_texts(tmp_path / "in", 8, 60_000).items():
        services.append(SmallService(sid, tuple(parts)))
    (tmp_path / "out").mkdir()
    task = TaskTogether(tuple(services), tmp_path / "out", Mapper(AS_OF, default_rules(), CALM))
    with pytest.raises(FullMemoryError):
        map_together(task)
    found = map_some(task)
    assert {sid: counts.rows for sid, counts in found.counts.items()} == {service.sid: 20 for service in services}
    written = rows_of(path for folder in found.folders for path in folder.iterdir())
    assert {sid: len(rows) for sid, rows in written.items()} == {service.sid: 20 for service in services}


def test_texts_that_are_too_long_for_the_memory_are_compared_by_fewer_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = long_texts(tmp_path, 8, 60_000)
    services = [ServiceParts(sid, [(path, 20) for path in paths], []) for sid, paths in parts.items()]
    expected = compared(services, tmp_path)
    opened: list[int] = []
    compare = partition._compare

    def counting(one: partition.Partition) -> Any:
        opened.append(len(one.services))
        return compare(one)

    monkeypatch.setattr(partition, "_compare", counting)
    assert compared(services, tmp_path, memory_limit="16MB") == expected
    assert opened[0] == 8
    assert len(opened) > 1
