"""Chains: walks along `next_page_url`, from lists in Twilio to parts in a snapshot."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from migrate.extract.columns import Rows, read_rows
from migrate.extract.identities import Identities
from migrate.extract.meter import Meter
from migrate.extract.parts import Parts, Position
from migrate.model.errors import TransientTwilioError, TwilioError
from migrate.twilio_api.addresses import Api
from migrate.twilio_api.api import TwilioApi, may_be_the_size
from migrate.twilio_api.limits import FEW_TRIES, page_sizes
from migrate.twilio_api.pages import Page

logger = logging.getLogger(__name__)
MOST_RESTARTS = 5  # of one chain in one run
MOST_EMPTY_PAGES = 100  # in a row


@dataclass(frozen=True)
class Chain:
    """The bindings of a service in one API, narrowed by filters (`BindingType`, `Identity`).

    Where there are `identities`, the chain walks the lists of one lane of their batches, one after the other; else
    it is one list. `label` tells it from the service's other chains.
    """

    api: Api
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

    def __init__(self, chain: Chain, api: TwilioApi, parts: Parts, page_size: int, meter: Meter) -> None:
        self.chain = chain
        self._api = api
        self._parts = parts
        self._meter = meter
        self._base = api.addresses.base(chain.api)
        self._most = page_size  # rows to ask for
        self._patient = False  # whether the size of the page is not to blame for what fails
        self._restarts = 0
        state = parts.state(chain.id, chain.service_sid)
        self._at = Position(state.turn, state.next_url, state.done)
        self._size, self._rows = state.page_size, state.rows
        meter.add(chain.service_sid, chains=1, chains_done=int(state.done), rows=state.rows, pages=state.pages)

    def run(self) -> None:
        """Read from where the chain stands to its end. Raises `TwilioError` where that cannot be reached, and
        `InterruptedRunError` when the run was stopped; what came before is stored, and the chain can be gone on with.
        """
        while not self._at.done:
            try:
                for page in self._pages():
                    self._take(page)
            except TwilioError as error:
                self._recover(error)
        logger.info("%s is complete: %d rows", self.chain.id, self._rows)

    def _pages(self) -> Iterator[Page[Rows]]:
        """The pages from here to the end of the list that it is in. Raises `TwilioError` for one that comes twice."""
        before: pa.ChunkedArray | None = None
        empty = 0
        for page in self._list(page_sizes(self._most), self._tries, self._at.next_url):
            sids = page.content.table.column("sid")
            empty = 0 if len(page.content) else empty + 1
            if len(sids) and before is not None and sids.equals(before):
                raise TwilioError("Twilio gave the same page twice, under different addresses")
            if empty > MOST_EMPTY_PAGES:
                raise TwilioError(f"Twilio gave more than {MOST_EMPTY_PAGES} pages in a row without a binding")
            before = sids
            yield page

    def _list(self, sizes: tuple[int, ...], tries: int | None, next_url: str | None) -> Iterator[Page[Rows]]:
        return self._api.pages(
            self.chain.api,
            f"/Services/{self.chain.service_sid}/Bindings",
            read=partial(read_rows, service_sid=self.chain.service_sid),
            params=self.chain.params(self._at.turn),
            sizes=sizes,
            start=self._base + next_url if next_url else None,
            tries=tries,
        )

    def _take(self, page: Page[Rows]) -> None:
        rows = page.content.table.num_rows
        # Without its host, so that the chain can go on under another address of the same API.
        next_url = page.next_url.removeprefix(self._base) if page.next_url else None
        turn = self._at.turn + (next_url is None)
        at = Position(turn, next_url, turn == self.chain.turns)
        self._size = page.page_size or self._size
        self._parts.add(self.chain.id, page.content, page.requests, self._size, at)
        self._at = at
        self._rows += rows
        done, retries = int(at.done), page.requests - 1
        self._meter.add(self.chain.service_sid, rows=rows, read=rows, pages=1, retries=retries, chains_done=done)

    @property
    def _tries(self) -> int | None:
        """How often a request is repeated before the size of the page is looked at; None: as the budget allows."""
        return FEW_TRIES if self._smaller and not self._patient else None

    @property
    def _smaller(self) -> tuple[int, ...]:
        """The page sizes below the one in use, largest first."""
        return page_sizes(min(self._size or self._most, self._most))[1:]

    def _recover(self, error: TwilioError) -> None:
        """Find a way to go on after a failure, or raise it."""
        passing = isinstance(error, TransientTwilioError)
        if passing and self._tries:
            if self._at.next_url and may_be_the_size(error) and self._a_smaller_page_comes():
                self._most = self._smaller[0]
                self._start_over(f"pages of {self._size} fail and smaller ones do not")
            else:
                self._patient = True
        elif not passing and error.status == 400 and self._at.next_url and self._restarts < MOST_RESTARTS:
            self._start_over(f"its page token no longer works ({error})")
        else:
            raise error

    def _a_smaller_page_comes(self) -> bool:
        """Whether the first page of this list, at a smaller size, comes at once."""
        try:
            next(self._list(self._smaller[:1], 1, None))
        except TwilioError:
            return False
        return True

    def _start_over(self, why: str) -> None:
        logger.info("%s begins anew: %s", self.chain.id, why)
        self._parts.start_over(self.chain.id)
        self._meter.add(self.chain.service_sid, rows=-self._rows)
        self._at, self._rows = Position(), 0
        self._restarts += 1
