"""DuckDB's instances are used again, and nothing of one use is seen by the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrate.storage import database
from migrate.storage.database import DamagedFileError, over_parts, over_views
from tests.conftest import ROOT

PARTED = pa.table({"sid": ["a", "b", "c"]})


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[duckdb.DuckDBPyConnection]:
    """The instances that were begun, none of them before."""
    found: list[duckdb.DuckDBPyConnection] = []
    connect = duckdb.connect

    def beginning(**options: Any) -> duckdb.DuckDBPyConnection:
        found.append(connect(**options))
        return found[-1]

    monkeypatch.setattr(database, "_INSTANCES", database._Instances())
    monkeypatch.setattr(duckdb, "connect", beginning)
    return found


@pytest.fixture
def part(tmp_path: Path) -> Path:
    pq.write_table(PARTED, tmp_path / "it's a part.parquet")
    return tmp_path / "it's a part.parquet"


def setting(connection: duckdb.DuckDBPyConnection, name: str) -> Any:
    found = connection.execute(f"SELECT current_setting('{name}')").fetchone()
    assert found
    return found[0]


def test_the_next_use_has_its_own_settings_and_nothing_of_the_one_before(
    tmp_path: Path, part: Path, begun: list[duckdb.DuckDBPyConnection]
) -> None:
    quoted = tmp_path / "a folder's"
    quoted.mkdir()
    with over_parts([part], tmp_path, "64MB") as first:
        threads = setting(first, "threads")
        for statement in (
            "SET threads = 1",
            "SET preserve_insertion_order = false",
            "CREATE TEMP TABLE held AS FROM bindings",
        ):
            first.execute(statement)
        first.register("services", PARTED)
    with over_views({"others": [part]}, quoted, "128MB") as second:
        assert second.execute("SELECT count(*) FROM others").fetchone() == (3,)
        assert (setting(second, "threads"), setting(second, "preserve_insertion_order")) == (threads, True)
        assert setting(second, "memory_limit") == "122.0 MiB"
        assert Path(setting(second, "temp_directory")).parent == quoted
        for name in ("bindings", "held", "services"):
            with pytest.raises(duckdb.CatalogException):
                second.execute(f"FROM {name}")
    assert len(begun) == 1


def test_two_at_a_time_have_an_instance_each(
    tmp_path: Path, part: Path, begun: list[duckdb.DuckDBPyConnection]
) -> None:
    with over_parts([part], tmp_path) as one, over_parts([part], tmp_path) as other:
        one.execute("SET threads = 1")
        assert setting(other, "threads") == (os.cpu_count() or 1)
    assert len(begun) == 2


def test_one_that_has_failed_or_went_to_the_disk_is_not_used_again(
    tmp_path: Path, part: Path, begun: list[duckdb.DuckDBPyConnection]
) -> None:
    with pytest.raises(duckdb.CatalogException), over_parts([part], tmp_path) as failing:
        failing.execute("FROM nothing")
    with over_parts([part], tmp_path, "16MB") as spilling:
        spilling.execute("SET threads = 1")
        spilling.execute("CREATE TEMP TABLE much AS SELECT range AS n, hash(range) AS h FROM range(3000000)")
        assert any(Path(setting(spilling, "temp_directory")).iterdir())
    with over_parts([part], tmp_path) as whole:
        assert whole.execute("SELECT count(*) FROM bindings").fetchone() == (3,)
    assert len(begun) == 3
    assert [path.name for path in tmp_path.iterdir()] == [part.name]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_is_forked_begins_its_own(
    tmp_path: Path, part: Path, begun: list[duckdb.DuckDBPyConnection]
) -> None:
    with over_parts([part], tmp_path) as first:
        first.execute("FROM bindings").fetchall()
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with over_parts([part], tmp_path) as own:
                found = own.execute("SELECT count(*) FROM bindings").fetchone()
            os.write(told, b"right" if found == (3,) and len(begun) == 2 else b"wrong")
        finally:  # in an ordinary end it would store what of all modules was traced, which takes ten seconds
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(told)
    os.waitpid(child, 0)
    assert os.read(heard, 10) == b"right"
    os.close(heard)
    with over_parts([part], tmp_path):
        assert len(begun) == 1


FORKED = """
import os, sys
from pathlib import Path
from migrate.storage.database import over_parts

with over_parts([], Path(sys.argv[1])) as first:
    first.execute("FROM bindings").fetchall()
child = os.fork()
if child == 0:
    if sys.argv[2] == "uses":
        with over_parts([], Path(sys.argv[1])) as own:
            own.execute("FROM bindings").fetchall()
    sys.exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("child", ["uses", "only ends"])
def test_a_child_that_is_forked_ends_in_the_ordinary_way(tmp_path: Path, child: str) -> None:
    done = subprocess.run([sys.executable, "-c", FORKED, str(tmp_path), child], cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 7


def test_an_idle_instance_holds_no_memory(tmp_path: Path, begun: list[duckdb.DuckDBPyConnection]) -> None:
    with over_parts([], tmp_path) as much:
        much.execute("CREATE TEMP TABLE much AS SELECT range AS n, hash(range) AS h FROM range(6000000)")
        held = psutil.Process().memory_info().rss
    assert held - psutil.Process().memory_info().rss > 50 << 20
    assert len(begun) == 1


def test_damage_is_told_from_a_mistake_in_a_query(tmp_path: Path, part: Path) -> None:
    with pytest.raises(duckdb.InvalidInputException), over_parts([part], tmp_path) as database:
        database.execute("SELECT $lacking FROM bindings")
    column, data = pq.read_metadata(part).row_group(0).column(0), bytearray(part.read_bytes())
    data[column.data_page_offset : column.data_page_offset + column.total_compressed_size] = bytes(
        column.total_compressed_size
    )
    part.write_bytes(data)
    with pytest.raises(DamagedFileError), over_parts([part], tmp_path) as database:
        database.execute("FROM bindings").fetchall()
