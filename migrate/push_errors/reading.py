"""Reading push errors: the alerts of a span of time, side by side, into one Parquet file; interrupted, it resumes."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from migrate.model.errors import (
    InputError,
    InterruptedRunError,
    MigrateError,
    OtherAccountError,
    RefusedError,
    TransientTwilioError,
    TwilioError,
)
from migrate.model.schemas import PUSH_ERRORS
from migrate.push_errors.alert import alert_of
from migrate.push_errors.reading_log import Counted, ReadingLog, begun_head
from migrate.push_errors.windows import LONGEST, MOST_ALERTS, Window, window_of
from migrate.runtime.interrupts import HEED, check
from migrate.runtime.workers import result_of
from migrate.snapshot.manifest import PUSH_ERRORS_FILE, PushErrorsRead
from migrate.snapshot.unfinished import PUSH_ERRORS_WORK
from migrate.storage.database import LOW_MEMORY_LIMIT, over_views
from migrate.storage.files import make_private_folder, private_file
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.limits import FEW_TRIES, LARGEST_PAGE_SIZE, page_sizes
from migrate.twilio_api.resources import ALERTS_PATH, list_pages, look_at_alerts, may_be_expired_token

logger = logging.getLogger(__name__)
MARGIN = timedelta(minutes=5)  # by which the longest span is shorter: while it is read, its beginning grows older
MOST_RESTARTS = 5  # of one window in one run
MOST_IDLE_PAGES = 100  # in a row that bring nothing new
_REPEATED = "SELECT sid FROM errors GROUP BY sid HAVING count(*) > 1"


def span_before(until: datetime, length: timedelta) -> tuple[datetime, datetime]:
    """The span of time that ends there: at most what Twilio keeps, less five minutes."""
    return until - min(length, LONGEST - MARGIN), until


def begun_span(folder: Path) -> tuple[datetime, datetime] | None:
    """The span of a reading into `folder` that was interrupted; None without one."""
    head = begun_head(folder / PUSH_ERRORS_WORK)
    return (datetime.fromisoformat(head["since"]), datetime.fromisoformat(head["until"])) if head else None


class Progress(Protocol):
    """What is told how far a reading is: `chains` are windows, `rows` are alerts; from this thread alone."""

    def __call__(
        self, *, chains: int = 0, chains_done: int = 0, rows: int = 0, read: int = 0, pages: int = 0
    ) -> None:
        """Add to the numbers."""


def _no_progress(**amounts: int) -> None:
    """Tell nobody."""


@dataclass
class _Found:
    """What one window has brought: its rows, the times that were seen, and whether it must be read in pieces."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    sids: set[str] = field(default_factory=set)
    times: list[datetime] = field(default_factory=list)
    unfit: int = 0
    pages: int = 0
    is_cut: bool = False
    may_lack: bool = False  # some, because Twilio does not give them

    def __len__(self) -> int:
        return len(self.sids) + self.unfit

    def cut(self, window: Window) -> Self:
        """Leave it to smaller windows, because a query gives no more; of a second, say that some may be lacking."""
        self.is_cut, self.may_lack = window.can_be_split, True
        if self.is_cut:
            self.rows.clear()
        return self

    def take(self, records: list[Any], window: Window) -> bool:
        """Add a page; whether it had anything new. Raises `RefusedError` for an alert that was not asked for."""
        before = len(self.sids)
        self.pages += 1
        for record in records:
            alert = alert_of(record)
            if alert is None:
                self.unfit += 1
                continue
            if window.is_outside(alert.dates):
                raise RefusedError(
                    "The list of alerts was narrowed by its dates, and holds others: the server ignores the filter",
                    remedy="Find out who answers under Monitor's address",
                )
            if alert.sid not in self.sids:
                self.sids.add(alert.sid)
                self.times += alert.dates[:1]
                if alert.row:
                    self.rows.append(alert.row)
        return len(self.sids) > before


def read_push_errors(
    api: TwilioApi,
    folder: Path,
    since: datetime,
    until: datetime,
    *,
    progress: Progress | None = None,
) -> PushErrorsRead:
    """Read the push errors of a span into `folder`/push_errors.parquet (`PUSH_ERRORS`), each alert once.

    What an interruption leaves, the same call resumes; the caller holds the folder. Raises `TwilioError` where Twilio
    does not give them, `RefusedError` where what comes was not asked for, and `InterruptedRunError`.
    """
    make_private_folder(folder)
    window = window_of(since, until)
    head = {"since": window.begin.isoformat(), "until": window.end.isoformat(), "account_sid": api.account_sid}
    log = ReadingLog(folder / PUSH_ERRORS_WORK, {**head, "monitor": api.addresses.monitor})
    log.open(window)
    try:
        _Reading(api, log, progress or _no_progress).run()
        errors = _write(log, folder / PUSH_ERRORS_FILE)
        log.remove()
    finally:
        log.close()
    return PushErrorsRead(head["since"], head["until"], errors=errors, **vars(log.counted))


def take_push_errors(api: TwilioApi, folder: Path, until: datetime) -> PushErrorsRead:
    """As `read_push_errors`, over the longest span that ends there; where they cannot be read, the note why.

    Raises `OtherAccountError`, and `InterruptedRunError`, which leaves what the same call resumes.
    """
    since, until = span_before(until, LONGEST)
    try:
        look_at_alerts(api, FEW_TRIES)
        return read_push_errors(api, folder, since, until)
    except (InterruptedRunError, OtherAccountError):
        raise
    except (
        TwilioError,
        RefusedError,
        InputError,
    ) as error:  # the key lacks the permission, say, or a cassette has no recording of them
        logger.warning("The snapshot goes without push errors: %s", error)
        shutil.rmtree(folder / PUSH_ERRORS_WORK, ignore_errors=True)
        api.reset_budget()  # what Monitor did not answer counts for nothing else
        window = window_of(since, until)
        from migrate.twilio_api.transports.replay import CassetteMissError  # it brings vcr

        # Where the cassette lies would be in the snapshot, and in all that is made of it.
        note = "The recording has no alerts" if isinstance(error, CassetteMissError) else error.what
        return PushErrorsRead(window.begin.isoformat(), window.end.isoformat(), note=note)


class _Reading:
    """The windows of one reading: several threads ask for them, and this one stores what they bring."""

    def __init__(self, api: TwilioApi, log: ReadingLog, progress: Progress) -> None:
        self._api = api
        self._log = log
        self._progress = progress
        self._began = time.monotonic()

    def run(self) -> None:
        """Read all windows that wait; the first failure is raised once nothing is under way any more.

        What passes keeps no other window from being read. What does not ends the reading alone: requests of other
        kinds go on, and so nothing is raised while the threads run.
        """
        failures: list[MigrateError] = []
        waiting, threads = sorted(self._log.waiting, reverse=True), self._api.throttle.most
        self._progress(chains=len(waiting))
        with self._api.workers(threads, "alerts") as workers:
            under_way: dict[Future[_Found | MigrateError], Window] = {}
            while waiting or under_way:
                check()
                while waiting and len(under_way) <= threads:  # what is read and not stored yet takes memory
                    window = waiting.pop()
                    under_way[workers.submit(self._try, window)] = window
                done, _ = wait(under_way, HEED, FIRST_COMPLETED)
                for future in done:
                    window, found = under_way.pop(future), result_of(future)
                    if isinstance(found, _Found):
                        waiting += reversed(self._store(window, found))
                        continue
                    failures.append(found)
                    if not isinstance(found, TransientTwilioError):  # the others would get the same answer
                        waiting.clear()
        if failures:
            raise failures[0]

    def _store(self, window: Window, found: _Found) -> list[Window]:
        """Keep what a window has brought; or the windows that are to be read in its place."""
        if found.is_cut:
            pieces = window.split(found.times)
            logger.info("%d alerts or more %s: read in %d pieces", MOST_ALERTS, window, len(pieces))
            self._log.split(window, pieces)
            self._progress(chains=len(pieces), chains_done=1)
            return pieces
        lacks = int(len(found) >= MOST_ALERTS or found.may_lack)
        self._log.done(window, found.rows, Counted(len(found), found.unfit, lacks))
        self._progress(chains_done=1, rows=len(found), read=len(found), pages=found.pages)
        return []

    def _try(self, window: Window) -> _Found | MigrateError:
        """What a window has, or why that was not given. Raises what ends the whole run."""
        try:
            return self._read(window)
        except (InterruptedRunError, OtherAccountError):
            raise
        except MigrateError as error:
            return error

    def _read(self, window: Window) -> _Found:
        """What a window has, from the beginning; once more where its page token no longer works."""
        left = window if self._api.is_replay else window.without_before(self._oldest)
        for restart in range(MOST_RESTARTS + 1):
            found = _Found(may_lack=left != window)
            try:
                if left:
                    self._walk(left, found)
            except TwilioError as error:
                if len(found) > MOST_ALERTS - LARGEST_PAGE_SIZE and may_be_expired_token(error):
                    return found.cut(window)  # that was the page after the last
                if not (len(found) and may_be_expired_token(error)) or restart == MOST_RESTARTS:
                    raise
                logger.info("A window of alerts is read again: its page token no longer works (%s)", error)
            else:
                return found
        raise AssertionError("unreachable")

    @property
    def _oldest(self) -> datetime:
        """From when on Twilio has alerts now, by its own clock."""
        elapsed = timedelta(seconds=time.monotonic() - self._began)
        return (self._api.server_time or datetime.now(UTC)) - LONGEST + elapsed

    def _walk(self, window: Window, found: _Found) -> None:
        idle = 0
        for page in self._pages(window):
            check()
            idle = 0 if found.take(page, window) else idle + 1
            if idle > MOST_IDLE_PAGES:
                raise TwilioError(f"Twilio gave more than {MOST_IDLE_PAGES} pages in a row without a new alert")
            if len(found) >= MOST_ALERTS and window.can_be_split:
                found.cut(window)
                return

    def _pages(self, window: Window) -> Iterator[list[Any]]:
        pages = list_pages(self._api, "monitor", ALERTS_PATH, page_sizes(self._api.page_size), params=window.params)
        return (page.content for page in pages)


def _write(log: ReadingLog, path: Path) -> int:
    """Put the parts together in the order of their windows, each alert once; how many rows that are."""
    parts, rows = sorted(log.parts), 0
    # Neighbouring windows share a second, and with it alerts.
    repeated, seen = _repeated(log.folder, parts), set[str]()
    with (
        private_file(path) as file,
        pq.ParquetWriter(file, PUSH_ERRORS, compression="zstd", compression_level=1) as writer,
    ):
        for part in parts:
            check()
            table = pq.ParquetFile(part).read().sort_by([("date", "ascending"), ("sid", "ascending")])
            sids = table.column("sid").to_pylist() if repeated else []
            if repeated and (twice := {sid for sid in sids if sid in repeated}):
                table = table.filter(pa.array([sid not in seen for sid in sids]))
                seen |= twice
            writer.write_table(table.cast(PUSH_ERRORS))
            rows += table.num_rows
    return rows


def _repeated(scratch: Path, parts: list[Path]) -> frozenset[str]:
    """The SIDs of alerts that are in several parts."""
    if len(parts) < 2:
        return frozenset()
    with over_views({"errors": parts}, scratch, LOW_MEMORY_LIMIT, schema=PUSH_ERRORS) as database:
        return frozenset(sid for (sid,) in database.sql(_REPEATED).fetchall())
