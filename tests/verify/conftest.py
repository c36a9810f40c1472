"""What tests of verify start from."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from migrate.verify.partition import Terms
from tests.conftest import service_sid
from tests.snapshots import AS_OF, binding, write_snapshot

SERVICE, OTHER = service_sid(1), service_sid(2)
CAME_BACK = ["twilio.conversations.new_message"]
EXPIRED = AS_OF - timedelta(days=366)
YEAR = timedelta(days=365)
TERMS = Terms(AS_OF - YEAR, AS_OF - YEAR, ("twilio.channel.", "twilio.ipmsg."), ("twilio.conversations.",))
Row = dict[str, Any]


def platform_of(row: Row) -> str | None:
    return "fcm" if row["binding_type"] == "gcm" else row["binding_type"]


def is_registration(row: Row) -> bool:
    if row.get("binding_type") == "gcm":
        return False  # GCM is gone: what Conversations lists of it reaches no device
    names = [name for name in row["message_types"] or () if name]
    plain = {"added_to_conversation", "removed_from_conversation"}
    return any(name in plain or name.startswith("twilio.conversations.") for name in names)


def last_seen(row: Row) -> datetime | None:
    found: datetime | None = row["date_updated"] or row["date_created"]
    return found


NAMES = [
    None,
    [],
    ["new_message"],
    ["new_message", None],
    ["reaction_added"],
    ["new_message", "added_to_channel"],
    ["new_message", "twilio.channel.pinned"],
    ["new_message", "added_to_conversation"],
    ["removed_from_conversation", "invited_to_channel"],
    CAME_BACK,
]
dates = st.sampled_from([None, EXPIRED, AS_OF - timedelta(days=365), AS_OF - timedelta(days=3), AS_OF])


def rows_of(names: st.SearchStrategy[Any], prefix: str) -> st.SearchStrategy[list[list[Row]]]:
    """Bindings in up to three parts, of few identities, devices and platforms, so that they meet."""
    row = st.fixed_dictionaries(
        {
            "identity": st.sampled_from([None, "", "a", "a", "a", "b", "it's"]),
            "endpoint": st.sampled_from([None, "", "x", "y", "z", "w"]),
            "binding_type": st.sampled_from(["apn", "fcm", "gcm", "twilsock", None]),
            "message_types": names,
            "date_created": dates,
            "date_updated": dates,
        }
    )

    def numbered(parts: list[list[Row]]) -> list[list[Row]]:
        numbers = iter(range(1000))
        return [[{**row, "sid": f"{prefix}{next(numbers):03}"} for row in part] for part in parts]

    return st.lists(st.lists(row, max_size=6), max_size=3).map(numbered)


def sides(folder: Path, source: list[Row], live: list[Row], **changes: Any) -> list[object]:
    """Two snapshots of one service, and the words of the command that compares them."""
    services = {SERVICE: {"friendly_name": "=one"}}
    write_snapshot(folder / "s", services, {SERVICE: [source]})
    later = {"source": "conversations", "as_of": "2026-07-01T12:30:00+00:00", **changes}
    write_snapshot(folder / "l", {**services, OTHER: {}}, {SERVICE: [live], OTHER: [[binding(7)]]}, **later)
    return ["verify", folder / "s", "--against", folder / "l", "--coverage", folder / "c"]
