"""Private files: created exclusively under names that cannot be guessed, for their owner alone, never through a link."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from migrate.model.errors import RefusedError
from migrate.storage.files import private_file, write_whole
from migrate.storage.private import PARTIAL, Unfinished, is_partial_of, make_own_folder, own_place, sweep
from migrate.storage.synced_log import SyncedLog
from tests.applying import FORCE
from tests.conftest import CASSETTE, Demo, Run, Serve, tiny_world

MINE = "mine, and not to be overwritten"


def log(path: Path, text: str) -> None:
    with closing(SyncedLog(path)) as lines:
        lines.append({"x": text})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o277], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_it_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    write_whole(tmp_path / "a" / "b" / "whole", "x", private=True)
    with private_file(tmp_path / "a" / "c" / "pieces") as file:
        file.write(b"x")
    log(tmp_path / "a" / "log", "x")
    make_own_folder(tmp_path / "own" / "folder")
    for path in (tmp_path / "a", tmp_path / "own"):
        for found in (path, *path.rglob("*")):
            assert mode(found) == (0o700 if found.is_dir() else 0o600), found


def test_what_is_not_private_is_never_writable_for_others(tmp_path: Path, umask: int) -> None:
    write_whole(tmp_path / "report.md", "x")
    assert mode(tmp_path / "report.md") == 0o644 & ~umask


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    """At the place of the file, and at that of the unfinished one of an earlier version."""
    (tmp_path / "victim").write_text(MINE)
    (tmp_path / "f").symlink_to(tmp_path / "victim")
    (tmp_path / f".f{PARTIAL}").symlink_to(tmp_path / "victim")
    write_whole(tmp_path / "f", "secret", private=True)
    assert (tmp_path / "victim").read_text() == MINE
    assert (tmp_path / "f").read_text() == "secret"
    assert not (tmp_path / "f").is_symlink()


def test_who_has_opened_a_file_before_reads_nothing_of_what_comes_after(tmp_path: Path) -> None:
    names = ("f", f".f{PARTIAL}")
    for name in names:
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o666)
    with (tmp_path / names[0]).open() as one, (tmp_path / names[1]).open() as two:
        write_whole(tmp_path / "f", "secret", private=True)
        assert (one.read(), two.read()) == ("", "")
    assert mode(tmp_path / "f") == 0o600


def test_no_two_unfinished_files_have_one_name_and_it_cannot_be_taken_before(tmp_path: Path) -> None:
    seen: set[str] = set()
    for _ in range(50):
        unfinished = Unfinished(tmp_path / "f")
        (found,) = tmp_path.iterdir()
        assert is_partial_of("f", found.name)
        seen.add(found.name)
        unfinished.discard()
    assert len(seen) == 50


def test_what_a_killed_run_left_is_swept_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from migrate.storage.private import Unfinished;"
        "u = Unfinished(Path(sys.argv[1])); u.file.write(b'x'); u.file.flush(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "f")], check=False)
    (left,) = tmp_path.iterdir()
    other = tmp_path / ".other.0123456789abcdef.partial"
    other.touch(0o600)
    under_way = Unfinished(tmp_path / "f")
    assert not left.exists()
    write_whole(tmp_path / "f", "second", private=True)
    under_way.file.write(b"first")
    under_way.finish()
    assert (tmp_path / "f").read_text() == "first"
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "f"]
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_sweep_takes_neither_links_nor_folders_nor_other_names(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text(MINE)
    hexadecimal = "0123456789abcdef"
    (tmp_path / f".link.{hexadecimal}{PARTIAL}").symlink_to(tmp_path / "victim")
    (tmp_path / f".folder.{hexadecimal}{PARTIAL}").mkdir()
    (tmp_path / "notes.partial").write_text(MINE)
    os.mkfifo(tmp_path / f".pipe.{hexadecimal}{PARTIAL}")
    before = sorted(tmp_path.iterdir())
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_one_that_is_swept_just_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    real, first = fcntl.flock, [True]

    def flock(handle: int, how: int) -> None:
        if first and first.pop():
            (found,) = tmp_path.iterdir()
            found.unlink()
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    write_whole(tmp_path / "f", "x", private=True)
    assert (tmp_path / "f").read_text() == "x"


def test_a_failure_names_the_file_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space") as told:
            write_whole(tmp_path / "f", "x", private=True)
    assert told.value.filename == str(tmp_path / "f")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fchmod", full)
        os_umask = os.umask(0o777)
        with pytest.raises(OSError, match="No space"):
            write_whole(tmp_path / "f", "x", private=True)
        os.umask(os_umask)
    with pytest.raises(RuntimeError), private_file(tmp_path / "f"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_long_name_has_room_for_the_random_part(tmp_path: Path) -> None:
    for name in ("x" * 255, "ä" * 120):
        write_whole(tmp_path / name, "x", private=True)
        assert (tmp_path / name).read_text() == "x"


def test_many_writers_of_one_file_do_not_hinder_each_other(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=write_whole, args=(tmp_path / "f", str(number)), kwargs={"private": True})
        for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert int((tmp_path / "f").read_text()) in range(20)


# --- what is appended to ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_nothing_is_appended_to_what_is_no_file_of_ours(tmp_path: Path, kind: str) -> None:
    (tmp_path / "victim").write_text(MINE)
    place = tmp_path / "log"
    if kind == "link":
        place.symlink_to(tmp_path / "victim")
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.mkdir()
    with pytest.raises(OSError, match=r"."):
        log(place, "secret")
    assert (tmp_path / "victim").read_text() == MINE


def test_a_log_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a\n")
    (tmp_path / "log").chmod(0o666)
    log(tmp_path / "log", "b")
    assert (mode(tmp_path / "log"), (tmp_path / "log").read_text()) == (0o600, 'a\n{"x": "b"}\n')


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_what_another_user_has_planted_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "log")
    for name in ("log", "folder", "link"):
        os.chown(tmp_path / name, 12345, 12345, follow_symlinks=False)
    with pytest.raises(PermissionError):
        log(tmp_path / "log", "secret")
    with pytest.raises(RefusedError, match="another user's folder"):
        make_own_folder(tmp_path / "folder")
    with pytest.raises(RefusedError, match="a link that another user has made"):
        own_place(tmp_path / "link")
    assert (tmp_path / "log").read_text() == ""


# --- the commands ----------------------------------------------------------------------------------------


def test_run_out_and_the_folders_above_it_are_for_their_owner_alone(tmp_path: Path, run: Run, umask: int) -> None:
    out = tmp_path / "new" / "out"
    assert run("run", "--replay", CASSETTE, "--out", out).exit_code == 0
    for path in (tmp_path / "new", *(tmp_path / "new").rglob("*")):
        public = path.suffix in (".md", ".html") or path.name == "plan.json"
        wanted = 0o700 if path.is_dir() else 0o644 & ~umask if public else 0o600
        assert mode(path) == wanted, path


def test_every_file_that_a_command_makes_is_for_its_owner_alone(
    tmp_path: Path, run: Run, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "x" / "state"))
    phone = {"identity": "somebody", "endpoint": "phone"}
    sign = {**phone, "message_types": [["twilio.conversations.new_message"]], "age_days": 1}
    serve(tiny_world(bindings=[phone], conversations_bindings=[sign], conversations_shows_chat=False))
    before = os.umask(0)
    new = tmp_path / "x"
    try:
        commands: list[list[object]] = [
            ["extract", "--out", new / "a" / "s", "--record", new / "b" / "c.yaml"],
            ["map", new / "a" / "s", "--out", new / "c" / "m", "--csv", new / "d" / "l.csv"],
            ["load", new / "c" / "m", "--plan-out", new / "e" / "p.json", "--report", new / "f" / "r.html"],
            ["load", "--plan", new / "e" / "p.json", "--apply", "--yes", "--journal", new / "g" / "j.jsonl", *FORCE],
            ["verify", new / "a" / "s", "--coverage", new / "h" / "v", "--pending", new / "i" / "p.parquet"],
            ["retire", new / "a" / "s", "--coverage", new / "h" / "v", "--apply", "--yes"],
        ]
        for number, command in enumerate(commands):
            done = run(*command, "--log-file", tmp_path / f"{number}.log", "-v")
            assert done.exit_code == 0, done.output
    finally:
        os.umask(before)
    found = [new, *new.rglob("*"), *tmp_path.glob("*.log")]
    assert len(found) > 30
    for path in found:
        wanted = 0o700 if path.is_dir() else 0o644 if path.name in ("p.json", "r.html") else 0o600
        assert mode(path) == wanted, path


def test_a_log_file_that_is_a_link_is_refused(tmp_path: Path, run: Run, demo: Demo) -> None:
    (tmp_path / "victim").write_text(MINE)
    (tmp_path / "log").symlink_to(tmp_path / "victim")
    refused = run("explain", demo.folder / "mapped", "BS" + "0" * 32, "--log-file", tmp_path / "log")
    assert (refused.exit_code, refused.stderr.count("\n")) == (4, 1)
    assert "is a link" in refused.stderr
    assert (tmp_path / "victim").read_text() == MINE


@pytest.mark.parametrize("name", ["bindings", f"bindings/service_sid=IS{1:032}"])
def test_a_link_in_the_place_of_a_folder_of_the_snapshot_is_not_followed(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Planted while the extract is under way: what it had removed before comes back as a link."""
    from migrate.snapshot import writer

    serve(tiny_world())
    (tmp_path / "elsewhere").mkdir()
    real = writer.SnapshotWriter.write_tables

    def plant(self: writer.SnapshotWriter, *rows: object) -> None:
        real(self, *rows)  # type: ignore[arg-type]
        place = self.folder / name
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(tmp_path / "elsewhere")

    monkeypatch.setattr(writer.SnapshotWriter, "write_tables", plant)
    refused = run("extract", "--out", tmp_path / "s")
    assert (refused.exit_code, refused.stderr.count("\n")) == (4, 1)
    assert "is a link, or another user's folder" in refused.stderr
    assert list((tmp_path / "elsewhere").rglob("*.parquet")) == []


def test_a_link_in_the_place_of_a_scratch_folder_loses_nothing(tmp_path: Path, run: Run, demo: Demo) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "letter").write_text(MINE)
    snapshot = demo.folder / "snapshot"
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / ".chat-migrate-verify").symlink_to(tmp_path / "elsewhere")
    for name in (".m.partial", ".m.former"):
        (tmp_path / name).symlink_to(tmp_path / "elsewhere")
        refused = run("map", snapshot, "--out", tmp_path / "m")
        assert (refused.exit_code, refused.stderr.count("\n")) == (4, 1)
        (tmp_path / name).unlink()
    refused = run("verify", snapshot, "--against", snapshot, "--coverage", tmp_path / "v")
    assert (refused.exit_code, refused.stderr.count("\n")) == (4, 1)
    assert (tmp_path / "elsewhere" / "letter").read_text() == MINE


def test_a_finished_snapshot_has_nothing_that_a_killed_run_has_left(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world())
    (tmp_path / "s").mkdir()
    for name in ("checkpoint.jsonl", "manifest.json", "rejected.jsonl"):
        (tmp_path / "s" / f".{name}.0123456789abcdef.partial").touch(0o600)
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    assert not list((tmp_path / "s").rglob(f"*{PARTIAL}"))
    assert json.loads((tmp_path / "s" / "manifest.json").read_bytes())["status"] == "finished"
