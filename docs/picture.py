"""Writes docs/demo.svg, a picture of what the demo's run shows on a terminal of 80 columns: `make docs`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "chat-migrate run --replay demo --out out/demo"
COLUMNS = 80
DESCRIPTION = (
    "A terminal with the dry run of the demo: for each of five services its push settings in Conversations as they "
    "are and as they would become, then the findings and a summary. Nothing was written to Twilio."
)
# Colours with a contrast of 4.5 and more on this background.
_THEME = TerminalTheme(
    (16, 20, 28),
    (214, 220, 228),
    [(16, 20, 28), (255, 123, 114), (86, 211, 100), (227, 179, 65), (121, 192, 255), (210, 168, 255), (86, 212, 221),
     (214, 220, 228)],
)  # fmt: skip
# rich's own loads a font from another host. This one takes what there is; `textLength` keeps the columns.
_FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" \
aria-labelledby="{unique_id}-name {unique_id}-what">
<title id="{unique_id}-name">$NAME</title>
<desc id="{unique_id}-what">$DESCRIPTION</desc>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ font: bold 18px system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def shown() -> str:
    """What the demo's run writes to a terminal of 80 columns in colour, with its escapes."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "SYSTEMROOT")}
    terminal = {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm", "PYTHONUTF8": "1"}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "cassettes").symlink_to(ROOT / "cassettes")
        return subprocess.run(  # noqa: S603  # our own program
            [sys.executable, "-m", "migrate", *COMMAND.split()[1:]],
            cwd=folder, env={**kept, **terminal}, capture_output=True, check=True, encoding="utf-8",
        ).stdout  # fmt: skip


def picture() -> str:
    """The file's content: the same bytes each time, and nothing in it that is loaded from elsewhere."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(file=nowhere, record=True, width=COLUMNS, force_terminal=True, color_system="truecolor")
        console.print(Text("$ ", "bold").append(COMMAND))
        console.print(Text.from_ansi(shown().rstrip("\n")))
    form = _FORMAT.replace("$NAME", COMMAND).replace("$DESCRIPTION", DESCRIPTION)
    svg = console.export_svg(title="chat-migrate", theme=_THEME, code_format=form, unique_id="demo")
    svg = re.sub(r"\d+\.\d{6,}", lambda number: f"{float(number[0]):g}", svg)
    return "\n".join(line.strip() for line in svg.splitlines() if line.strip()) + "\n"


if __name__ == "__main__":
    click.echo(picture(), nl=False)
