"""Other people's words, made safe to show: names, templates, and what a server says."""

from __future__ import annotations

import json
import unicodedata

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
