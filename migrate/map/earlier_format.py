"""Mapped folders of format 4, which state some facts by their findings alone, in the form of today's."""

from __future__ import annotations

from typing import Any

from migrate.model.documents import decode

FORMAT_4 = 4


def upgrade(content: dict[str, Any]) -> None:
    """Add to a summary of format 4 what it lacks. Raises `DocumentError` for what is no summary."""
    off: dict[str, list[str]] = {}
    for finding in decode(content.get("findings"), list[dict[str, Any]]):
        if finding.get("code") == "push-disabled":
            off.setdefault(str(finding.get("service_sid")), []).append(str(finding.get("subject")))
    content["services"] = [
        {**service, "off_in_chat": sorted(off.get(str(service.get("service_sid")), ()))}
        for service in decode(content.get("services"), list[dict[str, Any]])
    ]


def upgrade_row(row: dict[str, Any]) -> dict[str, Any]:
    """A mapped binding with the columns that a part of format 4 lacks, and that come as null from there."""
    if row["endpoint_shared"] is None:
        row["endpoint_shared"] = "endpoint-shared" in row["findings"]
        row["identity_crowded"] = "identity-crowded" in row["findings"]
    return row
