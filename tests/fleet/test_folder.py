"""fleet.json, the first wave, and how far a fleet is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.fleet.folder import FleetFolder, read_fleet
from migrate.fleet.outcome import AccountOutcome
from migrate.fleet.progress import FleetProgress
from migrate.fleet.wave import wave_of
from migrate.model.errors import InputError, RefusedError, UsageError
from tests.fleet.conftest import sid_of

SIDS = st.sets(st.integers(0, 10**6).map(sid_of), min_size=1, max_size=60)


@given(SIDS, st.integers(1, 100), st.integers(1, 100))
def test_a_wider_wave_contains_the_narrower_and_both_have_the_size_that_was_asked_for(
    sids: set[str], one: int, other: int
) -> None:
    narrow, wide = sorted((one, other))
    assert wave_of(sids, str(narrow)) <= wave_of([*sids], str(wide)) <= sids
    assert wave_of(sids, f"{narrow}%") <= wave_of(sorted(sids), f"{wide}%") <= sids
    assert len(wave_of(sids, str(narrow))) == min(narrow, len(sids))
    assert len(sids) * narrow / 100 <= len(wave_of(sids, f"{narrow}%")) < len(sids) * narrow / 100 + 1
    assert wave_of(sids, "100%") == wave_of(sids, None) == sids


@pytest.mark.parametrize("only", ["", "0", "0%", "101%", "-1", "5 %", "some", "1e3", "٣"])
def test_a_wave_is_a_number_or_a_share(only: str) -> None:
    with pytest.raises(UsageError, match="neither a number of accounts nor a share"):
        wave_of([sid_of(1)], only)


def outcome(number: int) -> AccountOutcome:
    return AccountOutcome(sid_of(number), "Kunde ✓", "active", "failed", 4, "why", figures={"bindings": number})


def test_what_is_noted_is_read_again_and_what_was_noted_before_stays(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    for numbers, stage in (((1, 2), "extract"), ((2, 3), "map")):
        with FleetFolder.held(folder, sid_of(9)) as held:
            for number in numbers:
                held.enter(sid_of(number), "Kunde ✓", "active")
                held.note(stage, outcome(number))
            with pytest.raises(RefusedError, match="Another process"), FleetFolder.held(folder):
                pass
    found = read_fleet(folder)
    assert found.main_account_sid == sid_of(9)
    assert [*found.accounts] == [sid_of(number) for number in (1, 2, 3)]
    assert [*found.accounts[sid_of(2)].stages] == ["extract", "map"]
    record = found.accounts[sid_of(3)].stages["map"]
    assert (record.state, record.exit_code, record.reason, record.figures) == ("failed", 4, "why", {"bindings": 3})
    with pytest.raises(RefusedError, match="is the fleet of main account"), FleetFolder.held(folder, sid_of(8)):
        pass


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "not JSON"),
        ("[]", "cannot be read"),
        ({"format_version": 2}, "in another format"),
        ({"format_version": 1, "tool_version": "1", "main_account_sid": "x", "accounts": {}}, "main_account_sid"),
        ({"format_version": 1, "tool_version": "1", "main_account_sid": None, "accounts": {"../..": {}}}, "accounts"),
        ({"format_version": 1, "tool_version": "1", "main_account_sid": None, "accounts": {}, "x": 1}, "cannot be"),
    ],
)
def test_a_fleet_json_that_is_not_ours_is_one_clear_line(tmp_path: Path, content: object, what: str) -> None:
    path = tmp_path / "fleet.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError, match=what) as error, FleetFolder.held(tmp_path):
        pass
    assert str(path) in str(error.value)
    assert error.value.remedy
    assert path.read_text() == (content if isinstance(content, str) else json.dumps(content))


def test_a_folder_with_something_else_is_no_place_for_a_fleet(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    with pytest.raises(RefusedError, match="holds letters"), FleetFolder.held(tmp_path):
        pass
    with pytest.raises(InputError, match="is not a fleet's folder"):
        read_fleet(tmp_path)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(RefusedError, match="is no folder"), FleetFolder.held(file):
        pass
    (tmp_path / "other" / sid_of(1)).mkdir(parents=True)  # its fleet.json was moved away
    with FleetFolder.held(tmp_path / "other") as held:
        assert not held.manifest.accounts


def test_the_progress_of_accounts_that_are_finished_counts_on() -> None:
    progress = FleetProgress()
    for number in (1, 2):
        one = progress.of(sid_of(number), {"a": 10, "b": 5})
        one.add("a", rows=number, chains=1)
        one.requests_now, one.trouble = (lambda: 3), (lambda: "")
    progress.done(sid_of(1))
    progress.done(sid_of(7))  # one that has not begun
    finished, working = progress.read()[sid_of(1)], progress.read()[sid_of(2)]
    assert (finished.rows, finished.expected, finished.is_complete) == (1, 15, True)
    assert (working.rows, working.is_complete) == (2, False)
    assert progress.requests_now() == 3
    assert progress.trouble() == ""
    progress.of(sid_of(1)).add("a", rows=1)  # its next stage
    assert progress.read()[sid_of(1)].rows == 2
