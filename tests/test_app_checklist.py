"""What docs/app-checklist.md names is there: commands with their options, codes of push errors, findings."""

from __future__ import annotations

import re

from migrate.cli.app import cli
from migrate.model.catalogue import CATALOGUE
from migrate.model.push_errors import CODES
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "app-checklist.md").read_text("utf-8")


def test_every_command_of_the_checklist_exists_with_its_options() -> None:
    found = re.findall(r"`chat-migrate (\w+)([^`]*)`", PAGE)
    assert {name for name, _ in found} >= {"verify", "map", "health", "extract"}
    for name, rest in found:
        options = {option for item in cli.commands[name].params for option in item.opts}
        assert {word for word in rest.split() if word.startswith("--")} <= options, (name, rest)


def test_every_code_and_every_finding_of_the_checklist_is_known() -> None:
    codes = {int(code) for code in re.findall(r"\b52\d{3}\b", PAGE)}
    assert codes
    assert codes <= {*CODES}
    findings = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", PAGE))
    assert findings
    assert findings <= {*CATALOGUE}


def test_every_point_of_the_checklist_has_a_check() -> None:
    points = PAGE.split("\n## ")[1:]
    assert len(points) == len(re.findall(r"^\| \[", PAGE, re.MULTILINE))
    assert [point.splitlines()[0] for point in points if "**Check**" not in point] == []
