"""Runs the notebooks on fresh demo data, and keeps what they show. Run by `make docs`.

python -m notebooks.execute
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from notebooks.demo import make_demo

FOLDER = Path(__file__).parent
NOTEBOOKS = tuple(sorted(FOLDER.glob("*.ipynb")))
SECONDS = 60  # for one cell, on a machine that is busy


def execute(path: Path) -> Any:
    """Run a notebook where it lies, and return it with its outputs. Raises what a cell raises."""
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": path.parent}}
    # The times of a run would differ each time.
    NotebookClient(
        notebook, timeout=SECONDS, record_timing=False, resources=where, extra_arguments=["--log-level=ERROR"]
    ).execute()
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def place(folder: Path) -> Path:
    """A folder with the notebooks, and the demo's data where they look for it."""
    make_demo(folder / "out" / "demo")
    (folder / "notebooks").mkdir()
    for path in NOTEBOOKS:
        shutil.copy(path, folder / "notebooks")
    return folder / "notebooks"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        copies = place(Path(scratch))
        for source in NOTEBOOKS:
            nbformat.write(execute(copies / source.name), source)
