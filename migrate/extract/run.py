"""Extract: the services of an account, their credentials, and all their bindings, into one snapshot."""

from __future__ import annotations

import logging
import shlex
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from migrate import __version__
from migrate.extract.chains import Chain, OnRows
from migrate.extract.records import UnfitError, credential_row, service_row
from migrate.model.errors import InterruptedRunError, MigrateError, TwilioError
from migrate.snapshot.manifest import Filters, Manifest
from migrate.snapshot.writer import SnapshotWriter, open_writer, refuse_unless_unfinished
from migrate.twilio_api.api import TwilioApi
from migrate.twilio_api.limits import DEFAULT_CONCURRENCY, DEFAULT_PAGE_SIZE

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExtractOptions:
    """What to extract and how. Empty filters mean everything; `concurrency` is the most chains at a time."""

    services: tuple[str, ...] = ()
    binding_types: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    page_size: int = DEFAULT_PAGE_SIZE
    concurrency: int = DEFAULT_CONCURRENCY
    restart: bool = False

    @property
    def filters(self) -> Filters:
        """The part that the manifest records, and a resumed extract must repeat."""
        return Filters(
            tuple(sorted(set(self.services))),
            tuple(sorted(set(self.binding_types))),
            tuple(sorted(set(self.identities))),
        )

    def command(self, out: Path) -> str:
        """The command line of this extract; identities, being personal data, are left for the caller to fill in."""
        words = ["chat-migrate", "extract", "--out", str(out)]
        for option, values in (("--service", self.services), ("--binding-type", self.binding_types)):
            words += [word for value in values for word in (option, value)]
        return shlex.join(words) + " --identity …" * len(self.identities)


def extract_snapshot(
    api: TwilioApi, out: Path, options: ExtractOptions, on_rows: OnRows = lambda service, rows: None
) -> Manifest:
    """Page every binding of every (named) service into the snapshot folder `out`; an unfinished one is resumed.

    Returns the manifest of the finished snapshot. Raises `RefusedError` where the folder is finished or
    foreign, `TwilioError` where Twilio did not give what was asked, `InterruptedRunError` on Ctrl-C; then the
    snapshot is unfinished and the same call goes on with it.
    """
    try:
        return _extract(api, out, options, on_rows)
    except KeyboardInterrupt:
        kept = f"What was read is kept in {out}" if out.exists() else ""
        remedy = f"Go on with: {options.command(out)}"
        raise InterruptedRunError("Interrupted", kept=kept, remedy=remedy) from None


def _extract(api: TwilioApi, out: Path, options: ExtractOptions, on_rows: OnRows) -> Manifest:
    refuse_unless_unfinished(out)
    started_at = datetime.now(UTC)
    services = _list_services(api, options)
    manifest = Manifest(
        status="unfinished",
        tool_version=__version__,
        account_sid=api.account_sid,
        source="chat",
        as_of=(api.server_time or started_at).astimezone(UTC).isoformat(),
        started_at=started_at.isoformat(),
        filters=options.filters,
    )
    with (
        open_writer(out, manifest, restart=options.restart) as writer,
        ThreadPoolExecutor(options.concurrency, thread_name_prefix="chain") as pool,
    ):
        if not writer.has_tables():
            notifications = list(pool.map(lambda sid: _target_notifications(api, sid), services))
            rows = [service_row(services[sid], found) for sid, found in zip(services, notifications, strict=True)]
            writer.write_tables(rows, _list_credentials(api, options.page_size))
        _walk_all(api, writer, options, pool, on_rows)
        return writer.commit(datetime.now(UTC))


def _list_services(api: TwilioApi, options: ExtractOptions) -> dict[str, dict[str, Any]]:
    """Chat's services by SID: the named ones, or all; in the order of their SID."""
    if options.services:
        records = [api.get("chat", f"/Services/{sid}") for sid in options.filters.services]
    else:
        params = (("PageSize", str(options.page_size)),)
        pages = api.pages("chat", "/Services", key="services", params=params)
        records = [record for page in pages for record in page.records]
    try:
        found = {service_row(record, None)["sid"]: record for record in records}
    except UnfitError as error:
        raise TwilioError(f"The list of services holds something that is no service: {error}") from None
    return dict(sorted(found.items()))


def _list_credentials(api: TwilioApi, page_size: int) -> list[dict[str, Any]]:
    params = (("PageSize", str(page_size)),)
    pages = api.pages("chat", "/Credentials", key="credentials", params=params)
    try:
        rows = {row["sid"]: row for page in pages for row in map(credential_row, page.records)}
    except UnfitError as error:
        raise TwilioError(f"The list of credentials holds something that is no credential: {error}") from None
    return [rows[sid] for sid in sorted(rows)]


def _target_notifications(api: TwilioApi, service_sid: str) -> dict[str, Any] | None:
    """What Conversations has for a service now, without the fields that only name the object.

    It is a courtesy of the snapshot: what cannot be read is None, and does not keep the bindings waiting.
    """
    try:
        found = api.get("conversations", f"/Services/{service_sid}/Configuration/Notifications")
    except TwilioError as error:
        logger.warning("The snapshot goes without %s's settings in Conversations: %s", service_sid, error)
        return None
    return {key: found[key] for key in found if key not in ("account_sid", "chat_service_sid", "url")}


def _walk_all(
    api: TwilioApi, writer: SnapshotWriter, options: ExtractOptions, pool: ThreadPoolExecutor, on_rows: OnRows
) -> None:
    """Walk all chains side by side. One that fails does not stop the others; the first failure is then raised."""
    filters = tuple(("BindingType", value) for value in options.filters.binding_types)
    filters += tuple(("Identity", value) for value in options.filters.identities)
    chains = [Chain("chat", service["sid"], filters) for service in writer.read_services()]
    stop = threading.Event()
    walks: dict[Future[None], Chain] = {
        pool.submit(chain.walk, api, writer, options.page_size, stop, on_rows): chain for chain in chains
    }
    failed: list[tuple[Chain, MigrateError]] = []
    try:
        for walk, chain in walks.items():
            try:
                walk.result()
            except MigrateError as error:
                failed.append((chain, error))
            except OSError as error:
                stop.set()  # the disk is full, or worse: no use in reading on
                reason = (error.strerror or str(error)).lower()
                failed.append((chain, MigrateError(f"Cannot write {error.filename or writer.folder}: {reason}")))
    except KeyboardInterrupt:
        stop.set()
        pool.shutdown(cancel_futures=True)
        raise
    if failed:
        chain, failure = failed[0]
        complete = sum(writer.chain(each.id, each.service_sid).done for each in chains)
        kept = f"{complete} of {len(chains)} chains are complete; what was read is kept in {writer.folder}"
        remedy = f"Go on with: {options.command(writer.folder)}"
        raise failure.within(f"Chain {chain.id} stopped", kept=kept, remedy=remedy)
