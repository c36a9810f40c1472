"""A page of bindings is read in a quick way and in a tolerant way, and nobody can tell which it was."""

from __future__ import annotations

import codecs
import json
import string
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, NoReturn

import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings, target
from hypothesis import strategies as st

from migrate.extract import columns
from migrate.extract.columns import PageRows, read_rows
from migrate.model.schemas import BINDINGS
from migrate.standin import views
from migrate.standin.world import World
from migrate.twilio_api.pages import Meta, NotAPageError
from tests.conftest import service_sid

EXAMPLES = 50
SERVICE = service_sid(1)
TEXTS = ("account_sid", "endpoint", "identity", "binding_type", "credential_sid")
ORDINARY: dict[str, Any] = {
    "sid": "BS" + "1" * 32,
    "account_sid": "AC" + "1" * 32,
    "endpoint": "device-1",
    "identity": "person-1",
    "binding_type": "fcm",
    "credential_sid": "CR" + "1" * 32,
    "message_types": ["new_message", "added_to_channel"],
    "date_created": "2024-02-29T23:59:59Z",
    "date_updated": None,
    "service_sid": SERVICE,
    "url": f"https://chat.twilio.com/v2/Services/{SERVICE}/Bindings/BS" + "1" * 32,
    "links": {"user": "https://chat.twilio.com/v2/Users/person-1"},
}
META: dict[str, Any] = {
    "page": 0,
    "page_size": 50,
    "first_page_url": "https://chat.twilio.com/v2/x?PageSize=50&Page=0",
    "previous_page_url": None,
    "url": "https://chat.twilio.com/v2/x?PageSize=50&Page=0",
    "next_page_url": "https://chat.twilio.com/v2/x?PageSize=50&Page=1&PageToken=PA1",
    "key": "bindings",
}


# --- JSON as a server may write it, also what json.dumps cannot ------------------------------------------


@dataclass(frozen=True)
class Fields:
    """An object as its fields in their order; a name may come twice."""

    fields: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Raw:
    """A value as it stands in the body."""

    text: str


def written(value: Any, **options: Any) -> str:
    """A value as JSON; the options are those of json.dumps."""
    gap = "\n  " if options.get("indent") else ""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        value = Fields(tuple(value.items()))
    if isinstance(value, Fields):
        inner = (f"{gap}{written(name, **options)}: {written(each, **options)}" for name, each in value.fields)
        return "{" + ",".join(inner) + gap + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(gap + written(each, **options) for each in value) + gap + "]"
    return json.dumps(value, **options)


def page(*records: Any, **meta: Any) -> bytes:
    """A page as bytes."""
    return written({"meta": {**META, **meta}, "bindings": records}).encode()


def with_value(name: str, value: Any) -> bytes:
    """A page of one ordinary record with another value in it."""
    return page({**ORDINARY, name: value})


text = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.text(st.characters(), max_size=6),  # halves of surrogate pairs, too
    st.text(
        st.sampled_from('\0\x01\x1f\x7f"\\/\b\n\r\t\u2028\ufeff\ufffe\uffff\U0010ffff\ud83d\ude00\udc00aé'),
        max_size=6,
    ),
    st.sampled_from(["", " ", "null", "{}", "5", "é" * 5000, "a" * 70_000, '"', "\\u0041"]),
)
raw = st.sampled_from(
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-0",
        "01",
        "+1",
        ".5",
        "1.",
        "1e3",
        "5.0",
        "0x10",
        "nul",
        "True",
        "'a'",
        '"\\x41"',
        '"\\ud83d"',
        '"\\udc00"',
        '"\\ud83d\\ude00"',
        '"\\u0000"',
        '"\x00"',
        '"\n"',
        '"\\',
        "",
        "[1,]",
        '{"a":}',
        "1" * 30,
        "1" * 5000,
        "-" + "9" * 20,
        "9223372036854775808",
        "[" * 200 + "]" * 200,
        '{"a":' * 200 + "1" + "}" * 200,
    ]
).map(Raw)
number = st.one_of(st.integers(), st.integers(-(2**70), 2**70), st.floats(), st.just(2**63))
value = st.recursive(
    st.one_of(st.none(), st.booleans(), number, text, raw),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=6,
)

year = st.one_of(
    st.sampled_from(["0000", "0001", "9999", "10000", "-001", "+2024"]), st.integers(1, 9999).map("{:04}".format)
)
fraction = st.one_of(st.just(""), st.from_regex(r"[.,][0-9]{0,10}", fullmatch=True))
offset = st.one_of(
    st.sampled_from(["", "Z", "z", "+00:00", "-00:00", " +01:00", "+24:00", "Z ", "UTC"]),
    st.from_regex(r"[+-][0-9]{2}(:?[0-9]{2}(:?[0-9]{2})?)?", fullmatch=True),
)


@st.composite
def dates(draw: st.DrawFn) -> str:
    """Dates in ISO 8601's forms and next to them."""
    dash, colon = draw(st.sampled_from(["-", "-", "-", "", "/"])), draw(st.sampled_from([":", ":", ""]))
    month, day = draw(st.integers(0, 13)), draw(st.integers(0, 32))
    shown = draw(
        st.sampled_from(
            [f"{month:02}{dash}{day:02}", f"W{day:02}{dash}{month % 9}", f"{month * 30:03}", f"{month:02}"]
        )
    )
    date = f"{draw(year)}{dash}{shown}"
    clock = [f"{draw(st.integers(0, most)):02}" for most in (24, 60, 61)][: draw(st.integers(0, 3))]
    separator = draw(st.sampled_from(["T", "T", " ", "t", "x", ""])) if clock else ""
    return f"{date}{separator}{colon.join(clock)}{draw(fraction) if len(clock) == 3 else ''}{draw(offset)}"


date = st.one_of(dates(), st.datetimes().map(lambda when: when.isoformat() + "Z"), st.dates().map(str))
sound_date = st.datetimes().map(lambda when: when.isoformat()[:19].rjust(19, "0") + "Z")


def or_odd(*sound: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value that is nearly always of one of these kinds."""
    return st.integers(0, 19).flatmap(lambda chance: value if chance == 0 else st.one_of(*sound))


known: dict[str, st.SearchStrategy[Any]] = {
    "sid": or_odd(st.just(ORDINARY["sid"]), text),
    **{name: or_odd(st.none(), st.just(ORDINARY[name]), text) for name in TEXTS},
    "message_types": or_odd(st.none(), st.just([]), st.lists(text, max_size=3), st.lists(value, max_size=3)),
    "date_created": or_odd(st.none(), sound_date, sound_date, date),
    "date_updated": or_odd(st.none(), sound_date, sound_date, date),
    "service_sid": or_odd(st.none(), st.just(SERVICE), st.just(SERVICE)),
    "chat_service_sid": or_odd(st.none(), st.just(SERVICE), st.just(SERVICE)),
    "url": or_odd(st.none(), text),
    "links": or_odd(st.none(), st.just({}), st.fixed_dictionaries({"user": st.one_of(st.none(), text)}), value),
}
meta_known: dict[str, st.SearchStrategy[Any]] = {
    "page": or_odd(st.none(), st.integers(0, 9)),
    "page_size": or_odd(st.none(), st.integers(-1, 1000), number, st.booleans()),
    **{name: or_odd(st.none(), text) for name in ("first_page_url", "previous_page_url", "url", "key")},
    "next_page_url": or_odd(st.none(), st.just(META["next_page_url"]), text),
}
MORE = 12  # one object in so many has fields that it should not have


@st.composite
def objects(draw: st.DrawFn, ordinary: dict[str, Any], fields: dict[str, st.SearchStrategy[Any]]) -> Any:
    """An ordinary object of which some fields are other than they should be, absent, unknown, or there twice."""
    changed = draw(st.sets(st.sampled_from(sorted(fields)), max_size=4))
    absent = draw(st.sets(st.sampled_from(sorted(fields)), max_size=3)) - changed
    found = {name: each for name, each in ordinary.items() if name not in absent}
    found |= {name: draw(fields[name]) for name in sorted(changed)}
    pairs = list(found.items())
    if draw(st.integers(0, MORE)) == 0:
        pairs += draw(
            st.lists(st.tuples(st.one_of(text, st.sampled_from(sorted(fields))), value), min_size=1, max_size=2)
        )
    return Fields(tuple(draw(st.permutations(pairs)) if draw(st.booleans()) else pairs))


record = st.integers(0, 29).flatmap(lambda chance: value if chance == 0 else objects(ORDINARY, known))
records = st.integers(0, 29).flatmap(lambda chance: value if chance == 0 else st.lists(record, max_size=4))
meta = st.integers(0, 29).flatmap(lambda chance: value if chance == 0 else objects(META, meta_known))


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Pages as a server may send them, and what is nearly one."""
    pairs: list[tuple[str, Any]] = [("meta", draw(meta)), ("bindings", draw(records))]
    match draw(st.integers(0, 30)):
        case 0:
            pairs.reverse()
        case 1:
            pairs.pop(draw(st.integers(0, 1)))
        case 2:
            pairs.append((draw(st.one_of(text, st.sampled_from(["meta", "bindings"]))), draw(value)))
    options = {"ensure_ascii": draw(st.booleans()), "indent": draw(st.sampled_from([None, 1]))}
    body = written(Fields(tuple(pairs)), **options).encode("utf-8", "surrogatepass")
    match draw(st.integers(0, 30)):
        case 0:
            body = codecs.BOM_UTF8 + body
        case 1:
            body += draw(
                st.sampled_from([b" ", b"\n\n", b"x", b"{}", b"\n" + body, b"," + body, b"\0", b"]", b"null"])
            )
        case 2:
            body = draw(st.sampled_from([b"\r\n \t", b"\x0c", b"\xc2\xa0", b"//c\n"])) + body
        case 3:
            place = draw(st.integers(0, len(body)))
            body = body[:place] + draw(st.binary(max_size=3)) + body[place + draw(st.integers(0, 2)) :]
        case 4:
            body = body[: draw(st.integers(0, len(body)))]
        case 5:
            body = body.decode("utf-8", "replace").encode(
                draw(st.sampled_from(["utf-16", "utf-16-le", "utf-32", "latin-1"])), "replace"
            )
    return body


# --- both ways ---------------------------------------------------------------------------------------------

Outcome = tuple[Meta, PageRows] | None


def quick(body: bytes) -> Outcome:
    """What the quick way says of a body; None where it leaves it to the other."""
    try:
        return columns._columnar(body, SERVICE)
    except (columns._NotColumnarError, pa.ArrowException, NotAPageError):
        return None


def check_both_ways(body: bytes) -> bool:
    """Whether the quick way took a body; then, that it took it as the tolerant way does. And reading it is safe."""
    found = quick(body)
    try:
        meta, rows = columns._tolerant(body, SERVICE)
    except NotAPageError:
        assert found is None, "the quick way takes what is no page"
        with pytest.raises(NotAPageError):
            read_rows(body, SERVICE)
        return False
    read_meta, read = read_rows(body, SERVICE)
    for other_meta, other in [(read_meta, read), *([found] if found else [])]:
        assert (other_meta, other.rejected) == (meta, rows.rejected)
        assert type(other_meta.page_size) is type(meta.page_size)
        assert other.table.schema.equals(BINDINGS, check_metadata=True)
        assert other.table.to_pylist() == rows.table.to_pylist()
        assert other.table.equals(rows.table)
        other.table.validate(full=True)
    return found is not None


@settings(max_examples=EXAMPLES)
@given(body=bodies())
def test_whatever_the_quick_way_takes_it_takes_as_the_tolerant_way_does(body: bytes) -> None:
    target(float(check_both_ways(body)), label="taken quickly")


@settings(max_examples=EXAMPLES)
@given(when=st.lists(st.one_of(date, sound_date, text), min_size=1, max_size=3))
def test_dates_mean_the_same_in_both_ways(when: list[str]) -> None:
    check_both_ways(page(*({**ORDINARY, "date_created": each, "date_updated": when[0]} for each in when)))


@settings(max_examples=EXAMPLES)
@given(body=st.binary(max_size=40) | st.text(string.printable, max_size=40).map(str.encode))
@example(b"")
@example(codecs.BOM_UTF8)
@example(codecs.BOM_UTF16)
@example(b"\n")
def test_what_is_no_page_at_all_is_said_to_be_none(body: bytes) -> None:
    assume(not body.lstrip().startswith(b"null"))
    assert not check_both_ways(body)
    with pytest.raises(NotAPageError):
        read_rows(body, SERVICE)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(page(), id="empty"),
        pytest.param(page(ORDINARY), id="one"),
        pytest.param(page(*[ORDINARY] * 1000), id="a thousand"),
        pytest.param(page({"sid": "BS1"}), id="all that may be absent is"),
        pytest.param(page({**dict.fromkeys(ORDINARY), "sid": "BS1"}), id="all that may be null is"),
        pytest.param(page({"sid": "BS1"}, next_page_url=None, page_size=None), id="the last"),
        pytest.param(b'{"meta": {"next_page_url": null}, "bindings": []}', id="says no more"),
        pytest.param(json.dumps(json.loads(page(ORDINARY)), indent=4).encode(), id="indented"),
        pytest.param(with_value("identity", "a\0b 😀 é \u2028"), id="any character, escaped"),
        pytest.param(with_value("identity", Raw('"😀 é \u2028"')), id="any character, raw"),
        pytest.param(with_value("endpoint", "e" * 1_000_000), id="very long"),
        pytest.param(with_value("date_updated", "2024-06-01T10:00:00.123456+05:30"), id="an offset"),
    ],
)
def test_pages_of_nothing_unusual_go_the_quick_way(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_both_ways(body)
    wanted = columns._tolerant(body, SERVICE)
    monkeypatch.setattr(columns, "_tolerant", never)
    meta, rows = read_rows(body, SERVICE)
    assert (meta, rows.table.to_pylist()) == (wanted[0], wanted[1].table.to_pylist())


def never(body: bytes, service: str) -> NoReturn:
    raise AssertionError("an ordinary page must go the quick way")


@pytest.mark.parametrize("view", [views.chat_binding, views.conversations_binding])
def test_the_pages_of_both_apis_go_the_quick_way(
    odd_world: World, monkeypatch: pytest.MonkeyPatch, view: Any
) -> None:
    monkeypatch.setattr(columns, "_tolerant", never)
    for service in odd_world.services.values():
        shown = [view(odd_world, service, binding, "https://chat.twilio.com") for binding in service.bindings]
        for extra in {name for each in shown for name in each} - {*ORDINARY, "chat_service_sid"}:
            raise AssertionError(f"the demo has an unknown field, {extra}")
        _, rows = read_rows(page(*shown), service.sid)
        assert rows.table.column("sid").to_pylist() == [binding.sid for binding in service.bindings]
        assert rows.rejected == []


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
