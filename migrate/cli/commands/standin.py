"""chat-migrate standin."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.console import Screen
from migrate.cli.help import Command
from migrate.cli.options import common_options
from migrate.cli.paths import InSnapshot
from migrate.cli.standin_options import standin_options

if TYPE_CHECKING:
    from migrate.standin.faults import Faults
    from migrate.standin.world import World


@click.command(cls=Command)
@click.option(
    "--snapshot", type=InSnapshot(), metavar="DIR",
    help="Serve what a finished snapshot holds, instead of a world file. Its bindings are kept in memory, about 1 KB "
    "each.",
)  # fmt: skip
@click.option("--no-bindings", is_flag=True, help="Leave the snapshot's bindings out: push settings need none.")
@click.option(
    "--separate-bindings", is_flag=True,
    help="Conversations shows none of Chat's bindings, and every other device has registered with it by a binding of "
    "its own: so that there is something to retire.",
)  # fmt: skip
@click.option("--most-bindings", type=click.IntRange(0), hidden=True, help="Of each service in the snapshot.")
@click.option("--until-closed", is_flag=True, hidden=True, help="End when standard input is closed.")
@standin_options
@common_options
def standin(
    snapshot: Path | None,
    no_bindings: bool,
    separate_bindings: bool,
    most_bindings: int | None,
    until_closed: bool,
    port: int,
    world: Path | None,
    faults: Faults,
    screen: Screen,
) -> None:
    """Serve a local imitation of the three Twilio APIs, until Ctrl-C.

    Things can be made to go wrong, the same way each time, to rehearse a migration under bad conditions.

    \b
    Example:
      chat-migrate standin --port 8080
      chat-migrate standin --fault-rate 0.2 --fault 429 --latency 0.1
      chat-migrate standin --snapshot snapshot --separate-bindings
    """
    from migrate.standin.separate import separate
    from migrate.standin.server import StandInServer

    if snapshot and world:
        raise click.UsageError("--snapshot and --world exclude each other")
    if no_bindings and not snapshot:
        raise click.UsageError("--no-bindings needs --snapshot")
    served = _world(world, snapshot, screen, 0 if no_bindings else most_bindings)
    if separate_bindings:
        separate(served)
    with StandInServer(served, port=port, faults=faults) as server:
        variables = {
            "CHAT_MIGRATE_CHAT_URL": server.url,
            "CHAT_MIGRATE_CONVERSATIONS_URL": server.url,
            "CHAT_MIGRATE_MONITOR_URL": server.url,
            "TWILIO_ACCOUNT_SID": served.account_sid,
            "TWILIO_AUTH_TOKEN": served.auth_token,
        }
        lines = "".join(f"export {name}={value}\n" for name, value in variables.items())
        screen.result(variables, lambda: lines)
        screen.say(f"Serving {world or snapshot or 'the demo world'} on {server.url}; stop with Ctrl-C.")
        sys.stdout.flush()
        server.wait(sys.stdin.buffer if until_closed else None)


def _world(world: Path | None, snapshot: Path | None, screen: Screen, most_bindings: int | None) -> World:
    """What is to be served: a snapshot's account, a world file's, or the demo's."""
    if snapshot is None:
        from migrate.standin.world import DEMO_WORLD, load_world

        return load_world(world or DEMO_WORLD)
    from migrate.model.text import listed
    from migrate.standin.from_snapshot import world_of

    seeded = world_of(snapshot, most_bindings=most_bindings)
    if seeded.unknown:
        screen.say(
            "The snapshot does not know what was set in Conversations for these; they are served with nothing set: "
            + listed(seeded.unknown)
        )
    return seeded.world
