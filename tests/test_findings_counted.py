"""Findings are counted alike wherever they are counted: kinds and occurrences, and apart what only a plan can find."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from migrate.model.catalogue import CATALOGUE
from migrate.model.finding import Finding
from migrate.model.plan import Plan
from migrate.report.wording import tally
from migrate.review import open_mapped, open_plan
from tests.conftest import ROOT, Demo, Run

COUNTED = r"\d+ blockers?(?: of \d+ kinds?)?, \d+ warnings?(?: of \d+ kinds?)?, \d+ info(?: of \d+ kinds?)?"


def counted(text: str) -> list[str]:
    """What a text says of all findings, however its lines are broken."""
    return re.findall(COUNTED, " ".join(text.split()))


def test_run_map_load_and_every_report_give_one_and_the_same_count(tmp_path: Path, run: Run, demo: Demo) -> None:
    """A plan has the mapping's findings and a few of its own: their sum looked like another count of the same data."""
    mapped = run("map", demo.folder / "snapshot", "--out", tmp_path / "m")
    (expected,) = counted(mapped.stdout)
    load = run("load", demo.folder / "mapped", "--replay", demo.cassette)
    plain = [
        demo.result.stdout,
        load.stdout,
        (demo.folder / "report.md").read_text("utf-8"),
        open_mapped(demo.folder / "mapped")._repr_html_(),
        open_plan(demo.folder / "plan.json")._repr_html_(),
    ]
    for view in plain:
        assert set(counted(view)) == {expected}
    page = (demo.folder / "report.html").read_text("utf-8")  # which has those of each service as well
    whole = tally(Plan.from_json(demo.json("plan.json")).findings)
    assert whole == f"{expected}; the plan adds 1 warning, 1 info"
    assert all(whole in " ".join(view.split()) for view in (*plain[:3], plain[-1], page))


def test_the_plan_adds_what_the_mapping_did_not_find_and_nothing_else(demo: Demo) -> None:
    def found(*names: str) -> set[tuple[str, str, str]]:
        return {(one["code"], one["service_sid"], one["subject"]) for one in demo.json(*names)["findings"]}

    added = found("plan.json") - found("mapped", "summary.json")
    assert {code for code, _, _ in added} == {"change-disables", "target-value-kept"}
    assert all(CATALOGUE[code].of_plan for code, _, _ in added)
    assert not [code for code, _, _ in found("mapped", "summary.json") if CATALOGUE[code].of_plan]


def test_what_only_load_can_find_is_marked_so_and_nothing_else() -> None:
    """A code that is not would be counted as the mapping's, and the counts would differ again."""

    def made_in(*rooms: str) -> set[str]:
        paths = [path for room in rooms for path in (ROOT / "migrate" / room).rglob("*.py")]
        return {code for path in paths for code in re.findall(r'Finding\(\s*"([a-z-]+)"', path.read_text("utf-8"))}

    plan_alone = made_in("load") - made_in("map", "model")
    assert {"change-disables", "target-drifted", "push-trusted"} <= plan_alone
    assert {code for code, entry in CATALOGUE.items() if entry.of_plan} == plan_alone


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], "0 blockers, 0 warnings, 0 info"),
        (["binding-gcm"], "1 blocker, 0 warnings, 0 info"),
        (["push-disabled", "push-disabled"], "0 blockers, 0 warnings, 2 info of 1 kind"),
        (["push-disabled", "push-unsubscribed"], "0 blockers, 0 warnings, 2 info of 2 kinds"),
        (["change-disables", "change-disables"], "0 blockers, 2 warnings of 1 kind, 0 info"),
        (["binding-gcm", "target-value-kept"], "1 blocker, 0 warnings, 0 info; the plan adds 1 info"),
    ],
)
def test_kinds_and_occurrences_are_both_stated(codes: list[str], expected: str) -> None:
    assert tally(Finding(code, None, str(number)) for number, code in enumerate(codes)) == expected
