"""Of an alert only its numbers, its dates and SIDs are kept, whatever stands in its texts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.model.push_errors import CODES, entry_of, is_push_error
from migrate.push_errors.alert import alert_of

NO, CR, OTHER, IS, BS = "NO" + "1" * 32, "CR" + "2" * 32, "CR" + "3" * 32, "IS" + "4" * 32, "BS" + "5" * 32
FCM_TOKEN = f"cXy12:APA91b{CR}Zk-9_x"  # synthetic; a SID's form within a longer word is no SID


def alert(**fields: Any) -> dict[str, Any]:
    return {
        "sid": NO,
        "error_code": "52117",
        "log_level": "error",
        "date_generated": "2026-06-15T08:00:00Z",
        **fields,
    }


@pytest.mark.parametrize(
    ("fields", "credential"),
    [
        ({"resource_sid": CR}, CR),
        ({"service_sid": CR}, CR),
        ({"alert_text": f"Push to alice@example.com failed: credential={CR}, token {FCM_TOKEN}"}, CR),
        ({"alert_text": f"credential_sid:{CR.lower().replace('cr', 'CR', 1)}"}, CR),
        ({"request_url": f"https://chat.twilio.com/v2/Credentials/{CR}?Identity=alice%40example.com"}, CR),
        ({"request_url": f"https://example.com/?next=%2FCredentials%2F{CR}"}, CR),
        ({"resource_sid": CR, "alert_text": f"{CR} was refused"}, CR),
        ({"resource_sid": CR, "alert_text": f"{OTHER} was refused"}, None),  # which of the two, would be a guess
        ({"alert_text": f"token {FCM_TOKEN}"}, None),
        ({"alert_text": f"{CR}f"}, None),
        ({"alert_text": None, "resource_sid": 7}, None),
    ],
)
def test_the_credential_is_the_only_one_that_is_named_anywhere(
    fields: dict[str, Any], credential: str | None
) -> None:
    found = alert_of(alert(**fields))
    assert found
    assert found.row
    assert found.row["credential_sid"] == credential


def test_nothing_of_a_text_stays_but_sids() -> None:
    text = f"alice@example.com {FCM_TOKEN} {'ab' * 32} in {IS}, {BS}, {CR}"
    found = alert_of(alert(alert_text=text, request_url="https://example.com/alice@example.com", more_info=text))
    assert found
    assert found.row == {
        "sid": NO,
        "date": datetime(2026, 6, 15, 8, tzinfo=UTC),
        "error_code": 52117,
        "log_level": "error",
        "service_sid": IS,
        "credential_sid": CR,
        "binding_sid": BS,
    }


@pytest.mark.parametrize("level", ["alice@example.com", 7, None])
def test_a_log_level_that_is_none_of_twilios_is_not_kept(level: Any) -> None:
    found = alert_of(alert(log_level=level))
    assert found
    assert found.row
    assert found.row["log_level"] is None


@pytest.mark.parametrize(
    ("code", "is_push"),
    [("52117", True), (52117, True), ("52199", True), ("30007", False), ("11200", False), ("", False), ("5" * 5000, False),
     (None, False), (True, False), ("５２１１７", False), (" 52004 ", True)],
)  # fmt: skip
def test_other_products_alerts_are_counted_and_not_kept(code: Any, is_push: bool) -> None:
    found = alert_of(alert(error_code=code))
    assert found
    assert (found.row is not None) == is_push


@pytest.mark.parametrize(
    ("date", "time"),
    [
        ("2026-06-15T08:00:00.250Z", datetime(2026, 6, 15, 8, 0, 0, 250_000, UTC)),
        ("2026-06-15T10:00:00+02:00", datetime(2026, 6, 15, 8, tzinfo=UTC)),
        ("2026-06-15T08:00:00", datetime(2026, 6, 15, 8, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("Mon, 15 Jun 2026 08:00:00 GMT", None),
        (1_750_000_000, None),
    ],
)
def test_a_date_is_in_utc_or_unknown(date: Any, time: datetime | None) -> None:
    found = alert_of(alert(date_generated=date))
    assert found
    assert found.row
    assert found.row["date"] == time


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([NO, CR, IS, BS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("sid", "error_code", "log_level", "resource_sid", "service_sid", "alert_text", "request_url",
         "date_generated", "date_created", "date_updated")  # fmt: skip


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, json_values)) | json_values)
def test_whatever_comes_is_an_alert_or_is_not(record: Any) -> None:
    found = alert_of(record)
    if found and found.row:
        assert found.row["sid"] == NO
        kept = json.dumps({name: value for name, value in found.row.items() if name != "date"})
        assert set(kept.split('"')) <= {*found.row, NO, CR, IS, BS, "error", "warning", "notice", "debug"} | {
            part for part in kept.split('"') if not any(letter.isalpha() for letter in part.replace("null", ""))
        }


def test_each_code_of_the_table_says_what_to_do() -> None:
    for code, entry in CODES.items():
        assert entry.code == code
        assert is_push_error(code)
        assert all((entry.meaning, entry.cause, entry.remedy))
    assert entry_of(52150).kind == "unknown"
    assert "52150" in entry_of(52150).remedy
