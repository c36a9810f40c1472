"""Findings: what the operator must know, each with a stable code of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from msgspec import Meta, Struct

from migrate.model.catalogue import CATALOGUE, SEVERITIES, Severity
from migrate.model.documents import Count, builtins

MAX_EXAMPLES = 5


class Finding(Struct, frozen=True):
    """One code for one service (None: the whole account), with what it concerns.

    `subject` is the message type, field or variable; empty where the code says it all. `count` is the number of
    bindings; of settings for findings about settings, and of errors for what push errors show of a service.
    `examples` are at most five binding SIDs, which are no personal data.
    """

    code: Annotated[str, Meta(pattern=rf"\A(?:{'|'.join(CATALOGUE)})\Z")]
    service_sid: str | None
    subject: str = ""
    count: Count = 1
    examples: tuple[str, ...] = ()

    @property
    def severity(self) -> Severity:
        """The severity that the catalogue gives to the code."""
        return CATALOGUE[self.code].severity

    @property
    def of_config(self) -> bool:
        """Whether it is of the push configuration as it stands, and is found again whenever that is read."""
        return CATALOGUE[self.code].of_config

    def sort_key(self) -> tuple[int, str, str, str]:
        """The worst first, then by code, service and subject: a total order."""
        return (SEVERITIES.index(self.severity), self.code, self.service_sid or "", self.subject)

    def to_json(self) -> dict[str, Any]:
        """The finding as it stands in summary.json and plan.json."""
        return {**builtins(self), "severity": self.severity}


def count_by_severity(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings of each severity there are, the worst first; none is a zero."""
    counts: dict[str, int] = dict.fromkeys(SEVERITIES, 0)
    for finding in findings:
        counts[finding.severity] += 1
    return counts


def nothing_expected(bindings: int, expired: int) -> tuple[Finding, ...]:
    """The finding of a snapshot that has no binding that can come back, by its counts; none for any other."""
    if not bindings:
        return (Finding("snapshot-empty", None, "", 0),)
    return (Finding("snapshot-expired", None, "", expired),) if expired == bindings else ()
