"""The time that an answer says it is, beside this machine's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from migrate.model.clock import RECORDED_AT, SIMULATED, Clock


def clock_of(url: str, headers: Mapping[str, str]) -> Clock | None:
    """The clocks as an answer has them, whose header names are in lower case; None where it does not say the time.

    A recorded answer is compared with the time of its recording.
    """
    date = date_of(headers.get("date"))
    if date is None:
        return None
    machine = date_of(headers.get(RECORDED_AT)) or datetime.now(UTC)
    return Clock(urlsplit(url).netloc, date, machine, simulated=headers.get(SIMULATED, ""))


def date_of(header: str | None) -> datetime | None:
    """A date as HTTP writes it; None for anything else, or for a clock that was never set.

    HTTP's dates are in UTC, whether they say so or not (RFC 9110, 5.6.7), and never in this machine's zone.
    """
    try:
        date = parsedate_to_datetime(header) if header else None
        date = date and (date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None
    return date if date and 2000 < date.year < 9000 else None
