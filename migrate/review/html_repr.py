"""What Jupyter shows of a review: a box with the facts, and the questions that it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from html import escape

from migrate.model.text import printable

_STYLE = "border:1px solid #8888;border-radius:6px;padding:.6em 1em;max-width:60em;text-align:left"
_CELL = "text-align:left;vertical-align:top;padding:.1em 1em .1em 0;background:none"


class HtmlRepr(ABC):
    """A base: whoever inherits from it says its title, its facts, and its methods that are worth a call."""

    def __repr__(self) -> str:
        return f"<{self._title()}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr style="background:none"><th scope="row" style="{_CELL}">{html_text(name)}</th>'
            f'<td style="{_CELL}">{html_text(fact)}</td></tr>'
            for name, fact in self._facts().items()
        )
        questions = " ".join(f"<code>.{html_text(name)}()</code>" for name in self._questions())
        return (
            f'<div style="{_STYLE}"><strong>{html_text(self._title())}</strong>'
            f"<table>{rows}</table><div>Ask: {questions}</div></div>"
        )

    @abstractmethod
    def _title(self) -> str: ...

    @abstractmethod
    def _facts(self) -> Mapping[str, str]: ...

    @abstractmethod
    def _questions(self) -> tuple[str, ...]: ...


def html_text(text: str) -> str:
    """Other people's words as HTML text: nothing in them acts."""
    return escape(printable(text))
