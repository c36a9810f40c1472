"""Diff: what has changed from one snapshot, mapped folder or plan to another."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

from migrate.diff.difference import Difference
from migrate.diff.sides import one_kind


def difference(before: Path, after: Path, executor: Executor | None = None) -> Difference:
    """What has changed between two snapshots, two mapped folders or two plans. It asks Twilio nothing.

    Bindings are compared on `executor`, else on a few threads of this process. Raises `UsageError` for two of
    different kinds, `InputError` for what is neither or cannot be read, `RefusedError` for an unfinished or damaged
    snapshot, for two accounts, and where one side was made from Twilio's own address and the other was not.
    """
    kind = one_kind(before, after)
    if kind == "snapshot":
        from migrate.diff.snapshots import compare_snapshots as compare
    elif kind == "mapped":
        from migrate.diff.mapped import compare_mapped as compare
    else:
        from migrate.diff.plans import compare_plans

        return compare_plans(before, after)
    return compare(before, after, executor)
