"""The stand-in's answers as HTTP, and errors in Twilio's form."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote

from aiohttp import web

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


def is_list(request: web.Request, *keys: str) -> bool:
    """Whether a request reads a list, and if `keys` are given, one of those."""
    last = request.path.rsplit("/", 1)[-1]
    return request.method == "GET" and last in (keys or ("Bindings", "Credentials", "Services"))
