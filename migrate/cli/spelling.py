"""How commands are spelt: here alone the steps that errors name become command lines."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from migrate.model.errors import MigrateError, Step
from migrate.runtime.interrupts import telling

if TYPE_CHECKING:
    from pathlib import Path

    from migrate.extract.extraction import ExtractOptions
    from migrate.twilio_api.client import TwilioApi

_PROGRAM = "chat-migrate"
# What another command of the same account is called with, too.
API_OPTIONS = (
    "chat_url", "conversations_url", "monitor_url", "accounts_url", "replay", "concurrency", "retry_budget",
    "page_size",
)  # fmt: skip
_ARGUMENTS = ("snapshot", "mapped", "journal", "path")  # what a step is called with that is no option of its command


@contextmanager
def spelled(again: str | Callable[[], str] = "", **stages: Callable[[Step], str]) -> Iterator[None]:
    """Spell the steps of what is raised within: the same call as the command `again`, which may be asked for then,
    and some `stages` in their own way. What is not named is left to whoever is further out.
    """

    def words(step: Step) -> str | Step:
        if step.stage in stages:
            return stages[step.stage](step)
        same = again if isinstance(again, str) else again()
        return step if step.stage or not same else " ".join([same, *words_of(step)])

    def spell(error: MigrateError) -> MigrateError:
        return error.spell(words)

    try:
        with telling(spell):  # also for an end that is forced, by another thread than the command's
            yield
    except MigrateError as error:
        spell(error)
        raise


def command_of(step: Step, *options: str) -> str:
    """The command of a stage, such as `chat-migrate map snapshot --out mapped`."""
    return shlex.join([_PROGRAM, step.stage, *words_of(step), *options])


def extract_command(
    out: Path, options: ExtractOptions, api: TwilioApi, stage: str = "extract", **others: object
) -> str:
    """The command that resumes an extract, or a run that begins with one, with `others` of its options; identities,
    being personal data, are left for the caller to fill in.
    """
    default = type(options)()
    arguments = {
        "out": out,
        **others,
        "service": options.services,
        "binding_type": options.binding_types,
        "identity_file": options.identity_file,
        "identity_column": options.identity_column != default.identity_column and options.identity_column,
        "source": options.source != default.source and options.source,
        "no_shard": not options.shard,
        "no_alerts": not options.alerts,
    }
    return command_of(Step(stage, arguments), *api.options) + " --identity …" * len(options.identities)


def words_of(step: Step) -> Iterator[str]:
    """What a step is called with, as arguments and options; nothing is said of what is None or False."""
    for name, value in step.arguments.items():
        option = [] if name in _ARGUMENTS else [f"--{name.replace('_', '-')}"]
        if isinstance(value, bool) or value is None:
            yield from option if value else ()
            continue
        for one in value if isinstance(value, tuple) else (value,):
            yield from (*option, _word(one)) if option else (_argument(one),)


def _word(value: object) -> str:
    """An option's value as a command line takes it; a length of time is in days, hours or minutes, as it fits."""
    if not isinstance(value, timedelta):
        return str(value)
    units = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
    name, unit = next(((name, unit) for name, unit in units.items() if not value % unit), ("m", units["m"]))
    return f"{value // unit}{name}"


def _argument(value: object) -> str:
    """An argument as a command line takes it: one that begins with a hyphen, as a path may, would be an option."""
    text = str(value)
    return f"./{text}" if text.startswith("-") else text


def same_command(*instead: str, without: Collection[str] = (), is_done: bool = False) -> str:
    """The command line that was given, for a message that says how to resume.

    `instead` takes the place of the parameters `without`, if there are any. Its reports that are there, or will be
    where it `is_done` by the time that it is repeated, are written again: with --overwrite.
    """
    context = click.get_current_context()
    some = [param for param in context.command.params if param.name not in without]
    words = [*instead, *_as_given(context, some)]
    if not context.params.get("overwrite", True) and any(
        is_done or path.exists() for param in some for path in _reports(context, param)
    ):
        words.append("--overwrite")
    return shlex.join([_PROGRAM, context.info_name or "", *words])


def _reports(context: click.Context, param: click.Parameter) -> Iterator[Path]:
    """The files of a parameter that are not overwritten without --overwrite."""
    if getattr(param.type, "stays", False):
        value = context.params[param.name or ""]
        yield from value if isinstance(value, tuple) else () if value is None else (value,)


def same_options(*names: str) -> list[str]:
    """Those of some options that were given, as they were, for another command that has them, too."""
    context = click.get_current_context()
    return [*_as_given(context, (param for param in context.command.params if param.name in names))]


def _as_given(context: click.Context, params: Iterable[click.Parameter]) -> Iterator[str]:
    """The words of parameters that stand in the command line."""
    for param in params:
        name = param.name or ""
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        flag = [max(param.opts, key=len)] if isinstance(param, click.Option) else []
        if isinstance(param, click.Option) and (param.is_flag or param.count):
            yield from flag * int(value)
            continue
        for one in value if isinstance(value, tuple) else (value,):
            yield from (*flag, _word(one)) if flag else (_argument(one),)
