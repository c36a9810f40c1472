"""When a threshold is reached, if it continues as it went: an extrapolation of shares over time, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log
from typing import Any

import numpy as np

_FARTHEST = 3650.0  # days: what would take longer is not foretold
_NARROWEST = 1.0  # days: runs that are closer together tell the hour, and no trend
_DAY = timedelta(days=1)
_Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Forecast:
    """When a share is reached.

    `reached` is the first time at which it was, and then the others are None. `pace` is the recent growth, in shares
    a day. `steady` is when it would be reached at that pace; `slowing`, later, if each day the same part of those who
    are missing came. Both take everybody for one who comes in the end: where some never do, it is later still, or
    never. None where it would take ten years, or never come, or the runs are all of one day.
    """

    reached: datetime | None
    pace: float
    steady: datetime | None = None
    slowing: datetime | None = None


def forecast(times: Sequence[datetime], shares: Sequence[float], threshold: float, recent: timedelta) -> Forecast:
    """Extrapolate shares (from 0 to 1) at times in ascending order.

    The `recent` ones count; where those are of less than half of that time, earlier ones too, until they are of more.
    """
    days = np.array([(time - times[-1]) / _DAY for time in times])
    ready = np.array(shares, float)
    first = int(np.searchsorted(days, -recent / _DAY))
    if -days[first] < recent / _DAY / 2:
        first = max(0, int(np.searchsorted(days, -recent / _DAY / 2, side="right")) - 1)
    pace = _slope(days[first:], ready[first:]) if -days[first] >= _NARROWEST else 0.0
    if shares[-1] >= threshold:
        return Forecast(next(time for time, share in zip(times, shares, strict=True) if share >= threshold), pace)
    missing = 1 - ready
    rate = -_slope(days[first:], np.log(np.maximum(missing[first:], 1e-9))) if pace else 0.0
    left = log(missing[-1] / (1 - threshold)) if threshold < 1 else float("inf")
    return Forecast(None, pace, _after(times[-1], threshold - shares[-1], pace), _after(times[-1], left, rate))


def _slope(x: _Numbers, y: _Numbers) -> float:
    """The slope of the line through some points, by least squares; 0 where they are all of one time."""
    apart = x - x.mean()
    spread = float((apart**2).sum())
    return float((apart * (y - y.mean())).sum()) / spread if spread else 0.0


def _after(start: datetime, way: float, pace: float) -> datetime | None:
    if pace <= 0 or way / pace > _FARTHEST:
        return None
    return start + way / pace * _DAY
