"""Sharing: identities with many bindings and shared endpoints, by value, whatever the parts and their hashes."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.map import sharing
from migrate.map.sharing import find_sharing
from migrate.model.schemas import BINDINGS

pytestmark = pytest.mark.no_cover  # other tests cover the same lines; untraced, these take half the time

# A binding as far as crowds go: its endpoint and its identity.
Row = tuple[str | None, str | None]
Found = tuple[list[str], list[str]]


def write(path: Path, rows: list[Row]) -> Path:
    """A part with these bindings."""
    content = [{"sid": f"BS{n}", "endpoint": endpoint, "identity": who} for n, (endpoint, who) in enumerate(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(content, schema=BINDINGS), path)
    return path


def crowds_of(folder: Path, parts: list[list[Row]], limit: int = 10) -> Found:
    """The crowded identities and the shared endpoints of bindings in some parts."""
    paths = [write(folder / f"{number}.parquet", rows) for number, rows in enumerate(parts)]
    found = find_sharing(paths, limit, folder)
    assert found.crowded_identities.type == found.shared_endpoints.type == pa.string()
    assert sorted(folder.iterdir()) == sorted(paths)  # nothing is left behind
    return found.crowded_identities.to_pylist(), found.shared_endpoints.to_pylist()


def naively(rows: list[Row], limit: int) -> Found:
    counts = Counter(identity for _, identity in rows if identity)
    owners: dict[str, set[str]] = {}
    for endpoint, identity in rows:
        if endpoint and identity:
            owners.setdefault(endpoint, set()).add(identity)
    crowded = sorted(identity for identity, count in counts.items() if count > limit)
    return crowded, sorted(endpoint for endpoint, found in owners.items() if len(found) > 1)


texts = st.none() | st.text("ab\N{LATIN SMALL LETTER E WITH ACUTE}\x00\N{GRINNING FACE}", max_size=2)
several_parts = st.lists(st.lists(st.tuples(texts, texts), max_size=15), min_size=1, max_size=4)


@given(several_parts, st.integers(1, 4))
@settings(max_examples=20)
def test_crowds_are_what_counting_one_by_one_finds(parts: list[list[Row]], limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert crowds_of(Path(folder), parts, limit) == naively([row for part in parts for row in part], limit)


@given(several_parts, st.integers(1, 4))
@settings(max_examples=20)
def test_texts_that_share_a_hash_are_told_apart(parts: list[list[Row]], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        for name in ("_SUSPECTS", "_CROWDED"):
            patch.setattr(sharing, name, getattr(sharing, name).replace("hash({key})", "hash({key}) % 2"))
        assert crowds_of(Path(folder), parts, limit) == naively([row for part in parts for row in part], limit)


def test_no_parts_no_crowds(tmp_path: Path) -> None:
    found = find_sharing([], 10, tmp_path)
    assert found.crowded_identities.equals(pa.array([], pa.string()))
    assert found.shared_endpoints.equals(pa.array([], pa.string()))


@pytest.mark.parametrize(("bindings", "found"), [(10, []), (11, ["i"])])
def test_an_identity_is_crowded_past_the_limit(tmp_path: Path, bindings: int, found: list[str]) -> None:
    assert crowds_of(tmp_path, [[(str(number), "i")] for number in range(bindings)]) == (found, [])


@pytest.mark.parametrize("nothing", [None, ""])
def test_what_is_null_or_empty_is_in_no_crowd_and_shares_nothing(tmp_path: Path, nothing: str | None) -> None:
    rows: list[Row] = [(nothing, f"i{number}") for number in range(20)]
    rows += [(f"e{number}", nothing) for number in range(20)] + [("e", "i"), ("e", nothing), ("e", "i")]
    assert crowds_of(tmp_path, [rows]) == ([], [])


MANY = 3_000
WORST: dict[str, list[Row]] = {
    "one endpoint": [("e", f"i{number}") for number in range(MANY)],
    "one identity": [(f"e{number}", "i") for number in range(MANY)],
    "every endpoint twice": [(f"e{number % (MANY // 2)}", f"i{number}") for number in range(MANY)],
    "every endpoint twice of one identity": [(f"e{number // 2}", f"i{number // 2}") for number in range(MANY)],
    "every identity crowded": [(f"e{number}", f"i{number // 11}") for number in range(MANY)],
    "nothing": [(None, None)] * MANY,
}


@pytest.mark.parametrize("rows", WORST.values(), ids=WORST)
def test_whatever_there_is_much_of_is_found(tmp_path: Path, rows: list[Row]) -> None:
    assert crowds_of(tmp_path, [rows[0::3], rows[1::3], rows[2::3]]) == naively(rows, 10)


def test_part_names_are_no_patterns(tmp_path: Path) -> None:
    shared: list[Row] = [("e", "i1"), ("e", "i2")]
    for other in ("sx/0.parquet", "s1/0.parquet", "s?/1.parquet", "s[1]/a.parquet"):
        write(tmp_path / other, shared)
    parts = [
        write(tmp_path / name, [(name, "i1")]) for name in ("s?/0.parquet", "s[1]/*.parquet", "it's/{a}.parquet")
    ]
    found = find_sharing(parts, 10, tmp_path)
    assert (found.crowded_identities.to_pylist(), found.shared_endpoints.to_pylist()) == ([], [])
    found = find_sharing([*parts, *parts], 5, tmp_path)  # all of them were read
    assert found.crowded_identities.to_pylist() == ["i1"]
