"""manifest.json: what a snapshot is, how it was made, and the checksum of every file in it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from migrate.model.clock import Clock
from migrate.model.digest import canonical_json, digest
from migrate.model.documents import (
    AccountSid,
    Count,
    DocumentError,
    OtherFormatError,
    builtins,
    decode,
    is_moment,
    load_versioned,
    moment,
)
from migrate.model.errors import InputError
from migrate.model.masking import mask
from migrate.storage.files import write_whole
from migrate.storage.places import bring

FORMAT = 1
NAME = "manifest.json"
PUSH_ERRORS_FILE = "push_errors.parquet"


class IdentityFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The identities of a file that an extract was narrowed to: how many, and the SHA-256 of them all."""

    count: Count
    sha256: str


class Filters(Struct, frozen=True, forbid_unknown_fields=True):
    """What an extract was narrowed to; empty means everything."""

    services: tuple[str, ...] = ()
    binding_types: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    identity_file: IdentityFile | None = None


class ChainRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """How one chain went: the pages that it took, the rows that it gave, the page size that the server used.

    `retries` are the requests that brought no page; `restarts` is how often it started over because its page token no
    longer worked.
    """

    chain: str
    service_sid: str
    pages: Count
    rows: Count
    rejected: Count
    page_size: Count
    requests: Count
    retries: Count
    restarts: Count


class FileRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """One Parquet file: its path within the snapshot, rows, bytes, and SHA-256 in hexadecimal."""

    path: str
    rows: Count
    bytes: Count
    sha256: str


class PushErrorsRead(Struct, frozen=True, forbid_unknown_fields=True):
    """What was read of Twilio's Alerts: from `since` until `until` (ISO 8601, UTC).

    `alerts` were read in all, of every product; `errors` are those of pushes, each once. `unfit` could not be read.
    `incomplete` counts the pieces of time that may lack some: Twilio shows 10,000 alerts of one second at most, and
    none of more than 30 days ago. `note` says why there are none, where they could not be read; empty otherwise.
    """

    since: str
    until: str
    alerts: Count = 0
    errors: Count = 0
    unfit: Count = 0
    incomplete: Count = 0
    note: str = ""


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """The content of manifest.json.

    `as_of` is the source's own time when the extract began (ISO 8601, UTC): the ages of bindings are measured
    by it, so that mapping a snapshot again gives the same result on any day. `rows` counts the bindings. `source` is
    the API that was read, `source_reason` why it was not Programmable Chat where no other was asked for. Each
    service was read as one list for each of `shards`, which are binding types; none means one list for all.
    `addresses` are those that it was made from, by API; empty in a snapshot of an earlier version.
    `push_errors` says what was read of Twilio's Alerts; None where they were not asked for, as by earlier versions.
    `clock_ahead` is how many seconds the source's clock was ahead of this machine's, None where that is not known.
    """

    status: Literal["unfinished", "finished"]
    tool_version: str
    account_sid: AccountSid
    source: Literal["chat", "conversations"]
    as_of: str
    started_at: str
    filters: Filters
    source_reason: str = ""
    shards: tuple[str, ...] = ()
    addresses: Mapping[str, str] = {}
    finished_at: str | None = None
    rows: Count = 0
    duplicates_removed: Count = 0
    rejected: Count = 0
    chains: tuple[ChainRecord, ...] = ()
    files: tuple[FileRecord, ...] = ()
    clock_ahead: Annotated[int, Meta(ge=-(10**10), le=10**10)] | None = None
    push_errors: PushErrorsRead | None = None

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
                "filters": builtins(self.filters),
                "files": builtins(self.files),
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
        content = {"format_version": FORMAT, **builtins(self)}
        if self.push_errors is None:  # as earlier versions have it, and read it
            del content["push_errors"]
        return content

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
    bring(folder)
    try:
        _, content = load_versioned((folder / NAME).read_bytes(), FORMAT)
        manifest = decode(content, Manifest)
        _check(manifest)
    except OtherFormatError:
        raise InputError(
            f"{folder} was written in another snapshot format", remedy="Use the version that made it"
        ) from None
    except (FileNotFoundError, NotADirectoryError):
        problem = "it has no manifest.json" if folder.is_dir() else "there is no such folder"
        raise InputError(
            f"{folder} is not a snapshot: {problem}", remedy="Make one with: chat-migrate extract --out DIR"
        ) from None
    except DocumentError as error:
        raise InputError(f"{folder} is not a snapshot: its manifest.json cannot be read: {error}") from None
    return manifest


def _check(manifest: Manifest) -> None:
    """Raise `DocumentError` for what the types do not say of a manifest."""
    if not 2000 < moment(manifest.as_of).year < 9000:
        raise DocumentError("as_of: not a year that a snapshot can be of")
    if (read := manifest.push_errors) and not (is_moment(read.since) and is_moment(read.until)):
        raise DocumentError("push_errors: not a time")
    bindings = sum(file.rows for file in manifest.files if file.path.startswith("bindings/"))
    if manifest.status == "finished" and manifest.rows != bindings:
        raise DocumentError("the rows do not add up")
