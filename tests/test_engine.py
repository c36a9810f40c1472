"""map, verify and diff on a Dask cluster of processes: the same bytes, the same errors, and nothing to be seen there."""

from __future__ import annotations

import pickle
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from migrate.engine import cluster_workers, local, scheduler, sight
from migrate.engine.errand import Errand
from migrate.map import mapping
from migrate.model.errors import MigrateError
from migrate.verify import partition
from tests import engines
from tests.conftest import Demo, Run
from tests.engines import PLANTED, Cluster, cluster, content, members, until
from tests.planted import forms
from tests.snapshots import binding, write_snapshot

SERVICE = "IS" + "5" * 32


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("engine") / "cluster") as found:
        yield found


@pytest.fixture
def crowded(tmp_path: Path) -> tuple[Path, Path]:
    """Two snapshots of a service with a crowded identity and a shared endpoint, both planted, in several parts."""
    rows = [
        binding(
            n, identity=PLANTED if n < 30 else f"other-{n}", endpoint=f"token-of-{PLANTED}" if n > 55 else f"e{n}"
        )
        for n in range(60)
    ]
    later = [row if number % 3 else {**row, "identity": "another"} for number, row in enumerate(rows)]
    return tuple(
        write_snapshot(tmp_path / name, {SERVICE: {}}, {SERVICE: [some[:20], some[20:45], some[45:]]})
        for name, some in (("before", rows), ("after", later))
    )  # type: ignore[return-value]


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services are cut into tasks of a few bindings, as those of millions are."""
    monkeypatch.setattr(mapping, "ROWS_A_TASK", 25)
    monkeypatch.setattr(partition, "SERVICES_TOGETHER", 1)


def same(one: Result, other: Result) -> None:
    assert (one.exit_code, one.stdout, one.stderr) == (other.exit_code, other.stdout, other.stderr)


def in_turn(run: Run, dask: Cluster, monkeypatch: pytest.MonkeyPatch, folder: Path, *words: object) -> list[Result]:
    """The same command without a cluster and with it, in two folders, and what each has left there."""
    found = []
    for name, more in (("threads", ()), ("dask", ("--scheduler", dask.address))):
        place = folder / name
        place.mkdir(exist_ok=True)
        monkeypatch.chdir(place)
        found.append(run(*words, *more))
    return found


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_mapping_has_the_same_bytes(
    run: Run, dask: Cluster, crowded: tuple[Path, Path], demo: Demo, tmp_path: Path, monkeypatch: Any, overwrite: bool
) -> None:
    (rules := tmp_path / "rules.toml").write_text('[message_types]\ninvited_to_channel = "added_to_conversation"\n')
    for snapshot in (crowded[0], demo.folder / "snapshot"):
        words: tuple[object, ...] = ("map", snapshot, "--out", snapshot.name)
        for more in [("--rules", str(rules)), ("--overwrite",)][: 1 + overwrite]:
            one, other = in_turn(run, dask, monkeypatch, tmp_path, *words, *more)
            same(one, other)
            assert one.exit_code == 0, one.output
        found = [content(tmp_path / name) for name in ("threads", "dask")]
        assert found[0] == found[1]
        assert any(name.endswith(".parquet") for name in found[0])


@pytest.mark.usefixtures("in_pieces")
def test_a_verification_has_the_same_numbers_and_the_same_list(
    run: Run, dask: Cluster, crowded: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = crowded
    words = ("verify", before, "--against", after, "--coverage", "c", "--pending", "pending.csv", "--json")
    one, other = in_turn(run, dask, monkeypatch, tmp_path, *words)
    assert one.exit_code == 0, one.output
    found = [content(tmp_path / name) for name in ("threads", "dask")]
    assert found[0]["pending.csv"] == found[1]["pending.csv"]
    assert PLANTED in found[0]["pending.csv"].decode()
    times = r"\d{4}-\d\d-\d\dT\d\d[:-]\d\d[:-]\d\d(\.\d+)?(Z|\+00:00)"
    assert re.sub(times, "", one.stdout) == re.sub(times, "", other.stdout)
    assert len(found[0]) == len(found[1]) == 2  # nothing else is left


@pytest.mark.parametrize("kind", ["snapshot", "mapped", "plan.json"])
@pytest.mark.usefixtures("in_pieces")
def test_a_comparison_says_the_same(
    run: Run, dask: Cluster, crowded: tuple[Path, Path], demo: Demo, tmp_path: Path, monkeypatch: Any, kind: str
) -> None:
    sides = [demo.folder / kind] * 2
    if kind != "plan.json":
        sides = [*crowded]
    if kind == "mapped":
        for side in sides:
            assert run("map", side, "--out", side.with_suffix(".mapped")).exit_code == 0
        sides = [side.with_suffix(".mapped") for side in sides]
    words = ("diff", *sides, "--report", "d.html", "--report", "d.json", "--detailed-exitcode")
    one, other = in_turn(run, dask, monkeypatch, tmp_path, *words)
    same(one, other)
    assert one.exit_code == (0 if kind == "plan.json" else 3), one.output
    assert content(tmp_path / "threads") == content(tmp_path / "dask")


@pytest.mark.parametrize("task", [engines.refused, engines.full, engines.mistaken])
def test_what_a_task_ends_with_is_the_same_line_and_leaves_nothing(
    run: Run, dask: Cluster, demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: Any
) -> None:
    monkeypatch.setattr(mapping, "map_some", task)
    one, other = in_turn(run, dask, monkeypatch, tmp_path, "map", demo.folder / "snapshot", "--out", "m")
    assert other.stderr == one.stderr.replace("--out m", f"--out m --scheduler {dask.address}")
    assert one.exit_code == other.exit_code == (4 if task is engines.refused else 1)
    assert PLANTED not in other.output
    assert [*(tmp_path / "dask").iterdir()] == []


def test_a_run_maps_on_the_cluster_and_has_the_same_files(
    run: Run, dask: Cluster, demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[str] = []
    send = Errand.__init__

    def noted(self: Errand, *call: Any) -> None:
        send(self, *call)
        jobs.append(self.name)

    monkeypatch.setattr(Errand, "__init__", noted)
    done = run("run", "--replay", "demo", "--out", tmp_path / "r", "--scheduler", dask.address)
    assert done.exit_code == 0, done.output
    assert jobs == ["map_some"]
    assert content(tmp_path / "r" / "mapped") == content(demo.folder / "mapped")
    assert (tmp_path / "r" / "plan.json").read_bytes() == (demo.folder / "plan.json").read_bytes()


@pytest.mark.usefixtures("in_pieces")
def test_tasks_names_logs_and_pages_of_the_cluster_hold_no_identity_endpoint_or_token(
    run: Run, dask: Cluster, crowded: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client

    token = "a-token-of-twilios-0123456789"
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", token)
    words = ("map", crowded[0], "--out", tmp_path / "m", "--scheduler", dask.address)
    assert run(*words).exit_code == 0
    sent: list[Errand] = []
    send = Errand.__init__

    def noted(self: Errand, *call: Any) -> None:
        send(self, *call)
        sent.append(self)

    monkeypatch.setattr(Errand, "__init__", noted)
    pairs = ("verify", crowded[0], "--against", crowded[1], "--coverage", tmp_path / "c")
    assert run(*words, "--overwrite").exit_code == 0
    assert run(*pairs, "--scheduler", dask.address).exit_code == 0
    assert len(sent) > 3
    monkeypatch.setattr(mapping, "map_part", engines.mistaken)
    assert run(*words, "--overwrite").exit_code == 1
    with Client(dask.address, set_as_default=False) as client:
        state = client.run_on_scheduler(engines.state_of)
    assert re.search(r"map-part-[0-9a-f]{8}-\d{6}", state)
    told = [state, dask.logs(), *(pickle.dumps(errand).decode("latin-1") for errand in sent), *map(repr, sent)]
    wanted = forms(PLANTED) | forms(token) | {"token-of"}
    for text in told:
        assert not [form for form in wanted if form in text]


@pytest.mark.parametrize(
    "address",
    ["", "here", "tcp://", "tcp://host", "tcp://host:0", "tcp://host:99999", "http://host:8786", "tcp://a b:1"],
)
def test_what_is_no_scheduler_is_wrong_usage(run: Run, demo: Demo, address: str) -> None:
    done = run("diff", demo.folder / "snapshot", demo.folder / "snapshot", "--scheduler", address)
    assert done.exit_code == 2
    assert "is neither local nor an address such as tcp://HOST:8786" in done.stderr


def test_without_the_extra_it_says_how_to_install_it(run: Run, demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "find_spec", lambda name: None)
    done = run("diff", demo.folder / "snapshot", demo.folder / "snapshot", "--scheduler", "local")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert 'pip install "chat-migrate[dask]"' in done.stderr


def test_a_scheduler_that_does_not_answer_or_has_no_worker_is_one_line(
    run: Run, demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "CONNECT", 1.0)
    words = ("map", demo.folder / "snapshot", "--out", tmp_path / "m", "--scheduler")
    done = run(*words, "tcp://127.0.0.1:1")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
    assert "No Dask scheduler answers at tcp://127.0.0.1:1" in done.stderr
    monkeypatch.setattr(scheduler, "CONNECT", 60.0)
    monkeypatch.setattr(scheduler, "FIRST", 0.5)
    with cluster(tmp_path / "cluster", 0) as empty:
        done = run(*words, empty.address)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
    assert f"has no workers. Start some: dask worker {empty.address}" in done.stderr
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("other", ["version", "files"])
def test_a_cluster_that_is_not_alike_is_refused_before_any_work(
    run: Run, dask: Cluster, demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    if other == "version":
        monkeypatch.setattr(sight, "__version__", "99.0")
    else:
        monkeypatch.setattr(sight, "sha256_of", lambda path: "0" * 64)
    done = run("map", demo.folder / "snapshot", "--out", tmp_path / "m", "--scheduler", dask.address)
    assert (done.exit_code, done.stderr.count("\n")) == (4, 1), done.output
    said = "and this machine has 99.0" if other == "version" else "manifest.json as it is here"
    assert said in done.stderr
    assert "docs/engine.md" in done.stderr
    assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("in_pieces")
def test_a_cluster_on_this_machine_is_there_for_the_command_alone(
    run: Run, crowded: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place := tmp_path / "here").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    monkeypatch.chdir(place)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    started: list[int] = []
    end = local._end

    def noted(process: subprocess.Popen[bytes]) -> None:
        started.append(process.pid)
        end(process)

    monkeypatch.setattr(local, "_end", noted)
    done = run("map", crowded[0], "--out", tmp_path / "m", "--scheduler", "local")
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    assert run("map", crowded[0], "--out", tmp_path / "n").exit_code == 0
    assert {**content(tmp_path / "m")} == content(tmp_path / "n")
    assert [*place.iterdir()] == []
    until(lambda: not members(started[0]))
    monkeypatch.setattr("sys.executable", "/bin/true")  # whatever it is that keeps it from starting
    done = run("map", crowded[0], "--out", tmp_path / "o", "--scheduler", "local")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "did not start" in done.stderr
    assert [*place.iterdir()] == []


def test_jobs_end_that_are_dropped_or_that_nothing_can_do_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster(tmp_path / "cluster", 1) as there, scheduler.cluster(there.address, [], None) as workers:
        jobs = [workers.submit(engines.wait, None) for _ in range(3)]
        until(there.begun)
        assert jobs[0].cancel()
        assert wait_for([jobs[0]], engines.PATIENCE).done
        found: list[Any] = []

        def broken_off() -> None:
            with scheduler.cluster(there.address, [], None) as others:
                found.extend([others, others.submit(engines.wait, None)])
                raise KeyError

        with pytest.raises(KeyError):
            broken_off()
        assert found[1].cancelled()
        with pytest.raises(RuntimeError, match="no more jobs"):
            found[0].submit(len, "abc")
        (there.folder / "go").touch()
        assert [job.result(engines.PATIENCE) for job in jobs[1:]] == [there.folder] * 2
        monkeypatch.setattr(cluster_workers, "NO_WORKERS", 0.2)
        monkeypatch.setattr(cluster_workers, "LOOK", 0.1)
        with (
            pytest.raises(MigrateError, match="has had no worker"),
            scheduler.cluster(there.address, [], None) as last,
        ):
            last.submit(engines.fatal, None).result(engines.PATIENCE)
        there.processes[0].kill()
        with pytest.raises(MigrateError, match="was lost"):
            workers.submit(len, "abc").result(engines.PATIENCE)
