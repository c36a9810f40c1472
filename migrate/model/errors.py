"""Errors: one sentence for the operator, what was kept, what to do next, and an exit code.

Exit codes are part of the command line's contract: 1 error, 2 wrong usage, 4 refused (unsafe or
blocked), 5 stale, 6 partly applied, 130 interrupted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Self

from migrate.model.text import printable


@dataclass(frozen=True)
class Step:
    """What to do next, as data: a stage and what it is called with; without a stage, the same call again.

    The command line spells it as a command; `str` is for a program that calls the library.
    """

    stage: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        named = ", ".join(f"{name}={value}" for name, value in self.arguments.items() if value is not None)
        if self.stage:
            return f"{self.stage}({named})"
        return f"the same call with {named}" if named else "the same call"


AGAIN = Step()
Remedy = str | tuple[str | Step, ...]  # words, and between them the steps that they name


class MigrateError(Exception):
    """Base of every error that is meant for the operator.

    `what` says what happened; `kept` what is safe on disk; `remedy` what to do or to run next, `steps` the same as
    data. `str(error)` is the three in one line, safe to show whatever a server put into it. `result` is what a call
    has done all the same, where that is something.
    """

    exit_code = 1
    is_final = False  # whether the same command again would end alike: then no error says to resume with it
    result: object = None

    def __init__(self, what: str, *, kept: str = "", remedy: Remedy = "") -> None:
        super().__init__(what)
        self.what = what
        self.kept = kept
        self.remedy = remedy
        self.commands: tuple[str, ...] = ()  # in the words of `spell`: they are there to be copied

    def __reduce__(self) -> tuple[Any, ...]:
        """How it goes to another process: whole, whatever its class is created with, but for `result`."""
        state = {name: value for name, value in self.__dict__.items() if name != "result"}
        return type(self).__new__, (type(self), *self.args), state

    @property
    def remedy(self) -> str:
        """What to do next, in words."""
        return "".join(map(str, self._remedy))

    @remedy.setter
    def remedy(self, remedy: Remedy) -> None:
        self._remedy: tuple[str | Step, ...] = (remedy,) if isinstance(remedy, str) else remedy

    @property
    def parts(self) -> tuple[str | Step, ...]:
        """What to do next, as words and the steps between them."""
        return self._remedy

    @property
    def steps(self) -> tuple[Step, ...]:
        """What the remedy names to be done next; `AGAIN` among them says that the same call resumes."""
        return tuple(part for part in self._remedy if isinstance(part, Step))

    def spell(self, words: Callable[[Step], str | Step]) -> Self:
        """Put words in the place of steps; a step that is given back stays for whoever is further out."""
        spelt = [(part, words(part) if isinstance(part, Step) else part) for part in self._remedy]
        self._remedy = tuple(now for _, now in spelt)
        self.commands += tuple(now for part, now in spelt if now is not part and isinstance(now, str))
        return self

    def within(self, where: str, *, kept: str, remedy: Remedy) -> Self:
        """The same error, as a caller reports it: where it happened, what is kept, how to resume."""
        self.what = f"{where}: {self.what}"
        self.kept = kept
        if not self.is_final:
            self.remedy = also(self._remedy, remedy)
        return self

    def __str__(self) -> str:
        commands = tuple(filter(None, self.commands))
        parts = [_without_period(part, commands) for part in (self.what, self.kept, self.remedy) if part]
        ended = [part if part.endswith("?") else f"{part}." for part in parts[:-1]] + parts[-1:]
        return printable(" ".join(" ".join(ended).split()))


def _without_period(text: str, commands: tuple[str, ...] = ()) -> str:
    """A text without its period; a dot that ends a command, or stands for a folder (`.`, `..`), is part of it."""
    return text if text.endswith(commands) else re.sub(r"(?<=[^\s./])\.+$", "", text)


def also(first: Remedy, second: Remedy) -> Remedy:
    """Two remedies, one after the other."""
    before, after = ((one,) if isinstance(one, str) else one for one in (first, second))
    *some, last = before
    if not some and not last:
        return after
    ended = (f"{_without_period(last)}. ",) if isinstance(last, str) else (last, ". ")
    return (*some, *ended, *after)


# Files that the program keeps beside those that an operator knows, by name: whole until they are renamed, or locks.
_OWN_FILE = re.compile(r"\.(?:(?:duckdb|work|chat-migrate)-.*|.+\.partial|.+\.lock)", re.DOTALL)


def place_of(error: OSError, otherwise: object = "") -> str:
    """The file or folder that the system refused, as an operator knows it: of our own files their folder."""
    if not isinstance(error.filename, str | bytes | PurePath):  # a descriptor says nothing
        return str(otherwise)
    place = known_part(PurePath(os.fsdecode(error.filename)))
    return str(place) if place.parts else str(otherwise or PurePath())


def known_part(path: PurePath) -> PurePath:
    """A path as an operator knows it: of our own files and folders, the folder that they are in."""
    own = next((number for number, part in enumerate(path.parts) if _OWN_FILE.fullmatch(part)), len(path.parts))
    return PurePath(*path.parts[:own])


# How Arrow says what the system said: behind words and a path of its own.
_OF_ARROW = re.compile(r".*\bDetail: \[errno \d+\] (.+)", re.DOTALL | re.IGNORECASE)


def reason_of(error: OSError) -> str:
    """Why the system refused something, in its words: `no space left on device`."""
    reason = error.strerror or str(error)
    found = _OF_ARROW.fullmatch(reason)
    return (found[1] if found else reason).lower()


class InputError(MigrateError):
    """A file or folder that was given cannot be used: unreadable, of another kind, malformed."""


class UsageError(MigrateError):
    """The command was called without something that it cannot do without, such as credentials."""

    exit_code = 2


class RefusedError(MigrateError):
    """Going on would be unsafe: something would be overwritten, or what was given is not to be trusted."""

    exit_code = 4


class OtherAccountError(RefusedError):
    """Twilio's answers are of another account than the credentials are taken for. It ends the whole run."""


class StaleError(MigrateError):
    """Somebody has changed the target since the plan was made; what they changed was left as it is."""

    exit_code = 5


class PartlyAppliedError(MigrateError):
    """Some of a plan was written and some was not; the journal says which."""

    exit_code = 6


class InterruptedRunError(MigrateError):
    """The operator stopped the run; what was finished is kept and the run can be resumed."""

    exit_code = 130


class TwilioError(MigrateError):
    """A request to Twilio did not succeed. `status` is None where no answer came, `code` where Twilio named none.

    `is_twilios` says that the answer has the form of Twilio's errors, and not of what something on the way answers.
    """

    def __init__(
        self,
        what: str,
        *,
        status: int | None = None,
        code: int | None = None,
        is_twilios: bool = False,
        kept: str = "",
        remedy: Remedy = "",
    ) -> None:
        super().__init__(what, kept=kept, remedy=remedy)
        self.status = status
        self.code = code
        self.is_twilios = is_twilios


class ServiceGoneError(TwilioError):
    """A service was deleted while it was read. What was begun with it cannot be completed, so it does not resume."""

    is_final = True


class TransientTwilioError(TwilioError):
    """A failure that may pass: no connection, 429, 5xx. `retry_after` is in seconds where Twilio named it."""

    def __init__(
        self, what: str, *, status: int | None = None, retry_after: float | None = None, remedy: str = ""
    ) -> None:
        super().__init__(what, status=status, remedy=remedy)
        self.retry_after = retry_after


class HostNotFoundError(TransientTwilioError):
    """The name of Twilio's host is not known, and no proxy is asked: the name service fails, or the host is gone."""


class NothingListensError(TransientTwilioError):
    """The host refuses the connection, and no proxy is asked: no server listens at that port."""
