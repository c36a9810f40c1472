"""Other people's words, made safe to show: names, templates, and what a server says."""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Iterable

_JOINERS = "\u200c\u200d"  # invisible, but letters and emoji are made with them


def printable(text: str) -> str:
    """The text with everything that could move, hide or colour other text replaced by its escape.

    Line breaks, terminal control sequences and marks that change the direction of writing must not act where
    the text is shown.
    """
    return "".join(character if _shows(character) else _escape(character) for character in text)


def _shows(character: str) -> bool:
    acting = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return character in _JOINERS or unicodedata.category(character) not in acting


def _escape(character: str) -> str:
    return json.dumps(character)[1:-1] if ord(character) < 0x80 else f"\\u{{{ord(character):x}}}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What to say beside a name that is not known: the nearest that is, or all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def lasting(seconds: float) -> str:
    """A time in words, in whole minutes: `12 min`, `3 h 5 min`."""
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
