"""A remedy can be pasted whatever its last word is: `.` and `..` are folders, and no period."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrate.model.errors import InputError, also
from tests.conftest import Run


@pytest.mark.parametrize("folder", [".", "..", "../..", "ends-in-a-dot."])
def test_the_folder_at_the_end_of_a_command_stays_in_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    (here := tmp_path / "ends-in-a-dot." / "b").mkdir(parents=True)
    (here / "ends-in-a-dot.").mkdir()
    monkeypatch.chdir(here)
    result = run("explain", folder, "BS" + "0" * 32)
    assert result.exit_code == 1
    assert result.stderr.rstrip("\n").endswith(f"Make one with: chat-migrate map SNAPSHOT --out {folder}")


def test_a_period_is_left_out_at_the_end_and_a_folder_is_not() -> None:
    assert str(InputError("Nothing is there.", remedy="Look again.")) == "Nothing is there. Look again"
    assert str(InputError("Nothing is in ..", remedy="Name a folder.")) == "Nothing is in ... Name a folder"
    assert also("Look at a.txt.", "Then go.") == ("Look at a.txt. ", "Then go.")
    assert also("Look at ..", "Then go.") == ("Look at ... ", "Then go.")
