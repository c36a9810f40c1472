"""The catalogue of findings: complete, documented, and nothing in it that is never found."""

from __future__ import annotations

import re

import pytest

from migrate.load.limits import LIMITS
from migrate.model.catalogue import CATALOGUE
from migrate.model.finding import Finding
from migrate.report.catalogue import catalogue_page
from tests.conftest import ROOT, Demo

CODE = re.compile(r'"([a-z]+(?:-[a-z]+)+)"')
SOURCES = {path: path.read_text("utf-8") for path in (ROOT / "migrate").rglob("*.py") if path.stem != "catalogue"}
OTHERS = [path for path in (ROOT / "tests").rglob("*.py") if path.stem != "test_catalogue"]
TESTS = "".join(path.read_text("utf-8") for path in OTHERS)


def test_the_page_is_the_catalogue() -> None:
    assert (ROOT / "docs" / "findings.md").read_text("utf-8") == catalogue_page()


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_each_code_is_found_somewhere_tested_and_documented(code: str) -> None:
    assert any(f'"{code}"' in text for text in SOURCES.values())
    assert f'"{code}"' in TESTS
    entry = CATALOGUE[code]
    page = (ROOT / "docs" / "findings.md").read_text("utf-8")
    section = page.partition(f"### {code}\n")[2].partition("\n#")[0]
    assert entry.meaning in section
    assert len(section.split()) > 8
    assert not entry.meaning.endswith(".")
    assert not entry.remedy.endswith(".")


def test_no_finding_has_a_code_of_its_own(demo: Demo) -> None:
    rooms = ("map", "load")
    used = {code for path, text in SOURCES.items() if path.parent.name in rooms for code in CODE.findall(text)}
    assert used >= {"binding-gcm", "change-disables"}
    others = {"register-with-new-credential", *LIMITS}  # an action, and what limits are called
    assert used - others <= set(CATALOGUE)
    with pytest.raises(KeyError):
        _ = Finding("never-heard-of", None).severity
    assert {item["code"] for item in demo.json("plan.json")["findings"]} <= set(CATALOGUE)
