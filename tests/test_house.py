"""The house: imports run downward only, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from migrate.cli.app import cli
from migrate.model.catalogue import CATALOGUE
from tests.conftest import ROOT

pytestmark = pytest.mark.no_cover  # these read the program, and hardly run it

PACKAGE = ROOT / "migrate"
# What each room may import from: rooms further down (DESIGN.md, "The house").
BELOW: dict[str, set[str]] = {
    "model": set(),
    "runtime": {"model"},
    "storage": {"runtime", "model"},
    "remote": {"storage", "runtime", "model"},
    "twilio_api": {"storage", "runtime", "model"},
    "snapshot": {"storage", "runtime", "model"},
    "engine": {"storage", "runtime", "model"},
    "standin": {"snapshot", "model"},
    "push_errors": {"snapshot", "twilio_api", "storage", "runtime", "model"},
    "extract": {"push_errors", "snapshot", "twilio_api", "storage", "runtime", "model"},
    "map": {"push_errors", "snapshot", "storage", "runtime", "model"},
    "load": {"map", "snapshot", "twilio_api", "storage", "runtime", "model"},
    "verify": {"extract", "map", "snapshot", "twilio_api", "storage", "runtime", "model"},
    "retire": {"verify", "extract", "load", "map", "snapshot", "twilio_api", "storage", "runtime", "model"},
    "diff": {"verify", "load", "map", "snapshot", "twilio_api", "storage", "runtime", "model"},
    "rehearse": {"load", "map", "snapshot", "twilio_api", "storage", "runtime", "model"},
    "why": {
        "retire",
        "verify",
        "load",
        "map",
        "extract",
        "push_errors",
        "snapshot",
        "twilio_api",
        "runtime",
        "model",
    },
    "inspect": {"push_errors", "retire", "verify", "load", "map", "snapshot", "storage", "model"},
    "doctor": {"twilio_api", "model"},
    "purge": {"verify", "map", "snapshot", "storage", "model"},
    "pipeline": {"extract", "map", "load", "snapshot", "twilio_api", "runtime", "model"},
    "fleet": {
        "pipeline",
        "doctor",
        "rehearse",
        "diff",
        "verify",
        "load",
        "extract",
        "map",
        "push_errors",
        "snapshot",
        "twilio_api",
        "storage",
        "runtime",
        "model",
    },
    # Views: they compute nothing and fetch nothing.
    "report": {
        "fleet",
        "why",
        "push_errors",
        "inspect",
        "purge",
        "diff",
        "rehearse",
        "retire",
        "verify",
        "load",
        "map",
        "snapshot",
        "model",
    },
    # Beside the command line, for notebooks: nothing of ours imports it.
    "review": {"push_errors", "report", "verify", "load", "map", "snapshot", "storage", "model"},
}
BELOW["cli"] = {*BELOW} - {"review"}
TOP = 5  # modules that stand beside the rooms, at most
OFFLINE = ("map", "report", "snapshot", "storage", "model")  # rooms that never reach twilio_api, by whatever way
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
    "msgspec",
    "filelock",
    "fsspec",
    "s3fs",
    "distributed",
)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree_of(path)))


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_kept() -> Iterator[None]:
    """What the tests of this file share takes memory, and goes with them."""
    yield
    tree_of.cache_clear()
    nodes_of.cache_clear()


def imported_rooms(path: Path) -> set[str]:
    rooms: set[str] = set()
    for node in nodes_of(path):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            modules = [node.module or ""]
            if node.module == "migrate":
                modules = [f"migrate.{alias.name}" for alias in node.names if alias.name != "__version__"]
        rooms |= {module.split(".")[1] for module in modules if module.startswith("migrate.")}
    return rooms


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if room_of(path) not in ENTRANCES)


def test_imports_run_downward_only() -> None:
    for path in MODULES:
        room = room_of(path)
        assert room in BELOW, f"{room} has no place in the house: give it one in this test and in docs/inside.md"
        upward = imported_rooms(path) - BELOW[room] - {room}
        assert not upward, f"{path}: {room} must not import {upward}"


def test_every_room_is_there() -> None:
    assert {room_of(path) for path in MODULES} == set(BELOW)
    assert len(list(PACKAGE.glob("*.py"))) <= TOP


def test_the_drawing_is_the_house() -> None:
    page = (ROOT / "docs" / "inside.md").read_text("utf-8")
    drawing = re.search(r"```text\n(.*?)```", page, re.DOTALL)
    assert drawing
    lines = [line.strip().partition("   ")[0].split() for line in drawing[1].splitlines()]
    levels = [rooms for rooms in lines if rooms != ["│"]]
    assert sorted(room for rooms in levels for room in rooms) == sorted(BELOW)
    for number, rooms in enumerate(levels):
        lower = {room for below in levels[number + 1 :] for room in below}
        assert all(BELOW[room] <= lower for room in rooms)


def imported_modules(path: Path) -> set[Path]:
    """The modules of ours that one imports when it is imported itself."""
    found: set[Path] = set()
    for node in tree_of(path).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("migrate."):
            place = ROOT.joinpath(*(node.module or "").split("."))
            found |= {place / f"{alias.name}.py" for alias in node.names} | {place.with_suffix(".py")}
    return {each for each in found if each.exists()}


@pytest.mark.parametrize("room", OFFLINE)
def test_what_is_offline_reaches_the_network_by_no_way(room: str) -> None:
    seen, waiting = set[Path](), {path for path in MODULES if room_of(path) == room}
    while waiting:
        path = waiting.pop()
        seen.add(path)
        waiting |= imported_modules(path) - seen
    assert not {path for path in seen if room_of(path) == "twilio_api"}


@pytest.mark.parametrize("statement", ["import migrate", "import migrate.cli.app"])
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
        for node in nodes_of(path)
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
        for node in nodes_of(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSALS
        if "remedy" not in {keyword.arg for keyword in node.keywords}
        # What ends a thread is told by whoever waits for it.
        and ast.unparse(node.args[0]) != "'Interrupted'"
    ]
    assert silent == []


SPELL = ("cli", "report")  # rooms that know how a command is spelt, or show it
_COMMAND = re.compile(r"chat-migrate ([a-z]+)([^;,.]*)")


def test_a_stage_names_what_to_do_next_as_a_step_and_builds_no_command() -> None:
    nodes = [
        (node, f"{path}, line {getattr(node, 'lineno', 0)}")
        for path in MODULES
        if room_of(path) not in SPELL
        for node in nodes_of(path)
    ]
    for node, place in nodes:
        if isinstance(node, ast.Import):
            assert "shlex" not in {alias.name for alias in node.names}, place
        elif isinstance(node, ast.ImportFrom):
            assert node.module != "shlex", place
        elif isinstance(node, ast.arg):
            assert node.arg != "command", place
        elif isinstance(node, ast.JoinedStr):  # but for the command that makes what is not there
            text = ast.unparse(node)
            assert not re.search(_COMMAND.pattern + "{", text.replace("Make one with: chat-migrate", "")), place
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            for name, rest in _COMMAND.findall(node.value):  # a fixed text, as the reference has it
                options = {
                    option for item in cli.commands[name].params for option in (*item.opts, *item.secondary_opts)
                }
                assert {word for word in rest.split() if word.startswith("--")} <= options, place


def test_the_words_of_the_system_for_what_failed_are_looked_up_in_one_place() -> None:
    found = {path.relative_to(PACKAGE).as_posix() for path in MODULES if "strerror or" in path.read_text("utf-8")}
    assert found == {"model/errors.py"}


# Where codes of findings may be compared: where they are catalogued and shown; where what is found is the matter itself.
COMPARES = {
    "model/catalogue.py",
    "load/limits.py",  # a plan's findings are what its limits are about
    "load/proposals.py",  # takes back the findings about what it settles
    "map/earlier_format.py",  # an earlier version wrote some facts as findings only
}


def comparisons(tree: ast.Module) -> list[int]:
    """The lines that compare the code of a finding, by its name, as an attribute or as a constant."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for part in ast.walk(node)
        if (isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value in CATALOGUE)
        or (isinstance(part, ast.Attribute) and part.attr in ("code", "codes") and "error" not in ast.unparse(part))
    ]


def test_no_fact_is_recovered_from_the_code_of_a_finding() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if room_of(path) != "report" and comparisons(tree_of(path))
    }
    assert found - {"runtime/interrupts.py"} <= COMPARES  # that one compares exit codes


@pytest.mark.parametrize(
    "line", ['"endpoint-shared" in row["findings"]', 'found.code == "push-disabled"', "found.code not in CODES"]
)
def test_comparing_a_code_is_seen(line: str) -> None:
    assert comparisons(ast.parse(f"x = {line}"))
