"""Push errors in a plan and its reports: which credential fails, since when, for how many devices, and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from migrate.model.counted_errors import CountedErrors, ErringCredential, ErrorCount
from migrate.model.plan import Plan
from migrate.report.html import MOST_ERRORS, plan_page
from migrate.report.layout import fitted
from migrate.report.limit import MOST_SHOWN
from migrate.report.markdown import LARGEST, plan_report
from migrate.report.push_errors import error_rows
from migrate.report.text import plan_view
from tests.conftest import Run, service_sid
from tests.markup import HOSTILE
from tests.plans import many, plan_of
from tests.push_errors.conftest import Monitored, alerts_world
from tests.snapshots import credential_sid

SINCE, UNTIL = "2026-05-16T08:00:00+00:00", "2026-06-15T08:00:00+00:00"
CR, IS = credential_sid(1), service_sid(1)


def counted(*counts: ErrorCount, **facts: Any) -> CountedErrors:
    """A table of errors, whose one credential is live on 340 devices."""
    known = ErringCredential(CR, HOSTILE, "fcm", False, "2026-06-01T00:00:00+00:00", 340)
    return CountedErrors(SINCE, UNTIL, counts, (known,), **facts)


def one(code: int = 52117, day: int = 10, errors: int = 1, **names: str | None) -> ErrorCount:
    time = f"2026-06-{day:02}T08:00:00Z"
    return ErrorCount(names.get("service"), names.get("credential"), code, errors, 1, time, time)


def views(plan: Plan) -> tuple[str, str, str]:
    """What the terminal, a Markdown file and a page show of push errors."""
    text = fitted(plan_view(plan), 4000).plain.partition("Push errors\n")[2].partition("\n\n")[0]
    page = plan_page(plan, []).partition('<section id="push-errors"')[2].partition("</section>")[0]
    return text, plan_report(plan).partition("## Push errors\n")[2].partition("\n## ")[0], page


def test_each_report_names_what_fails_since_when_for_how_many_and_what_to_do() -> None:
    table = counted(
        one(service=IS, credential=CR, day=10, errors=1200),
        one(service=service_sid(2), credential=CR, day=14),
        one(52004, service=IS),
        one(52102),
    )
    plan = replace(plan_of(()), push_errors=table, services={IS: "Acme"}, devices={IS: 7})
    for shown in views(plan):
        for fact in (
            CR,
            "52117 ",
            "legacy FCM key",
            "1,201",
            "2026-06-10",
            "2026-06-14",
            "340",
            "service-account key",
        ):
            assert fact in shown.replace("</b>", ""), fact
        assert shown.index(CR) < shown.index(IS) < shown.index("not attributed")
        assert "1 of them name neither" in shown
        assert "proves nothing" in shown
    assert not any("<script>" in shown for shown in views(plan)[1:])


def test_an_error_from_before_a_change_is_shown_as_one_that_may_be_fixed() -> None:
    before = ErrorCount(None, CR, 52117, 1, 0, "2026-05-20T00:00:00Z", "2026-05-21T00:00:00Z")
    assert all(
        "changed on 2026-06-01" in shown and "service-account key" not in shown
        for shown in views(replace(plan_of(()), push_errors=counted(before)))
    )


def test_a_code_that_cannot_be_about_its_credential_has_no_remedy() -> None:
    plan = replace(plan_of(()), push_errors=counted(one(52131, credential=CR)))
    assert all("cannot be about" in shown and "valid certificate" not in shown for shown in views(plan))


def test_none_and_none_that_could_be_read_are_not_the_same() -> None:
    none = views(replace(plan_of(()), push_errors=counted()))
    unread = views(replace(plan_of(()), push_errors=counted(note="The key may not")))
    assert all("0 push errors" in shown and "proves nothing" in shown for shown in none)
    assert all("could not be read: The key may not" in shown and "proves nothing" not in shown for shown in unread)
    assert views(plan_of(())) == ("", "", "")
    assert all("some may be missing" in shown for shown in views(replace(plan_of(()), push_errors=counted(unfit=1))))


def test_of_many_errors_each_report_shows_the_worst_and_how_many_more_there_are() -> None:
    counts = [ErrorCount(None, credential_sid(n), 52117, n, 0, "", "") for n in range(1, 301)]
    plan = replace(many(2000), push_errors=counted(*counts, one(52102, credential=CR, errors=9999)))
    assert len(plan_report(plan).encode()) <= LARGEST
    text, markdown, page = views(plan)
    assert text.count("· credential") == MOST_SHOWN
    assert f"and {301 - MOST_SHOWN:,} more rows" in text
    assert page.count('data-item="push error"') == MOST_ERRORS
    assert f"The first {MOST_ERRORS} of 301" in page
    assert "more, which the plan has" in markdown
    assert all(credential_sid(300) in shown and "9,999" not in shown for shown in (text, markdown))


def test_rows_are_in_one_order_whatever_the_order_of_counts() -> None:
    counts = [one(credential=CR), one(52102, errors=5, credential=CR), one(), one(52117, errors=3, service=IS)]
    rows = error_rows(counts, {IS: "Acme"}, {IS: 3})
    assert rows == error_rows(counts[::-1], {IS: "Acme"}, {IS: 3})
    assert [(row.whose, row.code, row.name, row.devices) for row in rows] == [
        ("service", 52117, "Acme", 3),
        ("credential", 52117, "", None),
        ("credential", 52102, "", None),
        ("not attributed", 52117, "", None),
    ]


OLD_KEY = {"code": 52117, "count": 9, "hours_ago": [20, 1], "credential": "push", "resource_sid": "binding"}
LEGACY_TEXT = {**OLD_KEY, "alert_text": "person-1@example.test {credential}", "resource_sid": "none", "count": 4}


def test_a_run_takes_errors_from_the_account_into_the_plan_and_its_reports(
    run: Run, monitored: Monitored, tmp_path: Path
) -> None:
    monitored(alerts_world(OLD_KEY, LEGACY_TEXT))
    result = run("run", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    plan = json.loads((tmp_path / "out" / "plan.json").read_bytes())
    assert plan["push_errors"] == json.loads((tmp_path / "out/mapped/summary.json").read_bytes())["push_errors"]
    assert sum(count["errors"] for count in plan["push_errors"]["counts"]) == 13
    assert [known["live"] for known in plan["push_errors"]["credentials"]] == [3]
    for text in (result.stdout, *(path.read_text("utf-8") for path in (tmp_path / "out").glob("*.*"))):
        assert "52117" in text
        assert "person-1@" not in text
    again = run("load", "--plan", tmp_path / "out" / "plan.json")
    assert again.exit_code == 0, again.output
    assert "13 push errors" in again.stdout


@pytest.mark.parametrize("options", [("--service", IS), ("--only-credentials",)])
def test_a_plan_of_a_part_has_the_errors_of_that_part(
    run: Run, monitored: Monitored, tmp_path: Path, options: tuple[str, ...]
) -> None:
    monitored(alerts_world(OLD_KEY))
    assert run("run", "--out", tmp_path / "out").exit_code == 0
    result = run("load", tmp_path / "out" / "mapped", *options, "--json")
    assert result.exit_code == 0, result.output
    assert ("push_errors" in json.loads(result.stdout)) == (len(options) == 2)
