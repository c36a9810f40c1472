"""Monitor's alerts: errors by code, newest first, and none of them made before it is asked for.

A world can have a million. A group of alerts knows when its n-th was logged and how many are newer than a date, so a
page is found by its place, whatever the number, and takes no memory but its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from typing import Literal, Protocol, overload

MOST = 10_000  # alerts a query (FACTS.md, "Push errors")
KEPT = timedelta(days=30)
Date = Literal["generated", "created"]
_EPOCH, _TICK = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


@dataclass(slots=True)
class Alert:
    """One alert. `number` is its place in the list that it was found in, from 0; all dates are in UTC."""

    number: int
    sid: str
    generated: datetime | None
    created: datetime | None
    error_code: str | None
    log_level: str | None
    resource_sid: str | None
    service_sid: str | None
    text: str | None
    request_url: str | None


class AlertGroup(Protocol):
    """Some alerts, newest first. Times are microseconds since 1970."""

    def __len__(self) -> int: ...

    @property
    def log_level(self) -> str | None:
        """The level that all of them have."""
        ...

    @property
    def delay(self) -> int:
        """How long after they were generated they were created."""
        ...

    def time(self, place: int) -> int:
        """When the alert of a place was generated; no later than the one before it."""
        ...

    def newer(self, time: int) -> int:
        """How many were generated after a time."""
        ...

    def alert(self, place: int, number: int) -> Alert:
        """The alert of a place, with the number that it has in a list."""
        ...

    def place_of(self, sid: str) -> int | None:
        """Where the alert of a SID is; None if it is not of this group."""
        ...


class Timeline(Sequence[Alert]):
    """The newest `most` alerts of several groups, logged from `first` to `last` (both included), newest first.

    `by` says which of an alert's two dates is meant.
    """

    def __init__(self, groups: Sequence[AlertGroup], first: int, last: int, by: Date, most: int) -> None:
        self._groups = groups
        self._delays = [group.delay if by == "created" else 0 for group in groups]
        self._bounds = first, last
        self._skipped = self._newer(last)
        self._length = min(most, max(0, self._newer(first - 1) - self._skipped))

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> Alert: ...

    @overload
    def __getitem__(self, place: slice) -> list[Alert]: ...

    def __getitem__(self, place: int | slice) -> Alert | list[Alert]:
        if isinstance(place, slice):
            start, stop, _ = place.indices(len(self))
            return self._between(start, stop)
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self._between(place, place + 1)[0]

    def _newer(self, time: int) -> int:
        return sum(self._newer_by_group(time))

    def _newer_by_group(self, time: int) -> list[int]:
        return [group.newer(time - delay) for group, delay in zip(self._groups, self._delays, strict=True)]

    def _between(self, start: int, stop: int) -> list[Alert]:
        """The alerts of some places. Of the same time, those of the first group come first."""
        rows = (self._times(group, place) for group, place in enumerate(self._places(start + self._skipped)))
        numbered = zip(range(start, stop), merge(*rows), strict=False)
        return [self._groups[group].alert(place, number) for number, (_, group, place) in numbered]

    def _times(self, number: int, start: int) -> Iterator[tuple[int, int, int]]:
        """What to sort the alerts of a group by, from a place on: the time, negated; the group; the place."""
        group, delay = self._groups[number], self._delays[number]
        return ((-group.time(place) - delay, number, place) for place in range(start, len(group)))

    def _places(self, ahead: int) -> list[int]:
        """How many alerts of each group are among so many of the newest of all."""
        low, high = self._bounds
        while low < high:  # the earliest time that no more alerts are newer than
            middle = (low + high) // 2
            low, high = (low, middle) if self._newer(middle) <= ahead else (middle + 1, high)
        places, then = self._newer_by_group(low), self._newer_by_group(low - 1)
        left = ahead - sum(places)
        for group, more in enumerate(then):
            step = min(left, more - places[group])
            places[group] += step
            left -= step
        return places


@dataclass(frozen=True)
class AlertLog:
    """All alerts of an account, and what is not known of how Twilio lists them (FACTS.md, [?]).

    A query gives at most `most` alerts. Beyond them the list ends, or asking for the next page is refused. Dates in
    a query, and the order, go by when an alert was generated or by when it was created. `closed_to` are the SIDs of
    API keys that may not read alerts.
    """

    groups: Sequence[AlertGroup] = ()
    most: int = MOST
    beyond: Literal["ends", "refused"] = "ends"
    by: Date = "generated"
    closed_to: Collection[str] = ()

    def find(self, now: datetime, first: datetime | None, last: datetime | None, level: str | None) -> Timeline:
        """The alerts of the last 30 days, from one date to another (both included), of one level if one is given."""
        kept = oldest(now)
        groups = [group for group in self.groups if level in (None, group.log_level)]
        most = self.most + (self.beyond == "refused")  # so that there is a page to ask for
        return Timeline(groups, ticks(max(first or kept, kept)), ticks(min(last or now, now)), self.by, most)

    def of_sid(self, sid: str, now: datetime) -> Alert | None:
        """The alert of a SID, if it is of the last 30 days."""
        for group in self.groups:
            place = group.place_of(sid)
            if place is not None and ticks(oldest(now)) <= group.time(place) <= ticks(now):
                return group.alert(place, 0)
        return None


def oldest(now: datetime) -> datetime:
    """How far back alerts are kept: 30 days, from the full second that answers say it is."""
    return now.replace(microsecond=0) - KEPT


def ticks(date: datetime) -> int:
    """Microseconds since 1970."""
    return (date - _EPOCH) // _TICK


def date_of(time: int) -> datetime:
    """The date of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=time)
