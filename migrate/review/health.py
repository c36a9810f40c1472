"""Push errors to look at: which pushes APNs and FCM did not take, hour by hour, from the files of `health`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from migrate.model.errors import InputError
from migrate.model.push_errors import entry_of
from migrate.model.schemas import TIMESTAMP
from migrate.push_errors.health_folder import PREFIX, Measured, read_hours
from migrate.report.wording import count
from migrate.review.html_repr import HtmlRepr
from migrate.review.rows import frame, to_pandas

_MAKE = "Make some with: chat-migrate health --out DIR"
_KEYS = ["service_sid", "credential_sid", "error_code"]


class HealthReview(HtmlRepr):
    """What runs of `health` found: numbers and SIDs, no personal data. Times are in UTC.

    Runs may overlap: of each hour there are the numbers of the run that read it last, of those that read most of it.
    Of errors that no alert dates there are those of the last run. Where an alert names no credential or service,
    the SID is missing. An error that is not there is no proof of health: where no push was sent, none could fail.
    """

    def __init__(self, found: Sequence[tuple[Measured, pa.Table]]) -> None:
        self._found = sorted(found, key=lambda run: (run[0].until, run[0].since))

    @classmethod
    def open(cls, paths: Sequence[Path]) -> Self:
        """Open what `health` has left; see `migrate.review.open_health`."""
        found = [read_hours(path) for path in _files(paths)]
        if len({measured.account_sid for measured, _ in found}) > 1:
            raise InputError("The runs are of several accounts", remedy="Open those of one account")
        return cls(found)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The runs, a row each, the latest last: `since`, `until`, `errors`, `live_devices` (missing if unknown)."""
        rows = [
            (datetime.fromisoformat(run.since), datetime.fromisoformat(run.until), run.total, run.devices)
            for run, _ in self._found
        ]
        columns = {"since": TIMESTAMP, "until": TIMESTAMP, "errors": pa.int64(), "live_devices": pa.int64()}
        return frame(columns, rows)

    @cached_property
    def errors(self) -> pd.DataFrame:
        """The errors, a row for each `hour` (missing: undated), `service_sid`, `credential_sid` and `error_code`.

        And `errors`, how many, and `bindings`, how many different ones the alerts of that hour name.
        """
        tables = []
        for number, (_, table) in enumerate(self._found):
            rows = to_pandas(table)
            is_undated = rows["hour"].isna() & (number == len(self._found) - 1)
            tables.append(rows[is_undated | (self._runs_of(pd.DatetimeIndex(rows["hour"])) == number)])
        found = pd.concat(tables)
        return found.sort_values(["hour", *_KEYS], ignore_index=True, kind="stable")

    def by_hour(self) -> pd.DataFrame:
        """The errors by `hour`, `error_code` and `meaning`, in the order of time; without those that are undated."""
        found = self.errors.dropna(subset=["hour"])
        summed = found.groupby(["hour", "error_code"], as_index=False)["errors"].sum()
        summed.insert(2, "meaning", _meanings(summed["error_code"]))
        return summed

    def by_code(self) -> pd.DataFrame:
        """The errors by credential, service and code, the most first: `credential_sid`, `service_sid`, `error_code`.

        And `meaning`, `errors`, `first` and `last` hour (missing: all are undated), `remedy`.
        """
        groups = self.errors.groupby(["credential_sid", "service_sid", "error_code"], as_index=False, dropna=False)
        found = groups.agg(errors=("errors", "sum"), first=("hour", "min"), last=("hour", "max"))
        found.insert(3, "meaning", _meanings(found["error_code"]))
        found["remedy"] = pd.Series([entry_of(int(code)).remedy for code in found["error_code"]], dtype="str")
        return found.sort_values(["errors", "error_code"], ascending=[False, True], ignore_index=True, kind="stable")

    @property
    def undated(self) -> int:
        """How many errors of the last run no alert dates."""
        found = self.errors
        return int(found.loc[found["hour"].isna(), "errors"].sum())

    @cached_property
    def hours(self) -> pd.DatetimeIndex:
        """All hours from the first to the last that some run has read."""
        runs = self.runs
        first, last = runs["since"].min().floor("h"), (runs["until"].max() - timedelta(microseconds=1)).floor("h")
        return pd.date_range(first, last, freq="h")

    def is_read(self, hours: pd.DatetimeIndex) -> pd.Series:
        """By hour, whether some run has read it, or a part of it."""
        return pd.Series(self._runs_of(hours) >= 0, index=hours)

    def _runs_of(self, hours: pd.DatetimeIndex) -> Any:
        """By hour, the place of the run that its numbers are from; -1 where none has read it, or there is no hour."""
        since, until = (_seconds(pd.DatetimeIndex(self.runs[name])) for name in ("since", "until"))
        begin = _seconds(hours)[:, None]
        read = np.minimum(until, begin + 3600) - np.maximum(since, begin)
        last = len(self._found) - 1 - np.argmax(read[:, ::-1], axis=1)  # of several that have read as much of it
        return np.where(hours.notna() & (read.max(axis=1) > 0), last, -1)

    def _title(self) -> str:
        return f"Health: {count(int(self.errors['errors'].sum()), 'push error')}"

    def _facts(self) -> dict[str, str]:
        runs, last = self.runs, self._found[-1][0]
        facts = {
            "Runs": f"{count(len(runs), 'run')}, from {runs['since'].min():%Y-%m-%d %H:%M} UTC",
            "Last run": f"until {runs['until'].max():%Y-%m-%d %H:%M} UTC, {count(last.total, 'error')}",
        }
        if last.rate is not None:
            facts["Rate"] = f"{last.rate:,.1f} errors a day for 100 live devices"
        if self.undated:
            facts["Undated"] = f"{self.undated:,} of the last run"
        return facts

    def _questions(self) -> tuple[str, ...]:
        return ("by_hour", "by_code")


def _seconds(times: pd.DatetimeIndex) -> Any:
    """Times as seconds since 1970."""
    return times.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)


def _meanings(codes: Iterable[Any]) -> Any:
    return pd.Series([entry_of(int(code)).meaning for code in codes], dtype="str")


def _files(paths: Iterable[Path]) -> list[Path]:
    """The files of runs in some folders, or those that are named."""
    found: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise InputError(f"There is nothing at {path}", remedy=_MAKE)
        found |= set(path.glob(f"{PREFIX}*.parquet")) if path.is_dir() else {path}
    if not found:
        raise InputError("There are no push errors in the place that was named", remedy=_MAKE)
    return sorted(found)
