"""Pages of a filtered list, forward and backward, are those of the list that a filter leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from migrate.standin.paging import Numbered, Paged, PageSizes


@dataclass
class Item:
    number: int


def numbers(
    query: list[tuple[str, str]], items: Sequence[Numbered], wanted: set[int]
) -> tuple[list[int], dict[str, str]]:
    paged = Paged("http://here", "/v2", "/v2/Services/IS1/Bindings", "bindings", query)
    page = paged.page(items, PageSizes(), lambda item: {"number": item.number}, lambda item: item.number in wanted)
    return [item["number"] for item in page["bindings"]], page["meta"]


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)), st.integers(1, 9))
def test_pages_are_those_of_the_list_that_the_filter_leaves(present: set[int], wanted: set[int], size: int) -> None:
    items = [Item(number) for number in sorted(present)]
    left = sorted(present & wanted)
    for link, expected in (("next_page_url", left), ("previous_page_url", left[:-1])):
        # Backward from the last one, whose page was a page of its own.
        query = [("PageSize", str(size))]
        if link == "previous_page_url":
            if not left:
                continue
            query += [("Page", "50"), ("PageToken", f"PB{left[-1]:x}")]
        found: list[list[int]] = []
        while True:
            shown, meta = numbers(query, items, wanted)
            found.append(shown)
            if meta[link] is None:
                break
            query = parse_qsl(urlsplit(meta[link]).query)
        if link == "previous_page_url":
            found.reverse()
        assert [number for page in found for number in page] == expected
        assert all(len(page) == size for page in (found[1:] if link == "previous_page_url" else found[:-1]))
