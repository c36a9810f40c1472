"""The guard: every file and folder that a command is to write is checked before it does anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from migrate.model.errors import RefusedError, UsageError

# By these files a snapshot and a mapped folder are known.
_OURS = (("manifest.json", "services.parquet"), ("summary.json", "push-config.yaml"))


def guard_paths(parameters: dict[str, Any]) -> None:
    """Check all files and folders that a command is to write, before it does anything.

    Raises `UsageError` for what is no usable path or named twice, and `RefusedError` for a place where something
    would be lost: within a snapshot or a mapped folder, over the cassette that is played, over what is no file.
    """
    folders = [parameters[name] for name in ("out", "coverage") if parameters.get(name)]
    files = [
        *parameters.get("reports", ()),
        *(parameters.get(name) for name in ("plan_out", "journal", "record", "log_file", "csv", "pending")),
    ]
    files = [path for path in files if path is not None]
    read = [
        path
        for name in ("replay", "rules_file", "identity_file", "plan_file", "journal_file")
        if (path := parameters.get(name))
    ]
    given = [value for value in (*parameters.values(), *files) if isinstance(value, Path)]
    if not all(path.name for path in files) or not all(map(_is_text, given)):
        raise UsageError("A path is empty, or not valid text in this terminal's encoding")
    try:
        places = [path.resolve() for path in files]
        within = {folder.resolve() for folder in folders}
        taken = {path.resolve() for path in (*read, *_implied(parameters))} | within
        parents = {parent for place in places for parent in place.parents}
        parents |= {parent for folder in within for parent in folder.parents}
        parents |= {parameters["coverage"].resolve()} if parameters.get("coverage") else set()
    except (OSError, RuntimeError):
        raise UsageError("A path leads in a circle") from None
    if len(set(places)) < len(places) or taken & set(places):
        raise UsageError("One file is named twice")
    for name in ("csv", "pending"):
        if parameters.get(name) and within & set(parameters[name].resolve().parents):
            raise UsageError(f"--{name} is within the folder that is made", remedy="Name a file beside that folder")
    for parent in sorted(parents):
        if any(all((parent / name).exists() for name in names) for names in _OURS):
            raise RefusedError(
                f"{parent} is a snapshot or a mapped folder: nothing else is written into it",
                remedy="Name a place beside that folder, with the same command",
            )
    for place in places:
        if place.exists() and not place.is_file():
            raise RefusedError(f"{place} is there, and is no file", remedy="Name another file, with the same command")


def _implied(parameters: dict[str, Any]) -> list[Path]:
    """Journals that a command writes without their being named."""
    found: list[Path] = []
    if parameters.get("journal"):
        return found
    plan, journal, snapshot = (parameters.get(name) for name in ("plan_file", "journal_file", "snapshot"))
    if plan or journal:  # few commands have one, and all of them come by here
        from migrate.model.plan import JOURNAL, ROLLBACK

        found += [path.with_suffix(suffix) for path, suffix in ((plan, JOURNAL), (journal, ROLLBACK)) if path]
    if snapshot:
        from migrate.retire.retirement import JOURNAL as RETIRED

        found.append(snapshot.resolve().with_name(snapshot.resolve().name + RETIRED))
    return found


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
