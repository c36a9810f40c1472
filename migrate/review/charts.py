"""Charts of a review, for notebooks and for print. They need matplotlib, which the extra `notebook` brings.

Colours are Okabe and Ito's, which colour-blind people tell apart; hatches and markers say the same without colour.
Names are drawn as they are: nothing in them is a formula, and a letter that the font lacks is a box.
Emoji that it lacks are left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from migrate.map.outcome import OUTCOMES
from migrate.model.push_errors import entry_of
from migrate.report.wording import name
from migrate.review.coverage import ALL, CoverageReview
from migrate.review.health import HealthReview
from migrate.review.mapped import MappedReview
from migrate.review.snapshot import SnapshotReview

MOST_BARS = 12
MOST_CODES = 5  # of push errors that a chart tells apart
# Colour, hatch and marker of what comes often; and of the rest, in turn.
_STYLES = {
    **dict.fromkeys(("apn", "live", "carried", "seen in the month before"), ("#0072B2", "", "s")),
    **dict.fromkeys(("fcm", "reduced", "not seen for longer"), ("#E69F00", "//", "D")),
    "gcm": ("#CC79A7", "xx", "X"),
    "blocked": ("#D55E00", "xx", "X"),
    "expired": ("#999999", "..", "^"),
    "(all)": ("#000000", "++", "o"),
}
_OTHERS = (("#009E73", "\\\\", "^"), ("#56B4E9", "oo", "v"), ("#F0E442", "--", "P"))
# Colour and hatch of codes of push errors, those with the most first, and of all that are left.
_OF_CODES = (
    *(("#D55E00", ""), ("#0072B2", "//"), ("#E69F00", "\\\\"), ("#009E73", "xx"), ("#CC79A7", "..")),
    ("#999999", "++"),
)
_FONT = "DejaVu Sans"  # comes with matplotlib
_OF_EMOJI = ("So", "Sk", "Mn")  # categories of Unicode: pictures, skin tones, variants
_JOINER = "\u200d"  # makes one picture of several
_LEFT_TO_RIGHT = "\u200e"  # what stands beside a name of the other direction is not turned with it
_SETTINGS: dict[str, Any] = {
    "font.family": _FONT,
    "font.size": 10,
    "text.parse_math": False,  # a name may hold dollars
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "hatch.linewidth": 0.8,
    "savefig.dpi": 120,
}


class Chart:
    """A drawing for Jupyter and for files; `figure` is matplotlib's. As a text it says what it shows."""

    def __init__(self, draw: Callable[[Figure], str], height: float) -> None:
        """Draw on an empty figure of so many inches; `draw` gives the text."""
        with rc_context(_SETTINGS):
            self.figure = Figure(figsize=(9, height), layout="constrained")
            self._text = draw(self.figure)
            self._png = BytesIO()
            self.figure.savefig(self._png, format="png", metadata={"Software": None})

    def __repr__(self) -> str:
        return self._text

    def _repr_png_(self) -> bytes:
        return self._png.getvalue()

    def save(self, path: str | Path) -> None:
        """Write it to a file, in the format that the ending names: .png, .svg, .pdf. It is as private as its data."""
        with rc_context(_SETTINGS):
            self.figure.savefig(path)


def volumes(snapshot: SnapshotReview) -> Chart:
    """How many bindings each service has, by platform; the largest services."""
    found = snapshot.by_service_and_platform()
    wide = _crossed(found, "service_sid")
    services = snapshot.by_service()[["service_sid", "service"]]
    return _bars(_named(services, wide), "Bindings by service", "bindings")


def message_types(snapshot: SnapshotReview) -> Chart:
    """The most frequent combinations of message types, live bindings and expired ones."""
    found = snapshot.by_message_types()
    found.index = found["message_types"].map(name)
    both = pd.DataFrame({"live": found["bindings"] - found["expired"], "expired": found["expired"]})
    return _bars(both, "Bindings by combination of message types", "bindings")


def credentials(snapshot: SnapshotReview) -> Chart:
    """How many bindings each credential has, live and expired; also those that have none."""
    found = snapshot.by_credential()
    label = [
        _label(text if known else "(not in the account)", sid) if isinstance(sid, str) else "(none)"
        for sid, text, known in zip(found["credential_sid"], found["name"], found["in_account"], strict=True)
    ]
    both = pd.DataFrame({"live": found["bindings"] - found["expired"], "expired": found["expired"]})
    return _bars(both.groupby(label, sort=False).sum(), "Bindings by credential", "bindings")


def outcomes(mapped: MappedReview) -> Chart:
    """What becomes of the bindings of each service; the largest services."""
    found = mapped.outcomes.sort_values("bindings", ascending=False)
    wide = found.set_index("service_sid")[list(OUTCOMES)]
    return _bars(_named(found, wide), "What becomes of the bindings", "bindings")


def missing(coverage: CoverageReview) -> Chart:
    """Who is still waited for, by service: those that Chat saw lately, and those that may need a reminder."""
    found = coverage.missing().groupby("service_sid", as_index=False)[["bindings", "seen_in_a_month"]].sum()
    wide = pd.DataFrame(
        {
            "seen in the month before": found["seen_in_a_month"].to_numpy(),
            "not seen for longer": (found["bindings"] - found["seen_in_a_month"]).to_numpy(),
        },
        index=found["service_sid"],
    )
    return _bars(_named(coverage.by_service(), wide), "Bindings that are still waited for", "bindings")


def ages(snapshot: SnapshotReview, bins: int = 12) -> Chart:
    """How long ago bindings were last seen, against their lifetime; all beyond two lifetimes are in the last bar."""
    found = snapshot.by_age(bins)
    lifetime = snapshot.rules.lifetime.days
    dated = found.dropna(subset=["from_days"])
    wide = _crossed(dated, "from_days")

    def draw(figure: Figure) -> str:
        axes, width = figure.add_subplot(), lifetime / bins
        below = pd.Series(0, index=wide.index)
        for kind, (colour, hatch, _) in _styles(wide.columns).items():
            axes.bar(
                *(wide.index.to_numpy(float), wide[kind]),
                width * 0.92,
                below,
                align="edge",
                label=_drawable(kind),
                color=colour,
                hatch=hatch,
                edgecolor="white",
            )
            below = below + wide[kind]
        axes.axvline(lifetime, color="black", linestyle="--")
        label = f"lifetime: {lifetime} days"
        axes.annotate(label, (lifetime, 1), (4, -2), ("data", "axes fraction"), "offset points", va="top")
        axes.set_xlim(0, lifetime * 2 + width)
        ticks = [lifetime * part / 4 for part in range(8)]
        axes.set_xticks([*ticks, lifetime * 2 + width / 2], [*(f"{tick:,.0f}" for tick in ticks), "older"])
        axes.set_xlabel("days since the binding was last seen, when the snapshot was made")
        _finish(axes, "Ages of bindings", axes.yaxis, "bindings")
        expired = int(dated.loc[dated["expired"], "bindings"].sum())
        undated = int(found["bindings"].sum() - dated["bindings"].sum())
        return f"Ages of bindings: {expired:,} are past the lifetime of {lifetime} days, {undated:,} have no date"

    return Chart(draw, 4)


def curve(coverage: CoverageReview, threshold: float = 95.0) -> Chart:
    """The share of ready bindings over time, by platform; and when all should reach a threshold (percent)."""

    def draw(figure: Figure) -> str:
        axes = figure.add_subplot()
        _draw_curve(axes, coverage, threshold)
        unit = "ready, % of the bindings that are expected"
        _finish(axes, "Registered with Conversations", axes.yaxis, unit)
        ready = coverage.ready_now
        return f"Coverage over time: {'none expected' if pd.isna(ready) else f'{ready:.1f} % ready'} in the last run"

    return Chart(draw, 4.5)


def errors(health: HealthReview, coverage: CoverageReview | None = None, threshold: float = 95.0) -> Chart:
    """Push errors by hour and code, below the curve of `coverage` where that is given, on the same days.

    Time that no run has read is grey; those errors that no alert dates are in the text alone.
    """
    hours = health.by_hour()
    grid = health.hours
    wide = hours.pivot_table(index="hour", columns="error_code", values="errors", aggfunc="sum", fill_value=0)
    wide = wide[wide.sum().sort_values(ascending=False, kind="stable").index]
    shown = {f"{code} {entry_of(int(code)).meaning}": wide[code] for code in wide.columns[:MOST_CODES]}
    if len(wide.columns) > MOST_CODES:
        shown["other codes"] = wide[wide.columns[MOST_CODES:]].sum(axis=1)

    def draw(figure: Figure) -> str:
        if coverage is None:
            axes = figure.add_subplot()
        else:
            above, axes = figure.subplots(2, sharex=True)
            _draw_curve(above, coverage, threshold)
            _finish(above, "", above.yaxis, "ready, %", legend="")
            above.set_xlabel("")
        edges = pd.date_range(grid[0], periods=len(grid) + 1, freq="h").tz_localize(None)
        is_read, below = health.is_read(grid), pd.Series(0.0, index=grid)
        for (label, numbers), (colour, hatch) in zip(shown.items(), _OF_CODES, strict=False):
            top = (below + numbers.reindex(grid, fill_value=0)).where(is_read)
            style: dict[str, Any] = {"facecolor": colour, "edgecolor": "white", "hatch": hatch, "linewidth": 0}
            axes.stairs(top, edges, baseline=below, fill=True, label=_drawable(label), **style)
            below = top
        _dated(axes)
        axes.set_xlabel("hour (UTC)")
        highest = max(1.0, float(below.max())) * 1.1
        axes.set_ylim(0, highest)
        if not is_read.all():
            unread = pd.Series(highest, index=grid).mask(is_read)
            axes.stairs(unread, edges, fill=True, color="#dddddd", label="not read by any run")
        title = "Registered with Conversations, and push errors by hour" if coverage else "Push errors by hour"
        _finish(axes, title, axes.yaxis, "errors an hour", legend="outside lower left")
        said = "; ".join(f"{label} {int(numbers.sum()):,}" for label, numbers in shown.items())
        undated = f"; undated {health.undated:,}" if health.undated else ""
        return f"{title}: {said or 'none'}{undated}"

    return Chart(draw, 4.5 if coverage is None else 7)


def _draw_curve(axes: Axes, coverage: CoverageReview, threshold: float) -> None:
    """The share of ready bindings over time."""
    found = coverage.curve()
    found = found[found["expected"] > 0]
    outlook = coverage.forecast(threshold)
    together = outlook[outlook["platform"] == ALL]
    for platform, (colour, _, marker) in _styles(found["platform"].unique()).items():
        line = found[found["platform"] == platform]
        days = line["as_of"].dt.tz_localize(None)
        axes.plot(days, line["percent"], color=colour, marker=marker, label=_drawable(platform))
    axes.axhline(threshold, color="#555555", linestyle="--")
    axes.annotate(f"threshold: {threshold:g} %", (0, threshold), xycoords=("axes fraction", "data"), va="bottom")
    for _, row in together.dropna(subset=["steady"]).iterrows():
        ends = [end.tz_localize(None) for end in (row["steady"], row["slowing"]) if not pd.isna(end)]
        axes.plot(ends, [threshold] * len(ends), color="black", marker="|", markersize=14, linewidth=4, alpha=0.6)
        axes.annotate(
            "all, at the earliest", (ends[-1], threshold), xytext=(0, -16), textcoords="offset points", ha="right"
        )
    _dated(axes)
    axes.set_xlabel("day of the run (UTC)")
    axes.set_ylim(0, 104)


def _dated(axes: Axes) -> None:
    """Days below an axis."""
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _bars(wide: pd.DataFrame, title: str, unit: str) -> Chart:
    """Horizontal bars, one for each of the first rows, stacked of its columns."""
    shown, more = wide.iloc[:MOST_BARS], len(wide) - MOST_BARS

    def draw(figure: Figure) -> str:
        axes, left = figure.add_subplot(), pd.Series(0, index=range(len(shown)))
        for column, (colour, hatch, _) in _styles(shown.columns).items():
            values = shown[column].reset_index(drop=True)
            axes.barh(
                *(range(len(shown)), values),
                left=left,
                label=_drawable(column),
                edgecolor="white",
                color=colour,
                hatch=hatch,
            )
            left = left + values
        for place, total in enumerate(left):
            axes.annotate(f" {total:,}", (total, place), va="center")
        axes.set_yticks(range(len(shown)), [_drawable(str(label)) for label in shown.index])
        axes.invert_yaxis()
        axes.set_xlim(0, max(1, *left, 0) * 1.1)
        note = f" (the first {MOST_BARS} of {len(wide):,})" if more > 0 else ""
        _finish(axes, f"{title}{note}", axes.xaxis, unit)
        said = "; ".join(f"{label} {total:,}" for label, total in zip(shown.index, left, strict=True))
        return f"{title}{note}: {said.replace(_LEFT_TO_RIGHT, '') or 'none'}"

    return Chart(draw, 1.4 + 0.36 * max(1, len(shown)))


def _finish(axes: Axes, title: str, along: Axis, unit: str, legend: str = "outside right upper") -> None:
    """A title, a legend for all axes (if it has a place), and what the numbers along an axis are."""
    figure = axes.figure
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    axes.grid(axis=along.axis_name, color="#dddddd")
    along.set_label_text(unit)
    if unit in ("bindings", "errors an hour"):
        along.set_major_locator(MaxNLocator(integer=True))
        along.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if legend and axes.get_legend_handles_labels()[0]:
        figure.legend(loc=legend, ncols=2 if "lower" in legend else 1, frameon=False)


def _named(services: pd.DataFrame, wide: pd.DataFrame) -> pd.DataFrame:
    """A table by service with names in the place of SIDs, in the order of `services`; what it lacks is left out."""
    names = dict(zip(services["service_sid"], services["service"], strict=True))
    wide = wide.loc[[sid for sid in names if sid in wide.index]]
    return wide.set_axis([_label(names[sid], sid) for sid in wide.index])


def _label(text: str, sid: str, most: int = 28) -> str:
    """A name, cut where it is long, and the end of the SID, which distinguishes those of one name."""
    shown = name(text)
    cut = shown if len(shown) <= most else shown[: most - 1] + "…"
    return f"{_LEFT_TO_RIGHT}{cut}{_LEFT_TO_RIGHT} · …{sid[-4:]}"


def _crossed(found: pd.DataFrame, index: str) -> pd.DataFrame:
    """Bindings with a row for each value of a column, and a column for each binding type."""
    return found.groupby([index, "binding_type"])["bindings"].sum().unstack(fill_value=0).astype("int64")


def _styles(names: Iterable[str]) -> dict[str, tuple[str, str, str]]:
    """A colour, a hatch and a marker for each series."""
    others = cycle(_OTHERS)
    return {name: _STYLES[name] if name in _STYLES else next(others) for name in names}


def _drawable(text: str) -> str:
    """The text, with a box for each letter that the font does not have, and without the emoji that it lacks."""
    known = font_manager.get_font(font_manager.findfont(_FONT)).get_charmap()
    shown = (
        character if ord(character) in known else "" if unicodedata.category(character) in _OF_EMOJI else "□"
        for character in text.replace(_JOINER, "")
    )
    return re.sub(" {2,}", " ", "".join(shown)).strip()
