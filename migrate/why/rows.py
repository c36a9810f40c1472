"""The rows of one user in Parquet parts of bindings, and who else has the same device. Offline, in batches."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from migrate.model.text import alike
from migrate.snapshot.reader import batches


def rows_of(parts: Iterable[Path], identity: str) -> list[dict[str, Any]]:
    """The rows whose identity is this one, in whatever case or Unicode form."""
    found: list[dict[str, Any]] = []
    # Of most parts, one column is all that is read.
    some = [path for path in parts if has_identity(batches([path], ["identity"]), identity)]
    for batch in batches(some):
        found += batch.filter(_are_alike(batch.column("identity"), alike(identity))).to_pylist()
    return found


def has_identity(rows: Iterable[pa.RecordBatch], identity: str) -> bool:
    """Whether some row has it."""
    wanted = alike(identity)
    return any(pc.any(_are_alike(batch.column("identity"), wanted)).as_py() for batch in rows)


def shared_endpoints(parts: Iterable[Path], endpoints: Collection[str], identity: str) -> set[str]:
    """Those of some endpoints that are registered under another identity, too."""
    wanted, shared = pa.array(list(endpoints), pa.string()), set[str]()
    for batch in batches(parts, ["endpoint", "identity"]):
        some = batch.filter(pc.is_in(batch.column("endpoint"), wanted))
        others = pc.invert(_are_alike(some.column("identity"), alike(identity)))
        others = pc.and_(others, pc.is_valid(some.column("identity")))
        shared |= set(some.filter(others).column("endpoint").to_pylist())
    return shared


def _are_alike(column: pa.Array, wanted: str) -> pa.Array:
    """Which identities of a column are `wanted`, which is in the form of `alike`; that form is made of those alone
    that have letters beyond ASCII.
    """
    plain = pc.equal(pc.utf8_lower(pc.utf8_trim_whitespace(column)), wanted)
    found = pc.fill_null(plain, False)
    beyond = pc.fill_null(pc.invert(pc.string_is_ascii(column)), False)
    if not pc.any(beyond).as_py():
        return found
    forms = [alike(text) == wanted for text in column.filter(beyond).to_pylist()]
    return pc.replace_with_mask(found, beyond, pa.array(forms, pa.bool_()))
