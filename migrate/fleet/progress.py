"""How far a fleet is: the sums of each account, also of those that are finished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from migrate.extract.progress import ExtractProgress, ServiceProgress

_SUMMED = ("rows", "read", "pages", "retries", "chains", "chains_done")


@dataclass
class FleetProgress(ExtractProgress):
    """The readings of all accounts, by SID. Each account is one more chain, which ends when its work does."""

    unit: ClassVar[str] = "account"
    _accounts: dict[str, ExtractProgress] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.requests_now = lambda: sum(one.requests_now() for one in self._working())
        self.trouble = lambda: next((said for one in self._working() if (said := one.trouble())), "")

    def expect(self, sids: Iterable[str]) -> None:
        """These accounts are to be worked on: each counts, also before it has begun."""
        with self._lock:
            for sid in sids:
                self._readings[sid] = replace(self._readings.get(sid, ServiceProgress(chains=1)), chains_done=0)

    def of(self, sid: str, expected: Mapping[str, int] | None = None) -> ExtractProgress:
        """What a stage of an account counts into; `expected` is how many rows each of its services is to bring."""
        with self._lock:
            self._readings.setdefault(sid, ServiceProgress(chains=1))
            self._accounts[sid] = ExtractProgress(dict(expected or {}))
            return self._accounts[sid]

    def done(self, sid: str) -> None:
        """An account is finished with: of its readings only the sums are kept."""
        with self._lock:
            one = self._accounts.pop(sid, None)
            if one is not None or sid in self._readings:
                now = self._sum(sid, one) if one else self._readings[sid]
                self._readings[sid] = replace(now, chains_done=now.chains)

    def read(self) -> dict[str, ServiceProgress]:
        """All accounts' numbers now."""
        with self._lock:
            working = {sid: self._sum(sid, one) for sid, one in self._accounts.items()}
            return {**self._readings, **working}

    def _sum(self, sid: str, progress: ExtractProgress) -> ServiceProgress:
        before, readings = self._readings[sid], [*progress.read().values()]
        sums = {name: getattr(before, name) + sum(getattr(one, name) for one in readings) for name in _SUMMED}
        expected = sum(progress.expected.values()) or before.expected
        return ServiceProgress(**sums, expected=expected)

    def _working(self) -> list[ExtractProgress]:
        with self._lock:
            return [*self._accounts.values()]
