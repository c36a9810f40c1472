"""What is said before anything rests on it."""

from __future__ import annotations

from migrate.cli.console import Screen


def warn(screen: Screen, *doubts: str) -> None:
    """Say each doubt in a line of its own; an empty text is no doubt."""
    for doubt in filter(None, doubts):
        screen.say(f"Warning: {doubt}")
