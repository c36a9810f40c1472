"""What a migration of your size takes, by the model: `python -m docs.scale --accounts 1000 --bindings 100000000`.

Costs are those of the machine that docs/scale.json was measured on; `python -m bench.scale --record FILE` measures
another. Prices are the reader's: the defaults are examples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from docs.scale_measured import FILE, comparison, costs_of, recorded
from docs.scale_model import MB, Taken, predict
from docs.scale_work import Account, Limits, Stage, spread
from migrate.model.text import count

GB = 1_000 * MB
_UNDO: Stage = "rollback --apply"  # which a night that goes well does without
_DEFAULT = Limits()


class _Finite(click.FloatRange):
    """A number that is one: not `nan`, nor `inf`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. Fails as click's types do."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return found


@click.command(context_settings={"show_default": True})
@click.option("--accounts", default=1, type=click.IntRange(1), help="Accounts with bindings.")
@click.option("--bindings", default=1_000_000, type=click.IntRange(0), help="Bindings of all accounts together.")
@click.option("--services", default=2, type=click.IntRange(1), help="Services of each account.")
@click.option("--types", default=2, type=click.IntRange(1, 3), help="Binding types in use, evenly.")
@click.option("--largest", default=0.0, type=_Finite(0, 1), help="Share of the largest account; 0: evenly.")
@click.option("--changing", default=1.0, type=_Finite(0, 1), help="Share of the services that load writes to.")
@click.option("--latency", default=_DEFAULT.latency, type=_Finite(0), help="Seconds of a request.")
@click.option(
    "--chat-page", default=_DEFAULT.chat_page, type=click.IntRange(1, 1000), help="Bindings a page of Chat."
)
@click.option("--conversations-page", default=_DEFAULT.conversations_page, type=click.IntRange(1, 1000),
              help="The same of Conversations.")  # fmt: skip
@click.option("--concurrency", default=_DEFAULT.at_a_time, type=click.IntRange(1, 64),
              help="Requests at a time of an account, as the option of that name has it.")  # fmt: skip
@click.option("--allowed", default=_DEFAULT.allowed, type=click.IntRange(0),
              help="Requests at a time of an account that Twilio answers, the others with 429; 0: all.")  # fmt: skip
@click.option("--no-shard", is_flag=True, help="Read each service as one chain.")
@click.option("--identity-characters", default=0, type=click.IntRange(0),
              help="Length of an identity: read by an identity file.")  # fmt: skip
@click.option(
    "--processors", type=click.IntRange(1), help="Processors of the machine; else those of the measured one."
)
@click.option("--more-bytes", default=150, type=click.IntRange(0),
              help="Bytes that a real binding takes more than an invented one.")  # fmt: skip
@click.option("--machine-price", default=0.2, type=_Finite(0), help="Price of an hour of the machine: an example.")
@click.option(
    "--storage-price", default=0.03, type=_Finite(0), help="Price of a GB of storage for a month: an example."
)
@click.option("--months", default=1, type=click.IntRange(0), help="How long snapshots are kept.")
@click.option("--measured", default=FILE, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              show_default="docs/scale.json", help="The record of `python -m bench.scale`.")  # fmt: skip
@click.option(
    "--checks", is_flag=True, help="Show instead what was measured there, beside what the model says of it."
)
def main(
    accounts: int,
    bindings: int,
    services: int,
    types: int,
    largest: float,
    changing: float,
    latency: float,
    chat_page: int,
    conversations_page: int,
    concurrency: int,
    allowed: int,
    no_shard: bool,
    identity_characters: int,
    processors: int | None,
    more_bytes: int,
    machine_price: float,
    storage_price: float,
    months: int,
    measured: Path,
    checks: bool,
) -> None:
    """What a migration takes: requests, time, memory, storage and money of each stage."""
    try:
        machine, runs = recorded(measured)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    costs = costs_of(runs)
    if checks:
        click.echo(comparison(machine, runs, [name for name, run in runs.items() if run.setting.latency]), nl=False)
        return
    limits = Limits(
        latency=latency,
        chat_page=chat_page,
        conversations_page=conversations_page,
        at_a_time=concurrency,
        allowed=allowed,
        processors=processors or runs["least"].processors,
        shard=not no_shard,
        identity_characters=identity_characters,
    )
    fleet = spread(accounts, bindings, services=services, largest=largest, types=types, changing=changing)
    taken = predict(fleet, limits, costs)
    click.echo(table(taken, fleet, more_bytes), nl=False)
    hours, kept = _hours(taken), _kept(taken, bindings * more_bytes) / GB
    price = hours * machine_price + kept * storage_price * months
    prices = f"{machine_price:g} an hour of the machine, {storage_price:g} a GB of storage a month"
    click.echo(f"money: {price:,.2f}, at {prices}, kept for {count(months, 'month')}")


def _hours(taken: Mapping[Stage, Taken]) -> float:
    return sum(one.seconds for stage, one in taken.items() if stage != _UNDO) / 3600


def _kept(taken: Mapping[Stage, Taken], more: int) -> float:
    return sum(one.stored for stage, one in taken.items() if stage != _UNDO) + more


def table(taken: Mapping[Stage, Taken], accounts: list[Account], more_bytes: int = 0) -> str:
    """The stages, one a line, and all but the rollback together; `more_bytes` come to each binding of a snapshot."""
    rows = sum(one.rows for one in accounts)
    lines = [f"{'':17}{'requests':>11}{'time':>10}{'memory':>10}{'storage':>11}  decided by"]
    for stage, one in taken.items():
        stored = one.stored + (rows * more_bytes if stage == "extract" else 0)
        lines.append(
            f"{stage:17}{one.requests:>11,}{spelt(one.seconds):>10}{one.memory / MB:>7,.0f} MB"
            f"{stored / GB:>8,.2f} GB  {one.decides}"
        )
    requests = sum(one.requests for stage, one in taken.items() if stage != _UNDO)
    memory = max(one.memory for stage, one in taken.items() if stage != _UNDO) / MB
    stored = _kept(taken, rows * more_bytes) / GB
    lines.append(
        f"{'without rollback':17}{requests:>11,}{spelt(_hours(taken) * 3600):>10}{memory:>7,.0f} MB{stored:>8,.2f} GB"
    )
    return "\n".join(lines) + "\n"


def spelt(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    main()
