"""What is unusual among a snapshot's bindings, in numbers: what a reviewer should have an answer to."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa

from migrate.map.decision import translate_message_type
from migrate.map.rules import Rules
from migrate.review.rows import ReviewRows, frame
from migrate.snapshot.manifest import Manifest

_LONGEST_EXTRACT = timedelta(days=1)  # what registers meanwhile is dated after the snapshot's time, and is not odd
_FIELDS = """
    SELECT count(*) FILTER (coalesce(identity, '') = '') AS no_identity,
        count(*) FILTER (coalesce(endpoint, '') = '') AS no_endpoint,
        count(*) FILTER (coalesce(credential_sid, '') = '') AS no_credential,
        count(*) FILTER (last_seen IS NULL) AS no_date,
        count(*) FILTER (last_seen > $latest) AS future,
        count(*) FILTER (binding_type IS NULL OR NOT list_contains($known_types, binding_type)) AS unknown_type
    FROM rows
"""
_NO_NAMES = "SELECT count(*) AS found FROM parts WHERE message_types IS NULL OR len(message_types) = 0"
_NAMES = "SELECT DISTINCT unnest(message_types) AS name FROM parts"
_UNKNOWN = "SELECT count(*) AS found FROM parts WHERE list_has_any(message_types, $names)"
# By hashes first, which are few bytes each; then the texts themselves, of those few whose hash is found too often.
_OVER_LIMIT = """
    WITH suspects AS (
        SELECT hash(service_sid, {key}) AS h FROM rows WHERE coalesce({key}, '') <> ''
        GROUP BY h HAVING count(*) > $limit
    ),
    found_often AS (
        SELECT count(*) AS n FROM rows
        WHERE coalesce({key}, '') <> '' AND hash(service_sid, {key}) IN (FROM suspects)
        GROUP BY service_sid, {key} HAVING {counted} > $limit
    )
    SELECT coalesce(sum(n), 0)::BIGINT AS found FROM found_often
"""
_PEOPLE = "count(DISTINCT nullif(identity, ''))"
_MEANINGS = {
    "no_identity": ("no identity", "No user can be reminded; a device without a signed-in user"),
    "no_endpoint": ("no endpoint", "Its device cannot be followed"),
    "no_credential": ("no credential", "Nothing shows which app it is of"),
    "no_date": ("no date", "Its age is not known, and it is taken for live"),
    "future": (
        "a date in the future",
        "A day and more after the snapshot was made: whose clock is wrong? Its age is not known",
    ),
    "no_message_types": ("no message types", "What it receives is not known, or it is nothing"),
    "unknown_type": ("a binding type that is not known", "Which app registers it? The rules decide about it"),
    "unknown_names": ("a message type that is not known", "Which app registers it, and what was it for?"),
    "crowded_identities": (
        "an identity with more than {limit} bindings",
        "An app that registers a new device at each start?",
    ),
    "shared_endpoints": (
        "an endpoint under several identities",
        "Pushes may reach the wrong person: do sign-outs unregister?",
    ),
    "rejected": ("rejected records", "Not of a binding's form; they are in the snapshot's rejected.jsonl"),
    "duplicates": ("duplicates that were removed", "None: the list moved while it was read, and each is kept once"),
}


def oddities(rows: ReviewRows, manifest: Manifest, rules: Rules) -> pd.DataFrame:
    """The oddities of a snapshot's bindings: see `SnapshotReview.oddities`. One of them may stand in several rows."""
    limit = rules.bindings_per_identity
    latest = datetime.fromisoformat(manifest.as_of) + _LONGEST_EXTRACT
    known = list(rules.binding_types)
    found: dict[str, int] = rows.query(_FIELDS, known_types=known, latest=latest).to_pylist()[0]
    found["no_message_types"] = _one(rows, _NO_NAMES)
    found["unknown_names"] = _unknown_names(rows, rules)
    found["crowded_identities"] = _one(rows, _OVER_LIMIT.format(key="identity", counted="count(*)"), limit=limit)
    found["shared_endpoints"] = _one(
        rows, _OVER_LIMIT.format(key="endpoint", counted="count(DISTINCT nullif(identity, ''))"), limit=1
    )
    found |= {"rejected": manifest.rejected, "duplicates": manifest.duplicates_removed}
    lines = [[what.format(limit=limit), found[key], meaning] for key, (what, meaning) in _MEANINGS.items()]
    return frame({"oddity": pa.string(), "bindings": pa.int64(), "meaning": pa.string()}, lines)


def _unknown_names(rows: ReviewRows, rules: Rules) -> int:
    """How many subscribe to a message type that the rules do not know."""
    names = rows.query(_NAMES).column("name").to_pylist()
    unknown = [name for name in names if name is not None and not translate_message_type(name, rules).is_known]
    return _one(rows, _UNKNOWN, names=unknown) if unknown else 0


def _one(rows: ReviewRows, sql: str, **values: Any) -> int:
    return int(rows.query(sql, **values).column("found")[0].as_py())
