"""Options of the stand-in: what it serves, how it pages, and what is to go wrong."""

from __future__ import annotations

import functools
import math
from typing import Any

import click

from migrate.cli.options import Command
from migrate.cli.paths import InFile
from migrate.standin.faults import DEFAULT_KINDS, KINDS, Faults
from migrate.standin.paging import PageSizes


class _Number(click.FloatRange):
    """A number within a range: "nan" is in none, though no comparison says so, and "inf" is no use."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a valid number", param, ctx)
        return number


_SHARE, _SECONDS, _COUNT = _Number(0, 1), _Number(0), click.IntRange(0)


def standin_options(command: Command) -> Command:
    """What a stand-in is made of; the command gets `port`, `world`, `sizes` and `faults`."""

    @click.option(
        "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, metavar="N",
        help="The port to listen on; 0 takes a free one.",
    )  # fmt: skip
    @click.option(
        "--world", type=InFile("world"), metavar="FILE", help="The world to serve; the demo's if not given."
    )
    @click.option(
        "--page-sizes", "maxima", type=click.Choice(["openapi", "docs"]), default="openapi", show_default=True,
        help="The largest pages that it serves: those of Twilio's OpenAPI documents (50 bindings), or of its "
        "documentation (1,000). Which are true is not known.",
    )  # fmt: skip
    # What is to go wrong: everything is off by default.
    @click.option(
        "--seed", type=int, default=0, show_default=True, metavar="N",
        help="Decides which requests fail; the same seed decides the same.",
    )  # fmt: skip
    @click.option("--latency", type=_SECONDS, default=0, metavar="SECONDS", help="Wait before each answer.")
    @click.option(
        "--fault-rate", "rate", type=_SHARE, default=0, metavar="SHARE", help="Of all requests, 0 to 1 fail."
    )
    @click.option(
        "--fault", "kinds", type=click.Choice(KINDS), multiple=True,
        help="How requests fail, with --fault-rate; every way but stall if not given. Repeatable.",
    )  # fmt: skip
    @click.option(
        "--most-at-once", type=_COUNT, default=0, metavar="N", help="Answer 429 to more requests than this at a time."
    )  # fmt: skip
    @click.option(
        "--retry-after", type=_COUNT, default=0, show_default=True, metavar="SECONDS",
        help="What half of the 429s say in Retry-After.",
    )  # fmt: skip
    @click.option(
        "--chat-gone", type=click.Choice(["403", "404", "410"]), help="All of Programmable Chat answers with this."
    )  # fmt: skip
    @click.option(
        "--token-expiry", type=_SHARE, default=0, metavar="SHARE", help="Of all page tokens, 0 to 1 are refused."
    )  # fmt: skip
    @click.option("--growth", type=_COUNT, default=0, metavar="N", help="A binding registers after each N pages.")
    @click.option("--deletion", type=_COUNT, default=0, metavar="N", help="A binding is deleted after each N pages.")
    @click.option(
        "--bytes-per-second", type=_COUNT, default=0, metavar="N", help="Send each body no faster than this."
    )  # fmt: skip
    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        names = ("seed", "latency", "rate", "most_at_once", "retry_after", "token_expiry", "growth", "deletion")
        given = {name: kwargs.pop(name) for name in (*names, "bytes_per_second")}
        kinds, gone = kwargs.pop("kinds"), kwargs.pop("chat_gone")
        if kinds and not given["rate"]:
            raise click.UsageError("--fault needs --fault-rate")
        given["chat_gone"] = gone and int(gone)  # click's choices are texts
        faults = Faults(kinds=kinds or DEFAULT_KINDS, **given)
        return command(*args, sizes=PageSizes(kwargs.pop("maxima")), faults=faults, **kwargs)

    return wrapped  # type: ignore[return-value]
