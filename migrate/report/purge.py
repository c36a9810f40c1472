"""The terminal's view of a purge: what is kept, how old it is, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.text import Text

from migrate.model.text import printable
from migrate.report.wording import count
from migrate.snapshot.purge import Kept


def purge_view(found: Sequence[Kept], fates: Mapping[Kept, str], now: datetime, *, dry_run: bool) -> Text:
    """A line for each folder; `fates` has those that are too old, with what becomes of them."""
    text = Text()
    for kept in found:
        age = f"{(now - kept.as_of).days:,} days" if kept.as_of else "of unknown age"
        text.append(f"{fates.get(kept, 'kept'):7}", "yellow" if kept in fates else "green")
        text.append(f"  {printable(str(kept.path))}", "bold").append(f"  {age}, {kept.size / 1e6:,.1f} MB\n")
        if kept.obstacle:
            text.append(f"         left alone: {printable(kept.obstacle)}\n", "dim")
    if dry_run:
        return text.append("Dry run: ", "bold").append(
            f"{count(len(fates), 'folder')} of {len(found):,} would be removed. Nothing was removed.\n"
        )
    return text.append("Done: ", "bold").append(f"{count(len(fates), 'folder')} of {len(found):,} removed.\n")
