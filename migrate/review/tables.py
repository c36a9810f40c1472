"""DataFrames as tables to read and to print: dates as dates, numbers with separators, and no word of pandas' own."""

from __future__ import annotations

from datetime import UTC, datetime
from numbers import Integral
from typing import Any

import pandas as pd

from migrate.review.html_repr import html_text

MISSING = "–"
_TABLE = "border-collapse:collapse;max-width:100%;text-align:left"
_CELL = "text-align:{side};vertical-align:top;padding:.25em .75em .25em 0;overflow-wrap:anywhere;white-space:pre-line"
_SIDS = 34  # characters: an identifier, which is shown smaller, so that tables fit a page


def register() -> None:
    """Show DataFrames so in the Jupyter kernel that this runs in, if it does."""
    from IPython import get_ipython  # type: ignore[attr-defined,unused-ignore]

    shell = get_ipython()  # type: ignore[no-untyped-call,unused-ignore]
    if shell is None:
        return
    formatters = shell.display_formatter.formatters
    formatters["text/html"].for_type(pd.DataFrame, table_html)
    formatters["text/plain"].for_type(pd.DataFrame, lambda frame, printer, _: printer.text(table_text(frame)))


def table_html(frame: pd.DataFrame) -> str:
    """The table as HTML that needs no style sheet. It fits a narrow page, because every cell may be broken."""
    whole = _whole(frame)
    shown = _shown(whole)
    sides = ["right" if _is_number(whole.iloc[:, at]) else "left" for at in range(whole.shape[1])]
    styles = [_CELL.format(side=side) for side in sides]
    head = "".join(
        f'<th scope="col" style="{style}">{html_text(_title(name))}</th>'
        for style, name in zip(styles, shown.columns, strict=True)
    )
    rows = "".join(
        "<tr>" + "".join(f'<td style="{style}">{_cell(text)}</td>' for style, text in zip(styles, row, strict=True))
        + "</tr>"
        for row in shown.itertuples(index=False, name=None)
    )  # fmt: skip
    return f'<table style="{_TABLE}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def table_text(frame: pd.DataFrame) -> str:
    """The table as plain text, with the same words in it."""
    shown = _shown(_whole(frame))
    if shown.empty:
        return f"No rows: {', '.join(_title(name) for name in shown.columns)}"
    return str(shown.to_string(index=False))


def _cell(text: str) -> str:
    shown = html_text(text)
    is_sid = len(text) == _SIDS and text[:2].isupper() and text.isalnum()
    return f'<code style="font-size:.8em">{shown}</code>' if is_sid else shown


def _title(name: object) -> str:
    return str(name).replace("_", " ")


def _whole(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with an index that says something as its first columns."""
    return frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()


def _shown(whole: pd.DataFrame) -> pd.DataFrame:
    """The same table with a text in every cell."""
    columns = {at: _texts(whole.iloc[:, at]) for at in range(whole.shape[1])}
    shown = pd.DataFrame(columns, index=range(len(whole)), dtype=object)
    shown.columns = whole.columns
    return shown


def _texts(column: pd.Series[Any]) -> list[str]:
    values = [None if _is_missing(value) else value for value in column]
    times = {_utc(value) for value in values if isinstance(value, datetime)}
    # A day says enough, but of two runs on one day.
    is_of_a_day = column.name != "as_of" or len({time.date() for time in times}) == len(times)
    form = "%Y-%m-%d" if is_of_a_day else "%Y-%m-%d %H:%M"
    return [MISSING if value is None else _text(value, form) for value in values]


def _text(value: Any, form: str) -> str:
    if isinstance(value, datetime):
        return f"{_utc(value):{form}}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:,.1f}"
    return str(value)


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC) if time.tzinfo else time


def _is_missing(value: Any) -> bool:
    missing = pd.isna(value)
    return isinstance(missing, bool) and missing


def _is_number(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
