"""A diagnosis: what was looked at before a migration, and what to do where something is not as it should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

# fine; note: worth knowing; wrong: a migration would fail by it; unknown: it could not be looked at, which may pass.
CheckState = Literal["fine", "note", "wrong", "unknown"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what was found, and the remedy where it is not fine.

    It holds no secret, no name of a customer and no personal data; of the account's SID its two ends.
    """

    name: str
    verdict: CheckState
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """The check as the command line's JSON has it."""
        return asdict(self)


def wrong(checks: Sequence[Check]) -> list[str]:
    """The names of the checks that are wrong."""
    return [check.name for check in checks if check.verdict == "wrong"]


def unreached(checks: Sequence[Check]) -> list[str]:
    """The names of the checks that failed in a way that may pass, for as long as they were tried."""
    return [check.name for check in checks if check.verdict == "unknown" and check.remedy]
