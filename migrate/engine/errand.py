"""A call that a worker does in another process: what goes there, and what comes back; Dask shows neither."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from migrate.model.errors import MigrateError
from migrate.storage.database import one_thread


class Errand:
    """A call as a cluster sees it: the name of the function, and bytes.

    Its arguments are pickled here, and only the worker that does it reads them: what Dask shows of a task, on
    its pages, in its logs and in what it says of a failure, is this `repr`.
    """

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.name = function.__name__
        self._call = pickle.dumps((function, arguments, named))

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _errand, (self.name, self._call)

    def do(self) -> Any:
        """Make the call."""
        function, arguments, named = pickle.loads(self._call)  # noqa: S301  # made by this program
        return function(*arguments, **named)


def _errand(name: str, call: bytes) -> Errand:
    errand = Errand.__new__(Errand)
    errand.name, errand._call = name, call
    return errand


@dataclass(frozen=True, repr=False)
class Answer:
    """What came of an errand: a value, or the error that it ended with; `frames` says where, without any value."""

    value: Any = None
    error: Exception | None = None
    frames: str = ""

    def __repr__(self) -> str:
        return "<answer>"


def do(errand: Errand) -> Answer:
    """Do an errand, in a worker. Nothing is raised: Dask would write the error's text into its logs."""
    one_thread()
    try:
        return Answer(errand.do())
    except (Exception, KeyboardInterrupt) as error:
        found = reversed(traceback.extract_tb(error.__traceback__))
        return Answer(error=_portable(error), frames=" < ".join(f"{one.name}:{one.lineno}" for one in found))


def _portable(error: BaseException) -> Exception:
    """An error as it goes to the command: what is meant for the operator, or the system's refusal, as it is.

    Of others no more than their kind goes: their text was not searched for secrets.
    """
    if isinstance(error, MigrateError | OSError):
        error.__traceback__ = error.__cause__ = error.__context__ = None
        try:
            found: Exception = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own, of just before
        except Exception:  # a library's error may hold what cannot go
            return _unexpected(error)
        return found
    return _unexpected(error)


def _unexpected(error: BaseException) -> MigrateError:
    return MigrateError(f"Unexpected {type(error).__name__}, which is a mistake in this program; -v shows where")
