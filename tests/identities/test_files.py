"""Files of identities: text, CSV, Parquet, a snapshot; and those that are refused."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote_plus, urlencode

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.extract import identities
from migrate.extract.identities import LANES, MOST_FILTER_CHARACTERS, Identities, read_identities
from migrate.model.errors import InputError
from tests.conftest import MEASURE, Demo, Run, Serve, tiny_world
from tests.identities.conftest import content


def found_in(path: Path, content: bytes | None = None, column: str = "identity") -> list[str]:
    """The identities that are read from a file."""
    if content is not None:
        path.write_bytes(content)
    found: list[str] = read_identities(path, column).values.to_pylist()
    return found


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        pytest.param(b"bob\nalice\n", ["alice", "bob"], id="in their order"),
        pytest.param(b"bob\nalice", ["alice", "bob"], id="no line break at the end"),
        pytest.param(b"\xef\xbb\xbfalice\nbob\n", ["alice", "bob"], id="BOM"),
        pytest.param(b"alice\r\nbob\r\n", ["alice", "bob"], id="CRLF"),
        pytest.param(b"\n\nalice\n\r\n\nbob\n\n", ["alice", "bob"], id="blank lines"),
        pytest.param(b"alice\nbob\nalice\r\nalice", ["alice", "bob"], id="duplicates"),
        pytest.param(b" alice \n\tbob\n  \n", ["\tbob", "  ", " alice "], id="spaces are kept"),
        pytest.param(b'"alice",1\n', ['"alice",1'], id="no CSV"),
        pytest.param(b"007\n1e3\nnull\n", ["007", "1e3", "null"], id="what looks like something else"),
        pytest.param("é😀\n\u2028x\n\x85y\n".encode(), ["\x85y", "é😀", "\u2028x"], id="no other line breaks"),
        pytest.param(b"".join(b"%06d\n" % n for n in range(60_000)), [f"{n:06}" for n in range(60_000)], id="many"),
    ],
)
def test_a_text_file_has_one_identity_a_line(tmp_path: Path, content: bytes, wanted: list[str]) -> None:
    assert found_in(tmp_path / "people.txt", content) == wanted
    assert found_in(tmp_path / "people", content) == wanted


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        pytest.param(b"identity\nbob\nalice\n", ["alice", "bob"], id="one column"),
        pytest.param(b"n,identity,x\r\n1,bob,\r\n2,alice,y\r\n", ["alice", "bob"], id="one of several"),
        pytest.param(b'identity,n\n"Doe, Jane",1\n"say ""hi""",2\n', ["Doe, Jane", 'say "hi"'], id="quoted"),
        pytest.param(b"identity\n007\n7\n07\n1.0\n1e3\n", ["007", "07", "1.0", "1e3", "7"], id="numbers are text"),
        pytest.param(b"identity\ntrue\nnull\nNA\n2024-01-01\n", ["2024-01-01", "NA", "null", "true"], id="words too"),
        pytest.param(b"identity\n alice \n", [" alice "], id="spaces are kept"),
        pytest.param(b"identity,n\n,1\nalice,2\n,3\nalice,4\n", ["alice"], id="empty and twice"),
        pytest.param(b"\xef\xbb\xbfidentity\nalice\n", ["alice"], id="BOM"),
        pytest.param("n,identity\n1,é😀\n".encode(), ["é😀"], id="any letters"),
        pytest.param(b"identity,n\n" + b"".join(b"%07d,x\n" % n for n in range(200_000)),
                     [f"{n:07}" for n in range(200_000)], id="more than one block"),
    ],
)  # fmt: skip
def test_a_csv_file_has_them_in_a_column_as_text(tmp_path: Path, content: bytes, wanted: list[str]) -> None:
    assert found_in(tmp_path / "people.csv", content) == wanted


def test_the_column_can_have_another_name(tmp_path: Path) -> None:
    content = b'identity,"user, id"\nnobody,"a,b"\nnobody,0042\n'
    assert found_in(tmp_path / "people.csv", content, "user, id") == ["0042", "a,b"]
    table = pa.table({"identity": ["nobody"], "user.id": ["alice"]})
    pq.write_table(table, tmp_path / "people.parquet")
    assert found_in(tmp_path / "people.parquet", column="user.id") == ["alice"]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        pytest.param(pa.array(["bob", "alice", None, "", "bob"]), ["alice", "bob"], id="text"),
        pytest.param(pa.array([10, 9, None, -1], pa.int64()), ["-1", "10", "9"], id="numbers"),
        pytest.param(pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)], id="large numbers"),
        pytest.param(pa.array(["bob", "alice"], pa.large_string()), ["alice", "bob"], id="large text"),
        pytest.param(pa.array(["bob", "alice", "bob"]).dictionary_encode(), ["alice", "bob"], id="categories"),
        pytest.param(pa.array(["a\nb", " a\0 ", "😀"]), [" a\0 ", "a\nb", "😀"], id="any characters"),
    ],
)
def test_a_parquet_file_has_them_in_a_column_as_text(tmp_path: Path, values: pa.Array, wanted: list[str]) -> None:
    pq.write_table(pa.table({"n": range(len(values)), "identity": values}), tmp_path / "people.parquet")
    assert found_in(tmp_path / "people.parquet") == wanted
    half = len(values) // 2
    for number, piece in enumerate((values[:half], values[half:])):
        (tmp_path / "people" / f"day={number}").mkdir(parents=True)
        pq.write_table(pa.table({"identity": piece}), tmp_path / "people" / f"day={number}" / "x.parquet")
    assert found_in(tmp_path / "people") == wanted, "and a folder of such files has them all"


def test_a_snapshot_has_those_of_its_bindings(demo: Demo) -> None:
    snapshot = demo.folder / "snapshot"
    wanted = set(pd.read_parquet(snapshot / "bindings")["identity"].dropna()) - {""}
    assert found_in(snapshot) == sorted(wanted)
    assert found_in(snapshot / "bindings") == sorted(wanted)


def parquet(**columns: Any) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table(columns), path)


def folder_with(name: str, write: Callable[[Path], None]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.mkdir()
        write(path / name)

    return make


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        pytest.param("x.csv", content(b"user,mail\na,b\n"), "has no column 'identity', but: user, mail", id="csv column"),
        pytest.param("x.csv", content(b"user;identity\na;b\n"), "but: user;identity", id="csv with semicolons"),
        pytest.param("x.parquet", parquet(user=["a"], mail=["b"]), "but: user, mail", id="parquet column"),
        pytest.param("x", folder_with("y.parquet", parquet(user=["a"])), "but: user", id="folder's column"),
        pytest.param("x.csv", content(",".join(f"c{n}" for n in range(20)).encode() + b"\n"), "c6, c7, …", id="many columns"),
        pytest.param("x.parquet", content(b"PAR1 and no more"), "it is damaged", id="damaged parquet"),
        pytest.param("x.parquet", content(b"alice\n"), "it is damaged", id="text named parquet"),
        pytest.param("x", folder_with("y.parquet", content(b"")), "it is damaged", id="damaged in a folder"),
        pytest.param("x.csv", content(b"identity,n\na,1\nb\n"), "it is damaged", id="csv with a short row"),
        pytest.param("x.csv", content(b"identity\n\xff\xfe\n"), "it is damaged", id="csv not in UTF-8"),
        pytest.param("x.txt", content("alice\nBjörn\n".encode("latin-1")), "is not text in UTF-8", id="text not in UTF-8"),
        pytest.param("x.txt", content("alice\n".encode("utf-16")), "is not text in UTF-8", id="text in UTF-16"),
        pytest.param("x.parquet", parquet(identity=[["a"]]), "it is damaged", id="a list is no identity"),
        pytest.param("x.parquet", parquet(identity=[{"a": 1}]), "it is damaged", id="a struct is no identity"),
        pytest.param("x.txt", content(b""), "holds no identity", id="empty text"),
        pytest.param("x.txt", content(b"\n\r\n\n"), "holds no identity", id="only blank lines"),
        pytest.param("x.csv", content(b""), "holds no identit", id="empty csv"),
        pytest.param("x.csv", content(b"identity\n"), "holds no identity", id="csv of a head"),
        pytest.param("x.csv", content(b"identity,n\n,1\n"), "holds no identity", id="csv of empty ones"),
        pytest.param("x.parquet", parquet(identity=pa.array([None, ""])), "holds no identity", id="parquet of none"),
        pytest.param("x.parquet", parquet(identity=pa.nulls(2)), "holds no identity", id="parquet of nulls"),
        pytest.param("x", lambda path: path.mkdir(), "holds no identity", id="empty folder"),
        pytest.param("x.csv", lambda path: path.mkdir(), "holds no identity", id="folder with a file's name"),
        pytest.param("x", folder_with("y.csv", content(b"identity\na\n")), "holds no identity", id="folder of csv"),
        pytest.param("x.txt", lambda path: path.symlink_to("/proc/self/mem"), "Cannot read", id="unreadable"),
    ],
)  # fmt: skip
def test_what_holds_no_identities_is_one_line_and_nothing_is_begun(
    tmp_path: Path, run: Run, serve: Serve, name: str, make: Callable[[Path], None], said: str
) -> None:
    server = serve(tiny_world())
    make(tmp_path / name)
    result = run("extract", "--out", tmp_path / "s", "--identity-file", tmp_path / name)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1), result.stderr
    assert str(tmp_path / name) in result.stderr
    assert said in result.stderr
    assert ("--identity-column" in result.stderr) == ("but:" in said or "c7" in said)
    assert not (tmp_path / "s").exists()
    assert server.world.requests == 0


def test_a_file_and_single_identities_exclude_each_other_and_an_absent_file_is_wrong_usage(
    tmp_path: Path, run: Run
) -> None:
    (tmp_path / "x").write_text("alice\n")
    for options in (["--identity-file", tmp_path / "x", "--identity", "bob"], ["--identity-file", tmp_path / "y"]):
        assert run("extract", "--out", tmp_path / "s", *options).exit_code == 2


# --- batches ----------------------------------------------------------------------------------------------

texts = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=40),
    st.text(st.sampled_from("&+% =/?#é😀a"), min_size=1, max_size=60),
    st.integers(1, 600).map("x".__mul__),
)


@settings(max_examples=100)
@given(people=st.lists(texts, min_size=1, max_size=60), most=st.integers(20, 800), lanes=st.integers(1, 9))
def test_each_identity_is_in_one_batch_in_order_and_no_batch_makes_an_address_too_long(
    people: list[str], most: int, lanes: int
) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.multiple(identities, MOST_FILTER_CHARACTERS=most, LANES=lanes),
    ):
        pq.write_table(pa.table({"identity": people}), path := Path(folder) / "people.parquet")
        read = read_identities(path)
        batches = [read.batch(number) for number in range(len(read.starts))]
        assert [each for batch in batches for each in batch] == sorted(set(people))
        assert all(batches), "an empty one would ask for everybody"
        for batch in batches:
            query = "&" + urlencode([("Identity", each) for each in batch])
            assert len(batch) == 1 or len(query) <= most
        for before, after in itertools.pairwise(batches):
            query = "&" + urlencode([("Identity", each) for each in [*before, after[0]]])
            assert len(query) > most, "a batch takes what it can"
        assert 1 <= read.lanes <= lanes
        turns = [list(read.turns(lane)) for lane in range(read.lanes)]
        assert all(turns)
        assert [turn for lane in turns for turn in lane] == list(range(len(batches)))
        assert max(map(len, turns)) - min(map(len, turns)) <= 1


def test_addresses_stay_within_what_every_server_takes(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("".join(f"person {number}\n" for number in range(20_000)), "utf-8")
    read = read_identities(tmp_path / "x")
    assert MOST_FILTER_CHARACTERS <= 8000 // 2, "links back have more in them (RFC 9110, 4.1)"
    longest = max(
        sum(len("&Identity=" + quote_plus(each)) for each in read.batch(n)) for n in range(len(read.starts))
    )
    assert MOST_FILTER_CHARACTERS - 50 < longest <= MOST_FILTER_CHARACTERS
    assert read.lanes == LANES < len(read.starts)


def test_the_digest_is_of_the_identities_whatever_file_they_came_in(tmp_path: Path) -> None:
    def described(name: str, data: bytes) -> Any:
        (tmp_path / name).write_bytes(data)
        return read_identities(tmp_path / name).describe()

    first = described("a.txt", b"alice\nbob\n")
    assert first == described("b.csv", b"identity,n\nbob,1\nalice,2\nbob,3\n")
    assert (first.count, len(first.sha256)) == (2, 64)
    others = [described("c.txt", data) for data in (b"alice\n", b"alice\nbo\n", b"aliceb\nob\n", b"alice\nbob \n")]
    assert len({each.sha256 for each in [first, *others]}) == 5


def test_the_digest_covers_where_batches_begin() -> None:
    values = pa.array(["a", "b", "c"])
    digests = {Identities(values, starts).describe().sha256 for starts in ((0,), (0, 1), (0, 2), (0, 1, 2))}
    assert len(digests) == 4


def test_the_ending_may_be_in_capitals_and_tabs_may_separate(tmp_path: Path) -> None:
    (tmp_path / "X.CSV").write_text("identity,n\nalice,1\n")
    (tmp_path / "x.tsv").write_text("n\tidentity\n1\talice, the first\n")
    assert read_identities(tmp_path / "X.CSV").values.to_pylist() == ["alice"]
    assert read_identities(tmp_path / "x.tsv").values.to_pylist() == ["alice, the first"]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ([pa.array([15551234567.0, None])], "holds numbers with fractions"),
        ([pa.array(["a"]), pa.array(["b"])], "more than one column 'identity'"),
        ([pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])],
         "holds no identities"),
    ],
    ids=["fractions", "two columns", "not UTF-8"],
)  # fmt: skip
def test_a_column_that_says_nothing_certain_is_one_line(
    tmp_path: Path, columns: list[pa.Array], problem: str
) -> None:
    pq.write_table(pa.Table.from_arrays(columns, names=["identity"] * len(columns)), tmp_path / "x.parquet")
    with pytest.raises(InputError, match=problem):
        read_identities(tmp_path / "x.parquet")


@pytest.mark.long
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_file_of_a_million_identities_is_read_in_little_memory(
    tmp_path: Path, environment: pytest.MonkeyPatch, serve: Serve, ending: str
) -> None:
    """With blank lines, twice the same ones, and a byte-order mark; from an account without services."""
    serve({**tiny_world(), "services": []})
    lines = [f"user-{number:07}@example.test" for number in range(1_000_000)]
    file = tmp_path / "people.txt"
    file.write_bytes(b"\xef\xbb\xbf" + ending.join([*lines, "", *lines[:1_000], ""]).encode())
    del lines
    words = ["extract", "--out", str(tmp_path / "s"), "--identity-file", str(file)]
    done = subprocess.run([sys.executable, "-c", MEASURE, *words], capture_output=True, text=True, check=True)
    code, peak = json.loads(done.stdout)
    assert code == 0, done.stderr
    assert (
        json.loads((tmp_path / "s" / "manifest.json").read_bytes())["filters"]["identity_file"]["count"] == 1_000_000
    )
    assert peak * (1 if sys.platform == "darwin" else 1 << 10) < 500 << 20
