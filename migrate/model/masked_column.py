"""Masking for columns: apart from `migrate.model.masking`, which is needed where pyarrow is not."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def mask_column(column: pa.Array) -> pa.Array:
    """`migrate.model.masking.mask` for a column of texts."""
    length = pc.utf8_length(column)
    lengths = pc.unique(length)  # few
    suffixes = pa.array([f"{'' if n is None or n >= 12 else '…'} ({n})" for n in lengths.to_pylist()], pa.string())
    ends = pc.if_else(pc.less(length, 12), pa.scalar(""), pc.utf8_replace_slice(column, 2, -2, "…"))
    return pc.binary_join_element_wise(ends, suffixes.take(pc.index_in(length, lengths)), "")
