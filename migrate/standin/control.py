"""The stand-in seen from outside: what it holds and what was written to it, for whoever checks a loader by it.

It is no part of either API. Faults do not touch it, and it does not count as a request. A POST to it orders faults
for the next writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.typedefs import Middleware

from migrate.standin.answers import Handler, error_answer
from migrate.standin.faults import KINDS
from migrate.standin.paging import ProblemError
from migrate.standin.views import credential
from migrate.standin.world import World

PATH = "/_standin"


def control(world: World, authenticate: Callable[[web.Request], None]) -> Middleware:
    """The outermost middleware, which answers for `/_standin` itself. `authenticate` raises `ProblemError`."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != PATH or request.method not in ("GET", "POST"):
            return await handler(request)
        try:
            authenticate(request)
        except ProblemError as problem:
            return error_answer(problem.status, problem.code, problem.message)
        if request.method == "POST":
            ordered = [
                kind for name, kind in parse_qsl(await request.text(), keep_blank_values=True) if name == "fault"
            ]
            if not set(ordered) <= {*KINDS, ""}:
                return error_answer(400, 20001, f"Faults are of these kinds: {', '.join(KINDS)}")
            world.ordered = ordered
        return web.json_response(_seen(world))

    return answer


def _seen(world: World) -> dict[str, Any]:
    """`services` are the push settings in Conversations by path, null where there is no such service; `losses` has by
    SID the bindings of Chat that were deleted, and which pushes their devices may have lost.
    """
    return {
        "requests": world.requests,
        "writes": world.writes,
        "services": {sid: service.configuration for sid, service in world.services.items()},
        "losses": world.losses,
        "credentials": [credential(world, item, "") for item in world.credentials.values()],
    }
