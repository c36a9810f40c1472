"""A span of time is read in pieces that leave nothing out, and that end somewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from migrate.push_errors.windows import SECOND, Window, window_of

DAY = datetime(2026, 6, 15, tzinfo=UTC)
times = st.datetimes(datetime(2026, 5, 1), datetime(2026, 7, 1), timezones=st.just(UTC))
lengths = st.timedeltas(timedelta(seconds=2), timedelta(days=30))


@given(times, lengths, st.lists(times, max_size=20))
def test_pieces_cover_the_window_and_are_shorter(begin: datetime, length: timedelta, seen: list[datetime]) -> None:
    window = window_of(begin, begin + length)
    pieces = window.split(seen)
    assert len(pieces) >= 2
    assert (pieces[0].begin, pieces[-1].end) == (window.begin, window.end)
    for one, other in pairwise(pieces):
        assert one.end == other.begin  # both have that second: no alert between them is lost
    for piece in pieces:
        assert SECOND <= piece.end - piece.begin < window.end - window.begin


@given(times, lengths)
def test_a_span_is_within_its_window_to_the_second(begin: datetime, length: timedelta) -> None:
    window = window_of(begin, begin + length)
    assert window.begin <= begin < window.begin + SECOND
    assert window.end - SECOND < begin + length <= window.end


def test_the_latest_ten_thousand_show_how_many_pieces_are_needed() -> None:
    window = Window(DAY, DAY + timedelta(days=30))
    hour = [DAY + timedelta(days=30) - timedelta(seconds=second) for second in (0, 3600)]
    assert len(window.split(hour)) == 1000  # not more, however close together they are
    day = [DAY + timedelta(days=30), DAY + timedelta(days=29)]
    assert len(window.split(day)) == 45
    assert len(window.split([DAY, DAY + timedelta(days=30)])) == 2


def test_what_is_no_longer_kept_is_cut_off() -> None:
    window = Window(DAY, DAY + timedelta(hours=1))
    assert window.without_before(DAY - SECOND) == window
    assert window.without_before(DAY + timedelta(seconds=90.5)) == Window(DAY + timedelta(seconds=91), window.end)
    assert window.without_before(DAY + timedelta(hours=2)) is None


def test_an_alert_is_in_its_window_by_any_of_its_dates() -> None:
    window = Window(DAY, DAY + timedelta(hours=1))
    before, within = DAY - timedelta(hours=1), DAY + timedelta(minutes=1)
    assert not window.is_outside(())
    assert not window.is_outside((before, within))
    assert window.is_outside((before,))
