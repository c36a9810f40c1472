"""A walk along the pages of a list: the next page is on the wire while this one is being read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from migrate.model.errors import MigrateError, TransientTwilioError, TwilioError
from migrate.twilio_api.addresses import public_url
from migrate.twilio_api.limits import FEW_TRIES
from migrate.twilio_api.pages import Meta, NotAPageError, Page, Reader, peek

T = TypeVar("T")
Read = TypeVar("Read")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetched:
    """A body that has come, and how many requests it took."""

    url: str
    body: bytes
    requests: int


class Ask(Protocol):
    """How a URL is asked for."""

    def __call__(self, url: str, read: Callable[[bytes], Read], tries: int | None = None) -> tuple[Read, int]:
        """What `read` makes of the body, trying again where that may help; and how many requests it took."""


@dataclass(frozen=True)
class PageWalk(Generic[T]):
    """How one list is walked: `follow` makes a link of a page into the address to ask, or refuses it; `hear` gets
    which accounts a page names; `read`, `lenient` and `tries` are as for `TwilioApi.pages`.
    """

    ask: Ask
    hear: Callable[[Iterable[Any]], None]
    follow: Callable[[str], str]
    readers: Executor
    read: Reader[T]
    lenient: Reader[T] | None
    tries: int | None

    def pages(self, fetched: Fetched) -> Iterator[Page[T]]:
        """The pages from one that was fetched to the last. Raises what `TwilioApi.pages` does."""
        seen: set[int] = set()  # hashes: the addresses of 100,000 pages would take 20 MB
        while True:
            reading = self.readers.submit(self.read, fetched.body)
            ahead = self._look_ahead(fetched)
            requests = fetched.requests
            try:
                meta, content = reading.result()
            except NotAPageError as problem:
                logger.info("%s did not answer with a page: %s", public_url(fetched.url), problem)
                (meta, content), again = self._ask_again(fetched.url)
                requests += again
            self.hear(meta.accounts)
            next_url = self.follow(meta.next_page_url) if meta.next_page_url else None
            yield Page(content, meta.page_size, next_url, requests)
            if next_url is None:
                return
            if hash(next_url) in seen:
                raise TwilioError(f"The pages of {public_url(next_url)} link in a circle")
            seen.add(hash(next_url))
            if isinstance(ahead, MigrateError):
                raise ahead
            fetched = ahead if ahead and ahead.url == next_url else self.fetch(next_url, self.tries)

    def fetch(self, url: str, tries: int | None) -> Fetched:
        """The body of a page, unread."""
        body, requests = self.ask(url, bytes, tries)
        return Fetched(url, body, requests)

    def _look_ahead(self, fetched: Fetched) -> Fetched | MigrateError | None:
        """Ask for the page after this one, where this one says at its beginning which that is.

        A failure is kept for its turn: the page before it is good.
        """
        meta = peek(fetched.body)
        if meta is None or not meta.next_page_url:
            return None
        try:
            return self.fetch(self.follow(meta.next_page_url), self.tries)
        except MigrateError as error:
            return error

    def _ask_again(self, url: str) -> tuple[tuple[Meta, T], int]:
        """A page whose first body was none, and how many requests it took.

        One that is no page time and again, and no other failure between, is not cut short on its way, but so.
        """
        few = min(self.tries or FEW_TRIES, FEW_TRIES)
        bodies: list[bytes] = []

        def noting(body: bytes) -> tuple[Meta, T]:
            bodies.append(body)
            return self.read(body)

        if self.lenient is not None:
            try:
                return self.ask(url, noting, few)
            except TransientTwilioError:
                if len(bodies) == few:
                    with suppress(NotAPageError):
                        return self.lenient(bodies[-1]), len(bodies)
        return self.ask(url, self.read, self.tries)
