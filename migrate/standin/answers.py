"""The stand-in's answers as HTTP, and errors in Twilio's form."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from migrate.standin.paging import Numbered, Paged, PageSizes

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def error_answer(status: int, code: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error as Twilio's APIs tell it."""
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return web.json_response(body, status=status, headers=headers)


def not_found(request: web.Request) -> web.Response:
    """The error for an address that leads nowhere."""
    return error_answer(404, 20404, f"The requested resource {unquote(request.path)} was not found")


def bytes_answer(body: bytes) -> web.Response:
    """A JSON answer whose bytes are there already."""
    return web.Response(body=body, content_type="application/json", charset="utf-8")


def origin_of(request: web.Request) -> str:
    """The scheme and host that a client used."""
    return f"{request.scheme}://{request.host}"


def page_answer(
    request: web.Request,
    sizes: PageSizes,
    key: str,
    items: Sequence[Numbered],
    render: Callable[[Any], dict[str, Any]],
    wanted: Callable[[Any], bool] = lambda item: True,
) -> web.Response:
    """The page that a request asks for, of those `items` that are `wanted`. Raises `ProblemError` for a bad query."""
    query = [(name, value) for name, value in request.query.items()]
    version = "/" + request.path.split("/")[1]
    paged = Paged(origin_of(request), version, request.rel_url.raw_path, key, query)
    return web.json_response(paged.page(items, sizes, render, wanted))


def is_list(request: web.Request, *keys: str) -> bool:
    """Whether a request reads a list, and if `keys` are given, one of those."""
    last = request.path.rsplit("/", 1)[-1]
    return request.method == "GET" and last in (keys or ("Alerts", "Bindings", "Credentials", "Services"))
