"""How far an extract is: numbers that grow while it runs, for whoever shows them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar


@dataclass(frozen=True)
class ServiceProgress:
    """What one service has brought so far: all its rows, and those `read` in this run; `expected` is how many rows it
    had in an earlier snapshot.
    """

    rows: int = 0
    read: int = 0
    pages: int = 0
    retries: int = 0
    chains: int = 0
    chains_done: int = 0
    expected: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all its chains have come to their ends."""
        return self.chains == self.chains_done


@dataclass
class ExtractProgress:
    """The readings of all services, by SID, in rows of some kind. Written by several threads, read by any."""

    noun: ClassVar[str] = "bindings"
    unit: ClassVar[str] = "service"  # what each reading is of
    expected: dict[str, int] = field(default_factory=dict)
    requests_now: Callable[[], int] = lambda: 0
    trouble: Callable[[], str] = str  # what requests are waiting for to pass; empty while all is well
    _readings: dict[str, ServiceProgress] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, service_sid: str, **amounts: int) -> None:
        """Add to a service's numbers; a start over takes rows away again."""
        with self._lock:
            now = self._readings.get(service_sid) or ServiceProgress(expected=self.expected.get(service_sid))
            grown = {name: getattr(now, name) + amount for name, amount in amounts.items()}
            self._readings[service_sid] = replace(now, **grown)

    def read(self) -> dict[str, ServiceProgress]:
        """All services' numbers now."""
        with self._lock:
            return dict(self._readings)


class AlertsProgress(ExtractProgress):
    """How far alerts are read; they are one list."""

    noun = "alerts"
