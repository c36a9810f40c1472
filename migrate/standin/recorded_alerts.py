"""The push errors of a snapshot as alerts: codes, dates and SIDs, which is all that it has of them."""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from migrate.model.schemas import TIMESTAMP
from migrate.standin.alerts import Alert, ticks


class RecordedAlerts:
    """The rows of one log level, newest first. Those without a date come last, at the time of the oldest other."""

    delay = 0

    def __init__(self, rows: pa.Table, log_level: str | None, now: datetime) -> None:
        self.log_level = log_level
        self._rows = rows.sort_by([("date", "descending"), ("sid", "ascending")]).combine_chunks()
        times = self._rows["date"].cast(TIMESTAMP).cast(pa.int64())
        oldest = pc.min(times).as_py()
        self._ages: list[int] = pc.negate(
            times.fill_null(ticks(now) if oldest is None else oldest)
        ).to_pylist()  # times, negated

    def __len__(self) -> int:
        return len(self._ages)

    def time(self, place: int) -> int:
        """When the alert of a place was generated."""
        return -self._ages[place]

    def newer(self, time: int) -> int:
        """How many were generated after a time."""
        return bisect_left(self._ages, -time)

    def alert(self, place: int, number: int) -> Alert:
        """The alert of a place, with its number in a list. A SID that no field has room for is its text."""
        row = self._rows.slice(place, 1).to_pylist()[0]
        binding, credential = row["binding_sid"], row["credential_sid"]
        return Alert(
            number=number,
            sid=row["sid"],
            generated=row["date"],
            created=row["date"],
            error_code=str(row["error_code"]),
            log_level=row["log_level"],
            resource_sid=binding or credential,
            service_sid=row["service_sid"],
            text=credential if binding else None,
            request_url=None,
        )

    def place_of(self, sid: str) -> int | None:
        """Where the alert of a SID is; None if it is not one of these."""
        place: int = pc.index(self._rows["sid"], sid).as_py()
        return place if place >= 0 else None


def recorded(file: Path, now: datetime) -> list[RecordedAlerts]:
    """The alerts in a snapshot's file of push errors, by level. Raises `LookupError` or `pa.ArrowException`."""
    rows = pq.read_table(file)
    level, groups = pc.field("log_level"), []
    for value in sorted(rows["log_level"].unique().to_pylist(), key=str):
        those = level.is_null() if value is None else level == value
        groups.append(RecordedAlerts(rows.filter(those), value, now))
    return groups
