"""What a mapped folder has for one user and the service: what would change, and what devices are to register with."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from migrate.load.compare import compare
from migrate.map.explain import explain_some
from migrate.map.explanation import Explanation
from migrate.map.mapped_folder import Mapped, ServiceSummary
from migrate.model.push_config import Settings
from migrate.model.registration import SUCCESSORS
from migrate.model.text import when
from migrate.why.facts import Planned


def planned(
    mapped: Mapped, service_sid: str, settings: Settings | None, sids: Collection[str], snapshot: str = ""
) -> Planned:
    """What the folder has for a service whose live `settings` are these, and for bindings by SID.

    `snapshot` is the digest of the one beside it, if there is one. Raises `InputError` for a folder that is not as it
    was mapped.
    """
    summary = next((one for one in mapped.summary.services if one["service_sid"] == service_sid), None)
    config = next((one for one in mapped.configs if one.service_sid == service_sid), None)
    change = None
    if config and settings is not None:
        change, _ = compare(config, settings, summary["subscribers"] if summary else {})
    explained = explain_some(mapped, service_sid, sids)
    return Planned(
        folder=str(mapped.folder),
        left_out=bool(summary and summary["left_out"]),
        desired=config.settings if config else None,
        change=change,
        waiting=tuple(one for one in mapped.waiting({service_sid: settings}) if one.service_sid == service_sid),
        targets=_targets(summary, explained.values()),
        of_bindings=explained,
        doubt=_doubt(mapped, summary, snapshot),
    )


def _targets(summary: ServiceSummary | None, explained: Collection[Explanation]) -> dict[str, frozenset[str]]:
    """The credentials to register with, by platform: those of the user's own bindings, or of all of the service's."""
    found: dict[str, set[str]] = {}
    for one in explained:
        row: Any = one.binding
        if row["target_binding_type"] and row["target_credential_sid"]:
            found.setdefault(row["target_binding_type"], set()).add(row["target_credential_sid"])
    of_all: dict[str, set[str]] = {}
    for use in summary["credentials"] if summary else ():
        for kind in use["bindings"]:
            if use["push_credential_sid"]:
                of_all.setdefault(SUCCESSORS.get(kind, kind), set()).add(use["push_credential_sid"])
    return {platform: frozenset(sids) for platform, sids in {**of_all, **found}.items()}


def _doubt(mapped: Mapped, summary: ServiceSummary | None, snapshot: str) -> str:
    if summary is None:
        return f"{mapped.folder} has no such service"
    if snapshot and snapshot != mapped.summary.snapshot:
        return f"it was made from another snapshot, as of {when(mapped.summary.as_of)}"
    return ""
