"""Coverage to look at: who has come back, how the curve continues, and who is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from migrate.model.errors import InputError
from migrate.model.masked_column import mask_column
from migrate.model.schemas import COVERAGE, TIMESTAMP
from migrate.report.wording import count, name
from migrate.review.forecast import forecast
from migrate.review.html_repr import HtmlRepr
from migrate.review.rows import NONE, frame, to_pandas
from migrate.verify.pending import read_pending

ALL = "(all)"  # all platforms together
_NUMBERS = ["bindings", "ready_device", "ready_platform", "pending", "expired", "new", "unclear", "rejected"]
_MAKE = "Make some with: chat-migrate verify SNAPSHOT --coverage DIR"
_KEYS = ["as_of", "service_sid", "platform"]
_FORECAST = {
    "platform": pa.string(),
    "percent": pa.float64(),
    "threshold": pa.float64(),
    "missing": pa.int64(),
    "percent_a_day": pa.float64(),
    "reached": TIMESTAMP,
    "steady": TIMESTAMP,
    "slowing": TIMESTAMP,
}


class CoverageReview(HtmlRepr):
    """What runs of `verify` found. Coverage holds numbers and SIDs only; a list of who is pending holds identities.

    Of the snapshot's `bindings`, `expected` are those that had not expired. `ready` of them can be reached through
    Conversations: by the same device, or by another of the same platform in its place. `percent` is their share in
    the expected, to a tenth and never rounded up, and missing where none is expected. Times are those of the live
    side, in UTC.
    """

    def __init__(self, runs: pd.DataFrame, pending: pa.Table | None, *, show_identities: bool = False) -> None:
        self._runs = runs
        self._listed = pending
        self._show_identities = show_identities

    @classmethod
    def open(cls, paths: Sequence[Path], pending: Path | None = None, *, show_identities: bool = False) -> Self:
        """Open coverage; see `migrate.review.open_coverage`."""
        listed = read_pending(pending) if pending else None
        return cls(_runs(_files(paths)), listed, show_identities=show_identities)

    @property
    def coverage(self) -> pd.DataFrame:
        """A row for each run, service and platform: `as_of`, `service_sid`, `platform`, `snapshot` (its digest).

        And the numbers: `bindings`, `ready_device`, `ready_platform`, `pending`, `expired`, `new`, `unclear` (see
        `migrate.verify.coverage.Counts`), `rejected` (live records that do not fit), `ready`, `expected`, `percent`.
        `platform` is `(none)` where bindings name no type; `fcm` stands for `gcm` too.
        """
        return _with_shares(self._runs)

    @cached_property
    def snapshots(self) -> pd.DataFrame:
        """The snapshots that were compared, a row each: `snapshot` (its digest), `runs`, `first` and `last` (UTC)."""
        found = self._runs.groupby("snapshot", observed=True)["as_of"].agg(runs="nunique", first="min", last="max")
        return found.sort_values("last").reset_index()

    @property
    def ready_now(self) -> float:
        """The percentage of the last run, all platforms together; not a number where none is expected."""
        return float(self._last()["percent"])

    @property
    def latest(self) -> pd.DataFrame:
        """The rows of `coverage` that are the last run's."""
        found = self._of(None)
        return _with_shares(found[found["as_of"] == found["as_of"].max()].reset_index(drop=True))

    def curve(self, snapshot: str | None = None) -> pd.DataFrame:
        """Coverage over time: a row for each run and `platform`, and for `(all)` of them; in the order of time.

        Only runs for one snapshot make a curve: by default those for the one that was compared last.
        """
        found = self._of(snapshot)
        by_platform = found.groupby(["as_of", "platform"], as_index=False)[_NUMBERS].sum()
        together = found.groupby("as_of", as_index=False)[_NUMBERS].sum().assign(platform=ALL)
        both = pd.concat([by_platform, together[by_platform.columns]])
        return _with_shares(both.sort_values(["platform", "as_of"], ignore_index=True))

    def by_service(self) -> pd.DataFrame:
        """The last run by service, the most pending first: `service_sid`, `service`, and the numbers.

        `service` is its name, where the list of who is pending has it.
        """
        found = self.latest.groupby("service_sid", as_index=False)[_NUMBERS].sum()
        found.insert(1, "service", [self._names.get(sid, "") for sid in found["service_sid"]])
        return _with_shares(found.sort_values(["pending", "service_sid"], ascending=[False, True], ignore_index=True))

    def forecast(self, threshold: float = 95.0, *, days: float = 14.0) -> pd.DataFrame:
        """When each platform would reach a threshold (in percent), by the growth of the last `days`.

        A row has `platform`, `percent` now, `threshold`, how many bindings are `missing` to it, and `percent_a_day`.
        `reached` is when it was, if it was; else `steady` is the day on which it would be if the growth stayed as it
        is, and `slowing` if it slowed down as fewer are missing. Expect it later than both: some never come back, and
        perhaps it is never reached. Missing where all runs are of one day, or there is no growth, or it would take
        ten years; platforms without an expected binding are left out. It is an extrapolation: a reminder to users
        changes it. Raises `InputError` for a threshold that is no percentage.
        """
        if not 0 <= threshold <= 100:
            raise InputError(f"A threshold is a percentage from 0 to 100, and not {threshold}")
        rows: list[list[Any]] = []
        curve = self.curve()
        for platform, found in curve[curve["expected"] > 0].groupby("platform", sort=False):
            times = [time.to_pydatetime() for time in found["as_of"]]
            shares = [percent / 100 for percent in 100.0 * found["ready"] / found["expected"]]
            outlook = forecast(times, shares, threshold / 100, timedelta(days=days))
            last = found.iloc[-1]
            missing = max(0, ceil(round(threshold * int(last["expected"]) / 100, 6)) - int(last["ready"]))
            numbers = (float(last["percent"]), threshold, missing, outlook.pace * 100)
            rows.append([platform, *numbers, outlook.reached, _day(outlook.steady), _day(outlook.slowing)])
        return frame(_FORECAST, rows)

    @cached_property
    def pending(self) -> pd.DataFrame:
        """Who is still waited for, a row each binding: `service`, `service_sid`, `identity`, `device`, `platform`.

        And `last_seen` (UTC), `sid`. Identities are masked unless `show_identities=True` was asked for; devices are
        in the list so already. Raises `InputError` where no list was given.
        """
        table = self._pending()
        identities = table["identity"]
        if not self._show_identities:
            masked = pa.chunked_array([mask_column(chunk) for chunk in identities.chunks], pa.string())
            table = table.set_column(table.schema.get_field_index("identity"), "identity", masked)
        found = to_pandas(table)
        return found.assign(service=[self._names.get(sid, "") for sid in found["service_sid"]])

    def missing(self) -> pd.DataFrame:
        """Who is missing, in numbers: `service_sid`, `service`, `platform`, `bindings`, `identities`.

        And `seen_in_a_month`: those of the bindings that Chat had seen in the 30 days before the first run, or since.
        They should come back by themselves soon; the others may need a reminder. Raises `InputError` as `pending`.
        """
        table = self._pending()
        month = self.snapshots["first"].iloc[-1].to_pydatetime() - timedelta(days=30)
        recent = pc.fill_null(pc.greater(table["last_seen"], pa.scalar(month, TIMESTAMP)), False)
        platforms = pc.fill_null(table["platform"], NONE)
        counted = pa.table(
            {
                "service_sid": table["service_sid"],
                "platform": platforms,
                "identity": table["identity"],
                "recent": recent.cast(pa.int64()),
            }
        )
        found = to_pandas(
            counted.group_by(["service_sid", "platform"]).aggregate(
                [("recent", "count"), ("identity", "count_distinct"), ("recent", "sum")]
            )
        )
        names = {"recent_count": "bindings", "identity_count_distinct": "identities", "recent_sum": "seen_in_a_month"}
        found = found.rename(columns=names)[["service_sid", "platform", *names.values()]]
        found.insert(1, "service", [self._names.get(sid, "") for sid in found["service_sid"]])
        order = ["bindings", "service_sid", "platform"]
        return found.sort_values(order, ascending=[False, True, True], ignore_index=True)

    def _pending(self) -> pa.Table:
        if self._listed is None:
            raise InputError(
                "No list of who is pending was given",
                remedy="Make one with: chat-migrate verify SNAPSHOT --pending FILE; open it with pending=FILE",
            )
        return self._listed

    @cached_property
    def _names(self) -> Mapping[str, str]:
        if self._listed is None:
            return {}
        pairs = self._listed.select(["service_sid", "service"]).group_by(["service_sid", "service"]).aggregate([])
        return {row["service_sid"]: name(row["service"] or "") for row in pairs.to_pylist()}

    def _of(self, snapshot: str | None) -> pd.DataFrame:
        chosen = self.snapshots["snapshot"].iloc[-1] if snapshot is None else snapshot
        found = self._runs[self._runs["snapshot"] == chosen]
        if found.empty:
            raise InputError("There is no run for that snapshot", remedy="See the digests in .snapshots")
        return found

    def _title(self) -> str:
        last = self._last()
        if not last["expected"]:
            return "Coverage: no binding of this snapshot is expected"
        return f"Coverage: {self.ready_now:.1f} % of {count(int(last['expected']), 'binding')} are ready"

    def _facts(self) -> dict[str, str]:
        last, runs = self._last(), self.snapshots.iloc[-1]
        facts = {
            "Last run": f"{last['as_of']:%Y-%m-%d %H:%M} UTC",
            "Runs": f"{count(int(runs['runs']), 'run')} since {runs['first']:%Y-%m-%d}",
            "Ready": f"{int(last['ready_device']):,} by device, {int(last['ready_platform']):,} by platform",
            "Pending": f"{int(last['pending']):,}; {int(last['expired']):,} had expired",
            "Others": f"{int(last['new']):,} new, {int(last['unclear']):,} unclear",
        }
        if last["rejected"]:
            facts["Rejected"] = f"{count(int(last['rejected']), 'live record')} that do not fit"
        if len(self.snapshots) > 1:
            facts["Left out"] = f"runs for {count(len(self.snapshots) - 1, 'other snapshot')}: see .snapshots"
        return facts

    def _last(self) -> Any:
        curve = self.curve()
        return curve[curve["platform"] == ALL].iloc[-1]

    def _questions(self) -> tuple[str, ...]:
        return ("curve", "by_service", "forecast", *(("missing",) if self._listed is not None else ()))


def _day(time: datetime | None) -> datetime | None:
    """The day by whose beginning a time has come."""
    if time is None:
        return None
    begun = time.replace(hour=0, minute=0, second=0, microsecond=0)
    return begun if begun == time else begun + timedelta(days=1)


def _files(paths: Iterable[Path]) -> list[Path]:
    """The files of runs in some folders, or those that are named; the later of two for one time comes later."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"There is nothing at {path}", remedy=_MAKE)
        found += path.glob("[!.]*.parquet") if path.is_dir() else [path]
    if not found:
        raise InputError("There is no coverage in the place that was named", remedy=_MAKE)
    return sorted(set(found), key=lambda path: (len(path.name), path.name))


def _runs(files: Iterable[Path]) -> pd.DataFrame:
    """The rows of all runs; of several for one snapshot at one time, the last."""
    tables: list[pd.DataFrame] = []
    for number, path in enumerate(files):
        try:
            table = _of_today(pq.ParquetFile(path).read()).cast(COVERAGE)
        except (pa.ArrowException, OSError, ValueError):
            raise InputError(
                f"{path} is not a file that verify writes to its coverage folder",
                remedy="Name that folder, or files in it",
            ) from None
        tables.append(to_pandas(table).assign(file=number))
    runs = pd.concat(tables)
    if runs.empty:
        raise InputError("The runs have no numbers: there was nothing to compare")
    runs = runs[runs["file"] == runs.groupby(["snapshot", "as_of"])["file"].transform("max")].drop(columns="file")
    runs["platform"] = runs["platform"].fillna(NONE)
    return runs.sort_values(["snapshot", *_KEYS], ignore_index=True)


def _of_today(table: pa.Table) -> pa.Table:
    """A file of an earlier version, which did not count what was rejected, as one of today."""
    if "rejected" in table.column_names:
        return table
    place = COVERAGE.get_field_index("rejected")
    return table.add_column(place, "rejected", pa.repeat(pa.scalar(0, pa.int64()), table.num_rows))


def _with_shares(found: pd.DataFrame) -> pd.DataFrame:
    ready, expected = found["ready_device"] + found["ready_platform"], found["bindings"] - found["expired"]
    # To a tenth and never rounded up, as `migrate.verify.coverage.Counts` has it.
    share = (1000 * ready // expected.where(expected > 0) / 10).astype("float64")
    return found.assign(ready=ready, expected=expected, percent=share)
