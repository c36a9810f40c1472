"""The folder of `health`: a small Parquet file a run, with the errors by hour. Numbers and SIDs, no personal data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrate.model.errors import InputError
from migrate.storage.files import free_path, write_whole

if TYPE_CHECKING:
    import pyarrow as pa

    from migrate.push_errors.counts import ErrorCount

PREFIX = "push-errors-"
_NAME = f"{PREFIX}%Y-%m-%dT%H-%M-%SZ.parquet"
_KEY = b"chat-migrate"  # of the facts in the file's metadata
Key = tuple[str | None, str | None, int]  # service, credential, code


@dataclass(frozen=True)
class Measured:
    """How many pushes failed in a span (ISO 8601, UTC), by service, credential and code; `devices` is how many live
    ones there were, None where that is unknown.
    """

    account_sid: str
    since: str
    until: str
    errors: Mapping[Key, int]
    devices: int | None

    @property
    def days(self) -> float:
        """How long the span is."""
        return (datetime.fromisoformat(self.until) - datetime.fromisoformat(self.since)).total_seconds() / 86_400

    @property
    def total(self) -> int:
        """The errors of all."""
        return sum(self.errors.values())

    @property
    def rate(self) -> float | None:
        """Errors a day for a hundred live devices; None where their number is unknown, or there are none."""
        return self.rate_for(None)

    def rate_for(self, devices: int | None) -> float | None:
        """The same, for so many devices where it does not know its own number."""
        number = self.devices or devices
        return 100 * self.total / self.days / number if number and self.days else None

    def errors_of(self, count: ErrorCount) -> float:
        """Errors a day of the service, credential and code of a count."""
        number = self.errors.get((count.service_sid, count.credential_sid, count.error_code), 0)
        return number / self.days if self.days else 0.0

    def to_json(self, devices: int | None) -> dict[str, Any]:
        """The totals; `devices` is as for `rate_for`."""
        rate = self.rate_for(devices)
        return {"since": self.since, "until": self.until, "errors": self.total, "a_day_for_100_devices": rate}


def write_measured(folder: Path, measured: Measured, table: pa.Table) -> Path:
    """Write the errors by hour to a file of their own, named by the end of the span, and return its path."""
    from migrate.storage.parquet import parquet_bytes

    facts = {
        "format_version": 1,
        "account_sid": measured.account_sid,
        "since": measured.since,
        "until": measured.until,
        "live_devices": measured.devices,
    }
    path = free_path(folder / datetime.fromisoformat(measured.until).strftime(_NAME))
    data = parquet_bytes(table.replace_schema_metadata({_KEY: json.dumps(facts)}))
    write_whole(path, data, private=True)
    return path


def read_measured(path: Path) -> Measured:
    """Read a file that `health` has written. Raises `InputError` for anything else."""
    return read_hours(path)[0]


def read_hours(path: Path) -> tuple[Measured, pa.Table]:
    """The same, with its rows of `PUSH_ERRORS_BY_HOUR`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from migrate.model.schemas import PUSH_ERRORS_BY_HOUR

    try:
        table = pq.ParquetFile(path).read()
        facts = json.loads((table.schema.metadata or {})[_KEY])
        hours = table.select(PUSH_ERRORS_BY_HOUR.names).cast(PUSH_ERRORS_BY_HOUR)
        measured = _measured(facts, hours.to_pylist())
    except (pa.ArrowException, OSError, LookupError, ValueError, TypeError):
        raise InputError(
            f"{path} is no file of push errors by hour", remedy="Name one that health has written into its folder"
        ) from None
    return measured, hours


def _measured(facts: Mapping[str, Any], rows: list[dict[str, Any]]) -> Measured:
    errors: dict[Key, int] = {}
    for row in rows:
        key = row["service_sid"], row["credential_sid"], row["error_code"]
        errors[key] = errors.get(key, 0) + row["errors"]
    devices = facts["live_devices"]
    if facts["format_version"] != 1 or not (devices is None or type(devices) is int):
        raise ValueError("another format")
    found = Measured(str(facts["account_sid"]), str(facts["since"]), str(facts["until"]), errors, devices)
    if found.days <= 0:
        raise ValueError("no span")
    return found
