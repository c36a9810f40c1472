"""What runs of `health` have left, to look at: by hour and by code, each error once, and beside re-registration."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrate.model.errors import InputError
from migrate.model.schemas import PUSH_ERRORS_BY_HOUR
from migrate.push_errors.health_folder import Measured, write_measured
from migrate.review import charts, open_health
from tests.conftest import service_sid
from tests.reviews import rows
from tests.snapshots import ACCOUNT, AS_OF, credential_sid
from tests.test_review_coverage import grown

OLD, SERVICE = credential_sid(1), service_sid(1)
Row = tuple[float | None, int, int]  # how many hours before AS_OF, code, errors


def at(hours: float) -> datetime:
    return AS_OF - timedelta(hours=hours)


def left(
    folder: Path, since: float, until: float, found: Sequence[Row], account: str = ACCOUNT, devices: int | None = None
) -> Path:
    """What a run of `health` leaves, over a span so many hours before AS_OF."""
    folder.mkdir(exist_ok=True)
    table = pa.Table.from_pylist(
        [
            {
                "hour": None if hours is None else at(hours),
                "service_sid": SERVICE,
                "credential_sid": OLD,
                "error_code": code,
                "errors": number,
                "bindings": 1,
            }
            for hours, code, number in found
        ],
        schema=PUSH_ERRORS_BY_HOUR,
    )
    errors: dict[Any, int] = {}
    for _, code, number in found:
        errors[SERVICE, OLD, code] = errors.get((SERVICE, OLD, code), 0) + number
    return write_measured(
        folder, Measured(account, at(since).isoformat(), at(until).isoformat(), errors, devices), table
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs that overlap by two hours and a half: the later has read half of its first hour."""
    out = tmp_path / "health"
    left(out, 6, 2, [(6, 52117, 1), (5, 52117, 2), (4, 52117, 30), (3, 52117, 40), (None, 52117, 500)])
    left(out, 4.5, 0, [(5, 52117, 1), (4, 52117, 3), (2, 52102, 5), (None, 52117, 6)], devices=50)
    (out / "notes.parquet").write_bytes(b"none of ours")
    return out


def test_of_an_hour_that_several_runs_have_read_the_last_that_read_it_whole_counts(folder: Path) -> None:
    health = open_health(folder)
    assert rows(health.by_hour(), ["hour", "error_code", "errors"]) == [
        (at(6), 52117, 1),
        (at(5), 52117, 2),
        (at(4), 52117, 3),
        (at(2), 52102, 5),  # and none at 3: the later run has read it, and found none
    ]
    assert health.undated == 6
    assert rows(health.by_code(), ["credential_sid", "error_code", "meaning", "errors", "first", "last"]) == [
        (OLD, 52117, "legacy FCM key, push not sent", 12, at(6), at(4)),
        (OLD, 52102, "bad FCM token", 5, at(2), at(2)),
    ]
    assert rows(health.runs) == [(at(6), at(2), 573, None), (at(4.5), at(0), 15, 50)]


def test_the_box_has_the_numbers_of_the_last_run(folder: Path) -> None:
    shown = open_health(folder)._repr_html_()
    for words in (
        "Health: 17 push errors",
        "2 runs",
        "15 errors",
        "160.0 errors a day for 100 live devices",
        "6 of the last",
    ):
        assert words in shown, words
    assert "Undated" not in open_health(left(folder, 1, 0, []))._repr_html_()
    assert repr(open_health(left(folder, 1, 0, [(1, 52102, 1)]))) == "<Health: 1 push error>"


def test_what_is_no_file_of_health_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file of push errors"):
        open_health(folder / "notes.parquet")
    with pytest.raises(InputError, match="nothing at"):
        open_health([folder, tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no push errors in the place"):
        open_health(tmp_path / "empty")
    left(folder, 1, 0, [], account="AC" + "9" * 32)
    with pytest.raises(InputError, match="several accounts"):
        open_health(folder)


def test_the_chart_stacks_codes_and_marks_the_time_that_was_not_read(tmp_path: Path) -> None:
    codes = [52117, 52102, 52131, 52133, 52134, 52005, 52150]
    left(tmp_path / "h", 9, 6, [(8, code, 10 - n) for n, code in enumerate(codes)])
    left(tmp_path / "h", 3, 0, [(2, 52117, 4)])
    chart = charts.errors(open_health(tmp_path / "h"))
    assert repr(chart) == (
        "Push errors by hour: 52117 legacy FCM key, push not sent 14; 52102 bad FCM token 9; "
        "52131 APNs credential invalid or expired 8; 52133 bad APNs token 7; "
        "52134 bad APNs token for this environment 6; other codes 9"
    )
    (axes,) = chart.figure.axes
    tops = [patch.get_data().values for patch in axes.patches]
    *tops, unread = tops
    assert [len(values) for values in tops] == [9] * (charts.MOST_CODES + 1)
    assert tops[-1][1] == 49
    assert [bool(value == value) for value in unread] == [False] * 3 + [True] * 3 + [False] * 3
    assert [bool(value != value) for value in tops[0]] == [False] * 3 + [True] * 3 + [False] * 3
    assert chart._repr_png_().startswith(b"\x89PNG")


def test_the_chart_stands_below_the_curve_of_re_registration(tmp_path: Path) -> None:
    left(tmp_path / "h", 48, 0, [(40, 52117, 7), (None, 52117, 2)])
    coverage = grown(tmp_path / "c", {-2: 10, -1: 500, 0: 800})
    chart = charts.errors(open_health(tmp_path / "h"), coverage)
    assert repr(chart).endswith("push errors by hour: 52117 legacy FCM key, push not sent 7; undated 2")
    curve, bars = chart.figure.axes
    assert curve.get_xlim() == bars.get_xlim()
    assert {"apn", "(all)"} <= {line.get_label() for line in curve.lines}
    assert repr(charts.errors(open_health(left(tmp_path / "h", 1, 0, [])))) == "Push errors by hour: none"
