"""Who is ready, pending or expired: beside what going row by row finds."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.model.schemas import BINDINGS
from migrate.verify.coverage import Counts
from migrate.verify.partition import ServiceParts, add_up, partitions, verify_partition
from tests.snapshots import AS_OF, binding
from tests.verify.conftest import (
    CAME_BACK,
    EXPIRED,
    NAMES,
    SERVICE,
    TERMS,
    Row,
    is_registration,
    last_seen,
    platform_of,
    rows_of,
)

Found = tuple[dict[str | None, Counts], list[str]]


def compare(
    folder: Path, source: Sequence[list[Row]], live: Sequence[list[Row]], rows_a_bucket: int = 10_000
) -> Found:
    """The counts by platform and the pending SIDs, of rows in some parts."""

    def write(name: str, parts: Sequence[list[Row]]) -> list[tuple[Path, int]]:
        found = [(folder / f"{name}{number}.parquet", len(rows)) for number, rows in enumerate(parts)]
        for (path, _), rows in zip(found, parts, strict=True):
            pq.write_table(pa.Table.from_pylist(rows, schema=BINDINGS), path)
        return found

    sides = write("source", source), write("live", live)
    tasks = partitions([ServiceParts(SERVICE, *sides)], TERMS, folder, pending="pending", rows_a_bucket=rows_a_bucket)
    counts = add_up(verify_partition(task).get(SERVICE, {}) for task in tasks)
    pending = [sid for task in tasks if task.pending for sid in pq.read_table(task.pending)["sid"].to_pylist()]
    return counts, sorted(pending)


def is_unclear(row: Row) -> bool:
    if is_registration(row) or row["message_types"] is None:
        return not is_registration(row)
    names = [name for name in row["message_types"] if name]
    chats = [name for name in names if name.endswith("_channel") or name.startswith(("twilio.ch", "twilio.ip"))]
    return "new_message" in names and not chats


def naively(source: list[Row], live: list[Row]) -> Found:
    """The same, one row at a time."""
    tally: Counter[tuple[str | None, str]] = Counter()
    source, live = (
        [{**row, "identity": row["identity"] or None, "endpoint": row["endpoint"] or None} for row in rows]
        for rows in (source, live)
    )
    live = [row for row in live if (last_seen(row) or AS_OF) >= TERMS.live_after]  # what is dead proves nothing
    registrations = [row for row in live if is_registration(row)]

    def device(row: Row) -> tuple[str | None, ...]:
        return row["identity"], row["endpoint"], platform_of(row)

    def same_device(one: Row, other: Row) -> bool:
        return None not in device(one) and device(one) == device(other)

    # A device is one, however often it is listed; what has no endpoint is some device of its own.
    listed = {device(each) if each["endpoint"] else each["sid"]: each for each in registrations}
    free = [each for each in listed.values() if not any(same_device(each, row) for row in source)]
    # The one that was seen last comes first, the one that never was comes last.
    order = sorted(
        source, key=lambda row: (-(last_seen(row) or datetime(1970, 1, 1, tzinfo=UTC)).timestamp(), row["sid"])
    )
    pending: list[str] = []
    for row in order:
        seen, successor = last_seen(row), None
        if seen and seen < TERMS.born_after:
            status = "expired"
        elif any(same_device(row, each) for each in registrations):
            status = "ready_device"
        else:
            key = (row["identity"], platform_of(row))
            if None not in key:
                successor = next((each for each in free if (each["identity"], platform_of(each)) == key), None)
            status = "ready_platform" if successor else "pending"
        if successor:
            free.remove(successor)
        if status == "pending":
            pending.append(row["sid"])
        tally.update([(platform_of(row), "bindings"), (platform_of(row), status)])
    tally.update((platform_of(each), "new") for each in free)
    tally.update((platform_of(row), "unclear") for row in live if is_unclear(row))
    platforms = {platform for platform, _ in tally}
    counts = {each: Counts(**{name: n for (key, name), n in tally.items() if key == each}) for each in platforms}
    return counts, sorted(pending)


@given(
    rows_of(st.none(), "s"),
    rows_of(st.sampled_from([*NAMES, CAME_BACK, CAME_BACK, CAME_BACK]), "l"),
    st.sampled_from([9, 1000, 1000]),
)
@settings(max_examples=20)
def test_the_comparison_is_what_going_row_by_row_finds(
    source: list[list[Row]], live: list[list[Row]], rows_a_bucket: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found, pending = compare(Path(folder), source, live, rows_a_bucket)
    assert (found, pending) == naively(
        [row for part in source for row in part], [row for part in live for row in part]
    )
    for counts in found.values():
        assert counts.ready + counts.pending + counts.expired == counts.bindings
    registrations = sum(is_registration(row) for part in live for row in part)
    # No registration makes two ready but as the same device.
    assert sum(counts.ready_platform + counts.new for counts in found.values()) <= registrations


@given(st.randoms(use_true_random=False), st.sampled_from([11, 50]))
@settings(max_examples=10)
def test_order_parts_and_buckets_change_nothing(random: Any, rows_a_bucket: int) -> None:
    source = [binding(n, identity=f"i{n // 3}", endpoint=f"e{n}") for n in range(30)]
    live = [binding(n, identity=f"i{n // 2}", endpoint=f"e{n * 2}", message_types=CAME_BACK) for n in range(20)]
    expected = naively(source, live)
    random.shuffle(source)
    random.shuffle(live)
    cut = random.randrange(20)
    with tempfile.TemporaryDirectory() as folder:
        assert (
            compare(Path(folder), [source[:cut], source[cut:]], [live[cut:], live[:cut]], rows_a_bucket) == expected
        )


@pytest.mark.parametrize(
    ("source", "live", "expected"),
    [
        # Two phones, one came back under another endpoint: one is ready, and one is still waited for.
        (["apn:1", "apn:2"], ["apn:3"], {"ready_platform": 1, "pending": 1}),
        (["apn:1", "apn:2"], ["apn:3", "apn:4", "apn:5"], {"ready_platform": 2, "new": 1}),
        # What came back as the same device is not another's successor too.
        (["apn:1", "apn:2"], ["apn:1"], {"ready_device": 1, "pending": 1}),
        (["apn:1", "apn:2"], ["apn:1", "apn:3"], {"ready_device": 1, "ready_platform": 1}),
        # The same device registered twice is one device.
        (["apn:1", "apn:1"], ["apn:1"], {"ready_device": 2}),
        (["apn:1"], ["apn:1", "apn:1"], {"ready_device": 1}),
        # A device that was thought dead comes back: it is nobody's successor, and nobody new.
        (["apn:1!", "apn:2"], ["apn:1"], {"expired": 1, "pending": 1}),
        (["apn:1!"], ["apn:2"], {"expired": 1, "new": 1}),
        # Another platform is another device.
        (["apn:1"], ["fcm:2"], {"pending": 1, "new": 1}),
        # GCM can only come back as FCM.
        (["gcm:1"], ["fcm:2"], {"ready_platform": 1}),
        (["gcm:1"], ["fcm:1"], {"ready_device": 1}),
        (["fcm:1"], ["gcm:1"], {"pending": 1}),
        (["gcm:1"], ["gcm:1"], {"pending": 1}),
        (["fcm:1"], ["gcm:2"], {"pending": 1}),
        # Two pushes of one phone are two bindings, and each comes back by itself; a browser is no phone.
        (["apn:1", "fcm:1"], ["fcm:1"], {"ready_device": 1, "pending": 1}),
        (["apn:1"], ["twilsock:1"], {"pending": 1, "new": 1}),
        # A device is one, however often it is listed, and by whatever name of its push.
        (["fcm:1", "fcm:2"], ["gcm:3", "fcm:3"], {"ready_platform": 1, "pending": 1}),
        # An empty endpoint is no device; a registration past its lifetime is dead.
        (["apn:", "apn:"], ["apn:"], {"ready_platform": 1, "pending": 1}),
        (["apn:1"], ["apn:1!"], {"pending": 1}),
    ],
)
def test_one_device_for_one(tmp_path: Path, source: list[str], live: list[str], expected: Mapping[str, int]) -> None:
    def rows(texts: list[str]) -> list[Row]:
        dates = [EXPIRED if text.endswith("!") else AS_OF for text in texts]
        pairs = [text.rstrip("!").split(":") for text in texts]
        return [
            binding(n, identity="i", binding_type=kind, endpoint=endpoint, message_types=CAME_BACK, date_updated=date)
            for n, ((kind, endpoint), date) in enumerate(zip(pairs, dates, strict=True))
        ]

    counts, pending = compare(tmp_path, [rows(source)], [rows(live)])
    summed = sum(counts.values(), Counts())
    assert summed == Counts(**{"bindings": len(source), **expected})
    assert len(pending) == summed.pending


def test_of_two_devices_the_one_seen_last_came_back(tmp_path: Path) -> None:
    source = [
        binding(1, identity="i", endpoint="a", date_updated=AS_OF - timedelta(days=9)),
        binding(2, identity="i", endpoint="b", date_updated=AS_OF - timedelta(days=2)),
        binding(3, identity="i", endpoint="c", date_updated=None),
    ]
    live = [binding(9, identity="i", endpoint="d", message_types=CAME_BACK)]
    assert compare(tmp_path, [source], [live])[1] == [source[0]["sid"], source[2]["sid"]]


def test_nothing_at_all_is_no_error_and_no_percentage_of_anything(tmp_path: Path) -> None:
    assert compare(tmp_path, [], []) == ({}, [])
    assert compare(tmp_path, [[]], []) == ({}, [])
    for nothing in (Counts(), Counts(bindings=2, expired=2)):
        assert nothing.percent is None
        assert not nothing.reaches(0)


@pytest.mark.parametrize(
    ("counts", "percent", "reached"),
    [
        (Counts(bindings=3, ready_device=1, pending=2), 33.3, [0, 33, 33.3]),
        (Counts(bindings=10_000, ready_platform=9_999, pending=1), 99.9, [99.99]),  # never rounded up to all
        (Counts(bindings=3, ready_device=1, ready_platform=1, expired=1), 100, [100]),
        (Counts(bindings=1, pending=1), 0, [0]),
    ],
)
def test_the_percentage_is_of_those_that_are_waited_for(counts: Counts, percent: float, reached: list[float]) -> None:
    assert counts.percent == percent
    assert all(counts.reaches(limit) for limit in reached)
    assert counts.ready == counts.expected or not counts.reaches(100)
