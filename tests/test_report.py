"""Reports: other people's words stay words, in the terminal and in Markdown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from migrate.model.catalogue import CATALOGUE
from migrate.model.finding import Finding
from migrate.model.plan import Change, Plan
from migrate.model.text import printable
from migrate.report.markdown import code, escape, plan_report
from migrate.report.text import plan_view
from migrate.report.wording import count, name
from tests.conftest import Demo, Run, service_sid

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
    change = Change(service_sid(1), friendly_name, {}, {"new_message.template": template}, ("new_message.template",))
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
    assert html.count("<table>") == 2
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


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1).map(str.strip).filter(bool))
def test_code_in_a_table_cell_reads_as_it_was(text: str) -> None:
    html = MarkdownIt("commonmark").enable("table").parse(f"| a |\n|---|\n| {code(text)} |")
    spans = [child.content for token in html for child in token.children or [] if child.type == "code_inline"]
    assert spans == [text]


def test_the_terminal_shows_every_changed_field_and_every_finding(demo: Demo, run: Run) -> None:
    shown = run("load", demo.folder / "mapped", "--replay", "cassettes/demo.yaml").stdout
    for change in demo.json("plan.json")["changes"]:
        assert change["service_sid"] in shown
        for field in change["fields"]:
            assert field in shown
    for finding in demo.json("plan.json")["findings"]:
        assert CATALOGUE[finding["code"]].meaning in shown
    assert "\x1b" not in shown


def test_no_control_sequence_of_a_name_reaches_the_terminal() -> None:
    shown = plan_view(plan("\x1b]0;owned\x07", "\x1b[2J")).plain
    assert "\x1b" not in shown


def test_the_report_counts_what_the_plan_counts(demo: Demo) -> None:
    report, counts = (demo.folder / "report.md").read_text("utf-8"), demo.json("plan.json")["counts"]
    assert f"{counts['fields']} settings of {counts['changes']} services would change" in report
    assert demo.json("plan.json")["plan_id"] in report


def test_very_long_names_are_cut_and_numbers_have_separators() -> None:
    assert len(name("x" * 200)) == 60
    assert (count(1, "row"), count(12000, "row")) == ("1 row", "12,000 rows")


def test_every_catalogued_finding_has_a_meaning_and_a_remedy() -> None:
    for code_, entry in CATALOGUE.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", code_)
        assert entry.meaning
        assert entry.remedy
        assert not entry.meaning.endswith(".")
