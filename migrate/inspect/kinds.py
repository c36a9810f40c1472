"""What kind of thing a path is, by its content: a snapshot, a mapped folder, a plan, a journal, and so on.

A kind is recognised by what only this program writes, never by a name that a person may choose. What is damaged so
that it cannot be recognised is of no kind, and whoever reads it says what is wrong with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from migrate.load.journal import BEGIN as LOAD_BEGIN
from migrate.map.mapped_folder import BINDINGS, CONFIG, RULES, SUMMARY
from migrate.map.rules_schema import TABLES
from migrate.model.errors import Remedy, Step
from migrate.push_errors.health_folder import PREFIX
from migrate.retire.journal import BEGIN as RETIRE_BEGIN
from migrate.snapshot.checkpoint import CHECKPOINT
from migrate.snapshot.manifest import NAME as MANIFEST
from migrate.verify.coverage_folder import run_time

Kind = Literal[
    "snapshot", "mapped", "coverage", "health", "run", "plan", "journal", "retire-journal", "cassette", "rules",
    "config", "world", "fleet", "part",
]  # fmt: skip
# How messages call each; a part is a file or a folder within a snapshot or a mapped folder.
NAMES: Mapping[Kind, str] = {
    "snapshot": "a snapshot",
    "mapped": "a mapped folder",
    "coverage": "a coverage folder",
    "health": "push errors by hour",
    "run": "a folder of chat-migrate run",
    "plan": "a plan",
    "journal": "a journal of load or rollback",
    "retire-journal": "a journal of retire",
    "cassette": "a cassette",
    "rules": "a rules file",
    "config": "a push configuration",
    "world": "a stand-in's world",
    "fleet": "a fleet's folder",
    "part": "a part of something else",
}
_HEAD = 65_536  # bytes, in which a file shows its kind
_LARGEST = 500_000_000  # bytes of a JSON document that is read for that
_TABLE = re.compile(rf"^\s*\[(?:{'|'.join(TABLES)})\]", re.MULTILINE)
FLEET = "fleet.json"  # the manifest of a fleet, which no other folder has
_RUNS = ("snapshot", "mapped", "plan.json")  # what `chat-migrate run` writes into its folder


@dataclass(frozen=True)
class Recognised:
    """A path and its kind; of a part, `whole` is the snapshot or the mapped folder that it belongs to."""

    path: Path
    kind: Kind
    whole: Recognised | None = None

    @property
    def name(self) -> str:
        """What it is, for a message."""
        return f"a part of {NAMES[self.whole.kind]}" if self.whole else NAMES[self.kind]

    @property
    def use(self) -> Remedy:
        """How it is used: the command that takes it."""
        if self.whole:
            return self.whole.use
        words = _USES[self.kind](self.path)
        return words if isinstance(words, str) else ("Use it with: ", words)


def _contents(folder: Path) -> str:
    there = [str(folder / name) for name in _RUNS if (folder / name).exists()]
    return f"Name what you mean in it: {', '.join(there)}"


_USES: Mapping[Kind, Callable[[Path], Step | str]] = {
    "snapshot": lambda path: (
        Step("extract", {"out": path})
        if (path / CHECKPOINT).exists()
        else Step("map", {"snapshot": path, "out": "MAPPED"})
    ),
    "mapped": lambda path: Step("load", {"mapped": path}),
    "coverage": lambda path: Step("verify", {"snapshot": "SNAPSHOT", "coverage": path}),
    "health": lambda path: Step("health", {"compare": path} if path.is_file() else {"out": path}),
    "run": _contents,
    "plan": lambda path: Step("load", {"plan": path}),
    "journal": lambda path: Step("rollback", {"journal": path}),
    "retire-journal": lambda path: Step("show", {"path": path}),
    "cassette": lambda path: Step("doctor", {"replay": path}),
    "rules": lambda path: Step("map", {"snapshot": "SNAPSHOT", "out": "MAPPED", "rules": path}),
    "config": lambda path: Step("check", {"mapped": path.parent}),
    "world": lambda path: Step("standin", {"world": path}),
    "fleet": lambda path: Step("show", {"path": path}),
    "part": str,
}


def recognise(path: Path) -> Recognised | None:
    """What a path is; None for what is not there, cannot be read, or is nothing that this program writes or reads."""
    try:
        if path.is_dir():
            kind = _kind_of_folder(path)
        elif path.is_file():  # a pipe is read once, and not by this
            kind = _kind_of_file(path)
        else:
            return None
        if kind in (None, "config") and (whole := _whole_of(path)):
            return Recognised(path, "part", whole)
    except (OSError, ValueError, RuntimeError):
        return None
    return Recognised(path, kind) if kind else None


def _kind_of_folder(folder: Path) -> Kind | None:
    if (folder / FLEET).is_file() and _is_fleet(folder):
        return "fleet"
    if (folder / MANIFEST).is_file() and _is_snapshot(folder):
        return "snapshot"
    if (folder / SUMMARY).is_file() and any((folder / name).exists() for name in (CONFIG, RULES, BINDINGS)):
        return "mapped"
    if {"snapshot", "mapped"} <= {_kind_of_folder(folder / name) for name in _RUNS[:2] if (folder / name).is_dir()}:
        return "run"
    files = [path for path in folder.glob("*.parquet") if path.is_file()]
    if any(map(run_time, files)):
        return "coverage"
    return "health" if any(path.name.startswith(PREFIX) for path in files) else None


def _is_snapshot(folder: Path) -> bool:
    """Whether it has what an extract writes beside it, or its content says so: others have a manifest.json, too."""
    if any((folder / name).is_file() for name in (CHECKPOINT, "services.parquet")):
        return True
    content = _json(folder / MANIFEST)
    return isinstance(content, dict) and {"account_sid", "chains", "status"} <= content.keys()


def _is_fleet(folder: Path) -> bool:
    content = _json(folder / FLEET)
    return isinstance(content, dict) and {"format_version", "main_account_sid", "accounts"} <= content.keys()


def _kind_of_file(path: Path) -> Kind | None:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"PAR1"):
        return "coverage" if run_time(path) else "health" if path.name.startswith(PREFIX) else None
    if head.startswith(RETIRE_BEGIN.encode()):
        return "retire-journal"
    if head.startswith(LOAD_BEGIN.encode()):
        return "journal"
    first, _, more = head.partition(b"\n")
    if first.startswith(b"{") and first.rstrip().endswith(b"}") and more:
        return None  # lines of JSON, such as a log, which may be long
    if head.lstrip().startswith(b"{"):
        content = _json(path)
        keys = content.keys() if isinstance(content, dict) else set()
        return "plan" if {"plan_id", "changes"} <= keys else "world" if {"services", "auth_token"} <= keys else None
    return _kind_of_text(head.decode("utf-8", "replace").removeprefix("\ufeff"))


def _kind_of_text(text: str) -> Kind | None:
    """What YAML and TOML are, by the keys that stand at the beginning of lines."""
    keys = set(re.findall(r"^([a-z_]+):", text, re.MULTILINE))
    if "interactions" in keys:
        return "cassette"
    if {"format_version", "services"} <= keys:
        return "config"
    if "services" in keys and keys & {"now", "account_sid", "auth_token"}:
        return "world"
    return "rules" if _TABLE.search(text) else None


def _json(path: Path) -> Any:
    """The content of a JSON document; None for anything else, or what is too large to be one of ours."""
    if path.stat().st_size > _LARGEST:
        return None
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None


def _whole_of(path: Path) -> Recognised | None:
    """The snapshot, the mapped folder or the coverage folder that a path is within."""
    for parent in path.resolve().parents[:3]:
        kind = _kind_of_folder(parent)
        if kind in ("snapshot", "mapped"):
            return Recognised(parent, kind)
    return None
