"""Pages that are rendered once, for measuring a client: the stand-in must not be what the client waits for.

A page that was rendered once is served as it was then: what changes in the world later does not show in it.
It takes as much memory as all pages that are asked for are long.
"""

from __future__ import annotations

from aiohttp import web

from migrate.standin.answers import Handler, bytes_answer, is_list


class Prerendered:
    """Lists' pages as bytes, by address and host (which is in their links)."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, str], bytes] = {}

    @web.middleware
    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The middleware that keeps and serves pages. It comes after authentication."""
        address = (request.raw_path, request.host)
        kept = self._pages.get(address)
        if kept is not None and request.method == "GET":
            return bytes_answer(kept)
        response = await handler(request)
        if is_list(request) and isinstance(response, web.Response) and isinstance(response.body, bytes):
            self._pages[address] = response.body
        return response
