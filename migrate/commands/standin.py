"""chat-migrate standin."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.options import common_options
from migrate.screen import Screen
from migrate.standin_options import standin_options

if TYPE_CHECKING:
    from migrate.standin.faults import Faults
    from migrate.standin.paging import PageSizes


@click.command()
@standin_options
@common_options
def standin(
    port: int,
    world: Path | None,
    sizes: PageSizes,
    faults: Faults,
    prerendered: bool,
    screen: Screen,
) -> None:
    """Serve a local imitation of the two Twilio APIs, until Ctrl-C.

    Things can be made to go wrong, the same way each time, to rehearse a migration under bad conditions.

    \b
    Example:
      chat-migrate standin --port 8080
      chat-migrate standin --fault-rate 0.2 --fault 429 --fault reset --latency 0.1
    """
    from migrate.standin.server import StandInServer
    from migrate.standin.world import DEMO_WORLD, load_world

    served = load_world(world or DEMO_WORLD)
    with StandInServer(served, sizes, port, faults=faults, prerendered=prerendered) as server:
        variables = {
            "CHAT_MIGRATE_CHAT_URL": server.url,
            "CHAT_MIGRATE_CONVERSATIONS_URL": server.url,
            "TWILIO_ACCOUNT_SID": served.account_sid,
            "TWILIO_AUTH_TOKEN": served.auth_token,
        }
        from rich.text import Text

        lines = "".join(f"export {name}={value}\n" for name, value in variables.items())
        screen.result(variables, lambda: Text(lines))
        screen.say(f"Serving {world or 'the demo world'} on {server.url}; stop with Ctrl-C.")
        sys.stdout.flush()
        server.wait()
