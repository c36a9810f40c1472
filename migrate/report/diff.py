"""The terminal's view of a difference, and what all views of it list, and in which words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rich.cells import cell_len
from rich.text import Text

from migrate.diff.difference import CHANGES, NOT_SHOWN, READABLE, UNREADABLE, BindingCounts, Difference, Types
from migrate.diff.difference import Side as DiffSide
from migrate.model.address import place
from migrate.model.text import printable
from migrate.report.layout import BREAK, COLUMN, grid, padded, sided, table
from migrate.report.limit import MOST_SHOWN, first, more
from migrate.report.wording import count, counts, name, named, when

LONGEST_VALUE = 200  # characters of a value that a view shows
_SIGNS = {"new": ("+", "green"), "gone": ("-", "red"), "changed": ("~", "yellow")}
KINDS = {"snapshot": "snapshots", "mapped": "mapped folders", "plan": "plans"}
_SETTINGS = {  # in the order of the views
    "chat": "Settings in Chat",
    "conversations": "Settings in Conversations",
    "other": "Other fields of services",
    "desired": "Settings in push-config.yaml",
    "written": "Settings that would be written",
    "live": "Settings that were live",
    "proposed": "Proposed settings",
}
_CREDENTIALS = {"account": "Credentials in the account", "desired": "Credentials to be written"}
_COLUMNS = {
    "before": "before",
    "new": "new",
    "gone": "gone",
    "changed": "changed",
    "refreshed": "seen again",
    "same": "same",
    "after": "after",
}
LEGEND = (
    "Changed: the identity, endpoint, type, credential, message types or outcome differs. Seen again: only the dates "
    "differ"
)


@dataclass(frozen=True)
class Row:
    """A line of a list: whether it is new, gone or changed, of what (`subject`), its name there, before and after.

    Of a long list those of the lowest `rank` come first.
    """

    change: str
    subject: str
    path: str
    before: str
    after: str
    rank: int = 0


@dataclass(frozen=True)
class Listing:
    """A list of what differs, of one kind; `noun` is what one row is."""

    title: str
    noun: str
    rows: Sequence[Row]


def listings(difference: Difference) -> list[Listing]:
    """All lists that have a row, in their order, in words that can be shown. A long one begins with the worst."""
    found = [Listing("Services", "service", [*_services(difference)])]
    found += [Listing(title, "setting", [*_settings(difference, of)]) for of, title in _SETTINGS.items()]
    found += [Listing(title, "credential", [*_credentials(difference, of)]) for of, title in _CREDENTIALS.items()]
    rules = [
        Row(one.change, f"[{printable(one.subject)}]", printable(one.path), *pair(one.before, one.after))
        for one in difference.rules
    ]
    found += [Listing("Rules", "rule", rules), Listing("Findings", "finding", [*_findings(difference)])]
    outcomes = [
        Row("changed", "", name, f"{then:,}", f"{now:,}") for name, (then, now) in difference.outcomes.items()
    ]
    found += [Listing("Outcomes of bindings", "outcome", outcomes)]
    found += [Listing("Examples of bindings", "example", [*_examples(difference)])]
    return [
        listing if len(listing.rows) <= MOST_SHOWN else replace(listing, rows=sorted(listing.rows, key=_rank))
        for listing in found
        if listing.rows
    ]


def _rank(row: Row) -> int:
    return row.rank


def _settings(difference: Difference, of: str) -> Iterator[Row]:
    """What differs in the settings of one kind; a push that was on, and is not any more, is the worst."""
    for one in difference.settings:
        if one.of == of:
            is_off = one.path.endswith("enabled") and one.before is True and one.after is not True
            shown = (printable(one.path) or "(all)", *pair(one.before, one.after))
            yield Row(one.change, named(one.subject, difference.names), *shown, rank=0 if is_off else 1)


def _services(difference: Difference) -> Iterator[Row]:
    for one in difference.services:
        subject = named(one.service_sid, {one.service_sid: one.friendly_name})
        if one.change in ("new", "gone"):
            yield Row(one.change, subject, one.change, "", "")
        else:
            show = name if one.change == "renamed" else printable
            path = "name" if one.change == "renamed" else "state"
            yield Row("changed", subject, path, show(one.before), show(one.after))


def _credentials(difference: Difference, of: str) -> Iterator[Row]:
    for one in difference.credentials:
        if one.of != of:
            continue
        subject = f"{one.credential_sid or '(no SID yet)'} {name(one.friendly_name)}"
        if one.change != "changed":
            yield Row(one.change, subject, one.change, "", "")
        for value in one.values:
            yield Row("changed", subject, printable(value.path), *pair(value.before, value.after))


def _findings(difference: Difference) -> Iterator[Row]:
    for one in difference.findings:
        about = f"  {printable(one.subject)}" if one.subject else ""
        where = named(one.service_sid or "the account", difference.names) + about
        yield Row(one.change, f"{one.severity}: {one.code}", where, f"{one.before:,}", f"{one.after:,}")


def _examples(difference: Difference) -> Iterator[Row]:
    """A few SIDs of each service's bindings that are new, gone or changed; first where most of them are."""
    for service in sorted(difference.bindings, key=lambda service: -service.total.differing):
        for state in CHANGES:
            if sids := service.examples.get(state):
                shown = ", ".join(map(printable, sids))
                yield Row(state, named(service.service_sid, difference.names), state, "", shown)


def by_subject(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Rows that follow each other and are of one subject, under that."""
    for subject, some in groupby(rows, lambda row: row.subject):
        yield subject, [*some]


def pair(before: object, after: object) -> tuple[str, str]:
    """Two values as they are shown. Of long ones it is the part where they begin to differ."""
    texts = (_value(before), _value(after))
    if max(map(len, texts)) <= LONGEST_VALUE:
        return texts
    same = next(
        (at for at, (one, other) in enumerate(zip(*texts, strict=False)) if one != other), min(map(len, texts))
    )
    start = max(0, same - LONGEST_VALUE // 4)
    return _cut(texts[0], start), _cut(texts[1], start)


def _value(value: object) -> str:
    if value is None:
        return "(not set)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str) or value in (NOT_SHOWN, READABLE, UNREADABLE):
        return str(value)
    return f'"{printable(value)}"'


def _cut(text: str, start: int) -> str:
    end = start + LONGEST_VALUE
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")


def sides(difference: Difference) -> list[tuple[str, str]]:
    """What is compared: labels and values."""
    before, after = difference.before, difference.after
    rows = [("Before", _side(before)), ("After", _side(after))]
    if before.account_sid == after.account_sid:
        return [*rows, ("Account", before.account_sid)]
    return [*rows, ("Account", f"{before.account_sid} before, {after.account_sid} after")]


def _side(one: DiffSide) -> str:
    as_of = f", as of {when(one.as_of)}" if one.as_of else ""
    made = ", ".join(dict.fromkeys(printable(place(address)) for address in one.addresses.values()))
    return f"{printable(one.path)}{as_of}" + (f", from {made}" if made else "")


def verdict(difference: Difference) -> str:
    """All that differs, in one phrase."""
    total = difference.total
    numbers = [
        (len(difference.services), "service"),
        (len(difference.settings), "setting"),
        (len(difference.credentials), "credential"),
        (len(difference.rules), "rule"),
        (len(difference.findings), "finding"),
        (len(difference.outcomes), "outcome"),
    ]
    parts = [count(number, noun) for number, noun in numbers if number]
    if total.differing:
        states: dict[str, int] = {state: getattr(total, state) for state in CHANGES if getattr(total, state)}
        parts.append(f"{count(total.differing, 'binding')} ({counts(states)})")
    if total.refreshed:
        parts.append(f"{count(total.refreshed, 'binding')} seen again")
    what = KINDS[difference.kind]
    return f"The two {what} differ: {', '.join(parts)}" if parts else f"The two {what} do not differ"


def type_rows(difference: Difference, most: int | None = None) -> list[tuple[str, Sequence[str]]]:
    """The bindings in numbers: by type, at most so many, and in all."""
    rows = [(_types(types), cells(each)) for types, each in difference.by_type.items()]
    return [*rows[:most], ("All", cells(difference.total))]


def service_rows(difference: Difference) -> list[tuple[str, list[tuple[str, Sequence[str]]]]]:
    """The services whose bindings differ, those first of which most do, with the numbers of their types that do."""
    found = [service for service in difference.bindings if _differs(service.total)]
    found.sort(key=lambda service: (-service.total.differing, -service.total.refreshed))
    return [
        (
            named(service.service_sid, difference.names),
            [(_types(types), cells(each)) for types, each in service.types.items() if _differs(each)],
        )
        for service in found
    ]


def _differs(numbers: BindingCounts) -> bool:
    return bool(numbers.differing or numbers.refreshed)


def cells(numbers: BindingCounts) -> list[str]:
    """Numbers in the order of `HEADINGS`."""
    return [f"{getattr(numbers, key):,}" for key in _COLUMNS]


HEADINGS = tuple(_COLUMNS.values())


def _types(types: Types) -> str:
    before, after = ("(none)" if one is None else name(one) if one else '""' for one in types)
    return after if before == after else f"{before} → {after}"


def fields(difference: Difference) -> str:
    """How many of the changed bindings differ in which field; empty for none."""
    changed: Mapping[str, int] = difference.total.fields
    return counts(dict(sorted(changed.items(), key=lambda item: (-item[1], item[0])))) if changed else ""


def difference_view(difference: Difference, *, where: str = "use --json") -> Text:
    """What is compared, and all that differs; of long lists the first, and `where` says where all of it is."""
    notes = [("Note", f"{printable(note)}.") for note in difference.notes]
    text = table([*sides(difference), *notes]).append("\n")
    for listing in listings(difference):
        text.append(_listing(listing, where)).append("\n")
    if difference.bindings:
        text.append("Bindings\n", "bold").append(grid(HEADINGS, type_rows(difference, MOST_SHOWN)))
        text.append(more(len(difference.by_type), "type", where))
        services = service_rows(difference)
        if len(difference.bindings) > 1 and services:
            shown: list[tuple[str, Sequence[str]]] = []
            for label, types in first(services):
                shown += [(sided(label), ()), *((f"  {kind}", numbers) for kind, numbers in types[:MOST_SHOWN])]
                if (left := len(types) - MOST_SHOWN) > 0:
                    shown.append((f"  … and {count(left, 'more type')}", ()))
            text.append("\n").append(grid(HEADINGS, shown)).append(more(len(services), "service", where))
        if differing := fields(difference):
            text.append("\nChanged in  ", "bold").append(f"{COLUMN}{differing}\n")
        text.append(f"\n{LEGEND}.\n\n")
    return text.append(f"{verdict(difference)}.\n", "bold")


def _listing(listing: Listing, where: str) -> Text:
    text = Text().append(f"{listing.title}\n", "bold")
    for subject, some in by_subject(first(listing.rows)):
        indent = "  "
        if subject:
            text.append(f"  {sided(subject)}\n")
            indent = "    "
        width = max(cell_len(row.path) for row in some)
        for row in some:
            sign, colour = _SIGNS[row.change]
            text.append(f"{indent}{sign} ", f"bold {colour}").append(padded(row.path, width))
            if row.before:
                text.append(f"  {BREAK}{sided(row.before)}", "red").append(f" {BREAK}→ ")
                text.append(sided(row.after), "green")
            elif row.after:
                text.append(f"  {COLUMN}{row.after}")
            text.append("\n")
    return text.append(more(len(listing.rows), listing.noun, where, "  "))
