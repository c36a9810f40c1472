"""The lines of a difference on a narrow screen: below what they go on, whatever sign they begin with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.text import Text

from migrate.report.layout import fitted
from tests.conftest import Run, service_sid
from tests.snapshots import write_snapshot


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("sign", ["+", "-", "~", "·", "→"])
def test_what_does_not_fit_goes_on_behind_the_sign_whatever_the_sign_is(sign: str, encoding: str) -> None:
    lines = fitted(Text(f"    {sign} some words that do not fit"), 20, encoding=encoding).plain.splitlines()
    lead = lines[0].index("some")
    assert len(lines) > 1
    assert all(line.startswith(" " * lead) and line[lead] != " " for line in lines[1:])


def test_values_stand_in_one_column_behind_wide_keys_too(tmp_path: Path, run: Run) -> None:
    sides = [
        write_snapshot(
            tmp_path / name,
            {service_sid(1): {"friendly_name": "one", "notifications": json.dumps({"漢字": on, "plain": on})}},
            {},
        )
        for name, on in (("a", True), ("b", False))
    ]
    lines = [line for line in run("diff", *sides).stdout.splitlines() if "true →" in line]
    assert len(lines) == 2
    assert len({cell_len(line.partition("true")[0]) for line in lines}) == 1
