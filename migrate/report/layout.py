"""How text views fit a screen: columns that align, and lines that are broken where they would not fit.

A view appends to a `rich.text.Text` and puts marks where they help: `COLUMN`, `BREAK` and `JOINT`. `fitted` makes the
lines of it. Foreign text cannot hold a mark: `printable` shows them as escapes. Those that stand for a space are of
the private use area, whose characters take one cell as a space does.

`rich.table` was tried: it cuts SIDs and breaks commands, which are there to be copied, fills lines with spaces, and
does not keep in its place what follows a name that is written from right to left.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

from rich.cells import cell_len
from rich.text import Span, Text

from migrate.model.text import spelt

COLUMN = "\t"  # what is broken behind it continues in this column
BREAK = "\x1e"  # a line that does not fit is broken here first
JOINT = "\ue000"  # a space at which no line is broken
KEPT = "\ue001"  # a space of a run of them: it is shown where a line is broken, too
LEFT_TO_RIGHT = "\u200e"
_INDENT = 2  # of what continues below a word in the first column
_TOKEN = re.compile(f"{COLUMN}| +|{KEPT}*[^ {COLUMN}{KEPT}]+|{KEPT}+")
_MARK = re.compile(f"[{COLUMN}{BREAK}{JOINT}{KEPT}]")
_ESCAPE = re.compile(r"\\(?:u\{[0-9a-f]+\}|U[0-9a-f]{8}|u[0-9a-f]{4}|x[0-9a-f]{2})")
_TONE = "[\ufe0f\U0001f3fb-\U0001f3ff]?"
_UNIT = re.compile(f"{_ESCAPE.pattern}|.{_TONE}(?:\u200d.{_TONE})*")  # one picture may be made of several, joined
_LEAD = re.compile(r" *(?:(?:[-~+·→]|->) +)?")  # what a line begins with: it continues behind that


def unbroken(text: str) -> str:
    """A text that stays in one line, such as a command to copy."""
    return text.replace(" ", JOINT)


def sided(text: str) -> str:
    """Foreign text, so that what stands behind it stays there, though it be written from right to left.

    Where there is more than one space they are kept, so that texts that differ in them look different.
    """
    text = re.sub("  +", lambda run: KEPT * len(run[0]), text)
    sides = [side for character in text if (side := unicodedata.bidirectional(character)) in ("L", "R", "AL")]
    return text + LEFT_TO_RIGHT if sides and sides[-1] != "L" else text


def padded(text: str, width: int) -> str:
    """A text, filled up to a width in cells of a terminal: wide characters take two."""
    return text + " " * (width - cell_len(text))


def table(rows: Sequence[tuple[str, str]]) -> Text:
    """Labels and values, one pair a line."""
    text = Text()
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        text.append(f"{label:{width}}  ", "bold").append(f"{COLUMN}{value}\n")
    return text


def grid(headings: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> Text:
    """Numbers, below headings and behind labels. A row without numbers is a heading for those that follow."""
    label = max((cell_len(label) for label, cells in rows if cells), default=0)
    widths = [max(map(len, column)) for column in zip(headings, *(cells for _, cells in rows if cells), strict=True)]
    text = Text()
    for name, cells in (("", headings), *rows):
        if not cells:
            text.append(f"{name}\n", "bold")
            continue
        numbers = f"  {BREAK}".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        text.append(f"{padded(name, label)}  {COLUMN}{numbers}\n", "bold" if cells is headings else "")
    return text


def fitted(text: Text, width: int, *, encoding: str = "utf-8", is_terminal: bool = False) -> Text:
    """The text in lines of at most `width` cells, without marks, and in characters that the encoding has.

    Only a word that has no room in a line of its own, indented as its line is, goes beyond: a path, an address, a
    command. One with wide characters or escapes is broken between them. Foreign text that is written from right to
    left keeps its place on a terminal; elsewhere nothing is added to it.
    """
    if not is_terminal or not _is_unicode(encoding):
        text = _replaced(text, re.compile(LEFT_TO_RIGHT), lambda _: "")
    if not _is_unicode(encoding):
        text = _replaced(text, re.compile(f"[^\x00-\x7f{JOINT}{KEPT}]"), lambda character: spelt(character, encoding))
    return Text("\n").join(part for line in text.split("\n", allow_blank=True) for part in _broken(line, width))


def _is_unicode(encoding: str) -> bool:
    return encoding.lower().replace("-", "").startswith("utf")


def _broken(line: Text, width: int) -> Iterator[Text]:
    """One line of a view, as the lines that it takes."""
    whole = _unmarked(line)
    if whole.cell_len <= width:
        yield whole
        return
    hang = below = _lead(line.plain)  # the columns where pieces continue, and words of a piece
    least = hang or _INDENT
    current = Text()
    for piece in line.split(BREAK):
        if current.cell_len > hang and current.cell_len + cell_len(_unmarked(piece).plain.rstrip()) > width:
            yield _ended(current)
            current, below = Text(" " * hang), hang + _lead(piece.plain)
        for token in _tokens(piece):
            if token.plain == COLUMN:
                hang = below = current.cell_len if current.cell_len <= width * 2 / 3 else below
                continue
            for part in _parts(token, width - below):
                if part.plain.strip(" ") and current.cell_len + part.cell_len > width:
                    if least + part.cell_len <= width < below + part.cell_len:  # the column is too narrow for it
                        hang = below = least
                    if current.cell_len > below:
                        yield _ended(current)
                        current = Text(" " * below)
                current.append_text(part)
    yield _ended(current)


def _lead(plain: str) -> int:
    """How far what a line begins with reaches: spaces, and the sign of a list."""
    return len(_LEAD.match(plain)[0])  # type: ignore[index]  # it matches anything


def _tokens(piece: Text) -> Iterator[Text]:
    """Words with the kept spaces before them, other spaces between them, and marks."""
    return iter(piece.divide([match.end() for match in _TOKEN.finditer(piece.plain)][:-1]))


def _parts(token: Text, room: int) -> Iterator[Text]:
    """A word in one, or in parts: where it does not fit, it is broken between wide characters and between escapes.

    So is a run of spaces. What of a script has spaces between its words stays whole.
    """
    plain = token.plain
    if token.cell_len <= room:
        return iter([token])
    run = len(plain) - len(plain.lstrip(KEPT))
    edges = [*range(room, run, room), run] if room > 0 else [run]
    word = plain[run:]
    if _ESCAPE.search(word) or max(map(cell_len, word), default=0) > 1:
        taken = 0
        for unit in _UNIT.finditer(word):
            if taken and taken + cell_len(unit[0]) > room:
                edges.append(run + unit.start())
                taken = 0
            taken += cell_len(unit[0])
    return iter(part for part in token.divide(edges) if part.plain)


def _ended(line: Text) -> Text:
    """The line without marks, and without spaces at its end but those that are kept.

    Words of one colour that stand side by side are one again.
    """
    line.plain = line.plain.rstrip(" ")
    line = _unmarked(line)
    merged: list[Span] = []
    for span in line.spans:
        if merged and (merged[-1].end, merged[-1].style) == (span.start, span.style):
            span = Span(merged.pop().start, span.end, span.style)
        merged.append(span)
    line.spans = merged
    return line


def _unmarked(text: Text) -> Text:
    return _replaced(text, _MARK, lambda mark: " " if mark in (JOINT, KEPT) else "")


def _replaced(text: Text, pattern: re.Pattern[str], by: Callable[[str], str]) -> Text:
    """The text with something else in the place of what a pattern finds, in the same colour."""
    edges = [edge for match in pattern.finditer(text.plain) for edge in match.span()]
    if not edges:
        return text
    done = Text()
    for number, part in enumerate(text.divide(edges)):
        if number % 2:
            part = Text(by(part.plain), part.spans[0].style if part.spans else part.style)
        done.append_text(part)
    return done
