"""Finished snapshots of made-up bindings, as large as one likes: the same number and seed give the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.floor import ACCOUNT
from bench.readers import service
from migrate import __version__
from migrate.extract.buffer import MOST_PART_ROWS, Parts, Position
from migrate.extract.columns import PageRows
from migrate.model.schemas import BINDINGS, TIMESTAMP
from migrate.snapshot.manifest import Filters, Manifest
from migrate.snapshot.writer import open_writer

AS_OF = datetime(2026, 6, 15, 8, tzinfo=UTC)
EACH = 4  # bindings of a small service
SERVICES = (0.70, 0.20, 0.09, 0.01)  # each service's share of the bindings
TYPES = {"apn": 0.50, "fcm": 0.45, "gcm": 0.05}
CREDENTIALS = {"apn": ("CR0", "CR1"), "fcm": ("CR2", "CR3"), "gcm": ("CR4", "CR5")}
OLDEST = 900 * 86_400  # seconds
NULLS = 0.01  # in each column that may have any
ODD = 0.001  # rows of a crowded identity, and rows of a shared endpoint
CROWDED, SHARED = 50, 200  # such identities and endpoints in a service

_PLAIN = ["new_message", "added_to_channel", "removed_from_channel"]
MESSAGE_TYPES = [
    _PLAIN,
    ["new_message"],
    ["new_message", "added_to_channel"],
    [*_PLAIN, "invited_to_channel"],
    [*_PLAIN, "typing_indicator", "consumption_update"],
    ["twilio.channel.new_message"],
    [f"twilio.ipmsg.{name}" for name in _PLAIN],
    ["twilio.conversations.new_message", "twilio.conversations.added_to_conversation"],
    ["twilio.channel.new_message", "twilio.channel.invited_to_channel"],
    ["new_message", "reaction_added"],
    ["twilio.channel.member_typing"],
    [],
]
_OFTEN = np.array([40, 20, 8, 8, 6, 6, 3, 3, 2, 2, 1, 1]) / 100
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_OPAQUE = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_", np.uint8)

_Numbers = np.ndarray[Any, Any]


def write_snapshot(folder: Path, bindings: int, seed: int = 1, shares: Sequence[float] = SERVICES) -> int:
    """Write a finished snapshot of so many bindings by the parts that an extract makes of them; gives their number.

    `shares` are those of its services.
    """
    manifest = Manifest(
        "unfinished", __version__, ACCOUNT, "chat", AS_OF.isoformat(), AS_OF.isoformat(), Filters(), shards=(*TYPES,)
    )
    of_chains = [share * kind for share in shares for kind in TYPES.values()]
    bounds = np.rint(np.cumsum([0.0, *of_chains]) * bindings).astype(int)
    chains = [(number, kind) for number in range(len(shares)) for kind in TYPES]
    with open_writer(folder, manifest) as writer:
        writer.write_tables([_service(number) for number in range(len(shares))], _credentials())
        with Parts(writer, MOST_PART_ROWS, lambda: None) as parts:
            for number, kind in chains:
                parts.state(_chain(number, kind), service(number + 1))
            for (number, kind), rows in zip(chains, np.diff(bounds).tolist(), strict=True):
                users = max(1, round(shares[number] * bindings))
                random = np.random.default_rng((seed, number, [*TYPES].index(kind)))
                for size, done in _part_sizes(rows):
                    table = _bindings(random, size, number, kind, users)
                    parts.add(_chain(number, kind), PageRows(table), 1, 1000, Position(done=done))
        return writer.commit(AS_OF, []).rows


def _chain(number: int, kind: str) -> str:
    return f"chat:{service(number + 1)}:{kind}"


def _part_sizes(rows: int) -> Iterator[tuple[int, bool]]:
    """The rows of each part of a chain, and whether it is the last."""
    for start in range(0, max(rows, 1), MOST_PART_ROWS):
        yield min(MOST_PART_ROWS, rows - start), start + MOST_PART_ROWS >= rows


def _service(number: int) -> dict[str, Any]:
    said = '{"new_message": {"enabled": true, "template": "${USER}: ${MESSAGE}"}}' if number else None
    return {"sid": service(number + 1), "account_sid": ACCOUNT, "friendly_name": "bench", "notifications": said}


def _credentials() -> list[dict[str, Any]]:
    return [
        {"sid": _credential(name), "account_sid": ACCOUNT, "type": kind}
        for kind, names in CREDENTIALS.items()
        for name in names
    ]


def _credential(name: str) -> str:
    return name.ljust(34, "0")


def _bindings(random: np.random.Generator, rows: int, number: int, kind: str, users: int) -> pa.Table:
    """Some rows of the `BINDINGS` schema, of one binding type."""

    def some_null(column: pa.Array) -> pa.Array:
        return pc.if_else(pa.array(random.random(rows) < NULLS), pa.scalar(None, column.type), column)

    crowded, shared = random.random(rows) < ODD, random.random(rows) < ODD
    who = np.where(crowded, random.integers(0, CROWDED, rows), random.integers(CROWDED, CROWDED + users, rows))
    updated = int(AS_OF.timestamp()) - random.integers(0, OLDEST, rows)
    created = updated - random.integers(0, OLDEST, rows) // 3
    credentials = pa.array([_credential(name) for name in CREDENTIALS[kind]])
    lists = pa.array(MESSAGE_TYPES, BINDINGS.field("message_types").type)
    columns = {
        "sid": _texts(random, np.full(rows, 32), _HEX, "BS"),
        "account_sid": pa.array([ACCOUNT]).take(pa.array(np.zeros(rows, np.int64))),
        "endpoint": some_null(_endpoints(random, rows, number, shared)),
        "identity": some_null(_identities(who, max(7, len(str(users))))),
        "binding_type": pa.array([kind]).take(pa.array(np.zeros(rows, np.int64))),
        "credential_sid": some_null(credentials.take(pa.array(random.integers(0, len(credentials), rows)))),
        "message_types": some_null(lists.take(pa.array(random.choice(len(lists), rows, p=_OFTEN)))),
        "date_created": pa.array(created * 1_000_000).cast(TIMESTAMP),
        "date_updated": some_null(pa.array(updated * 1_000_000).cast(TIMESTAMP)),
        "extra": pa.nulls(rows, pa.string()),
    }
    return pa.Table.from_arrays([columns[name] for name in BINDINGS.names], schema=BINDINGS)


def _endpoints(random: np.random.Generator, rows: int, number: int, shared: _Numbers) -> pa.Array:
    """Opaque texts of about 40 characters, of which some come again and again."""
    fixed = np.random.default_rng(number)
    again = _texts(fixed, fixed.integers(36, 45, SHARED), _OPAQUE)
    fresh = fresh_endpoints(random, rows)
    return pc.if_else(pa.array(shared), again.take(pa.array(random.integers(0, SHARED, rows))), fresh)


def fresh_endpoints(random: np.random.Generator, rows: int) -> pa.Array:
    """Opaque texts of about 40 characters that nobody else has."""
    return _texts(random, random.integers(36, 45, rows), _OPAQUE)


def _identities(who: _Numbers, width: int) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(who).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise("user-", digits, "@example.test", "")


def _texts(random: np.random.Generator, lengths: _Numbers, alphabet: _Numbers, prefix: str = "") -> pa.Array:
    """A text of random characters for each length."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    data = alphabet[random.integers(0, len(alphabet), int(offsets[-1]), np.uint8)]
    texts = pa.StringArray.from_buffers(len(lengths), pa.py_buffer(offsets), pa.py_buffer(data))
    return pc.binary_join_element_wise(prefix, texts, "") if prefix else texts
