"""Coverage to look at: the curve, the forecast beside sums done by hand, and who is missing."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isnan, log
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrate.map.spreadsheet import write_csv
from migrate.model.errors import InputError
from migrate.model.masking import mask
from migrate.model.schemas import COVERAGE, PENDING
from migrate.review import open_coverage
from migrate.review.coverage import CoverageReview
from migrate.verify.coverage import Counts, Coverage, ServiceCoverage
from migrate.verify.coverage_folder import write_coverage
from migrate.verify.pending import read_pending
from tests.conftest import service_sid
from tests.markup import HARMLESS, HOSTILE, text_in
from tests.reviews import rows
from tests.snapshots import ACCOUNT, AS_OF

ACME, OTHER = service_sid(1), service_sid(2)
FIRST, SECOND = "sha256:" + "1" * 64, "sha256:" + "2" * 64
DAY = timedelta(days=1)
Services = Mapping[str, Mapping[str | None, Counts]]


def verified(folder: Path, days: float, services: Services, snapshot: str = FIRST) -> Path:
    """What a run of `verify` leaves, so many days after the snapshot."""
    folder.mkdir(exist_ok=True)
    found = tuple(ServiceCoverage(sid, "name", dict(platforms)) for sid, platforms in services.items())
    live = (AS_OF + days * DAY).isoformat()
    coverage = Coverage(ACCOUNT, snapshot, AS_OF.isoformat(), "conversations", live, 0, False, found)
    return write_coverage(folder, coverage)


def grown(folder: Path, ready: Mapping[float, int], expected: int = 1000, platform: str = "apn") -> CoverageReview:
    """Coverage of one service, of which so many were ready after so many days."""
    for days, number in ready.items():
        verified(folder, days, {ACME: {platform: Counts(expected, number, 0, expected - number)}})
    return open_coverage(folder)


def at(days: float) -> datetime:
    return AS_OF + days * DAY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs for one snapshot, and before them one for another."""
    out = tmp_path / "coverage"
    verified(out, -9, {ACME: {"apn": Counts(7, pending=7)}}, SECOND)
    verified(out, 0, {ACME: {"apn": Counts(10, pending=8, expired=2)}, OTHER: {None: Counts(1, pending=1)}})
    apn = Counts(10, ready_device=3, ready_platform=1, pending=4, expired=2, new=5, unclear=6)
    verified(
        out,
        2,
        {ACME: {"apn": apn, "fcm": Counts(4, expired=4)}, OTHER: {None: Counts(1, pending=1), "apn": Counts(5, 5)}},
    )
    (out / ".hidden.parquet").write_bytes(b"none of ours")
    return out


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Who is pending: five bindings of two services, one of whom has no platform and no date."""
    seen = datetime(2026, 6, 14, tzinfo=UTC)
    people = [
        (HOSTILE, ACME, "alice@example.test", "apn", seen, 1),
        (HOSTILE, ACME, "alice@example.test", "apn", seen - 30 * DAY, 2),  # to the second a month before the last
        (HOSTILE, ACME, "=bob@example.test", "apn", seen - 30 * DAY + timedelta(seconds=1), 3),
        ("", OTHER, "alice@example.test", "apn", seen - 100 * DAY, 4),
        ("", OTHER, None, None, None, 5),
    ]
    names = ["service", "service_sid", "identity", "platform", "last_seen", "sid"]
    table = pa.Table.from_pylist(
        [dict(zip(names, row, strict=True)) | {"sid": f"BS{row[-1]}", "device": "de…er (25)"} for row in people],
        schema=PENDING,
    )
    write_csv(tmp_path / "pending.csv", PENDING.names, table.to_batches())
    pq.write_table(table, tmp_path / "pending.parquet")
    return tmp_path / "pending.csv"


def test_coverage_is_a_row_for_each_run_service_and_platform(folder: Path) -> None:
    review = open_coverage(folder)
    names = ["snapshot", "as_of", "service_sid", "platform", "ready", "expected", "percent"]
    assert rows(review.coverage, names) == [
        (FIRST, at(0), ACME, "apn", 0, 8, 0.0),
        (FIRST, at(0), OTHER, "(none)", 0, 1, 0.0),
        (FIRST, at(2), ACME, "apn", 4, 8, 50.0),
        (FIRST, at(2), ACME, "fcm", 0, 0, None),
        (FIRST, at(2), OTHER, "(none)", 0, 1, 0.0),
        (FIRST, at(2), OTHER, "apn", 5, 5, 100.0),
        (SECOND, at(-9), ACME, "apn", 0, 7, 0.0),
    ]
    assert set(COVERAGE.names) < set(review.coverage)
    assert rows(review.snapshots) == [(SECOND, 1, at(-9), at(-9)), (FIRST, 2, at(0), at(2))]
    assert rows(review.latest, names[1:4]) == [
        (at(2), ACME, "apn"),
        (at(2), ACME, "fcm"),
        (at(2), OTHER, "(none)"),
        (at(2), OTHER, "apn"),
    ]


def test_a_curve_is_of_one_snapshot_and_adds_up(folder: Path) -> None:
    review = open_coverage(folder)
    names = ["platform", "as_of", "bindings", "ready", "expected", "percent", "pending", "new", "unclear"]
    assert rows(review.curve(), names) == [
        ("(all)", at(0), 11, 0, 9, 0.0, 9, 0, 0),
        ("(all)", at(2), 20, 9, 14, 64.2, 5, 5, 6),
        ("(none)", at(0), 1, 0, 1, 0.0, 1, 0, 0),
        ("(none)", at(2), 1, 0, 1, 0.0, 1, 0, 0),
        ("apn", at(0), 10, 0, 8, 0.0, 8, 0, 0),
        ("apn", at(2), 15, 9, 13, 69.2, 4, 5, 6),
        ("fcm", at(2), 4, 0, 0, None, 0, 0, 0),
    ]
    assert rows(review.curve(SECOND), names[:3]) == [("(all)", at(-9), 7), ("apn", at(-9), 7)]
    with pytest.raises(InputError, match=r"\.snapshots"):
        review.curve("sha256:none")


def test_services_are_named_by_the_list_and_the_slowest_comes_first(folder: Path, listed: Path) -> None:
    names = ["service_sid", "service", "pending", "ready", "expected"]
    assert rows(open_coverage(folder).by_service(), names) == [(ACME, "", 4, 4, 8), (OTHER, "", 1, 5, 6)]
    named = open_coverage([folder], pending=listed).by_service()
    assert [*named["service"]] == [HARMLESS, "(no name)"]


def test_single_files_are_taken_once_and_the_later_run_of_one_time_counts(tmp_path: Path) -> None:
    out = tmp_path / "c"
    first = verified(out, 0, {ACME: {"apn": Counts(4, pending=4), "fcm": Counts(9, pending=9)}})
    again = verified(out, 0, {ACME: {"apn": Counts(4, 1, pending=3)}})
    other = verified(out, 0, {ACME: {"apn": Counts(5, 5)}}, SECOND)
    nothing = verified(out, 1, {})
    both = open_coverage([str(again), first, first, nothing])
    assert rows(both.coverage, ["platform", "bindings", "ready"]) == [("apn", 4, 1)]
    assert open_coverage(first).coverage["bindings"].sum() == 13
    assert rows(open_coverage([out, other, out]).snapshots, ["snapshot", "runs"]) == [(FIRST, 1), (SECOND, 1)]


def test_a_straight_line_goes_on_as_it_went(tmp_path: Path) -> None:
    review = grown(tmp_path / "c", {day: 100 * day for day in range(7)})
    (found,) = rows(review.forecast(80)[lambda told: told["platform"] == "(all)"])
    platform, percent, threshold, missing, pace, reached, steady, slowing = found
    assert (platform, percent, threshold, missing, reached) == ("(all)", 60.0, 80.0, 200, None)
    assert pace == pytest.approx(10)
    # Two days after the last run, at eight in the morning: it holds from the next day on.
    assert steady == datetime(2026, 6, 24, tzinfo=UTC)
    assert slowing > steady


def test_what_slows_down_as_fewer_are_missing_is_foretold_so(tmp_path: Path) -> None:
    left = {day: round(1_000_000 * 0.9**day) for day in range(15)}
    review = grown(tmp_path / "c", {day: 1_000_000 - number for day, number in left.items()}, 1_000_000)
    (found,) = rows(review.forecast(95, days=5)[lambda told: told["platform"] == "apn"], ["steady", "slowing"])
    days = log(0.05) / log(0.9)  # by then one in twenty is left, 28.4 days after the first run at eight
    assert found[1] == datetime(2026, 6, 15, tzinfo=UTC) + (int(days + 8 / 24) + 1) * DAY
    assert found[0] < found[1]
    last = rows(review.forecast(95, days=0.5), ["percent_a_day"])  # two runs make a line, however long ago
    assert last[0][0] == pytest.approx(100 * (left[13] - left[14]) / 1_000_000)


@pytest.mark.parametrize(
    ("ready", "threshold", "missing", "reached"),
    [
        ({0: 500}, 95, 450, None),  # one run only
        ({0: 500, 5: 500, 9: 500}, 95, 450, None),  # no growth
        ({0: 600, 5: 500}, 95, 450, None),  # shrinking
        ({0: 500, 5000: 501}, 95, 449, None),  # in more than ten years
        ({0: 500, 5: 950, 9: 940, 12: 990}, 95, 0, 5),  # the first time
        ({0: 1000}, 100, 0, 0),
        ({0: 0}, 0, 0, 0),
    ],
)
def test_where_nothing_can_be_foretold_no_day_is_given(
    tmp_path: Path, ready: dict[float, int], threshold: float, missing: int, reached: float | None
) -> None:
    found = grown(tmp_path / "c", ready).forecast(threshold)
    assert [*found["platform"]] == ["(all)", "apn"]
    for row in rows(found, ["missing", "reached", "steady", "slowing"]):
        assert row == (missing, at(reached) if reached is not None else None, None, None)


def test_all_of_them_are_reached_by_a_line_and_never_by_a_curve(tmp_path: Path) -> None:
    (found, _) = rows(grown(tmp_path / "c", {0: 0, 1: 500}).forecast(100), ["missing", "steady", "slowing"])
    assert found == (500, datetime(2026, 6, 18, tzinfo=UTC), None)


def test_a_day_is_the_one_by_whose_beginning_it_holds(tmp_path: Path) -> None:
    # Three of five in a day: by eight in the morning; the other two in sixteen hours, at midnight to the instant.
    review = grown(tmp_path / "c", {-1: 0, 0: 3}, 5)
    assert rows(review.forecast(100), ["steady"])[0] == (datetime(2026, 6, 16, tzinfo=UTC),)


def test_two_runs_within_a_day_are_no_trend(tmp_path: Path) -> None:
    close = grown(tmp_path / "c", {-1 / 24: 600, 0: 610}, 1000)
    assert rows(close.forecast(95), ["percent_a_day", "steady", "slowing"])[0] == (0, None, None)
    # Forty days before there was another: half of the days that are asked for, at least, are looked at.
    longer = grown(tmp_path / "d", {-40: 100, -1 / 24: 600, 0: 610}, 1000)
    (pace, steady), *_ = rows(longer.forecast(95), ["percent_a_day", "steady"])
    assert pace == pytest.approx(1.27, abs=0.02)
    assert steady == datetime(2026, 7, 13, tzinfo=UTC)


@pytest.mark.parametrize("threshold", [-1, 100.5, float("nan")])
def test_a_threshold_is_a_percentage(folder: Path, threshold: float) -> None:
    with pytest.raises(InputError, match="percentage"):
        open_coverage(folder).forecast(threshold)


def test_platforms_of_which_nobody_is_expected_are_left_out_of_the_forecast(folder: Path) -> None:
    assert [*open_coverage(folder).forecast()["platform"]] == ["(all)", "(none)", "apn"]


def test_where_nobody_is_expected_there_is_no_percentage(tmp_path: Path) -> None:
    verified(tmp_path / "c", 0, {ACME: {"apn": Counts(5, expired=5)}})
    review = open_coverage(tmp_path / "c")
    assert len(review.forecast()) == 0
    assert isnan(review.ready_now)
    assert "100" not in text_in(review._repr_html_())
    assert "no binding of this snapshot is expected" in text_in(review._repr_html_())


def test_a_share_is_never_rounded_up(tmp_path: Path) -> None:
    review = grown(tmp_path / "c", {0: 2999}, 3000)
    assert review.ready_now == review.latest["percent"][0] == review.forecast()["percent"][0] == 99.9
    assert review.forecast(99.95)["missing"][0] == 0  # 2,998.5 of 3,000
    assert review.forecast(99.97)["missing"][0] == 1
    assert repr(review) == "<Coverage: 99.9 % of 3,000 bindings are ready>"


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_who_is_missing_is_counted_by_the_true_identities(folder: Path, listed: Path, ending: str) -> None:
    review = open_coverage(folder, pending=listed.with_suffix(ending))
    assert rows(review.missing()) == [
        (ACME, HARMLESS, "apn", 3, 2, 1),
        (OTHER, "(no name)", "(none)", 1, 0, 0),
        (OTHER, "(no name)", "apn", 1, 1, 0),
    ]
    names = ["service_sid", "service", "platform", "bindings", "identities", "seen_in_a_month"]
    assert list(review.missing()) == names
    assert "missing" in text_in(review._repr_html_())


@pytest.mark.parametrize("shown", [False, True])
def test_the_list_is_masked_unless_asked_for(folder: Path, listed: Path, shown: bool) -> None:
    review = open_coverage(str(folder), pending=str(listed), show_identities=shown)
    whole = ["alice@example.test", "alice@example.test", "=bob@example.test", "alice@example.test", None]
    assert [None if pd.isna(who) else who for who in review.pending["identity"]] == [
        who if shown or who is None else mask(who) for who in whole
    ]
    assert list(review.pending) == PENDING.names
    assert set(review.pending["service"]) == {HARMLESS, "(no name)"}
    assert ("@example.test" in review.pending.to_string() + review._repr_html_()) == shown


def test_an_empty_list_means_that_nobody_is_missing(folder: Path, tmp_path: Path) -> None:
    write_csv(tmp_path / "none.csv", PENDING.names, [])
    review = open_coverage(folder, pending=tmp_path / "none.csv")
    assert len(read_pending(tmp_path / "none.csv")) == len(review.pending) == len(review.missing()) == 0


def test_without_a_list_nobody_can_be_named(folder: Path) -> None:
    review = open_coverage(folder)
    for question in (review.missing, lambda: review.pending):
        with pytest.raises(InputError, match="verify SNAPSHOT --pending FILE"):
            question()
    assert "missing" not in text_in(review._repr_html_())


def test_the_card_says_what_was_left_out(folder: Path) -> None:
    text = text_in(open_coverage(folder)._repr_html_())
    for fact in (
        "Coverage: 64.2 % of 14 bindings are ready",
        "2026-06-17 08:00 UTC",
        "2 runs since 2026-06-15",
        "8 by device, 1 by platform",
        "5; 6 had expired",
        "5 new, 6 unclear",
        "runs for 1 other snapshot",
        ".curve() .by_service() .forecast()",
    ):
        assert fact in text
    assert "Left out" not in text_in(open_coverage(folder.glob("2*06-1*.parquet"))._repr_html_())


def test_what_is_no_coverage_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    nowhere: list[list[Path]] = [[], [tmp_path / "empty"]]
    for paths in nowhere:
        with pytest.raises(InputError, match="--coverage DIR"):
            open_coverage(paths)
    pq.write_table(pa.table({"sid": ["BS1"]}), tmp_path / "other.parquet")
    (tmp_path / "rubbish.parquet").write_bytes(b"rubbish" * 9)
    with pytest.raises(InputError, match=r"nothing at .*none"):
        open_coverage([folder, tmp_path / "none"])
    for name in ("other.parquet", "rubbish.parquet"):
        with pytest.raises(InputError, match=f"{name} is not a file that verify writes"):
            open_coverage([folder, tmp_path / name])
    verified(tmp_path / "nothing", 0, {})
    with pytest.raises(InputError, match="nothing to compare"):
        open_coverage(tmp_path / "nothing")
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="is not a list of pending"):
        open_coverage(tmp_path / "nothing", pending=folder)
