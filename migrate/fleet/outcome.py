"""What became of each account of a fleet, and of the fleet: the worst of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from migrate.model.errors import AGAIN, MigrateError
from migrate.model.text import count, listed

# earlier: finished by an earlier run; left-out: suspended, not in the wave, nothing to do.
State = Literal["done", "earlier", "left-out", "failed", "not-begun", "interrupted"]
AS_BEFORE = ("Resume with: ", AGAIN)  # the remedy of what ends with the fleet's own
_WORST_LAST = (0, 3, 4, 5, 2, 1, 6, 130)  # exit codes


@dataclass(frozen=True)
class AccountOutcome:
    """What became of one account: `reason` is one line, safe to show, and empty where all is well."""

    sid: str
    friendly_name: str
    status: str
    state: State
    exit_code: int = 0
    reason: str = ""
    error: MigrateError | None = None
    figures: Mapping[str, int | str] = field(default_factory=dict)

    @property
    def remedy(self) -> str:
        """What to do about the error, in its words; empty where there is nothing to do but the same again."""
        return self.error.remedy if self.error and self.error.parts not in ((), AS_BEFORE) else ""

    def to_json(self) -> dict[str, Any]:
        """Everything but the error, whose words are the reason and the remedy."""
        return {
            "account_sid": self.sid,
            "friendly_name": self.friendly_name,
            "status": self.status,
            "state": self.state,
            "exit_code": self.exit_code,
            "reason": self.reason,
            "remedy": self.remedy,
            "figures": dict(self.figures),
        }


@dataclass(frozen=True)
class Block:
    """What blocks, by its code: in which accounts, in how many services of them, and how often."""

    code: str
    severity: str
    accounts: tuple[str, ...]
    services: int
    count: int

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "code": self.code,
            "severity": self.severity,
            "accounts": list(self.accounts),
            "services": self.services,
            "count": self.count,
        }


@dataclass(frozen=True)
class FleetResult:
    """What a stage brought in each account; `details` is its own result by account SID, for views."""

    stage: str
    folder: Path | None
    accounts: tuple[AccountOutcome, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()

    @property
    def exit_code(self) -> int:
        """The worst of all accounts."""
        return worst([account.exit_code for account in self.accounts])

    @property
    def totals(self) -> dict[str, int]:
        """The sum of each figure that is a number."""
        sums: Counter[str] = Counter()
        for account in self.accounts:
            sums.update({key: value for key, value in account.figures.items() if isinstance(value, int)})
        return dict(sums)

    def failure(self) -> MigrateError | None:
        """The closing error, which names the accounts that are not finished; None where all are."""
        left = [account for account in self.accounts if account.exit_code not in (0, 3)]
        if not left:
            return None
        verb = "is" if len(left) == 1 else "are"
        named = [f"{account.sid} ({account.reason or account.state})" for account in left]
        error = MigrateError(
            f"{len(left):,} of {count(len(self.accounts), 'account')} {verb} not finished: {listed(named)}",
            remedy=("Resume with: ", AGAIN),
        )
        error.exit_code = self.exit_code
        return error

    def _detail(self, sid: str) -> dict[str, Any]:
        """The checks of an account, which a diagnosis has beside its figures."""
        return {"checks": [check.to_json() for check in self.details[sid]]} if sid in self.details else {}

    def to_json(self) -> dict[str, Any]:
        """The accounts, what blocks where, and the sums."""
        return {
            "stage": self.stage,
            "exit_code": self.exit_code,
            "accounts": [{**account.to_json(), **self._detail(account.sid)} for account in self.accounts],
            "blocks": [block.to_json() for block in self.blocks],
            "totals": self.totals,
        }


def worst(exit_codes: Sequence[int]) -> int:
    """The worst of some exit codes; 0 of none."""
    return max(exit_codes, key=_WORST_LAST.index, default=0)
