"""The bindings of a mapped folder, read: Parquet files, each of one service's bindings or of many small ones'."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrate.map.earlier_format import upgrade_row
from migrate.map.mapped_folder import BINDINGS, Mapped
from migrate.model.errors import InputError

if TYPE_CHECKING:  # imported where it is used: other commands start without it
    from pyarrow import dataset

_SID = "IS[0-9a-fA-F]{32}"
_FOLDER = "service_sid="  # and a SID: the folder of a service, in format 4 and before
PART = re.compile(rf"{_SID}-(\d{{5,}}|and-others)\.parquet|{_FOLDER}{_SID}/part-\d+\.parquet")


def name_of_part(services: Sequence[str], number: int = 0) -> str:
    """What the file of some services' bindings is called: by the first, and for one alone by the file's number."""
    return f"{services[0]}-and-others.parquet" if len(services) > 1 else f"{services[0]}-{number:05}.parquet"


def parts_in(folder: Path) -> list[Path]:
    """The files of a mapped folder's bindings, by their names."""
    bindings = folder / BINDINGS
    return sorted([*bindings.glob("*.parquet"), *bindings.glob(f"{_FOLDER}*/*.parquet")])


def open_bindings(mapped: Mapped) -> dataset.Dataset:
    """All the bindings, of the schema `MAPPED_BINDINGS` and `service_sid`. Raises what Arrow raises."""
    import pyarrow as pa
    from pyarrow import dataset

    from migrate.model.schemas import MAPPED_BINDINGS

    service = pa.field("service_sid", pa.string())
    by_service = dataset.partitioning(pa.schema([service]), flavor="hive")
    schema = MAPPED_BINDINGS.append(service)
    return dataset.dataset(mapped.folder / BINDINGS, schema=schema, format="parquet", partitioning=by_service)


def parts_by_service(mapped: Mapped) -> dict[str, list[tuple[Path, int]]]:
    """The files that have bindings of a service, and how many, by its SID.

    Raises `InputError` where there are not as many of a service as were mapped.
    """
    import pyarrow as pa

    found: dict[str, list[tuple[Path, int]]] = {}
    try:
        for path in parts_in(mapped.folder.absolute()):
            for sid, rows in _rows_by_service(path).items():
                found.setdefault(sid, []).append((path, rows))
    except (pa.ArrowException, OSError, KeyError):  # a column that is not there
        raise not_as_mapped(mapped.folder) from None
    counted = {one["service_sid"]: one["bindings"] for one in mapped.summary.services if one["bindings"]}
    if {sid: sum(rows for _, rows in parts) for sid, parts in found.items()} != counted:
        raise not_as_mapped(mapped.folder)
    return found


def _rows_by_service(path: Path) -> dict[str, int]:
    import pyarrow.parquet as pq

    from migrate.model.schemas import MAPPED_BINDINGS_4

    with pq.ParquetFile(path) as file:
        if lacking := {*MAPPED_BINDINGS_4.names} - {*file.schema_arrow.names}:
            raise KeyError(*lacking)
        if path.parent.name.startswith(_FOLDER):
            rows = file.metadata.num_rows
            return {path.parent.name.removeprefix(_FOLDER): rows} if rows else {}
        sids = file.read(["service_sid"], use_threads=False).column("service_sid")
    return {one["values"]: one["counts"] for one in sids.value_counts().to_pylist()}


def find_bindings(mapped: Mapped, sid: str) -> list[dict[str, Any]]:
    """The rows of a mapped folder with one SID, each with its `service_sid`, in the order of those.

    There is one as a rule; more where services list the same binding. Hexadecimal digits may be in either case.

    Raises `InputError` where the folder's bindings cannot be read, or are not as many as were mapped.
    """
    return _find_rows(mapped, {sid, sid[:2] + sid[2:].lower(), sid[:2] + sid[2:].upper()})


def find_bindings_of(mapped: Mapped, service_sid: str, sids: Collection[str]) -> list[dict[str, Any]]:
    """The rows of a service with some SIDs, as `find_bindings` gives them. Raises what that raises."""
    return _find_rows(mapped, sids, service_sid) if sids else []


def _find_rows(mapped: Mapped, sids: Collection[str], service_sid: str | None = None) -> list[dict[str, Any]]:
    import pyarrow as pa
    from pyarrow import dataset

    wanted = dataset.field("sid").isin(list(sids))
    if service_sid is not None:
        wanted &= dataset.field("service_sid") == service_sid
    try:
        found = open_bindings(mapped)
        rows: list[dict[str, Any]] = found.to_table(filter=wanted).to_pylist()
        whole = bool(rows) or found.count_rows() == mapped.summary.bindings
        whole = whole and all(row[name] is not None for row in rows for name in ("outcome", "action", "findings"))
    except (pa.ArrowException, OSError):
        whole = False
    if not whole:
        raise not_as_mapped(mapped.folder)
    return sorted(map(upgrade_row, rows), key=lambda row: str(row["service_sid"]))


def not_as_mapped(folder: Path) -> InputError:
    """The bindings of a mapped folder were changed, or cannot be read."""
    return InputError(f"The bindings in {folder} are not as they were mapped", remedy="Map the snapshot again")
