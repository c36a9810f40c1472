"""The screen and the log: where results, messages and progress go."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from migrate.extract.meter import Meter


@dataclass
class Screen:
    """Where results and messages go: results to standard output, all else to standard error."""

    json: bool
    no_color: bool

    def _console(self, *, stderr: bool) -> Console:
        from rich.console import Console

        # Lines are not wrapped: what is piped or copied stays whole.
        return Console(
            stderr=stderr, no_color=self.no_color, highlight=False, soft_wrap=True, markup=False, emoji=False
        )

    def result(self, data: Any, text: Callable[[], Text]) -> None:
        """Show a command's result: as JSON if so asked, else as text."""
        if self.json:
            from migrate.model.digest import canonical_json

            click.echo(canonical_json(data), nl=False)
        else:
            self._console(stderr=False).print(text(), end="")

    def show(self, text: Text) -> None:
        """Show what comes before a result."""
        self._console(stderr=False).print(text, end="")

    def say(self, message: str) -> None:
        """A message beside the result."""
        click.echo(message, err=True)

    @contextmanager
    def progress(self, meter: Meter) -> Iterator[None]:
        """Show how far an extract is: bars on a terminal, else a plain line every few seconds."""
        from migrate.progress import bars, lines

        console = self._console(stderr=True)
        with bars(console, meter) if console.is_terminal else lines(self.say, meter):
            yield


class _JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


@contextmanager
def logging_to(verbose: int, log_file: Path | None) -> Iterator[None]:
    """Our own log; other libraries' may hold addresses with personal data."""
    level = (logging.ERROR, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    screen = logging.StreamHandler(sys.stderr)
    screen.setLevel(level)
    screen.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handlers: list[logging.Handler] = [screen]
    if log_file:
        file = logging.FileHandler(log_file, encoding="utf-8")
        file.setFormatter(_JsonLines())
        handlers.append(file)
    ours = logging.getLogger("migrate")
    ours.setLevel(logging.DEBUG)
    ours.propagate = False
    for handler in handlers:
        ours.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            ours.removeHandler(handler)
            handler.close()
