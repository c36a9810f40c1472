"""A push credential, as far as Twilio shows it: never its secret (FACTS.md, "Credentials")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True)
class Credential:
    """One credential. `updated` is the day of its last change in UTC; None where Twilio names none."""

    sid: str
    friendly_name: str
    type: str
    sandbox: bool
    updated: date | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Credential:
        """The credential in a row of the `CREDENTIALS` schema. `sandbox` is the text "True" or "False", or absent."""
        updated = row["date_updated"] or row["date_created"]
        return cls(
            row["sid"],
            row["friendly_name"] or "",
            row["type"] or "",
            str(row["sandbox"]).lower() == "true",
            updated.date() if updated else None,
        )

    def to_json(self) -> dict[str, Any]:
        """The credential as it stands in summary.json."""
        return {**vars(self), "updated": self.updated.isoformat() if self.updated else None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Credential:
        """The credential that `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        found = cls(**{**data, "updated": date.fromisoformat(data["updated"]) if data["updated"] else None})
        if not all(isinstance(text, str) for text in (found.sid, found.friendly_name, found.type)):
            raise TypeError(f"not a credential: {found}")
        return found
