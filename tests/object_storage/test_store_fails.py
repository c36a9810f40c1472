"""A store that refuses, stalls or is full ends a command in one line, and the same command resumes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from migrate.remote import mirror, store
from migrate.snapshot.reader import read_snapshot
from tests.conftest import Run, Serve, said, tiny_world
from tests.object_storage.conftest import SECRET, Bucket

ROWS = 40
# A command is stopped at any instant, within an import as well.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are stored all the time, and what fails is not waited for."""
    monkeypatch.setattr(mirror, "PAUSE", 0.02)
    monkeypatch.setattr(mirror, "PATIENCE", 0.5)
    monkeypatch.setattr(store, "_TRIES", 1)


def served(serve: Serve) -> None:
    serve(tiny_world(bindings=[{"count": ROWS, "identity": "person-{n}"}]))


def rows_in(bucket: Bucket, key: str, folder: Path) -> int:
    for name, data in bucket.objects(f"{key}/").items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return read_snapshot(folder / key).manifest.rows


def puts_after(bucket: Bucket, number: int) -> Any:
    """Chooses what is put beside claims, after so many of them."""
    seen = 0

    def wants(method: str, path: str) -> bool:
        nonlocal seen
        seen += method == "PUT" and bucket.name in path and ".lease" not in path
        return method == "PUT" and bucket.name in path and ".lease" not in path and seen > number

    return wants


@pytest.mark.parametrize(
    ("number", "status", "code", "told"),
    [
        (
            number,
            *((400, "ExpiredToken", "the store refused"), (507, "QuotaExceeded", "the store is full"))[number % 2],
        )
        for number in (0, 3, 2)
    ],
)
def test_wherever_it_fails_one_line_says_so_and_the_same_command_resumes(
    bucket: Bucket,
    run: Run,
    serve: Serve,
    often: None,
    tmp_path: Path,
    number: int,
    status: int,
    code: str,
    told: str,
) -> None:
    served(serve)
    out = f"{bucket.url}/night/snapshot"
    bucket.faults.wants, bucket.faults.status, bucket.faults.code = puts_after(bucket, number), status, code
    failed = run("extract", "--out", out, "--page-size", "5")
    assert bucket.faults.met
    assert failed.exit_code == 1, failed.output
    (line,) = [line for line in said(failed).splitlines() if line.startswith("Error: ")]
    assert f"Cannot write {out}: {told}" in line
    assert code in line
    assert f"Then resume with: chat-migrate extract --out {out} --page-size 5" in line
    assert SECRET not in failed.output
    bucket.faults.wants = lambda method, path: False
    done = run("extract", "--out", out, "--page-size", "5")
    assert done.exit_code == 0, done.stderr
    assert rows_in(bucket, "night/snapshot", tmp_path) == ROWS
    assert not [key for key in bucket.objects() if ".lease" in key or "checkpoint" in key]


def test_what_could_not_be_stored_is_kept_on_this_machine_and_found_again(
    bucket: Bucket, run: Run, serve: Serve, tmp_path: Path
) -> None:
    served(serve)
    bucket.faults.wants = puts_after(bucket, 0)
    failed = run("extract", "--out", f"{bucket.url}/snapshot")
    (kept,) = (tmp_path / "temporary").glob("chat-migrate-store-*")
    assert f"all that was made is in {kept} on this machine, and holds personal data" in failed.stderr
    assert read_snapshot(kept / "s3" / bucket.name / "snapshot").manifest.rows == ROWS
    bucket.faults.wants = lambda method, path: False
    assert run("show", f"{bucket.url}/snapshot").exit_code in (1, 2)
    assert kept.is_dir()  # it is not taken for what a killed process has left


@pytest.mark.long
def test_a_store_that_stalls_ends_it_in_one_line_once_it_was_waited_for(
    bucket: Bucket, run: Run, serve: Serve, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST_SECONDS", 3)  # what does not stall is answered by then, on a busy machine, too
    served(serve)
    bucket.faults.wants, bucket.faults.seconds, bucket.faults.status = puts_after(bucket, 1), 12, 503
    out = f"{bucket.url}/snapshot"
    failed = run("extract", "--out", out, "--page-size", "5")
    assert failed.exit_code == 1, failed.output
    assert f"Cannot write {out}: the store did not answer in time" in failed.stderr
    assert f"Then resume with: chat-migrate extract --out {out}" in failed.stderr
    bucket.faults.wants = lambda method, path: False
    assert run("extract", "--out", out, "--page-size", "5").exit_code == 0


@pytest.mark.long
def test_a_store_that_fails_now_and_then_is_asked_again(
    bucket: Bucket, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mirror, "PAUSE", 0.02)
    served(serve)
    asked = 0

    def sometimes(method: str, path: str) -> bool:
        nonlocal asked
        asked += bucket.name in path
        return bucket.name in path and asked % 4 == 0

    bucket.faults.wants, bucket.faults.status, bucket.faults.code = sometimes, 503, "SlowDown"
    done = run("extract", "--out", f"{bucket.url}/snapshot", "--page-size", "5")
    assert done.exit_code == 0, done.stderr
    bucket.faults.wants = lambda method, path: False
    assert rows_in(bucket, "snapshot", tmp_path) == ROWS


@pytest.mark.long
@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "the store cannot be reached"),
        (
            {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"},
            "no credentials were found",
        ),
    ],
)
def test_no_store_is_one_line_before_anything_is_asked_of_twilio(
    bucket: Bucket, run: Run, often: None, monkeypatch: pytest.MonkeyPatch, names: dict[str, str | None], told: str
) -> None:
    for name, value in names.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    failed = run("extract", "--replay", "demo", "--out", f"{bucket.url}/snapshot")
    assert failed.exit_code == 1
    assert told in failed.stderr
    assert failed.stderr.count("\n") == 1, failed.stderr


def test_other_errors_are_said_and_what_was_made_is_stored(bucket: Bucket, run: Run, serve: Serve) -> None:
    """A command that fails itself leaves in the store what it would have left on the disk."""
    served(serve)
    bucket.client.put_object(Bucket=bucket.name, Key="snapshot/other.txt", Body=b"somebody's")
    refused = run("extract", "--out", f"{bucket.url}/snapshot")
    assert refused.exit_code == 4
    assert f"{bucket.url}/snapshot is not empty, and is no snapshot" in refused.stderr
    assert bucket.objects() == {"snapshot/other.txt": b"somebody's"}


def test_what_others_have_put_there_stays(bucket: Bucket, run: Run) -> None:
    others = {
        f"night/{name}": name.encode() for name in (".keep", ".git/config", "mine.txt", "mapped/.notes/a b#?%2F.txt")
    }
    for key, data in others.items():
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=data)
    run("extract", "--replay", "demo", "--out", f"{bucket.url}/night")  # it is refused
    assert bucket.objects() == others
    run("extract", "--replay", "demo", "--out", f"{bucket.url}/night/snapshot")
    assert others.items() <= bucket.objects().items()


def test_places_that_are_none_are_refused_in_one_line(bucket: Bucket, run: Run) -> None:
    for place, told in (
        ("s3://nowhere-at-all/x", "there is no such bucket"),
        (f"{bucket.url}/a/../b", "names no place in a store"),
        (f"{bucket.url}//b", "names no place in a store"),
        ("s3://key:secret@bucket/x", "must hold no password"),
        ("gs://bucket/x", "pip install 'chat-migrate[gcs]'"),
        ("strange://bucket/x", "no kind of store that is known"),
        ("file:///tmp/x", "no place"),
        ("https://host/x", "names no place in a store"),
        ("https://host/x?sig=secret@", "nothing behind a question mark"),
        (f"{bucket.url}/x?versionId=1", "nothing behind a question mark"),
        (f"dir::{bucket.url}/x", "names no place in a store"),
        (f"s3:/{bucket.name}/x", "names no place in a store"),
        (f"S3://{bucket.name}/nothing", "does not exist"),
        (f"{bucket.url}/nothing", "does not exist"),
    ):
        refused = run("show", place)
        assert refused.exit_code in (1, 2)
        assert told in refused.stderr, refused.stderr
        assert "secret@" not in refused.stderr
    bucket.client.put_object(Bucket=bucket.name, Key="odd/a/../../b", Body=b"x")
    bucket.client.put_object(Bucket=bucket.name, Key="both/a", Body=b"x")
    bucket.client.put_object(Bucket=bucket.name, Key="both/a/b", Body=b"x")
    for folder in ("odd", "both"):
        refused = run("extract", "--replay", "demo", "--out", f"{bucket.url}/{folder}")
        assert refused.exit_code == 4
        assert "an object whose name is no file's" in refused.stderr
    assert {"odd/a/../../b", "both/a", "both/a/b"} <= bucket.objects().keys()
    bucket.client.put_object(Bucket=bucket.name, Key=f"long/{'x' * 300}", Body=b"x")
    refused = run("show", f"{bucket.url}/long")
    assert refused.exit_code == 1
    assert f"Cannot make a working copy of {bucket.url}/long: file name too long" in refused.stderr


def test_what_a_killed_process_has_left_here_is_removed_by_the_next(bucket: Bucket, run: Run, tmp_path: Path) -> None:
    left, new, other = (
        tmp_path / "temporary" / name for name in ("chat-migrate-store-a", "chat-migrate-store-b", "else")
    )
    for folder in (left, new, other):
        (folder / "s3" / "bucket").mkdir(parents=True)
    for folder in (left, other):
        os.utime(folder, (0, 0))
    assert run("show", f"{bucket.url}/nothing").exit_code == 2
    assert not left.exists()
    assert new.exists()  # another process may just have made it
    assert other.exists()
    (new / "kept").touch()
