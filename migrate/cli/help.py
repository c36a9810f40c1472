"""Help: commands in the order of the work, and the options that many of them share apart from their own.

`chat-migrate --help` explains the shared options, once; a command's help names those that it takes.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

FLEET = "For all subaccounts"  # the group of options that make a command a fleet's
_WHOLE = 10_000  # characters: no summary is so long that it would be cut
_SPACE = "\xa0"  # at which no line is broken: between an option and its value


class SharedOption(click.Option):
    """An option that many commands share; `group` is the heading under which it is explained."""

    def __init__(self, *args: Any, group: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """None: it does not stand among a command's own options."""
        return None

    def explained(self, ctx: click.Context) -> tuple[str, str]:
        """How it is spelt, and what it does."""
        return super().get_help_record(ctx) or ("", "")

    def named(self) -> str:
        """How it is spelt, in one piece: `-v, --verbose`, `--record CASSETTE`."""
        words = ", ".join(self.opts)
        return words if self.is_flag or self.count else f"{words} {self.metavar}"


def shared_option(group: str) -> Callable[..., Callable[[Function], Function]]:
    """`click.option` for the options of a group."""
    return functools.partial(click.option, cls=SharedOption, group=group)


class Command(click.Command):
    """A command whose help names the shared options below its own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write its own options, then the names of the shared ones."""
        super().format_options(ctx, formatter)
        explained = f"which `{ctx.find_root().info_name} --help` explains"
        common = [option.named() for option in _shared(self) if option.group != FLEET]
        _write_names(formatter, f"Common options, {explained}", common)
        fleet = [option.named() for option in _shared(self) if option.group == FLEET]
        _write_names(formatter, f"{FLEET} (docs/fleet.md), {explained}", fleet)


def _write_names(formatter: click.HelpFormatter, heading: str, names: Sequence[str]) -> None:
    """Write how options are spelt, if there are any, in lines that break between two of them."""
    if not names:
        return
    with formatter.section(heading):
        indent = " " * formatter.current_indent
        lines = textwrap.wrap(
            "  ".join(name.replace(" ", _SPACE) for name in names), formatter.width, initial_indent=indent,
            subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        formatter.write("\n".join(lines).replace(_SPACE, " ") + "\n")


def _shared(command: click.Command) -> Iterator[SharedOption]:
    return (param for param in command.params if isinstance(param, SharedOption))


class Sections(click.Group):
    """A group that lists its commands by the section that they are placed in, in the order that is given."""

    sections: ClassVar[Mapping[str, Sequence[str]]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order of the sections."""
        return [name for names in self.sections.values() for name in names]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections, each command with the whole of its first sentence; then the shared options."""
        commands = {name: self.commands[name] for name in self.list_commands(ctx)}
        width = max(map(len, commands))
        for section, names in self.sections.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), commands[name].get_short_help_str(_WHOLE)) for name in names])
        shared: dict[str, dict[str, tuple[str, str]]] = {}
        for command in commands.values():
            for option in _shared(command):
                shared.setdefault(option.group, {})[option.name or ""] = option.explained(ctx)
        for group, options in shared.items():
            with formatter.section(group):
                formatter.write_dl([*options.values()])
