"""Reports: other people's words stay words, in the terminal and in Markdown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace

from migrate.model.catalogue import CATALOGUE
from migrate.model.finding import Finding
from migrate.model.plan import Change, Plan
from migrate.model.text import printable
from migrate.report.markdown import LARGEST, code, escape, plan_report
from migrate.report.text import plan_view
from migrate.report.wording import count, name, share
from tests.conftest import Demo, Run, service_sid
from tests.plans import EMPTY, hostile_plan, many, plan_of, refusals
from tests.plans import change as changed

markdown = MarkdownIt("commonmark").enable("table")
hostile = st.text(max_size=40) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "a|b",
        "`x`",
        "``|``",
        "[x](javascript:1)",
        "**b**",
        "# h",
        "\\|",
        "&lt;",
        "a\nb",
        "~~s~~",
    ]
)


def plan(friendly_name: str, template: str) -> Plan:
    fields = ("new_message.enabled", "new_message.template")
    change = Change(service_sid(1), friendly_name, {}, dict(zip(fields, (True, template), strict=True)), fields)
    finding = Finding("template-variable-unknown", service_sid(1), template)
    return Plan(
        "AC1",
        "https://c",
        "2026-06-15",
        "s",
        "r",
        "p",
        {"carried": 1},
        {service_sid(1): friendly_name},
        (change,),
        (),
        (),
        (finding,),
    )


@given(st.text())
def test_what_is_printable_holds_no_control_character(text: str) -> None:
    shown = printable(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b\ufeff]", shown)
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, תמיכה, 🚕, 👩‍👩‍👧", "plain, תמיכה, 🚕, 👩‍👩‍👧"),
        ("a\nb\t\x1b[31m", "a\\nb\\t\\u001b[31m"),
        ("\u202eevil", "\\u{202e}evil"),
    ],
)
def test_letters_are_shown_and_what_acts_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(hostile, hostile)
def test_markdown_tables_stay_tables_and_hostile_words_stay_words(friendly_name: str, template: str) -> None:
    report = plan_report(plan(friendly_name, template))
    html = markdown.render(report)
    assert html.count("<table>") == 3
    for row in re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL):
        assert len(re.findall(r"<t[hd]", row)) in (3, 4)
    for tag in ("<script", "<a ", "<strong><", "<img", "<em>"):
        assert tag not in html
    heading = re.findall(r"<h3>(.*?) \(<code>IS", html, re.DOTALL)
    assert len(heading) == 1


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1).map(str.strip).filter(bool))
def test_escaped_text_reads_as_it_was(text: str) -> None:
    (inline,) = (token for token in markdown.parse(f"### {escape(text)} x") if token.type == "inline")
    assert "".join(child.content for child in inline.children or []) == f"{text} x"


@pytest.mark.parametrize("text", ["see https://evil.example now", "WWW.evil.example", "a :tada: b", "HTTP://x"])
def test_hosts_make_no_links_and_no_pictures_of_it(text: str) -> None:
    assert not re.search(r"://|www\.|:tada:", escape(text), re.IGNORECASE)
    assert escape("at 12:30, example.test") == "at 12:30, example.test"


@pytest.mark.parametrize("text", ["08:00:00", "2026-06-15T08:00:00+02:00", "2026-06-15T08:00:00-02:00", "6:05:04"])
def test_times_are_read_in_the_source_as_they_are(text: str) -> None:
    assert escape(text) == text


@pytest.mark.parametrize("text", [":+1:", ":-1:", ":100:", ":1234:", "12:100:30", ":8ball:", "at 08:00:tada:"])
def test_whatever_hosts_know_as_a_picture_is_not_left_as_it_is(text: str) -> None:
    assert not re.search(r":(\+1|-1|100|1234|8ball|tada):", escape(text))


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1).map(str.strip).filter(bool))
def test_code_in_a_table_cell_reads_as_it_was(text: str) -> None:
    html = MarkdownIt("commonmark").enable("table").parse(f"| a |\n|---|\n| {code(text)} |")
    spans = [child.content for token in html for child in token.children or [] if child.type == "code_inline"]
    assert spans == [text]


def test_the_terminal_shows_every_changed_field_and_every_finding(odd: Demo, run: Run) -> None:
    shown = run("load", odd.folder / "mapped", "--replay", odd.cassette).stdout
    for change in odd.json("plan.json")["changes"]:
        assert change["service_sid"] in shown
        for field in change["fields"]:
            assert field in shown
    for finding in odd.json("plan.json")["findings"]:
        assert CATALOGUE[finding["code"]].meaning in shown
    assert "\x1b" not in shown


def test_no_control_sequence_of_a_name_reaches_the_terminal() -> None:
    shown = plan_view(plan("\x1b]0;owned\x07", "\x1b[2J")).plain
    assert "\x1b" not in shown


def test_the_report_counts_what_the_plan_counts(odd: Demo) -> None:
    report, counts = (odd.folder / "report.md").read_text("utf-8"), odd.json("plan.json")["counts"]
    assert f"{counts['fields']} settings of {counts['changes']} services would change" in report
    assert odd.json("plan.json")["plan_id"] in report
    assert "- Bindings: carried 226 · reduced 73 · expired 20 · blocked 9\n" in report


def test_very_long_names_are_cut_and_numbers_have_separators() -> None:
    assert len(name("x" * 200)) == 60
    assert name(" \u00a0") == name("") == "(no name)"
    assert (count(1, "row"), count(12000, "row")) == ("1 row", "12,000 rows")


def test_every_catalogued_finding_has_a_meaning_and_a_remedy() -> None:
    for code_, entry in CATALOGUE.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", code_)
        assert entry.meaning
        assert entry.remedy
        assert not entry.meaning.endswith(".")


def shown_changes(report: str) -> int:
    return len(re.findall(r"^### .*\(`IS", report, re.MULTILINE))


@given(
    st.sampled_from([0, 1, 40, 100, 400, 1200]),
    hostile,
    st.text(max_size=300) | st.just("too long for any report"),
    st.sampled_from([0, 1, 3, len(CATALOGUE)]),
)
@settings(max_examples=6)
def test_the_report_stays_within_60_kb_and_counts_what_it_leaves_out(
    services: int, friendly_name: str, template: str, codes: int
) -> None:
    if template.startswith("too long"):
        template, services = template * 3000, min(services, 40)
    plan = many(services, friendly_name, template, codes if services < 400 else min(codes, 3))
    report = plan_report(plan, refusals(plan))
    assert len(report.encode()) <= LARGEST == 60_000
    assert f"{services:,} service{'' if services == 1 else 's'} would change" in report
    assert {finding.code for finding in plan.findings} == set(re.findall(r"^### \w+: (.*)$", report, re.MULTILINE))
    left = re.search(r"^\*\*Shortened\*\*: ([\d,]+) of ([\d,]+) change", report, re.MULTILINE)
    out, whole = (int(number.replace(",", "")) for number in left.groups()) if left else (0, services)
    assert (shown_changes(report) + out, whole) == (services, services)
    assert (f"… and {out:,} more." in report) == bool(out)
    if "of the findings there are the counts" in report:
        numbers = re.findall(r"^([\d,]+) findings? in ([\d,]+) services?, ", report, re.MULTILINE)
        assert {tuple(map(int, (each.replace(",", "") for each in pair))) for pair in numbers} == {
            (services, services)
        }
    else:
        assert len(re.findall(r"\| `x` \| [\d,]+ \|", report)) == len(plan.findings)
    assert report.count("\n|---") == markdown.render(report).count("<table>")


@pytest.mark.long
def test_a_shortened_report_says_where_all_of_it_is_and_fills_its_room() -> None:
    few, most = many(60), many(600)
    assert "Shortened" not in plan_report(few)
    report = plan_report(most)
    assert "`chat-migrate load MAPPED --plan-out plan.json --report report.html`" in report
    for length in range(1, 60, 5):
        assert LARGEST - 400 < len(plan_report(many(300, "n" * length, codes=1)).encode()) <= LARGEST
    counted = plan_report(many(500, codes=1))
    assert "500 findings in 500 services, 124,750 in all." in counted


def test_findings_that_fit_are_shown_also_where_changes_are_left_out() -> None:
    plan = replace(many(300), findings=(Finding("rule-unused", None, "a rule"),))
    report = plan_report(plan)
    assert "| the account | `a rule` | 1 |  |" in report
    assert 0 < shown_changes(report) < 300
    accounts = replace(many(300), findings=tuple(Finding("rule-unused", None, f"rule {n}") for n in range(3000)))
    assert "3,000 findings, 3,000 in all." in plan_report(accounts)


def test_the_markdown_shows_the_refusal_and_the_pushes() -> None:
    plan = hostile_plan("a", "${PARTICIPANT} wrote", "s")
    report = plan_report(plan, refusals(plan))
    assert "Blocked by:\n\n- `blockers`: the findings block it: binding-gcm (IS" in report
    assert "| a new message | no push | `Alice wrote` |" in report
    assert f"| a new message | no push | `{'y' * 178}` … |" in plan_report(plan_of((changed(1, "x", "y" * 200),)))
    assert "Blocked by" not in plan_report(EMPTY, (("blockers", "x"),))


@pytest.mark.parametrize(
    ("number", "whole", "shown"),
    [
        (12_439, 12_443, "99.9 %"), (4, 12_443, "< 0.1 %"), (0, 7, "0.0 %"), (7, 7, "100.0 %"), (1, 1000, "0.1 %"),
        (2, 3, "66.6 %"), (0, 0, "-"),
    ],
)  # fmt: skip
def test_a_share_is_not_all_unless_it_is_and_of_nothing_it_is_none(number: int, whole: int, shown: str) -> None:
    assert share(number, whole) == shown


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("x" * 61, "x" * 59),
        ("x" * 57 + "👩‍👩‍👧" + "x", "x" * 57),
        ("x" * 58 + "👍🏽 yes", "x" * 58),
        ("x" * 58 + "e\u0301\u0302tude", "x" * 58),
        ("e" + "\u0301" * 80, "e" + "\u0301" * 58),
    ],
)
def test_a_long_name_is_not_cut_within_a_sign(text: str, kept: str) -> None:
    assert name(text) == kept + "…"


def test_a_shortened_report_keeps_what_is_switched_off_and_the_findings_that_have_room() -> None:
    whole = many(5000, codes=1)
    off = service_sid(4990)
    plan = replace(whole, findings=(*whole.findings, Finding("change-disables", off, "new_message.enabled")))
    report = plan_report(plan, refusals(plan))
    assert len(report.encode()) <= LARGEST
    assert "5,000 findings in 5,000 services" in report
    assert "of the findings there are the counts, whole only for 1 code. First are those that switch" in report
    assert f"| {off} Service | `new_message.enabled` | 1 |" in report
    first = re.search(r"^### Service \(`(IS\w+)`\)", report, re.MULTILINE)
    assert first
    assert first[1] == off
