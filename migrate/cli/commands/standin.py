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
    from migrate.standin.company import Company
    from migrate.standin.faults import Faults
    from migrate.standin.paging import PageSizes
    from migrate.standin.world import World


@click.command(cls=Command)
@click.option(
    "--snapshot", type=InSnapshot(), metavar="DIR",
    help="Serve what a finished snapshot holds, instead of a world file. Its bindings are kept in memory, about 1 KB "
    "each.",
)  # fmt: skip
@click.option(
    "--fleet", type=click.IntRange(1, 1_000), metavar="N",
    help="Serve a company of N invented subaccounts, by --seed: one is huge, most are tiny, some are suspended, and "
    "the token of one is refused.",
)  # fmt: skip
@click.option(
    "--bindings", type=click.IntRange(0), metavar="N",
    help="How many bindings the accounts of --fleet have together, about 0.5 KB of memory each.  [default: 20000]",
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
    fleet: int | None,
    bindings: int | None,
    no_bindings: bool,
    separate_bindings: bool,
    most_bindings: int | None,
    until_closed: bool,
    port: int,
    world: Path | None,
    sizes: PageSizes,
    faults: Faults,
    screen: Screen,
) -> None:
    """Serve a local imitation of Twilio's APIs, until Ctrl-C.

    Things can be made to go wrong, the same way each time, to rehearse a migration under bad conditions.

    \b
    Example:
      chat-migrate standin --port 8080
      chat-migrate standin --fault-rate 0.2 --fault 429 --latency 0.1
      chat-migrate standin --snapshot snapshot --separate-bindings
      chat-migrate standin --fleet 40 --bindings 100000
    """
    from migrate.standin.company import Company, seeded_company
    from migrate.standin.separate import separate
    from migrate.standin.server import StandInServer

    if sum(map(bool, (snapshot, world, fleet))) > 1:
        raise click.UsageError("--snapshot, --world and --fleet exclude each other")
    if no_bindings and not snapshot:
        raise click.UsageError("--no-bindings needs --snapshot")
    if bindings is not None and not fleet:
        raise click.UsageError("--bindings needs --fleet")
    if fleet:
        served: World | Company = seeded_company(fleet, 20_000 if bindings is None else bindings, faults.seed)
    else:
        served = _served(world, snapshot, screen, 0 if no_bindings else most_bindings)
    account = served.main if isinstance(served, Company) else served
    if separate_bindings:
        for each in [account, *(one.world for one in served.members)] if isinstance(served, Company) else [account]:
            separate(each)
    with StandInServer(served, sizes, port, faults=faults) as server:
        variables = {
            "CHAT_MIGRATE_CHAT_URL": server.url,
            "CHAT_MIGRATE_CONVERSATIONS_URL": server.url,
            "CHAT_MIGRATE_MONITOR_URL": server.url,
            **({"CHAT_MIGRATE_ACCOUNTS_URL": server.url} if isinstance(served, Company) else {}),
            "TWILIO_ACCOUNT_SID": account.account_sid,
            "TWILIO_AUTH_TOKEN": account.auth_token,
        }
        lines = "".join(f"export {name}={value}\n" for name, value in variables.items())
        screen.result(variables, lambda: lines)
        screen.say(f"Serving {world or snapshot or _said(fleet)} on {server.url}; stop with Ctrl-C.")
        sys.stdout.flush()
        server.wait(sys.stdin.buffer if until_closed else None)


def _said(fleet: int | None) -> str:
    return f"a company of {fleet:,} invented accounts" if fleet else "the demo world"


def _served(
    world: Path | None,
    snapshot: Path | None,
    screen: Screen,
    most_bindings: int | None,
) -> World | Company:
    """What is to be served: a snapshot's account, or a world file's account or company."""
    if snapshot is None:
        from migrate.standin.company import make_served
        from migrate.standin.world import DEMO_WORLD, load_file

        return load_file(world or DEMO_WORLD, make_served)
    from migrate.model.text import listed
    from migrate.standin.from_snapshot import world_of

    seeded = world_of(snapshot, most_bindings=most_bindings)
    if seeded.unknown:
        screen.say(
            "The snapshot does not know what was set in Conversations for these; they are served with nothing set: "
            + listed(seeded.unknown)
        )
    return seeded.world
