"""Faults to order: what can be asked for, and how it is decided which request gets which.

A decision is a hash of the seed, its purpose and the request, not the next number of a row: the same requests get
the same faults whatever order they come in, and from however many threads. The same request, asked again, is
decided again, so that a retry can get through.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Literal

# Answered in place of the real answer, before anything is changed.
REFUSALS = ("429", "500", "502", "503", "504")
# The real answer, damaged or lost on its way: what was asked for has been done.
DAMAGES = ("reset", "cut", "short", "garbage", "not-a-page", "stall")
KINDS = REFUSALS + DAMAGES
DEFAULT_KINDS = KINDS[:-1]  # a stall takes its time


@dataclass(frozen=True)
class Faults:
    """What goes wrong, and how much of it. By default nothing does; 0 and None are "off".

    `latency` is the time before each answer, in seconds. `rate` is the share of requests that fail, each in one of
    the ways that `kinds` names:

    - "429": code 20429, in half the cases with a Retry-After of `retry_after` seconds; "500": without a code;
      "502": a page of HTML; "503": code 20503; "504": empty. Nothing has been changed then.
    - "reset": no answer; "cut": less than its Content-Length, then the end; "stall": the same, with `stall` seconds
      of silence before the end; "short": JSON that ends in the middle; "garbage": no JSON; "not-a-page": a JSON
      object of another form. What was asked for has been done. An answer that is an error anyway is left alone.

    `most_at_once` is how many requests are answered at one time; those beyond get 429. Every answer then says in
    Twilio-Concurrent-Requests how many there are. `chat_gone` is the status that all of Chat answers with.
    `token_expiry` is the share of right page tokens that are refused. After each so many pages of bindings, `growth`
    registers a binding at the end of the service that was read, and `deletion` deletes one of it.
    `bytes_per_second` is how fast each body is sent.
    """

    seed: int = 0
    latency: float = 0
    rate: float = 0
    kinds: tuple[str, ...] = DEFAULT_KINDS
    retry_after: int = 0
    stall: float = 5
    most_at_once: int = 0
    chat_gone: Literal[403, 404, 410] | None = None
    token_expiry: float = 0
    growth: int = 0
    deletion: int = 0
    bytes_per_second: int = 0

    def __post_init__(self) -> None:
        """Raises `ValueError` for kinds that are not known, or none at all."""
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise ValueError(f"Faults are of these kinds: {', '.join(KINDS)}")

    @property
    def active(self) -> bool:
        """Whether anything is to go wrong, or slowly."""
        waits = self.latency or self.bytes_per_second or self.most_at_once
        return bool(waits or self.rate or self.chat_gone or self.token_expiry or self.growth or self.deletion)


@dataclass(frozen=True)
class Asked:
    """One request as decisions see it: its method, its path with the query, and how often it came before."""

    seed: int
    method: str
    target: str
    before: int

    def share(self, purpose: str) -> float:
        """A number from 0 up to, but not including, 1: always the same for the same request and purpose."""
        text = f"{self.seed} {purpose} {self.before} {self.method} {self.target}"
        return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 11) / 2**53

    def place(self, purpose: str, length: int) -> int:
        """A place within something of this length (at least 2): neither its beginning nor its end."""
        return 1 + int(self.share(purpose) * (length - 1))

    def kind(self, faults: Faults) -> str | None:
        """The fault that the request gets, if any."""
        if self.share("fault") >= faults.rate:
            return None
        return faults.kinds[int(self.share("kind") * len(faults.kinds))]


class Register:
    """Counts how often each request has been asked."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._asked: Counter[tuple[str, str]] = Counter()

    def enter(self, method: str, target: str) -> Asked:
        """The request, entered."""
        before = self._asked[method, target]
        self._asked[method, target] += 1
        return Asked(self._seed, method, target, before)
