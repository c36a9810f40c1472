"""What faults do to requests and answers: two middlewares, one on each side of the stand-in's own.

The outer one delivers: it makes answers late, slow, damaged or lost, once they are complete. The inner one refuses:
it comes after authentication, and before anything is read or changed.
"""

from __future__ import annotations

import random
from asyncio import sleep
from contextvars import ContextVar
from dataclasses import dataclass
from typing import cast

from aiohttp import web

from migrate.standin import views
from migrate.standin.answers import Handler, bytes_answer, error_answer, is_list
from migrate.standin.faults import Asked, Faults, Register
from migrate.standin.paging import ProblemError
from migrate.standin.world import Service, World

CONCURRENT = "Twilio-Concurrent-Requests"
_GONE = {
    403: (20403, "Programmable Chat is not available for this account"),
    404: (20404, "The requested resource was not found"),
    410: (20410, "Programmable Chat is gone"),
}
_REPLACED = {"garbage": b"<<< this is not JSON >>>", "not-a-page": b'{"status": "ok"}'}
_CHUNKS_PER_SECOND = 20


@dataclass(frozen=True)
class _Decided:
    """What is settled when a request comes in."""

    asked: Asked
    kind: str | None
    crowded: bool


# Each request has a context of its own, in which both middlewares run.
_decided: ContextVar[_Decided] = ContextVar("_decided")


class Mishaps:
    """Applies faults to the requests of one world."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self._register = Register(faults.seed)
        self._random = random.Random(faults.seed)  # noqa: S311  # it chooses bindings, and keeps no secret
        self._answering = 0
        self._pages = 0

    @web.middleware
    async def deliver(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The outer middleware: around everything, authentication too."""
        faults = self._faults
        asked = self._register.enter(request.method, request.rel_url.raw_path_qs)
        running = self._answering + 1
        crowded = 0 < faults.most_at_once < running
        kind = asked.kind(faults)
        if request.method in ("POST", "DELETE") and self._world.ordered:
            kind = self._world.ordered.pop(0) or None
        _decided.set(_Decided(asked, kind, crowded))
        # What is refused takes no place in the line, or clients that retry at once would keep each other out.
        self._answering += not crowded
        try:
            if faults.latency:
                await sleep(faults.latency)
            answer = cast(web.Response, await handler(request))
            if faults.most_at_once:
                answer.headers[CONCURRENT] = str(running)
            return await self._send(request, answer)
        finally:
            self._answering -= not crowded

    @web.middleware
    async def refuse(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The inner middleware: whoever gets here has been let in, and nothing has been changed yet."""
        faults, decided = self._faults, _decided.get()
        if faults.chat_gone and request.path.startswith(views.CHAT + "/"):
            raise ProblemError(faults.chat_gone, *_GONE[faults.chat_gone])
        if decided.crowded:
            return self._too_many(decided.asked, "Too many concurrent requests")
        if "PageToken" in request.query and decided.asked.share("token") < faults.token_expiry:
            raise ProblemError(400, 20001, "PageToken is not valid")
        refusal = self._refusal(decided)
        if refusal is not None:
            return refusal
        answer = await handler(request)
        if is_list(request, "Bindings"):
            self._page_answered(self._world.services[request.match_info["service"]])
        return answer

    def _refusal(self, decided: _Decided) -> web.Response | None:
        match decided.kind:
            case "429":
                return self._too_many(decided.asked, "Too many requests")
            case "500":
                return web.json_response({"message": "An internal server error occurred", "status": 500}, status=500)
            case "502":
                text = "<html><body><h1>502 Bad Gateway</h1></body></html>"
                return web.Response(status=502, text=text, content_type="text/html")
            case "503":
                return error_answer(503, 20503, "Service is unavailable")
            case "504":
                return web.Response(status=504)
        return None

    def _too_many(self, asked: Asked, message: str) -> web.Response:
        headers = {"Retry-After": str(self._faults.retry_after)} if asked.share("retry-after") < 0.5 else {}
        return error_answer(429, 20429, message, headers)

    def _page_answered(self, service: Service) -> None:
        """The world changes between pages."""
        self._pages += 1
        if self._faults.growth and self._pages % self._faults.growth == 0:
            self._world.register(service)
        there = len(service.bindings) + len(service.conversations_bindings)
        if self._faults.deletion and self._pages % self._faults.deletion == 0 and there:
            self._world.delete(service, self._random.randrange(there))

    async def _send(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Send an answer, or what the fault leaves of it. What is returned whole is still to be sent."""
        asked, kind = _decided.get().asked, _decided.get().kind
        if answer.status >= 400:
            kind = None
        if kind in _REPLACED:
            answer = _with_body(answer, _REPLACED[kind])
        body = b"" if request.method == "HEAD" else cast(bytes, answer.body or b"")
        if kind == "reset" or (kind in ("cut", "short", "stall") and not body):
            request.protocol.force_close()  # nothing has been written: there is no answer
            return answer
        if kind == "short":
            body = body[: asked.place("short", len(body))]
            answer = _with_body(answer, body)
        if kind not in ("cut", "stall"):
            return await self._stream(request, answer, body) if self._faults.bytes_per_second else answer
        sent = await self._stream(request, answer, body[: asked.place(kind, len(body))])
        if kind == "stall":
            await sleep(self._faults.stall)
        request.protocol.force_close()
        return sent

    async def _stream(self, request: web.Request, answer: web.Response, body: bytes) -> web.StreamResponse:
        """Send the head of an answer, and so much of its body, at the speed that was asked for."""
        speed = self._faults.bytes_per_second
        size = max(1, speed // _CHUNKS_PER_SECOND) if speed else len(body)
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.content_length = answer.content_length
        try:
            await response.prepare(request)
            for start in range(0, len(body), size):
                chunk = body[start : start + size]
                if speed:
                    await sleep(len(chunk) / speed)
                await response.write(chunk)
        except ConnectionError:
            request.protocol.force_close()  # the client has left
        return response


def _with_body(answer: web.Response, body: bytes) -> web.Response:
    """An answer of status 200 with another body, and otherwise the same headers."""
    changed = bytes_answer(body)
    changed.headers.update(answer.headers)
    return changed
