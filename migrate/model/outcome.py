"""What becomes of a binding: every one has exactly one outcome."""

from __future__ import annotations

from typing import Literal

# carried: nothing is lost; reduced: a message type has no equivalent; expired: past its lifetime;
# blocked: it needs a decision.
Outcome = Literal["carried", "reduced", "expired", "blocked"]
OUTCOMES: tuple[Outcome, ...] = ("carried", "reduced", "expired", "blocked")
