"""Identities of a file: read as they stand, asked for in batches, each once, and nothing else is extracted."""

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

from migrate.extract import buffer, identities
from migrate.extract.identities import LANES, MOST_FILTER_CHARACTERS, Identities, read_identities
from migrate.model.errors import InputError
from migrate.snapshot.reader import read_snapshot
from migrate.standin.faults import Faults
from migrate.standin.server import StandInServer
from migrate.standin.world import Binding
from tests.conftest import MEASURE, Demo, Run, Serve, service_sid, tiny_world
from tests.test_durability import dies, kill_at


def found_in(path: Path, content: bytes | None = None, column: str = "identity") -> list[str]:
    """The identities that are read from a file."""
    if content is not None:
        path.write_bytes(content)
    found: list[str] = read_identities(path, column).values.to_pylist()
    return found


# --- reading ----------------------------------------------------------------------------------------------


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


def content(data: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(data)

    return make


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


# --- through the whole of extract ---------------------------------------------------------------------------

SERVICES = 2
ODD = ["a&b=c", "a+b", "a b", "50%", "%41", "émile 😀", "x" * 5000, " led by a space", "a#b?c/d", "007", "7", "null"]


def crowd(**changes: Any) -> dict[str, Any]:
    """A world of services that share people; each person has two bindings in each service."""
    content = tiny_world()
    groups = [{"count": 2, "identity": each, "binding_type": ["apn", "fcm"]} for each in ODD]
    groups += [
        {"count": 24, "identity": "person-{n}"},
        {"count": 24, "identity": "person-{n}", "binding_type": "fcm"},
    ]
    groups += [{"count": 2, "identity": None}, {"count": 2, "identity": ""}]
    service = {**content["services"][0], "bindings": groups}
    return {**content, "services": [service] * SERVICES, **changes}


PEOPLE = [*ODD, *(f"person-{number:04}" for number in range(1, 25, 2)), "nobody", "person-9999"]


def expected(server: StandInServer, people: list[str]) -> list[str]:
    bindings: list[Binding] = [each for service in server.world.services.values() for each in service.bindings]
    return sorted(each.sid for each in bindings if each.identity in people)


def extracted(folder: Path) -> list[str]:
    return sorted(pd.read_parquet(folder / "bindings")["sid"])


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.txt"
    path.write_text("".join(f"{each}\n" for each in PEOPLE), "utf-8")
    return path


@pytest.fixture
def short_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few identities in a request that a service has lanes of several."""
    monkeypatch.setattr(identities, "MOST_FILTER_CHARACTERS", 60)
    monkeypatch.setattr(identities, "LANES", 4)


def manifest(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_bytes())


@pytest.mark.parametrize("page_size", [3, 1000])
def test_the_bindings_of_those_people_come_from_all_services_and_no_others(
    tmp_path: Path, run: Run, serve: Serve, people: Path, page_size: int
) -> None:
    server = serve(crowd())
    result = run("extract", "--out", tmp_path / "s", "--identity-file", people, "--page-size", page_size)
    assert result.exit_code == 0, result.output
    assert extracted(tmp_path / "s") == expected(server, PEOPLE)
    frame = pd.read_parquet(tmp_path / "s" / "bindings")
    assert set(frame["identity"]) == set(PEOPLE) - {"nobody", "person-9999"}
    assert frame.groupby("service_sid", observed=True).size().to_dict() == dict.fromkeys(
        map(service_sid, range(1, SERVICES + 1)), 2 * len(ODD) + 24
    )


@pytest.mark.usefixtures("short_batches")
def test_the_chains_of_a_service_are_its_lanes_and_the_manifest_names_nobody(
    tmp_path: Path, run: Run, serve: Serve, people: Path
) -> None:
    server = serve(crowd())
    result = run("extract", "--out", tmp_path / "s", "--identity-file", people, "--json")
    assert result.exit_code == 0, result.output
    assert extracted(tmp_path / "s") == expected(server, PEOPLE)
    facts = manifest(tmp_path / "s")
    assert facts["filters"] == {
        "services": [],
        "binding_types": [],
        "identities": [],
        "identity_file": {"count": len(PEOPLE), "sha256": read_identities(people).describe().sha256},
    }
    wanted = {f"chat:{service_sid(n)}:identities-{lane:02}" for n in range(1, SERVICES + 1) for lane in range(4)}
    assert {chain["chain"] for chain in facts["chains"]} == wanted
    batches = len(read_identities(people).starts)
    assert batches > 4
    assert sum(chain["pages"] for chain in facts["chains"]) == SERVICES * batches
    text = (tmp_path / "s" / "manifest.json").read_text("utf-8")
    for shown in (text, result.stdout, result.stderr):
        assert not [each for each in PEOPLE if len(each) > 4 and each in shown]
        assert "person-" not in shown


@pytest.mark.usefixtures("short_batches")
def test_other_filters_narrow_it_further(tmp_path: Path, run: Run, serve: Serve, people: Path) -> None:
    server = serve(crowd())
    options = ["--identity-file", people, "--binding-type", "fcm", "--service", service_sid(2)]
    assert run("extract", "--out", tmp_path / "s", *options).exit_code == 0
    bindings = server.world.services[service_sid(2)].bindings
    wanted = sorted(each.sid for each in bindings if each.identity in PEOPLE and each.binding_type == "fcm")
    assert extracted(tmp_path / "s") == wanted


@pytest.mark.usefixtures("short_batches")
@pytest.mark.parametrize(
    "faults", [Faults(token_expiry=0.1, seed=3), Faults(rate=0.2, seed=1)], ids=["tokens", "all"]
)
def test_faults_lose_nothing_in_any_lane(
    tmp_path: Path, run: Run, serve: Serve, people: Path, faults: Faults
) -> None:
    server = serve(crowd(), faults=faults)
    result = run("extract", "--out", tmp_path / "s", "--identity-file", people, "--page-size", 2)
    assert result.exit_code == 0, result.output
    assert extracted(tmp_path / "s") == expected(server, PEOPLE)
    facts = manifest(tmp_path / "s")  # a list of a lane that began anew shows in what came twice
    assert facts["duplicates_removed"] + sum(chain["restarts"] + chain["retries"] for chain in facts["chains"])


@pytest.mark.usefixtures("short_batches")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", [1, 4, 12])
def test_one_that_dies_in_the_midst_of_its_lanes_is_gone_on_with(
    tmp_path: Path,
    run: Run,
    serve: Serve,
    people: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    after: bool,
) -> None:
    server = serve(crowd())
    monkeypatch.setattr(buffer, "MOST_PART_ROWS", 5)
    options = ["extract", "--out", tmp_path / "s", "--identity-file", people, "--page-size", 3, "--concurrency", 2]
    with monkeypatch.context() as patched:
        kill_at(patched, "append", number, after=after)
        assert dies(run, *options)
    assert manifest(tmp_path / "s")["status"] == "unfinished"
    result = run(*options)
    assert result.exit_code == 0, result.output
    assert extracted(tmp_path / "s") == expected(server, PEOPLE)
    assert read_snapshot(tmp_path / "s").manifest.duplicates_removed == 0


@pytest.mark.usefixtures("short_batches")
def test_one_that_goes_on_does_not_ask_again_for_what_it_has(
    tmp_path: Path, run: Run, serve: Serve, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(crowd())
    monkeypatch.setattr(buffer, "MOST_PART_ROWS", 5)
    options = ["extract", "--identity-file", people, "--page-size", 3, "--concurrency", 2]
    assert run(*options, "--out", tmp_path / "whole").exit_code == 0
    whole = server.world.requests
    with monkeypatch.context() as patched:
        kill_at(patched, "append", 10)
        assert dies(run, *options, "--out", tmp_path / "s")
    lines = [json.loads(line) for line in (tmp_path / "s" / "checkpoint.jsonl").read_text().splitlines()]
    kept = sum(line["pages"] for line in lines)
    assert any(line["turn"] and not line["done"] for line in lines), "it is in the midst of a lane"
    before = server.world.requests
    assert run(*options, "--out", tmp_path / "s").exit_code == 0
    assert kept > 0
    assert server.world.requests - before <= whole - kept
    assert extracted(tmp_path / "s") == extracted(tmp_path / "whole")


@pytest.mark.usefixtures("short_batches")
def test_a_file_that_has_changed_meanwhile_is_refused_and_one_that_says_the_same_is_not(
    tmp_path: Path, run: Run, serve: Serve, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(crowd())
    with monkeypatch.context() as patched:
        kill_at(patched, "append", 3)
        assert dies(run, "extract", "--out", tmp_path / "s", "--identity-file", people)
    before = (tmp_path / "s" / "checkpoint.jsonl").read_bytes()
    other = tmp_path / "other.txt"
    for changed in (PEOPLE[1:], [*PEOPLE, "person-0002"], [*PEOPLE[1:], "somebody"]):
        other.write_text("".join(f"{each}\n" for each in changed), "utf-8")
        result = run("extract", "--out", tmp_path / "s", "--identity-file", other)
        assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
        assert "--restart" in result.stderr
        assert "person-" not in result.stderr
    for options in ([], ["--identity", "person-0001"]):
        assert run("extract", "--out", tmp_path / "s", *options).exit_code == 4
    assert (tmp_path / "s" / "checkpoint.jsonl").read_bytes() == before
    pq.write_table(pa.table({"who": [*PEOPLE[::-1], *PEOPLE]}), tmp_path / "same.parquet")
    same = ["--identity-file", tmp_path / "same.parquet", "--identity-column", "who"]
    assert run("extract", "--out", tmp_path / "s", *same).exit_code == 0
    assert extracted(tmp_path / "s") == expected(server, PEOPLE)


def test_an_extract_of_the_same_people_again_can_take_them_from_the_snapshot(
    tmp_path: Path, run: Run, serve: Serve, people: Path
) -> None:
    serve(crowd())
    assert run("extract", "--out", tmp_path / "one", "--identity-file", people).exit_code == 0
    assert run("extract", "--out", tmp_path / "two", "--identity-file", tmp_path / "one").exit_code == 0
    assert extracted(tmp_path / "two") == extracted(tmp_path / "one")


def test_how_to_go_on_names_the_file_and_its_column(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(crowd())
    path = tmp_path / "the people.csv"
    path.write_text("who\nperson-0001\n")

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("migrate.extract.extraction.list_credentials", interrupt)
    result = run("extract", "--out", tmp_path / "s", "--identity-file", path, "--identity-column", "who")
    assert result.exit_code == 130
    assert f"--identity-file '{path}' --identity-column who" in result.stderr


def test_such_a_snapshot_can_be_mapped_and_planned(tmp_path: Path, run: Run, serve: Serve, people: Path) -> None:
    server = serve(crowd())
    assert run("extract", "--out", tmp_path / "s", "--identity-file", people).exit_code == 0
    mapped = run("map", tmp_path / "s", "--out", tmp_path / "m", "--json")
    assert mapped.exit_code == 0, mapped.output
    summary = json.loads(mapped.stdout)
    assert sum(service["bindings"] for service in summary["services"]) == len(expected(server, PEOPLE))
    loaded = run("load", tmp_path / "m", "--plan-out", tmp_path / "plan.json", "--report", tmp_path / "report.md")
    assert loaded.exit_code == 0, loaded.output
    assert len(json.loads((tmp_path / "plan.json").read_bytes())["changes"]) == SERVICES
    assert server.world.writes == []


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
