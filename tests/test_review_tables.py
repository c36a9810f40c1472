"""Tables in notebooks: words that a manager reads, and none of pandas' own."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell

from migrate.review import show_tables
from migrate.review.tables import table_html, table_text
from tests.conftest import service_sid
from tests.markup import HARMLESS, HOSTILE
from tests.test_html_report import Parsed

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)


def both(frame: pd.DataFrame) -> list[str]:
    return [" ".join(Parsed(table_html(frame)).words.split()), " ".join(table_text(frame).split())]


@pytest.mark.parametrize(
    ("values", "dtype", "shown"),
    [
        ([NOON, None], "datetime64[us, UTC]", ["2026-06-15", "–"]),
        ([1234567, None], "Int64", ["1,234,567", "–"]),
        ([95.0, 88.94, float("nan")], "float64", ["95", "88.9", "–"]),
        ([True, False], "bool", ["yes", "no"]),
        (["a", None], "string", ["a", "–"]),
        ([["x"]], "object", ["['x']"]),
    ],
)
def test_each_kind_of_value_is_in_plain_words(values: list[Any], dtype: str, shown: list[str]) -> None:
    frame = pd.DataFrame({"some_name": pd.Series(values, dtype=dtype)})
    html, text = both(frame)
    assert html == f"some name {' '.join(shown)}"
    assert text == f"some_name {' '.join(shown)}"


def test_two_runs_on_one_day_are_told_apart() -> None:
    times = [NOON, NOON.replace(hour=18)]
    assert "2026-06-15 18:00" in both(pd.DataFrame({"as_of": times}))[0]
    assert "18:00" not in both(pd.DataFrame({"last_seen": times}))[0]


def test_an_index_that_says_something_is_shown_and_a_count_of_rows_is_not() -> None:
    frame = pd.DataFrame({"bindings": [7]})
    assert both(frame)[0] == "bindings 7"
    assert both(frame.set_index(pd.Index(["apn"], name="platform")))[0] == "platform bindings apn 7"


def test_a_table_without_rows_says_so() -> None:
    assert table_text(pd.DataFrame({"service": [], "count": []})) == "No rows: service, count"
    assert "<tbody></tbody>" in table_html(pd.DataFrame({"service": []}))


def test_identifiers_are_small_and_whole() -> None:
    assert f'<code style="font-size:.8em">{service_sid(1)}</code>' in table_html(
        pd.DataFrame({"sid": [service_sid(1)]})
    )


def test_other_peoples_words_stay_words() -> None:
    page = table_html(pd.DataFrame({HOSTILE: [HOSTILE]}))
    assert "<script" not in page
    assert Parsed(page).words.count(HARMLESS) >= 1


@given(st.lists(st.none() | st.text(max_size=8) | st.integers() | st.floats(), max_size=4))
@settings(max_examples=30)
def test_whatever_stands_in_a_column_makes_a_table_of_as_many_rows(values: list[Any]) -> None:
    page = table_html(pd.DataFrame({"x": pd.Series(values, dtype=object)}))
    assert page.count("<tr>") == len(values) + 1
    assert not re.search(r">(nan|None|NaT|<NA>)<", page)


def test_jupyter_shows_tables_so_once_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    show_tables()  # outside of Jupyter: nothing happens
    shell: Any = InteractiveShell()  # type: ignore[no-untyped-call]
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    show_tables()
    frame = pd.DataFrame({"last_seen": [NOON]})
    data, _ = shell.display_formatter.format(frame)
    assert data["text/html"] == table_html(frame)
    assert data["text/plain"] == table_text(frame)
