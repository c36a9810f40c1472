"""The model of docs/scale.md: its properties, its page, and its requests beside those that are sent."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.fleet import APIS, commands
from bench.scale import main as measuring
from bench.scale_server import described, even_company
from docs.scale import main
from docs.scale_measured import Run, Setting, Shape, costs_of, errors, recorded
from docs.scale_model import _MOST_MAPPED, makespan, predict
from docs.scale_refused import Throttled
from docs.scale_work import (
    _FILTER,
    _LANES,
    BATCH_ROWS,
    MOST_PART_ROWS,
    ROWS_A_TASK,
    ROWS_IN_HAND,
    STAGES,
    Account,
    Limits,
    Service,
    Stage,
    spread,
    work_of,
)
from migrate.extract import buffer, identities
from migrate.fleet import fleet as fleets_of
from migrate.load.rate_limit import WRITES_PER_SECOND
from migrate.map import mapping
from migrate.snapshot import reader
from migrate.standin.company import Company, seeded_company
from migrate.standin.faults import Faults
from migrate.standin.paging import PageSizes
from migrate.standin.server import StandInServer
from tests.conftest import ROOT
from tests.pages import blocks_of

PAGE = (ROOT / "docs" / "scale.md").read_text("utf-8")
MACHINE, RUNS = recorded()
COSTS = costs_of(RUNS)
CHECKS = [name for name, run in RUNS.items() if run.setting.latency]
MOST_WRONG = 0.25
some = settings(max_examples=25, deadline=None)

services = st.builds(Service, st.tuples(*[st.integers(0, 300_000)] * 3), st.booleans())
accounts = st.builds(Account, st.lists(services, max_size=3).map(tuple), st.integers(0, 200))
fleets = st.lists(accounts, min_size=1, max_size=8)
limits = st.builds(
    Limits,
    latency=st.floats(0, 1),
    handshake=st.floats(0, 3),
    chat_page=st.sampled_from([50, 100, 1000]),
    conversations_page=st.sampled_from([50, 100, 1000]),
    at_a_time=st.integers(1, 64),
    accounts_at_a_time=st.integers(1, 64),
    shard=st.booleans(),
    identity_characters=st.sampled_from([0, 36, 5_000]),
)

# What is refused depends on chance: more of something may have a little less of it.
limited = st.builds(replace, limits, allowed=st.sampled_from([0, 1, 4, 20]))


def no_less(one: Sequence[Account], limits: Limits, more: Sequence[Account], more_limits: Limits) -> None:
    """Nothing that is taken for the second is less than for the first."""
    before, after = predict(one, limits, COSTS), predict(more, more_limits, COSTS)
    for stage in STAGES:
        for name in ("requests", "seconds", "processor", "stored"):
            least = getattr(before[stage], name)
            assert getattr(after[stage], name) >= least - 1e-9 * max(1, least), (stage, name)


@some
@given(fleets, limits, accounts)
def test_another_account_takes_no_less(fleet: list[Account], limits: Limits, other: Account) -> None:
    no_less(fleet, limits, [*fleet, other], limits)


@some
@given(fleets, limits, st.integers(1, 1_000_000))
def test_more_bindings_take_no_less(fleet: list[Account], limits: Limits, more: int) -> None:
    def grown(service: Service) -> Service:
        # A service that is no longer small is compressed: it takes less storage, which is no error of the model.
        first, *others = service.bindings
        return replace(service, bindings=(min(first + more, max(first, BATCH_ROWS - sum(others))), *others))

    larger = [replace(one, services=tuple(map(grown, one.services))) for one in fleet]
    no_less(fleet, limits, larger, limits)


@some
@given(fleets, limits, st.floats(0, 1))
def test_a_longer_latency_takes_no_less(fleet: list[Account], limits: Limits, more: float) -> None:
    no_less(fleet, limits, fleet, replace(limits, latency=limits.latency + more))


@some
@given(fleets, fleets, limited)
def test_requests_of_two_fleets_are_those_of_both(one: list[Account], two: list[Account], limits: Limits) -> None:
    apart, together = [predict(fleet, limits, COSTS) for fleet in (one, two)], predict([*one, *two], limits, COSTS)
    for stage in STAGES:
        twice = sum(taken[stage].requests for taken in apart) - together[stage].requests
        assert twice == (stage != "map"), "the list of accounts is asked for once"


@some
@given(accounts, st.floats(0.02, 1), st.booleans())  # below that, the pace of writes is slower
def test_one_request_at_a_time_takes_all_of_their_latency(one: Account, latency: float, shard: bool) -> None:
    alone = Limits(latency, handshake=0, at_a_time=1, accounts_at_a_time=1, shard=shard)
    taken = predict([one], alone, COSTS)
    for stage in STAGES:
        assert taken[stage].seconds >= taken[stage].requests * latency * (1 - 1e-9)
        assert (
            taken[stage].seconds
            <= taken[stage].requests * latency + taken[stage].processor + COSTS[stage].idle + 1e-6
        )


@some
@given(fleets, limited)
def test_no_bound_is_undercut(fleet: list[Account], limits: Limits) -> None:
    taken = predict(fleet, limits, COSTS)
    for stage in STAGES:
        works = [work_of(stage, one, limits) for one in fleet]
        requests = sum(work.requests for work in works)
        longest = max(work.ahead + work.walking for work in works) * limits.latency
        writes = max(work.writes for work in works) / WRITES_PER_SECOND
        bounds = (requests * limits.latency / limits.all_at_a_time, longest, writes)
        assert taken[stage].seconds >= max(bounds) * (1 - 1e-9)


@some
@given(st.lists(st.floats(0, 100), max_size=30), st.integers(1, 20))
def test_jobs_side_by_side_end_between_the_longest_and_all_of_them(jobs: list[float], places: int) -> None:
    last = makespan(jobs, places)
    assert max([*jobs, sum(jobs) / places]) <= last + 1e-6
    assert last <= sum(jobs) / places + max(jobs, default=0) + 1e-6


def test_a_fleet_is_mapped_on_as_many_processors_as_it_keeps_busy() -> None:
    fleet, costs = spread(40, 40_000), {**COSTS, "map": replace(COSTS["map"], parallel=1.0, together=1.6)}

    def worked(processors: int) -> float:
        taken = predict(fleet, Limits(processors=processors), costs)["map"]
        return taken.seconds - costs["map"].start - costs["map"].idle

    assert worked(1) == pytest.approx(predict(fleet, Limits(), costs)["map"].processor - costs["map"].start)
    assert worked(2) == worked(8) == pytest.approx(worked(1) / 1.6)


def test_no_account_is_mapped_faster_beside_others_than_by_itself() -> None:
    costs = {**COSTS, "map": replace(COSTS["map"], parallel=1.0, together=2.0)}
    huge, others = spread(1, 60_000), spread(3, 3_000)
    alone, together, only = (
        predict(fleet, Limits(), costs)["map"].seconds for fleet in (huge, huge + others, others)
    )
    assert alone == together, "the others fit beside it"
    assert only < alone


def test_an_account_is_mapped_by_several_processors_where_it_has_more_than_one_piece() -> None:
    costs = {**COSTS, "map": replace(COSTS["map"], parallel=2.0)}

    def faster(account: Account) -> float:
        took = [predict([account], Limits(processors=many), costs)["map"].seconds for many in (1, 2)]
        return took[0] - took[1]

    assert faster(Account((Service((60_000, 0, 0)),))) == 0
    assert faster(Account((Service((500_000, 0, 0)),))) == 0
    for pieces in (Account((Service((60_000, 0, 0)),) * 2), Account((Service((5_000_000, 0, 0)),))):
        assert faster(pieces) > 0


chains = st.lists(st.integers(1, 60), min_size=1, max_size=40)


@some
@given(chains, st.floats(0, 1), st.integers(1, 20), st.integers(0, 30))
def test_attempts_are_the_requests_where_none_is_refused(
    lengths: list[int], latency: float, most: int, allowed: int
) -> None:
    rounds, attempts = Throttled(latency, most, allowed).walk(lengths)
    if not allowed or allowed >= min(most, len(lengths)) or not latency:
        assert attempts == sum(lengths)
    assert attempts >= sum(lengths)
    assert rounds >= max(*lengths, sum(lengths) / min(most, allowed or most)) * (1 - 1e-9)


@pytest.mark.parametrize(("most", "allowed", "many"), [(16, 4, 9), (16, 1, 3), (16, 8, 40), (64, 20, 30)])
def test_a_limit_refuses_some_of_what_more_chains_ask_for(most: int, allowed: int, many: int) -> None:
    found = [Throttled(0.2, most, allowed).walk([length] * many) for length in (50, 60)]
    for (rounds, attempts), length in zip(found, (50, 60), strict=True):
        assert length * many < attempts < 2 * length * many
        assert length * many / allowed <= rounds < 2 * length * many / allowed
    assert found[0] < found[1]


@pytest.mark.parametrize(("most", "allowed", "many"), [(16, 4, 9), (16, 1, 3), (16, 8, 40)])
def test_refusals_of_long_chains_are_those_that_are_played_to_the_end(
    most: int, allowed: int, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Throttled(0.2, most, allowed).walk([3_000] * many)
    monkeypatch.setattr("docs.scale_refused._PLAYED", 10**6)
    assert short == pytest.approx(Throttled(0.2, most, allowed).walk([3_000] * many), rel=0.05)


@some
@given(st.integers(1, 60), st.integers(0, 10**6), st.integers(1, 5), st.floats(0, 1), st.integers(1, 3))
def test_a_spread_has_all_bindings(accounts: int, bindings: int, services: int, largest: float, types: int) -> None:
    found = spread(accounts, bindings, services=services, largest=largest, types=types, changing=0.5)
    assert len(found) == accounts
    assert sum(one.rows for one in found) == bindings
    assert abs(sum(one.changes for one in found) - accounts * services / 2) <= 1


def test_the_model_has_the_programs_own_figures() -> None:
    assert (MOST_PART_ROWS, ROWS_IN_HAND, BATCH_ROWS) == (
        buffer.MOST_PART_ROWS,
        buffer.ROWS_IN_HAND,
        reader.BATCH_ROWS,
    )
    assert (_FILTER, _LANES) == (identities.MOST_FILTER_CHARACTERS, identities.LANES)
    assert ROWS_A_TASK == mapping.ROWS_A_TASK
    assert min(_MOST_MAPPED, os.cpu_count() or 1) == fleets_of._OFFLINE


@pytest.mark.parametrize(("more_seconds", "busy"), [(4.0, 1.0), (2.0, 1.5), (0.5, 2.0), (-1.0, 2.0)])
def test_accounts_side_by_side_keep_busy_what_they_are_seen_to_and_no_more_than_there_is(
    more_seconds: float, busy: float
) -> None:
    least = RUNS["least"].stages["map"]
    took = replace(least, seconds=least.seconds + more_seconds, processor=least.processor + 3)
    accounts = replace(RUNS["accounts"], stages={**RUNS["accounts"].stages, "map": took}, processors=2)
    assert costs_of({**RUNS, "accounts": accounts})["map"].together == pytest.approx(busy)


def test_a_record_has_the_processors_of_its_machine() -> None:
    run = replace(RUNS["least"], processors=8)
    assert Run.read(run.to_json()).limits.processors == 8


def test_a_part_of_the_record_is_written_and_says_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.scale.measure", lambda setting, rounds: RUNS["least"])
    done = CliRunner().invoke(measuring, ["--only", "least", "--record", str(tmp_path / "mine.json")])
    assert done.exit_code == 0
    assert "Nothing is predicted without 'services', 'accounts'" in done.output
    assert "least" in (tmp_path / "mine.json").read_text()


@pytest.mark.parametrize("name", CHECKS)
def test_what_is_predicted_is_within_a_quarter_of_what_was_measured(name: str) -> None:
    run = RUNS[name]
    for (stage, quantity), error in errors(run, COSTS).items():
        assert abs(error) <= MOST_WRONG, (stage, quantity, error)
        assert error == 0 or quantity != "requests" or run.setting.most_at_once


def test_the_page_shows_what_the_model_says() -> None:
    sessions = [block for kind, block in blocks_of(PAGE) if kind == "console"]
    shown = [part.partition("\n") for block in sessions for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    assert len(shown) == PAGE.count("$ python -m docs.scale ") > 3
    for command, _, output in shown:
        words = shlex.split(command)
        assert words[:3] == ["python", "-m", "docs.scale"]
        assert CliRunner().invoke(main, words[3:]).output == output, command


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"machine": "a", "runs": {}}', '{"machine": "a", "runs": {"least": {}}}']
)
def test_a_record_that_is_none_or_not_whole_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(content)
    done = CliRunner().invoke(main, ["--measured", str(tmp_path / "mine.json")])
    assert done.exit_code == 1
    assert re.fullmatch(r"Error: .*mine\.json (is no record|lacks 'least').*\n", done.output)


@pytest.mark.long
@pytest.mark.parametrize(
    ("company", "sizes"),
    [
        (even_company(1, 3, 70), "docs"),
        (seeded_company(10, 3_000, suspended=0, refused=0, throttled=0), "openapi"),
    ],
    ids=["1 account", "10 accounts"],
)
def test_each_stage_sends_the_requests_that_are_predicted(company: Company, sizes: str, tmp_path: Path) -> None:
    run = Run(Setting("", sizes=sizes), shape_of(company), {})
    expected = {stage: taken.requests for stage, taken in run.predicted(COSTS).items()}
    assert sent(company, PageSizes("docs" if sizes == "docs" else "openapi"), tmp_path) == expected


@pytest.mark.long
def test_a_limit_refuses_about_as_many_attempts_as_are_predicted(tmp_path: Path) -> None:
    company = seeded_company(10, 5_000, suspended=0, refused=0, throttled=0)
    faults = Faults(latency=0.2, most_at_once=4)
    expected, without = (
        Run(Setting("", faults.latency, "openapi", most), shape_of(company), {}).predicted(COSTS)["extract"].requests
        for most in (faults.most_at_once, 0)
    )
    found = sent(company, PageSizes("openapi"), tmp_path, faults, STAGES[:1])["extract"]
    assert without < min(found, expected)
    assert found == pytest.approx(expected, rel=MOST_WRONG)


def shape_of(company: Company) -> Shape:
    """The accounts of a company as a record has them."""
    return tuple(
        tuple((tuple(types), on) for types, on in described(member.world)["services"]) for member in company.members
    )


def sent(
    company: Company, sizes: PageSizes, folder: Path, faults: Faults | None = None, stages: Sequence[Stage] = STAGES
) -> dict[Stage, int]:
    """How many requests the commands of a night send, each as a process of its own."""
    worlds = [company.main, *(member.world for member in company.members)]
    found: dict[Stage, int] = {}
    with StandInServer(company, sizes, faults=faults) as server:
        login = {"TWILIO_ACCOUNT_SID": company.main.account_sid, "TWILIO_AUTH_TOKEN": company.main.auth_token}
        urls = {f"CHAT_MIGRATE_{api}_URL": server.url for api in APIS}
        environment = {**os.environ, **urls, **login, "XDG_CONFIG_HOME": str(folder / "state")}
        for stage in stages:
            before = sum(world.requests for world in worlds)
            words = [sys.executable, "-m", "migrate", *commands("fleet")[stage]]
            done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            found[stage] = sum(world.requests for world in worlds) - before
    return found


@pytest.mark.parametrize("words", [("--latency", "nan"), ("--largest", "nan"), ("--machine-price", "inf")])
def test_what_is_no_number_is_refused_in_a_line(words: tuple[str, str]) -> None:
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, "is not a number" in done.output) == (2, True)
