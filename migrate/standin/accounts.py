"""The accounts of a company behind one address: to each account its own APIs, and the list of accounts.

A request is for the account that its auth token or API key belongs to, and opens no other (FACTS.md, "Accounts and
subaccounts"). Each account's application is that of an account alone, with the list as a part of it: the main account
sees all accounts there, any other itself. Who is not known gets the main account's answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from aiohttp.typedefs import Middleware

from migrate.standin.answers import Handler
from migrate.standin.app import credentials_of, parts
from migrate.standin.company import Company, Member, in_order
from migrate.standin.faults import Faults
from migrate.standin.paging import DEFAULT_PAGE_SIZE, DOCUMENTED_MAXIMUM, PageSizes, ProblemError
from migrate.standin.world import World

ROOT = "/2010-04-01/Accounts"


@dataclass(frozen=True)
class _Account:
    """One account's own routes, by method and path, and the middlewares around them, the outermost first."""

    middlewares: Sequence[Middleware]
    routes: Mapping[tuple[str, str], web.RouteDef]

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer as a server of this account alone would."""
        return await _within(self.middlewares, handler)(request)


# The account that a request is for; each request has a context of its own.
_asked: ContextVar[_Account] = ContextVar("_asked")


def company_app(company: Company, sizes: PageSizes, faults: Faults, prerendered: bool) -> web.Application:
    """The application that serves all accounts of a company; faults are by account."""

    def account(world: World, member: Member | None) -> _Account:
        own = replace(faults, most_at_once=member.most_at_once) if member and member.most_at_once else faults
        made = parts(world, sizes, own, prerendered)
        closed = [_not_active] if member and member.status != "active" else []
        routes = [*made.routes, *_Listing(company, world).routes()]
        return _Account([*made.middlewares, *closed], {(one.method, one.path): one for one in routes})

    accounts: dict[str, _Account] = {}
    for world, member in in_order(company):
        accounts |= dict.fromkeys((world.account_sid, *world.api_keys), account(world, member))
    main = accounts[company.main.account_sid]

    @web.middleware
    async def choose(request: web.Request, handler: Handler) -> web.StreamResponse:
        user, _ = credentials_of(request)
        found = accounts.get(user, main)
        _asked.set(found)
        return await found.answer(request, handler)

    app = web.Application(middlewares=[choose])
    app.add_routes([_of_who_asks(one) for one in main.routes.values()])
    return app


@web.middleware
async def _not_active(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What a suspended or closed account answers to its own credentials; the status is not documented."""
    raise ProblemError(403, 10001, "Account is not active")


def _of_who_asks(route: web.RouteDef) -> web.RouteDef:
    """A route that all accounts have; who asks gets the handler of its own account."""

    async def handle(request: web.Request) -> web.StreamResponse:
        handler: Handler = _asked.get().routes[route.method, route.path].handler
        return await handler(request)

    return web.RouteDef(route.method, route.path, handle, route.kwargs)


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
    """The Accounts API, version 2010-04-01, as an account sees it: the list, page by page, and each account."""

    def __init__(self, company: Company, world: World) -> None:
        self._company = company
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """The list, and an account by its SID."""
        return [web.get(f"{ROOT}.json", self._page), web.get(f"{ROOT}/{{account}}.json", self._one)]

    async def _one(self, request: web.Request) -> web.Response:
        for one in self._shown(request):
            if one["sid"] == request.match_info["account"]:
                return web.json_response(one)
        raise web.HTTPNotFound

    def _shown(self, request: web.Request) -> list[dict[str, Any]]:
        """The accounts that this one sees: the main one all, any other itself.

        A main key does what the auth token does (Twilio, "Types of keys"). Whether it is shown the auth tokens, too,
        is not documented: `hides_token` is the other case. Raises `ProblemError` for a standard key.
        """
        user, _ = credentials_of(request)
        if user in self._world.api_keys and user not in self._world.main_keys:
            raise ProblemError(401, 20003, "Authentication Error - invalid username")  # as Twilio's support quotes it
        is_main = self._world is self._company.main
        return [
            _view(self._company, world, member)
            for world, member in in_order(self._company)
            if is_main or world is self._world
        ]

    async def _page(self, request: web.Request) -> web.Response:
        query = request.query
        found = [
            one
            for one in self._shown(request)
            if query.get("Status") in (None, one["status"])
            and query.get("FriendlyName") in (None, one["friendly_name"])
        ]
        try:
            size = min(int(query.get("PageSize", DEFAULT_PAGE_SIZE)), DOCUMENTED_MAXIMUM)
            page = int(query.get("Page", 0))
        except ValueError:
            size = page = -1
        if size < 1 or page < 0:
            raise ProblemError(400, 20001, "Page and PageSize must be numbers")
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
