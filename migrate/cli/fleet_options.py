"""Options that make a command a fleet's: which accounts, in which waves, and when to stop."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from migrate.cli.help import FLEET, SharedOption, shared_option
from migrate.cli.paths import NAMES_ACCOUNTS, InFile, guard_paths, is_of_fleet
from migrate.model.sids import is_account_sid, normal

Command = TypeVar("Command", bound=Callable[..., Any])
_fleet_option = shared_option(FLEET)
_OF_ONE_ACCOUNT = ("record", "replay")  # a cassette is of one account
MOST_ACCOUNTS = 50  # that a load may write to without being asked for more


class AccountSid(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions only
    """An account's SID: AC and 32 hexadecimal digits."""

    name = "AC…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form; whether there is such an account, Twilio knows."""
        sid = normal(str(value))
        if not is_account_sid(sid):
            self.fail("not an account's SID (AC and 32 hexadecimal digits)", param, ctx)
        return sid


class Wave(click.ParamType):  # type: ignore[type-arg]
    """How many accounts a first wave has: a number, or a percentage of them."""

    name = "N|N%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form."""
        found = re.fullmatch(r"([1-9][0-9]{0,5})(%?)", str(value))
        if not found or (found[2] and int(found[1]) > 100):
            self.fail(f"{value!r} is neither a number of accounts, such as 20, nor a share, such as 5%", param, ctx)
        return str(value)


class RequiredAlone(click.Option):
    """An option that a single account's command requires, and a fleet's does not."""

    def value_is_missing(self, value: Any) -> bool:
        """Whether it is missing, which it never is in a fleet's command."""
        return super().value_is_missing(value) and not is_of_fleet(click.get_current_context(silent=True))


@dataclass(frozen=True)
class FleetAsked:
    """What makes a command a fleet's: all accounts, these, or those of a file; which wave; when to stop."""

    all: bool
    sids: tuple[str, ...]
    file: Path | None
    only: str | None
    stop_after: int | None
    max_accounts: int = MOST_ACCOUNTS
    one_by_one: bool = False


def fleet_options(
    *keeps: str, offline: bool = False, writes: bool = False, needs: str = ""
) -> Callable[[Command], Command]:
    """Options of a command that can be a fleet's; the command gets `fleet`, or None where it is of one account.

    `keeps` are its own parameters that a fleet's command takes, too; `needs` is the one of them that names the
    fleet's folder. Which accounts an `offline` command is for, the fleet's folder says. One that `writes` asks first.

    Raises `click.UsageError` for options of one account in a fleet's command, and the other way round.
    """

    def decorated(command: Command) -> Command:
        @_account_options(offline=offline)
        @_fleet_option(
            "--only", type=Wave(), metavar="N|N%", help="A first wave: so many of the accounts, always the same ones."
        )
        @_fleet_option(
            "--stop-after", type=click.IntRange(0), metavar="N",
            help="Start no more accounts once more than N have failed (3 with --apply, if not given).",
        )  # fmt: skip
        @_writing_options(writes=writes)
        @functools.wraps(command)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            given = {name: kwargs.pop(name) for name in _names(offline=offline, writes=writes)}
            context = click.get_current_context()
            if not is_of_fleet(context):
                _refuse_fleets(context)
                return command(*args, fleet=None, **kwargs)
            _refuse_others(context, keeps)
            guard_paths(context)
            if needs:
                _refuse_no_folder(context, needs)
            asked = FleetAsked(
                all=given.pop("all_accounts"),
                sids=given.pop("account_sids"),
                file=given.pop("accounts_file", None),
                **given,
            )
            return command(*args, fleet=asked, **kwargs)

        return wrapped  # type: ignore[return-value]

    return decorated


def _account_options(*, offline: bool) -> Callable[[Command], Command]:
    """The options that name the accounts. They are read first: what other parameters are depends on them."""
    every = _fleet_option(
        "--accounts", "all_accounts", is_flag=True, is_eager=True,
        help="All active subaccounts of the main account, whose credentials are in the environment; offline, "
        "all accounts of the fleet's folder.",
    )  # fmt: skip
    these = _fleet_option(
        "--account", "account_sids", type=AccountSid(), multiple=True, is_eager=True, metavar="AC…",
        help="Only this account, which may be the main one; with --accounts, this one as well. Repeatable.",
    )  # fmt: skip
    listed = _fleet_option(
        "--accounts-file", type=InFile(called="a list of accounts", exists=True), is_eager=True, metavar="FILE",
        help="The accounts of a file, one a line: AC…, or AC… env:NAME, or AC… file:PATH, which holds the account's "
        "auth token, or SK…:SECRET.",
    )  # fmt: skip
    return lambda command: every(these(command if offline else listed(command)))


def _writing_options(*, writes: bool) -> Callable[[Command], Command]:
    if not writes:
        return lambda command: command
    most = _fleet_option(
        "--max-accounts", type=click.IntRange(1), default=MOST_ACCOUNTS, show_default=True, metavar="N",
        help="The most accounts that may be written to.",
    )  # fmt: skip
    each = _fleet_option("--one-by-one", is_flag=True, help="Ask for each account, instead of once for all.")
    return lambda command: most(each(command))


def _names(*, offline: bool, writes: bool) -> list[str]:
    accounts = [name for name in NAMES_ACCOUNTS if not (offline and name == "accounts_file")]
    return [*accounts, "only", "stop_after", *(["max_accounts", "one_by_one"] if writes else [])]


def _given(context: click.Context) -> list[click.Parameter]:
    """The parameters that stand in the command line."""
    source = context.get_parameter_source
    return [param for param in context.command.params if source(param.name or "") is ParameterSource.COMMANDLINE]


def _refuse_fleets(context: click.Context) -> None:
    """Raise `click.UsageError` for options of a fleet where no account is named."""
    for param in _given(context):
        if isinstance(param, SharedOption) and param.group == FLEET:
            raise click.UsageError(
                f"{param.opts[0]} is for a fleet, and no accounts are named: add --accounts, or --account AC…"
            )


def _refuse_others(context: click.Context, keeps: tuple[str, ...]) -> None:
    """Raise `click.UsageError` for what stands in the command line and is of one account."""
    given = _given(context)
    ours = next(param.opts[0] for param in given if param.name in NAMES_ACCOUNTS)
    for param in given:
        is_shared = isinstance(param, SharedOption) and param.name not in _OF_ONE_ACCOUNT
        if not (is_shared or param.name in keeps):
            raise click.UsageError(f"{param.opts[-1]} is for one account: it does not go with {ours}")


def _refuse_no_folder(context: click.Context, needs: str) -> None:
    """Raise `click.UsageError` where the fleet's folder is not named."""
    if context.get_parameter_source(needs) is not ParameterSource.COMMANDLINE:
        param = next(param for param in context.command.params if param.name == needs)
        how = (
            f"{param.opts[0]} FLEET" if isinstance(param, click.Option) else f"chat-migrate {context.info_name} FLEET"
        )
        raise click.UsageError(f"Name the fleet's folder: {how}")
