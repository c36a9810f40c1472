"""What somebody who signs must see in a report: what the limits hit, whom it reaches, and a place to sign."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from migrate.model.catalogue import CATALOGUE, NOTHING_TO_DO
from migrate.model.finding import Finding
from migrate.model.plan import Plan
from migrate.report.html import FIRST, plan_page
from migrate.report.markdown import plan_report
from tests.conftest import Demo, Run, service_sid
from tests.plans import change, many, plan_of
from tests.test_html_report import Parsed

UNSAID = [code for code, entry in CATALOGUE.items() if entry.remedy == NOTHING_TO_DO]


def words_of(page: str) -> str:
    return " ".join(Parsed(page).words.split())


def test_every_object_that_a_limit_hits_is_named_with_its_service(demo: Demo) -> None:
    words = words_of((demo.folder / "report.html").read_text("utf-8"))
    assert f"Driver app {service_sid(2)} binding-gcm CR{5:032}" in words
    assert f"Staff app {service_sid(7)} removed_from_conversation.enabled 0 devices" in words


@pytest.mark.parametrize(
    ("limit", "code", "shown"),
    [("switches-off", "change-disables", "4 devices"), ("blockers", "binding-gcm", ""), ("many-services", "", "")],
)
def test_many_objects_are_counted_beyond_the_first(limit: str, code: str, shown: str) -> None:
    number = FIRST + 7
    changes = tuple(change(at, f"Service {at}") for at in range(1, number + 1))
    findings = (
        [Finding(code, service_sid(at), "new_message.enabled", 4) for at in range(1, number + 1)] if code else []
    )
    blocked = plan_page(plan_of(changes, *findings), [(limit, "too much")]).partition("What it does")[0]
    (hits,) = re.findall(r'<ul class="hits">(.*?)</ul>', blocked, re.DOTALL)
    words = words_of(hits)
    assert f"… and 7 more, of {number}" in words
    assert f"Service {FIRST} {service_sid(FIRST)}" in words
    assert f"Service {FIRST + 1} {service_sid(FIRST + 1)}" not in words
    assert words.count(shown) >= FIRST or not shown


def test_a_limit_that_is_about_no_object_lists_none() -> None:
    assert '<ul class="hits">' not in plan_page(plan_of((change(1, "Mine"),)), [("old-snapshot", "too old")])


def test_each_service_shows_its_live_devices_as_the_mapping_counts_them(demo: Demo) -> None:
    summary, plan = demo.json("mapped", "summary.json"), Plan.from_json(demo.json("plan.json"))
    words = words_of((demo.folder / "report.html").read_text("utf-8"))
    for service in summary["services"]:
        sid, live = service["service_sid"], service["bindings"] - service["outcomes"].get("expired", 0)
        assert plan.devices.get(sid, 0) == live
        assert re.search(rf"{sid} (would change|unchanged) \d+ {live} ", words)
    outcomes = plan.bindings
    assert sum(plan.devices.values()) == sum(outcomes.values()) - outcomes["expired"]
    assert "What changes reaches 219 devices of 308" in words


def test_a_plan_of_an_earlier_version_has_no_devices_and_is_not_said_to_have_none(demo: Demo) -> None:
    plan = plan_of((change(1, "Mine"),))
    assert "devices" not in plan.to_json()
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    words = words_of(plan_page(plan, ()))
    assert f"Mine {service_sid(1)} would change 2 unknown none" in words
    assert "What changes reaches" not in words


@pytest.mark.parametrize("plan", [plan_of((change(1, "Mine"),)), many(900)], ids=["short", "long"])
def test_there_is_a_place_to_sign_for_this_plan_until_it_is_applied(plan: Plan) -> None:
    signed = words_of(plan_page(plan, ())).rpartition("Sign-off")[2]
    for words in (plan.plan_id, plan.account_sid, "Decision", "Name", "Date", "Signature"):
        assert words in signed
    assert "Sign-off" not in words_of(plan_page(plan, (), dry_run=False))


@pytest.mark.parametrize("code", ["target-value-kept", "media-text", "binding-gcm", *UNSAID])
def test_what_was_found_and_what_to_do_are_paragraphs_of_their_own(code: str) -> None:
    entry = CATALOGUE[code]
    paragraphs = plan_report(plan_of((change(1, "Mine"),), Finding(code, service_sid(1)))).split("\n\n")
    assert f"{entry.meaning}." in paragraphs
    assert (f"What to do: {entry.remedy}." in paragraphs) == (code not in UNSAID)


def test_no_remedy_begins_with_a_bare_none() -> None:
    assert not [code for code, entry in CATALOGUE.items() if entry.remedy.startswith("None")]


def test_times_are_dates_and_no_raw_offsets(demo: Demo) -> None:
    for name in ("report.html", "report.md"):
        text = Path(demo.folder, name).read_text("utf-8")
        assert "2026-06-15 08:00 UTC" in text
        assert "T08:00" not in text


def test_explain_shows_what_to_do_otherwise(run: Run, demo: Demo) -> None:
    """A remedy that begins with when there is nothing to do goes on with what to do when there is."""
    finding = next(
        one for one in demo.json("mapped", "summary.json")["findings"] if one["code"] == "credential-sandbox"
    )
    shown = " ".join(run("explain", demo.folder / "mapped", finding["examples"][0]).stdout.split())
    assert f"→ {CATALOGUE['credential-sandbox'].remedy}." in shown
