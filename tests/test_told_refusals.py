"""What a dry run and its reports say an apply would be refused for is what it is refused for."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result

from migrate.standin.world import World
from tests.applying import FORCE
from tests.conftest import CASSETTE, Demo, Run, Serve, service_sid

HEADING = "To apply it would be refused:\n"


@pytest.fixture(autouse=True)
def _state(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))


@pytest.fixture
def mapped(tmp_path: Path, migration: Path) -> Path:
    """The demo, mapped, with its snapshot beside it."""
    return Path(shutil.copytree(migration, tmp_path / "run")) / "mapped"


def told(result: Result) -> list[str]:
    """The names of the limits that a dry run tells."""
    return re.findall(r"^  ([a-z-]+)  ", result.stdout.partition(HEADING)[2], re.MULTILINE)


def reported(folder: Path) -> Iterator[list[str]]:
    """The names of the limits that each report has."""
    yield re.findall(r"<li><code>([a-z-]+)</code>: ", (folder / "r.html").read_text("utf-8"))
    yield re.findall(r"^- `([a-z-]+)`: ", (folder / "r.md").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    ("days", "options", "expected"),
    [
        (0, (), ["blockers", "switches-off"]),
        (0, ("--max-services", "4"), ["blockers", "switches-off", "many-services"]),
        (0, ("--service", service_sid(1)), []),
        (31, (), ["old-snapshot", "blockers", "switches-off"]),
    ],
)
def test_it_is_what_apply_is_refused_for(
    tmp_path: Path,
    mapped: Path,
    run: Run,
    serve: Serve,
    demo_world: World,
    days: int,
    options: tuple[str, ...],
    expected: list[str],
) -> None:
    demo_world.now += timedelta(days=days)
    serve(demo_world)
    reports = ("--report", tmp_path / "r.html", "--report", tmp_path / "r.md")
    shown = run("load", mapped, *options, *reports)
    assert (shown.exit_code, told(shown)) == (0, expected)
    assert [*reported(tmp_path)] == [expected, expected]
    verdict = "Do not apply it yet" if expected else "Ready to be applied"
    assert all(verdict in (tmp_path / name).read_text("utf-8") for name in ("r.html", "r.md"))
    applied = run("load", mapped, *options, "--apply", "--yes")
    assert re.findall(r"\[([a-z-]+)\]", applied.stderr) == expected
    assert applied.exit_code == (4 if expected else 0)


def test_a_snapshot_that_is_gone_is_told(
    tmp_path: Path, mapped: Path, run: Run, serve: Serve, demo_world: World
) -> None:
    serve(demo_world)
    shutil.rmtree(mapped.parent / "snapshot")
    assert told(run("load", mapped)) == ["unverified-snapshot", "blockers", "switches-off"]


def test_a_recording_can_never_be_applied(tmp_path: Path, run: Run, demo: Demo) -> None:
    options = ("--replay", CASSETTE, "--report", tmp_path / "r.html", "--report", tmp_path / "r.md")
    assert told(run("load", demo.folder / "mapped", *options)) == ["other-account", "blockers", "switches-off"]
    assert [names[0] for names in reported(tmp_path)] == ["other-account"] * 2


def test_of_a_saved_plan_it_tells_what_has_become_of_it(
    tmp_path: Path, mapped: Path, run: Run, serve: Serve, demo_world: World
) -> None:
    serve(demo_world)
    plan = tmp_path / "plan.json"
    reports = ("--report", tmp_path / "r.html", "--report", tmp_path / "r.md")
    assert (
        run("load", mapped, "--plan-out", plan, "--service", service_sid(1), "--service", service_sid(3)).exit_code
        == 0
    )
    assert told(run("load", "--plan", plan, *reports)) == []
    configuration = demo_world.services[service_sid(3)].configuration
    assert configuration is not None
    before = dict(configuration)
    configuration["new_message.sound"] = "somebody else's"
    overtaken = run("load", "--plan", plan, *reports)
    assert (overtaken.exit_code, told(overtaken)) == (5, ["stale"])
    assert [*reported(tmp_path)] == [["stale"], ["stale"]]
    configuration.clear()
    configuration.update(before)
    assert run("load", "--plan", plan, "--apply", "--yes").exit_code == 0
    again = run("load", "--plan", plan, *reports)
    assert (again.exit_code, told(again)) == (0, ["applied"])
    assert "it was applied already" in again.stdout
    assert "applied already" in run("load", "--plan", plan, "--apply", "--yes").stderr


def test_a_report_of_what_is_applied_does_not_say_that_nothing_was_written(
    tmp_path: Path, mapped: Path, run: Run, serve: Serve, demo_world: World
) -> None:
    serve(demo_world)
    reports = ("--report", tmp_path / "r.html", "--report", tmp_path / "r.md")
    assert run("load", mapped, "--apply", "--yes", *FORCE, *reports).exit_code == 0
    for name in ("r.html", "r.md"):
        text = (tmp_path / name).read_text("utf-8")
        assert "Push configuration: what is to be applied" in text
        assert "Nothing was written" not in text
        assert "what became of it is in the journal" in text
