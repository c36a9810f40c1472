"""What became of the changes of a plan that was applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from migrate.model.plan import AnyChange, Change

# applied: by this run or an earlier one of the same journal; already: somebody else has set the same;
# stale: somebody has set something else; missing: the service is gone; failed: Twilio refused, or shows it otherwise.
Verdict = Literal["applied", "already", "stale", "missing", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of one change, and why where that is not as it should be."""

    change: AnyChange
    verdict: Verdict
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The outcome as the command line's JSON has it."""
        return {
            "service_sid": self.change.service_sid if isinstance(self.change, Change) else None,
            "kind": self.change.kind,
            "subject": self.change.subject,
            "fields": list(self.change.fields),
            "verdict": self.verdict,
            "reason": self.reason,
        }
