"""Every expected failure of a command becomes one line and an exit code."""

from __future__ import annotations

from typing import Any

import click

from migrate.model.errors import MigrateError

INTERRUPTED = 130


class _Failure(click.ClickException):
    """An error as click shows it: one line, and its own exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click's is one for the class


class Commands(click.Group):
    """A group of commands whose failures are told, not traced."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except MigrateError as error:
            raise _Failure(str(error), error.exit_code) from error
        except KeyboardInterrupt:
            raise _Failure("Interrupted", INTERRUPTED) from None
        except BrokenPipeError:
            raise
        except OSError as error:
            where = f" {error.filename}" if error.filename else ""
            raise _Failure(f"Cannot use{where}: {(error.strerror or str(error)).lower()}", 1) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            # Its text is left out: nobody has looked for secrets in it.
            message = f"Unexpected {type(error).__name__}, which is a mistake in this program; -v shows where"
            raise _Failure(message, 1) from error
