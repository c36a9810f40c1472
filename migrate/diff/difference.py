"""What has changed from one side to the other, as values: no identity, no endpoint, no secret."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self

from migrate.model.catalogue import CATALOGUE, SEVERITIES, Severity

Kind = Literal["snapshot", "mapped", "plan"]
What = Literal["new", "gone", "changed"]
CHANGES: tuple[What, ...] = ("new", "gone", "changed")
STATES = (*CHANGES, "refreshed", "same")  # of a binding; `refreshed`: only its dates differ
Types = tuple[str | None, str | None]  # the binding type before and after; None names none
# What replaces values: of one that may hold anything; of settings of which one side could read none.
NOT_SHOWN, READABLE, UNREADABLE = "(not shown)", "(could be read)", "(could not be read)"


@dataclass(frozen=True)
class Side:
    """One of the two that are compared: where it is, whose, from which addresses, as of when, and its digest.

    `as_of` is ISO 8601 in UTC, empty where it is not known. `addresses` are those that it was read from, by API.
    """

    path: str
    account_sid: str
    as_of: str
    digest: str
    addresses: Mapping[str, str]


@dataclass(frozen=True)
class ServiceChange:
    """A service that is new, gone, renamed, or stands otherwise than before (`state`).

    `before` and `after` are its names, or how it stands: whether push-config.yaml states it, what a plan does to it.
    """

    service_sid: str
    friendly_name: str
    change: Literal["new", "gone", "renamed", "state"]
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class ValueChange:
    """A value that differs, by its dotted path; None: it is not set.

    `of` says what kind of value it is, `subject` whose: the SID of a service or a credential; for a rule, its table.
    """

    of: str
    subject: str
    path: str
    before: Any
    after: Any

    @property
    def change(self) -> What:
        """Whether it came, went, or is another."""
        return what(self.before, self.after)


@dataclass(frozen=True)
class CredentialDifference:
    """A credential that is new, gone or changed; `values` are those that differ, of a changed one.

    `of` is where it stands: in the account, in push-config.yaml, in the plan. One without a SID is known by its name.
    """

    of: str
    credential_sid: str | None
    friendly_name: str
    change: What
    values: tuple[ValueChange, ...] = ()


@dataclass(frozen=True)
class FindingChange:
    """How often something is found before and after, by code, service (None: the account) and subject."""

    code: str
    service_sid: str | None
    subject: str
    before: int
    after: int

    @property
    def severity(self) -> Severity:
        """The severity that the catalogue gives to the code."""
        return CATALOGUE[self.code].severity

    @property
    def change(self) -> What:
        """Whether it is found only now, no more, or another number of times."""
        return what(self.before or None, self.after or None)

    def sort_key(self) -> tuple[int, str, str, str]:
        """The worst first, then by code, service and subject: a total order."""
        return (SEVERITIES.index(self.severity), self.code, self.service_sid or "", self.subject)


@dataclass(frozen=True)
class BindingCounts:
    """Bindings by what became of them; `fields` says how many of the changed ones differ in which column."""

    new: int = 0
    gone: int = 0
    changed: int = 0
    refreshed: int = 0
    same: int = 0
    fields: Mapping[str, int] = field(default_factory=Counter)

    def __add__(self, other: Self) -> Self:
        sums = {state: getattr(self, state) + getattr(other, state) for state in STATES}
        return replace(self, **sums, fields=Counter(self.fields) + Counter(other.fields))

    @property
    def before(self) -> int:
        """How many there were."""
        return self.gone + self.changed + self.refreshed + self.same

    @property
    def after(self) -> int:
        """How many there are."""
        return self.new + self.changed + self.refreshed + self.same

    @property
    def differing(self) -> int:
        """How many are new, gone or changed; what has only been seen again is none of these."""
        return self.new + self.gone + self.changed

    def to_json(self) -> dict[str, Any]:
        """The numbers by name."""
        return {
            "before": self.before,
            "after": self.after,
            **asdict(self),
            "fields": dict(sorted(self.fields.items())),
        }


@dataclass(frozen=True)
class ServiceBindings:
    """The bindings of one service: counts by type, and a few SIDs of those that are new, gone or changed."""

    service_sid: str
    friendly_name: str
    types: Mapping[Types, BindingCounts]
    examples: Mapping[str, Sequence[str]]

    @property
    def total(self) -> BindingCounts:
        """The counts of all types."""
        return total(self.types.values())

    def to_json(self) -> dict[str, Any]:
        """The service as it stands in `--json`."""
        return {
            "service_sid": self.service_sid,
            "friendly_name": self.friendly_name,
            "total": self.total.to_json(),
            "binding_types": [type_json(types, counts) for types, counts in self.types.items()],
            "examples": {state: list(self.examples.get(state, ())) for state in CHANGES},
        }


@dataclass(frozen=True)
class Difference:
    """Two sides of one kind, and all that differs.

    `notes` are what must be known before it is read, such as that one side covers less. `outcomes` are the numbers of
    bindings by outcome before and after, where they differ; `bindings` has each service that has any, on either side,
    and is empty for plans, which hold none.
    """

    kind: Kind
    before: Side
    after: Side
    notes: tuple[str, ...] = ()
    services: tuple[ServiceChange, ...] = ()
    settings: tuple[ValueChange, ...] = ()
    credentials: tuple[CredentialDifference, ...] = ()
    rules: tuple[ValueChange, ...] = ()
    findings: tuple[FindingChange, ...] = ()
    outcomes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    bindings: tuple[ServiceBindings, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> BindingCounts:
        """The counts of all bindings."""
        return total(service.total for service in self.bindings)

    @property
    def by_type(self) -> dict[Types, BindingCounts]:
        """The counts of all services by binding type."""
        return add_up(service.types for service in self.bindings)

    @property
    def differs(self) -> bool:
        """Whether anything at all does, be it that a device was seen again."""
        lists = (self.services, self.settings, self.credentials, self.rules, self.findings, self.outcomes)
        return any(lists) or bool(self.total.differing or self.total.refreshed)

    def to_json(self) -> dict[str, Any]:
        """All of it, as it stands in `--json` and in a report in JSON."""
        return {
            "kind": self.kind,
            "before": asdict(self.before),
            "after": asdict(self.after),
            "differs": self.differs,
            "notes": list(self.notes),
            "services": [asdict(change) for change in self.services],
            "settings": [_value_json(change) for change in self.settings],
            "credentials": [
                {**asdict(one), "values": [_value_json(value) for value in one.values]} for one in self.credentials
            ],
            "rules": [_value_json(change) for change in self.rules],
            "findings": [
                {**asdict(found), "severity": found.severity, "change": found.change} for found in self.findings
            ],
            "outcomes": {
                name: {"before": numbers[0], "after": numbers[1]} for name, numbers in self.outcomes.items()
            },
            "bindings": {
                "total": self.total.to_json(),
                "binding_types": [type_json(types, counts) for types, counts in self.by_type.items()],
                "services": [service.to_json() for service in self.bindings],
            },
        }


def what(before: Any, after: Any) -> What:
    """Whether something came, went, or is another; None is nothing."""
    return "new" if before is None else "gone" if after is None else "changed"


def total(parts: Iterable[BindingCounts]) -> BindingCounts:
    """The sum of some counts."""
    return sum(parts, BindingCounts())


def add_up(parts: Iterable[Mapping[Types, BindingCounts]]) -> dict[Types, BindingCounts]:
    """Counts by type together, in the order of the types' names; what names none is last."""
    sums: dict[Types, BindingCounts] = {}
    for part in parts:
        for types, counts in part.items():
            sums[types] = sums.get(types, BindingCounts()) + counts
    return dict(sorted(sums.items(), key=lambda item: [(name is None, name or "") for name in reversed(item[0])]))


def type_json(types: Types, counts: BindingCounts) -> dict[str, Any]:
    """The counts of one binding type, and which it was before: the same, as a rule."""
    return {"binding_type": types[1], "binding_type_before": types[0], **counts.to_json()}


def _value_json(change: ValueChange) -> dict[str, Any]:
    return {**asdict(change), "change": change.change}
