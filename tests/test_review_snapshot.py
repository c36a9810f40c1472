"""A snapshot to look at: every number by hand, and the demo's as pandas counts them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from migrate import load_rules
from migrate.map.mapping import map_snapshot
from migrate.map.rules import Rules
from migrate.model.errors import InputError
from migrate.review import open_snapshot
from migrate.review.snapshot import SnapshotReview
from tests.conftest import Demo
from tests.markup import HARMLESS, text_in
from tests.reviews import ACME, INSTANT, NAMELESS, UNUSED, YEAR, rows, small_snapshot
from tests.snapshots import AS_OF, binding, credential_sid, write_snapshot

CUT = "x" * 59 + "…"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_snapshot(tmp_path_factory.mktemp("review") / "s")


@pytest.fixture(scope="module")
def review(folder: Path) -> SnapshotReview:
    return open_snapshot(folder)


def test_it_says_what_it_is_of(review: SnapshotReview, folder: Path) -> None:
    assert len(review) == 6
    assert review.folder == folder
    assert review.as_of == AS_OF
    assert repr(review) == "<Snapshot: 6 bindings of 3 services>"


def test_services_are_all_there_with_and_without_bindings(review: SnapshotReview) -> None:
    assert rows(review.services) == [
        (ACME, HARMLESS, AS_OF - YEAR, None, 4, '{"new_message": {}}', None),
        (NAMELESS, "(no name)", None, None, 2, None, None),
        (UNUSED, CUT, None, AS_OF, 0, None, None),
    ]
    columns = ["service_sid", "service", "bindings", "identities", "expired", "last_seen"]
    assert list(review.by_service().columns) == columns
    assert rows(review.by_service()) == [
        (ACME, HARMLESS, 4, 2, 1, AS_OF),
        (NAMELESS, "(no name)", 2, 2, 2, AS_OF - 2 * YEAR),
        (UNUSED, CUT, 0, 0, 0, None),
    ]


def test_platforms_are_counted_in_all_and_by_service(review: SnapshotReview) -> None:
    columns = ["binding_type", "bindings", "identities", "expired", "last_seen"]
    assert list(review.by_platform().columns) == columns
    # An identity is its service's: one name in two services is two people.
    assert rows(review.by_platform()) == [
        ("apn", 2, 1, 0, AS_OF),
        ("fcm", 2, 2, 2, AS_OF - YEAR - INSTANT),
        ("(none)", 1, 0, 0, None),
        ("gcm", 1, 1, 1, AS_OF - 2 * YEAR),
    ]
    assert rows(review.by_service_and_platform(), ["service_sid", *columns]) == [
        (ACME, "apn", 2, 1, 0, AS_OF),
        (ACME, "(none)", 1, 0, 0, None),
        (ACME, "fcm", 1, 1, 1, AS_OF - YEAR - INSTANT),
        (NAMELESS, "fcm", 1, 1, 1, AS_OF - timedelta(days=800)),
        (NAMELESS, "gcm", 1, 1, 1, AS_OF - 2 * YEAR),
    ]


def test_a_combination_of_message_types_has_no_order(review: SnapshotReview) -> None:
    assert rows(review.by_message_types(), ["message_types", "bindings", "identities", "expired"]) == [
        ("new_message", 2, 2, 1),
        ("(empty)", 1, 1, 1),
        ("(no list)", 1, 0, 0),
        ("added_to_channel, new_message", 1, 1, 0),
        ("twilio.channel.new_message", 1, 1, 1),
    ]


def test_credentials_are_those_of_the_account_and_those_in_use(review: SnapshotReview) -> None:
    one, two, three, unknown = (credential_sid(number) for number in (1, 2, 3, 9))
    assert rows(review.credentials) == [
        (one, "apn credential", "apn", "False", None, AS_OF),
        (two, "(no name)", "fcm", None, None, None),
        (three, "apn credential", "apn", "True", None, AS_OF),
    ]
    names = [
        "credential_sid",
        "name",
        "type",
        "sandbox",
        "updated",
        "in_account",
        "binding_type",
        "bindings",
        "expired",
    ]
    assert rows(review.by_credential(), names) == [
        (one, "apn credential", "apn", "False", AS_OF, True, "apn", 2, 0),
        (two, "(no name)", "fcm", None, None, True, "fcm", 1, 1),
        (two, "(no name)", "fcm", None, None, True, "gcm", 1, 1),
        (unknown, None, None, None, None, False, "fcm", 1, 1),
        (None, None, None, None, None, False, "(none)", 1, 0),
        (three, "apn credential", "apn", "True", AS_OF, True, None, 0, 0),
    ]


def test_ages_on_the_edge_of_a_bin_belong_to_the_younger_one(review: SnapshotReview) -> None:
    assert rows(review.by_age(4)) == [
        ("(none)", None, None, False, 1),
        ("apn", 0.0, 91.25, False, 1),
        ("apn", 273.75, 365.0, False, 1),
        ("fcm", 365.0, 456.25, True, 1),
        ("fcm", 730.0, None, True, 1),
        ("gcm", 638.75, 730.0, True, 1),
    ]
    for bins in (1, 7, 12, 1000):
        found = review.by_age(bins)
        assert found["bindings"].sum() == 6
        assert found.loc[found["expired"], "bindings"].sum() == 3  # whatever the bins
    for bins in (0, -1, 1001):
        with pytest.raises(InputError, match="1 to 1,000 bins"):
            review.by_age(bins)


def test_the_lifetime_is_that_of_the_rules(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text("[limits]\nlifetime_days = 800  # ours\n")
    rules: Rules = load_rules(tmp_path / "rules.toml")
    review = open_snapshot(folder, rules=rules)
    assert review.by_platform()["expired"].sum() == 0  # the oldest is 800 days old
    assert review.by_age(2)["to_days"].max() == 800
    assert "more than 800 days" in text_in(review._repr_html_())


def test_any_age_has_a_bin(tmp_path: Path) -> None:
    found = [
        binding(0, date_updated=datetime(1, 1, 1, tzinfo=UTC)),
        binding(1, date_updated=datetime(9999, 12, 31, tzinfo=UTC)),
    ]
    review = open_snapshot(write_snapshot(tmp_path / "s", {ACME: {}}, {ACME: [found]}))
    assert rows(review.by_age(1000), ["from_days", "expired", "bindings"]) == [(0, False, 1), (730, True, 1)]


def crowd(number: int, start: int, **changes: Any) -> list[dict[str, Any]]:
    return [binding(start + place, **changes) for place in range(number)]


def test_oddities_are_counted_in_bindings(folder: Path, tmp_path: Path) -> None:
    found = dict(rows(open_snapshot(folder).oddities(), ["oddity", "bindings"]))
    assert found == {
        "no identity": 2,
        "no endpoint": 1,
        "no credential": 1,
        "no date": 1,
        "a date in the future": 0,
        "no message types": 2,
        "a binding type that is not known": 1,
        "a message type that is not known": 0,
        "an identity with more than 10 bindings": 0,
        "an endpoint under several identities": 0,
        "rejected records": 1,
        "duplicates that were removed": 4,
    }
    more = [
        *crowd(11, 0, identity="crowded"),
        *crowd(10, 20, identity="just not"),
        *crowd(6, 40, identity="in two services"),
        *crowd(12, 60, identity=None),
        binding(80, endpoint="shared", identity="a"),
        binding(81, endpoint="shared", identity="b"),
        binding(82, endpoint="shared", identity="b"),
        binding(83, endpoint="a person's own", identity="c"),
        binding(84, endpoint="a person's own", identity="c"),
        binding(85, endpoint="a person's own", identity=None),
        binding(86, endpoint="", identity="d"),
        binding(87, endpoint="", identity="e"),
        binding(88, message_types=["reaction_added", "new_message", None, ""]),
        binding(89, message_types=["twilio.conversations.reaction", "twilio.ipmsg.pinned"]),
        binding(90, message_types=["twilio.channel.consumption_update", "typing_indicator"]),
        binding(91, binding_type="pigeon", credential_sid=""),
        binding(92, date_updated=AS_OF + timedelta(days=1)),
        binding(93, date_updated=AS_OF + timedelta(days=1, microseconds=1)),
    ]
    other = [*crowd(6, 200, identity="in two services"), binding(210, endpoint="shared", identity="c")]
    snapshot = write_snapshot(
        tmp_path / "s", {ACME: {}, NAMELESS: {}}, {ACME: [more[:30], more[30:]], NAMELESS: [other]}
    )
    found = dict(rows(open_snapshot(snapshot).oddities(), ["oddity", "bindings"]))
    assert {name: number for name, number in found.items() if number} == {
        "no identity": 13,
        "no endpoint": 2,
        "no credential": 1,
        "a date in the future": 1,
        "a binding type that is not known": 1,
        "a message type that is not known": 2,
        "an identity with more than 10 bindings": 11,
        "an endpoint under several identities": 3,
    }


def test_what_is_empty_is_odd_in_the_mapping_as_it_is_in_the_snapshot(tmp_path: Path) -> None:
    some = [
        *(binding(number, identity="", message_types=[""]) for number in range(12)),
        binding(20, identity="a", endpoint="shared"),
        binding(21, identity="", endpoint="shared"),
        binding(22, endpoint=""),
        binding(23, endpoint="", credential_sid=""),
    ]
    snapshot = write_snapshot(tmp_path / "s", {ACME: {}}, {ACME: [some]})
    found = dict(rows(open_snapshot(snapshot).oddities(), ["oddity", "bindings"]))
    assert {name: number for name, number in found.items() if number} == {
        "no identity": 13,
        "no endpoint": 2,
        "no credential": 1,
        "a message type that is not known": 12,
    }
    summary = map_snapshot(snapshot, tmp_path / "m")
    told = {(finding.code, finding.subject): finding.count for finding in summary.findings}
    assert told["binding-incomplete", "identity"] == 13
    assert told["binding-incomplete", "endpoint"] == 2
    assert told["binding-incomplete", "credential_sid"] == 1
    assert told["message-type-unknown", "(empty)"] == 12
    assert not {"identity-crowded", "endpoint-shared"} & {code for code, _ in told}


def test_the_demo_is_counted_as_pandas_counts_it(odd: Demo) -> None:
    review, found = open_snapshot(odd.folder / "snapshot"), pd.read_parquet(odd.folder / "snapshot" / "bindings")
    found["last_seen"] = found["date_updated"].fillna(found["date_created"])
    found["is_expired"] = found["last_seen"] < review.as_of - YEAR
    found["who"] = found["service_sid"].astype(str) + "\n" + found["identity"]
    types = found["message_types"].map(
        lambda names: "(no list)" if names is None else ", ".join(sorted({*names})) or "(empty)"
    )
    for keys, name in (
        (["binding_type"], "by_platform"),
        (["service_sid", "binding_type"], "by_service_and_platform"),
        (["message_types"], "by_message_types"),
        (["credential_sid", "binding_type"], "by_credential"),
    ):
        told = getattr(review, name)()
        told = told[told["bindings"] > 0].set_index(keys).sort_index()
        naive = found.assign(message_types=types).astype(dict.fromkeys(keys, "str")).groupby(keys)
        expected = naive.agg(
            bindings=("sid", "size"), identities=("who", "nunique"), expired=("is_expired", "sum"), last_seen=("last_seen", "max")
        )  # fmt: skip
        for column in expected:
            assert rows(told[[column]]) == rows(expected[[column]]), (name, column)
        assert [*told.index] == [*expected.index]
    ages = (review.as_of - found["last_seen"]) / pd.Timedelta(days=1)
    assert review.columns("age_days")["age_days"].fillna(-1).round(6).tolist() == ages.fillna(-1).round(6).tolist()
