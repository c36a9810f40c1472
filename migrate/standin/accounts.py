"""The accounts of a company behind one address: the list of them, and to each account its own APIs.

A request is for the account whose SID it is signed with, and nobody else's token opens that (FACTS.md, "Accounts and
subaccounts"). The list is the main account's alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from aiohttp.typedefs import Middleware

from migrate.standin.answers import Handler, error_answer, not_found
from migrate.standin.app import Parts, credentials_of, parts
from migrate.standin.company import Company, Member, in_order
from migrate.standin.faults import Faults
from migrate.standin.paging import DEFAULT_PAGE_SIZE, DOCUMENTED_MAXIMUM, PageSizes
from migrate.standin.world import World

ROOT = "/2010-04-01/Accounts"
_NOT_LET_IN = (401, 20003, "Authenticate")
_NOT_ACTIVE = (403, 10001, "Account is not active")  # the status is not documented


@dataclass(frozen=True)
class _Account:
    """One account's own handlers, by method and path, and what is around them."""

    parts: Parts
    handlers: dict[tuple[str, str], Handler]

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer as a server of this account alone would."""
        return await _within(self.parts.middlewares, handler)(request)


# The account that a request is for; each request has a context of its own.
_asked: ContextVar[_Account] = ContextVar("_asked")


def company_app(company: Company, sizes: PageSizes, faults: Faults, prerendered: bool) -> web.Application:
    """The application that serves all accounts of a company; faults are by account."""

    def account(world: World, member: Member | None) -> _Account:
        own = replace(faults, most_at_once=member.most_at_once) if member and member.most_at_once else faults
        made = parts(world, sizes, own, prerendered)
        handlers: dict[tuple[str, str], Handler] = {(one.method, one.path): one.handler for one in made.routes}
        return _Account(made, handlers)

    accounts = {world.account_sid: account(world, member) for world, member in in_order(company)}
    listing = _Listing(company)

    @web.middleware
    async def choose(request: web.Request, handler: Handler) -> web.StreamResponse:
        user, password = credentials_of(request)
        if request.path == f"{ROOT}.json" or request.path.startswith(f"{ROOT}/"):
            return listing.answer(request, user, password)
        found = accounts.get(user)
        if found is None:
            return error_answer(*_NOT_LET_IN)
        member = company.member(user)
        if member and member.status != "active" and member.world.lets_in(user, password):
            return error_answer(*_NOT_ACTIVE)
        _asked.set(found)
        return await found.answer(request, handler)

    app = web.Application(middlewares=[choose])
    for one in parts(company.main, sizes, Faults(), prerendered=False).routes:
        app.router.add_route(one.method, one.path, _handler_of(one.method, one.path))
    return app


def _handler_of(method: str, path: str) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await _asked.get().handlers[method, path](request)

    return handle


def _within(middlewares: Sequence[Middleware], handler: Handler) -> Handler:
    """A handler with middlewares around it, the outermost first."""
    for one in reversed(middlewares):
        handler = _around(one, handler)
    return handler


def _around(middleware: Middleware, handler: Handler) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await middleware(request, handler)

    return handle


class _Listing:
    """The Accounts API, version 2010-04-01: the list, page by page, and each account by its SID."""

    def __init__(self, company: Company) -> None:
        self._company = company

    def answer(self, request: web.Request, user: str, password: str) -> web.Response:
        """The answer to a request for accounts; the main account sees all, any other only itself."""
        main = self._company.main
        own = next((world for world, _ in in_order(self._company) if world.account_sid == user), None)
        if own is None or not own.lets_in(user, password):
            answer = error_answer(*_NOT_LET_IN)
        elif request.method != "GET":
            answer = error_answer(405, 20004, "Method not allowed")
        elif request.path == f"{ROOT}.json":
            answer = self._page(request, is_main=own is main, user=user)
        else:
            sid = request.path.removeprefix(f"{ROOT}/").removesuffix(".json")
            found = [one for one in self._shown(user) if one["sid"] == sid]
            answer = web.json_response(found[0]) if found else not_found(request)
        main.requests += 1
        answer.headers["Date"] = format_datetime(main.now, usegmt=True)
        return answer

    def _shown(self, user: str) -> list[dict[str, Any]]:
        """The accounts that an account sees: the main one all, any other itself."""
        main = self._company.main.account_sid
        return [
            _view(self._company, world, member)
            for world, member in in_order(self._company)
            if user in (main, world.account_sid)
        ]

    def _page(self, request: web.Request, *, is_main: bool, user: str) -> web.Response:
        query = request.query
        found = [
            one
            for one in self._shown(user)
            if query.get("Status") in (None, one["status"])
            and query.get("FriendlyName") in (None, one["friendly_name"])
        ]
        try:
            size = min(int(query.get("PageSize", DEFAULT_PAGE_SIZE)), DOCUMENTED_MAXIMUM)
            page = int(query.get("Page", 0))
        except ValueError:
            size = page = -1
        if size < 1 or page < 0:
            return error_answer(400, 20001, "Page and PageSize must be numbers")
        some = found[page * size : (page + 1) * size]

        def uri(number: int) -> str:
            filters = {name: query[name] for name in ("Status", "FriendlyName") if name in query}
            paging = {
                "PageSize": size,
                "Page": number,
                **({"PageToken": f"PA{some[-1]['sid']}"} if number > page else {}),
            }
            return f"{request.path}?{urlencode({**filters, **paging})}"

        return web.json_response(
            {
                "accounts": some,
                "first_page_uri": uri(0),
                "previous_page_uri": uri(page - 1) if page else None,
                "uri": request.path_qs,
                "next_page_uri": uri(page + 1) if (page + 1) * size < len(found) else None,
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": page * size + max(0, len(some) - 1),
            }
        )


def _view(company: Company, world: World, member: Member | None) -> dict[str, Any]:
    date = format_datetime(company.now)
    return {
        "sid": world.account_sid,
        "owner_account_sid": company.main.account_sid,
        "friendly_name": member.friendly_name if member else company.friendly_name,
        "status": member.status if member else "active",
        "type": "Full",
        "auth_token": member.listed_token if member else world.auth_token,
        "date_created": date,
        "date_updated": date,
        "subresource_uris": {},
        "uri": f"{ROOT}/{world.account_sid}.json",
    }
