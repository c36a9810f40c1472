"""Two snapshots beside each other: services, settings of both APIs, credentials, bindings, findings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from migrate.diff.bindings import compare_bindings
from migrate.diff.difference import READABLE, UNREADABLE, CredentialDifference, Difference, Side, ValueChange
from migrate.diff.partition import OF_SNAPSHOTS
from migrate.diff.sides import notes_on, refuse_strangers, side
from migrate.diff.values import (
    credential_differences,
    differing,
    differing_by_key,
    finding_changes,
    flat,
    hidden,
    service_changes,
)
from migrate.map.rules_toml import default_rules
from migrate.model.documents import builtins
from migrate.model.finding import Finding
from migrate.model.push_config import flatten
from migrate.snapshot.manifest import Manifest, read_manifest
from migrate.snapshot.reader import Snapshot, read_snapshot, said_of
from migrate.verify.partition import ServiceParts

_NARROWED_BY = {
    "services": "services",
    "binding_types": "binding types",
    "identities": "identities",
    "identity_file": "the identities of a file",
}
Row = Mapping[str, Any]
Rows = Mapping[str, Row]  # by SID


def compare_snapshots(before: Path, after: Path, executor: Executor | None = None) -> Difference:
    """What has changed from one snapshot to another.

    Raises `InputError` and `RefusedError` as `read_snapshot` does, and `RefusedError` for two accounts.
    """
    was, is_now = _side(before, read_manifest(before)), _side(after, read_manifest(after))
    refuse_strangers(was, is_now)
    then, now = read_snapshot(before), read_snapshot(after)
    services = [{row["sid"]: row for row in snapshot.services()} for snapshot in (then, now)]
    credentials = [{row["sid"]: row for row in snapshot.credentials()} for snapshot in (then, now)]
    names = [{sid: row["friendly_name"] or "" for sid, row in rows.items()} for rows in services]
    of_both = names[0] | names[1]
    sids = sorted({*of_both, *then.manifest.rows_by_service, *now.manifest.rows_by_service})
    parts = (ServiceParts(sid, then.parts(sid), now.parts(sid)) for sid in sids)
    return Difference(
        "snapshot",
        was,
        is_now,
        notes=(*notes_on(was, is_now), *_notes(then, now)),
        services=tuple(service_changes(*names)),
        settings=tuple(_settings(*services)),
        credentials=tuple(_credentials(*credentials)),
        findings=finding_changes(_findings(then), _findings(now)),
        bindings=compare_bindings(parts, of_both, OF_SNAPSHOTS, executor),
        names=of_both,
    )


def _side(path: Path, manifest: Manifest) -> Side:
    return side(path, manifest, manifest.digest, manifest.addresses)


def _notes(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """Where the two do not cover the same: what one was not asked for seems to be new, or gone."""
    then, now = before.manifest, after.manifest
    filters = [builtins(manifest.filters) for manifest in (then, now)]
    if narrowed := [words for name, words in _NARROWED_BY.items() if filters[0][name] != filters[1][name]]:
        yield f"They were not narrowed to the same {', '.join(narrowed)}: what only one covers shows as new or gone"
    if then.source != now.source:
        read = {"chat": "Chat", "conversations": "Conversations"}
        ways = f"{before.folder} was read through {read[then.source]}, {after.folder} through {read[now.source]}"
        yield f"{ways}: these need not list the same bindings, and Conversations does not show Chat's settings"
    if set(then.shards) != set(now.shards):
        yield "One was read as a list for each binding type, the other not: types that are not documented may differ"


def _settings(before: Rows, after: Rows) -> Iterator[ValueChange]:
    """What differs in each service: Chat's settings, Conversations', and all other fields."""
    for of, read in (("chat", _chat), ("conversations", _conversations)):
        for sid in sorted({*before, *after}):
            then, now = (read(rows[sid]) if sid in rows else {} for rows in (before, after))
            if then is not None and now is not None:
                yield from differing(of, sid, then, now)
            elif (then is None) != (now is None) and sid in before and sid in after:
                yield ValueChange(of, sid, "", *(UNREADABLE if one is None else READABLE for one in (then, now)))
    yield from differing_by_key("other", _others(before), _others(after))


def _chat(row: Row) -> dict[str, Any] | None:
    """Chat's settings by path; None where they could not be read."""
    said = _said(row["notifications"])
    return flat(said) if isinstance(said, Mapping) else None


def _conversations(row: Row) -> dict[str, Any] | None:
    """Conversations' settings by path; None where they could not be read."""
    said = _said(row["conversations_notifications"])
    if not isinstance(said, Mapping):
        return None
    settings = flatten(said)
    return {**settings, **dict.fromkeys(sorted(settings.unreadable), UNREADABLE)}


def _others(rows: Rows) -> dict[str, dict[str, Any]]:
    """By SID, the fields that this version does not know: they can hold anything, so no value is shown."""
    return {sid: hidden(_said(row["extra"])) for sid, row in rows.items()}


def _credentials(before: Rows, after: Rows) -> Iterator[CredentialDifference]:
    then, now = ({sid: _shown(row) for sid, row in rows.items()} for rows in (before, after))
    names = {sid: str(row["friendly_name"] or "") for sid, row in {**before, **after}.items()}
    yield from credential_differences("account", then, now, names)


def _shown(row: Row) -> dict[str, Any]:
    """What Twilio shows of a credential; a date that differs says that it was given another secret, or name."""
    dates = {name: row[name].isoformat() for name in ("date_created", "date_updated") if row[name]}
    return {
        **{name: row[name] for name in ("friendly_name", "type", "sandbox")},
        **dates,
        **hidden(_said(row["extra"])),
    }


def _findings(snapshot: Snapshot) -> list[Finding]:
    """What an extract says of a snapshot, and how many records of each service did not fit."""
    rejected = snapshot.manifest.rejected_by_service
    found = [Finding("bindings-rejected", sid, "", number) for sid, number in rejected.items()]
    return [*said_of(snapshot, default_rules().lifetime), *found]


def _said(text: str | None) -> Any:
    """What a column of JSON holds; nothing where that cannot be read."""
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
