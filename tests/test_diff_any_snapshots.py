"""Whatever two snapshots hold: what differs is what Python's own sets say, in either direction; of one, nothing does."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from migrate.cli.app import cli
from migrate.diff import partition
from migrate.diff.bindings import compare_bindings
from migrate.diff.partition import OF_SNAPSHOTS, Partition, compare_partition
from migrate.storage.database import FullMemoryError
from migrate.verify import partition as cut
from migrate.verify.partition import ServiceParts
from tests.conftest import service_sid
from tests.snapshots import AS_OF, binding, credential_sid, write_snapshot

ONE = service_sid(1)
SERVICES = [ONE, service_sid(2), service_sid(3)]
FIELDS = ("identity", "endpoint", "binding_type", "credential_sid", "message_types", "extra")
Row = dict[str, Any]
words = st.none() | st.sampled_from(["", "one", "two", "İ", "a'b"])
dates = st.none() | st.integers(0, 2).map(lambda days: AS_OF - timedelta(days=days))
rows = st.fixed_dictionaries(
    {
        "sid": st.integers(1, 5).map(lambda number: f"BS{number:032x}"),
        "endpoint": words,
        "identity": words,
        "binding_type": st.none() | st.sampled_from(["apn", "fcm", "gcm"]),
        "credential_sid": st.none() | st.sampled_from([credential_sid(1), credential_sid(2)]),
        "message_types": st.none() | st.lists(st.none() | st.sampled_from(["a", "b", "a,b"]), max_size=3),
        "date_created": dates,
        "date_updated": dates,
        "extra": st.none() | st.sampled_from(['{"x": 1}', '{"x": 2}']),
    }
)
parts = st.lists(st.lists(rows, max_size=4), max_size=2)
sides = st.dictionaries(
    st.sampled_from(SERVICES), st.tuples(parts, st.sampled_from(["", "A", "B"])), max_size=len(SERVICES)
)
Side = Mapping[str, tuple[Sequence[Sequence[Row]], str]]


def once(parts: Sequence[Sequence[Row]]) -> list[list[Row]]:
    """The rows with each SID once, as a snapshot has them."""
    seen: set[str] = set()
    found = []
    for part in parts:
        found.append([row for row in part if not (row["sid"] in seen or seen.add(row["sid"]))])  # type: ignore[func-returns-value]
    return found


def value(row: Row, field: str) -> Any:
    """What counts of a field: the order and the repeats in a list of message types mean nothing."""
    found = row[field]
    return frozenset(found) - {None} if isinstance(found, list) else found


def naive(before: Side, after: Side) -> dict[tuple[Any, ...], int]:
    """How many bindings there are by service, types and state, and how many changed in each field."""
    found: Counter[tuple[Any, ...]] = Counter()
    for sid in {*before, *after}:
        then, now = (
            {row["sid"]: row for part in once(side[sid][0]) for row in part} if sid in side else {}
            for side in (before, after)
        )
        for key in then.keys() | now.keys():
            old, new = then.get(key), now.get(key)
            kinds = tuple((one or other or {})["binding_type"] for one, other in ((old, new), (new, old)))
            fields = [f for f in FIELDS if old and new and value(old, f) != value(new, f)]
            is_seen = any(old and new and old[name] != new[name] for name in ("date_created", "date_updated"))
            state = (
                "new"
                if not old
                else "gone"
                if not new
                else "changed"
                if fields
                else "refreshed"
                if is_seen
                else "same"
            )
            found[sid, *kinds, state] += 1
            for field in fields:
                found[sid, *kinds, field] += 1
    return dict(found)


def told(document: Any) -> dict[tuple[Any, ...], int]:
    """The same, of what the command says."""
    found: dict[tuple[Any, ...], int] = {}
    for service in document["bindings"]["services"]:
        for counts in service["binding_types"]:
            key = (service["service_sid"], counts["binding_type_before"], counts["binding_type"])
            numbers = {name: counts[name] for name in ("new", "gone", "changed", "refreshed", "same")} | counts[
                "fields"
            ]
            found |= {(*key, name): number for name, number in numbers.items() if number}
    return found


def diff(before: Path, after: Path) -> tuple[int, Any]:
    done = CliRunner().invoke(cli, ["diff", str(before), str(after), "--json", "--detailed-exitcode"])
    assert done.exit_code in (0, 3), done.output
    return done.exit_code, json.loads(done.stdout)


def written(folder: Path, side: Side) -> Path:
    return write_snapshot(
        folder,
        {sid: {"friendly_name": name} for sid, (_, name) in side.items()},
        {sid: once(parts) for sid, (parts, _) in side.items()},
    )


@settings(max_examples=12, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # to shrink takes minutes
@given(before=sides, after=sides)
def test_what_differs_is_what_sets_say_and_the_other_way_round_its_mirror(before: Side, after: Side) -> None:
    with tempfile.TemporaryDirectory() as folder:
        a, b = written(Path(folder, "a"), before), written(Path(folder, "b"), after)
        code, forth = diff(a, b)
        _, back = diff(b, a)
        alone = diff(a, a)
    expected = naive(before, after)
    assert told(forth) == expected
    assert told(back) == naive(after, before)
    names = [{sid: name for sid, (_, name) in side.items()} for side in (before, after)]
    assert {(one["service_sid"], one["change"]) for one in forth["services"]} == {
        (sid, "new" if sid not in names[0] else "gone" if sid not in names[1] else "renamed")
        for sid, _ in names[0].items() ^ names[1].items()
    }
    mirrored = {"new": "gone", "gone": "new"}
    assert sorted((one["service_sid"], mirrored.get(one["change"], "renamed")) for one in back["services"]) == sorted(
        (one["service_sid"], one["change"]) for one in forth["services"]
    )
    flipped = [{**one, "before": one["after"], "after": one["before"]} for one in back["findings"]]
    assert sorted(map(_key, flipped)) == sorted(map(_key, forth["findings"]))
    differs = bool(forth["services"] or forth["findings"] or any(key[3] != "same" for key in expected))
    assert (code, forth["differs"]) == ((3, True) if differs else (0, False))
    assert alone[0] == 0
    assert not alone[1]["services"]
    assert {key[3] for key in told(alone[1])} <= {"same"}


def _key(finding: Mapping[str, Any]) -> tuple[Any, ...]:
    return (finding["code"], finding["service_sid"] or "", finding["subject"], finding["before"], finding["after"])


leaves = (
    st.none()
    | st.booleans()
    | st.integers(0, 1)
    | st.sampled_from(["", "1", "x"])
    | st.lists(st.integers(0, 1), max_size=1)
)
keys = st.sampled_from(["enabled", "a", "a.b", "\x1b"])
settings_of_a_service = st.dictionaries(
    keys, st.recursive(leaves, lambda inner: st.dictionaries(keys, inner, max_size=2)), max_size=3
)
chats = st.dictionaries(st.sampled_from(SERVICES), st.none() | settings_of_a_service, max_size=2)


def values(said: Any, path: tuple[str, ...] = ()) -> set[tuple[tuple[str, ...], str]]:
    """The values in a document with the keys that lead to them; null is none."""
    if isinstance(said, dict):
        return {found for key, inner in said.items() for found in values(inner, (*path, key))}
    return set() if said is None else {(path, json.dumps(said))}


@settings(max_examples=20)
@given(before=chats, after=chats)
def test_settings_that_differ_are_those_of_which_the_documents_do(before: Any, after: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        a, b = (
            write_snapshot(
                Path(folder, name), {sid: {"notifications": json.dumps(said)} for sid, said in side.items()}, {}
            )
            for name, side in (("a", before), ("b", after))
        )
        _, found = diff(a, b)
        assert diff(a, a)[1]["settings"] == []
    expected = Counter[str]()
    for sid in {*before, *after}:
        then, now = before.get(sid, {}), after.get(sid, {})
        if (then is None) != (now is None):
            expected[sid] += sid in before and sid in after  # one could not be read: a line for all of it
        elif then is not None:
            expected[sid] += len({path for path, _ in values(then) ^ values(now)})
    assert Counter(one["subject"] for one in found["settings"]) == +expected


def test_no_message_types_at_all_an_empty_list_and_one_of_nothing_are_told_apart(tmp_path: Path) -> None:
    kinds: list[Any] = [None, [], [None], [""], ["a", None], ["a", "a"], ["b", "a"], ["a", "b"]]
    for place, then in enumerate(kinds):
        for now in kinds[place:]:
            with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
                sides = [
                    write_snapshot(Path(folder, name), {ONE: {}}, {ONE: [[binding(1, message_types=types)]]})
                    for name, types in (("a", then), ("b", now))
                ]
                parts = [[(next((side / "bindings").glob("*/*")), 1)] for side in sides]
                (found,) = compare_bindings([ServiceParts(ONE, *parts)], {}, OF_SNAPSHOTS)
            expected = value({"": then}, "") != value({"": now}, "")
            assert found.total.changed == expected, (then, now)


# --- however it is cut --------------------------------------------------------------------------------------------


def many(folder: Path) -> list[ServiceParts]:
    """Two sides of three services with 40 bindings each, of which some are new, gone, changed or seen again."""
    rows = [binding(number) for number in range(40)]
    later = [
        *rows[10:25],
        *(row | {"identity": "another"} for row in rows[25:32]),
        *(row | {"date_updated": AS_OF + timedelta(days=1)} for row in rows[32:]),
        *(binding(number) for number in range(40, 43)),
    ]
    found = []
    for side, some in (("a", rows), ("b", later)):
        found.append(
            write_snapshot(
                folder / side, {sid: {} for sid in SERVICES}, {sid: [some[:7], some[7:]] for sid in SERVICES}
            )
        )

    def parts(snapshot: Path, sid: str) -> list[tuple[Path, int]]:
        return [(path, 20) for path in sorted((snapshot / "bindings" / f"service_sid={sid}").iterdir())]

    return [ServiceParts(sid, *(parts(snapshot, sid) for snapshot in found)) for sid in SERVICES]


EXPECTED = {"new": 3, "gone": 10, "changed": 7, "refreshed": 8, "same": 15}


@pytest.mark.parametrize("cuts", ["together", "one by one", "in buckets"])
def test_how_the_bindings_are_cut_into_partitions_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuts: str
) -> None:
    if cuts != "together":
        monkeypatch.setattr(cut, "SERVICES_TOGETHER", 1)
    pieces = cut.pieces
    if cuts == "in buckets":
        monkeypatch.setattr(partition, "pieces", lambda services, rows: pieces(services, 9))
    found = compare_bindings(many(tmp_path), {}, OF_SNAPSHOTS)
    assert [service.service_sid for service in found] == SERVICES
    for service in found:
        assert {state: getattr(service.total, state) for state in EXPECTED} == EXPECTED
        assert service.total.fields == {"identity": 7}
        assert service.examples == {
            "new": [f"BS{number:032x}" for number in (40, 41, 42)],
            "gone": [f"BS{number:032x}" for number in range(5)],
            "changed": [f"BS{number:032x}" for number in range(25, 30)],
        }


def test_what_does_not_fit_into_memory_is_compared_in_smaller_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare, pieces = partition._compare, []

    def only_small(piece: Partition) -> Any:
        pieces.append((len(piece.services), piece.buckets))
        if len(piece.services) > 1 or piece.buckets < 4:
            raise FullMemoryError("too much at once")
        return compare(piece)

    monkeypatch.setattr(partition, "_compare", only_small)
    found = compare_bindings(many(tmp_path), {}, OF_SNAPSHOTS)
    assert [{state: getattr(one.total, state) for state in EXPECTED} for one in found] == [EXPECTED] * 3
    assert (1, 4) in pieces

    monkeypatch.setattr(partition, "_MOST_BUCKETS", 2)
    with pytest.raises(FullMemoryError):
        compare_partition(Partition((SERVICES[0],), (), (), OF_SNAPSHOTS, tmp_path))
