"""Documents: JSON that is read into typed structures, strictly. No value of a file is ever in an error.

The structures are those of msgspec: their types are checked, and nothing is converted to fit ("1" is no number). JSON
itself is read by Python's own reader, which takes every encoding of JSON and half of a surrogate pair.
"""

from __future__ import annotations

import json
import re
import threading
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")
Count = Annotated[int, Meta(ge=0)]
AccountSid = Annotated[str, Meta(pattern=r"\AAC[0-9a-f]{32}\Z")]  # as Twilio issues it
ServiceSid = Annotated[str, Meta(pattern=r"\AIS[0-9a-fA-F]{32}\Z")]
CredentialSid = Annotated[str, Meta(pattern=r"\ACR[0-9a-fA-F]{32}\Z")]
_known: set[Any] = set()  # the types that msgspec has looked at
_learning = threading.RLock()
# What msgspec says, as far as it is made of names of types and of our own fields.
_TYPES = re.compile(r"(Expected `[\w |]+`, got `\w+`|Object missing required field `\w+`)")
_PLACE = re.compile(r" - at `(?:key in )?\$([\w.\[\]]*)`")


class DocumentError(ValueError):
    """A document is not what it should be; the text says what is wrong, without any value."""


class OtherFormatError(DocumentError):
    """A document is of another `format_version`."""


def load(data: bytes) -> Any:
    """The content of JSON, in whatever encoding. Raises `DocumentError`."""
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        raise DocumentError(f"it is not JSON, from line {error.lineno:,} on") from None
    except UnicodeDecodeError:
        raise DocumentError("it is not UTF-8 text") from None
    except RecursionError:
        raise DocumentError("it is nested too deeply") from None
    except ValueError:
        raise DocumentError("a number is too long") from None


def load_versioned(data: bytes, *versions: int) -> tuple[int, dict[str, Any]]:
    """The `format_version` that a JSON object states, and the rest of it.

    Raises `OtherFormatError` for a format that is not in `versions`, and `DocumentError` for anything else.
    """
    content = decode(load(data), dict[str, Any])
    version = decode(content.pop("format_version", None), int)
    if version not in versions:
        raise OtherFormatError("it is in another format")
    return version, content


def decode(content: Any, kind: type[T]) -> T:
    """The structure that JSON's content has. Raises `DocumentError` for a missing field, a wrong type or value."""
    try:
        if kind in _known:
            return msgspec.convert(content, kind)
        with _learning:  # a type that one thread is looking at is half known to the others, which crashes them
            try:
                return msgspec.convert(content, kind)
            finally:
                _known.add(kind)
    except msgspec.ValidationError as error:
        raise DocumentError(_problem(str(error))) from None
    except (UnicodeEncodeError, RecursionError):  # a key with half of a character, or nesting without an end
        raise DocumentError("it is not as it was written") from None


def builtins(value: Any) -> Any:
    """A structure as JSON has it: dictionaries, lists, texts and numbers."""
    return msgspec.to_builtins(value)


def is_same(one: Any, other: Any) -> bool:
    """Whether two contents are the same JSON: equal, and of the same types."""
    try:
        texts = [json.dumps(content, sort_keys=True, allow_nan=False) for content in (one, other)]
    except (ValueError, RecursionError):  # what is no number is equal to nothing
        return False
    return texts[0] == texts[1]


def moment(text: str) -> datetime:
    """The time in `as_of`, with its zone, in ISO 8601. Raises `DocumentError` for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise DocumentError("as_of: not a time") from None
    if found.tzinfo is None:
        raise DocumentError("as_of: a time without a zone")
    return found


def is_moment(text: str) -> bool:
    """Whether a text is a time with its zone, of a year that can be shown in any zone."""
    try:
        return 2000 < moment(text).year < 9000
    except DocumentError:
        return False


def _problem(said: str) -> str:
    """What msgspec says, in our words: its own can have a value, or the name of an unknown key."""
    types, place = _TYPES.match(said), _PLACE.search(said)
    what = types[1].replace("`", "").removeprefix("Object ") if types else "not a known value"
    where = place[1].removeprefix(".") if place else ""
    return f"{where}: {what[0].lower()}{what[1:]}".removeprefix(": ")
