"""A rehearsal: the points that a load has to show, and what became of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal

from migrate.model.errors import AGAIN, MigrateError

Verdict = Literal["passed", "failed", "skipped"]
VERDICTS: tuple[Verdict, ...] = ("passed", "failed", "skipped")


@dataclass(frozen=True)
class Point:
    """One thing that must hold. `reason` says why it failed or was skipped; `seconds` is how long it took."""

    name: str
    meaning: str
    verdict: Verdict
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Conditions:
    """What a rehearsal is held with: the folders, the snapshot's time, and what goes wrong.

    `fault_rate` is the share of requests that fail, 0 to 1; `seed` decides which. `latency` is in seconds.
    """

    mapped: str
    snapshot: str
    account_sid: str
    as_of: str
    seed: int
    fault_rate: float
    latency: float


@dataclass(frozen=True)
class Rehearsal:
    """A rehearsal that was held. `changes` is how many the plan had, `limits` what would refuse it at Twilio today:
    by name, with what is wrong. `notes` are what else is to be known. `requests` and `writes` are the stand-in's
    counts, `kept` is the folder with plan, journals and logs where something failed, and empty otherwise.
    """

    conditions: Conditions
    plan_id: str
    changes: int
    limits: dict[str, str]
    notes: tuple[str, ...]
    points: tuple[Point, ...]
    requests: int
    writes: int
    seconds: float
    kept: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not any(point.verdict == "failed" for point in self.points)

    @property
    def counts(self) -> dict[str, int]:
        """How many points have each verdict."""
        counted = Counter(point.verdict for point in self.points)
        return {verdict: counted[verdict] for verdict in VERDICTS}

    def failure(self) -> MigrateError | None:
        """The error that says what failed first, if anything did."""
        failed = [point.name for point in self.points if point.verdict == "failed"]
        if not failed:
            return None
        error = MigrateError(
            f"The rehearsal failed at: {failed[0]}",
            kept=f"The plan, the journals and what was said are kept in {self.kept}",
            remedy=("Do not load before it passes: ", AGAIN),
        )
        error.result = self
        return error

    def to_json(self) -> dict[str, Any]:
        """The rehearsal as the command line's JSON has it; it holds no secret and no personal data."""
        return {**asdict(self), "notes": list(self.notes), "passed": self.passed, "counts": self.counts}
