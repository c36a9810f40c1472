"""What Twilio refuses where it answers so many requests at a time: this program's own throttle and pauses, played.

An estimate. In a round, which takes one latency, all requests that may be under way are sent together, and their
answers come together; what is beyond the limit is answered 429, and is sent again after a pause of random length. In
fact requests begin one by one.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack

from migrate.twilio_api.retry import FIRST_WAIT, LONGEST_WAIT
from migrate.twilio_api.throttle import TOO_MANY, Throttle

_PLAYED = 40  # rounds with a refusal; those that follow are like the second half of these


class Throttled:
    """The requests of one account, each of so many seconds (`latency`) and up to `most` at a time, of which Twilio
    answers `allowed` (0: any number).
    """

    def __init__(self, latency: float, most: int, allowed: int) -> None:
        self._latency = latency
        self._most = most
        self._allowed = min(most, allowed or most)
        self._throttle = Throttle(most)
        self._chance = random.Random(0)  # noqa: S311  # the same estimate each time

    def walk(self, lengths: Sequence[int]) -> tuple[float, int]:
        """Chains of so many requests each, side by side: the rounds that they take, and the attempts, refused ones
        included.
        """
        chains, requests = sorted(lengths, reverse=True), sum(lengths)
        # Without latency, none is under way while another is sent.
        if len(chains) <= self._allowed or self._allowed == self._most or not self._latency:
            return max([*chains[:1], requests / self._allowed]), requests
        # Chains advance in turn. Once this one is through, no more of them are left than are answered at a time.
        last = chains[self._allowed]
        rounds, refused = self._crowded(sum(min(length, last) for length in chains), len(chains))
        return rounds + chains[0] - last, requests + round(refused)

    def _crowded(self, answers: int, chains: int) -> tuple[float, float]:
        """The rounds until there are so many answers, while more chains ask than are answered, and the refusals."""
        line, pausing = deque([0] * chains), list[tuple[float, int]]()  # how often the next request was refused
        left, rounds, refused = float(answers), 0.0, 0.0
        refusals = [(left, rounds, refused)]
        while left and len(refusals) <= _PLAYED:
            while pausing and (pausing[0][0] <= rounds or not line):
                until, times = heapq.heappop(pausing)
                rounds = max(rounds, until)
                line.append(times)
            sent = min(self._throttle.places, len(line))
            answered = min(sent, self._allowed)
            part = min(1.0, left / answered)  # of the round, which may be the last
            self._note(answered, sent - answered)
            left, rounds, refused = left - answered * part, rounds + part, refused + (sent - answered) * part
            asked = [line.popleft() for _ in range(sent)]
            line.extend([0] * answered)
            for times in asked[answered:]:
                heapq.heappush(pausing, (rounds + self._pause(times), times + 1))
            if sent > answered:
                refusals.append((left, rounds, refused))
        left_then, rounds_then, refused_then = refusals[len(refusals) // 2]
        more = left / (left_then - left) if left else 0.0
        return rounds + more * (rounds - rounds_then), refused + more * (refused - refused_then)

    def _pause(self, times: int) -> float:
        """The rounds before a request is sent again that was refused so often before this time."""
        return self._chance.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**times)) / self._latency

    def _note(self, answered: int, refused: int) -> None:
        with ExitStack() as together:
            turns = [together.enter_context(self._throttle.turn()) for _ in range(answered + refused)]
            for place, turn in enumerate(turns):
                self._throttle.note(turn, 200 if place < answered else TOO_MANY, None)
