"""The identities of a file, and the lists that ask for them: many short ones instead of one long chain.

A service's bindings can be asked for by identity, several in one request (FACTS.md, "Binding"). So a service that
would be one sequential chain becomes as many lists as there are batches of identities, and these run side by side.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from migrate.model.errors import InputError, Step, reason_of
from migrate.snapshot.manifest import IdentityFile, read_manifest

if TYPE_CHECKING:  # an extract without such a file has sent its first request before Arrow is there
    import numpy as np
    import pyarrow as pa

# A URL that every server and proxy takes: RFC 9110 (4.1) asks for 8000 octets at least, and links add to it.
MOST_FILTER_CHARACTERS = 4000
MOST_ALONE = 7000  # for one identity by itself
LANES = 32  # chains for one service: twice the default concurrency, so that none of it is idle at the end
IDENTITY_COLUMN = "identity"
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LINES_AT_A_TIME = 100_000


@dataclass(frozen=True)
class Identities:
    """Identities in their order, each once, and where each batch of them begins."""

    values: pa.StringArray
    starts: tuple[int, ...]

    @property
    def lanes(self) -> int:
        """How many chains share the batches of a service."""
        return min(LANES, len(self.starts))

    def turns(self, lane: int) -> range:
        """The batches of one lane: neighbours."""
        many = len(self.starts)
        return range(lane * many // self.lanes, (lane + 1) * many // self.lanes)

    def batch(self, number: int) -> list[str]:
        """The identities of one batch."""
        ends = (*self.starts[1:], len(self.values))
        found: list[str] = self.values[self.starts[number] : ends[number]].to_pylist()
        return found

    def describe(self) -> IdentityFile:
        """What the manifest keeps of them. It covers where the batches begin: a chain resumes by their numbers."""
        sha = hashlib.sha256(repr(self.starts).encode())
        for batch in range(len(self.starts)):
            sha.update("".join(f"{len(value)}:{value}" for value in self.batch(batch)).encode())
        return IdentityFile(len(self.values), sha.hexdigest())


def read_identities(path: Path, column: str = IDENTITY_COLUMN) -> Identities:
    """The identities in a text file (one a line), or in a column of a CSV file, a Parquet file, or a snapshot.

    Raises `InputError` for a file that cannot be read, and for one without any.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        kind = path.suffix.lower()
        if path.is_dir() or kind == ".parquet":
            found = _from_parquet(path, column)
        elif kind in _DELIMITERS:
            found = _from_csv(path, column, _DELIMITERS[kind])
        else:
            found = _from_text(path)
        found.validate(full=True)  # that it is UTF-8
        values = pc.unique(found).drop_null()
        values = values.filter(pc.not_equal(values, ""))
    except OSError as error:
        raise InputError(f"Cannot read {path}: {reason_of(error)}") from None
    except UnicodeDecodeError:
        raise InputError(
            f"{path} is not text in UTF-8", remedy="Save it as UTF-8, with one identity a line"
        ) from None
    except pa.ArrowException:
        raise InputError(f"{path} holds no identities: it is damaged, or not what its name ends in") from None
    if not len(values):
        raise InputError(f"{path} holds no identity")
    values = values.take(pc.sort_indices(values))
    return Identities(values, _starts(path, values))


def _from_text(path: Path) -> pa.ChunkedArray:
    import pyarrow as pa

    chunks: list[pa.Array] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        while lines := file.readlines(_LINES_AT_A_TIME):
            chunks.append(pa.array([line.rstrip("\r\n") for line in lines], pa.string()))
    return pa.chunked_array(chunks, pa.string())


def _from_csv(path: Path, column: str, delimiter: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.csv as pv

    form = pv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with pv.open_csv(path, parse_options=form) as reader:
        _check_column(path, column, reader.schema)
    options = pv.ConvertOptions(include_columns=[column], column_types={column: pa.string()})
    return pv.read_csv(path, parse_options=form, convert_options=options).column(column)


def _from_parquet(path: Path, column: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if (path / "manifest.json").exists() and read_manifest(path).status != "finished":
        raise InputError(
            f"The snapshot {path} is unfinished: it does not hold everybody",
            remedy=("Finish it with the same command again: ", Step("extract", {"out": path})),
        )
    files = sorted((path / "bindings").rglob("*.parquet")) or sorted(path.rglob("*.parquet"))
    chunks: list[pa.Array] = []
    for file in files if path.is_dir() else [path]:
        with pq.ParquetFile(file) as source:
            _check_column(file, column, source.schema_arrow)
            chunks += source.read([column]).column(column).cast(pa.string()).chunks
    return pa.chunked_array(chunks, pa.string())


def _check_column(path: Path, column: str, schema: pa.Schema) -> None:
    import pyarrow as pa

    names = schema.names
    if names.count(column) > 1:
        raise InputError(f"{path} has more than one column {column!r}")
    if column in names and pa.types.is_floating(schema.field(column).type) and path.suffix.lower() == ".parquet":
        # As text they would be written in another way than whoever registered them did.
        raise InputError(f"The column {column!r} of {path} holds numbers with fractions", remedy="Write them as text")
    if column not in names:
        shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        raise InputError(f"{path} has no column {column!r}, but: {shown}", remedy="Name one with --identity-column")


def _starts(path: Path, values: pa.StringArray) -> tuple[int, ...]:
    """Where each batch begins, so that none makes an address too long. Raises `InputError` where one alone does."""
    import numpy as np

    needed = _sent_lengths(values)
    longest = int(needed.argmax())
    if needed[longest] > MOST_ALONE:
        length = len(values[longest].as_py())
        raise InputError(f"{path} holds an identity of {length:,} characters, too long to ask for")
    ends = np.cumsum(needed)
    starts = [0]
    while True:
        before = int(ends[starts[-1] - 1]) if starts[-1] else 0
        end = int(np.searchsorted(ends, before + MOST_FILTER_CHARACTERS, side="right"))
        end = max(end, starts[-1] + 1)  # one that is too long for any batch has its own
        if end >= len(values):
            return tuple(starts)
        starts.append(end)


def _sent_lengths(values: pa.StringArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The characters that each identity takes in an address: three for each byte that `quote_plus` encodes."""
    import numpy as np

    by_byte = np.array([len(quote_plus(bytes([byte]))) for byte in range(256)], np.uint8)
    _, bounds, data = values.buffers()
    places = np.frombuffer(bounds, np.int32)[values.offset : values.offset + len(values) + 1]
    sent, found = by_byte[np.frombuffer(data, np.uint8)], np.empty(len(values), np.int64)
    for start in range(0, len(values), _LINES_AT_A_TIME):  # a sum is as wide as its result for as long as it takes
        ends = places[start : start + _LINES_AT_A_TIME + 1]
        some = np.add.reduceat(sent[ends[0] : ends[-1]], ends[:-1] - ends[0], dtype=np.int64)  # none of them is empty
        found[start : start + _LINES_AT_A_TIME] = some
    return len("&Identity=") + found
