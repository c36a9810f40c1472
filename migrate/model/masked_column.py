"""Masking for columns: apart from `migrate.model.masking`, which is needed where pyarrow is not."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from migrate.model.text import printable


def mask_column(column: pa.Array) -> pa.Array:
    """`migrate.model.masking.mask` for a column of texts."""
    length = pc.utf8_length(column)
    lengths = pc.unique(length)  # few
    suffixes = pa.array([f"{'' if n is None or n >= 12 else '…'} ({n})" for n in lengths.to_pylist()], pa.string())
    ends = pc.if_else(pc.less(length, 12), pa.scalar(""), pc.utf8_replace_slice(column, 2, -2, "…"))
    return pc.binary_join_element_wise(_printable(ends), suffixes.take(pc.index_in(length, lengths)), "")


def _printable(ends: pa.Array) -> pa.Array:
    """The same with what would act replaced by its escape; where all letters are ASCII's there is nothing to do."""
    doubtful = pc.fill_null(pc.match_substring_regex(ends, "[^ -~…]"), False)
    found = ends.filter(doubtful).dictionary_encode()
    shown = pa.array([printable(text) for text in found.dictionary.to_pylist()], pa.string())
    return pc.replace_with_mask(ends, doubtful, shown.take(found.indices))
