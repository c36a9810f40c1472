"""Extract, map and plan for one account of a fleet: what the single commands do, in its folder, and not twice.

What is finished is decided by what lies there: a manifest that says so, a summary made from that snapshot, a plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from migrate.extract.extraction import ExtractOptions, extract_snapshot
from migrate.extract.progress import ExtractProgress
from migrate.fleet.running import Ended
from migrate.map.mapped_folder import SUMMARY, Summary, open_mapped
from migrate.model.errors import InputError, RefusedError
from migrate.model.plan import Plan
from migrate.snapshot.manifest import NAME as MANIFEST
from migrate.snapshot.manifest import Manifest, read_manifest
from migrate.snapshot.unfinished import clear_up
from migrate.twilio_api.login import is_one_account

if TYPE_CHECKING:
    from migrate.map.rules import Rules
    from migrate.twilio_api.client import TwilioApi

SNAPSHOT, MAPPED = "snapshot", "mapped"
Refusals = Sequence[tuple[str, str]]
OnPlan = Callable[[str, Path, Plan, Refusals], None]  # account SID, its folder, its plan, what would refuse it


def extract_account(
    api: TwilioApi, folder: Path, options: ExtractOptions, progress: ExtractProgress
) -> tuple[Manifest, Ended]:
    """Make or finish an account's snapshot; one that is finished stays. Raises what `extract_snapshot` raises, and
    `RefusedError` for another account's, and where a finished one is narrowed otherwise than is asked for.
    """
    snapshot = folder / SNAPSHOT
    refuse_other_account(folder, api.account_sid)
    if (found := _finished(snapshot)) is not None:
        _refuse_other_filters(snapshot, found, options)
        return found, Ended(_figures(found), "earlier")
    manifest = extract_snapshot(api, snapshot, options, progress)
    return manifest, Ended(_figures(manifest))


def refuse_other_account(folder: Path, sid: str) -> None:
    """Raise `RefusedError` where the snapshot in an account's folder is of another account."""
    if not (folder / SNAPSHOT / MANIFEST).exists():
        return
    found = read_manifest(folder / SNAPSHOT).account_sid
    if not is_one_account(found, sid):
        raise RefusedError(
            f"{folder / SNAPSHOT} is of account {found}, and lies in the folder of {sid}",
            kept="It is as it was",
            remedy="Move it back to the folder of its own account",
        )


def _finished(snapshot: Path) -> Manifest | None:
    """The manifest of a snapshot that is finished, cleared up after a kill just before its end; None for others."""
    if not (snapshot / MANIFEST).exists():
        return None
    manifest = read_manifest(snapshot)
    if manifest.status != "finished":
        return None
    clear_up(snapshot)  # after a kill between the last two steps
    return manifest


def _figures(manifest: Manifest) -> dict[str, int | str]:
    services = len({chain.service_sid for chain in manifest.chains})
    return {"services": services, "bindings": manifest.rows, "rejected": manifest.rejected}


def _refuse_other_filters(snapshot: Path, manifest: Manifest, options: ExtractOptions) -> None:
    kept = manifest.filters
    same = (
        {*kept.services} == {*options.services}
        and {*kept.binding_types} == {*options.binding_types}
        and {*kept.identities} == {*options.identities}
        and (kept.identity_file is None) == (options.identity_file is None)
    )
    if not same:
        raise RefusedError(
            f"{snapshot} is finished, and was narrowed otherwise than is asked for now",
            kept="It is as it was",
            remedy="Name another folder with --out, or the same filters as then",
        )


@dataclass(frozen=True)
class Mapping:
    """How the accounts are mapped: by `rules`, or like the reviewed ones of another fleet's folder."""

    rules: Rules | None = None
    like: Path | None = None
    overwrite: bool = False
    executor: Executor | None = None
    reviewed: frozenset[str] = frozenset()  # accounts that the other fleet has mapped

    def like_of(self, sid: str) -> Path | None:
        """The reviewed mapped folder of an account; None where that fleet has none of it."""
        place = self.like / sid / MAPPED if self.like else None
        return place if place and place.exists() else None


def map_account(sid: str, snapshot: Path, mapped: Path, how: Mapping) -> tuple[Summary, Ended]:
    """Map an account's snapshot; what is mapped from it by the same rules stays. Raises what `map_snapshot` raises,
    `InputError` where there is no finished snapshot, and `RefusedError` for another account's, and for one that
    was mapped by other rules.
    """
    from migrate.map.mapping import map_snapshot  # it brings DuckDB, long after the first request

    refuse_other_account(snapshot.parent, sid)
    like = how.like_of(sid)
    if like is None and sid in how.reviewed:
        raise RefusedError(
            f"{how.like} had a mapped folder of {sid}, and has none now: its review would not be carried over",
            kept="Nothing was mapped",
            remedy=f"Put {sid} back into {how.like}; or map this account without --like",
        )
    reason = f"{how.like} has no mapped folder of it, so nothing is carried over" if how.like and not like else ""
    if not how.overwrite and (found := _mapped_from(snapshot, mapped)) is not None:
        _refuse_other_rules(mapped, found, how.rules, like)
        return found, Ended(_of_summary(found), "earlier", reason=reason)
    summary = map_snapshot(snapshot, mapped, how.rules, overwrite=how.overwrite, like=like, executor=how.executor)
    return summary, Ended(_of_summary(summary), reason=reason)


def _mapped_from(snapshot: Path, mapped: Path) -> Summary | None:
    """The summary of a mapped folder that was made from this snapshot; None where nothing is there.

    Raises `RefusedError` for one that was made from another, and `InputError` for what cannot be read.
    """
    if not (mapped / SUMMARY).exists():
        return None
    summary = open_mapped(mapped).summary
    if summary.snapshot != read_manifest(snapshot).digest:
        raise RefusedError(
            f"{mapped} was mapped from another snapshot than {snapshot}",
            kept="It is as it was",
            remedy="Map again with --overwrite, which keeps an edited push-config.yaml under a second name",
        )
    return summary


def _refuse_other_rules(mapped: Path, found: Summary, rules: Rules | None, like: Path | None) -> None:
    wanted = rules.digest if rules else open_mapped(like).summary.rules if like else found.rules
    if wanted != found.rules:
        raise RefusedError(
            f"{mapped} was mapped by other rules than are asked for now",
            kept="It is as it was",
            remedy="Map again with --overwrite, which keeps an edited push-config.yaml under a second name",
        )


def _of_summary(summary: Summary) -> dict[str, int | str]:
    blockers = sum(finding.severity == "blocker" for finding in summary.findings)
    return {"services": len(summary.services), "bindings": summary.bindings, "blockers": blockers}


def refuse_unmapped(folder: Path) -> None:
    """Raise `InputError` where an account has no mapped folder."""
    if not (folder / MAPPED / SUMMARY).exists():
        raise InputError(
            f"{folder} has no mapped folder", remedy="Make one with: chat-migrate run --accounts --out FLEET"
        )
