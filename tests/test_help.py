"""Help: the commands in the order of the work, whole sentences, and the shared options apart and explained once."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import click
import pytest

from migrate.cli import commands
from migrate.cli.app import SECTIONS, cli
from migrate.cli.help import Command, SharedOption
from tests.test_start import LATER

OVERVIEW = click.Context(cli, info_name="chat-migrate", **cli.context_settings).get_help()
SHARED = {
    option.name: option for command in cli.commands.values() for option in command.params
    if isinstance(option, SharedOption)
}  # fmt: skip


def paragraph(heading: str, text: str = OVERVIEW) -> str:
    """What stands below a heading, in one line."""
    _, _, below = text.partition(f"\n{heading}:\n")
    return " ".join(below.partition("\n\n")[0].split())


def test_every_command_in_the_code_is_placed_in_a_section() -> None:
    """One that is in no section could not be called, and no list would say so."""
    modules = [import_module(f"{commands.__name__}.{module.name}") for module in iter_modules(commands.__path__)]
    found = {value for module in modules for value in vars(module).values() if isinstance(value, click.Command)}
    assert found == set(cli.commands.values())
    assert all(isinstance(command, Command) for command in found), "use @click.command(cls=Command)"


def test_the_sections_are_in_the_order_of_the_work() -> None:
    assert list(SECTIONS) == ["Prepare", "Rehearse", "Cut over", "Afterwards", "Tools"]
    places = [OVERVIEW.index(f"\n{section}:\n") for section in SECTIONS]
    assert places == sorted(places)
    assert len(cli.commands) == sum(map(len, SECTIONS.values())), "a command is placed twice"


@pytest.mark.parametrize(("section", "names"), SECTIONS.items())
def test_each_section_has_its_commands_with_the_whole_first_sentence(section: str, names: dict[str, str]) -> None:
    for name in names:
        first, _, _ = " ".join((cli.commands[name].help or "").split()).partition(". ")
        assert f"{name} {first.removesuffix('.')}." in paragraph(section)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_nothing_is_cut_off_at_any_width(width: int) -> None:
    for command in (cli, *cli.commands.values()):
        parent = None if command is cli else click.Context(cli, info_name="chat-migrate", **cli.context_settings)
        context = click.Context(command, parent=parent, info_name=command.name, terminal_width=width)
        shown = command.get_help(context)
        assert not re.search(r"[a-z,](\.\.\.|…)", shown)
        assert "\xa0" not in shown


def test_shared_options_are_explained_once_in_the_overview() -> None:
    assert {"chat_url", "record", "replay", "concurrency", "retry_budget", "log_file", "no_color"} <= set(SHARED)
    groups = {option.group for option in SHARED.values()}
    for option in SHARED.values():
        assert option.help
        explained = [group for group in groups if " ".join(option.help.split()) in paragraph(group)]
        assert explained == [option.group]


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_a_command_names_its_shared_options_apart_and_explains_its_own(name: str) -> None:
    parent = click.Context(cli, info_name="chat-migrate", **cli.context_settings)
    shown = click.Context(cli.commands[name], parent=parent, info_name=name, terminal_width=80).get_help()
    own, _, apart = shown.partition("Common options, which `chat-migrate --help` explains:\n")
    options = own.partition("\nOptions:\n")[2]
    for option in cli.commands[name].params:
        if isinstance(option, SharedOption):
            assert option.named() in apart
            assert not any(line.startswith(f"  {option.opts[0]} ") for line in options.splitlines())
        elif isinstance(option, click.Option) and not option.hidden:
            assert option.opts[0] in options
    assert all(len(line) <= 80 for line in apart.splitlines())


def test_help_loads_nothing_that_is_slow() -> None:
    code = "import sys; from migrate.cli.app import cli; cli(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    modules = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "migrate" in modules
    assert not (LATER | {"rich", "yaml", "twilio", "requests"}) & modules
