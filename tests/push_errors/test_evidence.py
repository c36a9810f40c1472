"""What push errors prove of a mapping, and what they do not: by hand, and for any alerts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.map.mapping import map_snapshot
from migrate.map.push_errors import MIXED, OF_CREDENTIALS, OF_TOKENS, error_findings, read_push_errors
from migrate.map.rules_toml import load_rules
from migrate.model.counted_errors import CountedErrors, ErringCredential, ErrorCount, by_credential
from migrate.model.push_errors import CODES, entry_of
from migrate.model.sids import sids_in
from migrate.snapshot.manifest import Filters
from migrate.snapshot.reader import read_snapshot
from tests.conftest import Run, service_sid
from tests.push_errors.conftest import Monitored, alerts_world
from tests.snapshots import AS_OF, binding, credential, credential_sid, push_error, write_snapshot

SERVICE, OTHER = service_sid(1), service_sid(2)
APN, OLD, FIXED, UNUSED = (credential_sid(number) for number in range(1, 5))
LONG_AGO = AS_OF.replace(year=2020)
CREDENTIALS = [
    credential(1, "apn", date_updated=LONG_AGO, sandbox="True"),
    credential(2, "fcm", date_updated=LONG_AGO),
    credential(3, "fcm", date_updated=AS_OF - timedelta(days=2)),
    credential(4, "apn", date_updated=LONG_AGO),
]
BINDINGS = [
    binding(1, credential_sid=APN),
    binding(2, credential_sid=APN, date_updated=AS_OF - timedelta(days=400)),
    binding(3, binding_type="fcm", credential_sid=OLD),
    binding(4, binding_type="fcm", credential_sid=OLD),
    binding(5, binding_type="fcm", credential_sid=FIXED),
]
# They had registered before most of the errors came.
BINDINGS = [{**one, "date_updated": min(one["date_updated"], AS_OF - timedelta(days=20))} for one in BINDINGS]
NO_PROOF = (
    "no push error of the 30 days before the snapshot says so, which proves nothing where no push was sent with it"
)
Found = Mapping[tuple[str, str | None, str], int]
# The span is from 2026-05-16 08:00 to 2026-06-15 08:00.
TABLE: Sequence[tuple[str, Sequence[Mapping[str, Any]], Found]] = [
    (
        "the guess stays, and says what it rests on",
        [],
        {("credential-fcm-legacy", SERVICE, f"{OLD}: {NO_PROOF}"): 2},
    ),
    (
        "a fact takes the place of the guess, of a binding that only the snapshot attributes, too",
        [
            push_error(1, 52117, 3, credential_sid=OLD, service_sid=SERVICE),
            push_error(2, 52117, 1, binding_sid=BINDINGS[2]["sid"]),
            push_error(3, 52116, 2, credential_sid=OLD),
        ],
        {
            (
                "credential-fcm-legacy-proven",
                SERVICE,
                f"{OLD}: 52117 × 2 from 2026-06-12 to 2026-06-14, 52116 × 1 on 2026-06-13",
            ): 2,
        },
    ),
    (
        "a device that has registered since may have had another credential, and its service says no more",
        [push_error(1, 52117, 25, binding_sid=BINDINGS[2]["sid"])],
        {
            ("credential-fcm-legacy", SERVICE, f"{OLD}: {NO_PROOF}"): 2,
            (
                "credential-fcm-legacy-proven",
                SERVICE,
                "52117 × 1 on 2026-05-21; the errors do not name the credential",
            ): 1,
        },
    ),
    (
        "of a credential that no live binding uses, too",
        [push_error(1, 52131, credential_sid=UNUSED), push_error(2, 52109, None, credential_sid=credential_sid(9))],
        {
            ("credential-fcm-legacy", SERVICE, f"{OLD}: {NO_PROOF}"): 2,
            ("credential-certificate-refused", None, f"{UNUSED}: 52131 × 1 on 2026-06-14"): 0,
            ("credential-refused", None, f"{credential_sid(9)}: 52109 × 1 (undated)"): 0,
        },
    ),
    (
        "an error from before the credential was changed proves nothing; an undated one may be from then",
        [push_error(1, 52117, 3, credential_sid=FIXED), push_error(2, 52109, None, credential_sid=FIXED)],
        {
            ("credential-fcm-legacy", SERVICE, f"{OLD}: {NO_PROOF}"): 2,
            (
                "credential-changed-since",
                None,
                f"{FIXED}: 52109 × 1 (undated), 52117 × 1 on 2026-06-12; changed on 2026-06-13",
            ): 1,
        },
    ),
    (
        "an error from after the change is proof",
        [push_error(1, 52117, 3, credential_sid=FIXED), push_error(2, 52117, 1, credential_sid=FIXED)],
        {
            ("credential-fcm-legacy", SERVICE, f"{OLD}: {NO_PROOF}"): 2,
            ("credential-fcm-legacy-proven", SERVICE, f"{FIXED}: 52117 × 2 from 2026-06-12 to 2026-06-14"): 1,
        },
    ),
    (
        "a bad token of one device says nothing of its credential; of two it may",
        [
            push_error(1, 52134, credential_sid=UNUSED, binding_sid=BINDINGS[0]["sid"]),
            push_error(2, 52134, credential_sid=UNUSED, binding_sid=BINDINGS[0]["sid"]),
            push_error(3, 52134, binding_sid=BINDINGS[0]["sid"]),
            push_error(4, 52134, binding_sid=BINDINGS[1]["sid"]),
            push_error(5, 52134, credential_sid=credential_sid(9), binding_sid=BINDINGS[2]["sid"]),
            push_error(6, 52134, credential_sid=credential_sid(9), binding_sid=BINDINGS[3]["sid"]),
        ],
        {
            ("credential-fcm-legacy", SERVICE, f"{OLD}: {NO_PROOF}"): 2,
            (
                "credential-environment-mixed",
                None,
                f"{APN} (of the sandbox): 52134 × 2 on 2026-06-14; it has 1 live device",
            ): 2,
            ("credential-environment-mixed", None, f"{credential_sid(9)}: 52134 × 2 on 2026-06-14"): 2,
        },
    ),
    (
        "a code of FCM's says nothing of a certificate of Apple's, whatever an alert names",
        [push_error(1, 52117, credential_sid=APN), push_error(2, 52131, credential_sid=OLD)],
        {("credential-fcm-legacy", SERVICE, f"{OLD}: {NO_PROOF}"): 2},
    ),
    (
        "tokens are counted by service; a credential that is not named is not guessed",
        [
            push_error(1, 52004, service_sid=SERVICE),
            push_error(2, 52002, 2, service_sid=SERVICE),
            push_error(3, 52164, credential_sid=APN, service_sid=OTHER),
            push_error(4, 52117, service_sid=OTHER),
        ],
        {
            ("credential-fcm-legacy", SERVICE, f"{OLD}: {NO_PROOF}"): 2,
            ("token-credential-wrong", SERVICE, "52002 × 1 on 2026-06-13, 52004 × 1 on 2026-06-14"): 2,
            ("token-credential-unfit", OTHER, f"{APN}: 52164 × 1 on 2026-06-14"): 1,
            (
                "credential-fcm-legacy-proven",
                OTHER,
                "52117 × 1 on 2026-06-14; the errors do not name the credential",
            ): 1,
        },
    ),
    (
        "what names nothing is counted apart; codes of devices are no finding",
        [push_error(1, 52117), push_error(2, 52131), push_error(3, 52102, credential_sid=OLD)],
        {
            ("credential-fcm-legacy", SERVICE, f"{OLD}: {NO_PROOF}"): 2,
            ("push-errors-unattributed", None, "52117 × 1 on 2026-06-14, 52131 × 1 on 2026-06-14"): 2,
        },
    ),
]
OF_ERRORS = {
    *OF_CREDENTIALS,
    *OF_TOKENS,
    "credential-fcm-legacy",
    "credential-environment-mixed",
    "credential-changed-since",
    "push-errors-unattributed",
    "push-errors-unread",
    "push-errors-incomplete",
}


def snapshot(folder: Path, errors: Sequence[Mapping[str, Any]] | None, **changes: Any) -> Path:
    services = {SERVICE: {"friendly_name": "one"}, OTHER: {"friendly_name": "other"}}
    return write_snapshot(folder / "s", services, {SERVICE: [BINDINGS]}, CREDENTIALS, errors, **changes)


def found_in(folder: Path, **options: Any) -> dict[tuple[str, str | None, str], int]:
    """What is found of push errors, and of legacy keys."""
    summary = map_snapshot(folder / "s", folder / "m", overwrite=True, **options)
    found = [one for one in summary.findings if one.code in OF_ERRORS]
    return {(one.code, one.service_sid, one.subject): one.count for one in found}


@pytest.mark.parametrize(("why", "errors", "expected"), TABLE, ids=[why for why, _, _ in TABLE])
def test_what_errors_prove(tmp_path: Path, why: str, errors: Sequence[Mapping[str, Any]], expected: Found) -> None:
    snapshot(tmp_path, errors)
    assert found_in(tmp_path) == expected


def test_all_codes_of_credentials_are_evidence() -> None:
    known = {code for some in (*OF_CREDENTIALS.values(), *OF_TOKENS.values()) for code in some}
    assert known == {code for code, entry in CODES.items() if entry.kind == "credential"}
    assert MIXED in CODES


def test_errors_that_could_not_be_read_prove_nothing_and_change_no_guess(tmp_path: Path) -> None:
    snapshot(tmp_path, [], read={"note": "The API key may not read them"})
    assert found_in(tmp_path) == {
        ("credential-fcm-legacy", SERVICE, OLD): 2,
        ("push-errors-unread", None, "The API key may not read them"): 1,
    }


def test_a_manifest_whose_span_is_none_is_refused(run: Run, tmp_path: Path) -> None:
    snapshot(tmp_path, [], read={"since": "lately"})
    result = run("map", tmp_path / "s", "--out", tmp_path / "m")
    assert result.exit_code == 1
    assert "push_errors: not a time" in result.stderr


def test_errors_that_may_be_missing_are_said(tmp_path: Path) -> None:
    snapshot(tmp_path, [], read={"incomplete": 2, "unfit": 1})
    assert {key: count for key, count in found_in(tmp_path).items() if "push" in key[0]} == {
        ("push-errors-incomplete", None, "of 2 pieces of the time"): 1,
        ("push-errors-incomplete", None, "1 alert that could not be read"): 1,
    }


def test_a_service_that_was_not_asked_for_or_is_left_out_has_no_finding(tmp_path: Path) -> None:
    errors = [push_error(1, 52004, service_sid=OTHER), push_error(2, 52004, service_sid=SERVICE)]
    snapshot(tmp_path, errors, filters=Filters(services=(SERVICE,)))
    assert {service for code, service, _ in found_in(tmp_path) if code == "token-credential-wrong"} == {SERVICE}
    (tmp_path / "rules.toml").write_text(f'[services]\nleave_out = ["{SERVICE}"]')
    snapshot(tmp_path, errors)
    found = found_in(tmp_path, rules=load_rules(tmp_path / "rules.toml"))
    assert {service for code, service, _ in found if code == "token-credential-wrong"} == {OTHER}


def test_a_credential_that_fails_only_for_what_is_left_out_has_no_finding(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(f'[services]\nleave_out = ["{OTHER}"]')
    refused = [
        push_error(1, 52131, credential_sid=UNUSED, service_sid=OTHER),
        push_error(2, 52134, credential_sid=credential_sid(9), service_sid=OTHER, binding_sid="BS" + "1" * 32),
        push_error(3, 52134, credential_sid=credential_sid(9), service_sid=OTHER, binding_sid="BS" + "2" * 32),
    ]
    for errors, expected in ((refused, set()), ([*refused, push_error(4, 52131, credential_sid=UNUSED)], {UNUSED})):
        snapshot(tmp_path / str(len(errors)), errors)
        found = found_in(tmp_path / str(len(errors)), rules=load_rules(tmp_path / "rules.toml"))
        assert {subject[:34] for code, _, subject in found if code != "credential-fcm-legacy"} == expected


def test_few_dead_tokens_among_many_devices_say_nothing_of_their_credential() -> None:
    def mixed(devices: int, live: int) -> list[str]:
        counts = (ErrorCount(None, APN, MIXED, devices, devices, "", ""),)
        known = (ErringCredential(APN, "iOS", "apn", False, "", live),)
        errors = CountedErrors("2026-06-01T00:00:00+00:00", "2026-06-15T00:00:00+00:00", counts, known)
        return [found.code for found in error_findings(errors, (), ())]

    assert mixed(49, 1000) == mixed(1, 1) == []
    assert mixed(50, 1000) == mixed(2, 0) == mixed(2, 40) == ["credential-environment-mixed"]


def test_an_alert_that_names_a_binding_and_another_service_is_not_given_to_the_bindings_credential(
    tmp_path: Path,
) -> None:
    binding = BINDINGS[0]["sid"]
    snapshot(tmp_path, [push_error(1, 52131, service_sid=OTHER, binding_sid=binding)])
    of_credentials = {key for key in found_in(tmp_path) if "52131" in key[2]}
    expected = "52131 × 1 on 2026-06-14; the errors do not name the credential"
    assert of_credentials == {("credential-certificate-refused", OTHER, expected)}


def test_a_snapshot_without_them_is_mapped_as_before(tmp_path: Path) -> None:
    snapshot(tmp_path, None)
    assert found_in(tmp_path) == {("credential-fcm-legacy", SERVICE, OLD): 2}
    assert "push_errors" not in json.loads((tmp_path / "m" / "summary.json").read_bytes())


def test_a_binding_says_that_its_credential_is_proven_to_fail(run: Run, tmp_path: Path) -> None:
    snapshot(tmp_path, [push_error(1, 52117, credential_sid=OLD)])
    found_in(tmp_path)
    shown = run("explain", tmp_path / "m", BINDINGS[2]["sid"]).stdout
    assert "credential-fcm-legacy-proven" in shown


@pytest.mark.parametrize("field", ["since", "changed", "first", "error_code", "errors"])
def test_a_summary_whose_errors_are_no_errors_is_refused(run: Run, tmp_path: Path, field: str) -> None:
    snapshot(tmp_path, [push_error(1, 52117, credential_sid=OLD)])
    found_in(tmp_path)
    path = tmp_path / "m" / "summary.json"
    content = json.loads(path.read_bytes())
    table = content["push_errors"]
    place = {"since": table, "changed": table["credentials"][0]}.get(field, table["counts"][0])
    place[field] = "2026-99-01T00:00:00Z"
    path.write_text(json.dumps(content))
    result = run("show", tmp_path / "m")
    assert result.exit_code == 1
    assert "summary.json cannot be read" in result.stderr


SIDS = {
    "service_sid": st.sampled_from([None, SERVICE, OTHER, service_sid(9)]),
    "credential_sid": st.sampled_from([None, OLD, FIXED, credential_sid(9)]),
    "binding_sid": st.sampled_from([None, BINDINGS[0]["sid"], BINDINGS[4]["sid"], binding(9)["sid"]]),
}
ERRORS = st.lists(
    st.tuples(
        st.sampled_from([*CODES, 52000, 52199]), st.sampled_from([None, 1, 2.5, 29]), st.fixed_dictionaries(SIDS)
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=20)
@given(ERRORS)
def test_every_error_is_counted_once_whatever_it_names(
    tmp_path_factory: pytest.TempPathFactory, errors: list[tuple[int, float | None, dict[str, Any]]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    rows = [push_error(number, code, days, **named) for number, (code, days, named) in enumerate(errors)]
    snapshot(folder, rows)
    counted = read_push_errors(read_snapshot(folder / "s"), folder)
    assert counted
    found = list(error_findings(counted, (), ()))
    assert counted.errors == len(rows)
    apart = [
        row
        for row in rows
        if not (row["service_sid"] or row["credential_sid"]) and row["binding_sid"] in (None, binding(9)["sid"])
    ]
    assert counted.apart == len(apart)
    assert sum(one.count for one in found if one.code == "push-errors-unattributed") == len(apart)
    fails = {one.credential_sid for one in counted.counts if entry_of(one.error_code).kind == "credential"}
    about = {sid for one in found if one.code in OF_CREDENTIALS for sid in sids_in(one.subject)}
    assert about <= fails
    assert by_credential(counted.counts)[:1] == by_credential(by_credential(counted.counts))[:1]
    assert sum(one.errors for one in by_credential(counted.counts)) == len(rows)


def test_a_recording_without_alerts_leaves_a_note_that_says_nothing_of_this_machine(
    run: Run, monitored: Monitored, tmp_path: Path
) -> None:
    monitored(alerts_world())
    cassette = tmp_path / "c.yaml"
    assert run("extract", "--out", tmp_path / "first", "--no-alerts", "--record", cassette).exit_code == 0
    assert run("extract", "--out", tmp_path / "s", "--replay", cassette).exit_code == 0
    summary = map_snapshot(tmp_path / "s", tmp_path / "m")
    assert [one.subject for one in summary.findings if one.code == "push-errors-unread"] == [
        "The recording has no alerts"
    ]
    assert str(tmp_path) not in (tmp_path / "m" / "summary.json").read_text("utf-8")
