"""What blocks where: limits that refuse plans, and findings that block, by code over all accounts."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from migrate.fleet.outcome import Block
from migrate.model.plan import Plan

REFUSED = "refused"  # the severity of a limit, which has none of its own


class BlockCount:
    """Counts what blocks, account by account, beside `blocks` that are counted; from any thread."""

    def __init__(self, blocks: Sequence[Block] = ()) -> None:
        self._lock = threading.Lock()
        self._accounts = {(one.code, one.severity): {*one.accounts} for one in blocks}
        self._services = {(one.code, one.severity): one.services for one in blocks}
        self._counts = {(one.code, one.severity): one.count for one in blocks}

    def add(self, sid: str, plan: Plan, refusals: Sequence[tuple[str, str]]) -> None:
        """Add the findings of an account's plan that block it, and the limits that would refuse it."""
        blocking: dict[str, list[str | None]] = {}
        for finding in plan.findings:
            if finding.severity == "blocker":
                blocking.setdefault(finding.code, []).append(finding.service_sid)
        with self._lock:
            for code, services in blocking.items():
                self._add((code, "blocker"), sid, len({*services} - {None}), len(services))
            for name, _ in refusals:
                self._add((name, REFUSED), sid, 0, 1)

    def _add(self, key: tuple[str, str], sid: str, services: int, count: int) -> None:
        self._accounts.setdefault(key, set()).add(sid)
        self._services[key] = self._services.get(key, 0) + services
        self._counts[key] = self._counts.get(key, 0) + count

    def blocks(self) -> tuple[Block, ...]:
        """All of it, by code."""
        with self._lock:
            return tuple(
                Block(*key, tuple(sorted(self._accounts[key])), self._services[key], self._counts[key])
                for key in sorted(self._accounts)
            )


def blockers_of(plan: Plan) -> int:
    """How many findings block a plan."""
    return sum(finding.severity == "blocker" for finding in plan.findings)
