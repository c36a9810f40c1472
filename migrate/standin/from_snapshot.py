"""A world from a finished snapshot: the account as it was read, for a rehearsal on one's own data.

What the snapshot holds is served as it came: nulls, unknown fields and odd texts too. What it does not hold is made
up: the auth token, and links.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from migrate.model.errors import InputError
from migrate.model.push_config import flatten
from migrate.snapshot.reader import Snapshot, batches, read_snapshot
from migrate.standin.alerts import AlertLog
from migrate.standin.recorded_alerts import recorded
from migrate.standin.world import Binding, Credential, Service, World

AUTH_TOKEN = "stand-in"  # noqa: S105  # made up: a snapshot holds no secret
_CONVERSATIONS_ONLY = "twilsock"  # web clients, which Chat never lists (FACTS.md, "Binding")
_DATES = ("date_created", "date_updated")
_NOTHING: Mapping[str, Any] = {}  # which nearly all bindings share


@dataclass(frozen=True)
class Seeded:
    """The world of a snapshot. `unknown` are the SIDs of services whose settings in Conversations it does not know;
    they are served as if nothing were set.
    """

    world: World
    unknown: tuple[str, ...]


def world_of(folder: Path, *, most_bindings: int | None = None) -> Seeded:
    """The world that a snapshot describes, with the snapshot's time as its clock.

    Its bindings are kept in memory, all or the first `most_bindings` of each service. Raises what `read_snapshot`
    raises, and `InputError` for a snapshot whose rows cannot be served.
    """
    snapshot = read_snapshot(folder)
    account = snapshot.manifest.account_sid
    try:
        rows = snapshot.services()
        services = [_service(number, row) for number, row in enumerate(rows, 1)]
        credentials = [_credential(number, row) for number, row in enumerate(snapshot.credentials(), 1)]
        for service in services:
            _fill(service, snapshot, account, most_bindings)
        alerts = recorded(snapshot.push_errors, snapshot.as_of) if snapshot.push_errors else []
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, pa.ArrowException) as error:
        reason = f"{type(error).__name__} in its services, credentials, bindings or push errors"
        raise InputError(f"The snapshot {folder} cannot be served: {reason}") from None
    world = World(
        now=snapshot.as_of,
        account_sid=account,
        auth_token=AUTH_TOKEN,
        services={service.sid: service for service in services},
        credentials={credential.sid: credential for credential in credentials},
        alerts=AlertLog(alerts),
    )
    return Seeded(world, tuple(row["sid"] for row in rows if row["conversations_notifications"] is None))


def _service(number: int, row: Mapping[str, Any]) -> Service:
    # Whether a service was missing in Conversations or could not be read there, a snapshot does not tell.
    target = json.loads(row["conversations_notifications"] or "{}")
    return Service(
        number=number,
        sid=row["sid"],
        friendly_name=row["friendly_name"],
        notifications=json.loads(row["notifications"] or "null"),
        configuration=flatten(target),
        extra={name: _iso(row[name]) for name in _DATES} | json.loads(row["extra"] or "{}"),
    )


def _credential(number: int, row: Mapping[str, Any]) -> Credential:
    return Credential(
        number=number,
        sid=row["sid"],
        friendly_name=row["friendly_name"],
        type=row["type"],
        sandbox=row["sandbox"],
        created=row["date_created"],
        updated=row["date_updated"],
        extra=json.loads(row["extra"] or "{}"),
    )


def _fill(service: Service, snapshot: Snapshot, account_sid: str, most: int | None) -> None:
    """Give a service its bindings."""
    for binding in islice(_bindings(service.sid, snapshot, account_sid), most):
        web = binding.binding_type == _CONVERSATIONS_ONLY
        (service.conversations_bindings if web else service.bindings).append(binding)
        service.last_number = binding.number


def _bindings(service_sid: str, snapshot: Snapshot, account_sid: str) -> Iterator[Binding]:
    """The bindings of one service, numbered. Equal texts and lists are kept once: there can be millions."""
    known: dict[Any, Any] = {}

    def once(value: Any) -> Any:
        return known.setdefault(value, value)

    number = 0
    for batch in batches(path for path, _ in snapshot.parts(service_sid)):
        for row in batch.to_pylist():
            number += 1
            types = row["message_types"]
            yield Binding(
                number=number,
                sid=row["sid"],
                identity=row["identity"],
                endpoint=row["endpoint"],
                binding_type=once(row["binding_type"]),
                credential_sid=once(row["credential_sid"]),
                message_types=None if types is None else once(tuple(types)),
                created=row["date_created"],
                updated=row["date_updated"],
                extra=_extra(row, account_sid) or _NOTHING,
            )


def _extra(row: Mapping[str, Any], account_sid: str) -> dict[str, Any]:
    """The fields of a binding that the stand-in would show otherwise than they came."""
    extra: dict[str, Any] = json.loads(row["extra"]) if row["extra"] else {}
    if row["account_sid"] != account_sid:
        extra["account_sid"] = row["account_sid"]
    for name in _DATES:
        if row[name] and row[name].microsecond:
            extra[name] = _iso(row[name])
    return extra


def _iso(date: datetime | None) -> str | None:
    return date.isoformat() if date else None
