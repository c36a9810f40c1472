"""The recorded demo that comes with the program: `--replay demo`, from any folder."""

from __future__ import annotations

from pathlib import Path

import migrate

DEMO = Path("demo")


def cassette_file(replay: Path) -> Path:
    """The file to replay: the one named; `demo` is the recorded demo, unless this folder has a file of that name."""
    return _recorded_demo() if replay == DEMO and not DEMO.is_file() else replay


def said_of_demo() -> str:
    """Which of the two `demo` stands for here, in words."""
    if DEMO.is_file():
        return "the file demo in this folder, not the demo that comes with chat-migrate"
    return "the recorded demo that comes with chat-migrate: synthetic data, no network"


def _recorded_demo() -> Path:
    """Where the demo's cassette is: inside an installed package, or beside it in the repository."""
    package = Path(migrate.__file__).parent
    installed = package / "cassettes" / "demo.yaml"
    return installed if installed.exists() else package.parent / "cassettes" / "demo.yaml"
