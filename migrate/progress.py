"""How far an extract is, for a person: bars on a terminal, plain lines elsewhere. They only read the meter."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from migrate.model.text import lasting

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from migrate.extract.meter import Meter, Reading

SECONDS_BETWEEN_LINES = 5.0
WIDE = 120  # columns of a terminal on which whole SIDs have room beside the numbers


@contextmanager
def bars(console: Console, meter: Meter) -> Iterator[None]:
    """One bar a service: rows, rows a second, pages, retries, and the time left where that can be told."""
    from rich.live import Live

    began = time.monotonic()

    def draw() -> RenderableType:
        return _table(meter, time.monotonic() - began, is_narrow=console.width < WIDE)

    with Live(get_renderable=draw, console=console, transient=True, refresh_per_second=4):
        yield


def _table(meter: Meter, seconds: float, *, is_narrow: bool) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1 if is_narrow else 2))
    # What is complete goes below: of many services the screen shows the first.
    for service, reading in sorted(meter.read().items(), key=lambda item: item[1].is_complete):
        total = 1 if reading.is_complete else reading.expected or None
        done = 1 if reading.is_complete else reading.rows
        table.add_row(
            # Services differ in the last digits of their SIDs.
            f"{service[:2]}…{service[-6:]}" if is_narrow else service,
            # With nothing to measure by, the bar only moves.
            ProgressBar(total=total, completed=done, width=6 if is_narrow else 20, pulse=total is None),
            f"{reading.rows:,} bindings",
            f"{reading.read / seconds:,.0f}/s" if seconds else "",
            f"{reading.pages:,} pages",
            f"{reading.retries:,} retries",
            _left(reading, seconds).removeprefix("about " if is_narrow else ""),
        )
    below = f"{meter.requests_now()} requests under way"
    return Group(table, Text(below), Text(meter.trouble(), "yellow", overflow="ellipsis", no_wrap=True))


def _left(reading: Reading, seconds: float) -> str:
    """How long a service will take yet, at its speed so far, if it has as many rows as the earlier snapshot."""
    if reading.is_complete:
        return "complete"
    if not reading.expected or not reading.read:
        return ""
    left = round(max(0, reading.expected - reading.rows) * seconds / reading.read)
    return f"about {lasting(left)} left"


@contextmanager
def lines(say: Callable[[str], None], meter: Meter) -> Iterator[None]:
    """A line every few seconds, over all services; none for what is over before the first is due."""
    over = threading.Event()

    def tell() -> None:
        read, then = 0, time.monotonic()
        while not over.wait(SECONDS_BETWEEN_LINES):
            now, before = time.monotonic(), read
            line, read = _line(meter)
            say(f"{line} · {(read - before) / (now - then):,.0f} bindings/s")
            then = now

    thread = threading.Thread(target=tell, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _line(meter: Meter) -> tuple[str, int]:
    """All services' numbers in one line, and the rows that this run has read."""
    readings = list(meter.read().values())

    def total(name: str) -> int:
        return sum(getattr(reading, name) for reading in readings)

    rows, expected = total("rows"), sum(reading.expected or 0 for reading in readings)
    of = f" of about {expected:,}" if expected else ""
    chains = f"{total('chains_done')} of {total('chains')} chains complete"
    details = f"{total('pages'):,} pages, {total('retries'):,} retries, {meter.requests_now()} requests under way"
    trouble = f" · waiting: {meter.trouble()}" if meter.trouble() else ""
    return f"{rows:,}{of} bindings · {chains} · {details}{trouble}", total("read")
