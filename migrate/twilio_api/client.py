"""The client of the APIs: it reads one object, writes one, or walks a list; and its errors say what helps."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from migrate.model.clock import Clock
from migrate.model.errors import (
    InterruptedRunError,
    OtherAccountError,
    RefusedError,
    TransientTwilioError,
    TwilioError,
)
from migrate.runtime.shared_workers import SharedWorkers
from migrate.runtime.workers import Workers
from migrate.twilio_api.account import Account
from migrate.twilio_api.addresses import SIDES, Addresses, Api, public_url
from migrate.twilio_api.answers import count_of, raise_for_status
from migrate.twilio_api.clocks import clock_of
from migrate.twilio_api.first_answers import FirstAnswers
from migrate.twilio_api.limits import DEFAULT_PAGE_SIZE, PAGE_SIZES
from migrate.twilio_api.login import Login
from migrate.twilio_api.page_walk import Fetched, PageWalk
from migrate.twilio_api.pages import NotAPageError, Page, Reader, accounts_of, decode
from migrate.twilio_api.resources import is_binding_path, list_name
from migrate.twilio_api.retry import RetryPolicy
from migrate.twilio_api.sizes import PageSizes
from migrate.twilio_api.throttle import Throttle

T = TypeVar("T")
logger = logging.getLogger(__name__)
JOBS_A_PLACE = 2  # jobs under way for each request that may be: some are storing, or waiting for the reader
_PLAIN = re.compile(r"(/[A-Za-z0-9]+)+")  # a path of names and SIDs


class TwilioApi:
    """Reads the APIs. Its methods may be called from several threads."""

    def __init__(
        self,
        client: Any,
        addresses: Addresses,
        login: Login,
        throttle: Throttle,
        retry_policy: RetryPolicy,
        readers: Executor,
        page_size: int = DEFAULT_PAGE_SIZE,
        places: Mapping[str, str] | None = None,
        options: tuple[str, ...] = (),
        say: Callable[[str], None] = lambda message: None,
        *,
        pool: SharedWorkers | None = None,
        first_answers: FirstAnswers | None = None,
    ) -> None:
        self._client = client
        self._login = login
        self._retry_policy = retry_policy
        self._readers = readers
        self._account = Account(login)
        self._first_answers = first_answers or FirstAnswers(addresses, retry_policy.budget, say)
        self._pool = pool  # of all accounts, where this is one among several
        self.page_size = page_size  # the most records to ask for at a time
        self.sizes = PageSizes(retry_policy.stopped.is_set, lambda: retry_policy.is_spent)
        self.addresses = addresses
        # Where answers come from: the addresses; for a recording, which one it is.
        self.places: Mapping[str, str] = places or {api: addresses.base(api) for api in SIDES}
        self.options = options  # by which another command reaches the same servers, or the same cassette
        self.account_sid = login.account_sid
        self.throttle = throttle
        self.server_time: datetime | None = None  # as the first answer's Date header had it
        self._clocks: dict[Api, Clock] = {}

    @property
    def trouble(self) -> str:
        """What some request is waiting for to pass, if any is; safe to show."""
        return self._retry_policy.trouble

    @property
    def clock(self) -> Clock | None:
        """The clock that differs most from this machine's; None as long as no answer has said the time."""
        return max([*self._clocks.values()], key=lambda clock: abs(clock.ahead), default=None)

    @property
    def is_signed_by_key(self) -> bool:
        """Whether requests are signed with an API key, which may lack permissions that the auth token has."""
        return self._login.is_api_key

    @property
    def is_replay(self) -> bool:
        """Whether a recording answers, and not the APIs."""
        return self._login.is_replay

    @property
    def is_account_proven(self) -> bool:
        """Whether it is certain that answers are of `account_sid`: one has said so, or the auth token shows it."""
        return self._account.proven

    def proxy(self, api: Api) -> str:
        """The proxy that is asked for one of the APIs, as the environment says; empty if none is."""
        from migrate.twilio_api.transports.surroundings import proxy_for

        return proxy_for(self.addresses.base(api))

    def is_known(self, api: Api) -> bool:
        """Whether this machine's name service knows the host of one of the APIs."""
        from migrate.twilio_api.transports.surroundings import is_known_host

        return is_known_host(self.addresses.base(api))

    def has_answered(self, api: Api) -> bool:
        """Whether the host of one of the APIs has answered at all."""
        return self._first_answers.is_noted(self.addresses.base(api))

    def stop(self) -> None:
        """End all waiting, and soon the requests under way, and begin none: what is asked from now on raises
        `InterruptedRunError`.
        """
        self._retry_policy.stopped.set()
        self.throttle.stop()
        self._client.http_client.transport.stop()

    def workers(self, threads: int, name: str) -> Executor:
        """Threads for jobs that ask Twilio, so many at a time at most, as a context manager; see `Workers`. One
        account among several has a share of the threads of all.
        """
        if self._pool is None:
            return Workers(threads, name, stop=self.stop)
        return self._pool.share(threads, stop=self.stop, room=lambda: JOBS_A_PLACE * self.throttle.places)

    def side_by_side(self, chains: int) -> int:
        """How many chains may be in hand, where this account has so many at a time: those of all accounts together,
        where it is one among several.
        """
        return chains if self._pool is None else max(chains, self._pool.threads)

    def is_given_up(self, error: TwilioError) -> bool:
        """Whether waiting for answers that do not come has taken all the time there is: another way takes as long."""
        return error.status is None and self._retry_policy.is_spent

    def get(self, api: Api, path: str, tries: int | None = None, *, having: Collection[str] = ()) -> dict[str, Any]:
        """Fetch one object, such as `/Services/IS…`. Raises `TwilioError` for any answer but 200.

        It has one of the keys in `having`, or it is no such object, but what something on the way has answered.
        """

        def once(body: bytes) -> dict[str, Any]:
            found = decode(body)
            if not isinstance(found, dict):
                raise NotAPageError("it is no JSON object")
            if having and not any(key in found for key in having):
                raise NotAPageError("it is another object")
            self._hear([found.get("account_sid")])
            return found

        return self._ask(self._url(api, path), once, tries)[0]

    def post(self, api: Api, path: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Change one object by a form, or make one; gives what the answer shows of it, if it shows it whole.

        It is sent once: whoever sends it again looks first at what is there by then.
        What a server says to a form with a secret is not shown: it may repeat what it was sent.

        Raises `TwilioError` for any answer but 200 and 201. After a `TransientTwilioError` the write may have been
        done or not: that is to be read back.
        """

        def shown(body: bytes) -> dict[str, Any]:
            try:
                found = decode(body)
            except NotAPageError:  # it was done all the same
                return {}
            self._hear(accounts_of([found]))
            return found if isinstance(found, dict) else {}

        return self._ask(self._url(api, path), shown, tries=1, method="POST", form=form)[0]

    def delete(self, api: Api, path: str) -> None:
        """Delete one binding, by one request: whoever asks again looks at it again first.

        Raises `TwilioError` for any answer but 204, as Twilio has it, and `ValueError` for anything but a binding: to
        delete a credential deletes every registration made with it (FACTS.md, "Credentials"). After a
        `TransientTwilioError` it may have been done or not: that is to be looked at. Raises `RefusedError` while
        nothing shows whose account it is.
        """
        if not is_binding_path(path):
            raise ValueError("nothing but bindings is ever deleted")
        self._account.refuse_unless_proven()
        self._ask(self._url(api, path), bytes, tries=1, method="DELETE")

    def retry(self, once: Callable[[], T]) -> T:
        """Do something that asks Twilio; again while it fails in a way that may pass, and the budget lasts."""
        with self._ended_by_contradiction():
            return self._retry_policy.call(once)[0]

    def reset_budget(self) -> None:
        """Say that nothing was asked for a while, and not because nothing succeeded."""
        self._retry_policy.reset_budget()

    def pause(self, seconds: float) -> None:
        """Wait. Raises `InterruptedRunError` as soon as the run is stopped."""
        with self._ended_by_contradiction():
            self._retry_policy.sleep(seconds)

    def pages(
        self,
        api: Api,
        path: str,
        *,
        read: Reader[T],
        lenient: Reader[T] | None = None,
        params: tuple[tuple[str, str], ...] = (),
        sizes: tuple[int, ...] = PAGE_SIZES,
        start: str | None = None,
        tries: int | None = None,
    ) -> Iterator[Page[T]]:
        """Walk a list page by page, following `next_page_url` as given; `read` makes a body into a page's content.

        A body that is no page is asked for again; one that never is a page is read by `lenient`, if there is one.

        While a page is being read, in another thread, the next one is on the wire. `sizes` are the page sizes to try
        for the first page, largest first; `start` is a `next_url` of an earlier walk to resume from; `tries` bounds
        how often a request is repeated, beside the budget of time. Raises `RefusedError` before any request to a
        foreign host or another list, and `TwilioError` for what is not a page, or pages that link in a circle.
        """

        def follow(link: str) -> str:
            return self.addresses.next_page(api, link, path, params)

        walk = PageWalk(self._ask, self._hear, follow, self._readers, read, lenient, tries)
        first = walk.fetch(follow(start), tries) if start else self._first(walk, api, path, params, sizes)
        yield from walk.pages(first)

    def _note_time(self, url: str, headers: Mapping[str, str]) -> None:
        """Keep the time of the first answer, and of each API its clock where it was furthest from this machine's."""
        side = self.addresses.api_of(url)
        if clock := clock_of(url, headers):
            self.server_time = self.server_time or clock.source
            if side not in self._clocks or abs(clock.ahead) > abs(self._clocks[side].ahead):
                self._clocks[side] = clock

    def _first(
        self, walk: PageWalk[T], api: Api, path: str, params: tuple[tuple[str, str], ...], sizes: tuple[int, ...]
    ) -> Fetched:
        """The first page, at the largest size that the server takes for such lists."""

        def fetch(size: int, tries: int | None) -> Fetched:
            return walk.fetch(self._url(api, path, (*params, ("PageSize", str(size)))), tries)

        capped = tuple(dict.fromkeys(min(size, self.page_size) for size in sizes))
        with self._ended_by_contradiction():  # a walk that waits for another's size is stopped there
            return self.sizes.first(kind_of_list(api, path), capped, walk.tries, fetch)

    def _ask(
        self,
        url: str,
        read: Callable[[bytes], T],
        tries: int | None = None,
        *,
        method: str = "GET",
        form: Mapping[str, str] | None = None,
    ) -> tuple[T, int]:
        """What `read` makes of the body, trying again where that may help; and how many requests it took."""

        began = time.monotonic()

        def once() -> T:
            with self.throttle.turn() as turn:
                seconds = self._retry_policy.seconds_left(began)
                try:
                    answer = self._client.request(method, url, data=form, timeout=seconds)
                except TransientTwilioError as error:
                    raise self._first_answers.judged(url, error, tries) from None
                self._first_answers.note(url)
                running = count_of(answer.headers.get("twilio-concurrent-requests"))
                self.throttle.note(turn, answer.status_code, running)
            logger.debug("%s %s: %s, %d bytes", method, public_url(url), answer.status_code, len(answer.body))
            raise_for_status(answer, url, self._login, form)
            if method == "DELETE" and answer.status_code != 204:  # such as a sign-in page
                raise TransientTwilioError(f"{public_url(url)} answered {answer.status_code} to a deletion, not 204")
            try:
                found = read(answer.body)
            except NotAPageError as problem:
                raise TransientTwilioError(
                    f"{public_url(url)} gave an answer that cannot be used: {problem}"
                ) from None
            self._note_time(url, answer.headers)
            return found

        with self._ended_by_contradiction():
            return self._retry_policy.call(once, tries)

    def _url(self, api: Api, path: str, params: tuple[tuple[str, str], ...] = ()) -> str:
        """The URL of a path. Raises `RefusedError` for one with anything in the place of a name or a SID that would
        lead elsewhere.
        """
        if not _PLAIN.fullmatch(path):
            raise RefusedError(
                f"{path!r} is not a path of Twilio's: it holds something that is not a SID",
                kept="It was not asked for",
                remedy="Look where that comes from: a file that was edited by hand, or what answers for Twilio",
            )
        return self.addresses.url(api, path, params)

    def _hear(self, said: Iterable[Any]) -> None:
        """Hold what an answer has in `account_sid` against the account of the credentials.

        A contradiction ends the whole run: nothing further is asked, and every thread gets that error.
        """
        try:
            self._account.hear(said)
        except OtherAccountError:
            self.stop()
            raise

    @contextmanager
    def _ended_by_contradiction(self) -> Iterator[None]:
        """Where a run was stopped because the answers are of another account, that is the reason to give."""
        try:
            yield
        except InterruptedRunError:
            if self._account.is_contradicted:
                raise self._account.contradiction from None
            raise


def kind_of_list(api: Api, path: str) -> tuple[Api, str]:
    """What has one page size, whichever service a list is of: the API, and the list's name."""
    return api, list_name(path)
