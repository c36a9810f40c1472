"""URLs in the place of paths: what is at them is brought before a command, and stored while it runs and after it."""

from __future__ import annotations

import _thread
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrate.cli.console import broken
from migrate.cli.spelling import same_command
from migrate.model.errors import MigrateError
from migrate.runtime.interrupts import telling
from migrate.storage import places

if TYPE_CHECKING:
    from migrate.remote.tree import WorkingTree

_KEY = "migrate.remotes"


class Remotes:
    """What a command has brought from stores. Nothing is imported for it before there is a URL."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._tree: WorkingTree | None = None
        self._context: click.Context | None = None

    def open(self, url: str, *, writes: bool = False, is_file: bool = False) -> Path:
        """Bring what is at a URL, and return where it is worked on; see `WorkingTree.open`."""
        if self._tree is None:
            from migrate.remote.tree import WorkingTree

            self._context = click.get_current_context(silent=True)
            self._stack.enter_context(telling(_with_urls))
            self._stack.enter_context(self._spelling())
            self._tree = self._stack.enter_context(WorkingTree(_say, _thread.interrupt_main))
        return self._tree.open(url, writes=writes, is_file=is_file)

    def bring(self, url: str) -> None:
        """Bring what a file leads to, such as the snapshot that was mapped."""
        self.open(url)

    def store(self) -> None:
        """Store what was written until now."""
        if self._tree:
            self._tree.store()

    @contextmanager
    def _spelling(self) -> Iterator[None]:
        """Spell how to resume once what was made could not be stored: the command is over by then."""
        with telling(self._spelt):
            try:
                yield
            except MigrateError as error:
                self._spelt(error)
                raise

    def _spelt(self, error: MigrateError) -> MigrateError:
        if self._context and error.steps:
            with suppress(LookupError), self._context.scope(cleanup=False):
                again = same_command(without=("record",))
                error.spell(lambda step: step if step.stage else again)
        return error


@contextmanager
def remotes_for(context: click.Context) -> Iterator[None]:
    """Have URLs opened for what is called within, and stored at its end."""
    with ExitStack() as stack:
        remotes = context.meta[_KEY] = Remotes(stack)
        places.brought_by(remotes.bring)
        stack.callback(places.brought_by, None)
        yield


def remotes_of(context: click.Context | None) -> Remotes | None:
    """What was opened for a command; None outside of the command line."""
    return context.meta.get(_KEY) if context else None


def _with_urls(error: MigrateError) -> MigrateError:
    """The error with URLs in the place of working copies: a forced end shows it without the console."""
    error.what, error.kept = places.shown(error.what), places.shown(error.kept)
    error.remedy = tuple(places.shown(part) if isinstance(part, str) else part for part in error.parts)
    return error


def _say(message: str) -> None:
    click.echo(broken(message), err=True)
