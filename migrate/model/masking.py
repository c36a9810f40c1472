"""How personal data is shown outside snapshots (FACTS.md: `endpoint` and `identity` are personal data)."""

from __future__ import annotations

from migrate.model.text import printable


def mask(value: str) -> str:
    """The value with all but its ends hidden: `alice@example.com` becomes `al…om (17)`.

    The number is its length in characters. Short values show nothing of themselves, because two
    letters at each end would be most of them. What would act where it is shown is replaced by its escape.
    """
    if len(value) < 12:
        return f"… ({len(value)})"
    return f"{printable(value[:2])}…{printable(value[-2:])} ({len(value)})"
