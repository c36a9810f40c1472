"""For whoever signs a migration off: a snapshot, a mapped folder, a plan, coverage and push errors as DataFrames.

    from migrate.review import open_snapshot
    snapshot = open_snapshot("snapshot")
    snapshot.by_age()

Each function gives a small object: DataFrames as properties, methods for the questions that reviewers ask, and a card
of its own in Jupyter. Nothing is read before it is asked for, and never more columns than that. Identities and
endpoints are masked (`al…om (17)`) unless `show_identities=True` asks for them; counts are of the true ones either
way. Names are cut at 60 characters, with whatever would act in them replaced by its escape. Nothing is written, and
nothing is asked of Twilio.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migrate.map.rules import Rules
    from migrate.review.coverage import CoverageReview
    from migrate.review.health import HealthReview
    from migrate.review.mapped import MappedReview
    from migrate.review.plan import PlanReview
    from migrate.review.snapshot import SnapshotReview

__all__ = ["open_coverage", "open_health", "open_mapped", "open_plan", "open_snapshot", "show_tables"]


def show_tables() -> None:
    """Have Jupyter show DataFrames for reading: dates as dates, numbers with separators, a dash where nothing is.

    The DataFrames stay as they are. Outside of Jupyter this does nothing.
    """
    from migrate.review.tables import register

    register()


def open_snapshot(
    path: str | PathLike[str], *, rules: Rules | None = None, show_identities: bool = False
) -> SnapshotReview:
    """Open a finished snapshot, once its checksums are verified.

    `rules` say how long a binding lives and which names are known; see `migrate.load_rules`. Raises `InputError` if
    the folder is no snapshot, `RefusedError` if it cannot be trusted.
    """
    from migrate.review.snapshot import SnapshotReview

    return SnapshotReview.open(Path(path), rules, show_identities=show_identities)


def open_mapped(path: str | PathLike[str], *, show_identities: bool = False) -> MappedReview:
    """Open a mapped folder. Raises `InputError` for another one, or with the line where push-config.yaml is wrong."""
    from migrate.review.mapped import MappedReview

    return MappedReview.open(Path(path), show_identities=show_identities)


def open_plan(path: str | PathLike[str]) -> PlanReview:
    """Open a plan.json. Raises `InputError` for anything else, or was changed since it was made."""
    from migrate.review.plan import PlanReview

    return PlanReview.open(Path(path))


def open_coverage(
    paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    pending: str | PathLike[str] | None = None,
    show_identities: bool = False,
) -> CoverageReview:
    """Open what runs of `verify` have left: coverage folders, or single files of theirs.

    `pending` is the list that `verify --pending` wrote, .csv or .parquet. Raises `InputError` for what is neither.
    """
    from migrate.review.coverage import CoverageReview

    some = [paths] if isinstance(paths, str | PathLike) else paths
    listed = Path(pending) if pending is not None else None
    return CoverageReview.open([Path(path) for path in some], listed, show_identities=show_identities)


def open_health(paths: str | PathLike[str] | Iterable[str | PathLike[str]]) -> HealthReview:
    """Open what runs of `health` have left: its folders, or single files of theirs. Raises `InputError` for others.

    All of them must be of one account.
    """
    from migrate.review.health import HealthReview

    some = [paths] if isinstance(paths, str | PathLike) else paths
    return HealthReview.open([Path(path) for path in some])
