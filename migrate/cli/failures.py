"""Every expected failure of a command becomes one line and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any

import click

from migrate.cli.console import broken
from migrate.cli.remotes import remotes_for
from migrate.cli.spelling import command_of
from migrate.model.errors import MigrateError, place_of, reason_of
from migrate.runtime.interrupts import INTERRUPTED, is_stopping, saying


class _Failure(click.ClickException):
    """An error as click shows it: one line, broken on a terminal where it does not fit, and its own exit code.

    `commands` are those that it names, which stay whole.
    """

    def __init__(self, message: str, exit_code: int, commands: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click's is one for the class
        self._commands = commands

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the line to standard error."""
        line = f"Error: {self.message}"
        with saying():
            click.echo(broken(line, self._commands), file=file, err=True)


class _Context(click.Context):
    """A Ctrl-C just before or after the command is reported as one during it; click would say that it was aborted."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        except KeyboardInterrupt:
            kind = KeyboardInterrupt
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            raise _Failure("Interrupted", INTERRUPTED) from None


class Commands(click.Group):
    """A group of commands whose failures are reported, not traced."""

    context_class = _Context

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read what stands before the command."""
        try:
            return super().make_context(*args, **kwargs)
        except click.NoSuchOption as error:
            raise self._misplaced(error) from None
        except KeyboardInterrupt:  # click would say that it was aborted, and exit with 1
            raise _Failure("Interrupted", INTERRUPTED) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            with remotes_for(ctx):
                return super().invoke(ctx)
        except MigrateError as error:
            raise _Failure(str(error.spell(command_of)), error.exit_code, error.commands) from error
        except KeyboardInterrupt:
            raise _Failure("Interrupted", INTERRUPTED) from None
        except click.UsageError as error:
            if isinstance(error, click.NoSuchOption):
                error = self._misplaced(error)
            message = broken(f"Error: {error.format_message()}").removeprefix("Error: ")
            raise click.UsageError(message, error.ctx) from error
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:
            if is_stopping():  # what a library made of a KeyboardInterrupt, or of a connection that was closed
                raise _Failure("Interrupted", INTERRUPTED) from error
            if isinstance(error, click.Abort | BrokenPipeError):
                raise
            raise _told(error) from error

    def _misplaced(self, error: click.NoSuchOption) -> click.UsageError:
        """The error for an option that stands on the wrong side of the command; any other as it is."""
        name, context = error.option_name, error.ctx
        is_before = context is None or context.command is self
        there = [*self.commands.values()] if is_before else [self]
        if not any(name in param.opts for command in there for param in command.params):
            return error
        right = f"{name} goes after the command: chat-migrate COMMAND {name}"
        if not is_before:
            right = f"{name} takes no command: chat-migrate {name}"
        return click.UsageError(right, context)


def _told(error: Exception) -> _Failure:
    if isinstance(error, OSError):
        where = f" {place}" if (place := place_of(error)) else ""
        return _Failure(f"Cannot use{where}: {reason_of(error)}", 1)
    # Its text is left out: it was not searched for secrets.
    return _Failure(f"Unexpected {type(error).__name__}, which is a mistake in this program; -v shows where", 1)
