"""Charts of a review: each is drawn, says its numbers, and tells its series apart with and without colour."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from migrate.map.mapping import map_snapshot
from migrate.map.spreadsheet import write_csv
from migrate.model.schemas import PENDING
from migrate.review import charts, open_coverage, open_mapped, open_snapshot
from migrate.review.charts import Chart
from migrate.verify.coverage import Counts
from tests.conftest import service_sid
from tests.snapshots import AS_OF, binding, credential, credential_sid, write_snapshot
from tests.test_review_coverage import at, grown, verified

# What a font may lack, what matplotlib may take for a formula, and what turns a line round. All warnings are errors here.
NAMES = (
    "$x_1$ costs $5",
    r"\frac{1}{2}",
    "Taxi 🚕 👩‍👩‍👧",
    "תמיכה בעברית",
    "二\n行",
    "\u202eevil\x1b",
    "_hidden",
    "%s {x}",
    "",
    "<b>",
    "a" * 90,
    "twelve",
    "one too many",
)
SIDS = [service_sid(number) for number in range(len(NAMES))]
KINDS = ["apn", "fcm", "gcm", "twilsock", None, "鳥"]
PNG = b"\x89PNG\r\n"


def names_of(number: int) -> int:
    """Service 0 is the largest."""
    return len(NAMES) - number


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot of hostile names, mapped; coverage of it, and who is pending."""
    out = tmp_path_factory.mktemp("charts")
    bindings: dict[str, Any] = {}
    for number, sid in enumerate(SIDS):
        bindings[sid] = [
            [
                binding(
                    100 * number + place,
                    binding_type=KINDS[place % len(KINDS)],
                    credential_sid=credential_sid(place % 3) if place else None,
                    message_types=[NAMES[number]],
                    date_updated=AS_OF - timedelta(days=200 * place) if place < 12 else None,
                )
                for place in range(names_of(number))
            ]
        ]
    services = {sid: {"friendly_name": name} for sid, name in zip(SIDS, NAMES, strict=True)}
    account = [credential(1, "apn", friendly_name=NAMES[0]), credential(2, "fcm", friendly_name=NAMES[2])]
    write_snapshot(out / "s", services, bindings, account)
    map_snapshot(out / "s", out / "m")
    half = {kind: Counts(10, place, 0, 10 - place) for place, kind in enumerate(KINDS)}
    for days in (0, 3):
        verified(out / "c", days, {sid: half if days else {"apn": Counts(10, pending=10)} for sid in SIDS})
    rows = [{"service": name, "service_sid": sid, "sid": sid, "last_seen": at(-40 * (place % 2))} for place, (sid, name) in enumerate(zip(SIDS, NAMES, strict=True))]  # fmt: skip
    write_csv(out / "pending.csv", PENDING.names, pa.Table.from_pylist(rows, schema=PENDING).to_batches())
    return out


def draw_volumes(folder: Path) -> Chart:
    return charts.volumes(open_snapshot(folder / "s"))


def draw_types(folder: Path) -> Chart:
    return charts.message_types(open_snapshot(folder / "s"))


def draw_credentials(folder: Path) -> Chart:
    return charts.credentials(open_snapshot(folder / "s"))


def draw_ages(folder: Path) -> Chart:
    return charts.ages(open_snapshot(folder / "s"))


def draw_outcomes(folder: Path) -> Chart:
    return charts.outcomes(open_mapped(folder / "m"))


def draw_curve(folder: Path) -> Chart:
    return charts.curve(open_coverage(folder / "c"))


def draw_missing(folder: Path) -> Chart:
    return charts.missing(open_coverage(folder / "c", pending=folder / "pending.csv"))


ALL = (draw_volumes, draw_types, draw_credentials, draw_ages, draw_outcomes, draw_curve, draw_missing)
Draw = Callable[[Path], Chart]


@cache
def drawn(draw: Draw, folder: Path) -> Chart:
    """A chart, drawn once."""
    return draw(folder)


def axes_of(chart: Chart) -> Axes:
    (axes,) = chart.figure.axes
    return axes


def legend_of(chart: Chart) -> list[str]:
    return [text.get_text() for legend in chart.figure.legends for text in legend.get_texts()]


@pytest.mark.parametrize("draw", ALL)
def test_each_is_drawn_whatever_names_are_in_it(folder: Path, draw: Draw) -> None:
    chart = drawn(draw, folder)
    assert chart._repr_png_().startswith(PNG)
    assert len(chart._repr_png_()) > 5000
    title = chart.figure.get_suptitle()
    assert title
    assert repr(chart).startswith(("Coverage over time" if draw is draw_curve else title) + ": ")
    # What the numbers are in.
    axes = axes_of(chart)
    assert any(unit in axes.get_xlabel() + axes.get_ylabel() for unit in ("bindings", "%"))


@pytest.mark.parametrize(("ending", "start"), [("png", PNG), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_it_is_saved_in_the_format_that_the_ending_names(
    folder: Path, tmp_path: Path, ending: str, start: bytes
) -> None:
    drawn(draw_volumes, folder).save(str(tmp_path / f"chart.{ending}"))
    assert (tmp_path / f"chart.{ending}").read_bytes().startswith(start)


@pytest.mark.parametrize("draw", [draw for draw in ALL if draw is not draw_curve])
def test_series_of_bars_have_colours_and_hatches_of_their_own(folder: Path, draw: Draw) -> None:
    chart = drawn(draw, folder)
    looks = [(to_hex(bars[0].get_facecolor()), bars[0].get_hatch()) for bars in axes_of(chart).containers]
    assert len(looks) == len(legend_of(chart)) == len(set(legend_of(chart)))
    assert len({colour for colour, _ in looks}) == len({hatch for _, hatch in looks}) == len(looks) > 1


def test_lines_have_colours_and_markers_of_their_own_and_a_threshold(folder: Path) -> None:
    chart = drawn(draw_curve, folder)
    axes = axes_of(chart)
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    looks = [(to_hex(line.get_color()), line.get_marker()) for line in lines]
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == len(looks) == 7
    assert legend_of(chart) == [line.get_label() for line in lines]
    texts = [text.get_text() for text in axes.texts]
    assert "threshold: 95 %" in texts
    assert "all, at the earliest" in texts


def test_names_are_drawn_as_they_are_with_a_box_for_a_letter_that_the_font_lacks_and_no_emoji(folder: Path) -> None:
    labels = [
        label.get_text().replace("\u200e", "") for label in axes_of(drawn(draw_volumes, folder)).get_yticklabels()
    ]
    assert labels == [
        "$x_1$ costs $5 · …0000",
        r"\frac{1}{2} · …0001",
        "Taxi  · …0002",
        "תמיכה בעברית · …0003",
        r"□\n□ · …0004",
        r"\u{202e}evil\u001b · …0005",
        "_hidden · …0006",
        "%s {x} · …0007",
        "(no name) · …0008",
        "<b> · …0009",
        "a" * 27 + "… · …0010",
        "twelve · …0011",
    ]


def test_as_a_text_it_says_the_numbers(folder: Path) -> None:
    text = repr(drawn(draw_volumes, folder))
    assert text.startswith("Bindings by service (the first 12 of 13): $x_1$ costs $5 · …0000 13; ")
    assert text.endswith("twelve · …0011 2")
    assert "\u200e" not in text
    assert "Taxi 🚕" in text  # whoever reads it has a font of their own
    # Of each service the first two are live, and the thirteenth has no date.
    expired = sum(max(0, min(names_of(number), 12) - 2) for number in range(len(NAMES)))
    assert repr(drawn(draw_ages, folder)).endswith(f": {expired} are past the lifetime of 365 days, 1 have no date")
    assert repr(drawn(draw_types, folder)).startswith(
        "Bindings by combination of message types (the first 12 of 13): $x_1$ costs $5 13; "
    )
    assert "(none) 13" in repr(drawn(draw_credentials, folder))
    assert "(not in the account) · …0000 " in repr(drawn(draw_credentials, folder))
    assert repr(drawn(draw_missing, folder)).count(" 1;") == 11
    assert repr(drawn(draw_curve, folder)) == "Coverage over time: 25.0 % ready in the last run"


def test_ages_are_drawn_against_the_lifetime(folder: Path) -> None:
    axes = axes_of(drawn(draw_ages, folder))
    assert "lifetime: 365 days" in [text.get_text() for text in axes.texts]
    assert [label.get_text() for label in axes.get_xticklabels()][-2:] == ["639", "older"]
    heights = sum(bar.get_height() for bars in axes.containers for bar in bars)
    assert heights == sum(names_of(number) for number in range(len(NAMES))) - 1
    assert charts.ages(open_snapshot(folder / "s"), bins=1)._repr_png_().startswith(PNG)


def test_nothing_is_a_chart_too(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "s", {service_sid(1): {"friendly_name": "Acme"}}, {})
    map_snapshot(tmp_path / "s", tmp_path / "m")
    snapshot = open_snapshot(tmp_path / "s")
    for draw in (charts.volumes, charts.message_types, charts.credentials):
        assert repr(draw(snapshot)).endswith(": none")
    assert repr(charts.ages(snapshot)).endswith("0 are past the lifetime of 365 days, 0 have no date")
    assert repr(charts.outcomes(open_mapped(tmp_path / "m"))) == "What becomes of the bindings: Acme · …0001 0"
    verified(tmp_path / "c", 0, {service_sid(1): {"apn": Counts(5, expired=5)}})
    write_csv(tmp_path / "none.csv", PENDING.names, [])
    coverage = open_coverage(tmp_path / "c", pending=tmp_path / "none.csv")
    assert repr(charts.missing(coverage)) == "Bindings that are still waited for: none"
    chart = charts.curve(coverage)
    assert repr(chart) == "Coverage over time: none expected in the last run"
    assert legend_of(chart) == []


@pytest.mark.parametrize(
    ("ready", "threshold", "expected"),
    [
        ({0: 500}, 95, False),
        ({0: 500, 3: 999}, 95, False),
        ({0: 500, 3: 600}, 95, True),
        ({0: 500, 3: 600}, 100, True),
    ],
)
def test_a_forecast_is_drawn_where_there_is_one(
    tmp_path: Path, ready: dict[float, int], threshold: float, expected: bool
) -> None:
    chart = charts.curve(grown(tmp_path / "c", ready), threshold)
    texts = [text.get_text() for text in axes_of(chart).texts]
    assert ("all, at the earliest" in texts) == expected
    assert f"threshold: {threshold} %" in texts
    assert repr(chart) == f"Coverage over time: {max(ready.values()) / 10:.1f} % ready in the last run"
