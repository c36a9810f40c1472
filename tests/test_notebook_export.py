"""One page of the notebooks for whoever signs: no code, nothing of pandas' own, and what was signed stays."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from notebooks import export
from notebooks.execute import NOTEBOOKS, place
from notebooks.export import main, page
from tests.browser import browser
from tests.test_notebooks import MAKEFILE, read


@pytest.fixture(scope="module")
def exported() -> str:
    return page(map(read, NOTEBOOKS))


def test_all_words_tables_and_charts_are_in_it_and_no_code(exported: str) -> None:
    notebooks = [read(path) for path in NOTEBOOKS]
    outputs = [output for notebook in notebooks for cell in notebook.cells for output in cell.get("outputs", ())]
    charts = [output for output in outputs if "image/png" in output["data"]]
    assert exported.count('<div class="output">') == len(outputs)
    assert exported.count("<img alt=") == len(charts) > 5
    assert exported.count("<section>") == len(NOTEBOOKS)
    for code in ("import ", "SNAPSHOT = ", "charts.", "Ask: ", ".by_service()"):
        assert code not in re.sub(r'src="[^"]*"', "", exported)
    assert exported.count("<h2>To sign off</h2>") == len(NOTEBOOKS)
    assert "[ ]" not in exported
    assert exported.count("☐") >= 4 * len(NOTEBOOKS)


def test_nothing_of_pandas_own_is_in_it(exported: str) -> None:
    words = re.sub(r'src="[^"]*"', "", exported)
    assert not re.search(r"\bNaT\b|\bNaN\b|&lt;NA&gt;|\bNone</td>|\+00:00", words)


def test_nothing_is_loaded_and_no_link_leads_beside_it(exported: str) -> None:
    assert "default-src 'none'" in exported
    assert "<script" not in exported
    assert not [link for link in re.findall(r'href="([^"]*)"', exported) if not link.startswith("https://")]


def test_it_calls_the_demo_a_demo_and_ones_own_data_not() -> None:
    notebook = read(NOTEBOOKS[0])
    assert "the demo, a made-up account" in page([notebook])
    notebook.cells[1].source = 'SNAPSHOT = "mine/snapshot"'
    assert "the demo" not in page([notebook])


def test_what_is_there_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "review.html"
    path.write_text("signed")
    with pytest.raises(SystemExit) as ended:
        main(path)
    assert ended.value.code == 4
    assert path.read_text() == "signed"
    assert "is there already, and not overwritten" in capsys.readouterr().err


def test_a_text_that_is_no_table_is_shown_as_it_is() -> None:
    output = nbformat.v4.new_output("stream", text="<b>1</b>")
    cell = nbformat.v4.new_code_cell("x", outputs=[output])
    assert "<pre>&lt;b&gt;1&lt;/b&gt;</pre>" in page([nbformat.v4.new_notebook(cells=[cell])])


def test_the_make_target_takes_the_demo_and_names_the_file() -> None:
    recipe = re.search(r"^review:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe
    assert "python -m notebooks.demo $(DEMO)" in recipe[1]
    assert "python -m notebooks.export '$(REVIEW)'" in recipe[1]


@pytest.mark.long
@pytest.mark.parametrize("width", [375, 1280])
def test_it_fits_a_phone_and_a_desk_and_prints(tmp_path: Path, exported: str, width: int) -> None:
    (tmp_path / "review.html").write_text(exported, "utf-8")
    with browser(tmp_path / "profile") as tab:
        tab.width(width)
        tab.open(tmp_path / "review.html")
        assert tab.value("document.documentElement.scrollWidth") <= width
        assert tab.paper().startswith(b"%PDF-")
        assert tab.said == []


@pytest.mark.long
def test_the_notebooks_are_run_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("COV")]:
        monkeypatch.delenv(name)
    folder = place(tmp_path / "there")
    monkeypatch.setattr(export, "NOTEBOOKS", [folder / NOTEBOOKS[0].name])
    main(tmp_path / "out" / "review.html")
    written = tmp_path / "out" / "review.html"
    assert written.read_text("utf-8").count("<section>") == 1
    assert written.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("words", [(), ("my", "review.html")])
def test_without_one_file_it_says_how_it_is_used_and_runs_nothing(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(export.export, words)
    assert done.exit_code == 2
    assert "FILE" in done.output
