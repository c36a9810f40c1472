"""Bodies of pages, for tests of the two ways to read them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import strategies as st

from migrate.extract import columns
from migrate.extract.columns import PageRows, read_rows
from migrate.model.schemas import BINDINGS
from migrate.twilio_api.pages import Meta, NotAPageError
from tests.conftest import service_sid

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
