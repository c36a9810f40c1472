"""What `bench.scale` has measured: its record docs/scale.json, the costs by it, and predictions beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from docs.scale_model import MB, Cost, Costs, PerRow, Taken, in_hand, predict, side_by_side
from docs.scale_work import STAGES, Account, Limits, Service, Stage, Work, work_of

FILE = Path(__file__).with_name("scale.json")
Shape = tuple[
    tuple[tuple[tuple[int, ...], bool], ...], ...
]  # accounts, their services, bindings by type, and changes
# Page sizes of Chat and of Conversations: by OpenAPI, and as the documentation has them (FACTS.md, "The two APIs").
_SMALL, _LARGE = (50, 100), (1_000, 1_000)
_FORMER = 2  # processors of the machine that is meant where a record does not say it


@dataclass(frozen=True)
class Setting:
    """A company of `bench.scale_server`, and how the stand-in answers: `sizes` are those of "docs" or "openapi"."""

    world: str
    latency: float = 0.0
    sizes: str = "docs"
    most_at_once: int = 0


@dataclass(frozen=True)
class Measured:
    """One command: requests, seconds, processor seconds, bytes of peak memory, bytes that it left on the disk."""

    requests: float
    seconds: float
    processor: float
    memory: float
    stored: float


# The runs that the costs come from.
NEEDED = ("least", "services", "accounts", "bindings", "small services", "requests")
QUANTITIES = tuple(field.name for field in fields(Measured))


def best_of(found: Sequence[Measured]) -> Measured:
    """The least of each quantity, because other work on the machine can only add; of memory, the largest peak."""
    best = {name: (max if name == "memory" else min)(getattr(one, name) for one in found) for name in QUANTITIES}
    return Measured(**best)


@dataclass(frozen=True)
class Run:
    """A company, and what each stage of its night took: the best of some rounds, on so many processors."""

    setting: Setting
    shape: Shape
    stages: Mapping[Stage, Measured]
    rounds: int = 1
    processors: int = _FORMER

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Run:
        """A run as the record has it."""
        shape = tuple(tuple((tuple(types), on) for types, on in account) for account in found["shape"])
        stages = {stage: Measured(**found["stages"][stage]) for stage in STAGES}
        return cls(Setting(**found["setting"]), shape, stages, found["rounds"], found.get("processors", _FORMER))

    def to_json(self) -> dict[str, Any]:
        """The same for the record."""
        return asdict(self)

    def with_more(self, other: Run) -> Run:
        """This one and further rounds of the same."""
        stages = {stage: best_of([self.stages[stage], other.stages[stage]]) for stage in STAGES}
        return replace(self, stages=stages, rounds=self.rounds + other.rounds)

    @property
    def accounts(self) -> list[Account]:
        """The company, as the model takes it."""
        return [Account(tuple(Service(types, on) for types, on in services)) for services in self.shape]

    @property
    def limits(self) -> Limits:
        """How the stand-in answered; connections on loopback take no time."""
        chat, conversations = _SMALL if self.setting.sizes == "openapi" else _LARGE
        allowed = self.setting.most_at_once
        return Limits(self.setting.latency, 0, chat, conversations, allowed=allowed, processors=self.processors)

    def predicted(self, costs: Costs) -> dict[Stage, Taken]:
        """What the model says of it."""
        return predict(self.accounts, self.limits, costs)


@cache
def recorded(file: Path = FILE) -> tuple[str, dict[str, Run]]:
    """The machine, and the runs of a record by their name. Raises `ValueError` if it is incomplete, or no record."""
    try:
        found = json.loads(file.read_text("utf-8"))
        runs = {name: Run.read(run) for name, run in found["runs"].items()}
        machine = str(found["machine"])
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ValueError(f"{file} is no record of `python -m bench.scale`") from None
    if lacking := [name for name in NEEDED if name not in runs]:
        raise ValueError(f"{file} lacks {lacking[0]!r}: let `python -m bench.scale --record {file}` end")
    return machine, runs


def costs_of(runs: Mapping[str, Run]) -> Costs:
    """The costs by six small runs, none of which is a prediction: the least, and beside it one with more services,
    with more accounts, with more bindings, with these in small services, and with smaller pages, so more requests.

    How many processors accounts keep busy side by side is seen where there are more of them; an account by itself,
    where it has more bindings, which map does side by side in small services alone (a large one is one task here).
    """
    return {stage: _cost(stage, runs) for stage in STAGES}


def _cost(stage: Stage, runs: Mapping[str, Run]) -> Cost:
    def work(name: str) -> Work:
        return work_of(stage, runs[name].accounts[0], runs[name].limits)

    def more(name: str, quantity: str) -> float:
        return float(getattr(runs[name].stages[stage], quantity) - getattr(runs["least"].stages[stage], quantity))

    def busy(name: str) -> float:
        found = more(name, "processor") / max(more(name, "seconds"), 0.01)
        return min(max(1.0, found), runs[name].processors)

    least, services, tiny = work("least"), work("services"), runs["least"].stages[stage]
    many, accounts = services.services - least.services, len(runs["accounts"].accounts) - 1
    by_rows = work("bindings"), work("requests")
    row, request = _solve(
        *(
            (one.rows - least.rows, one.requests - least.requests, more(name, "processor"))
            for one, name in zip(by_rows, ("bindings", "requests"), strict=True)
        )
    )
    service = max(0.0, more("services", "processor") - request * (services.requests - least.requests)) / many
    account = max(0.0, more("accounts", "processor") / accounts - service * least.services - request * least.requests)
    stored_service = more("services", "stored") / many
    stored_account = more("accounts", "stored") / accounts - stored_service * least.services
    at_a_time = min(accounts + 1, side_by_side(stage, runs["accounts"].limits))
    memory_account = max(0.0, more("accounts", "memory")) / max(1, at_a_time - 1)
    large = _per_row(stage, runs["bindings"], row, more("bindings", "memory"), more("bindings", "stored"))
    small = large
    if stage == "map":  # which has another way for small services
        in_small = runs["small services"]
        others = len(in_small.accounts[0].services) - least.services
        seconds = (more("small services", "processor") - service * others) / in_small.accounts[0].rows
        stored = more("small services", "stored") - stored_service * others
        small = _per_row(stage, in_small, max(0.0, seconds), more("small services", "memory"), stored)
    return Cost(
        start=max(0.0, tiny.processor - account - service * least.services - request * least.requests),
        account=account,
        service=service,
        request=request,
        idle=max(0.0, tiny.seconds - tiny.processor),
        parallel=busy("small services" if stage == "map" else "bindings") if row else 1.0,
        together=busy("accounts"),
        memory=tiny.memory,
        memory_account=memory_account,
        stored=tiny.stored - stored_account - stored_service * least.services,
        stored_account=stored_account,
        stored_service=stored_service,
        large=large,
        small=small,
    )


def _per_row(stage: Stage, run: Run, seconds: float, memory: float, stored: float) -> PerRow:
    """What a binding costs, by a run of one account with many more of them than the least one."""
    if not work_of(stage, run.accounts[0], run.limits).rows:
        return PerRow()
    hand = in_hand(stage, run.accounts, run.limits, PerRow(memory=1), PerRow(memory=1))
    return PerRow(seconds, max(0.0, memory) / hand, stored / run.accounts[0].rows)


def _solve(first: tuple[float, float, float], second: tuple[float, float, float]) -> tuple[float, float]:
    """What a row and a request cost, by two runs: rows, requests and their cost together."""
    (rows, requests, cost), (rows_too, requests_too, cost_too) = first, second
    if not rows:  # the stage does not read any
        return 0.0, 0.0
    if not requests and not requests_too:
        return cost / rows, 0.0
    by = rows * requests_too - rows_too * requests
    row, request = (cost * requests_too - cost_too * requests) / by, (rows * cost_too - rows_too * cost) / by
    return max(0.0, row), max(0.0, request)


def errors(run: Run, costs: Costs) -> dict[tuple[Stage, str], float]:
    """How far each prediction is from what was measured, as a share of the latter; 0 where neither is anything."""
    taken = run.predicted(costs)
    pairs = {
        (stage, name): (getattr(taken[stage], name), getattr(run.stages[stage], name))
        for stage in STAGES
        for name in QUANTITIES
    }
    return {key: (said - was) / was if was else float(said != 0) for key, (said, was) in pairs.items()}


def comparison(machine: str, runs: Mapping[str, Run], names: Iterable[str]) -> str:
    """A table of what was measured and, behind a slash, what was predicted, with the error of that."""
    costs = costs_of(runs)
    lines = [machine]
    for name in names:
        if name not in runs:
            continue
        run = runs[name]
        taken, wrong = run.predicted(costs), errors(run, costs)
        lines.append(f"\n{name}: {sum(one.rows for one in run.accounts):,} bindings, {_how(run)}")
        lines.append(f"{'':17}" + "".join(f"{head:>{width}}" for head, width, _, _ in _COLUMNS.values()))
        for stage in STAGES:
            line = f"{stage:17}"
            for quantity, (_, width, unit, digits) in _COLUMNS.items():
                was, said = (getattr(one, quantity) / unit for one in (run.stages[stage], taken[stage]))
                error = _percent(wrong[stage, quantity])
                line += f"{was:,.{digits}f}/{said:,.{digits}f} {error:>4}".rjust(width)
            lines.append(line)
        worst = max(wrong.values(), key=abs)
        lines.append(f"{'worst error':17} {_percent(worst)}")
    return "\n".join(lines) + "\n"


# Of each quantity its head, its width, what it is divided by, and its decimal places.
_COLUMNS = {
    "requests": ("requests", 17, 1, 0),
    "seconds": ("seconds", 18, 1, 2),
    "processor": ("processor s", 18, 1, 2),
    "memory": ("memory MB", 14, MB, 0),
    "stored": ("left kB", 20, 1_000, 0),
}


def _how(run: Run) -> str:
    setting = run.setting
    sizes = f"pages of {run.limits.chat_page:,} and {run.limits.conversations_page:,}"
    return f"{setting.latency * 1000:.0f} ms, {sizes}, best of {run.rounds}"


def _percent(error: float) -> str:
    return f"{error:+.0%}" if round(error, 2) else "0%"
