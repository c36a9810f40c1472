"""Makes one page of the notebooks for whoever signs: their words, tables and charts, without the code.

    python -m notebooks.export out/review.html

The notebooks run as they lie here, on the data that their first cells name. The page needs nothing else, loads
nothing, and has no script; it prints. What is there already is not overwritten.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import click
from markdown_it import MarkdownIt  # which comes with rich

from migrate.storage.files import write_whole
from notebooks.execute import NOTEBOOKS, execute

_TITLE = "Review of a migration from Programmable Chat to Conversations"
_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: #fff; color: #1b1f24;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2rem; }
section + section { margin-top: 3rem; border-top: 2px solid #d0d7de; padding-top: 1rem; }
.output { margin: 1rem 0; font-size: .85rem; }
.output table { width: 100%; }
.output thead th { color: #57606a; border-bottom: 2px solid #d0d7de; }
.output tbody td { border-bottom: 1px solid #d0d7de; }
img { max-width: 100%; height: auto; }
pre { white-space: pre-wrap; }
li.task { list-style: none; margin-left: -1.25rem; }
.signed { width: 100%; border-collapse: collapse; margin-top: 2rem; }
.signed th { text-align: left; font-weight: normal; width: 9rem; }
.signed td { height: 2.75rem; border-bottom: 1px solid #1b1f24; }
@media screen and (max-width: 40rem) {
  .output { overflow-x: auto; }
  .output :is(th, td) { overflow-wrap: normal !important; }
}
@media print {
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  section + section { break-before: page; border: 0; }
  h2, h3 { break-after: avoid; }
  tr, img, .signed { break-inside: avoid; }
}
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
# What is for whoever runs the notebook: its first cell, and what else may be asked.
_HOW = re.compile(r"^This shows the demo.*$", re.MULTILINE)
_ASK = re.compile(r"<div>Ask: .*?</div>")
_DEMO = "out/demo/"
_BESIDE = re.compile(r'<a href="(?!https?:)[^"]*">(.*?)</a>')
_BLANKS = "".join(
    f'<tr><th scope="row">{label}</th><td></td></tr>' for label in ("Decision", "Name", "Date", "Signature")
)


def page(notebooks: Iterable[Any]) -> str:
    """The page of some notebooks that have run."""
    sections = "".join(f"<section>{''.join(_parts(notebook))}</section>\n" for notebook in notebooks)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{_TITLE}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f'<body><main>\n{sections}<table class="signed"><tbody>{_BLANKS}</tbody></table>\n</main></body></html>\n'
    )


def _parts(notebook: Any) -> Iterator[str]:
    is_demo = any(_DEMO in cell.source for cell in notebook.cells if cell.cell_type == "code")
    said = "These are the data of the demo, a made-up account." if is_demo else ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            yield _words(_HOW.sub(said, cell.source))
        elif cell.cell_type == "code":
            yield from (f'<div class="output">{_output(output)}</div>\n' for output in cell.outputs)


def _words(source: str) -> str:
    """A cell's words; a task to tick off is a box, and links to files beside the notebooks are words."""
    html = _BESIDE.sub(r"\1", str(_MARKDOWN.render(source)))
    return html.replace("<li>[ ] ", '<li class="task">☐ ')


def _output(output: Any) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        picture = base64.b64encode(base64.b64decode(data["image/png"])).decode()
        return f'<img alt="{escape(data.get("text/plain", ""))}" src="data:image/png;base64,{picture}">'
    if "text/html" in data:  # our own, in which other people's words are escaped
        return _ASK.sub("", str(data["text/html"]))
    return f"<pre>{escape(data.get('text/plain', '') or output.get('text', ''))}</pre>"


def main(target: Path) -> None:
    """Run the notebooks, and write the page. Ends with a message, and 4, where there is a file already."""
    if target.exists():
        click.echo(
            f"Error: {target} is there already, and not overwritten. Name another: make review REVIEW=FILE", err=True
        )
        raise SystemExit(4)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, page(map(execute, NOTEBOOKS)), private=True)
    click.echo(f"Review: {target}")


@click.command()
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
def export(target: Path) -> None:
    """Run the notebooks, and write one page of them, without their code, into FILE."""
    main(target)


if __name__ == "__main__":
    export(prog_name="python -m notebooks.export")
