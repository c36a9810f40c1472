"""One page of a list: its `meta`, read ahead of the records or with them, and the check that it is a page at all."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_TOO_DEEP = "it is nested too deeply"
_META_FIRST = re.compile(rb'\s*\{\s*"meta"\s*:\s*(?=\{)')


class NotAPageError(ValueError):
    """A body that is no page; the message says why."""


@dataclass(frozen=True)
class Meta:
    """What a page says of itself: the size that the server used, and where the next one is (null or empty: it is the
    last one, as for twilio-python); and what its records have in `account_sid`.
    """

    page_size: int | None
    next_page_url: str | None
    accounts: frozenset[str] = frozenset()


# What makes a body into a page's content. It may run in another thread; raises `NotAPageError`.
Reader = Callable[[bytes], tuple[Meta, T]]


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list: its content as its reader made it, the size that the server used (None: not said), the
    address of the next page, and how many requests this one took.
    """

    content: T
    page_size: int | None
    next_url: str | None
    requests: int


def meta_of(found: Any) -> Meta:
    """A decoded `meta` object, checked. Raises `NotAPageError`."""
    if not isinstance(found, dict):
        raise NotAPageError("it has no 'meta'")
    if "next_page_url" not in found:  # what does not say that it is the last page is not taken for it
        raise NotAPageError("its 'meta' has no next_page_url")
    link, size = found["next_page_url"], found.get("page_size")
    if not isinstance(link, str | None) or (link and not link.isascii()):
        raise NotAPageError("its next_page_url is no address")
    if size is not None and (type(size) is not int or size < 0):
        raise NotAPageError("its page_size is no number")
    return Meta(size, link)


def flat_meta_of(found: Mapping[str, Any]) -> Meta:
    """The same of a page that has it beside its records, as the Accounts API's do (FACTS.md, "Accounts and
    subaccounts"): `next_page_uri`, a path on the same host. Raises `NotAPageError`.
    """
    if "next_page_uri" not in found:
        raise NotAPageError("it has no next_page_uri")
    link = found["next_page_uri"]
    if not isinstance(link, str | None) or (link and not link.isascii()):
        raise NotAPageError("its next_page_uri is no address")
    return meta_of({"next_page_url": link, "page_size": found.get("page_size")})


def peek(body: bytes) -> Meta | None:
    """The `meta` of a page that begins with it, without reading the rest; None where it does not show.

    It lets the next page be asked for while this one is being read. What comes of reading decides all the same.
    """
    start = _META_FIRST.match(body)
    end = body.find(b"}", start.end()) if start else -1
    if start is None or end < 0:
        return None
    try:
        return meta_of(json.loads(body[start.end() : end + 1]))
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True)
class Beyond:
    """A number that Python does not read, as it is written. It is not a text, so that it is not taken for one; `str`
    gives what is written.
    """

    written: str

    def __str__(self) -> str:
        return self.written


@dataclass(frozen=True)
class Unread:
    """A record that cannot be decoded, as it is written."""

    written: str


def decode(body: bytes) -> Any:
    """A body as JSON by the letter; a number that Python does not read is a `Beyond`. Raises `NotAPageError`."""
    try:
        return json.loads(body, parse_constant=_refuse_constant, parse_float=_number, parse_int=_integer)
    except RecursionError:
        raise NotAPageError(_TOO_DEEP) from None
    except ValueError:
        raise NotAPageError("it is no JSON") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _number(text: str) -> float | Beyond:
    number = float(text)
    return number if math.isfinite(number) else Beyond(text)


def _integer(text: str) -> int | Beyond:
    try:
        return int(text)
    except ValueError:  # more digits than Python reads (4,300 of them, unless it is configured otherwise)
        return Beyond(text)


def records_of(body: bytes, key: str, *, is_lenient: bool = False) -> tuple[Meta, list[Any]]:
    """A page's `meta`, and the list under `key` as decoded JSON. Raises `NotAPageError`.

    A record that is nested too deeply is an `Unread`, and the others are as ever; so is one that is no JSON, where
    `is_lenient`.
    """
    try:
        found = decode(body)
    except NotAPageError:
        found = _in_pieces(body.removeprefix(b"\xef\xbb\xbf"), key, is_lenient=is_lenient)
    if not isinstance(found, dict):
        raise NotAPageError("it is no JSON object")
    meta = meta_of(found.get("meta"))
    if not isinstance(found.get(key), list):
        raise NotAPageError(f"it has no list {key!r}")
    return replace(meta, accounts=accounts_of(found[key])), found[key]


def accounts_of(records: Iterable[Any]) -> frozenset[str]:
    """What decoded records have in `account_sid`, each text once."""
    said = (record.get("account_sid") for record in records if isinstance(record, dict))
    return frozenset(value for value in said if isinstance(value, str))


_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)
_NAMED = re.compile(rb'\s*("(?:[^"\\]++|\\.)*+")\s*:(.*)', re.DOTALL)
_CLOSES = {b"]": b"[", b"}": b"{"}


def _in_pieces(body: bytes, key: str, *, is_lenient: bool) -> dict[str, Any]:
    """A page whose records are decoded one by one. Raises `NotAPageError` where its brackets do not make one."""
    found: dict[str, Any] = {}
    for piece in _pieces(body, b"{"):
        named = _NAMED.fullmatch(piece)
        if named is None:
            raise NotAPageError("it is no JSON")
        name = decode(named[1])
        if name == "meta":
            found[name] = decode(named[2])
        elif name == key:
            found[name] = [_piece(record, is_lenient=is_lenient) for record in _pieces(named[2], b"[")]
    return found


def _piece(record: bytes, *, is_lenient: bool) -> Any:
    try:
        return decode(record)
    except NotAPageError as problem:
        if not is_lenient and str(problem) != _TOO_DEEP:
            raise
        return Unread(record.strip().decode("utf-8", "backslashreplace"))


def _pieces(text: bytes, opening: bytes) -> list[bytes]:
    """What stands between the commas of a list or an object, however deep it is nested. Raises `NotAPageError`."""
    open_brackets, begin, found = list[bytes](), 0, list[bytes]()
    for token in _TOKEN.finditer(text):
        sign, start = token[0], token.start()
        if not open_brackets and (sign != opening or text[:start].strip()):
            break
        if sign in (b"[", b"{"):
            open_brackets.append(sign)
            begin = begin or token.end()
        elif sign in _CLOSES:
            if open_brackets.pop() != _CLOSES[sign]:
                break
            if not open_brackets:
                if text[token.end() :].strip():
                    break
                last = text[begin:start]
                return [*found, last] if found or last.strip() else []
        elif sign == b'"':  # of a text that does not end
            break
        elif sign == b"," and len(open_brackets) == 1:
            found.append(text[begin:start])
            begin = token.end()
    raise NotAPageError("it is no JSON")
