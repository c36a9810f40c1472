"""Writes what the commands of docs/scale.md say into the page: `make docs`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from click.testing import CliRunner

from docs.scale import main

PAGE = Path(__file__).with_name("scale.md")
_BLOCK = re.compile(r"(?<=^```console\n)\$ python -m docs\.scale(.*)\n(?s:.*?)(?=^```$)", re.MULTILINE)


def filled(page: str) -> str:
    """The page, with each command's output below it."""

    def run(found: re.Match[str]) -> str:
        output = CliRunner().invoke(main, shlex.split(found[1]), catch_exceptions=False).output
        return f"$ python -m docs.scale{found[1]}\n{output}"

    return _BLOCK.sub(run, page)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
