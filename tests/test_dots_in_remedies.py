"""A remedy can be pasted whatever its last word is: `.` and `..` are folders, and no period."""

from __future__ import annotations

import pytest

from migrate.cli.spelling import command_of
from migrate.model.errors import InputError, Step, also


@pytest.mark.parametrize("folder", [".", "..", "../..", "ends-in-a-dot."])
def test_the_folder_at_the_end_of_a_command_stays_in_it(folder: str) -> None:
    error = InputError("It is not there.", remedy=("Make it with: ", Step("map", {"snapshot": "s", "out": folder})))
    assert str(error.spell(command_of)).endswith(f"It is not there. Make it with: chat-migrate map s --out {folder}")


def test_a_period_is_left_out_at_the_end_and_a_folder_is_not() -> None:
    assert str(InputError("Nothing is there.", remedy="Look again.")) == "Nothing is there. Look again"
    assert str(InputError("Nothing is in ..", remedy="Name a folder.")) == "Nothing is in ... Name a folder"
    assert also("Look at a.txt.", "Then go.") == ("Look at a.txt. ", "Then go.")
    assert also("Look at ..", "Then go.") == ("Look at ... ", "Then go.")
