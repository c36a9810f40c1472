"""Windows of time: a span is read in pieces, as a query gives at most 10,000 alerts (FACTS.md, "Push errors")."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

MOST_ALERTS = 10_000  # that a query gives
LONGEST = timedelta(days=30)  # that Twilio keeps alerts
SECOND = timedelta(seconds=1)
_MOST_PIECES = 1_000
_AIM = 1.5  # how many times more pieces than fit by what was seen: alerts do not come evenly
_TOLERANCE = timedelta(minutes=1)


@dataclass(frozen=True, order=True)
class Window:
    """From `begin` to `end`, both in whole seconds and both included; neighbours share the second between them."""

    begin: datetime
    end: datetime

    def __str__(self) -> str:
        return f"from {_spelt(self.begin)} to {_spelt(self.end)}"

    @property
    def params(self) -> tuple[tuple[str, str], ...]:
        """The filters of the query."""
        return ("StartDate", _spelt(self.begin)), ("EndDate", _spelt(self.end))

    @property
    def can_be_split(self) -> bool:
        """Whether there is a whole second between its ends."""
        return self.end - self.begin > SECOND

    def split(self, seen: Iterable[datetime]) -> list[Window]:
        """Smaller windows that cover it, so many that each should have few enough alerts.

        `seen` are the times of the 10,000 that came: where Twilio lists the latest first, they show how close
        together alerts are. A wrong guess costs requests, and nothing else.
        """
        seconds = round((self.end - self.begin) / SECOND)
        within = sorted(min(max(time, self.begin), self.end) for time in seen)
        covered = max((within[-1] - within[0]) / SECOND, 1.0) if within else float(seconds)
        pieces = min(max(2, math.ceil(_AIM * seconds / covered)), _MOST_PIECES, seconds)
        edges = [self.begin + SECOND * (seconds * piece // pieces) for piece in range(pieces + 1)]
        return [Window(begin, end) for begin, end in pairwise(edges)]

    def without_before(self, oldest: datetime) -> Window | None:
        """What is left of it from a time on; None if nothing is."""
        if self.begin >= oldest:
            return self
        return Window(_up(oldest), self.end) if _up(oldest) <= self.end else None

    def is_outside(self, dates: tuple[datetime, ...]) -> bool:
        """Whether none of an alert's dates is in it; one without dates may be.

        Which of its dates Twilio goes by is not known.
        """
        begin, end = self.begin - _TOLERANCE, self.end + _TOLERANCE
        return bool(dates) and not any(begin <= date <= end for date in dates)


def window_of(since: datetime, until: datetime) -> Window:
    """The window that covers a span, in whole seconds."""
    return Window(_down(since), _up(until))


def _down(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(microsecond=0)


def _up(time: datetime) -> datetime:
    whole = _down(time)
    return whole if whole == time else whole + SECOND


def _spelt(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
