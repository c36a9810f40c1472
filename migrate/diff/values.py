"""Values beside each other: what is new, gone or another, by key and by dotted path."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from migrate.diff.difference import (
    NOT_SHOWN,
    CredentialDifference,
    FindingChange,
    ServiceChange,
    ValueChange,
    what,
)
from migrate.model.finding import Finding
from migrate.model.sids import is_credential_sid

Values = Mapping[str, Any]  # by dotted path


class Hidden(str):
    """A value that is compared, and never shown."""

    __slots__ = ()


class Spelt(str):
    """A list as JSON: not the same as a text that says so."""

    __slots__ = ()


def differing(of: str, subject: str, before: Values, after: Values) -> Iterator[ValueChange]:
    """The values that differ, in the order of `before`, then what is new; None is the same as not there."""
    for path in dict.fromkeys((*before, *after)):
        then, now = before.get(path), after.get(path)
        if not is_equal(then, now):
            yield ValueChange(of, subject, path, _shown(then), _shown(now))


def _shown(value: Any) -> Any:
    if isinstance(value, Hidden):
        return NOT_SHOWN
    return str(value) if isinstance(value, Spelt) else value


def differing_by_key(of: str, before: Mapping[str, Values], after: Mapping[str, Values]) -> Iterator[ValueChange]:
    """The values that differ, by whose they are; in the order of their names."""
    for key in sorted({*before, *after}):
        yield from differing(of, key, before.get(key, {}), after.get(key, {}))


def is_equal(one: Any, other: Any) -> bool:
    """Whether two values of JSON are the same: to Python, true is 1."""
    return bool(one == other) and type(one) is type(other)


def flat(value: Any) -> dict[str, Any]:
    """The values of a document by their dotted path: of objects within objects, what is in them; lists as JSON."""
    found: dict[str, Any] = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [((), value)]
    while waiting:  # however deep it goes
        path, item = waiting.pop()
        if isinstance(item, Mapping):
            waiting += [((*path, _key(str(key))), inner) for key, inner in item.items()][::-1]
        elif item is not None:
            found[".".join(path)] = _plain(item)
    return found


def _key(key: str) -> str:
    """A key within a dotted path; one that has dots or quotes itself is quoted."""
    return json.dumps(key, ensure_ascii=False) if "." in key or '"' in key else key


def hidden(document: Any) -> dict[str, Any]:
    """The values of a document that can hold anything, by path: compared, and never shown."""
    return {path: Hidden(json.dumps([isinstance(value, Spelt), value])) for path, value in flat(document).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool | int | float | str):
        return value
    return Spelt(json.dumps(value, ensure_ascii=False, default=str))


def service_changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[ServiceChange]:
    """Services that are new, gone or renamed, by SID; their names before and after."""
    for sid in sorted({*before, *after}):
        then, now = before.get(sid), after.get(sid)
        if then is None or now is None:
            yield ServiceChange(sid, now or then or "", "new" if then is None else "gone", then or "", now or "")
        elif then != now:
            yield ServiceChange(sid, now, "renamed", then, now)


def credential_differences(
    of: str, before: Mapping[str, Values], after: Mapping[str, Values], names: Mapping[str, str]
) -> Iterator[CredentialDifference]:
    """Credentials that are new, gone or changed, by their key: the SID, or a name without one."""
    for key in sorted({*before, *after}):
        then, now = before.get(key), after.get(key)
        values = () if then is None or now is None else tuple(differing(of, key, then, now))
        if values or then is None or now is None:
            sid = key if is_credential_sid(key) else None
            yield CredentialDifference(of, sid, names[key], what(then, now), values)


def finding_changes(before: Iterable[Finding], after: Iterable[Finding]) -> tuple[FindingChange, ...]:
    """What is found otherwise than before, the worst first."""
    then, now = _counted(before), _counted(after)
    changes = [
        FindingChange(*key, then.get(key, 0), now.get(key, 0))
        for key in then.keys() | now.keys()
        if then.get(key) != now.get(key)
    ]
    return tuple(sorted(changes, key=FindingChange.sort_key))


def _counted(findings: Iterable[Finding]) -> dict[tuple[str, str | None, str], int]:
    counted: dict[tuple[str, str | None, str], int] = {}
    for found in findings:
        key = (found.code, found.service_sid, found.subject)
        counted[key] = counted.get(key, 0) + found.count
    return counted


def outcome_changes(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """The numbers of bindings by outcome that differ: before and after."""
    numbers = {name: (before.get(name, 0), after.get(name, 0)) for name in sorted({*before, *after})}
    return {name: (then, now) for name, (then, now) in numbers.items() if then != now}
