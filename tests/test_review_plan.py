"""A plan to look at: what would change for whom, what phones show then, and what must be decided first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from migrate.load.plan_file import save_plan
from migrate.model.catalogue import CATALOGUE
from migrate.model.errors import InputError
from migrate.model.finding import Finding
from migrate.model.plan import Change, Plan
from migrate.model.push_credential import CredentialChange, CredentialConfig
from migrate.review import open_plan
from migrate.review.plan import PlanReview
from tests.conftest import Demo, service_sid
from tests.markup import HARMLESS, HOSTILE, text_in
from tests.plans import EMPTY, hostile_plan, plan_of
from tests.reviews import rows

ONE, UNCHANGED, LEFT, MISSING = (service_sid(number) for number in (1, 9001, 9002, 9003))
CREDENTIAL = "CR" + "1" * 32


def opened(plan: Plan, folder: Path) -> PlanReview:
    save_plan(plan, folder / "plan.json")
    return open_plan(folder / "plan.json")


@pytest.fixture
def hostile(tmp_path: Path) -> PlanReview:
    return opened(hostile_plan(HOSTILE, f"${{PARTICIPANT}} {HOSTILE}", HOSTILE), tmp_path)


def test_changes_are_a_setting_a_row_in_the_order_in_which_they_are_written(hostile: PlanReview) -> None:
    assert list(hostile.changes) == ["kind", "sid", "name", "field", "existing", "desired"]
    unseen, kind = "(not shown by Twilio)", "credential"
    assert rows(hostile.changes) == [
        (kind, None, HARMLESS, "friendly_name", "(none yet)", HARMLESS),
        (kind, None, HARMLESS, "type", "(none yet)", "fcm"),
        (kind, None, HARMLESS, "secret", "(none yet)", "env:FCM"),
        (kind, CREDENTIAL, HARMLESS, "secret", unseen, "env:FCM"),
        (kind, CREDENTIAL, "Apple", "sandbox", "(not set)", "true"),
        (kind, CREDENTIAL, "Apple", "certificate", unseen, "file:a"),
        (kind, CREDENTIAL, "Apple", "private_key", unseen, "file:b"),
        (kind, CREDENTIAL, "Apple 2", "sandbox", "true", "false"),
        (kind, CREDENTIAL, "Apple 2", "certificate", unseen, "file:a"),
        (kind, CREDENTIAL, "Apple 2", "private_key", unseen, "file:b"),
        ("notifications", ONE, HARMLESS, "new_message.enabled", "false", "true"),
        ("notifications", ONE, HARMLESS, "new_message.template", "(not set)", f'"${{PARTICIPANT}} {HARMLESS}"'),
    ]


def test_services_have_a_fate_and_their_findings(hostile: PlanReview) -> None:
    assert rows(hostile.services) == [
        (ONE, HARMLESS, "would change", 2, 1, 0, 0),
        (UNCHANGED, "Unchanged", "unchanged", 0, 0, 0, 0),
        (LEFT, "Left out", "left out", 0, 0, 0, 0),
        (MISSING, "Missing", "missing", 0, 0, 0, 0),
    ]
    columns = ["service_sid", "service", "fate", "settings", "blocker", "warning", "info"]
    assert list(hostile.services) == columns


def test_findings_are_the_worst_first_with_the_catalogues_words(hostile: PlanReview) -> None:
    names = ["severity", "code", "service_sid", "service", "about", "count", "examples"]
    assert rows(hostile.findings, names) == [
        ("blocker", "binding-gcm", ONE, HARMLESS, HARMLESS, 4000, "BS" + "1" * 32),
        (CATALOGUE["rule-unused"].severity, "rule-unused", None, "", HARMLESS, 1, ""),
    ]
    entry = CATALOGUE["binding-gcm"]
    assert rows(hostile.blockers(), ["code", "meaning", "remedy"]) == [("binding-gcm", entry.meaning, entry.remedy)]


def test_pushes_are_those_that_look_otherwise_afterwards(hostile: PlanReview) -> None:
    assert rows(hostile.pushes) == [(ONE, HARMLESS, "new_message", "(no push)", f"Alice {HARMLESS}", True, None)]
    text = text_in(hostile.phones()._repr_html_())
    assert text.count(HARMLESS) == 2
    assert "once it is applied" in text
    assert repr(hostile.phones()) == f"{HARMLESS}, new_message: (no push) → Alice {HARMLESS}"


def test_what_is_switched_off_is_found(tmp_path: Path) -> None:
    fields = ("new_message.enabled", "new_message.with_media.enabled", "added_to_conversation.enabled")
    texts = ("new_message.template",)
    change = Change(
        ONE,
        "Acme",
        # A text is no switch, whatever it says.
        {fields[0]: True, fields[1]: False, texts[0]: "true"},
        {fields[0]: False, fields[1]: True, fields[2]: False, texts[0]: "false"},
        (*fields, *texts),
    )
    credential = CredentialChange(
        CredentialConfig("a", "apn", {"certificate": "file:a", "private_key": "file:b"}, True)
    )
    review = opened(plan_of((change,), credentials=(credential,)), tmp_path)
    assert rows(review.switched_off(), ["sid", "field"]) == [(ONE, fields[0])]
    assert rows(review.pushes, ["push", "before", "after"]) == [
        ("new_message", "true", "(no push)"),
        ("new_message.with_media", "(no push)", "(Twilio's default text)"),
    ]


def test_the_card_begins_with_the_verdict(hostile: PlanReview, tmp_path: Path) -> None:
    text = text_in(hostile._repr_html_())
    for fact in (
        "2 settings of 1 service would change",
        "Do not apply it yet",
        "Refused: blockers",
        hostile.plan.plan_id,
        "https://conversations.example.test",
        "as of 2026-06-15 08:00 UTC",
        "blocked 9 · carried 1,226 · expired 0 · reduced 73",
        "1 blocker",
        ".blockers() .switched_off() .phones()",
    ):
        assert fact in text
    assert hostile.path.name == "plan.json"
    warned = opened(plan_of((), Finding("binding-expired", ONE)), tmp_path)
    assert repr(warned).startswith("<Nothing to apply: ")


def test_an_empty_plan_has_the_same_columns_and_no_rows(hostile: PlanReview, tmp_path: Path) -> None:
    review = opened(EMPTY, tmp_path)
    for name in ("changes", "findings", "services", "pushes"):
        assert len(getattr(review, name)) == 0
        assert dict(getattr(review, name).dtypes) == dict(getattr(hostile, name).dtypes)
    assert len(review.blockers()) == len(review.switched_off()) == 0
    assert repr(review.phones()) == "(no pushes)"
    assert "Snapshotnone" in text_in(review._repr_html_())


def test_a_plan_that_was_edited_or_is_none_is_refused(demo: Demo, tmp_path: Path) -> None:
    plan = demo.json("plan.json")
    plan["changes"][0]["desired"]["new_message.enabled"] = False
    (tmp_path / "edited.json").write_text(json.dumps(plan))
    (tmp_path / "rubbish.json").write_bytes(b"\xff{")
    for name in ("edited.json", "rubbish.json"):
        with pytest.raises(InputError, match=r"was changed since it was made.*--plan-out"):
            open_plan(tmp_path / name)
    for path, reason in ((tmp_path / "none.json", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(InputError, match=f"Cannot read .*: {reason}.*--plan-out"):
            open_plan(path)


def test_the_demos_plan_is_what_load_says_it_is(odd: Demo) -> None:
    review, plan = open_plan(str(odd.folder / "plan.json")), odd.json("plan.json")
    settings = [(change["service_sid"], field) for change in plan["changes"] for field in change["fields"]]
    assert rows(review.changes, ["sid", "field"]) == settings
    assert review.services["settings"].sum() == plan["counts"]["fields"] == len(settings)
    for severity, number in plan["counts"]["findings"].items():
        assert (review.findings["severity"] == severity).sum() == number
    assert len(review.blockers()) == plan["counts"]["findings"]["blocker"]
