"""Runs the stand-in: in a thread beside a test, or in the foreground until it is stopped."""

from __future__ import annotations

import asyncio
import signal
import threading
from types import TracebackType
from typing import BinaryIO, Self

from aiohttp import web

from migrate.model.errors import MigrateError, reason_of
from migrate.standin.accounts import company_app
from migrate.standin.app import make_app
from migrate.standin.company import Company
from migrate.standin.faults import Faults
from migrate.standin.paging import PageSizes
from migrate.standin.world import World

HOST = "127.0.0.1"  # loopback only: it knows no TLS, and its token is no secret


class StandInServer:
    """A running stand-in on loopback. `port` 0 takes a free one; `url` is its address for all APIs.

    Of a company it serves all accounts, and the list of them; `world` is the main account's then.

    `faults` are what goes wrong; by default nothing. `prerendered` keeps each page as it was first served, for
    measuring (see `Prerendered`).
    """

    def __init__(
        self,
        world: World | Company,
        sizes: PageSizes | None = None,
        port: int = 0,
        *,
        faults: Faults | None = None,
        prerendered: bool = False,
    ) -> None:
        self.world = world.main if isinstance(world, Company) else world
        self._served = world
        self._faults = faults or Faults()
        self._prerendered = prerendered
        self._sizes = sizes or PageSizes()
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in", daemon=True)
        self._runner: web.AppRunner | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        except OSError as error:
            self.__exit__(None, None, None)
            reason = reason_of(error).split(":")[-1].strip()
            raise MigrateError(f"Cannot listen on {HOST}:{self._port}: {reason}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        how = self._sizes, self._faults, self._prerendered
        served = self._served
        app = company_app(served, *how) if isinstance(served, Company) else make_app(served, *how)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._port)
        await site.start()
        self.url = f"http://{HOST}:{self._runner.addresses[0][1]}"

    def wait(self, lifeline: BinaryIO | None = None) -> None:
        """Serve until SIGINT (Ctrl-C) or SIGTERM, which is how a stand-in in the foreground is meant to end.

        Or until `lifeline` comes to its end: whoever holds the other end of it is gone, then.
        """
        stopped = threading.Event()
        if lifeline:

            def watch() -> None:
                lifeline.read()
                stopped.set()

            threading.Thread(target=watch, name="lifeline", daemon=True).start()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        stopped.wait()
