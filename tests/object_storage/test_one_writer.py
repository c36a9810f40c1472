"""One writer to a folder in a store, without a clock, a rename or a conditional write."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrate.model.errors import InterruptedRunError, MigrateError, RefusedError
from migrate.remote.lease import Lease, LostLeaseError
from migrate.remote.mirror import THREADS, Mirror
from migrate.remote.store import Store
from migrate.remote.tree import UNSTORED, WorkingTree
from migrate.storage.places import PREFIX
from tests.conftest import Run
from tests.object_storage.conftest import Bucket


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_MIGRATE_LEASE", "1")


@pytest.fixture
def lasting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that is renewed on a busy machine, too, before it is taken for dead."""
    monkeypatch.setenv("CHAT_MIGRATE_LEASE", "5")


@pytest.fixture
def held(bucket: Bucket, lasting: None) -> Iterator[Lease]:
    """A claim to the folder `night`, which is renewed."""
    lease = Lease(Store(f"{bucket.url}/night"), print)
    lease.take()
    yield lease
    lease.give_up()


def stops_renewing(lease: Lease) -> None:
    """As a process that was killed does: its claim stays."""
    lease._ended.set()


@pytest.mark.parametrize("place", ["night", "night/snapshot", ""])
def test_a_second_writer_is_refused_there_within_it_and_above(
    bucket: Bucket, run: Run, held: Lease, place: str
) -> None:
    out = f"{bucket.url}/{place}".rstrip("/")
    refused = run("extract", "--replay", "demo", "--out", out)
    assert refused.exit_code == 4
    assert f"Another process is writing {out}, process " in refused.stderr
    assert "Wait for it, or stop it" in refused.stderr
    assert {key.partition("/.lease/")[0] for key in bucket.objects()} == {"night"}


@pytest.mark.long
def test_a_sibling_is_no_second_writer(bucket: Bucket, run: Run, held: Lease) -> None:
    assert run("extract", "--replay", "demo", "--out", f"{bucket.url}/night-2").exit_code == 0


def test_what_is_written_can_be_read(bucket: Bucket, run: Run, held: Lease) -> None:
    assert run("show", f"{bucket.url}/night").exit_code in (1, 2)


def test_a_claim_that_is_not_renewed_is_taken_over_and_its_owner_finds_out(
    bucket: Bucket, run: Run, quick: None
) -> None:
    held = Lease(Store(f"{bucket.url}/night"), print)
    held.take()
    stops_renewing(held)
    done = run("extract", "--replay", "demo", "--out", f"{bucket.url}/night")
    assert done.exit_code == 0, done.stderr
    assert f"{bucket.url}/night is claimed: waiting up to 1 s to see whether that is renewed" in done.stderr
    held._ended.clear()
    held._renewed -= 10  # it wakes up after a long time
    with pytest.raises(LostLeaseError, match=r"has taken .* over"):
        held.sure()
    assert not [key for key in bucket.objects() if ".lease" in key]


def test_one_that_was_killed_while_it_was_choosing_is_not_waited_for_forever(
    bucket: Bucket, run: Run, quick: None
) -> None:
    bucket.client.put_object(Bucket=bucket.name, Key="night/.lease/choosing-0123456789abcdef.json", Body=b"{}")
    assert run("extract", "--replay", "demo", "--out", f"{bucket.url}/night").exit_code == 0
    assert not [key for key in bucket.objects() if ".lease" in key]


def test_whoever_was_suspended_while_storing_overwrites_nothing_of_the_next(
    bucket: Bucket, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, first = Store(f"{bucket.url}/night"), Lease(Store(f"{bucket.url}/night"), print)
    first.take()
    for number in range(20):
        (tmp_path / f"{number:02}.parquet").write_text("first")
    mirror, second = Mirror(tmp_path, store, first, lambda: None), Lease(store, print)
    put, puts = Store.put, list[str]()

    def suspended(self: Store, path: Path, way: str = "") -> None:
        puts.append(way)
        if len(puts) == THREADS:  # here it is suspended, for as long as it takes
            stops_renewing(first)
            second.take()
            first._ended.clear()
            first._renewed -= 10
        put(self, path, way)

    monkeypatch.setattr(Store, "put", suspended)
    with pytest.raises(LostLeaseError):
        mirror.store()
    assert len(puts) < 20  # those that were under way
    second.give_up()


def test_what_else_lies_beside_claims_is_none(bucket: Bucket, run: Run, held: Lease) -> None:
    """Such as the mark of a pass that was cut short, or somebody's file: the order of claims does not go by it."""
    for name in ("torn.json", "99999999999-x.json", "notes.txt"):
        bucket.client.put_object(Bucket=bucket.name, Key=f"other/.lease/{name}", Body=b"[]")
    first = Lease(Store(f"{bucket.url}/other"), print)
    first.take()
    for _ in range(4):  # by chance it would be the first now and then
        with pytest.raises(RefusedError, match="Another process is writing"):
            Lease(Store(f"{bucket.url}/other"), print).take()
    first.give_up()


@pytest.mark.long
def test_of_many_that_begin_at_once_exactly_one_gets_it(bucket: Bucket, lasting: None) -> None:
    got: list[Lease] = []
    refused: list[MigrateError] = []
    leases = [Lease(Store(f"{bucket.url}/night"), lambda message: None) for _ in range(4)]
    together = threading.Barrier(len(leases))

    def take(lease: Lease) -> None:
        together.wait()
        try:
            lease.take()
        except RefusedError as error:
            refused.append(error)
        else:
            got.append(lease)

    threads = [threading.Thread(target=take, args=(lease,)) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1, refused
    assert len(refused) == len(leases) - 1
    got[0].give_up()


@pytest.mark.parametrize("seconds", ["", "soon", "0", "-1", "nan", "1e9"])
def test_a_length_that_is_none_is_refused(
    bucket: Bucket, run: Run, monkeypatch: pytest.MonkeyPatch, seconds: str
) -> None:
    monkeypatch.setenv("CHAT_MIGRATE_LEASE", seconds)
    refused = run("extract", "--replay", "demo", "--out", f"{bucket.url}/night")
    assert refused.exit_code == 4
    assert "CHAT_MIGRATE_LEASE is no number of seconds from 1 to 3,600" in refused.stderr
    assert not bucket.objects()


@pytest.mark.long
def test_what_is_cut_short_by_ctrl_c_removes_nothing_that_is_stored(bucket: Bucket, quick: None) -> None:
    for number in range(5):
        bucket.client.put_object(Bucket=bucket.name, Key=f"two/{number}", Body=b"there")
    faults = bucket.faults

    def interrupted() -> None:
        with WorkingTree(print) as tree:
            one, _ = (tree.open(f"{bucket.url}/{name}", writes=True) for name in ("one", "two"))
            one.mkdir()
            (one / "checkpoint.jsonl").write_text("{}\n")
            faults.wants = lambda method, path: method in ("PUT", "DELETE") and "/one/" in path
            faults.status, faults.seconds = 0, 3  # a slow store
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        interrupted()
    faults.wants = lambda method, path: False
    time.sleep(4)  # what is left under way would have come to the second by then
    assert all(f"two/{number}" in bucket.objects() for number in range(5))


@pytest.mark.parametrize(
    ("opened", "written"),
    [("two", ""), ("two", "two/new/part"), ("two", "two/1"), ("two/1", "two/1"), ("two", "two/.lock")],
)
def test_what_is_written_where_a_command_only_reads_is_told_and_kept(
    bucket: Bucket, tmp_path: Path, opened: str, written: str
) -> None:
    bucket.client.put_object(Bucket=bucket.name, Key="two/1", Body=b"there")
    bucket.client.put_object(Bucket=bucket.name, Key="two/2/3", Body=b"there")

    def work() -> None:
        with WorkingTree(print) as tree:
            path = tree.open(f"{bucket.url}/{opened}")
            tree.open(f"{bucket.url}/three", writes=True).mkdir()
            if written:
                path = path.parents[opened.count("/")] / written
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(b"lost?")

    if written in ("", "two/.lock"):  # a lock is gone with the copy
        work()
        assert not [*tmp_path.rglob(f"{PREFIX}*")]
        return
    with pytest.raises(MigrateError, match=f"{bucket.url}/{written} was written.* only reads. It is not stored"):
        work()
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == b"lost?"]
    assert bucket.objects("two/1") == {"two/1": b"there"}


@pytest.mark.parametrize("is_file", [False, True])
def test_what_is_written_within_a_folder_that_is_read_is_stored(
    bucket: Bucket, tmp_path: Path, is_file: bool
) -> None:
    bucket.client.put_object(Bucket=bucket.name, Key="two/1", Body=b"there")
    with WorkingTree(print) as tree:
        read = tree.open(f"{bucket.url}/two")
        place = tree.open(f"{bucket.url}/two/new", writes=True, is_file=is_file)
        if not is_file:
            place.mkdir()
        (place if is_file else place / "part").write_bytes(b"new")
        (read / "link").symlink_to("nowhere")
    assert bucket.objects("two/") == {"two/1": b"there", "two/new" if is_file else "two/new/part": b"new"}
    assert not [*tmp_path.rglob(f"{PREFIX}*")]


def test_what_was_stored_in_a_first_use_says_nothing_of_a_second(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(self: WorkingTree) -> None:
        raise KeyboardInterrupt

    def use(name: str) -> None:
        with tree:
            tree.open(f"{bucket.url}/{name}", writes=True, is_file=True).write_bytes(b"new")

    tree = WorkingTree(print)
    use("one")
    monkeypatch.setattr(WorkingTree, "store", stopped)
    with pytest.raises(InterruptedRunError) as caught:
        use("two")
    (left,) = tmp_path.rglob(f"{PREFIX}*")
    assert (left / UNSTORED).exists()
    assert str(left) in caught.value.kept
    assert bucket.objects() == {"one": b"new"}


@pytest.mark.parametrize("inner", ["two/2", "two/1"])
def test_what_is_read_before_the_folder_around_it_was_not_written(bucket: Bucket, tmp_path: Path, inner: str) -> None:
    for key in ("two/1", "two/2/3"):
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"there")
    with WorkingTree(print) as tree:
        tree.open(f"{bucket.url}/{inner}")
        tree.open(f"{bucket.url}/two")
    assert not [*tmp_path.rglob(f"{PREFIX}*")]


@pytest.mark.parametrize("step", ["_end_mirrors", "_strays", "_give_up", "_remove", "store"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError])
def test_whatever_comes_between_at_the_end_the_next_use_is_free_and_nothing_is_lost(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, kind: type[BaseException]
) -> None:
    """As a library, without the command line's handlers: Ctrl-C, or a disk or a store that fails."""
    do = getattr(WorkingTree, step)

    def stopped(self: WorkingTree, **options: object) -> object:
        monkeypatch.setattr(WorkingTree, step, do)
        raise kind(28, "No space left on device") if kind is OSError else kind

    def work() -> None:
        with WorkingTree(print) as tree:
            (tree.open(f"{bucket.url}/one", writes=True, is_file=True)).write_bytes(b"new")
            monkeypatch.setattr(WorkingTree, step, stopped)

    told = ""
    try:
        work()
    except (MigrateError, OSError) as error:
        told = str(error)
    left = [folder for folder in tmp_path.rglob(f"{PREFIX}*") if (folder / UNSTORED).exists()]
    is_stored = bucket.objects() == {"one": b"new"}
    assert is_stored or [folder for folder in left if str(folder) in told]
    with WorkingTree(print) as tree:
        assert tree.open(f"{bucket.url}/two", writes=True)
    for folder in tmp_path.rglob(f"{PREFIX}*"):  # what a use that was stopped has left is swept later, or named
        (folder / UNSTORED).touch()


def test_a_claim_that_comes_too_late_is_none(bucket: Bucket, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is suspended while it chooses, or while it renews: another has taken the folder meanwhile."""
    choosing, renewing, second = (Lease(Store(f"{bucket.url}/night"), print) for _ in range(3))
    claims = choosing._claims

    def late() -> list[str]:
        found = claims()
        for key in bucket.objects("night/.lease/choosing-"):
            bucket.client.delete_object(Bucket=bucket.name, Key=key)
        return found

    monkeypatch.setattr(choosing, "_claims", late)
    with pytest.raises(RefusedError, match="Another process is writing"):
        choosing.take()
    renewing.take()
    stops_renewing(renewing)
    second.take()
    renewing._ended.clear()
    renewing._store.write(renewing._name, b"{}")  # as it was when it looked
    renewing._renewed -= 10
    with pytest.raises(LostLeaseError):
        renewing.sure()
    second.sure()
    second.give_up()
