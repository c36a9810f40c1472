"""Chains: one walk along `next_page_url`, from a list in Twilio to parts in a snapshot."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from migrate.extract.records import UnfitError, binding_row
from migrate.model.errors import TwilioError
from migrate.model.schemas import BINDINGS
from migrate.snapshot.checkpoint import Progress
from migrate.snapshot.writer import SnapshotWriter
from migrate.twilio_api.addresses import Api
from migrate.twilio_api.api import Page, TwilioApi

logger = logging.getLogger(__name__)
PART_ROWS = 20_000  # rows held in memory by one chain before they become a part

# Told after each page: the service, and how many more rows of it are in hand.
OnRows = Callable[[str, int], None]


@dataclass(frozen=True)
class Chain:
    """One list to walk: the bindings of a service in one API, narrowed by filters (`BindingType`, `Identity`)."""

    api: Api
    service_sid: str
    filters: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        """The chain's name in the checkpoint and the manifest."""
        return f"{self.api}:{self.service_sid}"

    def walk(
        self, api: TwilioApi, writer: SnapshotWriter, page_size: int, stop: threading.Event, on_rows: OnRows
    ) -> None:
        """Read the chain from where it stands to its end, or to the page at which `stop` was set.

        Whatever ends it, the pages in hand are stored first. A chain that was interrupted and whose page token
        no longer works begins anew.
        """
        state = writer.chain(self.id, self.service_sid)
        resumed = state.next_url
        if state.done or stop.is_set():
            return
        try:
            self._walk_from(state.next_url, api, writer, page_size, stop, on_rows)
        except TwilioError as error:
            state = writer.chain(self.id, self.service_sid)
            if error.status != 400 or not resumed or state.next_url != resumed:
                raise
            logger.info("%s begins anew, its page token no longer works: %s", self.id, error)
            writer.start_over(self.id)
            self._walk_from(None, api, writer, page_size, stop, on_rows)

    def _walk_from(
        self,
        start: str | None,
        api: TwilioApi,
        writer: SnapshotWriter,
        page_size: int,
        stop: threading.Event,
        on_rows: OnRows,
    ) -> None:
        base = api.addresses.base(self.api)
        pages = api.pages(
            self.api,
            f"/Services/{self.service_sid}/Bindings",
            key="bindings",
            params=(*self.filters, ("PageSize", str(page_size))),
            start=base + start if start else None,
        )
        hand = _Hand(self)
        try:
            for page in pages:
                on_rows(self.service_sid, hand.take(page, base))
                if len(hand.rows) + len(hand.rejected) >= PART_ROWS:
                    hand.store(writer)
                if stop.is_set():
                    break
        finally:
            hand.store(writer)


@dataclass
class _Hand:
    """The pages that one chain holds in memory."""

    chain: Chain
    rows: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    pages: int = 0
    requests: int = 0
    page_size: int = 0
    next_url: str | None = None

    def take(self, page: Page, base: str) -> int:
        """Add a page's records; the number of those that fitted."""
        before = len(self.rows)
        for record in page.records:
            try:
                self.rows.append(binding_row(record, self.chain.service_sid))
            except UnfitError as error:
                self.rejected.append({"chain": self.chain.id, "reason": str(error), "record": record})
        self.pages += 1
        self.requests += page.requests
        self.page_size = page.page_size
        # Without its host, so that the chain can go on under another address of the same API.
        self.next_url = page.next_url.removeprefix(base) if page.next_url else None
        return len(self.rows) - before

    def store(self, writer: SnapshotWriter) -> None:
        """Make a part of what is in hand, and let it go."""
        if not self.pages:
            return
        table = pa.Table.from_pylist(self.rows, schema=BINDINGS)
        progress = Progress(self.pages, self.requests, self.page_size, self.next_url, tuple(self.rejected))
        writer.add(self.chain.id, table, progress)
        self.rows, self.rejected, self.pages, self.requests = [], [], 0, 0
