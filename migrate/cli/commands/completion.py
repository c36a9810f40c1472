"""chat-migrate completion."""

from __future__ import annotations

import click

from migrate.cli.help import Command

SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Write the script that completes commands and options in a shell.

    \b
    Example:
      chat-migrate completion bash > ~/.local/share/bash-completion/completions/chat-migrate
      chat-migrate completion zsh > ~/.zfunc/_chat-migrate
      chat-migrate completion fish > ~/.config/fish/completions/chat-migrate.fish
    """
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    kind = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    click.echo(kind(context.find_root().command, {}, "chat-migrate", "_CHAT_MIGRATE_COMPLETE").source())
