"""Proposals as a DataFrame: those of a mapped folder and those of a plan look the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd
import pyarrow as pa

from migrate.model.proposal import Proposal
from migrate.report.wording import proposed
from migrate.review.rows import frame

_COLUMNS = {
    **dict.fromkeys(("service_sid", "service", "setting", "proposed"), pa.string()),
    "bindings": pa.int64(),
    "evidence": pa.string(),
}


def proposals_frame(proposals: Iterable[Proposal], names: Mapping[str, str]) -> pd.DataFrame:
    """Proposals that wait for a decision, a row each, by service; `names` are those of services by SID.

    `setting` is the path in push-config.yaml, `proposed` the value as text, `bindings` the number of live bindings
    that subscribe to the push, `evidence` what speaks for it, in words.
    """
    return frame(
        _COLUMNS,
        [
            [
                *(one.service_sid, names.get(one.service_sid, ""), one.path, proposed(one.value)),
                *(one.bindings, one.evidence),
            ]
            for one in proposals
        ],
    )
