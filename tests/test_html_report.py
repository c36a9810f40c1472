"""The HTML report: one file that needs nothing else, in which other people's words stay words."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from migrate.load.limits import OF_A_PLAN
from migrate.model.finding import Finding
from migrate.model.plan import Plan
from migrate.model.proposal import Proposal
from migrate.model.text import printable
from migrate.report.html import FIRST, MOST_BARS, plan_page
from migrate.report.html.rows import as_json, rows_of
from migrate.standin.world import World
from tests.browser import find_browser
from tests.conftest import CASSETTE, Demo, Run, Serve, service_sid
from tests.plans import EMPTY, NAMES, change, hostile_plan, many, plan_of, refusals

VOID = {"meta", "input", "br", "wbr", "link", "img", "hr"}
words = st.text(min_size=1, max_size=40).filter(lambda text: "${" not in text) | st.sampled_from(
    [name for name in NAMES if name and "${" not in name]
)


@dataclass
class Parsed(HTMLParser):
    """A page's elements and words; the parser raises if a tag is not closed, or not in its turn."""

    source: str
    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    open_tags: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    inline: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.source)
        self.close()
        assert self.open_tags == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute of {tag} is there twice"
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open_tags.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag
        if tag in ("td", "th", "summary"):
            self.text.append(" ")

    def handle_data(self, data: str) -> None:
        if self.open_tags and self.open_tags[-1] in ("style", "script"):
            name = self.open_tags[-1]
            name = "data" if name == "script" and "script" not in self.inline and data.startswith("{") else name
            assert name not in self.inline
            self.inline[name] = data
        else:
            self.text.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


def page(plan: Plan) -> Parsed:
    return Parsed(plan_page(plan, refusals(plan)))


PLANS = {
    "empty": EMPTY,
    "one": plan_of((change(1, "One"),)),
    "hostile": hostile_plan(*NAMES[:3]),
    "many": many(30),
    "nameless": plan_of((change(1, ""),), Finding("binding-gcm", service_sid(77), "x")),
    "long": many(900),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_page_is_well_formed_and_its_links_lead_somewhere(plan: Plan) -> None:
    assert plan_page(plan, ()).startswith("<!DOCTYPE html>\n")
    found = page(plan)
    assert max(Counter(found.values("id")).values()) == 1
    for target in [*found.values("href"), *(f"#{name}" for name in found.values("aria-labelledby"))]:
        assert target.removeprefix("#") in found.values("id"), target
    assert found.tags.count("caption") == found.tags.count("table")
    assert found.tags.count("th") == found.values("scope").count("col") + found.values("scope").count("row")
    assert {"header", "nav", "main", "footer"} <= set(found.tags)


def test_the_demo_is_shown_whole(odd: Demo) -> None:
    plan = Plan.from_json(odd.json("plan.json"))
    found = Parsed((odd.folder / "report.html").read_text("utf-8"))
    for item in plan.changes:
        for path in item.fields:
            assert path in found.words
            assert str(item.desired[path]).lower() in found.words.lower()
    for finding in plan.findings:
        assert f"finding-{finding.code}" in found.values("id")
        assert set(finding.examples) <= set(found.words.split())
    for shown in (
        "Do not apply it yet",
        "21 settings of 4 services would change, 3 services unchanged, 2 proposals wait for a decision. "
        "1 blocker to decide first.",
        "switches-off: it would switch off what is on now (1)",
        "carried 226 68.9 %",
        "a new message no push Alice in team-chat: Hello!",
        "${CHANNEL_UNIQUE_NAME}: Hello! team-chat: Hello!",
        plan.plan_id,
    ):
        assert shown in found.words


@given(words, words, words)
@settings(max_examples=20)
def test_other_peoples_words_stay_words(name: str, template: str, subject: str) -> None:
    plain, found = page(hostile_plan("a", "b", "c")), page(hostile_plan(name, template, subject))
    assert found.tags == plain.tags
    assert [item[:2] for item in found.attributes] == [item[:2] for item in plain.attributes]
    for text in (name[:59], template[:170], subject):
        assert " ".join(printable(text).split()) in found.words


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_nothing_is_fetched_and_the_policy_allows_this_style_and_this_script_alone(plan: Plan) -> None:
    found = page(plan)
    assert not {name for _, name, _ in found.attributes} & {"src", "srcset", "style", "action", "data", "background"}
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert all(target.startswith("#") for target in found.values("href"))
    assert not re.search(r"url\(|@import|https?:", found.inline["style"])
    assert not re.search(r"fetch|XMLHttp|import\(|innerHTML|eval|https?:", found.inline["script"])
    hashes = {
        name: f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for name, text in found.inline.items()
    }
    policy = next(value for value in found.values("content") if value.startswith("default-src"))
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src {hashes['style']}",
        f"script-src {hashes['script']}",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    plan = many(40)
    read = Plan.from_json(json.loads(json.dumps(plan.to_json(), sort_keys=True)))
    assert plan_page(plan, refusals(plan)) == plan_page(read, refusals(read))
    (tmp_path / "plan.json").write_text(json.dumps(plan.to_json()))
    script = (
        "import hashlib, json, sys; from migrate.model.plan import Plan; from migrate.report.html import plan_page;"
        "plan = Plan.from_json(json.load(open(sys.argv[1])));"
        "print(hashlib.sha256(plan_page(plan, ()).encode()).hexdigest())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", script, tmp_path / "plan.json"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert seen == {hashlib.sha256(plan_page(plan, ()).encode()).hexdigest().encode() + b"\n"}


@pytest.mark.parametrize(
    ("plan", "verdict", "reasons"),
    [
        (EMPTY, "Nothing to apply", []),
        (plan_of(()), "Nothing to apply", []),
        (plan_of((), Finding("binding-gcm", service_sid(9001))), "Nothing to apply, and something to decide", []),
        (plan_of((change(1, "x"),)), "Ready to be applied", []),
        (plan_of((change(1, "x"),), Finding("binding-expired", service_sid(1))), "Ready to be applied", []),
        (plan_of((change(1, "x"),), Finding("binding-gcm", service_sid(1))), "Do not apply it yet", ["blockers"]),
        (plan_of((change(1, "x"),), Finding("change-disables", service_sid(1))), "Do not apply it yet", ["switches-off"]),
        (plan_of((change(1, "x"),), Finding("snapshot-changed", None)), "Do not apply it yet", ["changed-snapshot"]),
        (many(101, codes=0), "Do not apply it yet", ["many-services"]),
    ],
)  # fmt: skip
def test_the_verdict_is_what_apply_would_say(plan: Plan, verdict: str, reasons: list[str]) -> None:
    found = page(plan).words
    verdicts = (
        "Nothing to apply, and something to decide",
        "Nothing to apply",
        "Ready to be applied",
        "Do not apply it yet",
    )
    assert next(each for each in verdicts if each in found) == verdict
    assert [name for name in OF_A_PLAN if f"{name}: " in found] == reasons
    assert ("What blocks it" in found) == any(finding.severity == "blocker" for finding in plan.findings)


def test_500_services_are_all_there() -> None:
    plan = many(500)
    found = page(plan)
    assert {item.service_sid for item in plan.changes} <= set(found.values("id"))
    assert found.tags.count("rect") == MOST_BARS + len(plan.bindings)
    assert f"the {MOST_BARS} with the most settings, of 500." in found.words
    assert found.values("data-item").count("service") == 503
    assert found.values("data-item").count("finding") == 1500
    assert "1,000 settings of 500 services would change, 1 service unchanged, 1 service not there" in found.words


def long_plan(name: str = "Service", subject: str = "x") -> Plan:
    """One of more rows than a page lays out, with proposals and examples; every word of others' is hostile, or may be."""
    plan = many(700, name, codes=2)
    examples = ("BS" + "1" * 32, "BS" + "2" * 32)
    return replace(
        plan,
        findings=tuple(replace(one, subject=subject, count=3, examples=examples) for one in plan.findings),
        proposals=tuple(
            Proposal(one.service_sid, path, value, subject, place, {"apn": place})
            for place, one in enumerate(plan.changes)
            for path, value in (("added_to_conversation.enabled", True), ("added_to_conversation.template", name))
        ),
        live={one.service_sid: one.existing for one in plan.changes},
    )


def rows_in(page: Parsed) -> dict[str, Any]:
    """The rows that a long page holds as JSON."""
    data: dict[str, Any] = json.loads(page.inline["data"])
    return data


def test_a_long_page_lays_out_the_first_rows_and_holds_all_of_them_once() -> None:
    plan = long_plan()
    found = page(plan)
    kinds = Counter(found.values("data-item"))
    layouts = 1  # of each kind, which the script fills
    assert kinds == {
        "service": FIRST + layouts, "change": FIRST + layouts, "proposal": FIRST + layouts,
        "finding": 2 * FIRST + layouts,
    }  # fmt: skip
    data = rows_in(found)
    sids = {data["places"][row[0]][0] for row in data["services"]}
    assert sids == set(plan.services)
    assert {data["places"][row[0]][0] for row in data["changes"]} == {one.service_sid for one in plan.changes}
    assert len(data["waiting"]) == len(plan.proposals)
    assert sum(map(len, data["findings"].values())) == len(plan.findings)
    assert len(data["texts"]) == len(set(data["texts"]))
    assert len(data["places"]) == len(sids)
    assert len(data["pushes"]) < 5
    # Without the script it says what it does not show.
    assert "This report has 4,203 rows. Without JavaScript it shows the first 50 of each list." in found.words
    assert found.words.count("The others need JavaScript; the plan has all.") == 5
    assert "The first 50 of 1,400 are here." in found.words
    assert max(Counter(found.values("id")).values()) == 1


def test_a_long_page_begins_with_what_is_switched_off() -> None:
    plan = many(1000)
    off = Finding("change-disables", service_sid(990), "new_message.enabled")
    found = page(replace(plan, findings=(*plan.findings, off)))
    data = rows_in(found)
    for rows in (data["services"], data["changes"]):
        assert data["places"][rows[0][0]][0] == service_sid(990)
    assert found.values("id").index(service_sid(990)) < found.values("id").index(service_sid(1))
    (counts,) = {tuple(row[2] for row in of_code) for code, of_code in data["findings"].items() if code != off.code}
    assert counts == tuple(range(999, -1, -1))


def test_a_service_takes_hundreds_of_bytes_of_a_page_and_not_thousands() -> None:
    plan = many(1000, codes=6)
    numbered = tuple(
        replace(one, examples=tuple(f"BS{one.count:030}{number:02}" for number in range(4))) for one in plan.findings
    )
    assert len(plan_page(replace(plan, findings=numbered), ()).encode()) < 800_000  # 3,000,000 as HTML


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in NAMES if name and "${" not in name])
def test_in_a_long_page_other_peoples_words_are_data_and_act_nowhere(name: str) -> None:
    plain, found = page(long_plan("plain", "plain")), page(long_plan(name, name))
    assert found.tags == plain.tags
    assert [item[:2] for item in found.attributes] == [item[:2] for item in plain.attributes]
    assert printable(name) in rows_in(found)["texts"]
    assert not re.search(r"[<>&\u2028\u2029]|[^\x20-\x7e]", found.inline["data"])
    assert found.inline["script"] == plain.inline["script"]


@given(words)
@settings(max_examples=15)
def test_any_word_comes_out_of_the_data_as_it_went_in(word: str) -> None:
    rows = rows_of(hostile_plan(word, word, word), ())
    data = as_json(rows)
    assert not re.search(r"[<>&]|[^\x20-\x7e]", data)
    assert any(text.startswith(printable(word)) for text in json.loads(data)["texts"])


def test_every_service_is_listed_with_what_becomes_of_it() -> None:
    found = page(plan_of((change(1, "Mine"),), Finding("binding-gcm", service_sid(1)), Finding("rule-unused", None)))
    for line in (
        f"Mine {service_sid(1)} would change 2 unknown 1 blocker",
        f"Unchanged {service_sid(9001)} unchanged 0 unknown none",
        f"Left out {service_sid(9002)} left out 0 unknown none",
        f"Missing {service_sid(9003)} not there in Conversations 0 unknown none",
    ):
        assert line.replace(" ", "") in found.words.replace(" ", "")


def test_of_a_credentials_secret_only_the_place_is_shown() -> None:
    found = page(hostile_plan("Android", "x", "y")).words
    assert "to be made: a new fcm credential" in found
    assert "secret (none yet) env:FCM" in found
    assert "secret (not shown by Twilio) env:FCM" in found
    assert "sandbox (not set) true" in found
    assert "sandbox true false" in found
    assert "Credentials They are written" not in page(EMPTY).words


def test_outcomes_stand_in_their_order_with_their_share() -> None:
    found = page(plan_of(())).words
    assert "carried 1,226 93.7 % reduced 73 5.5 % expired 0 0.0 % blocked 9 0.6 %" in found


def test_a_share_is_never_rounded_to_all_or_to_nothing() -> None:
    found = page(replace(EMPTY, bindings={"carried": 12_439, "reduced": 4})).words
    assert "carried 12,439 99.9 % reduced 4 < 0.1 %" in found


def test_where_the_checks_demand_a_browser_its_lack_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for name in ("CI", "CHAT_MIGRATE_REQUIRE_BROWSER"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no headless browser"):
        find_browser()
    for name, value in (("CI", "true"), ("CHAT_MIGRATE_REQUIRE_BROWSER", "1")):
        with monkeypatch.context() as demanded:
            demanded.setenv(name, value)
            with pytest.raises(pytest.fail.Exception, match="no headless browser"):
                find_browser()


def test_a_bar_of_nothing_has_no_length() -> None:
    found = page(replace(plan_of(()), bindings={"carried": 0}))
    assert [value for tag, name, value in found.attributes if (tag, name) == ("rect", "width")] == ["0"]


def test_a_long_push_is_cut_and_says_so() -> None:
    found = page(plan_of((change(1, "x", "y" * 200),)))
    assert f"{'y' * 178} cut here, at 178 characters" in found.words


def test_load_writes_what_run_writes(tmp_path: Path, run: Run, demo: Demo) -> None:
    report = tmp_path / "new" / "r.html"
    assert run("load", demo.folder / "mapped", "--replay", CASSETTE, "--report", report).exit_code == 0
    assert report.read_bytes() == (demo.folder / "report.html").read_bytes()
    refused = run("load", demo.folder / "mapped", "--replay", CASSETTE, "--report", tmp_path / "r.htm")
    assert (refused.exit_code, ".html or .md or .json" in refused.stderr) == (2, True)


def test_what_is_no_file_is_not_replaced_by_a_report(tmp_path: Path, run: Run) -> None:
    (tmp_path / "run" / "report.html").mkdir(parents=True)
    assert run("run", "--replay", CASSETTE, "--out", tmp_path / "run").exit_code == 4
    assert not (tmp_path / "run" / "snapshot").exists()


def test_a_report_of_a_plan_that_was_decided_is_one_of_safety(
    tmp_path: Path, run: Run, serve: Serve, demo_world: World
) -> None:
    serve(demo_world)
    sids = [service_sid(number) for number in (1, 3, 5)]
    assert run("run", "--out", tmp_path / "run").exit_code == 0
    options = [word for sid in sids for word in ("--service", sid)]
    assert run("load", tmp_path / "run" / "mapped", *options, "--report", tmp_path / "r.html").exit_code == 0
    assert "Ready to be applied" in Parsed((tmp_path / "r.html").read_text("utf-8")).words
