"""The quick way to read a page means what the tolerant one does."""

from __future__ import annotations

import codecs
import json
import string
from typing import Any, NoReturn

import pytest
from hypothesis import assume, example, given, settings, target
from hypothesis import strategies as st

from migrate.extract import columns
from migrate.extract.columns import read_rows
from migrate.standin import views
from migrate.standin.world import World
from migrate.twilio_api.pages import NotAPageError
from tests.columns.conftest import (
    ORDINARY,
    SERVICE,
    Fields,
    Raw,
    check_both_ways,
    date,
    meta,
    page,
    records,
    sound_date,
    text,
    value,
    with_value,
    written,
)

EXAMPLES = 50


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
