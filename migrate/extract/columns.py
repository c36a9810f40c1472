"""A page of bindings as columns, off the interpreter lock; what that way cannot take goes record by record.

Arrow's JSON reader is given the whole page as one value of a known type. It takes only what is exactly of that type:
another type, an unknown field, a null where none may be, or text that it cannot hold make it give up, and then the
tolerant way (records.py) has the last word, so that both ways give the same rows.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from migrate.extract.records import UnfitError, binding_row, rejected_line
from migrate.model.schemas import BINDINGS, TIMESTAMP
from migrate.storage.parquet import table_of
from migrate.twilio_api.pages import Meta, meta_of, records_of

# The default pool keeps what many threads have freed, tens of megabytes of it.
_POOL = pa.system_memory_pool()
KEY = "bindings"
logger = logging.getLogger(__name__)
_TEXT = pa.string()
_RECORD = pa.struct(
    [
        *((name, _TEXT) for name in ("sid", "account_sid", "endpoint", "identity", "binding_type", "credential_sid")),
        ("message_types", pa.list_(_TEXT)),
        ("date_created", TIMESTAMP),
        ("date_updated", TIMESTAMP),
        # Chat says `service_sid`, Conversations `chat_service_sid` and has no `links` (FACTS.md, "Binding").
        ("service_sid", _TEXT),
        ("chat_service_sid", _TEXT),
        ("url", _TEXT),
        ("links", pa.struct([("user", _TEXT)])),
    ]
)
_LINKS = ("first_page_url", "previous_page_url", "url", "next_page_url", "key")
_META = pa.struct([("page", pa.int64()), ("page_size", pa.int64()), *((name, _TEXT) for name in _LINKS)])
_PAGE = pa.schema([("meta", _META), (KEY, pa.list_(_RECORD))])
# As a key: within a text each quotation mark has a backslash before it.
_NEXT = re.compile(rb'"next_page_url"\s*:')
# Python's calendar, which the tolerant way goes by, is shorter than Arrow's. In microseconds, as Arrow counts.
_FIRST, _LAST = (
    (date - datetime(1970, 1, 1)) // timedelta(microseconds=1) for date in (datetime(1, 1, 2), datetime(9999, 12, 30))
)


@dataclass(frozen=True)
class PageRows:
    """The rows of some pages in the form of the `BINDINGS` schema, and the records that did not fit, each a line of
    JSON with the `record` and the `reason`.
    """

    table: pa.Table
    lines: tuple[bytes, ...] = ()

    @property
    def rejected(self) -> list[dict[str, Any]]:
        """The records that did not fit, with why."""
        return [json.loads(line) for line in self.lines]

    @property
    def mark(self) -> str:
        """What distinguishes a page that is not empty from others: its size, and its first and last records."""
        if self.table.num_rows:
            sids = self.table.column("sid")
            return f"{len(self)} {sids[0]} {sids[-1]}"
        return f"{len(self)} {self.lines[0].decode()} {self.lines[-1].decode()}"

    def __len__(self) -> int:
        return int(self.table.num_rows) + len(self.lines)


def read_rows(body: bytes, service_sid: str, *, is_lenient: bool = False) -> tuple[Meta, PageRows]:
    """A page of a service's bindings; where `is_lenient`, a record that is no JSON is set aside, and else makes it no
    page. Raises `NotAPageError` for what is no page.
    """
    try:
        return _columnar(body, service_sid)
    except (_NotColumnarError, pa.ArrowException) as reason:
        logger.debug("A page of %s is read record by record: %s", service_sid, _kind(reason))
    return _tolerant(body, service_sid, is_lenient=is_lenient)


class _NotColumnarError(ValueError):
    """A page that must be read record by record."""


def _columnar(body: bytes, service_sid: str) -> tuple[Meta, PageRows]:
    """The quick way. Raises `_NotColumnarError` or `pa.ArrowException` for what it cannot take."""
    if not body.lstrip().startswith(b"{"):
        raise _NotColumnarError("no object")  # Arrow's reader does not survive a bare null (apache/arrow#47409)
    found = pj.read_json(
        pa.BufferReader(body),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(body) + 1),
        # Neither ignored nor inferred: it would follow an unknown field into any depth, and not come back.
        parse_options=pj.ParseOptions(explicit_schema=_PAGE, unexpected_field_behavior="error"),
        memory_pool=_POOL,
    )
    if found.num_rows != 1:
        raise _NotColumnarError("several values")
    found.validate(full=True)  # the reader takes bytes that are not UTF-8
    records = found.column(KEY).chunk(0)
    if not records.is_valid()[0].as_py():
        raise _NotColumnarError("no list")
    columns = dict(zip(_RECORD.names, records.flatten().flatten(), strict=True))
    for name in ("service_sid", "chat_service_sid"):
        if not {service_sid, None}.issuperset(columns[name].unique().to_pylist()):
            raise _NotColumnarError(f"{name} names another service")
    if columns["sid"].null_count or pc.min(pc.binary_length(columns["sid"])).as_py() == 0:
        raise _NotColumnarError("a sid is missing")
    if columns["message_types"].flatten().null_count:
        raise _NotColumnarError("null where none was expected")
    for name in ("date_created", "date_updated"):
        earliest, latest = pc.min_max(columns[name]).values()
        if earliest.is_valid and not _FIRST <= earliest.value <= latest.value <= _LAST:
            raise _NotColumnarError(f"{name} is out of range")
    columns["extra"] = pa.nulls(len(columns["sid"]), _TEXT)
    table = pa.Table.from_arrays([columns[name] for name in BINDINGS.names], schema=BINDINGS)
    accounts = frozenset(value for value in columns["account_sid"].unique().to_pylist() if value is not None)
    return replace(_meta(found, body), accounts=accounts), PageRows(table)


def _meta(found: pa.Table, body: bytes) -> Meta:
    """The page's `meta`. The reader takes a field that is not there for a null, and so for the end of the list."""
    meta = meta_of(found.column("meta")[0].as_py())
    if meta.next_page_url is None and not _NEXT.search(body):
        raise _NotColumnarError("next_page_url is missing")
    return meta


def _tolerant(body: bytes, service_sid: str, *, is_lenient: bool = False) -> tuple[Meta, PageRows]:
    meta, records = records_of(body, KEY, is_lenient=is_lenient)
    rows: list[dict[str, Any]] = []
    lines: list[bytes] = []
    for record in records:
        try:
            rows.append(binding_row(record, service_sid))
        except UnfitError as error:
            lines.append(rejected_line(record, str(error)))
    return meta, PageRows(table_of(rows, BINDINGS), tuple(lines))


def _kind(reason: Exception) -> str:
    """Why, without values: Arrow's own messages quote what they could not read."""
    return str(reason) if isinstance(reason, _NotColumnarError) else type(reason).__name__
