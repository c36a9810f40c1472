"""Health: the push errors of a span beside the devices that there are, and beside an earlier span."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrate.model.documents import builtins
from migrate.model.push_errors import entry_of
from migrate.push_errors.counts import Devices, ErrorCount
from migrate.push_errors.health_folder import Measured
from migrate.snapshot.manifest import PushErrorsRead


@dataclass(frozen=True)
class Health:
    """The push errors of a span, as far as Twilio's alerts say whose they are.

    `trends` has for each of the `counts` the errors in equal pieces of the span, the latest last. `devices` are the
    live ones of a snapshot, `names` those of its credentials and services by SID; `before` is an earlier span.
    `file` has the same by hour.
    """

    account_sid: str
    read: PushErrorsRead
    now: Measured
    counts: tuple[ErrorCount, ...]
    trends: tuple[tuple[int, ...], ...]
    devices: Devices | None
    names: Mapping[str, str]
    before: Measured | None
    file: Path

    @property
    def excess(self) -> float | None:
        """Errors a day for a hundred live devices; beside an earlier span, how many more than then.

        None where the number of devices is not known.
        """
        if self.before is None or self.now.rate is None:
            return self.now.rate
        before = self.before.rate_for(self.now.devices)
        return None if before is None else self.now.rate - before

    def devices_of(self, count: ErrorCount) -> int | None:
        """How many live devices use the credential of a count, or are in its service; None where that is unknown."""
        if self.devices is None or not (count.credential_sid or count.service_sid):
            return None
        return self.devices.of(count.service_sid, count.credential_sid)

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON document."""
        rows = []
        for count, trend in zip(self.counts, self.trends, strict=True):
            entry = entry_of(count.error_code)
            known = {"kind": entry.kind, "meaning": entry.meaning, "cause": entry.cause, "remedy": entry.remedy}
            before = self.before.errors_of(count) if self.before else None
            devices = self.devices_of(count)
            rows.append({**builtins(count), **known, "trend": trend, "live_devices": devices, "before": before})
        return {
            "account_sid": self.account_sid,
            **builtins(self.read),
            "live_devices": self.now.devices,
            "a_day_for_100_devices": self.now.rate,
            "before": self.before.to_json(self.now.devices) if self.before else None,
            "errors_by_code": rows,
            "file": str(self.file),
        }
