"""A snapshot of few bindings, of which every number is worked out by hand, and what reviews of it give."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from migrate.snapshot.manifest import Filters
from tests.conftest import service_sid
from tests.markup import HOSTILE
from tests.snapshots import AS_OF, binding, credential, credential_sid, write_snapshot

ACME, NAMELESS, UNUSED = (service_sid(number) for number in (1, 2, 3))
YEAR, INSTANT = timedelta(days=365), timedelta(microseconds=1)
EXTRA = '{"address": "al@example.test"}'
BINDINGS = {
    ACME: [
        [
            binding(1, message_types=["new_message", "added_to_channel", "new_message"], extra=EXTRA),
            # To the microsecond a year: not past its lifetime yet.
            binding(2, date_updated=AS_OF - YEAR, identity=binding(1)["identity"]),
        ],
        [
            binding(3, binding_type="fcm", credential_sid=credential_sid(2), date_updated=AS_OF - YEAR - INSTANT),
            dict.fromkeys(binding(4)) | {"sid": binding(4)["sid"]},
        ],
    ],
    NAMELESS: [
        [
            binding(
                5,
                binding_type="fcm",
                credential_sid=credential_sid(9),
                message_types=[],
                date_created=AS_OF - timedelta(days=800),
                date_updated=None,
                identity=binding(1)["identity"],
            ),
            binding(
                6,
                binding_type="gcm",
                credential_sid=credential_sid(2),
                message_types=["twilio.channel.new_message", None],
                date_created=AS_OF,  # when it was made says nothing beside when it was seen
                date_updated=AS_OF - 2 * YEAR,
                identity="",
            ),
        ]
    ],
}
SERVICES: dict[str, dict[str, Any]] = {
    ACME: {"friendly_name": HOSTILE, "notifications": '{"new_message": {}}', "date_created": AS_OF - YEAR},
    NAMELESS: {"friendly_name": ""},
    UNUSED: {"friendly_name": "x" * 80, "date_updated": AS_OF},
}
CREDENTIALS = [
    credential(1, "apn"),
    credential(2, "fcm", friendly_name=None, sandbox=None, date_updated=None),
    credential(3, "apn", sandbox="True"),
]


def small_snapshot(folder: Path) -> Path:
    """Six bindings of three services, of which one has none."""
    changes: dict[str, Any] = {
        "duplicates_removed": 4,
        "rejected": 1,
        "source_reason": HOSTILE,
        "filters": Filters(services=(ACME,)),
    }
    return write_snapshot(folder, SERVICES, BINDINGS, CREDENTIALS, **changes)


def rows(found: pd.DataFrame, columns: Iterable[str] = ()) -> list[tuple[Any, ...]]:
    """The rows as tuples; what is missing is None."""
    found = found[list(columns)] if columns else found
    return [tuple(None if pd.isna(value) else value for value in row) for row in found.itertuples(index=False)]
