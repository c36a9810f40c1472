"""manifest.json: what a snapshot is, how it was made, and the checksum of every file in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from migrate.model.clock import Clock
from migrate.model.digest import canonical_json, digest
from migrate.model.errors import InputError
from migrate.model.masking import mask
from migrate.model.sids import is_account_sid
from migrate.storage.files import write_whole

FORMAT = 1
NAME = "manifest.json"


@dataclass(frozen=True)
class IdentityFile:
    """The identities of a file that an extract was narrowed to: how many, and the SHA-256 of them all."""

    count: int
    sha256: str


@dataclass(frozen=True)
class Filters:
    """What an extract was narrowed to; empty means everything."""

    services: tuple[str, ...] = ()
    binding_types: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    identity_file: IdentityFile | None = None


@dataclass(frozen=True)
class ChainRecord:
    """How one chain went: the pages that it took, the rows that it gave, the page size that the server used.

    `retries` are the requests that brought no page; `restarts` is how often it began anew because its page token no
    longer worked.
    """

    chain: str
    service_sid: str
    pages: int
    rows: int
    rejected: int
    page_size: int
    requests: int
    retries: int
    restarts: int


@dataclass(frozen=True)
class FileRecord:
    """One Parquet file: its path within the snapshot, rows, bytes, and SHA-256 in hexadecimal."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The content of manifest.json.

    `as_of` is the source's own time when the extract began (ISO 8601, UTC): the ages of bindings are measured
    by it, so that mapping a snapshot again gives the same result on any day. `rows` counts the bindings. `source` is
    the API that was read, `source_reason` why it was not Programmable Chat where nobody asked for another. Each
    service was read as one list for each of `shards`, which are binding types; none means one list for all.
    `addresses` are those that it was made from, by API; empty in a snapshot of an earlier version.
    `clock_ahead` is how many seconds the source's clock was ahead of this machine's, None where that is not known.
    """

    status: Literal["unfinished", "finished"]
    tool_version: str
    account_sid: str
    source: Literal["chat", "conversations"]
    as_of: str
    started_at: str
    filters: Filters
    source_reason: str = ""
    shards: tuple[str, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    finished_at: str | None = None
    rows: int = 0
    duplicates_removed: int = 0
    rejected: int = 0
    chains: tuple[ChainRecord, ...] = ()
    files: tuple[FileRecord, ...] = ()
    clock_ahead: int | None = None

    @property
    def clock(self) -> Clock | None:
        """The clocks as they stood, where they differed so that an operator must know of it.

        Earlier versions did not compare them, but their snapshots hold both.
        """
        as_of = datetime.fromisoformat(self.as_of)
        if self.clock_ahead is None:
            with suppress(ValueError, TypeError):
                found = Clock("the source", as_of, datetime.fromisoformat(self.started_at), simulated="past")
                return found if found.is_refused else None
            return None
        found = Clock("the source", as_of, as_of - timedelta(seconds=self.clock_ahead))
        return found if found.is_said else None

    @property
    def digest(self) -> str:
        """What a plan names the snapshot by: it covers every file, and no time but `as_of`.

        The same answers give the same digest; an interruption cuts the same rows into other parts, and so does not.
        """
        return digest(
            {
                "account_sid": self.account_sid,
                "source": self.source,
                "as_of": self.as_of,
                "filters": asdict(self.filters),
                "files": [asdict(file) for file in self.files],
            }
        )

    def write(self, folder: Path) -> None:
        """Put manifest.json in its place, in one step."""
        write_whole(folder / NAME, canonical_json(self._content()), private=True)

    def to_public_json(self) -> dict[str, Any]:
        """The content of manifest.json with identities masked, for showing."""
        filters = replace(self.filters, identities=tuple(map(mask, self.filters.identities)))
        if file := filters.identity_file:
            filters = replace(filters, identity_file=replace(file, sha256=mask(file.sha256)))
        return replace(self, filters=filters)._content()

    def _content(self) -> dict[str, Any]:
        return {"format_version": FORMAT, **asdict(self)}

    @property
    def rows_by_service(self) -> dict[str, int]:
        """How many bindings each service has, by SID; those without any are left out."""
        found: dict[str, int] = {}
        for file in self.files:
            folder, _, rest = file.path.partition("/")
            if folder == "bindings":
                sid = rest.partition("/")[0].removeprefix("service_sid=")
                found[sid] = found.get(sid, 0) + file.rows
        return found

    @cached_property
    def rejected_by_service(self) -> dict[str, int]:
        """How many records of each service did not fit, by SID; those without any are left out."""
        found: dict[str, int] = {}
        for chain in self.chains:
            if chain.rejected:
                found[chain.service_sid] = found.get(chain.service_sid, 0) + chain.rejected
        return found

    def finished(self, **facts: Any) -> Manifest:
        """The manifest of the finished snapshot."""
        return replace(self, status="finished", **facts)


def read_manifest(folder: Path) -> Manifest:
    """Read a folder's manifest.json. Raises `InputError` if the folder is no snapshot."""
    try:
        content = json.loads((folder / NAME).read_bytes())
        if content.pop("format_version") != FORMAT:
            raise InputError(
                f"{folder} was written in another snapshot format", remedy="Use the version that made it"
            )
        filters = _filters(content.pop("filters"))
        shards = tuple(content.pop("shards", ()))
        chains = tuple(ChainRecord(**record) for record in content.pop("chains"))
        files = tuple(FileRecord(**record) for record in content.pop("files"))
        manifest = Manifest(filters=filters, shards=shards, chains=chains, files=files, **content)
        _check(manifest)
    except (FileNotFoundError, NotADirectoryError):
        problem = "it has no manifest.json" if folder.is_dir() else "there is no such folder"
        raise InputError(
            f"{folder} is not a snapshot: {problem}", remedy="Make one with: chat-migrate extract --out DIR"
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{folder} is not a snapshot: its manifest.json cannot be read") from None
    return manifest


def _filters(found: dict[str, Any]) -> Filters:
    file = found.pop("identity_file", None)
    return Filters(
        **{name: tuple(value) for name, value in found.items()}, identity_file=IdentityFile(**file) if file else None
    )


def _check(manifest: Manifest) -> None:
    """Raise ValueError for values of a type or size that no extract writes."""
    as_of = datetime.fromisoformat(manifest.as_of)
    texts = [manifest.status, manifest.account_sid, manifest.source, *(file.path for file in manifest.files)]
    texts += [file.sha256 for file in manifest.files] + [chain.service_sid for chain in manifest.chains]
    numbers = [manifest.rows, manifest.rejected, *(chain.rejected for chain in manifest.chains)]
    numbers += [number for file in manifest.files for number in (file.rows, file.bytes)]
    texts += [*manifest.addresses, *manifest.addresses.values()]
    if not is_account_sid(manifest.account_sid):
        raise ValueError("the account is none")
    if manifest.source not in ("chat", "conversations") or not all(isinstance(kind, str) for kind in manifest.shards):
        raise ValueError("the source is none")
    if type(manifest.clock_ahead) not in (int, type(None)) or abs(manifest.clock_ahead or 0) > 1e10:
        raise ValueError("clock_ahead is no number of seconds")
    if as_of.tzinfo is None or not 2000 < as_of.year < 9000:
        raise ValueError("as_of is not a time in UTC")
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        raise ValueError("a value is of another type")
    bindings = sum(file.rows for file in manifest.files if file.path.startswith("bindings/"))
    if manifest.status == "finished" and manifest.rows != bindings:
        raise ValueError("the rows do not add up")
