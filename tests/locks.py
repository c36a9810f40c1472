"""The lock files: what each pins, what every pinned package requires, and whether a lock leaves anything out.

A lock is installed without resolving anything (`--no-deps`, see the Makefile), so it must be closed: whatever a locked
package requires on a supported Python is pinned in the same lock. `make lock` runs this module, which notes under each
pin what the package requires, as its metadata says; tests/test_locks.py checks the notes and the locks, offline.

    python -m tests.locks
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

# Each lock, with the extra of pyproject.toml that it has beside the program's own dependencies.
LOCKS: dict[str, tuple[str, ...]] = {
    "requirements.lock": (),
    "tests/requirements.lock": ("dev",),
    "bench/requirements.lock": ("bench",),
    "notebooks/requirements.lock": ("notebook",),
}
# First releases, those that bundle an old pip or that a marker names, and later ones of each supported Python.
PYTHONS = (
    "3.11.0",
    "3.11.2",
    "3.11.5",
    "3.11.7",
    "3.11.15",
    "3.12.0",
    "3.12.1",
    "3.12.12",
    "3.13.0",
    "3.13.9",
    "3.14.0",
)
SYSTEMS = {
    "linux": {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    "darwin": {
        "os_name": "posix",
        "sys_platform": "darwin",
        "platform_system": "Darwin",
        "platform_machine": "arm64",
    },
    "win32": {"os_name": "nt", "sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64"},
}
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?: ; ([^\\]+?))? \\$")
_NOTE = "    # requires "
# The wheels of each system, as pip is told to look for them.
_PLATFORMS = {
    "linux": ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_27_x86_64", "manylinux_2_28_x86_64"),
    "darwin": ("macosx_11_0_arm64", "macosx_14_0_arm64"),
    "win32": ("win_amd64",),
}


@dataclass(frozen=True)
class Pin:
    """One locked package; `requires` are its Requires-Dist lines, and its Requires-Python as `python` and a range."""

    name: str
    version: str
    marker: str = ""
    requires: tuple[str, ...] = ()

    def holds(self, environment: Mapping[str, str]) -> bool:
        """Whether the lock has it installed in an environment (PEP 508)."""
        return not self.marker or Marker(self.marker).evaluate(dict(environment))


def environments() -> Iterator[dict[str, str]]:
    """Every supported Python on every system, as markers see it."""
    for python, system in product(PYTHONS, SYSTEMS.values()):
        yield {
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "python_full_version": python,
            "python_version": ".".join(python.split(".")[:2]),
            **system,
        }


def read_lock(text: str) -> list[Pin]:
    """All pins of a lock, with what is noted of them."""
    pins: list[Pin] = []
    for line in text.splitlines():
        if found := _PIN.match(line):
            pins.append(Pin(canonicalize_name(found[1]), found[2], found[3] or ""))
        elif line.startswith(_NOTE):
            last = pins.pop()
            pins.append(Pin(last.name, last.version, last.marker, (*last.requires, line.removeprefix(_NOTE))))
    return pins


def roots(pyproject: Mapping[str, Any], extras: Iterable[str]) -> list[str]:
    """What the project itself requires, and what its editable install needs."""
    project = pyproject["project"]
    wanted = [*project["dependencies"], *pyproject["dependency-groups"]["build"]]
    return wanted + [line for extra in extras for line in _of_extra(project, extra)]


def _of_extra(project: Mapping[str, Any], extra: str) -> Iterator[str]:
    """What an extra requires; another extra of the project itself stands for what that requires."""
    for line in project["optional-dependencies"][extra]:
        requirement = Requirement(line)
        if canonicalize_name(requirement.name) != project["name"]:
            yield line
            continue
        for other in sorted(requirement.extras):
            yield from _of_extra(project, other)


def gaps(pins: Sequence[Pin], required: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """What a lock lacks in an environment, and what it has there without need; empty for one that is closed."""
    here = {pin.name: pin for pin in pins if pin.holds(environment)}
    found = [
        f"{name} is pinned twice" for name in here if sum(p.name == name and p.holds(environment) for p in pins) > 1
    ]
    todo = [("the project", Requirement(line), "") for line in required]
    seen: set[tuple[str, str]] = set()
    while todo:
        asker, requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({**environment, "extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        pin = here.get(name)
        if pin is None or not requirement.specifier.contains(pin.version, prereleases=True):
            found.append(f"{asker} requires {requirement}, and the lock has {pin.version if pin else 'no pin'}")
            continue
        for one in {"", *requirement.extras}:
            if (name, one) not in seen:
                seen.add((name, one))
                todo += [(name, Requirement(line), one) for line in pin.requires if not _is_of_python(line)]
    for pin in here.values():
        ranges = [Requirement(line) for line in pin.requires if _is_of_python(line)]
        if not all(each.specifier.contains(environment["python_full_version"]) for each in ranges):
            found.append(f"{pin.name} {pin.version} does not run on Python {environment['python_full_version']}")
    return found + [f"nothing requires {name}" for name in sorted(here.keys() - {name for name, _ in seen})]


def notes(metadata: Mapping[str, Any], extras: Iterable[str] = ()) -> tuple[str, ...]:
    """What is noted of a package: its requirements, those of an extra only where the extra is one of `extras`."""
    lines = [f"python {metadata['requires_python']}"] if metadata.get("requires_python") else []
    lines += [line for line in metadata.get("requires_dist") or () if _extras(line) <= set(extras)]
    return tuple(sorted(str(Requirement(line)) for line in lines))


def _is_of_python(line: str) -> bool:
    """Whether a note is a package's Requires-Python."""
    return Requirement(line).name == "python"


def _extras(line: str) -> set[str]:
    """The extras that a requirement belongs to."""
    marker = str(Requirement(line).marker or "")
    return {canonicalize_name(name) for name in re.findall(r"extra == [\"']([^\"']+)", marker)}


def extras_asked(requires: Mapping[str, Iterable[str]], required: Iterable[str]) -> dict[str, set[str]]:
    """The extras of each package that somebody asks for, directly or through other packages; none are left out."""
    asked: dict[str, set[str]] = {}
    lines = [(line, "") for line in required] + [(line, name) for name, found in requires.items() for line in found]
    while True:
        before = sum(map(len, asked.values()))
        for line, asker in lines:
            if _extras(line) <= asked.get(asker, set()):
                found = Requirement(line)
                asked.setdefault(canonicalize_name(found.name), set()).update(map(canonicalize_name, found.extras))
        if sum(map(len, asked.values())) == before:
            return asked


def _annotate() -> None:
    """Write into each lock what its packages require, from the metadata of the very releases that it pins."""
    texts = {name: (ROOT / name).read_text("utf-8") for name in LOCKS}
    pins = {(pin.name, pin.version): pin for text in texts.values() for pin in read_lock(text)}
    metadata = _fetch(pins.values())
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    requires = {found["name"]: found.get("requires_dist") or () for found in metadata.values()}
    extras = extras_asked(
        {canonicalize_name(name): lines for name, lines in requires.items()},
        roots(pyproject, [extra for extras in LOCKS.values() for extra in extras]),
    )
    for name, text in texts.items():
        blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", re.sub(rf"(?m)^{_NOTE}.*\n", "", text))
        for i, block in enumerate(blocks[1:], 1):
            pin = read_lock(block)[0]
            noted = notes(metadata[f"{pin.name}=={pin.version}"], extras.get(pin.name, ()))
            blocks[i] = block + "".join(f"{_NOTE}{line}\n" for line in noted)
        (ROOT / name).write_text("".join(blocks), "utf-8")


def _fetch(pins: Iterable[Pin]) -> dict[str, dict[str, Any]]:
    """The metadata of each pinned release, asked for as a machine would that installs it."""
    machines = list(environments())
    asked: dict[tuple[str, str], list[str]] = {}
    for pin in pins:
        # One for PyPy alone is never installed here; its metadata is the same.
        machine = next((each for each in machines if pin.holds(each)), machines[0])
        asked.setdefault((machine["sys_platform"], machine["python_full_version"]), []).append(
            f"{pin.name}=={pin.version}"
        )
    found: dict[str, dict[str, Any]] = {}
    for (system, python), releases in asked.items():
        found |= _report(releases, system, python)
    return found


def _report(releases: Sequence[str], system: str, python: str) -> dict[str, dict[str, Any]]:
    """Metadata by `name==version`. Raises `CalledProcessError` where one has no wheel for that machine."""
    where = ["--python-version", python, *(word for name in _PLATFORMS[system] for word in ("--platform", name))]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps", "--ignore-installed"]
        command += [
            "--ignore-requires-python",
            "--only-binary",
            ":all:",
            "--report",
            "-",
            *where,
            "--target",
            folder,
            *releases,
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    installed = [item["metadata"] for item in json.loads(done.stdout)["install"]]
    return {f"{canonicalize_name(item['name'])}=={item['version']}": item for item in installed}


if __name__ == "__main__":
    _annotate()
