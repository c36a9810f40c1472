"""Push errors counted: by service, credential and code, and by hour. Offline, and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from migrate.model.counted_errors import ErrorCount as ErrorCount
from migrate.model.schemas import PUSH_ERRORS_BY_HOUR
from migrate.snapshot.reader import Snapshot
from migrate.storage.database import over_views, view_of

# Whose push it was, as far as the alert says, or the snapshot says of the binding that the alert names. A device that
# has registered since may have had another credential then.
_ATTRIBUTED = """
    CREATE TEMP VIEW attributed AS
    SELECT e.sid, e.date, e.error_code, e.binding_sid,
        coalesce(e.service_sid, b.service_sid) AS service_sid,
        coalesce(
            e.credential_sid,
            CASE WHEN e.date >= b.seen AND coalesce(e.service_sid, b.service_sid) = b.service_sid
                THEN b.credential_sid END
        ) AS credential_sid
    FROM errors e LEFT JOIN (
        SELECT sid, any_value(service_sid) AS service_sid, max(coalesce(date_updated, date_created)) AS seen,
            CASE WHEN count(DISTINCT credential_sid) = 1 THEN any_value(credential_sid) END AS credential_sid
        FROM bindings WHERE sid IN (SELECT binding_sid FROM errors)
        GROUP BY sid HAVING count(DISTINCT service_sid) = 1
    ) b ON e.binding_sid = b.sid
"""
_COUNTED = """
    count(*) AS errors, count(DISTINCT binding_sid) AS bindings,
    coalesce(strftime(make_timestamp(epoch_us(min(date))), '%Y-%m-%dT%H:%M:%SZ'), '') AS first,
    coalesce(strftime(make_timestamp(epoch_us(max(date))), '%Y-%m-%dT%H:%M:%SZ'), '') AS last
"""
_BY_CODE = f"""
    SELECT service_sid, credential_sid, error_code, {_COUNTED} FROM attributed
    GROUP BY ALL ORDER BY errors DESC, error_code, credential_sid NULLS LAST, service_sid NULLS LAST
"""  # noqa: S608  # constants
_OF_BINDINGS = f"""
    SELECT binding_sid, service_sid, credential_sid, error_code, {_COUNTED} FROM attributed
    WHERE binding_sid IN (SELECT unnest($sids))
    GROUP BY ALL ORDER BY errors DESC, error_code, credential_sid NULLS LAST, service_sid NULLS LAST
"""  # noqa: S608
_BY_HOUR = """
    SELECT date_trunc('hour', make_timestamp(epoch_us(date))) AS hour, service_sid, credential_sid,
        error_code, count(*) AS errors, count(DISTINCT binding_sid) AS bindings
    FROM attributed GROUP BY ALL
    ORDER BY hour NULLS LAST, service_sid NULLS LAST, credential_sid NULLS LAST, error_code
"""


_LIVE = """
    SELECT service_sid, credential_sid, count(*) FROM bindings
    WHERE coalesce(epoch_us(coalesce(date_updated, date_created)) >= $born, true) GROUP BY ALL
"""


def count_errors(file: Path, scratch: Path, snapshot: Snapshot | None = None) -> tuple[ErrorCount, ...]:
    """The errors of a file of `PUSH_ERRORS` by service, credential and code, the most first.

    Where an alert names a binding, and not its credential or service, a `snapshot` that has that binding says which
    they are; the credential only if the device has not registered since the alert. `scratch` is a folder for what
    does not fit into memory.
    """
    if not pq.read_metadata(file).num_rows:
        return ()
    return tuple(ErrorCount(*row) for row in _rows(file, scratch, snapshot, _BY_CODE))


def errors_of_bindings(file: Path, scratch: Path, sids: Sequence[str]) -> dict[str, tuple[ErrorCount, ...]]:
    """The errors that name one of some bindings, by its SID; those that no alert names are left out."""
    found: dict[str, tuple[ErrorCount, ...]] = {}
    for sid, *row in _rows(file, scratch, None, _OF_BINDINGS, {"sids": list(sids)}):
        found[sid] = (*found.get(sid, ()), ErrorCount(*row))
    return found


def errors_by_hour(file: Path, scratch: Path, snapshot: Snapshot | None = None) -> pa.Table:
    """The errors by hour, service, credential and code (`PUSH_ERRORS_BY_HOUR`), in that order."""
    with _attributed(file, scratch, snapshot) as database:
        table: pa.Table = database.sql(_BY_HOUR).to_arrow_table()
    return table.cast(PUSH_ERRORS_BY_HOUR)


@dataclass(frozen=True)
class Devices:
    """How many bindings have not expired, by service and credential."""

    numbers: Mapping[tuple[str, str | None], int]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.numbers.values())

    def of(self, service_sid: str | None, credential_sid: str | None) -> int:
        """Those of a service, a credential, or both; None stands for any."""
        return sum(
            number
            for (service, credential), number in self.numbers.items()
            if service_sid in (None, service) and credential_sid in (None, credential)
        )


def count_devices(snapshot: Snapshot, scratch: Path, lifetime: timedelta) -> Devices:
    """The bindings of a snapshot that had not expired; one without a date counts."""
    born = (snapshot.as_of - lifetime - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    with over_views({"bindings": _parts(snapshot)}, scratch, by_service=True) as database:
        rows = database.sql(_LIVE, params={"born": born}).fetchall()
    return Devices({(service, credential): number for service, credential, number in rows})


def _parts(snapshot: Snapshot | None) -> list[Path]:
    if snapshot is None:
        return []
    return [path for sid in snapshot.manifest.rows_by_service for path, _ in snapshot.parts(sid)]


def _rows(
    file: Path, scratch: Path, snapshot: Snapshot | None, query: str, params: dict[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    with _attributed(file, scratch, snapshot) as database:
        rows: list[tuple[Any, ...]] = database.sql(query, params=params or {}).fetchall()
    return rows


@contextmanager
def _attributed(file: Path, scratch: Path, snapshot: Snapshot | None) -> Iterator[Any]:
    with over_views({"bindings": _parts(snapshot)}, scratch, by_service=True) as database:
        database.execute(view_of("errors", [file], by_service=False))  # it has services in a column
        database.execute(_ATTRIBUTED)
        yield database
