"""The first wave: a part of a fleet that is always the same, and that each wider wave contains."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

from migrate.model.errors import UsageError

_ONLY = re.compile(r"([0-9]{1,6})(%?)")


def wave_of(sids: Collection[str], only: str | None) -> frozenset[str]:
    """The accounts of a wave: `only` is a number (`20`) or a share (`5%`, rounded up) of them; None means all.

    They are chosen by the SHA-256 of their SIDs. Raises `UsageError` for anything else, and for none at all.
    """
    if only is None:
        return frozenset(sids)
    found = _ONLY.fullmatch(only)
    number = int(found[1]) if found else 0
    if not found or not number or (found[2] and number > 100):
        raise UsageError(f"{only!r} is neither a number of accounts nor a share of them, such as 20 or 5%")
    most = -(-len(sids) * number // 100) if found[2] else number
    order = sorted(sids, key=lambda sid: hashlib.sha256(sid.encode()).digest())
    return frozenset(order[:most])
