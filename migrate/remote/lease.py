"""One writer to a folder in a store: a claim that is renewed, and that another may remove once it no longer is.

Whoever wants the folder takes a number that is higher than all that it sees, and gives way to lower ones (Lamport's
bakery): of several that begin at once exactly one gets it. That needs no conditional writes, which some servers
ignore without a word; it needs lists that show what was put before, as all large stores have them. No clock is
compared: a claim counts as given up once it was seen not to change for as long as it says.
"""

from __future__ import annotations

import json
import os
import platform
import re
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from migrate.model.errors import MigrateError, RefusedError
from migrate.remote.store import Store, StoreError
from migrate.runtime.interrupts import check

FOLDER = ".lease"  # in the folder that is claimed
SECONDS = 60.0
VARIABLE = "CHAT_MIGRATE_LEASE"  # seconds, for stores or machines that are slower or quicker than most
_SHORTEST, _LONGEST = 1.0, 3_600.0
_CHOOSING = "choosing"
_CLAIM = re.compile(
    rf"(?:[0-9]{{8,}}|{_CHOOSING})-[0-9a-f]{{16}}\.json"
)  # as claims are called; others may lie there


class LostLeaseError(MigrateError):
    """Another process took the folder over, because this one has not renewed its claim in time."""


def is_claim(way: str) -> bool:
    """Whether an object is of a lease, and not of what is stored."""
    return FOLDER in way.split("/")[:-1]


class Lease:
    """The claim to one folder. `take` waits until it is ours; then it is renewed until it is given up."""

    def __init__(self, store: Store, say: Callable[[str], None]) -> None:
        self._store = store
        self._say = say
        self._id = os.urandom(8).hex()
        self._seconds = _seconds()
        self._renewals = 0
        self._renewed = 0.0  # when, by `_now`
        self._lost = False
        self._name = ""
        self._lock = threading.Lock()
        self._ended = threading.Event()

    @property
    def renewal(self) -> float:
        """Seconds between two renewals."""
        return self._seconds / 4

    def take(self) -> None:
        """Get the folder. Raises `RefusedError` if another process has it, or one in or above it."""
        choosing = f"{FOLDER}/{_CHOOSING}-{self._id}.json"
        self._store.write(choosing, self._content())
        try:
            number = 1 + max((number for number, _ in map(_ticket, self._claims())), default=0)
            self._name = f"{FOLDER}/{number:08}-{self._id}.json"
            self._renew()
            if self._store.read(choosing) is None:  # it took so long that another took this for dead
                self.give_up()
                raise self._refusal(None)
        finally:
            self._store.remove(choosing)
        threading.Thread(target=self._keep, name="lease", daemon=True).start()
        try:
            if self._clear_dead(self._before_ours()):  # whoever had it finds out as it renews
                self._wait(self._seconds / 2)
                if self._before_ours():
                    raise self._refusal(None)
        except BaseException:
            self.give_up()
            raise

    def sure(self) -> None:
        """Raise `LostLeaseError` if the folder is not ours any more; asks the store if that is not known."""
        if not self._lost and _now() - self._renewed > self._seconds / 2:
            self._renew()
        if self._lost or self._ended.is_set():
            raise LostLeaseError(
                f"Another process has taken {self._store.url} over, because this one could not renew its claim"
            )

    def end(self) -> None:
        """Renew it no more, and let nothing be stored by it."""
        self._ended.set()

    def give_up(self) -> None:
        """Let another have it, where the store can be told."""
        self.end()
        if self._name and not self._lost:
            with self._lock:
                try:
                    self._store.remove(self._name)
                except StoreError:
                    return  # others find that it is not renewed

    def _keep(self) -> None:
        while not self._ended.wait(self.renewal) and not self._lost:
            try:
                self._renew()
            except StoreError:
                continue  # as long as nobody took it over, it is ours

    def _renew(self) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            if self._renewals and self._store.read(self._name) is None:
                self._lost = True
                return
            self._renewals += 1
            before = self._renewed
            self._store.write(self._name, self._content())
            self._renewed = _now()
            if before and self._renewed > before + self._seconds:  # then another may have removed it meanwhile
                self._lost = any(not way.endswith(self._name) for way in self._claims())

    def _content(self) -> bytes:
        facts = {
            "host": platform.node(),
            "process": os.getpid(),
            "seconds": self._seconds,
            "renewals": self._renewals,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return json.dumps(facts).encode()

    def _claims(self) -> list[str]:
        """The ways to the claims to this folder, to one within it, and to those above it."""
        found = [way for way in self._store.objects() if is_claim(way)]
        above = self._store.url.partition("://")[2].count("/")  # a bucket is the topmost
        for steps in range(1, above + 1):
            way = "/".join([*[".."] * steps, FOLDER])
            found += [f"{way}/{name}" for name in self._store.names_at(way)]
        return [way for way in found if _CLAIM.fullmatch(way.rpartition("/")[2])]

    def _before_ours(self) -> list[str]:
        """The claims that have come before; one that is only choosing is waited for."""
        first_seen: dict[str, float] = {}
        while True:
            claims = self._claims()
            choosing = [way for way in claims if _is_choosing(way)]
            if not choosing:
                return [way for way in claims if _ticket(way) < _ticket(self._name)]
            for way in choosing:
                if _now() > first_seen.setdefault(way, _now()) + self._seconds:  # it was killed then
                    self._store.remove(way)
            self._wait(self._seconds / 100)

    def _clear_dead(self, ways: Sequence[str]) -> bool:
        """Watch claims, all at once, and remove those that are not renewed; whether there were any.

        Raises `RefusedError` for one that is renewed.
        """
        begun, were_dead = _now(), False
        watched = {way: claim for way in ways if (claim := self._store.read(way)) is not None}
        if watched:
            longest = max(map(_seconds_of, watched.values()))
            self._say(f"{self._store.url} is claimed: waiting up to {longest:.0f} s to see whether that is renewed")
        while watched:
            self._wait(min(1.0, self._seconds / 20))
            for way, first in [*watched.items()]:
                now = self._store.read(way)
                if now is not None and now != first:
                    raise self._refusal(now)
                if now is None or _now() > begun + _seconds_of(first):
                    del watched[way]
                if now is not None and way not in watched:
                    self._store.remove(way)
                    were_dead = True
        return were_dead

    def _refusal(self, claim: bytes | None) -> RefusedError:
        try:
            facts = json.loads(claim or b"{}")
            who = f", process {int(facts['process'])} on {facts['host']}"
        except (ValueError, LookupError, TypeError):
            who = ""
        return RefusedError(
            f"Another process is writing {self._store.url}{who}",
            kept="Nothing was changed",
            remedy="Wait for it, or stop it",
        )

    def _wait(self, seconds: float) -> None:
        end = _now() + seconds
        while (left := end - _now()) > 0:
            check()
            time.sleep(min(left, 0.2))


def _now() -> float:
    """Seconds that go on while the machine is suspended, where the system counts them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _seconds() -> float:
    try:
        wanted = float(os.environ.get(VARIABLE, SECONDS))
    except ValueError:
        wanted = 0.0
    if not _SHORTEST <= wanted <= _LONGEST:
        raise RefusedError(
            f"{VARIABLE} is no number of seconds from {_SHORTEST:.0f} to {_LONGEST:,.0f}",
            remedy="Correct it, or unset it",
        )
    return wanted


def _seconds_of(claim: bytes) -> float:
    """How long a claim is to be watched; at least as long as ours, whatever it says."""
    try:
        wanted = float(json.loads(claim)["seconds"])
    except (ValueError, LookupError, TypeError):
        wanted = 0.0
    return min(max(wanted, _seconds()), _LONGEST)


def _is_choosing(way: str) -> bool:
    return way.rpartition("/")[2].startswith(f"{_CHOOSING}-")


def _ticket(way: str) -> tuple[int, str]:
    """A claim's number and name, by which claims are ordered; one that is choosing has none yet."""
    name = way.rpartition("/")[2]
    return 0 if _is_choosing(way) else int(name.partition("-")[0]), name
