"""Of many services the terminal shows the first, the worst first; every number stays whole, and files have all."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.cli.console import MOST_LOGGED, logging_to
from migrate.load.applied import Outcome, Verdict
from migrate.model.finding import Finding
from migrate.purge import Kept
from migrate.report.applied import applied_view
from migrate.report.coverage import coverage_view
from migrate.report.limit import MOST_NAMED, MOST_SHOWN, first, listed, more
from migrate.report.purge import purge_view
from migrate.report.retirement import retirement_view
from migrate.report.text import plan_view
from migrate.retire.retirement import Retirement, ServiceRetirement
from migrate.verify.coverage import Counts, Coverage, ServiceCoverage
from tests.conftest import Run, Serve, service_sid, tiny_world
from tests.plans import change, many, plan_of

pytestmark = pytest.mark.no_cover  # other tests cover the same lines; untraced, these take half the time

SERVICES = MOST_SHOWN + 3
MANY = 5_000
# Lines: 20 of each list, with what belongs to each; 65,000 were shown of 5,000 services.
MOST_LINES = 400
DAY = "2026-06-15T08:00:00"


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    """An account of many small services; one has a push on in Conversations that Chat has off."""
    bindings = [{"count": 3, "identity": "p{n}", "binding_type": ["apn", "fcm", "gcm"]}]
    world = tiny_world(bindings=bindings)
    (one,) = world["services"]
    world["services"] = [{**one, "name": f"Service {number}"} for number in range(1, SERVICES + 1)]
    off = {**one["notifications"], "new_message": {"enabled": False}}
    world["services"][-1] |= {"notifications": off, "conversations": {"new_message": {"enabled": True}}}
    return world


@pytest.mark.long
def test_every_command_shows_the_first_of_many_services_and_whole_counts(
    tmp_path: Path, run: Run, serve: Serve, content: dict[str, Any]
) -> None:
    serve(content)
    out = tmp_path / "out"
    commands = {
        "run": ("run", "--out", out),
        "map": ("map", out / "snapshot", "--out", tmp_path / "mapped"),
        "load": ("load", out / "mapped"),
        "report": ("load", out / "mapped", "--report", tmp_path / "r.html"),
        "verify": ("verify", out / "snapshot", "--coverage", tmp_path / "coverage"),
        "retire": ("retire", out / "snapshot", "--coverage", tmp_path / "coverage"),
        "apply": (
            *("load", "--plan", out / "plan.json", "--apply", "--yes"),
            *(f"--force={limit}" for limit in ("blockers", "switches-off")),
        ),
        "rollback": ("rollback", out / "plan.journal.jsonl"),
    }
    shown = {}
    for name, arguments in commands.items():
        done = run(*arguments)
        assert done.exit_code == 0, done.output
        shown[name] = done.stdout
        what = "findings" if name == "map" else "services"
        assert f"… and 3 more {what}, of {SERVICES:,} in all" in done.stdout, name
    plan = json.loads((out / "plan.json").read_bytes())
    assert len(plan["changes"]) == SERVICES
    # What would be switched off is shown first, also where its service is the last, and it is counted.
    for name in ("run", "load", "report"):
        assert next(re.finditer(r"^~ (IS\w+)", shown[name], re.MULTILINE))[1] == service_sid(SERVICES)
        assert f"of {SERVICES} services would change" in shown[name]
        assert "switches-off" in shown[name]
    assert f"in all, with {plan['counts']['fields']} settings: use --report FILE, or --json" in shown["load"]
    assert f"in all, with {plan['counts']['fields']} settings: see {tmp_path / 'r.html'}" in shown["report"]
    assert f"see {out / 'report.html'}" in shown["run"]
    assert f"see {out / 'plan.json'}" in shown["apply"]
    assert re.search(rf"^Done: {SERVICES} applied", shown["apply"], re.MULTILINE)
    gcm = next(part for part in shown["load"].split("\n\n") if part.startswith("blocker  binding-gcm"))
    assert gcm.count("\n         · ") == MOST_SHOWN
    assert f"… and {3} more findings, of {SERVICES} in all (× {SERVICES})" in gcm
    assert f"see {tmp_path / 'mapped'}/summary.json" in shown["map"]
    # JSON is whole.
    whole = json.loads(run("verify", out / "snapshot", "--coverage", tmp_path / "coverage", "--json").stdout)
    assert len(whole["services"]) == SERVICES


def test_5000_services_fit_a_few_screens() -> None:
    shown = plan_view(many(MANY, codes=6)).plain
    assert shown.count("\n") < MOST_LINES
    assert "… and 4,980 more services, of 5,000 in all, with 10,000 settings: use --json" in shown
    assert shown.count("… and 4,980 more findings, of 5,000 in all (× 12,497,500)") == 6
    assert (
        "Findings: 25,000 blockers of 5 kinds, 0 warnings, 0 info; the plan adds 5,000 blockers of 1 kind." in shown
    )
    # The places with the largest counts.
    assert f"· {service_sid(4999)} Service  \x1ex  \x1e× 4,999\n" in shown


def test_no_proposal_is_left_out_unsaid() -> None:
    from tests.proposals.conftest import many as many_proposals

    shown = plan_view(many_proposals(100), where="see plan.json").plain
    assert "… and 180 more proposals, of 200 in all: see plan.json" in shown
    assert "200 proposals wait for a decision" in shown


def test_who_is_pending_most_is_shown_first_by_verify() -> None:
    services = tuple(
        ServiceCoverage(service_sid(number), f"S {number}", {"fcm": Counts(number, pending=number)}, rejected=1)
        for number in range(MANY)
    )
    found = Coverage("AC" + "0" * 32, "d", DAY, "conversations", DAY, 0, narrowed=False, services=services)
    shown = coverage_view(found, "snapshot", [("Coverage", "c.parquet")]).plain
    assert shown.count("\n") < MOST_LINES
    assert service_sid(4999) in shown
    assert service_sid(4900) not in shown
    assert "… and 4,980 more services, of 5,000 in all: see the coverage file below, or use --json" in shown
    assert f"5,000 live records that do not fit, and count for nothing: {service_sid(0)} (1), " in shown
    assert "and 4,995 more services\n" in shown
    assert re.search(r"^All .*12,497,500", shown, re.MULTILINE)


def test_what_would_be_deleted_most_is_shown_first_by_retire_and_all_is_summed() -> None:
    services = tuple(
        ServiceRetirement(service_sid(number), "S", Counts(5, ready_device=4, pending=1), number, 1, 0, 0)
        for number in range(MANY)
    )
    shown = retirement_view(Retirement("AC", "d", DAY, DAY, services), "snapshot", 0, [], dry_run=True).plain
    assert shown.count("\n") < MOST_LINES
    assert service_sid(4999) in shown
    (whole,) = (line.replace("\x1e", "") for line in shown.split("\n") if line.startswith("All"))
    assert whole.split() == ["All", "12,497,500", "5,000", "0", "0", "5,000", "0", "80.0", "%"]
    few = retirement_view(Retirement("AC", "d", DAY, DAY, services[:3]), "snapshot", 0, [], dry_run=True).plain
    assert "All" not in few
    assert "more" not in few


def test_what_failed_is_shown_first_of_what_was_applied() -> None:
    fates: dict[Verdict, int] = {"applied": 4_000, "failed": 1, "stale": 1, "missing": 1, "already": 997}
    verdicts = [verdict for verdict, number in fates.items() for _ in range(number)]
    outcomes = [Outcome(change(at, "S"), verdict) for at, verdict in enumerate(verdicts)]
    shown = applied_view(outcomes, "j.jsonl").plain
    assert [line.split()[0] for line in shown.split("\n")[:4]] == ["failed", "missing", "stale", "applied"]
    assert "… and 4,980 more objects, of 5,000 in all: see j.jsonl" in shown
    assert "997 already, 4,000 applied, 1 failed, 1 missing, 1 stale" in shown.replace("\x1e", "")


def test_folders_that_purge_leaves_alone_are_shown_first() -> None:
    now = datetime(2026, 6, 15, tzinfo=UTC)
    kept = [Kept(Path(f"/s/{day}"), "snapshot", now - timedelta(days=day), 1) for day in range(100)]
    doubtful = Kept(Path("/s/doubtful"), "snapshot", now, 1, obstacle="somebody else's file")
    old = [one for one in kept if one.as_of and (now - one.as_of).days > 30]
    shown = purge_view([*kept, doubtful], dict.fromkeys(old, "remove"), now, dry_run=True).plain
    lines = shown.split("\n")
    assert "/s/doubtful" in lines[0]
    assert "/s/99" in lines[2]
    assert "… and 81 more folders, of 101 in all: use --json" in shown
    assert "69 folders of 101 would be removed" in shown
    assert "1 folder left alone" in shown


def test_a_binding_of_many_services_is_explained_for_the_first(tmp_path: Path, run: Run, serve: Serve) -> None:
    world = tiny_world()
    (one,) = world["services"]
    world["services"] = [one] * 22
    server = serve(world)
    shared = next(iter(server.world.services.values())).bindings
    for service in server.world.services.values():
        service.bindings[:] = shared
    assert run("run", "--out", tmp_path / "out").exit_code == 0
    done = run("explain", tmp_path / "out" / "mapped", shared[0].sid)
    assert done.exit_code == 0, done.output
    assert "22 services list this binding: " in done.stdout
    assert done.stdout.count("\nBinding ") + done.stdout.startswith("Binding ") == MOST_SHOWN
    assert "… and 2 more services, of 22 in all: use --json, or --service" in done.stdout


def test_verbose_output_ends_and_a_log_file_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("migrate.test")
    for file in (None, tmp_path / "log.jsonl"):
        with logging_to(1, file):
            for number in range(MANY):
                logger.info("%s is complete", number)
            logger.info("another")
            logger.error("%s is complete", "what fails")
        lines = capsys.readouterr().err.splitlines()
        where = f"all are in {file}" if file else "use --log-file FILE for all"
        assert len(lines) == MOST_LOGGED + 3
        assert lines[-3:] == [
            "INFO another",
            "ERROR what fails is complete",
            f"… and {MANY - MOST_LOGGED:,} more messages like these: {where}",
        ]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == MANY + 2
    with logging_to(1, None):
        logger.info("few")
    assert capsys.readouterr().err == "INFO few\n"


@given(st.lists(st.integers(0, 9), max_size=60))
def test_few_keep_their_order_and_of_many_the_first_by_rank_are_shown(items: list[int]) -> None:
    shown = first(items, lambda item: item)
    left = more(len(items), "item", "there").plain
    if len(items) <= MOST_SHOWN:
        assert (shown, left) == (items, "")
    else:
        assert shown == sorted(items)[:MOST_SHOWN]
        assert f"… and {len(items) - MOST_SHOWN} more item" in left
        assert f"of {len(items)} in all: there\n" in left


@pytest.mark.parametrize(
    ("number", "noun", "shown"),
    [
        (2, "", "0, 1"),
        (MOST_NAMED, "", "0, 1, 2, 3, 4"),
        (6, "service", "0, 1, 2, 3, 4 and 1 more service"),
        (MANY, "", "0, 1, 2, 3, 4 and 4,995 more"),
    ],
)
def test_a_line_names_the_first_and_counts_the_others(number: int, noun: str, shown: str) -> None:
    assert listed([str(place) for place in range(number)], noun) == shown


def test_few_services_are_shown_whole_in_the_order_of_the_plan() -> None:
    changes = tuple(change(place, f"Service {place}") for place in range(MOST_SHOWN))
    plan = plan_of(changes, *(Finding("change-disables", service_sid(place), "x") for place in range(MOST_SHOWN)))
    shown = plan_view(plan).plain
    assert "more" not in shown
    assert re.findall(r"^~ (IS\w+)", shown, re.MULTILINE) == [one.service_sid for one in changes]
