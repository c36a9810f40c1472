"""Each binding once: what repeats is dropped, and nothing else, whatever the sids look like."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.extract import buffer
from migrate.snapshot import deduplicate, writer
from migrate.snapshot.deduplicate import Keys, without_duplicates
from migrate.snapshot.reader import read_snapshot
from tests.conftest import Run, Serve, service_sid, tiny_world
from tests.test_durability import dies, kill_at

pytestmark = pytest.mark.no_cover  # other tests cover the same lines; untraced, these take half the time

# Pairs of one key: they differ in what the key does not cover, or come to the same 64 bits by chance.
COLLISIONS = [
    ("BS" + "0" * 16 + "f" * 16, "BS" + "1" * 16 + "f" * 16),
    ("BS" + "0" * 16 + "e46f2071ffcfe9ff", "BS" + "0" * 16 + "232a058c558f93e1"),
    ("BS" + "a" * 16 + "cf93f803fffc9fef", "BS" + "b" * 16 + "e2ed32f702e93081"),
]


def sid(number: int) -> str:
    return f"BS{number:032x}"


def distinct(*parts: list[str]) -> bool:
    """Whether all sids of some parts are distinct, as far as their keys tell."""
    keys = Keys()
    paths = [Path(f"part-{number}") for number in range(len(parts))]
    for path, sids in zip(paths, parts, strict=True):
        keys.add(path, pa.chunked_array([sids], pa.string()))
    return keys.are_distinct(paths)


# --- keys -------------------------------------------------------------------------------------------------


def test_sids_that_are_all_there_and_all_different_are_distinct() -> None:
    assert distinct([sid(1), sid(2)], [sid(3)])
    assert distinct([sid(number) for number in range(100_000)])


def test_a_sid_that_repeats_in_its_part_or_in_another_is_noticed() -> None:
    assert not distinct([sid(1), sid(2), sid(1)])
    assert not distinct([sid(1), sid(2)], [sid(3), sid(1)])


@pytest.mark.parametrize("other", ["BS1", "", "BS" + "0" * 33, "BS" + "é" * 16 + "x", "é" * 34])
def test_of_sids_of_another_form_it_does_not_know(other: str) -> None:
    assert not distinct([sid(1)], [other])
    assert not distinct([other, sid(1)])
    assert not distinct([other])


@pytest.mark.parametrize(("one", "other"), COLLISIONS)
def test_different_sids_of_one_key_are_looked_at_more_closely(one: str, other: str) -> None:
    keys = deduplicate._keys(pa.array([one, other]))
    assert keys is not None
    assert keys[0] == keys[1]
    assert not distinct([one, other])


def test_of_a_part_that_it_was_not_given_it_does_not_know() -> None:
    keys = Keys()
    keys.add(Path("a"), pa.chunked_array([[sid(1)]]))
    assert not keys.are_distinct([Path("a"), Path("b")])


def test_past_the_most_it_does_not_know_what_came_before_nor_what_comes_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deduplicate, "MOST_KEYS", 3)
    assert distinct([sid(1), sid(2)], [sid(3)])
    assert not distinct([sid(1), sid(2)], [sid(3), sid(4)])
    assert not distinct([sid(1), sid(2)], [sid(3), sid(4)], [sid(5)])
    keys = Keys()
    for number in range(6):
        keys.add(Path(f"{number}"), pa.chunked_array([[sid(number)]]))
    assert not keys.are_distinct([Path("5")])


def test_services_do_not_count_for_each_other() -> None:
    keys = Keys()
    for path in ("a", "b"):
        keys.add(Path(path), pa.chunked_array([[sid(1), sid(2)]]))
    assert keys.are_distinct([Path("a")])
    assert keys.are_distinct([Path("b")])


def test_a_column_in_pieces_is_the_same_column() -> None:
    whole = pa.array([sid(number) for number in range(10)])
    pieces = pa.chunked_array([whole.slice(0, 3), whole.slice(3, 1), whole.slice(4, 6)])
    keys = Keys()
    keys.add(Path("a"), pieces)
    keys.add(Path("b"), pa.chunked_array([whole.slice(2, 4)]))
    assert keys.are_distinct([Path("a")])
    keys.add(Path("a"), pieces)
    assert not keys.are_distinct([Path("a"), Path("b")])
    every, some = deduplicate._keys(whole), deduplicate._keys(whole.slice(3, 4))
    assert every is not None
    assert some is not None
    assert list(some) == list(every)[3:7]


odd_sids = st.one_of(
    st.integers(0, 9).map(sid),
    st.sampled_from([each for pair in COLLISIONS for each in pair]),
    st.sampled_from(["BS1", "BS2", "b" * 34, "é" * 17]),
)


@settings(max_examples=150)
@given(st.lists(st.lists(odd_sids, min_size=1, max_size=5), min_size=1, max_size=4))
def test_it_never_takes_for_distinct_what_is_not(found: list[list[str]]) -> None:
    everything = [each for part in found for each in part]
    if distinct(*found):
        assert len(set(everything)) == len(everything)


# --- what is dropped --------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.lists(st.lists(odd_sids, min_size=1, max_size=5), min_size=1, max_size=4))
def test_of_all_rows_of_a_sid_the_last_one_stays_in_its_place(found: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = {}
        for number, sids in enumerate(found):
            path = Path(folder) / f"part-{number}.parquet"
            rows[path] = [(each, f"{number}-{place}") for place, each in enumerate(sids)]
            pq.write_table(pa.table({"sid": sids, "identity": [identity for _, identity in rows[path]]}), path)
        last = {each: identity for part in rows.values() for each, identity in part}
        wanted = {path: [row for row in part if last[row[0]] == row[1]] for path, part in rows.items()}
        changed = dict(without_duplicates(list(rows)))
        for path, part in rows.items():
            if path in changed:
                assert list(zip(*changed[path].to_pydict().values(), strict=True)) == wanted[path]
                assert len(wanted[path]) < len(part), "only parts with a row too many are given"
            else:
                assert wanted[path] == part


def test_of_no_parts_none_is_given() -> None:
    assert list(without_duplicates([])) == []


# --- through the whole of extract ---------------------------------------------------------------------------


def named(*groups: tuple[str, str] | tuple[str, str, str]) -> list[dict[str, Any]]:
    """Groups of one binding, each with its sid and identity and, where it matters, its binding type."""
    kinds = [group[2] if len(group) == 3 else "apn" for group in groups]
    return [
        {"binding_type": kind, "extra": {"sid": group[0], "identity": group[1], "binding_type": kind}}
        for group, kind in zip(groups, kinds, strict=True)
    ]


def kept(folder: Path) -> list[tuple[str, str]]:
    frame = pd.read_parquet(folder / "bindings")
    return sorted(zip(frame["sid"], frame["identity"], strict=True))


def removed(folder: Path) -> int:
    snapshot = read_snapshot(folder)
    assert snapshot.manifest.rows == len(kept(folder))
    return snapshot.manifest.duplicates_removed


OPTIONS = ["extract", "--page-size", 2, "--concurrency", 1]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "MOST_PART_ROWS", 4)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("first", [0, 1, 3, 4, 6])
@pytest.mark.parametrize("second", [7, 8])
def test_a_row_that_comes_again_is_kept_once_as_it_came_last_in_the_same_part_or_another(
    tmp_path: Path, run: Run, serve: Serve, first: int, second: int
) -> None:
    rows = [(sid(number), f"person-{number}") for number in range(9)]
    rows[first] = (sid(99), "as first seen")
    rows[second] = (sid(99), "as last seen")
    serve(tiny_world(bindings=named(*rows)))
    assert run(*OPTIONS, "--no-shard", "--out", tmp_path / "s").exit_code == 0
    assert kept(tmp_path / "s") == sorted(row for row in rows if row[1] != "as first seen")
    assert removed(tmp_path / "s") == 1


def test_a_row_that_comes_again_on_the_same_page_is_kept_once(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world(bindings=named((sid(1), "first"), (sid(1), "last"), (sid(2), "other"))))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    assert kept(tmp_path / "s") == [(sid(1), "last"), (sid(2), "other")]
    assert removed(tmp_path / "s") == 1


@pytest.mark.usefixtures("small_parts")
def test_a_part_of_nothing_but_repeated_rows_goes(tmp_path: Path, run: Run, serve: Serve) -> None:
    turns = ([0, 1, 2, 3], [1, 2, 3, 0], [3, 2, 1, 0])  # no page is another's twin
    rows = [(sid(number), f"turn-{turn}") for turn, numbers in enumerate(turns) for number in numbers]
    serve(tiny_world(bindings=named(*rows)))
    assert run(*OPTIONS, "--no-shard", "--out", tmp_path / "s").exit_code == 0
    assert kept(tmp_path / "s") == [(sid(number), "turn-2") for number in range(4)]
    assert removed(tmp_path / "s") == 8
    assert len(list(tmp_path.glob("s/bindings/*/*"))) == 1


@pytest.mark.usefixtures("small_parts")
def test_a_row_that_two_chains_bring_is_kept_once(tmp_path: Path, run: Run, serve: Serve) -> None:
    """A device's row is read under one binding type, and then, changed meanwhile, under another."""
    others = [(sid(number), f"person-{number}", kind) for number, kind in enumerate(["apn", "fcm", "gcm"] * 3)]
    serve(tiny_world(bindings=named((sid(99), "it", "apn"), *others, (sid(99), "it", "gcm"))))
    assert run(*OPTIONS, "--out", tmp_path / "s").exit_code == 0
    assert kept(tmp_path / "s") == sorted([(sid(99), "it"), *(other[:2] for other in others)])
    assert removed(tmp_path / "s") == 1


def test_a_sid_in_two_services_is_two_bindings(tmp_path: Path, run: Run, serve: Serve) -> None:
    content = tiny_world(bindings=named((sid(1), "a"), (sid(2), "b")))
    serve({**content, "services": content["services"] * 2})
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    assert Counter(each for each, _ in kept(tmp_path / "s")) == {sid(1): 2, sid(2): 2}
    assert removed(tmp_path / "s") == 0


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("repeated", [False, True])
def test_sids_of_one_key_are_all_kept(tmp_path: Path, run: Run, serve: Serve, repeated: bool) -> None:
    rows = [
        (each, f"person-{place}-{turn}") for turn, pair in enumerate(COLLISIONS) for place, each in enumerate(pair)
    ]
    more = [(rows[0][0], "last")] if repeated else []
    serve(tiny_world(bindings=named(*rows, (sid(7), "x"), *more)))
    assert run(*OPTIONS, "--no-shard", "--out", tmp_path / "s").exit_code == 0
    assert kept(tmp_path / "s") == sorted([*rows[len(more) :], (sid(7), "x"), *more])
    assert removed(tmp_path / "s") == len(more)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("odd", [["BS1"], ["BS" + "1" * 40, "x"], ["BS-é", sid(3)]])
def test_sids_of_other_lengths_are_all_kept(
    tmp_path: Path, run: Run, serve: Serve, odd: list[str], repeated: bool
) -> None:
    rows = [(each, f"person-{place}") for place, each in enumerate([sid(1), *odd, sid(2), sid(4)])]
    more = [(odd[0], "last"), (sid(1), "last")] if repeated else []
    serve(tiny_world(bindings=named(*rows, *more)))
    assert run(*OPTIONS, "--no-shard", "--out", tmp_path / "s").exit_code == 0
    gone = {each for each, _ in more}
    assert kept(tmp_path / "s") == sorted([*(row for row in rows if row[0] not in gone), *more])
    assert removed(tmp_path / "s") == len(more)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("most", [0, 5, 9])
def test_more_rows_than_it_keeps_keys_for_lose_nothing_and_repeat_nothing(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(deduplicate, "MOST_KEYS", most)
    rows = [(sid(number), f"person-{number}") for number in range(10)]
    content = tiny_world(bindings=named((sid(3), "first"), *rows))
    serve({**content, "services": [*content["services"], {**content["services"][0], "bindings": named(*rows)}]})
    assert run(*OPTIONS, "--no-shard", "--out", tmp_path / "s").exit_code == 0
    assert kept(tmp_path / "s") == sorted([*rows, *rows])
    assert removed(tmp_path / "s") == 1


def test_where_no_sid_repeats_the_parts_are_not_read_again(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(parts: list[Path]) -> Any:
        raise AssertionError("there is nothing to look for")

    monkeypatch.setattr(writer, "without_duplicates", never)
    serve(tiny_world(bindings=[{"count": 50, "binding_type": ["apn", "fcm"]}]))
    assert run(*OPTIONS, "--out", tmp_path / "s").exit_code == 0


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_rows_that_repeat_across_an_interruption_are_kept_once(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, number: int, after: bool
) -> None:
    """What the first process stored is not known to the second, which must look for itself."""
    rows = [(sid(place), f"person-{place}") for place in range(12)]
    rows[1], rows[5], rows[11] = (sid(99), "first"), (sid(99), "then"), (sid(99), "last")
    serve(tiny_world(bindings=named(*rows)))
    options = [*OPTIONS, "--no-shard", "--out", tmp_path / "s"]
    with monkeypatch.context() as patched:
        kill_at(patched, "append", number, after=after)
        assert dies(run, *options)
    assert run(*options).exit_code == 0
    assert kept(tmp_path / "s") == sorted(row for row in rows if row[1] not in ("first", "then"))
    assert removed(tmp_path / "s") == 2


@pytest.mark.usefixtures("small_parts")
def test_rows_of_a_chain_that_began_anew_are_not_taken_for_repeated_ones(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(sid(place), f"person-{place}") for place in range(12)]
    serve(tiny_world(bindings=named(*rows)))
    options = [*OPTIONS, "--no-shard", "--out", tmp_path / "s"]
    with monkeypatch.context() as patched:
        kill_at(patched, "append", 3)
        assert dies(run, *options)
    checkpoint = tmp_path / "s" / "checkpoint.jsonl"
    *lines, last = checkpoint.read_text().splitlines()
    expired = {**json.loads(last), "next_url": f"/v2/Services/{service_sid(1)}/Bindings?Page=1&PageToken=expired"}
    checkpoint.write_text("".join(line + "\n" for line in [*lines, json.dumps(expired)]))
    assert run(*options).exit_code == 0
    assert kept(tmp_path / "s") == sorted(rows)
    assert removed(tmp_path / "s") == 0
