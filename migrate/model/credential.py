"""A push credential, as far as Twilio shows it: never its secret (FACTS.md, "Credentials")."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from msgspec import Struct


class Credential(Struct, frozen=True):
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
