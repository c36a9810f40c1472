"""What became of the changes of a plan that was applied."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from migrate.load.limits import NOTHING_WRITTEN
from migrate.model.errors import AGAIN, MigrateError, PartlyAppliedError, Remedy, StaleError, Step
from migrate.model.plan import AnyChange, Change, Plan
from migrate.model.text import count

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


@dataclass(frozen=True)
class Applied:
    """A plan that was applied, or a rollback that was done, as far as it went: what became of each change that was
    tried, and the journal that has it.
    """

    plan: Plan
    journal: Path
    outcomes: tuple[Outcome, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The result as the command line's JSON has it."""
        told = [outcome.to_json() for outcome in self.outcomes]
        return {"plan": self.plan.to_json(), "applied": told, "journal": str(self.journal)}

    def failure(self, renew: tuple[str | Step, ...], *, is_begun: bool) -> MigrateError | None:
        """The error that says what is left to do, if anything is; `renew` is what helps where others were there.

        `is_begun` says that the journal has a write.
        """
        left = [outcome for outcome in self.outcomes if outcome.verdict not in ("applied", "already")]
        number = len(left) + len(self.plan.objects) - len(self.outcomes)
        if not number:
            return None
        failed = [outcome for outcome in left if outcome.verdict != "stale"]
        first = (failed or left)[0]
        kind: type[MigrateError] = StaleError
        if failed:
            kind = PartlyAppliedError if any(one.verdict == "applied" for one in self.outcomes) else MigrateError
        resume: Remedy = ("Resume with: ", AGAIN)
        if first.verdict == "missing":
            resume = ("If it was deleted: ", *renew, ". Otherwise resume with: ", AGAIN)
        error = kind(
            f"{number:,} of {objects_of(self.plan)} are not as planned: {first.change.subject} is {first.verdict}",
            kept=f"What was written is in {self.journal}" if is_begun else NOTHING_WRITTEN,
            remedy=resume if failed else renew,
        )
        error.result = self
        return error


def objects_of(plan: Plan) -> str:
    """How many objects a plan writes, in words: `5 services`, `2 objects` where credentials are among them."""
    return count(len(plan.objects), "object" if plan.credentials else "service")
