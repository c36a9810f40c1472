"""The lock files: they pin with hashes, leave nothing out, and alone decide what `make` installs."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from hashlib import sha256
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT
from tests.locks import LOCKS, Pin, environments, extras_asked, gaps, notes, read_lock, roots

pytestmark = pytest.mark.no_cover  # other tests cover the same lines; untraced, these take half the time
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MORE = [name for name in LOCKS if name != "requirements.lock"]
PINS = {name: read_lock((ROOT / name).read_text("utf-8")) for name in LOCKS}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_every_package_with_hashes_and_names_no_index(name: str) -> None:
    lock = (ROOT / name).read_text("utf-8")
    packages = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(packages) == len(PINS[name]) > 0
    for line in packages:
        assert "==" in line
        assert line.endswith("\\"), f"{line} has no hash"
    assert "://" not in lock
    assert "index" not in lock.lower()


@pytest.mark.parametrize(
    "name", ["requirements.lock", *(pytest.param(name, marks=pytest.mark.long) for name in MORE)]
)
def test_a_lock_has_all_that_its_packages_require_on_every_python_and_system_and_no_more(name: str) -> None:
    required = roots(PYPROJECT, LOCKS[name])
    for environment in environments():
        assert gaps(PINS[name], required, environment) == [], environment


@pytest.mark.parametrize(
    "name", ["requirements.lock", *(pytest.param(name, marks=pytest.mark.long) for name in MORE)]
)
def test_a_lock_that_lost_any_pin_or_has_another_version_is_found_out(name: str) -> None:
    required, here = roots(PYPROJECT, LOCKS[name]), next(environments())
    for pin in PINS[name]:
        if pin.holds(here):
            others = [other for other in PINS[name] if other is not pin]
            assert gaps(others, required, here), pin.name
    click = next(pin for pin in PINS[name] if pin.name == "click")
    others = [other for other in PINS[name] if other is not click]
    assert gaps([*others, Pin("click", "7.0", requires=click.requires)], required, here)


def test_extras_of_a_locked_package_count_as_required() -> None:
    root = ["a"]
    pins = [Pin("a", "1", requires=("b[quick]>=1",)), Pin("b", "1", requires=('c; extra == "quick"',))]
    here = next(environments())
    assert gaps(pins, root, here) == ['b requires c; extra == "quick", and the lock has no pin']
    assert gaps([*pins, Pin("c", "1")], root, here) == []


def test_the_locks_agree_on_every_version() -> None:
    for environment in environments():
        seen: dict[str, str] = {}
        for pins in PINS.values():
            for pin in pins:
                if pin.holds(environment):
                    assert seen.setdefault(pin.name, pin.version) == pin.version


@pytest.mark.parametrize("name", ["requirements.lock", "tests/requirements.lock"])
def test_what_is_installed_is_what_the_lock_says_and_requires_what_is_noted(name: str) -> None:
    here = {**next(environments()), "python_full_version": ".".join(map(str, sys.version_info[:3]))}
    here |= {"python_version": ".".join(map(str, sys.version_info[:2])), "sys_platform": sys.platform}
    required = roots(PYPROJECT, [extra for extras in LOCKS.values() for extra in extras])
    extras = extras_asked({pin.name: pin.requires for pins in PINS.values() for pin in pins}, required)
    for pin in PINS[name]:
        if pin.holds(here):
            found = metadata.metadata(pin.name)
            assert found["Version"] == pin.version, pin.name
            pythons = found.get_all("Requires-Python", [None])  # found[…] warns where there is none
            said = {"requires_python": pythons[0], "requires_dist": found.get_all("Requires-Dist")}
            assert notes(said, extras.get(pin.name, ())) == pin.requires


def test_a_user_gets_no_linter_type_checker_test_or_plotting_library() -> None:
    tools = {
        canonicalize_name(Requirement(line).name) for line in PYPROJECT["project"]["optional-dependencies"]["dev"]
    }
    assert tools & {"mypy", "pytest", "ruff", "hypothesis", "matplotlib"}
    assert not tools & {pin.name for pin in PINS["requirements.lock"]}


# A made-up project with the Makefile of this one. Its build backend is its own, so that nothing is downloaded.
BACKEND = """
import zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    info = "project-1.dist-info"
    with zipfile.ZipFile(f"{wheel_directory}/project-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: project\\nVersion: 1\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return "project-1-py3-none-any.whl"
"""


def _wheel(folder: Path, name: str, version: str, *requires: str) -> str:
    """A made-up release in a local index; gives its line of a lock."""
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    lines = [
        f"Name: {name}",
        f"Version: {version}",
        "Provides-Extra: quick",
        *(f"Requires-Dist: {r}" for r in requires),
    ]
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "\n".join(["Metadata-Version: 2.1", *lines, ""]))
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return f"{name}=={version} \\\n    --hash=sha256:{sha256(path.read_bytes()).hexdigest()}\n"


@pytest.mark.long
def test_a_later_release_of_a_locked_package_changes_nothing(tmp_path: Path) -> None:
    project, index = tmp_path / "project", tmp_path / "releases"
    (project / "tests").mkdir(parents=True)
    index.mkdir()
    (project / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    (project / "backend.py").write_text(BACKEND)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "project"\nversion = "1"\n'
    )
    lock = _wheel(index, "asker", "1.0", "asked[quick]>=1.0") + _wheel(index, "asked", "1.0")
    (project / "requirements.lock").write_text(lock)
    (project / "tests" / "requirements.lock").write_text(lock + _wheel(index, "tool", "1.0", "asker"))
    for name in ("asker", "asked", "tool"):  # tomorrow's
        _wheel(index, name, "99.0", "unheard-of>=1")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "COV"))}
    environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_CONFIG_FILE": os.devnull}
    made = subprocess.run(
        ["make", ".venv/.tools", f"PYTHON={sys.executable}"],
        cwd=project, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    code = "import importlib.metadata as m; print(*sorted(f'{d.name} {d.version}' for d in m.distributions()), sep='\\n')"
    listed = subprocess.run(
        [project / ".venv" / "bin" / "python", "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    bundled = ("pip ", "setuptools ", "wheel ")
    assert [line for line in listed if not line.startswith(bundled)] == [
        "asked 1.0", "asker 1.0", "project 1", "tool 1.0",
    ]  # fmt: skip
