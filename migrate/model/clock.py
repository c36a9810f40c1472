"""The source's clock beside this machine's: the ages of bindings are measured by the first, so it has to be right."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from migrate.model.text import lasting

SAID_FROM = timedelta(minutes=5)  # a difference of so much is said
REFUSED_FROM = timedelta(days=1)  # with one of so much, no age means anything
# Headers. The stand-in says by the first that its time is its world's; a recording says by the second when it was
# made, where the source's clock was wrong then.
SIMULATED, RECORDED_AT = "x-simulated-time", "x-recorded-at"
REMEDY = (
    "Set this machine's clock; if it is right, find out what stands between it and Twilio, and changes the Date of "
    "answers"
)


@dataclass(frozen=True)
class Clock:
    """What time it was for a host and for this machine when an answer came.

    A world that the stand-in serves stands still in the past, and that is no fault; one in the future is.
    """

    host: str
    source: datetime
    machine: datetime
    is_simulated: bool = False

    @property
    def ahead(self) -> timedelta:
        """How far the host's clock is ahead of this machine's; less than nothing where it is behind."""
        found = self.source - self.machine
        return max(found, timedelta()) if self.is_simulated else found

    @property
    def is_said(self) -> bool:
        """Whether an operator must know of the difference."""
        return abs(self.ahead) >= SAID_FROM

    @property
    def is_refused(self) -> bool:
        """Whether the difference is such that nothing can rest on it."""
        return abs(self.ahead) >= REFUSED_FROM

    def __str__(self) -> str:
        size, side = lasting(abs(self.ahead).total_seconds()), "ahead of" if self.ahead > timedelta() else "behind"
        times = f"{self.source:%Y-%m-%d %H:%M} there, {self.machine:%Y-%m-%d %H:%M} UTC here"
        return f"the clock of {self.host} is {size} {side} this machine's ({times})"
