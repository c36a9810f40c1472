"""What is measured of map: this project's, and the obvious thing in pandas; and what makes the snapshots for both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.readers import Reader, Work


def make_snapshot(bindings: str, folder: Path) -> Work:
    """A finished snapshot of so many made-up bindings, in the folder itself."""
    from bench.synthetic import write_snapshot

    return lambda: write_snapshot(folder, int(bindings))


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


MAPPERS: dict[str, Reader] = {mapper.__name__: mapper for mapper in (make_snapshot, map_snapshot, pandas_apply)}
