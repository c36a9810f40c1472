"""What diff shows: the first of long lists, others' words that do not act, and nothing of a person; in every format."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conftest import Run, service_sid
from tests.plans import change, hostile_plan, many, plan_of
from tests.snapshots import binding, write_snapshot
from tests.test_diff import ONE, TWO, saved, service, snapshot


@pytest.mark.long
def test_of_thousands_the_first_are_shown_and_reports_stay_within_bounds(tmp_path: Path, run: Run) -> None:
    before, after = saved(tmp_path / "a.json", plan_of(())), saved(tmp_path / "b.json", many(2_500))
    reports = [tmp_path / name for name in ("r.md", "r.html", "r.json")]
    result = run("diff", before, after, *(word for path in reports for word in ("--report", path)))
    assert len(result.stdout.splitlines()) < 120
    assert f"… and 4,980 more settings, of 5,000 in all: see {reports[0]}" in result.stdout
    assert len(reports[0].read_bytes()) <= 60_000
    assert "more settings; a report in JSON has all" in reports[0].read_text("utf-8")
    page = reports[1].read_text("utf-8")
    assert "The first 1,000 of 5,000 are here." in page
    assert len(json.loads(reports[2].read_text("utf-8"))["settings"]) == 5_000


def test_the_words_of_others_do_not_act_in_any_report(tmp_path: Path, run: Run) -> None:
    words = "<script>alert(1)</script>|`x`\x1b[31m\u202e"
    before = saved(tmp_path / "a.json", plan_of(()))
    after = saved(tmp_path / "b.json", hostile_plan(words, "</td><img src=x onerror=alert(1)>" + "y" * 500, words))
    reports = [tmp_path / name for name in ("r.md", "r.html")]
    result = run("diff", before, after, *(word for path in reports for word in ("--report", path)))
    document, page = (path.read_text("utf-8") for path in reports)
    assert "<script" not in page.partition("</style>")[2]
    assert "<img" not in page
    assert "<script" not in document
    for text in (result.stdout, document, page):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "…" in result.stdout  # of a long text as much as shows where it differs


def test_of_two_long_texts_the_part_is_shown_in_which_they_differ(tmp_path: Path, run: Run) -> None:
    long = "same " * 100
    for name, end in (("a", "then"), ("b", "now")):
        saved(tmp_path / f"{name}.json", plan_of((change(1, "Shop", long + end),)))
    text = run("diff", tmp_path / "a.json", tmp_path / "b.json").stdout
    assert re.search(r'…[same ]*then" → …[same ]*now"', text)


def test_the_pages_of_two_that_do_not_differ_say_so(tmp_path: Path, run: Run) -> None:
    taken = snapshot(tmp_path / "a")
    reports = [tmp_path / name for name in ("r.md", "r.html")]
    run("diff", taken, taken, *(word for path in reports for word in ("--report", path)))
    document, page = (path.read_text("utf-8") for path in reports)
    assert "**The two snapshots do not differ.**" in document
    assert "No difference" in page
    assert "default-src" in page


def test_of_many_settings_a_push_that_was_switched_off_comes_first(tmp_path: Path, run: Run) -> None:
    off = service_sid(40)
    sids = [service_sid(number) for number in range(50)]
    for name, sound in (("a", "one"), ("b", "two")):
        services = {
            sid: service(chat={"new_message": {"enabled": sid != off or name == "a", "sound\x1b[31m": sound}})
            for sid in sids
        }
        write_snapshot(tmp_path / name, services, {})
    result = run("diff", tmp_path / "a", tmp_path / "b")
    first = result.stdout.partition("Settings in Chat\n")[2].splitlines()[:2]
    assert off in first[0]
    assert first[1].split() == ["~", "new_message.enabled", "true", "→", "false"]
    assert "… and 31 more settings, of 51 in all: use --report FILE, or --json" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.long
def test_of_many_binding_types_the_first_are_shown_and_a_report_stays_within_bounds(tmp_path: Path, run: Run) -> None:
    rows = [binding(number, binding_type=f"{number:04}" * 20) for number in range(1_500)] + [
        binding(9_999, binding_type="")
    ]
    two = {ONE: service(), TWO: service()}
    before = write_snapshot(tmp_path / "a", two, {ONE: [rows], TWO: [rows[:1]]})
    after = write_snapshot(tmp_path / "b", two, {ONE: [rows[:5]], TWO: [rows[:1]]})
    report = tmp_path / "r.md"
    result = run("diff", before, after, "--report", report, "--report", tmp_path / "r.html")
    assert f"… and 1,481 more types, of 1,501 in all: see {report}" in result.stdout
    assert "… and 1,476 more types\n" in result.stdout  # of that service
    assert len(result.stdout.splitlines()) < 80
    assert len(report.read_bytes()) <= 60_000
    for text in (result.stdout, report.read_text("utf-8"), (tmp_path / "r.html").read_text("utf-8")):
        assert "0001" * 20 not in text
        assert "1,496" in text
