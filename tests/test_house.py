"""The house: imports run downward only, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "migrate"
# What each room may import from. Stages stand side by side and know nothing of each other.
BELOW: dict[str, set[str]] = {
    "model": set(),
    "interrupts": {"model"},
    "workers": {"interrupts"},
    "storage": {"model"},
    "twilio_api": {"storage", "workers", "interrupts", "model"},
    "snapshot": {"storage", "interrupts", "model"},
    "extract": {"snapshot", "twilio_api", "workers", "interrupts", "model"},
    "map": {"snapshot", "workers", "interrupts", "model"},
    "load": {"snapshot", "storage", "twilio_api", "workers", "model"},
    "report": {"snapshot", "model"},
    "standin": {"snapshot", "model"},
    "rehearsal": {"load", "snapshot", "twilio_api", "interrupts", "model"},
    "pipeline": {"extract", "map", "load", "snapshot", "twilio_api", "interrupts", "model"},
    "verification": {"extract", "map", "load", "snapshot", "twilio_api", "interrupts", "model"},
    "retirement": {"verification", "extract", "map", "load", "snapshot", "twilio_api", "model"},
    "diagnosis": {"twilio_api", "model"},
    # Beside the commands, for notebooks: nothing of ours imports it.
    "review": {"report", "map", "load", "snapshot", "model"},
    "progress": {"extract", "model"},
    "failures": {"interrupts", "model"},
    "screen": {"report", "progress", "extract", "storage", "model"},
    "guard": {"model"},
    "options": {"guard", "screen", "extract", "map", "snapshot", "twilio_api", "model"},
    "standin_options": {"options", "standin", "screen", "model"},
    "commands": {
        "guard",
        "options",
        "standin_options",
        "screen",
        "pipeline",
        "verification",
        "retirement",
        "rehearsal",
        "diagnosis",
        "extract",
        "map",
        "load",
        "report",
        "standin",
        "snapshot",
        "twilio_api",
        "interrupts",
        "model",
    },
    "cli": {"commands", "failures", "screen"},
}
# `migrate/__init__.py` gives the version to all, and looks its public names up when they are asked for.
ENTRANCES = {"__init__", "__main__"}
HEAVY = (
    "pyarrow",
    "pandas",
    "duckdb",
    "twilio",
    "vcr",
    "aiohttp",
    "requests",
    "rich",
    "yaml",
    "tenacity",
    "tomlkit",
    "jinja2",
    "matplotlib",
    "cryptography",
)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            modules = [node.module or ""]
            if node.module == "migrate":
                modules = [f"migrate.{alias.name}" for alias in node.names if alias.name != "__version__"]
        rooms |= {module.split(".")[1] for module in modules if module.startswith("migrate.")}
    return rooms


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if room_of(path) not in ENTRANCES)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_run_downward_only(path: Path) -> None:
    room = room_of(path)
    assert room in BELOW, f"{room} has no place in the house: give it one in this test and in the README"
    upward = imported_rooms(path) - BELOW[room] - {room}
    assert not upward, f"{room} must not import {upward}"


def test_every_room_is_there() -> None:
    assert {room_of(path) for path in MODULES} == set(BELOW)


@pytest.mark.parametrize("statement", ["import migrate", "import migrate.cli"])
def test_importing_is_light(statement: str) -> None:
    code = f"import sys; {statement}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(HEAVY) & set(loaded)


def test_the_public_names_are_there_on_first_use() -> None:
    import migrate

    for name in migrate.__all__:
        assert getattr(migrate, name).__name__ == name
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = migrate.no_such_name


def test_only_the_http_room_speaks_http() -> None:
    speakers = {
        room_of(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in [getattr(node, "module", None) or node.names[0].name]
        if module.split(".")[0] in ("requests", "urllib3", "twilio", "vcr", "socket", "http")
        or module == "urllib.request"
    }
    assert speakers == {"twilio_api"}


REFUSALS = ("RefusedError", "StaleError", "PartlyAppliedError", "InterruptedRunError")


def test_every_refusal_says_how_to_go_on() -> None:
    silent = [
        f"{path.relative_to(ROOT)} line {node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSALS
        if "remedy" not in {keyword.arg for keyword in node.keywords}
        # What ends a thread is told by whoever waits for it.
        and ast.unparse(node.args[0]) != "'Interrupted'"
    ]
    assert silent == []
