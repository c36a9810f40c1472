"""Findings as a DataFrame: those of a mapped folder and those of a plan look the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd
import pyarrow as pa

from migrate.model.catalogue import CATALOGUE
from migrate.model.finding import Finding
from migrate.model.text import printable
from migrate.report import wording
from migrate.review.rows import frame

_TEXTS = ("severity", "code", "service_sid", "service", "about")
_COLUMNS = {
    **dict.fromkeys(_TEXTS, pa.string()),
    "count": pa.int64(),
    **dict.fromkeys(("examples", "meaning", "remedy"), pa.string()),
}


def findings_frame(findings: Iterable[Finding], names: Mapping[str, str]) -> pd.DataFrame:
    """Findings in their order, a row each; `names` are those of services by SID.

    `severity` is blocker, warning or info, `about` the message type, field or variable, `count` the number of
    bindings, or of settings; `examples` are SIDs of bindings with commas between. `service_sid` is missing of what is
    about the whole account. `meaning` and `remedy` are the catalogue's (docs/findings.md).
    """
    return frame(_COLUMNS, [_row(finding, names) for finding in findings])


def _row(finding: Finding, names: Mapping[str, str]) -> list[str | int | None]:
    entry = CATALOGUE[finding.code]
    about, examples = printable(finding.subject), ", ".join(finding.examples)
    return [
        *(finding.severity, finding.code, finding.service_sid, names.get(finding.service_sid or "", "")),
        *(about, finding.count, examples, entry.meaning, entry.remedy),
    ]


def service_names(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The names of services by SID, for one line: what would act in them is replaced by its escape, long ones cut."""
    return {sid: wording.name(name) for sid, name in pairs}
