"""The list of who is ready, which retire goes by: whole rows of the snapshot, whatever the order, parts and buckets."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.model.schemas import BINDINGS
from migrate.verify.partition import ServiceParts, partitions, verify_partition
from tests.snapshots import AS_OF
from tests.verify.conftest import (
    CAME_BACK,
    NAMES,
    SERVICE,
    TERMS,
    Row,
    is_registration,
    last_seen,
    platform_of,
    rows_of,
)

LEFT_OUT = ("account_sid", "extra")  # what a comparison before a delete does not need
EVERYTHING = [*CAME_BACK, "added_to_conversation", "twilio.conversations.removed_from_conversation"]
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def listed(
    folder: Path, source: Sequence[list[Row]], live: Sequence[list[Row]], rows_a_bucket: int
) -> dict[str, Row]:
    """The rows of the list, by SID."""

    def write(name: str, parts: Sequence[list[Row]]) -> list[tuple[Path, int]]:
        paths = [folder / f"{name}{number}.parquet" for number, _ in enumerate(parts)]
        for path, rows in zip(paths, parts, strict=True):
            pq.write_table(pa.Table.from_pylist(rows, schema=BINDINGS), path)
        return list(zip(paths, map(len, parts), strict=True))

    service = ServiceParts(SERVICE, write("source", source), write("live", live))
    tasks = partitions([service], TERMS, folder, ready="ready", rows_a_bucket=rows_a_bucket)
    for task in tasks:
        verify_partition(task)
    rows = [row for task in tasks if task.ready for row in pq.read_table(task.ready).to_pylist()]
    found = {row["sid"]: row for row in rows}
    assert len(found) == len(rows), "a binding is listed twice"
    return found


@dataclass(frozen=True)
class Found:
    """What the list says of a binding beside what the snapshot has."""

    registration_sid: str
    is_shared: bool


def naively(source: list[Row], live: list[Row]) -> dict[str, Found]:
    """Who is ready, by SID, one row at a time."""

    def key(row: Row) -> tuple[str | None, str | None]:
        return row["identity"] or None, platform_of(row)

    def device(row: Row) -> tuple[str | None, ...]:
        return *key(row), row["endpoint"] or None

    def latest_first(rows: list[Row]) -> list[Row]:
        return sorted(rows, key=lambda row: (-(last_seen(row) or BEGINNING).timestamp(), row["sid"]))

    registrations = [row for row in live if is_registration(row) and (last_seen(row) or AS_OF) >= TERMS.live_after]
    # By device the latest; of the same time, that with the greatest SID. Without an endpoint each is one of its own.
    latest = {
        device(row) if row["endpoint"] else (row["sid"],): row
        for row in sorted(registrations, key=lambda row: (last_seen(row) or BEGINNING, row["sid"]))
    }
    taken = {device(row) for row in source if None not in device(row)}
    spare = latest_first([registration for registration in latest.values() if device(registration) not in taken])
    sids, found = {row["sid"] for row in live}, {}
    for row in latest_first(source):
        seen = last_seen(row)
        if seen and seen < TERMS.born_after:
            continue
        registration = latest.get(device(row)) if None not in device(row) else None
        if registration is None and None not in key(row):
            registration = next((one for one in spare if key(one) == key(row)), None)
            spare = [one for one in spare if one is not registration]
        if registration:
            found[row["sid"]] = Found(registration["sid"], row["sid"] in sids)
    return found


@given(
    rows_of(st.sampled_from([*NAMES, ["new_message"], ["twilio.channel.new_message"]]), "s"),
    rows_of(st.sampled_from([*NAMES, CAME_BACK, CAME_BACK, CAME_BACK, EVERYTHING]), "l"),
    st.sets(st.integers(0, 17)),
    st.sampled_from([5, 1000]),
)
@settings(max_examples=20)
def test_the_list_is_what_going_row_by_row_finds(
    source: list[list[Row]], live: list[list[Row]], same: set[int], rows_a_bucket: int
) -> None:
    # Some live bindings have the SID of one in the snapshot, be it of the same user, or hashed elsewhere.
    live = [[{**row, "sid": shared(row["sid"], same)} for row in part] for part in live]
    with tempfile.TemporaryDirectory() as folder:
        found = listed(Path(folder), source, live, rows_a_bucket)
    rows = {row["sid"]: row for part in source for row in part}
    told = {sid: Found(row["registration"]["sid"], row["is_shared"]) for sid, row in found.items()}
    assert told == naively(list(rows.values()), [row for part in live for row in part])
    registrations = {row["sid"]: row for part in live for row in part}
    for row in found.values():
        assert row["registration"] == {
            name: registrations[row["registration"]["sid"]].get(name) for name in row["registration"]
        }
    for sid, row in found.items():
        kept = {name: rows[sid].get(name) for name in BINDINGS.names if name not in LEFT_OUT}
        assert {name: row[name] for name in kept} == kept


def shared(sid: str, same: set[int]) -> str:
    return sid.replace("l", "s") if int(sid[1:]) in same else sid


def test_one_that_stands_in_conversations_under_another_user_is_shared(tmp_path: Path) -> None:
    """Its identity is hashed into another bucket: the SID is what counts."""
    names = [f"user-{number}" for number in range(24)]
    plain: Row = {"endpoint": "phone", "binding_type": "apn"}
    source = [{**plain, "sid": f"s{number}", "identity": name} for number, name in enumerate(names)]
    registrations = [{**row, "sid": f"l{row['sid']}", "message_types": CAME_BACK} for row in source]
    others = [{**row, "identity": f"other of {row['identity']}"} for row in source]
    found = listed(tmp_path, [source], [registrations, others], 8)
    assert len(found) == 24
    assert all(row["is_shared"] and row["registration"]["endpoint"] == "phone" for row in found.values())


def test_a_registration_without_a_date_is_not_the_latest(tmp_path: Path) -> None:
    """It would hide that Chat has seen the device since."""
    phone: Row = {"identity": "a", "endpoint": "phone", "binding_type": "apn"}
    chat = {**phone, "sid": "s1", "message_types": ["new_message"], "date_updated": AS_OF}
    dated = {**phone, "sid": "l1", "message_types": CAME_BACK, "date_updated": AS_OF - timedelta(days=9)}
    undated = {**phone, "sid": "l2", "message_types": CAME_BACK}
    moved = {**chat, "sid": "s2", "endpoint": "former", "identity": "b"}
    theirs = [{**row, "sid": row["sid"] + "b", "identity": "b"} for row in (dated, undated)]
    found = listed(tmp_path, [[chat, moved]], [[dated, undated, *theirs]], 1000)
    assert {sid: row["registration"]["sid"] for sid, row in found.items()} == {"s1": "l1", "s2": "l1b"}
