"""Locks: they end with their process, reach its children, follow no link, and are never only pretended."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest

from migrate.load.account_lock import only_loader
from migrate.model.errors import RefusedError
from migrate.storage.lock import hold
from tests.conftest import ROOT, Run, Serve, tiny_world

HOLDER = "import sys, time; from pathlib import Path; from migrate.storage.lock import hold; hold(Path(sys.argv[1])); print(flush=True); time.sleep(60)"
Lock = Callable[..., bool]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def is_free(path: Path) -> bool:
    try:
        os.close(hold(path))
    except RefusedError:
        return False
    return True


@pytest.mark.parametrize("name", ["folder", "folder/file"])
def test_it_ends_with_its_process_however_that_dies(folder: Path, name: str) -> None:
    (folder / "file").touch()
    place = folder.parent / name
    with subprocess.Popen([sys.executable, "-c", HOLDER, place], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert not is_free(place)
        process.kill()
    assert is_free(place)
    assert [*folder.iterdir(), *folder.parent.iterdir()] == [folder / "file", folder]  # nothing is left of it


def test_a_child_that_was_forked_has_it_too_until_it_ends(folder: Path) -> None:
    handle = hold(folder)
    waits, ends = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ends)
        os.read(waits, 1)
        os._exit(0)
    os.close(handle)
    assert not is_free(folder)
    os.close(ends)
    os.waitpid(child, 0)
    os.close(waits)
    assert is_free(folder)


@pytest.fixture
def nfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that locks only what is open for writing, as Linux's NFS does (flock(2))."""
    real: Lock = filelock.lock_descriptor

    def lock(handle: int, **options: bool) -> bool:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return real(handle, **options)

    monkeypatch.setattr(filelock, "lock_descriptor", lock)


@pytest.mark.usefixtures("nfs")
def test_a_folder_on_nfs_is_locked_by_a_private_file_beside_it(folder: Path) -> None:
    handle = hold(folder)
    assert not is_free(folder)
    os.close(handle)
    assert is_free(folder)
    assert stat.S_IMODE((folder.parent / ".folder.lock").stat().st_mode) == 0o600


@pytest.mark.usefixtures("nfs")
def test_a_link_that_is_planted_there_is_not_followed(folder: Path) -> None:
    (folder.parent / "victim").write_text("mine")
    (folder.parent / ".folder.lock").symlink_to(folder.parent / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        hold(folder)
    assert (folder.parent / "victim").stat().st_mode & 0o777 == 0o644


def test_where_there_are_no_locks_nothing_is_written_without_one(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock(handle: int, **options: bool) -> bool:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    serve(tiny_world())
    monkeypatch.setattr(filelock, "lock_descriptor", lock)
    refused = run("extract", "--out", tmp_path / "s")
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert f"Cannot write {tmp_path / 's'}: no locks available" in refused.stderr
    assert not [*(tmp_path / "s").iterdir()]


def test_the_account_lock_says_who_holds_it_is_private_and_follows_no_link(tmp_path: Path) -> None:
    account = "AC" + "1" * 32
    with only_loader(tmp_path / "state", account) as said:
        assert said == ""
        path = tmp_path / "state" / f"{account}.lock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with (
            pytest.raises(RefusedError, match=f"process {os.getpid()} on ") as refused,
            only_loader(tmp_path / "state", account),
        ):
            pass
        assert refused.value.remedy
    assert path.read_bytes() == b""
    path.unlink()
    (tmp_path / "victim").write_text("mine")
    path.symlink_to(tmp_path / "victim")
    with pytest.raises(RefusedError, match="is a link"), only_loader(tmp_path / "state", account):
        pass
    assert (tmp_path / "victim").read_text() == "mine"
