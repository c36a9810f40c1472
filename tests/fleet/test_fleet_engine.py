"""A fleet on a Dask cluster: all accounts share it, and each gets the same files as without."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from migrate.engine import scheduler
from tests.conftest import Run
from tests.engines import cluster, content
from tests.fleet.conftest import OPTIONS, Start


@pytest.mark.long
def test_the_accounts_of_a_fleet_share_a_cluster(company: Start, run: Run, tmp_path: Path) -> None:
    folder, firm = tmp_path / "fleet", company(3)
    with firm.fleet(folder) as fleet:
        fleet.extract(OPTIONS)
    plain, dask = tmp_path / "plain", tmp_path / "dask"
    with cluster(tmp_path / "cluster") as there:
        on = ("--scheduler", there.address)
        for out, more in ((plain, ()), (dask, on)):
            done = run("map", folder, "--accounts", "--out", out, *more)
            assert done.exit_code == 0, done.output
        mapped = [{name: data for name, data in content(out).items() if "/mapped/" in name} for out in (plain, dask)]
        assert mapped[0] == mapped[1]
        assert len({name.partition("/")[0] for name in mapped[0]}) == 3
        told = [run("diff", plain, dask, "--accounts", *more) for more in ((), on)]
        assert told[0].stdout == told[1].stdout
        assert told[1].exit_code == 0, told[1].output
        verified = []
        for executor in (nullcontext(), scheduler.cluster(there.address, [folder / "fleet.json"], folder / "AC")):
            with executor as workers, firm.fleet(folder) as fleet:
                verified.append(fleet.verify(executor=workers))
        figures = [{one.sid: (one.state, one.figures) for one in result.accounts} for result in verified]
        assert figures[0] == figures[1]
        assert sum(int(found["expected"]) for _, found in figures[0].values()) > 0
