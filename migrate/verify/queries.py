"""The SQL of a comparison, over two views: `source_parts` and `live_parts`, bindings of some services on each side.

What is `held` is the snapshot's, what is `seen` is live. Registrations are paired with what is held by their device;
what is left of both, by identity and platform, one to one.
"""

from __future__ import annotations

from collections.abc import Sequence

from migrate.model.registration import SHARED_NAME, SUCCESSORS

# `service` is a number, which costs less than a SID: a service's place among those of the partition.
_ONE_SERVICE = "CREATE TEMP VIEW {side} AS SELECT *, 0 AS service FROM {side}_parts"
_SOME_SERVICES = """
    CREATE TEMP TABLE {side} AS
    SELECT {side}_parts.* EXCLUDE (service_sid), service FROM {side}_parts JOIN services USING (service_sid)
"""
# What is gone comes back as its successor; that Conversations still lists it makes no device ready.
_PLATFORM = "CASE binding_type {} ELSE binding_type END".format(
    " ".join(f"WHEN '{former}' THEN '{successor}'" for former, successor in SUCCESSORS.items())
)
# What is empty names no user and no device, like null.
_DEVICE = f"service, nullif(identity, '') AS identity, nullif(endpoint, '') AS endpoint, {_PLATFORM} AS platform"
_LAST_SEEN = "coalesce(date_updated, date_created)"
_LISTED = f"sid, {_LAST_SEEN} AS last_seen,"
_SEEN = """
    CREATE TEMP TABLE seen AS
    SELECT {device}, {listed} is_ready FROM (
        SELECT *, coalesce({is_ready} AND {reaches}, false) AS is_ready FROM live
        WHERE {bucket} AND NOT coalesce(epoch_us({last_seen}) < $live_after, false)
    ) AS judged
    WHERE is_ready OR {is_unclear}
"""
REGISTRATIONS = "CREATE TEMP VIEW registrations AS FROM seen WHERE is_ready"
_HELD = """
    CREATE TEMP TABLE held AS
    SELECT {device}, {listed} coalesce(epoch_us({last_seen}) < $born_after, false) AS is_expired
    FROM source WHERE {bucket}
"""
# The same device: identity, endpoint and push technology, by which a binding is unique (FACTS.md, "Binding").
_SAME = """
    registrations.service = held.service AND registrations.identity = held.identity
        AND registrations.endpoint = held.endpoint AND registrations.platform = held.platform
"""
WAITING = (
    f"CREATE TEMP VIEW waiting AS FROM held WHERE NOT is_expired AND NOT EXISTS (FROM registrations WHERE {_SAME})"
)
WAITING_COUNTS = """
    CREATE TEMP TABLE wanted AS SELECT service, identity, platform, count(*) AS n FROM waiting GROUP BY ALL
"""
# A registration of some binding's own device, even an expired one's, is not another's successor; and a device is one,
# however often it is listed.
SPARE = f"CREATE TEMP VIEW spare AS FROM registrations WHERE NOT EXISTS (FROM held WHERE {_SAME})"
FREE = """
    CREATE TEMP TABLE free AS
    SELECT service, identity, platform, count(DISTINCT endpoint) + count(*) FILTER (endpoint IS NULL) AS n
    FROM spare GROUP BY ALL
"""
COUNTS = {
    "bindings": "SELECT service, platform, count(*) FROM held GROUP BY ALL",
    "expired": "SELECT service, platform, count(*) FROM held WHERE is_expired GROUP BY ALL",
    "waiting": "SELECT service, platform, sum(n)::BIGINT FROM wanted GROUP BY ALL",
    "free": "SELECT service, platform, sum(n)::BIGINT FROM free GROUP BY ALL",
    "unclear": "SELECT service, platform, count(*) FROM seen WHERE NOT is_ready GROUP BY ALL",
    # One to one: two phones and one that came back make one ready, and one that is still waited for.
    "ready_platform": """
        SELECT service, platform, sum(least(wanted.n, free.n))::BIGINT
        FROM wanted JOIN free USING (service, identity, platform) GROUP BY ALL
    """,
}
# Of several devices the ones seen last are taken for those that came back; the others are pending.
RANKED = """
    CREATE TEMP VIEW ranked AS SELECT *,
        row_number() OVER (PARTITION BY service, identity, platform ORDER BY last_seen DESC NULLS LAST, sid) AS place
    FROM waiting
"""
PENDING_ROWS = """
    SELECT service_sid, ranked.identity, endpoint, ranked.platform, last_seen, sid
    FROM ranked JOIN services ON services.service = ranked.service
    LEFT JOIN free ON ranked.service = free.service AND ranked.identity = free.identity
        AND ranked.platform = free.platform
    WHERE place > coalesce(free.n, 0)
"""
# Who is ready, as the snapshot has it; by which registration, the latest of its device; and whether Conversations
# lists the very same binding.
_READY = """
    WITH devices AS (
        SELECT service, identity, endpoint, platform, max_by(sid, {latest}) AS sid FROM registrations GROUP BY ALL
        HAVING endpoint IS NOT NULL
    ),
    successors AS (
        SELECT *, row_number() OVER (
            PARTITION BY service, identity, platform ORDER BY last_seen DESC NULLS LAST, sid
        ) AS place
        FROM (SELECT service, identity, platform, max_by(sid, {latest}) AS sid, max(last_seen) AS last_seen FROM spare
              GROUP BY service, identity, platform, coalesce(endpoint, sid))
    ),
    found AS (
        SELECT held.service, held.sid, registrations.sid AS registration_sid
        FROM held JOIN devices AS registrations ON {same}
        WHERE NOT is_expired
        UNION ALL
        SELECT service, ranked.sid, successors.sid
        FROM ranked JOIN successors USING (service, identity, platform, place)
    )
    SELECT service_sid, source.* EXCLUDE (account_sid, extra, service), {registration} AS registration,
        EXISTS (FROM live AS shared WHERE shared.service = source.service AND shared.sid = source.sid) AS is_shared
    FROM found JOIN services USING (service)
        JOIN source ON source.service = found.service AND source.sid = found.sid
        JOIN live ON live.service = found.service AND live.sid = registration_sid
    {in_order}
"""
# Of the registration: all that made it count.
_OF_A_REGISTRATION = (
    "sid",
    "identity",
    "endpoint",
    "binding_type",
    "credential_sid",
    "message_types",
    "date_created",
    "date_updated",
)


def side_rows(side: str, *, several: bool) -> str:
    """All rows of a side, `source` or `live`, with their `service`."""
    return (_SOME_SERVICES if several else _ONE_SERVICE).format(side=side)


def seen(bucket: str, is_ready: str, is_chats: str, *, listed: bool) -> str:
    """What is live in a bucket, and what of it shows that a device is ready: conditions in SQL. `$live_after` is a
    parameter; where they are to be `listed`, each has its SID and when it was last seen.
    """
    shares = f"(message_types IS NULL OR list_contains(message_types, '{SHARED_NAME}'))"
    return _SEEN.format(
        device=_DEVICE,
        last_seen=_LAST_SEEN,
        bucket=bucket,
        is_ready=is_ready,
        reaches=f"coalesce(binding_type NOT IN ({', '.join(map(_quoted, SUCCESSORS))}), true)",
        is_unclear=f"({shares} AND NOT coalesce({is_chats}, false))",
        listed=_LISTED if listed else "",
    )


def held(bucket: str, *, listed: bool) -> str:
    """What the snapshot has in a bucket; `$born_after` is a parameter."""
    return _HELD.format(device=_DEVICE, last_seen=_LAST_SEEN, bucket=bucket, listed=_LISTED if listed else "")


def ready(*, several: bool) -> str:
    """The query for who is ready; of several services, in their order."""
    return _READY.format(
        same=_SAME,
        latest="(last_seen IS NOT NULL, last_seen, sid)",  # DuckDB takes a null for the greatest
        in_order="ORDER BY found.service, found.sid" if several else "",
        registration=f"{{{', '.join(f'{name}: live.{name}' for name in _OF_A_REGISTRATION)}}}",
    )


def has_prefixed(names: Sequence[str], prefixes: Sequence[str]) -> str:
    """SQL: whether message types have one of these names, or one with such a prefix. Null for no list."""
    tests = [f"name IN ({', '.join(map(_quoted, names))})"]
    tests += [f"starts_with(name, {_quoted(prefix)})" for prefix in prefixes]
    return f"len([name FOR name IN message_types IF {' OR '.join(tests)}]) > 0"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
