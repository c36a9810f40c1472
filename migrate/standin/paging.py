"""Twilio's paging: `meta`, opaque tokens, absolute links, and a limit on the page size."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, Protocol
from urllib.parse import urlencode

DEFAULT_PAGE_SIZE = 50
DOCUMENTED_MAXIMUM = 1000
# OpenAPI's maxima (FACTS.md, "The two APIs"), by API version and list.
OPENAPI_MAXIMA: Mapping[tuple[str, str], int] = {
    ("/v2", "bindings"): 50,
    ("/v2", "services"): 100,
    ("/v2", "credentials"): 1000,
    ("/v1", "bindings"): 100,
    ("/v1", "services"): 100,
    ("/v1", "credentials"): 100,
    ("/v1", "alerts"): 1000,
}


class ProblemError(Exception):
    """An answer in Twilio's error form."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Numbered(Protocol):
    """Something that has a place in a list, which it keeps when others come and go."""

    number: int


@dataclass(frozen=True)
class PageSizes:
    """What the stand-in does with page sizes, since what Twilio does is not known (FACTS.md, [?]).

    `maxima` are those of Twilio's documentation or of its OpenAPI documents; a size `over` them is capped or
    refused with a `status`: 400, or what a gateway chooses that checks requests by those documents, or 500.
    """

    maxima: Literal["docs", "openapi"] = "openapi"
    over: Literal["cap", "refuse"] = "cap"
    status: int = 400

    def choose(self, asked: str | None, version: str, key: str) -> int:
        """The page size to use. Raises `ProblemError` for one that is no number, below 1, or refused."""
        maximum = OPENAPI_MAXIMA[version, key] if self.maxima == "openapi" else DOCUMENTED_MAXIMUM
        try:
            size = int(asked or DEFAULT_PAGE_SIZE)
        except ValueError:
            size = 0
        if size < 1 or (size > maximum and self.over == "refuse"):
            status = self.status if size > maximum else 400
            raise ProblemError(status, 20001, f"PageSize must be a number from 1 to {maximum}")
        return min(size, maximum)


@dataclass(frozen=True)
class Paged:
    """What a list is asked for: its address, its name in the answer, and the query."""

    origin: str
    version: str
    path: str
    key: str
    query: Sequence[tuple[str, str]]

    def page(
        self,
        items: Sequence[Numbered],
        sizes: PageSizes,
        render: Callable[[Any], dict[str, Any]],
        wanted: Callable[[Any], bool] = lambda item: True,
    ) -> dict[str, Any]:
        """One page of those `items`, in the order of their numbers, that are `wanted`: a page searches no further
        than to its end. Raises `ProblemError` for a bad query.
        """
        query = dict(self.query)
        size = sizes.choose(query.get("PageSize"), self.version, self.key)
        number = _page_number(query.get("Page", "0"))
        place, is_backward = self._place(items, number, query.get("PageToken"))
        most = size + 1  # with the one that says whether there is a page beyond
        earlier = _before(items, place, wanted, most if is_backward else 1)
        later = _after(items, place, wanted, 1 if is_backward else most)
        shown = [*islice(earlier if is_backward else later, size)]
        if is_backward:
            shown.reverse()
        is_first, is_last = (next(rest, None) is None or not shown for rest in (earlier, later))
        before = None if is_first else self._url(size, number - 1, f"PB{shown[0].number:x}")
        after = None if is_last else self._url(size, number + 1, f"PA{shown[-1].number:x}")
        return {
            "meta": {
                "page": number,
                "page_size": size,
                "first_page_url": self._url(size, 0),
                "previous_page_url": before,
                "url": self._url(size, number, query.get("PageToken")),
                "next_page_url": after,
                "key": self.key,
            },
            self.key: [render(item) for item in shown],
        }

    def _place(self, items: Sequence[Numbered], number: int, token: str | None) -> tuple[int, bool]:
        """Where a page begins, or where it ends if it goes backward: after, or before, the item of a token."""
        if token is None:
            if number > 0:
                raise ProblemError(400, 20001, "Page needs the PageToken that came with the page before it")
            return 0, False
        try:
            kind, named = token[:2], int(token[2:], 16)
        except ValueError:
            kind, named = "", 0
        if kind not in ("PA", "PB"):
            raise ProblemError(400, 20001, "PageToken is not valid")
        find = bisect_right if kind == "PA" else bisect_left
        return find(items, named, key=lambda item: item.number), kind == "PB"

    def _url(self, size: int, number: int, token: str | None = None) -> str:
        filters = [pair for pair in self.query if pair[0] not in ("PageSize", "Page", "PageToken")]
        paging = [("PageSize", str(size)), ("Page", str(number))]
        paging += [("PageToken", token)] if token else []
        return f"{self.origin}{self.path}?{urlencode(filters + paging)}"


def _after(
    items: Sequence[Numbered], place: int, wanted: Callable[[Any], bool], at_a_time: int
) -> Iterator[Numbered]:
    for start in range(place, len(items), at_a_time):
        yield from filter(wanted, items[start : start + at_a_time])


def _before(
    items: Sequence[Numbered], place: int, wanted: Callable[[Any], bool], at_a_time: int
) -> Iterator[Numbered]:
    for end in range(place, 0, -at_a_time):
        yield from filter(wanted, reversed(items[max(0, end - at_a_time) : end]))


def _page_number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ProblemError(400, 20001, "Page must be a number from 0")
    return int(text)
