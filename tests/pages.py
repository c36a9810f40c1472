"""What the tests of the README and of docs/ share: the blocks of a page, and how they are run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from migrate.standin.world import World
from tests.conftest import ROOT
from tests.keys import service_account

KEY = service_account()
PLACEHOLDER = "AC" + "X" * 32


def anchors_of(page: str) -> set[str]:
    """What a link can end with, as GitHub makes it of headings."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def commands_in(block: str) -> int:
    """How often a block calls the program."""
    return len(re.findall(r"^(?:\$ |eval \"\$\()?chat-migrate ", block, re.MULTILINE))


def blocks_of(page: str) -> list[tuple[str, str]]:
    """What of a page is run, in its order: each a kind, and its lines without what indents them in a list."""
    return [
        (kind, re.sub(rf"^{indent}", "", block, flags=re.MULTILINE))
        for indent, kind, block in re.findall(r"^( *)```(bash|console)\n(.*?)^ *```", page, re.DOTALL | re.MULTILINE)
    ]


def furnish(tmp_path: Path) -> Path:
    """A folder to run commands in, with the cassettes beside it as in a clone."""
    (tmp_path / "cassettes").symlink_to(ROOT / "cassettes")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def bash(script: str, folder: Path, answer: str = "") -> subprocess.CompletedProcess[str]:
    """Run a script as one would by hand; what it does is measured where it is tested, and not here again."""
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env={
            **unmeasured,
            "COLUMNS": "80",
            "PATH": path,
            "XDG_CONFIG_HOME": str(folder / "state"),
            "FCM_SERVICE_ACCOUNT": KEY,
        },
        input=answer,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


def run_block(block: str, folder: Path, world: World) -> None:
    """Run what the page says to call; a stand-in serves until it is stopped, and so is."""
    if "standin" in block:
        served = [f"{re.sub(r'--port [0-9]+', '--port 0', line)} & sleep 2; kill $!" for line in block.splitlines()]
        block = "\n".join(served)
    block = re.sub(r"--apply\b(?! --yes)", "--apply --yes", block)
    done = bash(block.replace(PLACEHOLDER, world.account_sid), folder, world.auth_token + "\n")
    assert done.returncode == 0, f"{block}\n{done.stdout}"


def run_session(session: str, folder: Path) -> None:
    """Run the commands of a session, and compare what they say with what the page shows; "…" stands for anything."""
    for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        shown = "".join(line for line in shown.splitlines(keepends=True) if not line.startswith("Type the number"))
        done = bash(command.replace("--apply", "--apply --yes"), folder)
        pattern = re.escape(shown).replace(re.escape("…\n"), "(?s:.*)")
        assert re.fullmatch(pattern, done.stdout), f"{command}\n{done.stdout}"
        assert (done.returncode != 0) == ("Error: " in shown)
