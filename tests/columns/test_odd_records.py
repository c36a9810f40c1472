"""One record that does not fit is set aside, and the others stay."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.extract.columns import read_rows
from migrate.twilio_api.pages import NotAPageError
from tests.columns.conftest import (
    ORDINARY,
    SERVICE,
    Fields,
    Raw,
    check_both_ways,
    page,
    with_value,
)
from tests.conftest import service_sid


# Each is one that the quick way must leave to the other, and what the other makes of it.
@pytest.mark.parametrize(
    ("name", "odd", "reason"),
    [
        ("identity", 5, "identity is not a text"),
        ("identity", True, "identity is not a text"),
        ("identity", ["a"], "identity is not a text"),
        ("identity", Raw('"\\ud83d"'), "identity is not valid Unicode"),
        ("identity", Raw('"\\udc00"'), "identity is not valid Unicode"),
        ("sid", None, "sid is missing"),
        ("sid", "", "sid is missing"),
        ("message_types", "new_message", "message_types is not a list of texts"),
        ("message_types", [None], "message_types is not a list of texts"),
        ("message_types", [["a"]], "message_types is not a list of texts"),
        ("message_types", {}, "message_types is not a list of texts"),
        ("message_types", Raw('["\\ud83d"]'), "message_types is not valid Unicode"),
        ("date_updated", 12, "date_updated is not a date"),
        ("date_updated", "", "date_updated is not a date"),
        ("date_updated", "0000-01-01T00:00:00Z", "date_updated is not a date"),
        ("date_updated", "9999-12-31T23:59:59-01:00", "date_updated is not a date"),
        ("date_updated", "0001-01-01T00:00:00+01:00", "date_updated is not a date"),
        ("date_updated", "2023-02-29T00:00:00Z", "date_updated is not a date"),
        ("service_sid", service_sid(2), "service_sid names another service"),
        ("service_sid", "", "service_sid names another service"),
        ("chat_service_sid", service_sid(2), "chat_service_sid names another service"),
        ("chat_service_sid", 5, "chat_service_sid names another service"),
    ],
)
def test_one_record_that_does_not_fit_is_set_aside_and_the_others_stay(name: str, odd: Any, reason: str) -> None:
    body = page(ORDINARY, {**ORDINARY, name: odd}, {**ORDINARY, "sid": "BS2"})
    assert not check_both_ways(body)
    _, rows = read_rows(body, SERVICE)
    assert rows.table.column("sid").to_pylist() == [ORDINARY["sid"], "BS2"]
    assert [entry["reason"] for entry in rows.rejected] == [reason]
    assert len(rows) == 3


@pytest.mark.parametrize("odd", [None, 5, "text", [], [ORDINARY], True])
def test_a_record_that_is_no_object_is_set_aside_too(odd: Any) -> None:
    _, rows = read_rows(page(ORDINARY, odd), SERVICE)
    assert not check_both_ways(page(ORDINARY, odd))
    assert rows.rejected == [{"reason": "not a JSON object", "record": odd}]


@pytest.mark.parametrize("more", [None, 5, 2**70, "x", [], {}, [None], [{}], {"a": {"b": []}}, False, "\ud83d"])
def test_an_unknown_field_is_kept_whatever_its_value(more: Any) -> None:
    for records in ([{**ORDINARY, "more": more}], [ORDINARY, {**ORDINARY, "more": more}]):
        assert not check_both_ways(page(*records))
        _, rows = read_rows(page(*records), SERVICE)
        assert json.loads(rows.table.column("extra")[-1].as_py()) == {"more": more}
        assert rows.table.column("extra").null_count == len(records) - 1


@pytest.mark.parametrize(
    ("odd", "kept"),
    [
        ({"url": 5}, True),
        ({"links": {"user": "u", "more": 1}}, True),
        ({"links": [1]}, True),
        ({"links": {}}, True),
        ({"url": Raw('"\\ud83d"')}, True),
        ({"date_created": "20240101T000000.123456789Z"}, True),
        ({"date_created": "0001-01-01T00:00:00Z", "date_updated": "9999-12-31T23:59:59Z"}, True),
        ({"message_types": []}, True),
        ({"message_types": None}, True),
    ],
)
def test_what_is_odd_but_has_a_row_gets_it(odd: dict[str, Any], kept: bool) -> None:
    body = page(ORDINARY, {**ORDINARY, **odd})
    check_both_ways(body)
    _, rows = read_rows(body, SERVICE)
    assert (rows.table.num_rows, rows.rejected) == (2, [])
    assert rows.table.column("extra").null_count == 2


def test_of_two_fields_with_one_name_the_last_counts_as_python_has_it() -> None:
    twice = Fields((*ORDINARY.items(), ("identity", "later")))
    _, rows = read_rows(page(ORDINARY, twice), SERVICE)
    assert not check_both_ways(page(ORDINARY, twice))
    assert rows.table.column("identity").to_pylist() == ["person-1", "later"]


@pytest.mark.parametrize(
    "meta",
    [
        {"page_size": True},
        {"page_size": 50.0},
        {"page_size": Raw("5e1")},
        {"page_size": "50"},
        {"next_page_url": 5},
        {"next_page_url": {}},
    ],
)
def test_a_page_that_says_something_odd_of_itself_is_none(meta: dict[str, Any]) -> None:
    assert not check_both_ways(page(ORDINARY, **meta))
    with pytest.raises(NotAPageError):
        read_rows(page(ORDINARY, **meta), SERVICE)


@pytest.mark.parametrize("size", [0, 2**31, 2**63 - 1, 2**63, 2**70, None])
def test_a_page_size_is_taken_as_it_is_given(size: int | None) -> None:
    check_both_ways(page(ORDINARY, page_size=size))
    found, rows = read_rows(page(ORDINARY, page_size=size), SERVICE)
    assert (found.page_size, len(rows)) == (size, 1)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(page(ORDINARY) + b"x", id="garbage after it"),
        pytest.param(page(ORDINARY) * 2, id="two"),
        pytest.param(page(ORDINARY) + b"\n" + page(ORDINARY), id="two in lines"),
        pytest.param(page(ORDINARY)[:-1], id="cut"),
        pytest.param(b"[" + page(ORDINARY) + b"]", id="in a list"),
        pytest.param(with_value("identity", Raw('"\xff"')).replace(b"\xc3\xbf", b"\xff"), id="not UTF-8"),
        pytest.param(with_value("identity", Raw('"\n"')), id="a raw line break in a text"),
        pytest.param(with_value("more", Raw("NaN")), id="NaN"),
        pytest.param(with_value("identity", Raw("-Infinity")), id="Infinity"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="nothing but deep"),
        pytest.param(b'{"meta": null, "bindings": []}', id="meta is null"),
        pytest.param(b'{"meta": [], "bindings": []}', id="meta is a list"),
        pytest.param(b'{"bindings": []}', id="no meta"),
        pytest.param(b'{"meta": {}, "bindings": []}', id="nothing of a next page"),
        pytest.param(b'{"bindings": [], "meta": {"page_size": 50}}', id="nothing of a next page, at the end"),
        pytest.param(
            with_value("identity", '"next_page_url": null').replace(b'"next_page_url": "', b'"previous_page_url": "'),
            id="of a next page within a text alone",
        ),
        pytest.param(b'{"meta": {"next_page_url": null}}', id="no list"),
        pytest.param(b'{"meta": {"next_page_url": null}, "bindings": null}', id="a null list"),
        pytest.param(b'{"meta": {"next_page_url": null}, "bindings": {}}', id="an object for a list"),
        pytest.param(b'{"meta": {"next_page_url": null}, "Bindings": []}', id="another list"),
    ],
)
def test_a_body_that_is_no_page_is_refused_in_both_ways(body: bytes) -> None:
    assert not check_both_ways(body)
    with pytest.raises(NotAPageError):
        read_rows(body, SERVICE)


@pytest.mark.parametrize("name", ["more", "identity", "message_types", "links"])
@pytest.mark.parametrize("value", ["[" * 1200 + "]" * 1200, '{"a":' * 1200 + "1" + "}" * 1200, "[" * 1200])
def test_what_is_nested_deeply_is_read_or_refused_and_does_no_harm(name: str, value: str) -> None:
    assert not check_both_ways(with_value(name, Raw(value))), "how deep Python goes depends on its version"


def test_why_a_page_goes_the_slow_way_is_logged_without_its_values(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="migrate")
    for odd in (
        {"identity": ["secret-person"]},
        {"date_updated": "secret-person"},
        {"secret-person": "secret-person"},
    ):
        read_rows(page({**ORDINARY, **odd}), SERVICE)
    assert len(caplog.messages) == 3
    assert all(SERVICE in message and "secret-person" not in message for message in caplog.messages)


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b" null\n",
        b"null{}",
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"meta":{"next_page_url":null},"bindings":[{"sid":"BS1","x":' + b"[" * 50_000 + b"]" * 50_000 + b"}]}",
        b'{"meta":{"next_page_url":null},"bindings":[{"sid":"BS1","message_types":'
        + b"[" * 50_000
        + b"]" * 50_000
        + b"}]}",
        b'{"meta":{"next_page_url":null},"bindings":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
    ids=["null", "null and spaces", "null and more", "objects", "an unknown field", "a known field", "the list"],
)
def test_no_body_ends_the_process(body: bytes) -> None:
    """Arrow's reader has no bottom, and a bare null is its end; in a process of its own, for that reason."""
    code = (
        f"import sys; from migrate.extract.columns import read_rows; read_rows(sys.stdin.buffer.read(), {SERVICE!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], input=body, capture_output=True, check=False)
    if b"meta" in body:  # a page: what is nested is set aside
        assert (done.returncode, done.stderr) == (0, b"")
    else:
        assert done.returncode == 1
        assert b"NotAPageError" in done.stderr.splitlines()[-1]


DEEP = "[" * 20_000 + "]" * 20_000
ODD = {
    "a number of 5,000 digits": "1" * 5000,
    "a negative one": "-" + "1" * 5000,
    "one beyond all bounds": "1e999",
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "nested deeply": DEEP,
    "a raw line break": '"a\nb"',
    "no Unicode": '"\\ud83d"',
}


@pytest.mark.parametrize("name", ["more", "identity", "sid", "message_types", "date_created", "links", "service_sid"])
@pytest.mark.parametrize("odd", list(ODD))
def test_whatever_one_field_has_the_other_records_are_read(name: str, odd: str) -> None:
    """The record itself has a row only where the field is one that nobody knows, and can be written again."""
    whole = page(ORDINARY, {**ORDINARY, "sid": "BS2", name: Raw(ODD[odd])}, {**ORDINARY, "sid": "BS3"})
    assert not check_both_ways(whole)
    _, rows = read_rows(whole, SERVICE, is_lenient=True)
    sids = rows.table.column("sid").to_pylist()
    assert (sids[0], sids[-1], len(rows)) == (ORDINARY["sid"], "BS3", 3)
    if name in ("more", "links") and odd not in ("nested deeply", "a raw line break", "NaN", "Infinity"):
        assert len(sids) == 3
    else:
        assert len(sids) == 2
        assert len(json.dumps(rows.rejected[0]["record"])) > 5


def test_bytes_that_are_no_utf8_are_set_aside_with_their_record() -> None:
    body = page(ORDINARY, {**ORDINARY, "identity": Raw('"\xff"')}, ORDINARY).replace(b"\xc3\xbf", b"\xff")
    assert not check_both_ways(body)
    _, rows = read_rows(body, SERVICE, is_lenient=True)
    assert (rows.table.num_rows, len(rows.rejected)) == (2, 1)
    assert "\\xff" in rows.rejected[0]["record"]


@settings(max_examples=8)
@given(st.lists(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([Raw(odd) for odd in ODD.values()]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
), max_size=4))  # fmt: skip
def test_whatever_json_a_record_has_the_page_is_read(values: list[Any]) -> None:
    names = [*ORDINARY, "more", "chat_service_sid"]
    odd = [{**ORDINARY, name: value} for value in values for name in (names[len(repr(value)) % len(names)], "more")]
    _, rows = read_rows(page(ORDINARY, *odd, *values, ORDINARY), SERVICE, is_lenient=True)
    assert len(rows) == 2 + len(odd) + len(values)
    assert rows.table.column("sid")[0].as_py() == ORDINARY["sid"]
    assert len(rows.rejected) == len(rows.lines)
    for text in rows.table.column("extra").drop_null().to_pylist():
        json.loads(text, parse_constant=pytest.fail)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_page_that_is_cut_is_none_though_its_records_could_be_told_apart(cut: int) -> None:
    whole = page(ORDINARY, {**ORDINARY, "more": Raw("1" * 5000)}, {**ORDINARY, "more": Raw(DEEP)})
    for body in (whole[:-cut], whole[: -cut * 1000], whole + b"}" * cut):
        with pytest.raises(NotAPageError):
            read_rows(body, SERVICE, is_lenient=True)


@pytest.mark.parametrize("text", ["1e999", "-1e999"])
def test_a_number_beyond_all_bounds_stays_json(text: str) -> None:
    _, rows = read_rows(
        b'{"meta":{"next_page_url":null},"bindings":[{"sid":"BS1","x":' + text.encode() + b"}]}", SERVICE
    )
    assert json.loads(rows.table.column("extra")[0].as_py()) == {"x": text}
