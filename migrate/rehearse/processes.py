"""The program itself in processes of its own: the stand-in that serves, and the command lines that are rehearsed.

They see nothing of Twilio: no address, no credential, no lock of a real load. What they say goes into files.
"""

from __future__ import annotations

import os
import re
import site
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from migrate.model.errors import MigrateError
from migrate.model.text import lasting
from migrate.storage.files import make_private_folder

PATIENCE = 120.0  # seconds that a child may take before it counts as stuck
A_CHANGE = 10.0  # and so many more for each change
KILLED = -9  # the exit code of who was; Windows has no name for that signal
GENTLE = 2.0  # seconds that children have to end by themselves
_POLL = 0.002
# The child's own are set instead; a proxy would be asked for this machine's loopback.
_NOT_INHERITED = re.compile(r"TWILIO_.*|CHAT_MIGRATE_.*|COLUMNS|(?i:.*_proxy)")
_EXPORT = re.compile(r"^export (\w+)=(.*)\n", re.MULTILINE)


class StuckError(Exception):
    """A child took longer than it may."""


@dataclass
class Child:
    """One run of the program; `out` and `told` are the files with its two streams."""

    process: subprocess.Popen[bytes]
    out: Path
    told: Path
    started: float = field(default_factory=time.monotonic)

    @property
    def last_line(self) -> str:
        """The last thing that it said on standard error; empty if it said nothing."""
        lines = self.told.read_text("utf-8", "replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "")

    def is_within(self, seconds: float) -> bool:
        """Whether it was started no longer ago."""
        return time.monotonic() - self.started < seconds

    def wait(self, seconds: float) -> int:
        """Its exit code, negative for a signal. Raises `StuckError`, and ends it, if it takes longer."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.end()
            raise StuckError(f"it was not done after {lasting(round(seconds))}") from None

    def wait_until(self, seen: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is seen, or the child ends; whether it was seen. Raises `StuckError` as `wait`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            if seen():
                return True
            if ended:
                return False
            time.sleep(_POLL)
        self.end()
        raise StuckError(f"it was not done after {lasting(round(seconds))}")

    def kill(self) -> int:
        """End it as a power cut would; its exit code."""
        self.process.kill()
        return self.process.wait()

    def end(self, seconds: float = GENTLE) -> None:
        """End it, gently if it lets itself within so many seconds."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.process.stdin:
            self.process.stdin.close()


@dataclass
class Children:
    """Starts children in a private folder, and ends all of them. `seconds` is how long each may take."""

    work: Path
    seconds: float = PATIENCE
    _own: dict[str, str] = field(default_factory=dict)
    _started: list[Child] = field(default_factory=list)

    def start(self, *arguments: object, held: bool = False) -> Child:
        """Start `chat-migrate` with these arguments; where it is `held`, its standard input is open for as long as
        this process lives.
        """
        number = len(self._started) + 1
        out, told = (self.work / f"{number:02}-{arguments[0]}.{stream}" for stream in ("out", "err"))
        with out.open("wb") as stdout, told.open("wb") as stderr:
            process = subprocess.Popen(  # noqa: S603  # this program, with arguments that are made here
                # Without -P, a file of the working folder could take a library's place.
                [sys.executable, "-P", "-m", "migrate", *map(str, arguments)],
                stdin=subprocess.PIPE if held else subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=self._environment(os.environ),
            )
        child = Child(process, out, told)
        self._started.append(child)
        return child

    def run(self, *arguments: object) -> tuple[int, Child]:
        """Run `chat-migrate` to its end; its exit code. Raises `StuckError`, also where the stand-in has ended."""
        child = self.start(*arguments)
        while self._serves() and child.process.poll() is None and child.is_within(self.seconds):
            time.sleep(_POLL)
        if child.process.poll() is None and not self._serves():
            child.end()
            raise StuckError("the stand-in has ended")
        return child.wait(0), child

    def _serves(self) -> bool:
        return all(child.process.poll() is None for child in self._started if child.process.stdin)

    def serve(self, *arguments: object) -> dict[str, str]:
        """Start a stand-in, and take its addresses and credentials for all later children; gives them.

        Raises `MigrateError` if it does not come up.
        """
        child = self.start("standin", "--until-closed", *arguments, held=True)
        found: dict[str, str] = {}

        def serving() -> bool:
            found.update(_EXPORT.findall(child.out.read_text("utf-8")))
            return "TWILIO_AUTH_TOKEN" in found  # which comes last

        try:
            serves = child.wait_until(serving, self.seconds)
        except StuckError:
            serves = False
        if not serves:
            child.end()
            raise MigrateError(
                f"The stand-in does not serve the snapshot: {child.last_line or 'it does not say why'}"
            )
        self._own = found
        return found

    def allow(self, changes: int) -> None:
        """Give later children the time that so many changes take at most."""
        self.seconds = PATIENCE + A_CHANGE * changes

    def ask_to_end(self) -> None:
        """Ask all that still run to end, and do not wait for it."""
        for child in self._started:
            if child.process.poll() is None:
                child.process.terminate()

    def end(self) -> None:
        """End all that still run, gently if they let themselves."""
        self.ask_to_end()
        deadline = time.monotonic() + GENTLE
        for child in reversed(self._started):
            child.end(max(0.0, deadline - time.monotonic()))

    def _environment(self, ours: Mapping[str, str]) -> dict[str, str]:
        """What a child sees of this process's environment, and what it sees instead."""
        home = self.work / "home"
        make_private_folder(home)
        return {
            **{name: value for name, value in ours.items() if not _NOT_INHERITED.fullmatch(name)},
            **self._own,
            # Where the lock of an account is; libraries that were installed for this user are found all the same.
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "PYTHONUSERBASE": site.getuserbase(),
        }
