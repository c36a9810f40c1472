"""Other people's words, made safe to show: names, templates, and what a server says."""

from __future__ import annotations

import codecs
import difflib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

LOOKALIKES = "lookalikes"  # the name of this way to write what an encoding lacks, for `errors=`
PLAIN_ASCII = "plain_ascii"  # the encoding under another name
# What our own words hold beside ASCII, and what it is written as where the encoding lacks it.
_SIGNS = {"…": "...", "→": "->", "·": "-", "×": "x", **dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True))}
MOST_NAMED = 5  # names within one line
_JOINERS = "\u200c\u200d"  # invisible, but letters and emoji are made with them


def printable(text: str) -> str:
    """The text with everything that could move, hide or colour other text replaced by its escape.

    Line breaks, terminal control sequences and marks that change the direction of writing must not act where
    the text is shown.
    """
    if text.isprintable():  # almost all text is, and this asks at once
        return text
    return "".join(character if _shows(character) else _escape(character) for character in text)


def alike(text: str) -> str:
    """The text in the form in which two texts are equal that differ in case, outer spaces or Unicode form only."""
    return unicodedata.normalize("NFKC", text).casefold().strip()


def _shows(character: str) -> bool:
    acting = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return character in _JOINERS or unicodedata.category(character) not in acting


def _escape(character: str) -> str:
    return json.dumps(character)[1:-1] if ord(character) < 0x80 else f"\\u{{{ord(character):x}}}"


def is_encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON can carry half of a surrogate pair, which no form can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unsendable(text: str) -> str:
    """Why a text cannot be sent to Twilio, or shown on a phone, as it is; empty if it can be."""
    if not is_encodable(text):
        return "half of a character (a lone surrogate)"
    for character in text:
        if unicodedata.category(character) == "Cc" and character not in "\t\n\r":
            return f"a control character (U+{ord(character):04X})"
    return ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What to say beside a name that is not known: the nearest that is, or all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 change`, `12,000 bindings`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def share(number: int, whole: int) -> str:
    """A part of a whole in percent: never rounded up, and never to nothing; `-` where the whole is nothing."""
    if not whole:
        return "-"
    tenths = 1000 * number // whole
    return f"{tenths / 10:.1f} %" if tenths or not number else "< 0.1 %"


def listed(names: Sequence[str], noun: str = "") -> str:
    """Names in one line: the first of them, and how many more there are."""
    left = len(names) - MOST_NAMED
    if left <= 0:
        return ", ".join(names)
    rest = count(left, f"more {noun}") if noun else f"{left:,} more"
    return f"{', '.join(names[:MOST_NAMED])} and {rest}"


def lasting(seconds: float) -> str:
    """A time in words, in its two largest units: `0.6 s`, `12 s`, `1 min 33 s`, `3 h 5 min`, `160 days 19 h`."""
    if isinstance(seconds, float) and round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days:,} days {hours} h" if hours else f"{days:,} days"


def spelt(text: str, encoding: str) -> str:
    """The text in characters that an encoding has: our own signs as what looks like them, all else as escapes."""
    return text.encode(encoding, LOOKALIKES).decode(encoding)


def _lookalike(error: UnicodeError) -> tuple[str | bytes, int]:
    """What a stream writes in the place of characters that its encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    signs = (_SIGNS.get(one) or one.encode("ascii", "backslashreplace").decode() for one in lacking)
    return "".join(signs), error.end


def _plain_ascii(name: str) -> codecs.CodecInfo | None:
    if name != PLAIN_ASCII:
        return None
    found = codecs.lookup("ascii")
    return codecs.CodecInfo(*found, found.incrementalencoder, found.incrementaldecoder, name)


codecs.register_error(LOOKALIKES, _lookalike)
codecs.register(_plain_ascii)


def when(moment: str) -> str:
    """A time that a document states, to the minute: `2026-06-15 08:00 UTC`; `unknown` where it states none.

    One without an offset is in UTC, as all of ours are.
    """
    if not moment:
        return "unknown"
    found = datetime.fromisoformat(moment)
    return f"{found.astimezone(UTC) if found.tzinfo else found:%Y-%m-%d %H:%M} UTC"
