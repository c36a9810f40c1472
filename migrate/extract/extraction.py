"""Extract: the services of an account, their credentials, and all their bindings, into one snapshot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from migrate import __version__
from migrate.extract.identities import IDENTITY_COLUMN, Identities, read_identities
from migrate.extract.progress import ExtractProgress
from migrate.extract.source import (
    BINDING_TYPES,
    Source,
    SourceChoice,
    list_credentials,
    open_source,
    service_rows,
    target_notifications,
)
from migrate.model.clock import REMEDY
from migrate.model.errors import (
    AGAIN,
    InterruptedRunError,
    MigrateError,
    OtherAccountError,
    RefusedError,
    ServiceGoneError,
    Step,
    TwilioError,
    place_of,
    reason_of,
)
from migrate.runtime.interrupts import resumable
from migrate.snapshot.manifest import Filters, Manifest
from migrate.snapshot.unfinished import begun_in, refuse_other_address, refuse_unless_unfinished
from migrate.twilio_api.client import JOBS_A_PLACE, TwilioApi
from migrate.twilio_api.limits import DEFAULT_PAGE_SIZE, page_sizes
from migrate.twilio_api.proof import prove_account
from migrate.twilio_api.resources import is_missing, is_service_deleted

if TYPE_CHECKING:  # what brings Arrow is imported where it is needed, which is after the first request
    from migrate.extract.chains import Chain, Walk
    from migrate.snapshot.writer import SnapshotWriter

T = TypeVar("T")
_RESUME = ("Resume with: ", AGAIN)


@dataclass(frozen=True)
class ExtractOptions:
    """What to extract and how. Empty filters mean everything.

    `identity_file` names a file of identities (see `read_identities`), `identity_column` the column in it. `shard`
    reads each service as one chain for each documented binding type, side by side. `alerts` takes the push errors of
    the last 30 days along, where Monitor has an address and gives them.
    """

    services: tuple[str, ...] = ()
    binding_types: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    identity_file: Path | None = None
    identity_column: str = IDENTITY_COLUMN
    source: SourceChoice = "auto"
    shard: bool = True
    page_size: int = DEFAULT_PAGE_SIZE
    restart: bool = False
    alerts: bool = True


def extract_snapshot(
    api: TwilioApi, out: Path, options: ExtractOptions, progress: ExtractProgress | None = None
) -> Manifest:
    """Page every binding of every (named) service into the snapshot folder `out`; an unfinished one is resumed.

    `progress` is kept up to date meanwhile. Gives the manifest of the finished snapshot. Raises `RefusedError` where
    the folder is finished or foreign, `TwilioError` where Twilio did not give what was asked, `InterruptedRunError`
    on Ctrl-C; then the snapshot is unfinished and the same call resumes.
    """

    def kept() -> str:
        return f"What was read is kept in {out}" if out.exists() else ""

    with resumable(kept=kept, remedy=_RESUME, cannot=lambda error: _cannot_write(error, out)):
        return _Extract(api, out, options, progress or ExtractProgress()).run()


class _Extract:
    """One extract, from the list of services to the finished manifest."""

    def __init__(self, api: TwilioApi, out: Path, options: ExtractOptions, progress: ExtractProgress) -> None:
        self.api = api
        self.out = out
        self.options = options
        self.page_size = min(options.page_size, api.page_size)
        self.progress = progress
        progress.requests_now = lambda: api.throttle.running
        progress.trouble = lambda: api.trouble

    def run(self) -> Manifest:
        refuse_unless_unfinished(self.out)
        options, started_at = self.options, datetime.now(UTC)
        identities = (
            read_identities(options.identity_file, options.identity_column) if options.identity_file else None
        )
        begun = None if options.restart else begun_in(self.out)
        # An extract keeps the source that it began with, whatever Chat answers meanwhile.
        choice = begun.source if begun and options.source == "auto" else options.source
        if choice != "conversations":
            self.api.addresses.refuse_mixture()
        if begun:
            refuse_other_address(self.out, begun, self.api.places)
        source = open_source(self.api, choice, _sorted(options.services), self.page_size)
        manifest = self._manifest(source, started_at, identities)
        prove_account(self.api, page_sizes(self.page_size))
        from migrate.snapshot.writer import open_writer

        with open_writer(self.out, manifest, restart=options.restart) as writer:
            try:
                if not writer.has_tables():
                    self._write_tables(writer, source)
                self._take_push_errors(writer)
                chains = self._chains(writer, identities)
                self._walk(writer, chains)
            except OtherAccountError as error:
                error.kept = f"{self.out} keeps what it had" if begun else f"Nothing of it is kept in {self.out}"
                if begun is None:  # what came before that answer may be the other account's, too
                    writer.discard()
                raise
            return writer.commit(datetime.now(UTC), [chain.id for chain in chains])

    def _manifest(self, source: Source, started_at: datetime, identities: Identities | None) -> Manifest:
        """The manifest to begin with. Raises `RefusedError` where the source's clock cannot be right."""
        clock = self.api.clock
        if clock and clock.is_refused:
            raise RefusedError(f"Not read: {clock}, and ages are measured by it", remedy=REMEDY)
        return Manifest(
            status="unfinished",
            tool_version=__version__,
            account_sid=self.api.account_sid,
            source=source.api,
            source_reason=source.reason,
            as_of=(self.api.server_time or started_at).astimezone(UTC).isoformat(),
            started_at=started_at.isoformat(),
            clock_ahead=round(clock.ahead.total_seconds()) if clock else None,
            filters=self._filters(identities),
            shards=self._shards(source),
            addresses=self._addresses(source),
        )

    def _addresses(self, source: Source) -> dict[str, str]:
        """Where the snapshot is read from: of what is read through Conversations, nothing comes from Chat."""
        return {api: place for api, place in self.api.places.items() if source.api in ("chat", api)}

    def _filters(self, identities: Identities | None) -> Filters:
        """What the manifest records, and a resumed extract must repeat."""
        return Filters(
            _sorted(self.options.services),
            _sorted(self.options.binding_types),
            _sorted(self.options.identities),
            identities.describe() if identities else None,
        )

    def _shards(self, source: Source) -> tuple[str, ...]:
        """The binding types that each service is split by; identities split it already, or make it small."""
        if not self.options.shard or self.options.identities or self.options.identity_file:
            return ()
        return _sorted(self.options.binding_types) or BINDING_TYPES[source.api]

    def _write_tables(self, writer: SnapshotWriter, source: Source) -> None:
        found: dict[str, dict[str, Any] | None] = {}

        def read(service_sid: str) -> None:
            found[service_sid] = target_notifications(self.api, service_sid)

        credentials: list[dict[str, Any]] = []

        def list_them() -> None:
            credentials.extend(list_credentials(self.api, source.api, self.page_size))

        jobs: list[Callable[[], None]] = [list_them, *(partial(read, sid) for sid in source.services)]
        if failures := self._side_by_side(lambda job: job(), jobs, self.api.throttle.most):
            raise self._told("The credentials could not be read", failures[0][1], writer, [])
        writer.write_tables(service_rows(source, found), credentials)

    def _take_push_errors(self, writer: SnapshotWriter) -> None:
        """Take the push errors before the snapshot along, once; first, because Twilio keeps them for 30 days."""
        if not self.options.alerts or not self.api.addresses.monitor or writer.manifest.push_errors:
            return
        from migrate.push_errors.reading import take_push_errors

        writer.note_push_errors(
            take_push_errors(self.api, writer.folder, datetime.fromisoformat(writer.manifest.as_of))
        )

    def _side_by_side(
        self, job: Callable[[T], object], items: list[T], threads: int
    ) -> list[tuple[T, BaseException]]:
        """Do a job for each item. One that fails does not keep the others from being done: the items whose job has
        failed, and why, in the order in which they did.

        Raises `OtherAccountError` where a job did: that ends the run.
        """
        failures: list[tuple[T, BaseException]] = []

        def do(item: T) -> None:
            try:
                job(item)
            except InterruptedRunError:
                pass  # whoever stopped it reports that
            except BaseException as error:
                failures.append((item, error))

        with self.api.workers(threads, "chain") as workers:
            for item in items:
                workers.submit(do, item)
        for _, error in failures:
            if isinstance(error, OtherAccountError):
                raise error
        return failures

    def _chains(self, writer: SnapshotWriter, identities: Identities | None) -> list[Chain]:
        """All chains of the snapshot; those of one service together, so that a small one is soon complete."""
        from migrate.extract.chains import Chain

        side, shards = writer.manifest.source, writer.manifest.shards
        filters = tuple(("BindingType", kind) for kind in _sorted(self.options.binding_types))
        filters += tuple(("Identity", identity) for identity in _sorted(self.options.identities))
        services = writer.read_services()
        if identities:
            lanes = range(identities.lanes)
            return [
                Chain(side, sid, f"identities-{lane:02}", filters, identities, lane)
                for sid in services
                for lane in lanes
            ]
        if shards:
            return [Chain(side, sid, kind, (("BindingType", kind),)) for sid in services for kind in shards]
        return [Chain(side, sid, "", filters) for sid in services]

    def _walk(self, writer: SnapshotWriter, chains: list[Chain]) -> None:
        """Walk all chains side by side. One that fails does not stop the others; the first failure is then raised."""
        from migrate.extract.buffer import Parts, part_rows
        from migrate.extract.chains import Walk

        many = min(JOBS_A_PLACE * self.api.throttle.most, len(chains)) or 1
        with Parts(writer, part_rows(self.api.side_by_side(many)), self.api.stop) as parts:
            walks = [Walk(chain, self.api, parts, self.page_size, self.progress) for chain in chains]
            failures = self._side_by_side(self._walk_one, walks, many)
        if parts.failure:
            raise self._told("Stopped", parts.failure, writer, chains)
        if failures:
            walk, error = failures[0]
            if gone := self._deleted(walk.chain, error):
                error = gone
            more = f" (and {len(failures) - 1:,} more)" if len(failures) > 1 else ""
            raise self._told(f"Chain {walk.chain.id}{more} stopped", error, writer, chains)

    def _deleted(self, chain: Chain, error: BaseException) -> ServiceGoneError | None:
        """The error for a chain whose service is not there any more, as Twilio says of both."""
        if not (is_missing(error) and is_service_deleted(self.api, chain.api, chain.service_sid)):
            return None
        return ServiceGoneError(
            f"service {chain.service_sid} was deleted while it was read",
            remedy=("Start over without it: ", Step(arguments={"restart": True})),
        )

    def _walk_one(self, walk: Walk) -> None:
        try:
            walk.run()
        except TwilioError as error:
            if error.status == 401:
                self.api.stop()  # the others would only get the same answer
            raise

    def _told(self, what: str, error: BaseException, writer: SnapshotWriter, chains: list[Chain]) -> BaseException:
        """A failure with what is kept and how to resume; an unforeseen one as it is."""
        if isinstance(error, OSError):
            error = MigrateError(f"{_cannot_write(error, writer.folder)}: {reason_of(error)}")
        if not isinstance(error, MigrateError):
            return error
        complete = sum(writer.chain(each.id, each.service_sid).done for each in chains)
        kept = f"{complete:,} of {len(chains):,} chains are complete; what was read is kept in {writer.folder}"
        return error.within(what, kept=kept, remedy=_RESUME)


def _cannot_write(error: OSError, folder: Path) -> str:
    return f"Cannot write {place_of(error, folder)}"


def _sorted(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))
