"""A set of SIDs on the disk is a set of SIDs, and stays small in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.storage import sid_set
from migrate.storage.sid_set import Sids

some = st.integers(0, 40).map(lambda number: f"BS{number:032x}")
strange = st.none() | st.text(max_size=40) | st.integers(0, 40).map(lambda number: f"BS{number:032x}0")


@settings(max_examples=60)
@given(st.lists(some, unique=True), st.lists(some | strange))
def test_it_has_what_was_added_and_nothing_else(added: list[str], asked: list[str | None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sid_set, "RUN", 7)
        found = Sids(Path("/no/such/folder"))
        for sid in added:
            found.add(sid)
    assert (len(found), sorted(found)) == (len(added), sorted(added))
    assert found.among(pa.array(asked, pa.string())).to_pylist() == [sid in added for sid in asked]
    assert [sid in found for sid in asked] == [sid in added for sid in asked]


def test_nothing_of_it_is_left_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sid_set, "RUN", 2)
    found = Sids(tmp_path)
    for number in range(5):
        found.add(f"BS{number:032x}")
    assert list(tmp_path.iterdir()) == []
    assert len([*found]) == 5


@pytest.mark.long
def test_a_journal_of_a_million_is_not_held_in_memory(tmp_path: Path) -> None:
    """Read and asked for, in a process of its own; as a set of texts it took 100 bytes a SID. What is mapped from a
    file is not counted: the system takes it back where it needs the memory.
    """
    many = 1_000_000
    with (tmp_path / "j.jsonl").open("w") as file:
        file.write(
            '{"format_version": 1, "kind": "retire", "snapshot": "s", "account_sid": "A", "target": "t", "conversations": "c"}\n'
        )
        for number in range(many):
            sid = f"BS{number:032x}"
            file.write(f'{{"intent": "{sid}"}}\n{{"result": "{sid}", "status": "deleted"}}\n')
    code = (
        "import re, sys; from pathlib import Path; import pyarrow as pa;"
        "from migrate.retire.journal import read_retire_journal as read;"
        "own = lambda: int(re.search(r'RssAnon:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]);"
        "before = own(); journal = read(Path(sys.argv[1]), 's', 'A', 't', 'c');"
        "assert journal.deleted.among(pa.array([f'BS{7:032x}', f'BS{10**9:032x}'])).to_pylist() == [True, False];"
        "print(len(journal.deleted), own() - before)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "j.jsonl")]
    found, grown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert (int(found), int(grown) < 60_000) == (many, True), f"{grown} KB"
