"""What a dry run and its reports say an apply would be refused for is what it is refused for."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result

from migrate.load.limits import LIMITS, OF_A_ROLLBACK
from migrate.standin.world import World
from tests.applying import FORCE
from tests.conftest import CASSETTE, Demo, Run, Serve, service_sid

HEADING = "Blocked by:\n"


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
        (0, ("--max-services", "3"), ["blockers", "switches-off", "many-services"]),
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
    reports = ("--report", tmp_path / "r.html", "--report", tmp_path / "r.md", "--overwrite")
    assert (
        run(
            "load",
            mapped,
            "--plan-out",
            plan,
            "--service",
            service_sid(1),
            "--service",
            service_sid(3),
            "--force",
            "inferred",
        ).exit_code
        == 0
    )
    assert told(run("load", "--plan", plan, *reports)) == []
    configuration = demo_world.services[service_sid(3)].configuration
    assert configuration is not None
    before = dict(configuration)
    configuration["new_message.sound"] = "somebody else's"
    overtaken = run("load", "--plan", plan, *reports)
    assert (overtaken.exit_code, told(overtaken)) == (5, ["stale"])
    assert re.search(
        r"1 of 2 since it was made: IS\w+; an apply leaves those alone, writes the others", overtaken.stdout
    )
    assert "exits with 5" in overtaken.stdout
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


@pytest.mark.parametrize("apply", [False, True])
def test_what_is_lifted_is_not_told(
    tmp_path: Path, mapped: Path, run: Run, serve: Serve, demo_world: World, apply: bool
) -> None:
    serve(demo_world)
    reports = ("--report", tmp_path / "r.html", "--report", tmp_path / "r.md", "--overwrite")
    part = run("load", mapped, "--force", "blockers", *reports)
    assert (told(part), [*reported(tmp_path)]) == (["switches-off"], [["switches-off"]] * 2)
    whole = run("load", mapped, *FORCE, *reports, *(("--apply", "--yes") if apply else ()))
    assert (whole.exit_code, told(whole), [*reported(tmp_path)]) == (0, [], [[], []])
    assert all("Ready to be applied" in (tmp_path / name).read_text("utf-8") for name in ("r.html", "r.md"))


@pytest.mark.parametrize("days", [0, 31])
def test_a_snapshots_age_is_told_by_the_targets_clock(
    tmp_path: Path, mapped: Path, run: Run, serve: Serve, demo_world: World, days: int
) -> None:
    serve(demo_world)  # whose clock stands at the world's time, and not at this machine's
    plan, reports = tmp_path / "plan.json", ("--report", tmp_path / "r.html", "--report", tmp_path / "r.md")
    assert run("load", mapped, "--service", service_sid(1), "--plan-out", plan).exit_code == 0
    demo_world.now += timedelta(days=days)
    applied = run("load", "--plan", plan, "--apply", "--yes", *reports)
    assert applied.exit_code == (4 if days else 0)
    assert [*reported(tmp_path)] == [["old-snapshot"] if days else []] * 2


def test_a_secret_that_is_not_there_is_told(
    tmp_path: Path, mapped: Path, run: Run, serve: Serve, demo_world: World, environment: pytest.MonkeyPatch
) -> None:
    serve(demo_world)
    environment.setenv("ODD_SECRET", "not-a-key-at-all")
    with (mapped / "push-config.yaml").open("a", encoding="utf-8") as file:
        file.write("\ncredentials:\n")
        file.writelines(f"  {name}: {{type: fcm, secret: env:{name}_SECRET}}\n" for name in ("NOPE", "ODD"))
    options = ("--only-credentials", "--report", tmp_path / "r.html", "--report", tmp_path / "r.md")
    shown = run("load", mapped, *options)
    assert (shown.exit_code, told(shown)) == (0, ["secrets", "secrets"])
    assert "env:NOPE_SECRET is not set, or empty" in shown.stdout
    assert "env:ODD_SECRET is no service-account key" in shown.stdout
    assert "not-a-key-at-all" not in shown.output
    assert run("load", mapped, "--only-credentials", "--apply", "--yes").exit_code == 1


def test_of_a_rollback_it_tells_what_that_is_refused_for(
    tmp_path: Path, mapped: Path, run: Run, serve: Serve, demo_world: World
) -> None:
    server = serve(demo_world)
    assert run("load", mapped, "--apply", "--yes", *FORCE).exit_code == 0
    (journal,) = mapped.parent.glob("*.journal.jsonl")
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    assert elsewhere != server.url
    for options, expected, remedy in (
        (("--max-services", "4"), ["many-services"], "raise --max-services"),
        (("--conversations-url", elsewhere), ["other-address"], f"from {server.url}, and would be"),
        (("--conversations-url", elsewhere), ["other-address"], "name the former with --conversations-url"),
        ((), [], ""),
    ):
        shown = run("rollback", journal, *options)
        assert (shown.exit_code, told(shown), remedy in shown.stdout) == (0, expected, True)
        lifted = [word for name in expected for word in ("--force", name)]
        assert told(run("rollback", journal, *options, *lifted)) == []
        applied = run("rollback", journal, *options, "--apply", "--yes")
        assert re.findall(r"\[([a-z-]+)\]", applied.stderr) == expected
        assert applied.exit_code == (4 if expected else 0)
    assert run("load", mapped, "--apply", "--yes", *FORCE).exit_code == 0
    shown = run("rollback", journal)  # what it undid is there again, by another plan
    assert told(shown) == ["applied"]
    assert "applied already" in run("rollback", journal, "--apply", "--yes").stderr


def test_a_rollback_offers_the_limits_that_it_has(tmp_path: Path, run: Run, serve: Serve, demo_world: World) -> None:
    serve(demo_world)
    journal = tmp_path / "j.journal.jsonl"
    journal.touch()
    for name in LIMITS:
        assert (run("rollback", journal, "--force", name).exit_code == 2) == (name not in OF_A_ROLLBACK)
    text = "".join(run("rollback", "--help").stdout.split())  # its lines break at hyphens too
    assert f"Liftthislimit:{','.join(OF_A_ROLLBACK)}.Repeatable" in text


def test_a_run_in_one_go_tells_it_too(tmp_path: Path, run: Run, serve: Serve, demo_world: World) -> None:
    serve(demo_world)
    done = run("run", "--out", tmp_path / "out")
    assert (done.exit_code, told(done)) == (0, ["blockers", "switches-off"])


def test_help_says_which_command_goes_on(run: Run) -> None:
    load, rollback = (" ".join(run(command, "--help").stdout.split()) for command in ("load", "rollback"))
    assert "After an interruption, `load --plan FILE --apply` goes on" in load
    for text in (load, rollback):
        assert "Name it again to resume: it is not looked for there" in text
