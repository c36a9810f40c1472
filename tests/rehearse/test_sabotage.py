"""A loader with a mistake fails at the point that the mistake breaks."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from migrate.load.limits import Ground
from migrate.model.errors import MigrateError
from migrate.rehearse import processes, scenario
from migrate.rehearse.processes import Child, Children, StuckError
from tests.conftest import ROOT, Run, Serve, service_sid, tiny_world
from tests.rehearse.conftest import POINTS, UP_TO_DATE, Make, reasons, rehearse, verdicts, world

# --- a loader that is not --------------------------------------------------------------------------------

# How a loader could be wrong, and the point at which that shows. Each is run at the start of every child.
_EACH_POST = """
from migrate.twilio_api.client import TwilioApi
real = TwilioApi.post
def post(api, name, path, form):
    {}
TwilioApi.post = post
"""
SABOTAGE = {
    "dry run": """
from migrate.load import planning
from migrate.twilio_api.resources import notifications_path
real = planning.read_all
def read_all(api, sids):
    api.post("conversations", notifications_path(sids[0]), {"LogEnabled": "true"})
    return real(api, sids)
planning.read_all = read_all
""",
    "limits": """
from migrate.load import limits
limits.LIMITS["switches-off"] = lambda ground: ""
""",
    "kill": _EACH_POST.format(
        f"""real(api, name, "/Services/{service_sid(2)}/Configuration/Notifications", {{"LogEnabled": "true"}})
    return real(api, name, path, form)"""
    ),
    "stranger": """
from migrate.load import apply
apply._foreign = lambda *arguments, **options: ()
""",
    "go on": """
import sys
from pathlib import Path
from migrate.load.apply import Applier
from migrate.load.applied import Outcome
real = Applier._apply
def lazy(self, change):
    last = list(self._journal.path.parent.glob("06-*")) and change is self._plan.changes[-1]
    return Outcome(change, "applied") if last else real(self, change)
Applier._apply = lazy
""",
    "count": _EACH_POST.format("real(api, name, path, form); real(api, name, path, form)"),
    "load again": """
import sys
from msgspec.structs import replace
from migrate.load import planning
from migrate.model.plan import Change
real = planning.make_plan
def make_plan(api, folder, services=(), **options):
    plan = real(api, folder, services, **options)
    more = Change(plan.unchanged[0], "", {}, {"log_enabled": True}, ("log_enabled",)) if plan.unchanged else None
    return replace(plan, changes=(more,)) if more else plan
planning.make_plan = make_plan
""",
    "apply twice": """
from migrate.load import journal
journal.Journal.finish = lambda self: None
""",
    "retire": """
from migrate.retire import selection
from migrate.retire import delete
selection.why_needed = delete.why_needed = lambda facts: None
""",
    "roll back": """
from migrate.load import rollback
real = rollback._written
rollback._written = lambda journal: dict(list(real(journal).items())[:1])
""",
}
# The same for mistakes that a loader could make beside those; each with its point.
MORE = {
    "journals too late": ("kill", """
from migrate.load import journal
from migrate.storage.synced_log import SyncedLog
from migrate.twilio_api.client import TwilioApi
begin, post, append, late = journal.Journal.begin, TwilioApi.post, SyncedLog.append, []
def later(self, *arguments):
    SyncedLog.append = lambda *line: late.append(line)
    try:
        return begin(self, *arguments)
    finally:
        SyncedLog.append = append
def write(*arguments):
    try:
        return post(*arguments)
    finally:
        while late:
            append(*late.pop(0))
journal.Journal.begin, TwilioApi.post = later, write
"""),
    "takes a stranger's setting for its own": ("stranger", """
from migrate.load import apply
real = apply._foreign
def foreign(change, wanted, live, *, begun):
    return tuple(path for path in real(change, wanted, live, begun=begun) if path not in wanted)
apply._foreign = foreign
"""),
    "writes again without a look": ("count", """
from migrate.twilio_api.client import TwilioApi
once = TwilioApi.post
TwilioApi.post = lambda api, *rest: api.retry(lambda: once(api, *rest))
"""),
    "deletes what it does not journal": ("retire", """
from migrate.retire import journal
journal.RetireJournal.end = lambda self, sid, result: None
"""),
    "leaves what it need not": ("retire", """
from migrate.retire.delete import Retirer
from migrate.retire.retirement import Ending
Retirer._try = lambda self, row: Ending("unready")
"""),
    "deletes in its dry run": ("retire", """
from migrate.retire import selection
from migrate.twilio_api.resources import binding_path
real = selection.read_sides
def read_sides(api, sids):
    for binding in api.get("chat", f"/Services/{sids[0]}/Bindings")["bindings"][:1]:
        api.delete("chat", binding_path(sids[0], binding["sid"]))
    return real(api, sids)
selection.read_sides = read_sides
"""),
    "cannot retire": ("retire", "import sys\nif 'retire' in sys.argv: sys.exit('gone')"),
}  # fmt: skip
# Bindings that are needed, because Chat may push invites.
INVITED = {
    "bindings": [{"count": 3, "identity": "person-{n}", "message_types": [["new_message", "invited_to_channel"]]}]
}


def test_each_point_has_its_sabotage() -> None:
    assert list(SABOTAGE) == POINTS


def sabotage(folder: Path, environment: pytest.MonkeyPatch, code: str) -> None:
    """Run this at the start of every child."""
    (folder / "sabotage").mkdir()
    (folder / "sabotage" / "sitecustomize.py").write_text(code)
    environment.setenv("PYTHONPATH", f"{folder / 'sabotage'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


@pytest.mark.long
@pytest.mark.parametrize("mistake", MORE)
def test_other_mistakes_show_too(
    tmp_path: Path, run: Run, make: Make, environment: pytest.MonkeyPatch, mistake: str
) -> None:
    point, code = MORE[mistake]
    # Without changes to load, retiring is all that is rehearsed after the dry run.
    folder = make(tiny_world(conversations=UP_TO_DATE) if point == "retire" else world(4))
    sabotage(tmp_path, environment, code)
    found = verdicts(rehearse(run, folder, "--fault-rate", "0", "--json"))
    assert [name for name in POINTS if found[name] == "failed"] == [point]


@pytest.mark.long
def test_a_stand_in_that_dies_is_told_and_what_was_done_is_kept(
    run: Run, make: Make, temporary: Path, environment: pytest.MonkeyPatch
) -> None:
    real = scenario.Act.go_on

    def die(self: Any) -> None:
        self._children._started[0].kill()
        real(self)

    points = [(name, meaning, die if name == "go on" else method) for name, meaning, method in scenario.POINTS]
    environment.setattr("migrate.rehearse.rehearsal.POINTS", points)
    result = rehearse(run, make(world(3)), "--fault-rate", "0", "--report", "/proc/no/report.md")
    assert result.exit_code == 1
    assert "failed   go on" in result.stdout or "failed  go on" in result.stdout
    (kept,) = temporary.iterdir()
    assert f"are kept in {kept}" in result.stdout  # though the report could not be written


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGHUP, marks=pytest.mark.long)])
def test_no_stand_in_outlives_whoever_started_it(make: Make, temporary: Path, number: int) -> None:
    folder = make(tiny_world())
    paths = [str(folder / "mapped"), "--snapshot", str(folder / "snapshot")]
    command = [sys.executable, "-m", "migrate", "rehearse", *paths]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while not list(temporary.glob("*/02-load.out")) and time.monotonic() < deadline:
            time.sleep(0.01)
        (serving,) = temporary.glob("*/01-standin.out")
        url = serving.read_text().partition("=")[2].partition("\n")[0]
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGHUP else -number)
    deadline = time.monotonic() + 30
    is_there = True
    while is_there and time.monotonic() < deadline:
        try:
            requests.get(url, timeout=10)
        except requests.ConnectionError:
            is_there = False
    assert not is_there


@pytest.mark.long
@pytest.mark.parametrize("point", SABOTAGE)
def test_a_loader_that_is_wrong_fails_at_the_point_that_it_breaks(
    tmp_path: Path, run: Run, make: Make, temporary: Path, environment: pytest.MonkeyPatch, point: str
) -> None:
    folder = make(world(3 if point == "kill" else 2, **(INVITED if point == "retire" else {})))
    sabotage(tmp_path, environment, SABOTAGE[point])
    result = rehearse(run, folder, "--fault-rate", "0", "--json")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1), result.output
    found = verdicts(result)
    assert [name for name in POINTS if found[name] == "failed"] == [point], result.stdout
    later = POINTS[POINTS.index(point) + 1 :]
    assert {found[name] for name in later} <= {"skipped"}
    # The folder is kept, and the line names it, and the command that tries once more.
    (kept,) = temporary.iterdir()
    assert (json.loads(result.stdout)["kept"], kept.stat().st_mode & 0o777) == (str(kept), 0o700)
    assert str(kept) in result.stderr
    assert f"chat-migrate rehearse {shlex.quote(str(folder / 'mapped'))}" in result.stderr
    if point != "dry run":
        assert (kept / "plan.json").exists()


@pytest.mark.long
def test_a_refusal_that_does_not_say_why_fails(run: Run, make: Make, environment: pytest.MonkeyPatch) -> None:
    def more(ground: Ground) -> list[tuple[str, str]]:
        return [("switches-off", "it does"), ("unheard-of", "nobody knows")]

    environment.setattr(scenario, "violations", more)
    result = rehearse(run, make(world()), "--fault-rate", "0", "--json")
    assert result.exit_code == 1
    assert reasons(result)["limits"].startswith(
        "the refusal does not name unheard-of: Error: Not applied: [switches-off]"
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("point", "wrong", "shown"),
    [
        ("kill", "import sys\nif '--apply' in sys.argv: sys.exit('gone')", "it ended by itself, with 1: "),
        (
            "apply twice",
            "from migrate.model import errors\nreal = errors.RefusedError\n"
            "errors.RefusedError.__str__ = lambda self: 'for no reason [switches-off]'",
            "it was refused for another reason",
        ),
    ],
)
def test_a_child_that_ends_otherwise_is_told_with_what_it_said(
    tmp_path: Path, run: Run, make: Make, environment: pytest.MonkeyPatch, point: str, wrong: str, shown: str
) -> None:
    folder = make(tiny_world() if point == "kill" else world())
    (tmp_path / "sitecustomize.py").write_text(wrong)
    environment.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    result = rehearse(run, folder, "--fault-rate", "0", "--json")
    assert (result.exit_code, verdicts(result)[point]) == (1, "failed")
    assert shown in reasons(result)[point]


def test_a_failure_is_shown_in_text_too(
    run: Run, make: Make, temporary: Path, environment: pytest.MonkeyPatch
) -> None:
    folder = make(tiny_world())
    nothing = SABOTAGE["dry run"].replace("LogEnabled", "NoSuchField")  # a write, though it changes nothing
    (temporary.parent / "sitecustomize.py").write_text(nothing)
    environment.setenv("PYTHONPATH", f"{temporary.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    environment.setattr("migrate.cli.commands.rehearse._is_terminal", lambda: True)
    result = rehearse(run, folder, "--fault-rate", "0")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[:-1] == [f"Rehearsing: {name}" for name in POINTS]
    assert "FAILED: 1 failed, 9 skipped" in result.stdout
    assert "it wrote, so often: 1" in result.stdout


def test_what_cannot_be_rehearsed_is_refused_before_anything_is_started(
    tmp_path: Path, run: Run, make: Make, temporary: Path
) -> None:
    folder = make(tiny_world())
    assert run("rehearse", folder / "mapped", "--snapshot", folder / "snapshot", "--fault-rate", "0.6").exit_code == 2
    assert run("rehearse", folder / "snapshot", "--snapshot", folder / "snapshot").exit_code == 2
    within = rehearse(run, folder, "--report", folder / "mapped" / "r.md")
    assert (within.exit_code, within.stderr.count("\n")) == (4, 1)
    (folder / "snapshot" / "credentials.parquet").write_bytes(b"")
    damaged = rehearse(run, folder)
    assert (damaged.exit_code, damaged.stderr.count("\n")) == (4, 1)
    assert "is damaged" in damaged.stderr
    assert list(temporary.iterdir()) == []


def test_two_accounts_are_refused(tmp_path: Path, run: Run, serve: Serve, make: Make) -> None:
    folder = make(tiny_world())
    serve({**tiny_world(), "account_sid": "AC" + "2" * 32})
    assert run("extract", "--out", tmp_path / "other").exit_code == 0
    result = run("rehearse", folder / "mapped", "--snapshot", tmp_path / "other")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert "AC" + "2" * 32 in result.stderr


def test_ctrl_c_ends_everything_and_leaves_nothing(make: Make, temporary: Path) -> None:
    folder = make(tiny_world())
    paths = [str(folder / "mapped"), "--snapshot", str(folder / "snapshot")]
    command = [sys.executable, "-m", "migrate", "rehearse", *paths]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while not list(temporary.glob("*/02-load.out")) and time.monotonic() < deadline:
            time.sleep(0.01)
        (serving,) = temporary.glob("*/01-standin.out")
        url = serving.read_text().partition("=")[2].partition("\n")[0]
        assert requests.get(f"{url}/_standin", timeout=10).status_code == 401
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.count("\n")) == (130, "", 1)
    assert f"chat-migrate rehearse {folder / 'mapped'} --snapshot {folder / 'snapshot'}" in err
    assert list(temporary.iterdir()) == []
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=10)


def test_a_child_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    crew = Children(tmp_path, seconds=0.1)
    with pytest.raises(StuckError):
        crew.run("standin", "--port", "0")
    stuck = crew.start("standin", "--port", "0")
    with pytest.raises(StuckError):
        stuck.wait_until(lambda: False, 0.05)
    assert stuck.process.poll() is not None
    with pytest.raises(MigrateError, match="does not serve"):
        Children(tmp_path, seconds=0).serve("--port", "0")


def test_a_stand_in_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    with pytest.raises(MigrateError, match="it has no manifest"):
        Children(tmp_path).serve("--snapshot", tmp_path)


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setattr(processes, "GENTLE", 0.05)
    told = tmp_path / "told"
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    with told.open("wb") as stream, subprocess.Popen([sys.executable, "-c", code], stdout=stream) as process:
        child = Child(process, told, told)
        assert child.wait_until(lambda: child.last_line == "deaf", 30)
        child.end()
        child.end()  # which changes nothing any more
    assert process.returncode == -signal.SIGKILL
