"""Opening a connection to the APIs: to Twilio, to Twilio while it is recorded, or to a recording."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrate.model.errors import TwilioError, UsageError
from migrate.runtime.interrupts import stopped_by
from migrate.runtime.shared_workers import SharedWorkers
from migrate.runtime.workers import Workers
from migrate.twilio_api.addresses import CANONICAL, SIDES, Addresses
from migrate.twilio_api.client import JOBS_A_PLACE, TwilioApi
from migrate.twilio_api.first_answers import FirstAnswers
from migrate.twilio_api.limits import DEFAULT_CONCURRENCY, DEFAULT_PAGE_SIZE, DEFAULT_RETRY_BUDGET
from migrate.twilio_api.login import Login
from migrate.twilio_api.retry import RetryPolicy
from migrate.twilio_api.throttle import Gate, Throttle

if TYPE_CHECKING:  # what brings twilio and requests is imported where it is needed
    from migrate.twilio_api.accounts import TwilioAccount
    from migrate.twilio_api.transports.transport import Transport

TOTAL_CONCURRENCY = 64  # requests at a time, of all accounts together
_READERS = min(4, os.cpu_count() or 1)  # threads that read pages while others are on the wire


@dataclass(frozen=True)
class ApiSettings:
    """How to reach the APIs.

    `record` and `replay` name a cassette and exclude each other; `demo` is the recorded demo that comes with the
    program, unless there is a file of that name. `concurrency` is the most requests at a time, `retry_budget` how
    many seconds one request is tried again, `page_size` the most records to ask for at a time. Without a
    `monitor_url`, Monitor is at Twilio's own address, or has none (see `Addresses.resolve`); likewise the API that
    lists accounts, without an `accounts_url`. `say` gets what an operator should know while it waits.
    """

    chat_url: str = CANONICAL["chat"]
    conversations_url: str = CANONICAL["conversations"]
    record: Path | None = None
    replay: Path | None = None
    concurrency: int = DEFAULT_CONCURRENCY
    retry_budget: float = DEFAULT_RETRY_BUDGET
    page_size: int = DEFAULT_PAGE_SIZE
    monitor_url: str | None = None
    accounts_url: str | None = None
    environment: Any = field(default_factory=lambda: os.environ)
    say: Callable[[str], None] = field(default=lambda message: None, compare=False)


@dataclass(frozen=True)
class _Way:
    """How requests go; `places` is where answers come from, if not from the addresses."""

    transport: Transport
    addresses: Addresses
    login: Login
    places: Mapping[str, str] | None = None


def _replayed(replay: Path) -> _Way:
    from migrate.twilio_api.demo import cassette_file
    from migrate.twilio_api.transports.replay import ReplayTransport, name_of

    cassette = cassette_file(replay)
    transport = ReplayTransport(cassette)  # first: it says what is wrong with a file
    places = dict.fromkeys(map(str, SIDES), name_of(cassette))
    return _Way(transport, Addresses(), Login.for_replay(), places)


def _live(settings: ApiSettings) -> _Way:
    from migrate.twilio_api.transports.live import LiveTransport

    login, addresses = Login.from_environment(settings.environment), addresses_of(settings)
    if not settings.record:
        return _Way(LiveTransport(), addresses, login)
    from migrate.twilio_api.transports.record import RecordTransport

    return _Way(RecordTransport(LiveTransport(), settings.record, addresses, login), addresses, login)


def addresses_of(settings: ApiSettings) -> Addresses:
    """Where the APIs are live. Raises `UsageError` for an address that cannot be used."""
    return Addresses.resolve(
        settings.chat_url,
        settings.conversations_url,
        settings.environment,
        settings.monitor_url,
        settings.accounts_url,
    )


def _options(settings: ApiSettings, addresses: Addresses) -> tuple[str, ...]:
    """The options of a command that resumes. `--record` is not among them: a recording is never overwritten."""
    pace = _pace(settings)
    if settings.replay:
        return ("--replay", str(settings.replay), *pace)
    usual = Addresses.resolve(CANONICAL["chat"], CANONICAL["conversations"], settings.environment)
    found: list[str] = []
    for api, at in vars(addresses).items():
        if at and at != getattr(usual, api):
            found += (f"--{api}-url", at)
    return (*found, *pace)


def _pace(settings: ApiSettings) -> Iterator[str]:
    """The options by which requests are as many, as patient and as large as these, where that is not the default."""
    for name in ("concurrency", "retry_budget", "page_size"):
        value = getattr(settings, name)
        if value != getattr(ApiSettings, name):
            yield from (f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value))


@contextmanager
def open_api(settings: ApiSettings) -> Iterator[TwilioApi]:
    """Open the APIs live, live and recording, or replaying; the stages cannot tell which.

    Raises `UsageError` for missing credentials and unusable addresses, `InputError` for an unreadable cassette.
    """
    if settings.record and settings.replay:
        raise UsageError("--record and --replay exclude each other")
    way = _replayed(settings.replay) if settings.replay else _live(settings)
    readers = Workers(_READERS, "reader")
    try:
        with _opened(settings, way, Throttle(settings.concurrency), readers) as api:
            yield api
    finally:
        readers.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _opened(
    settings: ApiSettings,
    way: _Way,
    throttle: Throttle,
    readers: Executor,
    pool: SharedWorkers | None = None,
    first_answers: FirstAnswers | None = None,
) -> Iterator[TwilioApi]:
    """The APIs of one account, until it is left."""
    from twilio.rest import Client

    from migrate import __version__
    from migrate.twilio_api.transports.transport import TransportHttpClient

    login, addresses = way.login, way.addresses
    client = Client(  # type: ignore[no-untyped-call]
        login.username,
        login.password or "-",  # a replay has none, and older clients insist on one
        login.account_sid,
        http_client=TransportHttpClient(way.transport),
        environment={"-": ""},  # an empty one would mean os.environ; the region is in the addresses already
        user_agent_extensions=[f"chat-migrate/{__version__}"],
    )
    retry_policy = RetryPolicy(settings.retry_budget, pauses=not settings.replay)
    shown = way.places, _options(settings, addresses)
    api = TwilioApi(
        client,
        addresses,
        login,
        throttle,
        retry_policy,
        readers,
        settings.page_size,
        *shown,
        settings.say,
        pool=pool,
        first_answers=first_answers,
    )
    try:
        with stopped_by(api.stop):
            yield api
    finally:
        way.transport.close()


def refuse_cassette(settings: ApiSettings) -> None:
    """Raise `UsageError` where several accounts are to be recorded or replayed."""
    if settings.record or settings.replay:
        raise UsageError("A cassette is of one account", remedy="Leave --record and --replay out")


@contextmanager
def open_shared(settings: ApiSettings, *, total_concurrency: int = TOTAL_CONCURRENCY) -> Iterator[SharedApis]:
    """Open the APIs live for several accounts: one pool of threads, one set of readers, and at most so many requests
    at a time for all together.

    Raises `UsageError` for addresses that cannot be used, and for a cassette: that is of one account.
    """
    refuse_cassette(settings)
    addresses, readers = addresses_of(settings), Workers(_READERS, "reader")
    pool = SharedWorkers(JOBS_A_PLACE * total_concurrency, "shared")
    try:
        yield SharedApis(settings, addresses, readers, pool, Gate(total_concurrency))
    finally:
        pool.close()
        readers.shutdown(wait=False, cancel_futures=True)


class SharedApis:
    """The APIs of several accounts; see `open_shared`. `open` may be called from several threads."""

    def __init__(
        self, settings: ApiSettings, addresses: Addresses, readers: Executor, pool: SharedWorkers, gate: Gate
    ) -> None:
        self._settings = settings
        self._addresses = addresses
        self._readers = readers
        self._pool = pool
        self._gate = gate
        self._first_answers = FirstAnswers(addresses, settings.retry_budget, settings.say)

    @contextmanager
    def open(self, account: TwilioAccount) -> Iterator[TwilioApi]:
        """The APIs of one account, by its own login: its own limit of requests, within that of all; its own stop.

        Raises `TwilioError` where its token is not known.
        """
        from migrate.twilio_api.transports.live import LiveTransport

        if account.login is None:
            raise TwilioError(
                f"The Accounts API does not show the auth token of {account.sid}",
                remedy="List accounts with the main account's auth token, or name a key of this account in the file "
                "of --accounts-file",
            )
        way = _Way(LiveTransport(), self._addresses, account.login)
        throttle = Throttle(self._settings.concurrency, self._gate)
        with _opened(self._settings, way, throttle, self._readers, self._pool, self._first_answers) as api:
            yield api
