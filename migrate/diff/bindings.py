"""All bindings of two sides beside each other, in partitions that are compared side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor

from migrate.diff.difference import ServiceBindings, add_up
from migrate.diff.partition import Columns, Tally, compare_partition, partitions
from migrate.verify.comparison import side_by_side
from migrate.verify.partition import ServiceParts


def compare_bindings(
    services: Iterable[ServiceParts],
    names: Mapping[str, str],
    columns: Columns,
    executor: Executor | None = None,
) -> tuple[ServiceBindings, ...]:
    """What became of the bindings of each service that has any, by SID; `names` are the services' by SID.

    What does not fit into memory is in a private folder of the system's temporary one meanwhile.
    """
    found: dict[str, Tally] = {}
    for tallies in side_by_side(compare_partition, partitions(services, columns), executor):
        for sid, tally in tallies.items():
            found.setdefault(sid, Tally({}, {})).add(tally)
    return tuple(
        ServiceBindings(sid, names.get(sid, ""), add_up([found[sid].types]), found[sid].examples)
        for sid in sorted(found)
    )
