"""A snapshot some weeks after another, as Conversations shows it: who has registered again, and who has not yet."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec.structs import replace

from bench.synthetic import AS_OF, fresh_endpoints
from migrate.model.schemas import BINDINGS
from migrate.snapshot.checkpoint import Progress
from migrate.snapshot.reader import read_snapshot
from migrate.snapshot.writer import open_writer

CAME_BACK, SAME_ENDPOINT = 0.6, 0.5  # shares: of the identities, and of those that came back
CONVERSATION_SIDE = ["twilio.conversations.new_message", "twilio.conversations.added_to_conversation"]
_LATER = AS_OF + timedelta(days=30)


def write_later(folder: Path, earlier: Path, seed: int = 2) -> int:
    """Write a finished snapshot with as many bindings as an earlier one; gives their number.

    60 % of the identities have Conversations' names now, half of those under a new endpoint; the others' bindings
    are still there as they were.
    """
    source = read_snapshot(earlier)
    moment = _LATER.isoformat()
    manifest = replace(
        source.manifest, status="unfinished", source="conversations", as_of=moment, started_at=moment,
        finished_at=None, rows=0, shards=(), chains=(), files=(),
    )  # fmt: skip
    random = np.random.default_rng(seed)
    with open_writer(folder, manifest) as writer:
        writer.write_tables(source.services(), source.credentials())
        for service in source.services():
            sid = service["sid"]
            chain, parts = f"conversations:{sid}", source.parts(sid)
            writer.chain(chain, sid)
            for number, (path, rows) in enumerate(parts, 1):
                pages, table = -(-rows // 1000), _later(random, pq.ParquetFile(path).read())
                writer.add({chain: (table, Progress(pages, pages, 1000, 0, None, number == len(parts)))})
        return writer.commit(_LATER, []).rows


def _later(random: np.random.Generator, table: pa.Table) -> pa.Table:
    """A part as it is later: the same rows, in which those who came back have registered anew."""
    # By the identity, so that all devices of one come back together; what is null stays as it was.
    codes = pc.index_in(table["identity"], pc.unique(table["identity"])).combine_chunks().fill_null(0)
    drawn = random.random(int(pc.max(codes).as_py() or 0) + 1)[codes.to_numpy()]
    back = pc.and_(pa.array(drawn < CAME_BACK), pc.is_valid(table["identity"]))
    moved = pc.and_(back, pa.array(random.random(table.num_rows) >= SAME_ENDPOINT))
    kinds = pc.if_else(pc.equal(table["binding_type"], "gcm"), "fcm", table["binding_type"])
    names = pa.scalar(CONVERSATION_SIDE, BINDINGS.field("message_types").type)
    seen = pa.scalar(_LATER, BINDINGS.field("date_updated").type)
    changed: dict[str, Any] = {
        "endpoint": pc.if_else(moved, fresh_endpoints(random, table.num_rows), table["endpoint"]),
        "binding_type": pc.if_else(back, kinds, table["binding_type"]),
        "message_types": pc.if_else(back, names, table["message_types"]),
        "date_updated": pc.if_else(back, seen, table["date_updated"]),
    }
    return pa.Table.from_arrays([changed.get(name, table[name]) for name in BINDINGS.names], schema=BINDINGS)
