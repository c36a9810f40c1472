"""What is measured of map: this project's, and the obvious thing in pandas; and what makes the snapshots for both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.readers import Reader, Work


def make_snapshot(bindings: str, folder: Path) -> Work:
    """A finished snapshot of so many made-up bindings, in the folder itself."""
    from bench.synthetic import write_snapshot

    return lambda: write_snapshot(folder, int(bindings))


def make_services(numbers: str, folder: Path) -> Work:
    """A finished snapshot of so many services that have so many bindings together, in the folder itself."""
    from bench.synthetic import write_snapshot

    services, bindings = map(int, numbers.split())
    return lambda: write_snapshot(folder, bindings, shares=[1 / services] * services)


def duckdb_floor(snapshot: str, folder: Path) -> Work:
    """What reading and writing takes alone: the columns that are mapped, service by service, as they are."""
    import duckdb

    from migrate.map.bindings import NEEDED

    def work() -> int:
        rows = 0
        with duckdb.connect(config={"memory_limit": "1GB", "temp_directory": str(folder)}) as database:
            for number, service in enumerate(sorted((Path(snapshot) / "bindings").iterdir())):
                read = database.read_parquet(f"{service}/*.parquet", hive_partitioning=False)
                read.project(", ".join(NEEDED)).write_parquet(f"{folder}/{number}.parquet", compression="zstd")
                rows += database.read_parquet(f"{folder}/{number}.parquet").count("*").fetchall()[0][0]
        return rows

    return work


def map_snapshot(snapshot: str, folder: Path) -> Work:
    """This project, through its public function."""
    import duckdb  # noqa: F401  # what is imported late is imported now: only the work is timed

    import migrate

    mapper = migrate.map_snapshot

    return lambda: mapper(Path(snapshot), folder / "mapped").bindings


MESSAGE_TYPES = {
    "new_message": "new_message",
    "added_to_channel": "added_to_conversation",
    "removed_from_channel": "removed_from_conversation",
    "invited_to_channel": None,
    "added_to_conversation": "added_to_conversation",
    "removed_from_conversation": "removed_from_conversation",
    "consumption_update": None,
    "typing_indicator": None,
}
INTERNAL = {"consumption_update", "typing_indicator"}
BINDING_TYPES = {"apn": "apn", "fcm": "fcm", "gcm": "fcm"}
PREFIXES = ("twilio.channel.", "twilio.ipmsg.", "twilio.conversations.")


def pandas_apply(snapshot: str, folder: Path) -> Work:
    """What one would write in ten minutes: a function of a row, and `DataFrame.apply`."""
    import pandas as pd

    def map_row(row: Any, born_after: Any) -> dict[str, Any]:
        last_seen = row["date_created"] if pd.isna(row["date_updated"]) else row["date_updated"]
        targets, reduced = [], False
        for name in () if row["message_types"] is None else row["message_types"]:
            for prefix in PREFIXES:
                name = name.removeprefix(prefix)
            translated = MESSAGE_TYPES.get(name)
            if translated is None:
                reduced = reduced or name not in INTERNAL
            elif translated not in targets:
                targets.append(translated)
        endpoint = row["endpoint"]
        if isinstance(endpoint, str):
            endpoint = f"{endpoint[:2]}…{endpoint[-2:]} ({len(endpoint)})" if len(endpoint) >= 12 else "…"
        if last_seen < born_after:
            outcome = "expired"
        elif row["binding_type"] == "gcm" or row["binding_type"] not in BINDING_TYPES:
            outcome = "blocked"
        else:
            outcome = "reduced" if reduced else "carried"
        return {
            "sid": row["sid"],
            "identity": row["identity"],
            "device": endpoint,
            "binding_type": row["binding_type"],
            "target_binding_type": BINDING_TYPES.get(row["binding_type"]),
            "message_types": row["message_types"],
            "target_message_types": targets,
            "credential_sid": row["credential_sid"],
            "last_seen": last_seen,
            "outcome": outcome,
        }

    def work() -> int:
        frame = pd.read_parquet(Path(snapshot) / "bindings")
        born_after = pd.Timestamp("2025-06-15T08:00:00Z")
        mapped = pd.DataFrame(frame.apply(map_row, axis=1, born_after=born_after).tolist())
        mapped.to_parquet(folder / "mapped.parquet")
        return len(mapped)

    return work


_ALL = (make_snapshot, make_services, map_snapshot, duckdb_floor, pandas_apply)
MAPPERS: dict[str, Reader] = {mapper.__name__: mapper for mapper in _ALL}
