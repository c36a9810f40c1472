"""How far an extract is, for a person: bars on a terminal, plain lines elsewhere. They only read.

`rich.live` and `rich.progress_bar` draw the bars; the rows are made here. `rich.progress.Progress` was tried: it has
numbers of its own beside the extract's, draws more rows than the screen has lines, and where a row does not fit it
cuts numbers, and the last digits of SIDs, in which services differ. Here the row leaves out a column instead.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from migrate.model.sids import ACCOUNT, SERVICE, kind_of
from migrate.model.text import lasting

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from migrate.extract.progress import ExtractProgress, ServiceProgress

SECONDS_BETWEEN_LINES = 5.0
_DISPENSABLE = ("retries", "pages", "bar", "speed", "left")  # what a row goes without where it has no room, in turn


@contextmanager
def bars(console: Console, progress: ExtractProgress) -> Iterator[None]:
    """One bar a service: rows, rows a second, pages, retries, and the time left where that can be estimated."""
    from rich.live import Live

    began = time.monotonic()

    def draw() -> RenderableType:
        return _table(progress, time.monotonic() - began, *console.size)

    with Live(get_renderable=draw, console=console, transient=True, refresh_per_second=4):
        yield


def _table(progress: ExtractProgress, seconds: float, width: int, height: int) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    # What is complete goes below: of many services the screen shows the first, and up to three lines more.
    readings = sorted(progress.read().items(), key=lambda item: item[1].is_complete)
    shown = readings[: max(1, height - 3)]
    rows, gap = _fitting(shown, seconds, width, progress.noun)
    table = Table.grid(padding=(0, gap))
    for _ in rows[0] if rows else ():
        table.add_column(no_wrap=True, overflow="crop")
    for row, (_, reading) in zip(rows, shown, strict=True):
        # With nothing to measure by, the bar only moves.
        total = 1 if reading.is_complete else reading.expected or None
        done = 1 if reading.is_complete else reading.rows
        bar = ProgressBar(total=total, completed=done, width=len(row.get("bar", "")), pulse=total is None)
        table.add_row(*(bar if name == "bar" else cell for name, cell in row.items()))
    more = f"and {len(readings) - len(shown):,} more {progress.unit}s · " if len(readings) > len(shown) else ""
    below = f"{more}{progress.requests_now():,} requests under way"
    return Group(
        table, Text(below, no_wrap=True), Text(progress.trouble(), "yellow", overflow="ellipsis", no_wrap=True)
    )


def _fitting(
    readings: Sequence[tuple[str, ServiceProgress]], seconds: float, width: int, noun: str
) -> tuple[list[dict[str, str]], int]:
    """The rows of the widest form that fits, or of the narrowest, and the cells between two columns."""
    for is_wide, without in ((True, 0), *((False, many) for many in range(len(_DISPENSABLE) + 1))):
        gap = 2 if is_wide else 1
        rows = [_cells(service, reading, seconds, noun, is_wide=is_wide) for service, reading in readings]
        rows = [{name: cell for name, cell in row.items() if name not in _DISPENSABLE[:without]} for row in rows]
        widths = [max(map(len, column)) for column in zip(*(row.values() for row in rows), strict=True)]
        if sum(widths) + gap * (len(widths) - 1) <= width:
            break
    return rows, gap


def _cells(service: str, reading: ServiceProgress, seconds: float, noun: str, *, is_wide: bool) -> dict[str, str]:
    """A row, column by column; in the place of its bar what is as long."""
    left = _left(reading, seconds)
    return {
        # Services, and accounts, differ in the last digits of their SIDs.
        "service": service
        if is_wide or kind_of(service) not in (SERVICE, ACCOUNT)
        else f"{service[:2]}…{service[-6:]}",
        "bar": "-" * (20 if is_wide else 6),
        "rows": f"{reading.rows:,} {noun}",
        "speed": f"{reading.read / seconds:,.0f}/s" if seconds else "",
        "pages": f"{reading.pages:,} pages",
        "retries": f"{reading.retries:,} retries",
        "left": left if is_wide else left.removeprefix("about "),
    }


def _left(reading: ServiceProgress, seconds: float) -> str:
    """How long a service will take yet, at its speed so far, if it has as many rows as the earlier snapshot."""
    if reading.is_complete:
        return "complete"
    if not reading.expected or not reading.read:
        return ""
    left = round(max(0, reading.expected - reading.rows) * seconds / reading.read)
    return f"about {lasting(left)} left"


@contextmanager
def lines(say: Callable[[str], None], progress: ExtractProgress) -> Iterator[None]:
    """A line every few seconds, over all services; none for what is over before the first is due."""
    over = threading.Event()

    def tell() -> None:
        said, read, then = "", 0, time.monotonic()
        while not over.wait(SECONDS_BETWEEN_LINES):
            now, before = time.monotonic(), read
            line, read = _line(progress)
            # All has come: what is done with it yet moves no number. While something is to come, silence would alarm.
            if line != said or not _is_complete(progress):
                say(f"{line} · {(read - before) / (now - then):,.0f} {progress.noun}/s")
            said, then = line, now

    thread = threading.Thread(target=tell, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _is_complete(progress: ExtractProgress) -> bool:
    readings = progress.read().values()
    return bool(readings) and all(reading.is_complete for reading in readings)


def _line(progress: ExtractProgress) -> tuple[str, int]:
    """All services' numbers in one line, and the rows that this run has read."""
    readings = list(progress.read().values())

    def total(name: str) -> int:
        return sum(getattr(reading, name) for reading in readings)

    rows, expected = total("rows"), sum(reading.expected or 0 for reading in readings)
    of = f" of about {expected:,}" if expected else ""
    chains = f"{total('chains_done'):,} of {total('chains'):,} chains complete"
    if progress.unit == "account":
        chains = f"{sum(reading.is_complete for reading in readings):,} of {len(readings):,} accounts complete"
    details = (
        f"{total('pages'):,} pages, {total('retries'):,} retries, {progress.requests_now():,} requests under way"
    )
    trouble = f" · waiting: {progress.trouble()}" if progress.trouble() else ""
    return f"{rows:,}{of} {progress.noun} · {chains} · {details}{trouble}", total("read")
