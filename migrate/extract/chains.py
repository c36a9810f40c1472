"""Chains: walks along `next_page_url`, from lists in Twilio to parts in a snapshot."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from migrate.extract.buffer import Parts, Position
from migrate.extract.columns import PageRows, read_rows
from migrate.extract.filters import AskedFilters
from migrate.extract.identities import Identities
from migrate.extract.progress import ExtractProgress
from migrate.model.errors import TransientTwilioError, TwilioError
from migrate.twilio_api.addresses import Side
from migrate.twilio_api.client import TwilioApi, kind_of_list
from migrate.twilio_api.limits import FEW_TRIES, page_sizes
from migrate.twilio_api.pages import Page
from migrate.twilio_api.resources import bindings_path, may_be_expired_token
from migrate.twilio_api.sizes import may_be_the_size

logger = logging.getLogger(__name__)
MOST_RESTARTS = 5  # of one list in one run
MOST_EMPTY_PAGES = 100  # in a row


@dataclass(frozen=True)
class Chain:
    """The bindings of a service in one API, narrowed by filters (`BindingType`, `Identity`).

    Where there are `identities`, the chain walks the lists of one lane of their batches, one after the other; else
    it is one list. `label` distinguishes it from the service's other chains.
    """

    api: Side
    service_sid: str
    label: str = ""
    filters: tuple[tuple[str, str], ...] = ()
    identities: Identities | None = None
    lane: int = 0

    @property
    def id(self) -> str:
        """The chain's name in the checkpoint and the manifest."""
        return ":".join(word for word in (self.api, self.service_sid, self.label) if word)

    @property
    def turns(self) -> int:
        """How many lists it walks."""
        return len(self.identities.turns(self.lane)) if self.identities else 1

    def params(self, turn: int) -> tuple[tuple[str, str], ...]:
        """The filters of one of its lists."""
        if self.identities is None:
            return self.filters
        batch = self.identities.batch(self.identities.turns(self.lane)[turn])
        return (*self.filters, *(("Identity", identity) for identity in batch))


class Walk:
    """One chain under way, in one thread."""

    def __init__(self, chain: Chain, api: TwilioApi, parts: Parts, page_size: int, progress: ExtractProgress) -> None:
        self.chain = chain
        self._api = api
        self._parts = parts
        self._progress = progress
        self._path = bindings_path(chain.service_sid)
        self._base = api.addresses.base(chain.api)
        self._most = page_size  # rows to ask for
        self._size_is_fine = False  # whether the size of the page is not to blame for what fails
        self._restarts = 0
        state = parts.state(chain.id, chain.service_sid)
        self._at = Position(state.turn, state.next_url, state.done)
        self._size, self._rows = state.page_size, state.rows
        progress.add(chain.service_sid, chains=1, chains_done=int(state.done), rows=state.rows, pages=state.pages)

    def run(self) -> None:
        """Read from where the chain stands to its end. Raises `TwilioError` where that cannot be reached, and
        `InterruptedRunError` when the run was stopped; what came before is stored, and the chain can be resumed.
        """
        try:
            self._walk()
        except BaseException:
            self._parts.give_up(self.chain.id)
            raise
        logger.info("%s is complete: %d rows", self.chain.id, self._rows)

    def _walk(self) -> None:
        while not self._at.done:
            tries = self._tries
            try:
                for page in self._pages(tries):
                    self._take(page)
            except TwilioError as error:
                self._recover(error, tries)

    def _pages(self, tries: int | None) -> Iterator[Page[PageRows]]:
        """The pages from here to the end of the list that it is in.

        Raises `TwilioError` for one that comes twice, `OtherThanAskedError` for one that the filters exclude.
        """
        seen: set[int] = set()  # hashes: to keep the texts of 100,000 pages would take 10 MB
        empty, asked = 0, AskedFilters.of(self.chain.params(self._at.turn))
        for page in self._list(page_sizes(self._most), tries, self._at.next_url):
            asked.refuse_others(page.content)
            if len(page.content):
                empty, mark = 0, hash(page.content.mark)
                if mark in seen:
                    raise TwilioError("Twilio gave the same page twice, under different addresses")
                seen.add(mark)
            else:
                empty += 1
            if empty > MOST_EMPTY_PAGES:
                raise TwilioError(f"Twilio gave more than {MOST_EMPTY_PAGES} pages in a row without a binding")
            yield page

    def _list(self, sizes: tuple[int, ...], tries: int | None, next_url: str | None) -> Iterator[Page[PageRows]]:
        return self._api.pages(
            self.chain.api,
            self._path,
            read=partial(read_rows, service_sid=self.chain.service_sid),
            lenient=partial(read_rows, service_sid=self.chain.service_sid, is_lenient=True),
            params=self.chain.params(self._at.turn),
            sizes=sizes,
            start=self._base + next_url if next_url else None,
            tries=tries,
        )

    def _take(self, page: Page[PageRows]) -> None:
        rows = page.content.table.num_rows
        # Without its host, so that the chain can resume under another address of the same API.
        next_url = page.next_url.removeprefix(self._base) if page.next_url else None
        turn = self._at.turn + (next_url is None)
        at = Position(turn, next_url, turn == self.chain.turns)
        self._size = page.page_size or self._size
        if self._at.next_url is None:  # further lists need not find out again what the server takes
            self._most = min(self._most, page.page_size or self._most)
        self._parts.add(self.chain.id, page.content, page.requests, self._size, at)
        self._at = at
        self._rows += rows
        if next_url is None:
            self._restarts = 0  # they count for a list
        done, retries = int(at.done), page.requests - 1
        self._progress.add(self.chain.service_sid, rows=rows, read=rows, pages=1, retries=retries, chains_done=done)

    @property
    def _tries(self) -> int | None:
        """How often a request is repeated before the size of the page is looked at; None: as the budget allows."""
        return FEW_TRIES if self._smaller and not self._size_is_fine else None

    @property
    def _smaller(self) -> tuple[int, ...]:
        """The page sizes below the one in use, largest first."""
        return page_sizes(min(self._size or self._most, self._most))[1:]

    def _recover(self, error: TwilioError, tries: int | None) -> None:
        """Find a way to continue after a failure, or raise it; with so many `tries` the budget is not spent yet."""
        if isinstance(error, TransientTwilioError) and tries and not self._api.is_given_up(error):
            if self._smaller and may_be_the_size(error) and self._is_the_size():
                smaller = self._smaller[0]
                self._restart(f"pages of {self._size or self._most} fail, and smaller ones do not")
                self._most = smaller
                self._api.sizes.learn(kind_of_list(self.chain.api, self._path), smaller)
            else:
                self._size_is_fine = True
        elif may_be_expired_token(error) and self._at.next_url and self._can_restart():
            self._restart(f"its page token no longer works ({error})")
        else:
            raise error

    def _is_the_size(self) -> bool:
        """Whether a smaller page comes at once, and the page that failed does not come even then."""
        largest = page_sizes(self._most)[:1]
        return self._comes(self._smaller[:1], 1, None) and not self._comes(largest, FEW_TRIES, self._at.next_url)

    def _can_restart(self) -> bool:
        """Whether the first page of this list comes, and it was not begun too often."""
        return self._restarts < MOST_RESTARTS and self._comes(page_sizes(self._most), FEW_TRIES, None)

    def _comes(self, sizes: tuple[int, ...], tries: int, next_url: str | None) -> bool:
        try:
            next(self._list(sizes, tries, next_url))
        except TwilioError:
            return False
        return True

    def _restart(self, why: str) -> None:
        """Go back to the beginning: of the list that it is in, where that is not the first; what then comes twice is
        stored once.
        """
        if self._at.next_url is None:
            return
        logger.info("%s starts over: %s", self.chain.id, why)
        self._restarts += 1
        if self._at.turn:
            self._at = Position(self._at.turn)
            return
        self._parts.start_over(self.chain.id)
        self._progress.add(self.chain.service_sid, rows=-self._rows)
        self._at, self._rows = Position(), 0
