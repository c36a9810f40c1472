"""Installs the project as users do, on every Python that this machine has. Run by .ci/run; needs nothing but Python.

- `make demo` in a clone of its own for each Python 3.11 or newer, with the pip that it bundles, while an index offers
  a later release of every locked package; the Python of this clone's own demo, if it has one, was tried by that;
- the wheel, in an empty environment with nothing but its declared dependencies at their lowest versions: the demo,
  and its rehearsal;
- each way to install that the README names, which takes the newest versions: the demo, and its rehearsal once.

Fails where there is no such Python, and with the first of these that fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = 11, 20  # of Python 3
# Where version managers keep interpreters that are not on the PATH.
MANAGED = (
    (os.environ.get("PYENV_ROOT", "~/.pyenv"), "versions/*/bin/python3"),
    (os.environ.get("UV_PYTHON_INSTALL_DIR", "~/.local/share/uv/python"), "*/bin/python3"),
    (os.environ.get("ASDF_DATA_DIR", "~/.asdf"), "installs/python/*/bin/python3"),
    (os.environ.get("MISE_DATA_DIR", "~/.local/share/mise"), "installs/python/*/bin/python3"),
)
PROBE = f"""
import os, platform, sys
if sys.version_info[:2] >= (3, {OLDEST}) and sys.prefix == sys.base_prefix:
    print(platform.python_version(), os.path.realpath(sys.executable), sep="\\n")
"""
# Of the thousands of modules that are installed a demo imports some: these are compiled, once, and not all of them.
# pip takes the variable of an option that says no for what it negates: 0 is --no-compile.
LAZY = {"PIP_NO_COMPILE": "0", "PYTHONDONTWRITEBYTECODE": ""}
FAKE_WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def main() -> None:
    """Try everything, and print a table of what it took."""
    pythons = find_pythons()
    if not pythons:
        sys.exit(f"no Python 3.{OLDEST} or newer was found")
    print("Pythons:", ", ".join(f"{version} ({path})" for version, path in pythons), flush=True)
    for _, python in pythons:
        ensure_venv(python)
    oldest, newest = pythons[0][1], pythons[-1][1]
    untried = [python for _, python in pythons if python != python_of_own_demo()]
    # One more at once than there are processors: an installation waits for the network and the disk, too.
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        folder = Path(name)
        # Those with JupyterLab take the longest: they come first, so that nothing waits for them alone.
        tried = [pool.submit(try_readme, newest, folder / line.split()[0], line) for line in readme_lines()[::-1]]
        later = make_later_releases(folder / "later")
        tried += [pool.submit(try_demo, python, folder / f"demo-{i}", later) for i, python in enumerate(untried)]
        tried.append(pool.submit(try_wheel, oldest, build_wheel(folder), folder / "lowest"))
        rows = [each.result() for each in tried]
    print(f"\n{'':16} {'Python':9} {'pip':8} {'set-up':>8} {'demo':>7} {'size':>8}")
    for what, version, pip, set_up, demo, size in rows:
        print(f"{what:16} {version:9} {pip:8} {set_up:6.0f} s {demo:5.0f} s {size:5.0f} MB")


def find_pythons() -> list[tuple[str, str]]:
    """Version and path of each interpreter, the oldest first; each once, whatever names and links lead to it."""
    found: dict[str, str] = {}
    for candidate in _candidates():
        try:
            probed = subprocess.run([candidate, "-c", PROBE], capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if probed.returncode == 0 and probed.stdout:  # a version manager's link may lead nowhere
            version, path = probed.stdout.splitlines()
            found[path] = version
    return sorted(((version, path) for path, version in found.items()), key=lambda each: _numbers(each[0]))


def _candidates() -> Iterator[str]:
    names = ["python3", *(f"python3.{minor}" for minor in range(OLDEST, NEWEST + 1))]
    for folder in os.get_exec_path():
        yield from (str(Path(folder) / name) for name in names)
    for root, pattern in MANAGED:
        yield from map(str, sorted(Path(root).expanduser().glob(pattern)))


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def python_of_own_demo() -> str:
    """The interpreter that `make demo` has used in this clone; empty where it was not called."""
    if not (ROOT / "out" / "demo" / "plan.json").exists():
        return ""
    return os.path.realpath(ROOT / ".venv" / "bin" / "python")


def make_later_releases(folder: Path) -> Path:
    """A local index with a made-up later release of every locked package, which requires what there is not."""
    folder.mkdir()
    locks = "".join(
        path.read_text("utf-8") for path in (ROOT / "requirements.lock", ROOT / "tests" / "requirements.lock")
    )
    for name in set(re.findall(r"^([a-z0-9.-]+)==", locks, re.MULTILINE)):
        stem = f"{name.replace('-', '_').replace('.', '_')}-99999"
        with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
            head = f"Metadata-Version: 2.1\nName: {name}\nVersion: 99999\nRequires-Dist: chat-migrate-made-up\n"
            wheel.writestr(f"{stem}.dist-info/METADATA", head)
            wheel.writestr(f"{stem}.dist-info/WHEEL", FAKE_WHEEL)
            wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return folder


def try_demo(python: str, folder: Path, later: Path) -> tuple[str, str, str, float, float, float]:
    """`git clone` and `make demo`, with one Python."""
    print(f"make demo with {python}", flush=True)
    run("git", "clone", "--quiet", ROOT, folder)
    links = f"{os.environ.get('PIP_FIND_LINKS', '')} {later}".strip()
    began = time.monotonic()
    run("make", ".venv/.ready", f"PYTHON={python}", cwd=folder, PIP_FIND_LINKS=links)
    ready = time.monotonic()
    run("make", "demo", f"PYTHON={python}", cwd=folder)
    done = time.monotonic()
    row = ("make demo", *versions(folder / ".venv"), ready - began, done - ready, size(folder / ".venv"))
    shutil.rmtree(folder)
    return row


def ensure_venv(python: str) -> None:
    """Debian keeps what makes virtual environments in a package of its own."""
    if subprocess.run([python, "-c", "import ensurepip"], capture_output=True, check=False).returncode:
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", f"{Path(python).name}-venv")


def build_wheel(folder: Path) -> Path:
    """The wheel of this clone, by what its own set-up has."""
    run("make", ".venv/.ready", cwd=ROOT)
    run(ROOT / ".venv" / "bin" / "python", "-m", "hatchling", "build", "--target", "wheel", "--directory", folder)
    return next(folder.glob("chat_migrate-*.whl"))


def lowest() -> list[str]:
    """The declared dependencies, each at the lowest version that pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [line.replace(">=", "==") for line in project["dependencies"]]


def try_wheel(python: str, wheel: Path, folder: Path) -> tuple[str, str, str, float, float, float]:
    """The wheel at its lowest versions in an empty environment: the demo and its rehearsal."""
    print(f"the wheel at its lowest versions with {python}", flush=True)
    began = time.monotonic()
    run(python, "-m", "venv", folder)
    run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--only-binary", ":all:", wheel, *lowest())
    ready = time.monotonic()
    demo_and_rehearsal(folder / "bin" / "chat-migrate", folder)
    done = time.monotonic()
    return ("wheel, lowest", *versions(folder), ready - began, done - ready, size(folder))


def demo_and_rehearsal(program: Path, folder: Path) -> None:
    """The demo and its rehearsal, in an empty folder."""
    empty = folder / "empty"
    empty.mkdir()
    run(program, "run", "--replay", "demo", "--out", "x", cwd=empty)
    run(program, "rehearse", "x/mapped", "--snapshot", "x/snapshot", cwd=empty)


def readme_lines() -> list[str]:
    """The README's ways to install without a clone."""
    block = re.search(
        r"^```bash\n(pipx install .*?)^```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    if block is None:
        sys.exit("README.md no longer says how to install")
    return block[1].splitlines()


def try_readme(python: str, folder: Path, line: str) -> tuple[str, str, str, float, float, float]:
    """One of the README's ways to install, from this clone instead of the repository's address."""
    tool = line.split()[0]
    print(f"the README's {tool} with {python}", flush=True)
    began = time.monotonic()
    run(python, "-m", "venv", folder)
    if tool != "pip":
        run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", tool)
    environment = {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        **{name: str(folder / name.lower()) for name in ("PIPX_HOME", "UV_TOOL_DIR")},
        **{name: str(folder / "bin") for name in ("PIPX_BIN_DIR", "UV_TOOL_BIN_DIR")},
    }
    run("bash", "-euc", line.replace("git+https://ADDRESS", f"git+{ROOT.as_uri()}"), cwd=folder, **environment)
    ready = time.monotonic()
    program = folder / "bin" / "chat-migrate"
    if tool == "pipx":  # nothing but the declared dependencies, at their newest versions
        demo_and_rehearsal(program, folder)
    else:
        run(program, "run", "--replay", "demo", "--out", folder / "demo", cwd=folder)
    if tool == "pip":
        run(folder / "bin" / "python", "-c", "import jupyterlab, matplotlib, migrate.review")
    done = time.monotonic()
    return (f"README, {tool}", *versions(folder), ready - began, done - ready, size(folder))


def versions(environment: Path) -> tuple[str, str]:
    """Python's and pip's."""
    said = run(environment / "bin" / "python", "-m", "pip", "--version").split()
    python = run(environment / "bin" / "python", "-c", "import platform; print(platform.python_version())").strip()
    return python, said[1]


def size(folder: Path) -> float:
    """Megabytes in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*")) / 1e6


def run(*command: object, cwd: Path | None = None, **environment: str) -> str:
    """Run a command; its output is shown only if it fails, and ends this."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, **LAZY, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout}\nfailed with {done.returncode}: {' '.join(words)}")
    return done.stdout


if __name__ == "__main__":
    main()
