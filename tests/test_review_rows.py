"""A snapshot's bindings as columns: people masked, read when they are asked for; and what cannot be opened."""

from __future__ import annotations

import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from migrate.model.errors import InputError, MigrateError, RefusedError
from migrate.model.masking import mask
from migrate.review import open_snapshot
from migrate.review.rows import ReviewRows
from migrate.review.snapshot import SnapshotReview
from tests.conftest import Demo
from tests.markup import HARMLESS, text_in
from tests.reviews import ACME, BINDINGS, NAMELESS, rows, small_snapshot
from tests.snapshots import ACCOUNT, AS_OF, binding, write_snapshot


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_snapshot(tmp_path_factory.mktemp("review") / "s")


@pytest.fixture(scope="module")
def review(folder: Path) -> SnapshotReview:
    return open_snapshot(folder)


@pytest.mark.parametrize("shown", [False, True])
def test_bindings_are_a_row_each_and_people_are_masked_unless_asked_for(folder: Path, shown: bool) -> None:
    review = open_snapshot(str(folder), show_identities=shown)
    found = review.bindings

    def seen(text: str | None) -> str | None:
        return text if shown or text is None else mask(text)

    columns = ["service_sid", "sid", "identity", "endpoint", "extra", "message_types", "age_days", "is_expired"]
    expected = []
    for sid, number, types, age, expired in (
        (ACME, 1, "added_to_channel, new_message", 0.0, False),
        (ACME, 2, "new_message", 365.0, False),
        (ACME, 3, "new_message", 365.0 + 1 / 86_400e6, True),
        (ACME, 4, None, None, False),
        (NAMELESS, 5, "", 800.0, True),
        (NAMELESS, 6, "twilio.channel.new_message", 730.0, True),
    ):
        was = next(
            row
            for parts in BINDINGS.values()
            for part in parts
            for row in part
            if row["sid"] == binding(number)["sid"]
        )
        people = (seen(was["identity"]), seen(was["endpoint"]), seen(was.get("extra")))
        expected.append((sid, was["sid"], *people, types, age, expired))
    assert rows(found, columns) == expected
    assert rows(review.columns("last_seen"))[4] == (AS_OF - timedelta(days=800),)
    said = found.to_string() + found.to_html() + review._repr_html_() + repr(review)
    assert ("@example.test" in said) == shown


def test_a_column_is_read_when_it_is_asked_for_and_once(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "s"))
    review, parts = open_snapshot(copy), sorted((copy / "bindings").rglob("*.parquet"))
    sids = review.columns("sid")
    for part in parts:  # the endpoints are gone, and nobody asks for them
        pq.write_table(pq.ParquetFile(part).read().drop_columns(["endpoint", "extra"]), part)
    assert list(review.columns("is_expired", "identity", "sid")) == ["is_expired", "identity", "sid"]
    with pytest.raises(InputError, match="Open their folder again"):
        review.columns("endpoint")
    for part in parts:
        part.unlink()
    assert review.columns("sid", "identity")["sid"].equals(sids["sid"])
    assert list(review.columns("sid", "sid")) == ["sid"]
    with pytest.raises(InputError, match="not what they were"):
        review.columns("binding_type")


def test_a_disk_that_is_full_is_told_as_such(review: SnapshotReview, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise duckdb.OutOfMemoryException("Out of Memory Error: it is full")

    monkeypatch.setattr(ReviewRows, "_selection", full)
    with pytest.raises(MigrateError, match="Free some space") as caught:
        review.by_platform()
    assert not isinstance(caught.value, InputError)


def test_a_part_that_was_replaced_is_told(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "s"))
    review = open_snapshot(copy)
    next((copy / "bindings").rglob("*.parquet")).write_bytes(b"rubbish" * 20)
    with pytest.raises(InputError, match="not what they were"):
        review.by_platform()


def test_what_a_caller_does_to_a_frame_stays_the_callers(review: SnapshotReview) -> None:
    found = review.columns("sid", "age_days")
    found.loc[:, "sid"] = "changed"
    found["more"] = 1
    assert "changed" not in set(review.columns("sid")["sid"])
    assert list(review.columns("sid", "age_days")) == ["sid", "age_days"]


@pytest.mark.parametrize(
    ("name", "hint"), [("identiy", "did you mean 'identity'"), ("§", "known: account_sid, age_days")]
)
def test_a_column_that_is_not_there_is_refused_with_one_that_is(review: SnapshotReview, name: str, hint: str) -> None:
    with pytest.raises(InputError, match=re.escape(hint)):
        review.columns("sid", name)


def test_the_card_shows_others_words_as_text(review: SnapshotReview) -> None:
    text = text_in(review._repr_html_())
    assert HARMLESS in text
    for fact in (
        "Snapshot: 6 bindings of 3 services",
        "2026-06-15 08:00 UTC, from Chat",
        ACCOUNT,
        "(none) 1 · apn 2 · fcm 2 · gcm 1",
        "3 bindings not seen for more than 365 days",
        "4 duplicates",
        "1 record",
        "a part of the account",
        ".by_age()",
    ):
        assert fact in text
    assert all(callable(getattr(review, name)) for name in re.findall(r"\.(\w+)\(\)", text))


@pytest.mark.parametrize(("services", "bindings"), [({}, {}), ({ACME: {"friendly_name": "Acme"}}, {ACME: [[]]})])
def test_an_empty_snapshot_has_the_same_columns_and_no_rows(
    review: SnapshotReview, tmp_path: Path, services: Any, bindings: Any
) -> None:
    empty = open_snapshot(write_snapshot(tmp_path / "s", services, bindings))
    assert len(empty) == len(empty.bindings) == 0
    assert list(empty.bindings) == list(review.bindings)
    for name in ("by_platform", "by_service_and_platform", "by_message_types", "by_credential", "by_age"):
        full, none = getattr(review, name)(), getattr(empty, name)()
        assert (len(none), list(none)) == (0, list(full))
        assert dict(none.dtypes) == dict(full.dtypes)
    assert rows(empty.by_service(), ["bindings", "identities", "expired"]) == [(0, 0, 0)] * len(services)
    assert empty.oddities()["bindings"].sum() == 0
    text = text_in(empty._repr_html_())
    assert "0 bindings not seen" in text
    assert not re.search("Why|Only", text)


def test_what_cannot_be_trusted_is_refused(folder: Path, tmp_path: Path, demo: Demo) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "s"))
    part = next((copy / "bindings").rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-1] + b"!")
    with pytest.raises(RefusedError, match="its checksum differs"):
        open_snapshot(copy)
    for other in (tmp_path, tmp_path / "none", demo.folder / "mapped"):
        with pytest.raises(InputError, match="not a snapshot"):
            open_snapshot(other)


def test_a_folder_is_opened_whatever_it_is_called(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "service_sid=*" / "s?[1]$' %{x}"
    shutil.copytree(folder, place)
    (tmp_path / "service_sid=other").mkdir()
    found = open_snapshot(place).columns("service_sid", "sid")
    assert [*found["service_sid"]] == [ACME] * 4 + [NAMELESS] * 2
    assert found["sid"].is_unique
