"""What a worker has, and what it sees of the files: compared with this machine before any work goes there."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from migrate import __version__
from migrate.model.errors import RefusedError
from migrate.storage.files import sha256_of

# What decides about the bytes that are written, and how processes understand each other.
_PACKAGES = ("pyarrow", "duckdb", "numpy", "dask", "distributed")
_PROBE = ".chat-migrate-check-"
INSTALL = "Give the scheduler and all workers the same environment as this machine: docs/engine.md"


@dataclass(frozen=True)
class Shared:
    """What all workers must see: files with their size and digest, and a folder that they can write into."""

    files: tuple[tuple[Path, int, str], ...]
    folder: Path | None


@dataclass(frozen=True)
class Sight:
    """What a worker has: versions by name; the paths that it does not see as they are here; what it has written."""

    versions: Mapping[str, str]
    missing: tuple[Path, ...] = ()
    written: str = ""


def versions() -> dict[str, str]:
    """The versions of what must be the same here and there."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"chat-migrate": __version__, "Python": python, **{name: version(name) for name in _PACKAGES}}


def look(shared: Shared) -> Sight:
    """What this process sees; done by each worker. It raises nothing."""
    missing = [path for path, size, digest in shared.files if not _is_same(path, size, digest)]
    written = ""
    if shared.folder:
        try:
            handle, path = tempfile.mkstemp(dir=shared.folder)
            os.close(handle)
            written = Path(path).name
        except OSError:
            missing.append(shared.folder.parent)
    return Sight(versions(), tuple(missing), written)


def _is_same(path: Path, size: int, digest: str) -> bool:
    try:
        return path.stat().st_size == size and sha256_of(path) == digest
    except OSError:
        return False


@contextmanager
def shared_of(reads: Sequence[Path], writes: Path | None) -> Iterator[Shared]:
    """What workers are to see of some files, and a folder of a moment, where they are to write beside a path."""
    files = tuple((path.absolute(), path.stat().st_size, sha256_of(path)) for path in reads)
    if writes is None:
        yield Shared(files, None)
        return
    place = next(folder for folder in writes.absolute().parents if folder.is_dir())
    with tempfile.TemporaryDirectory(prefix=_PROBE, dir=place) as folder:
        yield Shared(files, Path(folder))


def refuse_unless_alike(where: str, found: Sight, shared: Shared) -> None:
    """Raise `RefusedError` unless a worker has the same versions, and sees the same files and folder."""
    ours = versions()
    for name, wanted in ours.items():
        if (there := found.versions.get(name)) != wanted:
            raise RefusedError(
                f"{where} has {name} {there or 'not at all'}, and this machine has {wanted}",
                kept="Nothing was done",
                remedy=INSTALL,
            )
    missing = [*found.missing]
    if shared.folder and found.written and not (shared.folder / found.written).exists():
        missing.append(shared.folder.parent)
    if missing:
        is_folder = shared.folder is not None and missing[0] == shared.folder.parent
        what = f"cannot write into {missing[0]}" if is_folder else f"does not see {missing[0]} as it is here"
        raise RefusedError(
            f"{where} {what}",
            kept="Nothing was done",
            remedy="Put it on a file system that this machine and all workers have at the same path, for the same "
            "user: docs/engine.md",
        )
