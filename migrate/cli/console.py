"""The screen and the log: where results, messages and progress go."""

from __future__ import annotations

import codecs
import json
import logging
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

import click

from migrate.model.errors import MigrateError
from migrate.model.text import LOOKALIKES, PLAIN_ASCII
from migrate.storage.places import shown as with_urls
from migrate.storage.places import working_copies
from migrate.storage.private import open_own, refuse_foreign

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from migrate.extract.progress import ExtractProgress

MOST_LOGGED = 200  # messages of one kind that -v shows
COLUMNS = 80  # of what is no terminal
_TAKEN_FOR_TERMINAL = frozenset({"FORCE_COLOR", "TTY_COMPATIBLE"})  # by rich, whatever it is
_SIZES = ("COLUMNS", "LINES")  # rich takes any digit for a number here, such as "²"


def spell_on(stream: TextIO) -> None:
    """Have a stream write what its encoding lacks as what looks like it, or as its escape, instead of failing.

    click takes an ASCII stream for a mistake and writes UTF-8 to it, unless its encoding goes by another name.
    """
    if isinstance(stream, TextIOWrapper):
        is_ascii = codecs.lookup(stream.encoding).name == "ascii"
        stream.reconfigure(encoding=PLAIN_ASCII if is_ascii else None, errors=LOOKALIKES)


@dataclass
class Screen:
    """Where results and messages go: results to standard output, all else to standard error."""

    json: bool
    no_color: bool
    verbose: bool = False

    def _console(self, *, stderr: bool) -> Console:
        from rich.console import Console

        plain = self.no_color or bool(os.environ.get("NO_COLOR"))
        # What is shown has its lines already; without colour there is no bold type either, which needs escapes, too.
        return Console(
            stderr=stderr,
            width=_width(sys.stderr if stderr else sys.stdout),
            _environ={name: value for name, value in os.environ.items() if name not in _SIZES or value.isdecimal()},
            no_color=plain,
            color_system=None if plain else "auto",
            highlight=False,
            soft_wrap=True,
            markup=False,
            emoji=False,
        )

    def result(self, data: Any, text: Callable[[], Text | str]) -> None:
        """Show a command's result: as JSON if so asked, else as text, fitted to the screen.

        JSON, and a `str`, which is a file's content, stay as they are, and in UTF-8 on every screen. What was made is
        stored first, where it lies at a URL.
        """
        from migrate.cli.remotes import remotes_of

        if remotes := remotes_of(click.get_current_context(silent=True)):
            remotes.store()
        if self.json:
            from migrate.model.digest import canonical_json

            with _told():
                click.echo(with_urls(canonical_json(data)).encode(), nl=False)
            return
        shown = text()
        if isinstance(shown, str):
            with _told():
                click.echo(with_urls(shown).encode(), nl=False)
        else:
            self.show(shown)

    def show(self, text: Text, *, beside: bool = False) -> None:
        """Show what comes before a result; or beside it, as all messages are: then the result can be piped."""
        from migrate.report.layout import fitted

        text = _with_urls(text)
        console = self._console(stderr=beside)
        out = console.file
        # The console's own width is always 80 on a terminal that calls itself dumb.
        width = _width(sys.stderr if beside else sys.stdout)
        shown = fitted(text, width, encoding=console.encoding, is_terminal=out.isatty())
        if beside:
            console.print(shown, end="")
            return
        with _told():
            console.print(shown, end="")

    def next(self, what: str, command: str) -> None:
        """Show what to do next, and the command for it in a line of its own; nothing beside a JSON document."""
        if self.json:
            return
        from rich.text import Text

        from migrate.report.layout import unbroken

        with suppress(OSError):  # the result is shown by then, and what was done is done
            self.show(Text().append("\nNext: ", "bold").append(f"{what}\n  {unbroken(command)}\n"))

    def say(self, message: str) -> None:
        """A message beside the result."""
        click.echo(broken(message), err=True)

    @contextmanager
    def progress(self, progress: ExtractProgress) -> Iterator[None]:
        """Show how far an extract is: bars on a terminal, else a plain line every few seconds."""
        from migrate.cli.progress import bars, lines

        console = self._console(stderr=True) if _may_be_terminal(sys.stderr) else None  # it takes rich, which is slow
        if console and console.is_terminal and not console.is_dumb_terminal:
            shown = bars(console, progress)
        else:
            shown = lines(self.say, progress)
        with shown:
            yield


def _with_urls(text: Text) -> Text:
    """The text with URLs in the place of working copies, in the style of what stood there."""
    found = working_copies(text.plain)
    if not found:
        return text
    urls = {begin: url for begin, _, url in found}
    pieces, place = [], 0
    for piece in text.divide(offset for begin, end, _ in found for offset in (begin, end)):
        url, place = urls.get(place) if len(piece) else None, place + len(piece)
        if url is not None:
            styled = piece.blank_copy(url)
            for span in piece.spans:
                styled.stylize(span.style)
            piece = styled
        pieces.append(piece)
    return text.blank_copy().join(pieces)


def broken(message: str, commands: Sequence[str] = ()) -> str:
    """A message for standard error: in lines that fit a terminal, in one line for a pipe or a file, whatever COLUMNS
    says, because scripts read errors by lines.

    `commands` within it begin a line where they do not fit, and stay whole.
    """
    message, commands = with_urls(message), [*map(with_urls, commands)]
    width = _width(sys.stderr) if _is_terminal(sys.stderr) else len(message)
    if len(message) <= width // 2 or (len(message) <= width and message.isascii()):  # wide characters take two
        return message
    from rich.text import Text

    from migrate.report.layout import BREAK, fitted, unbroken

    for command in commands:
        message = message.replace(command, BREAK + unbroken(command))
    # While bars are shown, standard error is rich's, which has no encoding of its own.
    out = getattr(sys.stderr, "rich_proxied_file", sys.stderr)
    return fitted(Text(message), width, encoding=getattr(out, "encoding", None) or "utf-8", is_terminal=True).plain


def _is_terminal(out: IO[str] | None) -> bool:
    try:
        return bool(out and out.isatty())
    except ValueError:  # it was closed
        return False


@contextmanager
def _told() -> Iterator[None]:
    """Name standard output in what goes wrong with it."""
    try:
        yield
    except OSError as error:
        error.filename = "standard output"
        raise


def _may_be_terminal(out: IO[str] | None) -> bool:
    """Whether rich may find a terminal there."""
    return bool(_TAKEN_FOR_TERMINAL & os.environ.keys()) or _is_terminal(out)


def _width(out: IO[str] | None) -> int:
    """The columns of what something is shown on: the terminal's; 80 in a pipe or a file; or as COLUMNS says."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    try:
        return (out and os.get_terminal_size(out.fileno()).columns) or COLUMNS
    except (OSError, ValueError):  # no terminal, or no file at all
        return COLUMNS


class _Lines(logging.Formatter):
    """A line for each record. A traceback says where, and of errors that are not ours no more than their kind: their
    text can hold an address, and so identities, or what a server has said.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line; what another formatter has made of its traceback is not used."""
        record.exc_text = None
        return with_urls(super().format(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging calls it so
        """The traceback of an error, and of those that led to it, the first of them first."""
        error, told = ei[1], list[str]()
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            kind = type(error).__qualname__ + (f": {error}" if isinstance(error, MigrateError) else "")
            told.append(
                "".join(["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__), kind])
            )
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\n\nwhich led to:\n\n".join(reversed(told))


class _JsonLines(_Lines):
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
        return with_urls(json.dumps(line))


class _First(logging.Filter):
    """Lets the first messages of each kind through, and all errors and tracebacks; counts the others."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is shown."""
        if record.levelno >= logging.ERROR or record.exc_info:
            return True
        self._seen[record.msg] += 1
        return self._seen[record.msg] <= MOST_LOGGED

    @property
    def left_out(self) -> int:
        """How many were not shown."""
        return sum((self._seen - Counter(dict.fromkeys(self._seen, MOST_LOGGED))).values())


class _PrivateLog(logging.FileHandler):
    """A log file that is appended to; whoever it is not for cannot read it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, opener=open_own)  # Path.open has no opener


@contextmanager
def logging_to(verbose: int, log_file: Path | None) -> Iterator[None]:
    """Our own log; other libraries' may hold addresses with personal data."""
    level = (logging.ERROR, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    screen = logging.StreamHandler(sys.stderr)
    screen.setLevel(level)
    screen.setFormatter(_Lines("%(levelname)s %(message)s"))
    first = _First()
    screen.addFilter(first)
    handlers: list[logging.Handler] = [screen]
    if log_file:
        refuse_foreign(log_file)
        file = _PrivateLog(log_file)
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
        if first.left_out:
            where = f"all are in {log_file}" if log_file else "use --log-file FILE for all"
            click.echo(f"… and {first.left_out:,} more messages like these: {where}", err=True)
