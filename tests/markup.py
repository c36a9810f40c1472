"""HTML as a browser reads it: which elements there are, with which attributes, and what text."""

from __future__ import annotations

from html.parser import HTMLParser

# What would act where names are shown, and what must be left of it: the text.
HOSTILE = "<script>alert(\"x\")</script> 'q' & 🚕 תמיכה \u202eevil\nline"
HARMLESS = "<script>alert(\"x\")</script> 'q' & 🚕 תמיכה \\u{202e}evil\\nline"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def text_in(html: str) -> str:
    """The text of a piece of HTML, which has no elements and attributes but those of a table."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    allowed = {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "code", "span", "em", "bdi", "mark", "p"}
    assert reader.tags <= allowed
    assert reader.attributes <= {"style", "scope", "colspan"}
    return "".join(reader.texts)
