"""The notebooks: they run on the demo's data, show what is kept of them, and tell nobody who anybody is."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest

from migrate.review import open_coverage
from notebooks import demo as notebook_demo
from notebooks.demo import make_demo
from notebooks.execute import NOTEBOOKS, execute, place
from tests.conftest import ROOT, Demo

MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
Content = dict[str, Any]
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def cells(path: Path, kind: str) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == kind]


def told(path: Path) -> str:
    return "\n".join(cell.source for cell in cells(path, "markdown"))


def shown(notebook: Any) -> list[tuple[str, list[Content]]]:
    """By cell what it shows: all texts as they are, and of pictures that there is one."""
    return [
        (cell.id, [{**output, "data": {**output.get("data", {}), **pictures(output)}} for output in cell.outputs])
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def pictures(output: Content) -> Content:
    data = output.get("data", {})
    return {kind: len(data[kind]) > 10_000 for kind in data if kind.startswith("image/")}


def test_there_are_three() -> None:
    assert [path.name for path in NOTEBOOKS] == [
        "1-snapshot.ipynb",
        "2-mapping-and-plan.ipynb",
        "3-re-registration.ipynb",
    ]


# One test, so that one worker makes the data: it takes some ten seconds.
@pytest.mark.long
def test_each_notebook_runs_and_shows_what_is_kept_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("COV")]:
        monkeypatch.delenv(name)  # what kernels do is measured in the tests of the review
    copies = place(tmp_path)
    for path in NOTEBOOKS:
        kept, now = read(path), execute(copies / path.name)
        assert shown(now) == shown(kept), f"{path.name} shows something else now: make docs"
        assert now.metadata == kept.metadata
        # What was done by hand in between leaves other numbers.
        assert [cell.get("execution_count") for cell in now.cells] == [
            cell.get("execution_count") for cell in kept.cells
        ]


@EACH
def test_every_chart_is_kept_as_a_picture_and_nothing_has_failed_or_complained(path: Path) -> None:
    for cell in cells(path, "code"):
        drawn = [output for output in cell.outputs if pictures(output)]
        assert len(drawn) == (1 if cell.source.startswith("charts.") else 0), cell.id
        assert all(pictures(output) == {"image/png": True} for output in drawn)
        assert {output.output_type for output in cell.outputs} <= {"execute_result"}, cell.id


@EACH
def test_the_paths_of_ones_own_data_are_the_first_cell_and_nowhere_else(path: Path) -> None:
    first, *others = cells(path, "code")
    assert first.outputs == []
    lines = first.source.splitlines()
    assert all(re.fullmatch(r"[A-Z]+ = \S+  # .+", line) for line in lines)
    paths = [line for line in lines if '"../out/demo/' in line]
    assert paths
    assert all("# your own: " in line for line in paths)
    assert not [cell.id for cell in others if "out/demo" in cell.source]
    names = [line.partition(" ")[0] for line in lines]
    assert all(any(re.search(rf"\b{name}\b", cell.source) for cell in others) for name in names)


@EACH
def test_it_says_what_to_look_at_what_to_decide_and_what_to_sign_off(path: Path) -> None:
    text = told(path)
    assert "**At the end you decide**" in text
    assert "**Look at**" in text
    assert "**Decide**" in text
    assert "Look at" in text
    last = cells(path, "markdown")[-1].source
    assert last.startswith("## To sign off")
    assert len(re.findall(r"^- \[ \] \w", last, re.MULTILINE)) >= 4


@EACH
def test_no_whole_identity_and_no_endpoint_is_in_it(path: Path, demo: Demo) -> None:
    bindings = pd.read_parquet(demo.folder / "snapshot" / "bindings")
    people = {text for name in ("identity", "endpoint") for text in bindings[name].dropna() if len(text) >= 5}
    assert len(people) > 300
    content = path.read_text("utf-8") + str(read(path))  # as JSON escapes it, and as it is
    # A formula that somebody signed in with is a service's name too.
    assert sorted(text for text in people if text in content) == []


@EACH
def test_the_commands_that_it_names_are_there(path: Path) -> None:
    reference = (ROOT / "docs" / "commands.md").read_text("utf-8")
    everything = "\n".join(cell.source for cell in read(path).cells)
    found = re.findall(r"`chat-migrate ([a-z]+)([^`]*)`", everything)
    assert found
    for command, options in found:
        section = re.search(rf"^## [^\n]*\b{command}\b.*?(?=^## |\Z)", reference, re.MULTILINE | re.DOTALL)
        assert section, command
        for option in re.findall(r"--[a-z-]+", options):
            assert option in section[0], f"{command} {option}"


def test_the_make_targets_use_the_demo_and_keep_what_is_shown() -> None:
    recipes = dict(re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE))
    assert "python -m notebooks.demo $(DEMO)" in recipes["notebooks"]
    assert "jupyter lab notebooks" in recipes["notebooks"]
    assert "python -m notebooks.execute" in recipes["docs"]
    # What the notebooks name, from where they lie.
    place = re.search(r"^DEMO := (\S+)$", MAKEFILE, re.MULTILINE)
    assert place
    assert all(f'"../{place[1]}/' in cells(path, "code")[0].source for path in NOTEBOOKS)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_demo_that_is_there_is_left_as_it_is_and_one_that_was_broken_off_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook_demo, "DAYS", (0, 30))
    out = tmp_path / "demo"
    make_demo(out)
    whole = contents(out)
    assert {"plan.json", "pending.csv", "snapshot/manifest.json", "mapped/push-config.yaml"} <= set(whole)
    make_demo(out)
    assert contents(out) == whole
    # Broken off after the first run of `verify`: of the runs there is one of each day again.
    (out / "pending.csv").unlink()
    make_demo(out)
    again = contents(out)
    assert {name: content for name, (content, _) in again.items()} == {
        name: data for name, (data, _) in whole.items()
    }
    assert {name for name in whole if again[name] != whole[name]} == {
        "pending.csv", *(name for name in whole if name.startswith(("coverage/", "health/")))
    }  # fmt: skip


def test_devices_come_back_in_the_weeks_after_but_not_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook_demo, "DAYS", (0, 400))
    make_demo(tmp_path)
    coverage = open_coverage(tmp_path / "coverage", pending=tmp_path / "pending.csv")
    together = coverage.curve()
    together = together[together["platform"] == "(all)"]
    begun, ended = together["percent"]
    assert begun < 25  # those that are ready in the demo itself
    assert 90 < ended < 100
    assert len(coverage.pending) == together["pending"].iloc[-1] > 0
    assert together["ready_platform"].iloc[-1] > 20  # on another device
