"""What goes to a Dask cluster and comes back, piece by piece: calls, errors, crowds, tasks that are done twice."""

from __future__ import annotations

import ast
import importlib
import pickle
import pkgutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import migrate
from migrate.engine import sight
from migrate.engine.errand import Errand, do
from migrate.map.sharing import NO_SHARING, Sharing, read_sharing, write_sharing
from migrate.model.errors import AGAIN, MigrateError, RefusedError, Step
from migrate.snapshot.reader import read_snapshot
from migrate.storage.database import FullMemoryError, over_views
from migrate.verify import partition
from migrate.verify.partition import Partition, ServiceParts, Terms, partitions, verify_partition
from tests import engines
from tests.conftest import ROOT
from tests.engines import PLANTED
from tests.snapshots import AS_OF, binding, write_snapshot


def test_a_worker_sees_a_file_only_with_its_content_and_a_folder_only_where_it_can_write(tmp_path: Path) -> None:
    (file := tmp_path / "manifest.json").write_text("{}")
    with sight.shared_of([file], tmp_path / "new" / "mapped") as shared:
        found = sight.look(shared)
        sight.refuse_unless_alike("A worker", found, shared)
        elsewhere = sight.Sight(found.versions, (), "written-elsewhere")
        file.write_text("[]")
        with pytest.raises(RefusedError, match=r"does not see .*manifest\.json"):
            sight.refuse_unless_alike("A worker", sight.look(shared), shared)
        with pytest.raises(RefusedError, match=f"cannot write into {tmp_path}"):
            sight.refuse_unless_alike("A worker", elsewhere, shared)
    assert [*tmp_path.iterdir()] == [file]
    assert {*sight.look(shared).missing} == {file, tmp_path}  # the folder of that moment is gone
    file.unlink()
    assert file in sight.look(shared).missing


def every_error() -> list[type[MigrateError]]:
    for module in pkgutil.walk_packages(migrate.__path__, "migrate."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, waiting = set[type[MigrateError]](), [MigrateError]
    while waiting:
        kind = waiting.pop()
        found.add(kind)
        waiting += kind.__subclasses__()
    return sorted((kind for kind in found if kind.__module__.startswith("migrate.")), key=lambda kind: kind.__name__)


def test_every_error_comes_whole_out_of_another_process() -> None:
    kinds = every_error()
    assert len(kinds) > 12
    for kind in kinds:
        error = kind.__new__(kind, "what")
        MigrateError.__init__(
            error, "It failed", kept="All is kept", remedy=("Resume with: ", Step("map", {"out": Path("m")}))
        )
        error.__dict__.update(status=404, code=20404, is_twilios=True, retry_after=1.5, result=lambda: 0)
        there = pickle.loads(pickle.dumps(error))
        assert type(there) is kind
        assert (str(there), there.exit_code, there.steps) == (str(error), error.exit_code, error.steps)
        state = {name: value for name, value in vars(error).items() if name != "result"}
        assert vars(there) == state
        assert there.result is None
    answer = do(Errand(engines.refused, (None,), {}))
    assert str(pickle.loads(pickle.dumps(answer)).error).endswith("Resume with: the same call")
    assert pickle.loads(pickle.dumps(answer)).error.steps == (AGAIN,)


def test_an_error_that_cannot_travel_is_reported_by_its_kind() -> None:
    class OddError(OSError):
        def __init__(self, one: object, two: object) -> None:
            super().__init__(f"{PLANTED} {one} {two}")

    def odd(task: object) -> None:
        raise OddError(1, 2)

    errand = Errand.__new__(Errand)
    errand.name, errand.do = "odd", lambda: odd(None)  # type: ignore[method-assign]
    assert str(do(errand).error).startswith("Unexpected OddError, which is a mistake in this program")
    assert repr(do(errand)) == "<answer>"


def test_a_partition_may_be_compared_twice_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a worker that is taken for dead, and the one that does its task again: also by halves, whose lists go."""
    sids = [f"IS{number:032x}" for number in range(3)]
    snapshot = read_snapshot(
        write_snapshot(
            tmp_path / "s", {sid: {} for sid in sids}, {sid: [[binding(n) for n in range(9)]] for sid in sids}
        )
    )
    services = [ServiceParts(sid, snapshot.parts(sid), []) for sid in sids]
    compare = partition._compare
    both = threading.Barrier(2)

    def only_small(piece: Partition) -> Any:
        if len(piece.services) > 1:
            raise FullMemoryError("too much at once")
        if piece.services == (sids[0],):
            both.wait(engines.PATIENCE)
        return compare(piece)

    monkeypatch.setattr(partition, "_compare", only_small)
    terms = Terms(AS_OF, AS_OF, ("twilio.channel",), ("twilio.conversations",))
    (task,) = partitions(services, terms, tmp_path, pending="pending")
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(verify_partition, [task, task])
    assert one == other
    assert [path.name for path in tmp_path.glob("pending*")] == ["pending-00000.parquet"]


@pytest.mark.parametrize("scratch", [".m.partial/.work-0f", ".chat-migrate-verify/work/0f", "chat-migrate-diff-x"])
def test_a_full_disk_names_the_folder_that_an_operator_knows(tmp_path: Path, scratch: str) -> None:
    (tmp_path / scratch).mkdir(parents=True)
    with (
        pytest.raises(MigrateError, match=f"Free some space in {tmp_path}, or some memory"),
        over_views({}, tmp_path / scratch),
    ):
        raise duckdb.OperationalError("IO Error: No space left on device")


def test_crowds_go_to_the_tasks_as_a_private_file(tmp_path: Path) -> None:
    assert write_sharing(NO_SHARING, tmp_path) is None
    assert read_sharing(None) == NO_SHARING
    crowds = Sharing(pa.array(["a", PLANTED]), pa.array([], pa.string()))
    path = write_sharing(crowds, tmp_path)
    assert path
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_sharing(path) == crowds


def test_dask_is_imported_by_the_engine_alone_and_not_before_it_is_used() -> None:
    for path in (ROOT / "migrate").rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        nodes = [*ast.walk(tree)] if path.parent.name != "engine" else tree.body
        found = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {getattr(node, "module", None) or node.names[0].name for node in found}
        assert not {name.partition(".")[0] for name in names} & {"dask", "distributed"}, path
