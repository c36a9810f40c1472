"""Records that did not fit: files of their own while a snapshot is unfinished, rejected.jsonl in a finished one.

They never are in memory together: there may be as many as bindings.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from migrate.snapshot.manifest import FileRecord
from migrate.storage.files import make_own_folder, private_file, sha256_of, write_whole
from migrate.storage.private import is_partial_of

REJECTED = "rejected.jsonl"
REJECTED_FOLDER = "rejected"
_FILE = re.compile(rf"{REJECTED_FOLDER}/(chat|conversations)-[A-Za-z0-9-]+\.jsonl")


def write_rejected(folder: Path, chain_id: str, number: int, lines: Sequence[bytes]) -> FileRecord:
    """Store some records of a chain, each an object as a line of JSON, which gets the chain's name here."""
    make_own_folder(folder / REJECTED_FOLDER)
    path = folder / REJECTED_FOLDER / f"{chain_id.replace(':', '-')}-{number:05}.jsonl"
    begin = b'{"chain": ' + json.dumps(chain_id).encode() + b", "
    data = b"".join(begin + line[1:] + b"\n" for line in lines)
    write_whole(path, data, private=True, sweeps=False)
    return FileRecord(path.relative_to(folder).as_posix(), len(lines), len(data), hashlib.sha256(data).hexdigest())


def is_of_rejected(path: str) -> bool:
    """Whether a path within a snapshot is that of such a file of an unfinished one."""
    return _FILE.fullmatch(path) is not None


def remove_rejected(folder: Path, kept: Collection[str] = ()) -> None:
    """Remove such files, but for those that are named; and their folder, if nothing else is in it."""
    place = folder / REJECTED_FOLDER
    if place.is_symlink() or not place.is_dir():
        return
    for path in place.iterdir():
        name = path.relative_to(folder).as_posix()
        if name not in kept and (is_of_rejected(name) or is_partial_of("", path.name)):
            path.unlink()
    with suppress(OSError):
        place.rmdir()


def put_together(folder: Path, files: Sequence[FileRecord]) -> FileRecord:
    """Make rejected.jsonl of some of these files."""
    path = folder / REJECTED
    with private_file(path) as whole:
        for file in files:
            with (folder / file.path).open("rb") as part:
                shutil.copyfileobj(part, whole)
    return FileRecord(REJECTED, sum(file.rows for file in files), path.stat().st_size, sha256_of(path))
