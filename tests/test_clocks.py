"""The ages of bindings are measured by the source's clock: where it is not this machine's, that is said or refused."""

from __future__ import annotations

import itertools
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from migrate.model.clock import SIMULATED
from migrate.standin.server import StandInServer
from migrate.standin.world import World, make_world
from migrate.twilio_api.clocks import date_of
from tests.conftest import CASSETTE, Run, Serve, tiny_world
from tests.snapshots import AS_OF, binding, write_snapshot

pytestmark = pytest.mark.no_cover  # other tests cover the same lines; untraced, these take half the time

SAID = [timedelta(minutes=6), timedelta(hours=-23)]
ABSURD = [timedelta(days=730), timedelta(days=-730), timedelta(hours=25), timedelta(hours=-25)]


@pytest.fixture(autouse=True)
def _state(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))


@pytest.fixture
def server(serve: Serve, environment: pytest.MonkeyPatch) -> StandInServer:
    """A stand-in that does not say that it is one, with a clock that is right."""
    environment.setattr("migrate.standin.app.SIMULATED", "X-Something")
    now = datetime.now(UTC)
    ready = [{"count": 3, "message_types": [["twilio.conversations.new_message"]], "endpoint": "{n}"}]
    bindings = {"bindings": [{"count": 3, "endpoint": "{n}"}], "conversations_bindings": ready}
    settings: dict[str, Any] = {"conversations": {}, "conversations_shows_chat": False}
    return serve({**tiny_world(**bindings, **settings), "now": now.isoformat()})


def set_clock(server: StandInServer, ahead: timedelta) -> None:
    server.world.now = datetime.now(UTC) + ahead


@pytest.fixture
def mapped(tmp_path: Path, run: Run, server: StandInServer) -> Path:
    """A snapshot s and what was mapped of it, by clocks that are one."""
    for words in (["extract", "--out", tmp_path / "s"], ["map", tmp_path / "s", "--out", tmp_path / "m"]):
        result = run(*words)
        assert (result.exit_code, result.stderr) == (0, "")
        assert "clock-differs" not in result.stdout
    return tmp_path / "m"


@pytest.mark.parametrize(("command", "ahead"), [*(("extract", ahead) for ahead in ABSURD), ("run", ABSURD[-1])])
def test_nothing_is_read_by_an_absurd_clock(
    tmp_path: Path, run: Run, server: StandInServer, command: str, ahead: timedelta
) -> None:
    set_clock(server, ahead)
    result = run(command, "--out", tmp_path / "s")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert "the clock of 127.0.0.1" in result.stderr
    assert ("ahead of" if ahead > timedelta() else "behind") in result.stderr
    assert "Set this machine's clock" in result.stderr
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("ahead", [ABSURD[0], ABSURD[-1]])
@pytest.mark.parametrize("command", [["verify"], ["retire"], ["retire", "--apply", "--yes", "--force", "few-ready"]])
def test_nothing_is_compared_or_deleted_by_an_absurd_clock(
    tmp_path: Path, run: Run, mapped: Path, server: StandInServer, command: list[str], ahead: timedelta
) -> None:
    set_clock(server, ahead)
    result = run(command[0], tmp_path / "s", "--coverage", tmp_path / "c", *command[1:])
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1), result.output
    assert "the clock of 127.0.0.1" in result.stderr
    assert server.world.writes == []
    assert not list((tmp_path / "c").glob("*.parquet"))


def test_no_force_lets_a_retirement_go_by_an_absurd_clock(tmp_path: Path, run: Run) -> None:
    result = run("retire", tmp_path / "s", "--apply", "--yes", "--force", "clock")
    assert result.exit_code == 2
    assert "'clock' is not one of" in result.stderr


@pytest.mark.parametrize("ahead", [ABSURD[0], ABSURD[-1]])
def test_an_absurd_clock_is_a_limit_of_a_load(
    tmp_path: Path, run: Run, mapped: Path, server: StandInServer, ahead: timedelta
) -> None:
    set_clock(server, ahead)
    shown = run("load", mapped, "--plan-out", tmp_path / "plan.json")
    assert shown.exit_code == 0
    assert "\n  clock" in shown.stdout
    words = ["load", "--plan", tmp_path / "plan.json", "--apply", "--yes", "--force", "old-snapshot"]
    refused = run(*words)
    assert refused.exit_code == 4
    assert "[clock] the clock of 127.0.0.1" in refused.stderr
    assert server.world.writes == []
    assert run(*words, "--force", "clock").exit_code == 0
    assert server.world.writes


@pytest.mark.parametrize("ahead", SAID)
def test_from_five_minutes_a_difference_is_said(
    tmp_path: Path, run: Run, mapped: Path, server: StandInServer, ahead: timedelta
) -> None:
    set_clock(server, ahead)
    warned = "Warning: the clock of 127.0.0.1"
    extracted = run("extract", "--out", tmp_path / "t")
    assert (extracted.exit_code, "clock-differs" in extracted.stdout) == (0, True)
    told = json.loads(run("extract", "--out", tmp_path / "u", "--json").stdout)
    assert abs(told["clock_ahead"] - ahead.total_seconds()) < 60
    assert [finding["code"] for finding in told["findings"]] == ["clock-differs"]
    assert "clock-differs" in run("map", tmp_path / "t", "--out", tmp_path / "n", "--json").stdout
    assert "clock-differs" in run("load", tmp_path / "n").stdout
    for words in (
        ["run", "--out", tmp_path / "r"],
        ["load", mapped],
        ["verify", tmp_path / "s", "--coverage", tmp_path / "c"],
        ["retire", tmp_path / "s", "--coverage", tmp_path / "c"],
    ):
        result = run(*words)
        assert (result.exit_code, warned in result.stderr) == (0, True), result.output


@pytest.mark.parametrize("ahead", [timedelta(minutes=4), timedelta(minutes=-4)])
def test_less_than_five_minutes_is_not_said(
    tmp_path: Path, run: Run, mapped: Path, server: StandInServer, ahead: timedelta
) -> None:
    set_clock(server, ahead)
    result = run("verify", tmp_path / "s", "--coverage", tmp_path / "c")
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [(timedelta(minutes=4), "fine"), (timedelta(minutes=-6), "note"), (timedelta(days=2), "wrong")],
)
def test_doctor_looks_at_the_clock(run: Run, server: StandInServer, ahead: timedelta, verdict: str) -> None:
    set_clock(server, ahead)
    checks = json.loads(run("doctor", "--json").stdout)["checks"]
    assert [check["verdict"] for check in checks if check["name"] == "clock"] == [verdict]


@pytest.mark.parametrize(
    "header",
    [
        "Sat, 28 Nov 2026 14:00:00 GMT",
        "Saturday, 28-Nov-26 14:00:00 GMT",
        "Sat Nov 28 14:00:00 2026",
        "Sat, 28 Nov 2026 14:00:00 -0000",
        "Sat, 28 Nov 2026 14:00:00",
        "Sat, 28 Nov 2026 14:00:00 GMT, Sat, 28 Nov 2026 14:00:00 GMT",  # a proxy adds its own
    ],
)
def test_a_date_is_in_utc_in_each_form_of_http_wherever_this_machine_is(
    header: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert date_of(header) == datetime(2026, 11, 28, 14, tzinfo=UTC)
    finally:
        environment.undo()
        time.tzset()


# --- worlds and recordings ----------------------------------------------------------------------------------


def test_a_world_of_the_stand_in_may_stand_still_in_the_past_and_not_in_the_future(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    world = make_world({**tiny_world(), "now": "2019-01-01T00:00:00Z"})
    serve(world)
    result = run("extract", "--out", tmp_path / "s")
    assert (result.exit_code, result.stderr) == (0, "")
    world.now = datetime.now(UTC) + timedelta(days=730)
    result = run("extract", "--out", tmp_path / "t")
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)


def test_a_replay_of_a_recording_of_long_ago_is_quiet(tmp_path: Path, run: Run) -> None:
    old = CASSETTE.read_text("utf-8").replace("Mon, 15 Jun 2026", "Sat, 15 Jun 2019")
    assert "2019" in old
    (tmp_path / "c.yaml").write_text(old)
    result = run("extract", "--out", tmp_path / "s", "--replay", tmp_path / "c.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads((tmp_path / "s" / "manifest.json").read_bytes())["clock_ahead"] == 0


@pytest.mark.parametrize(("ahead", "code"), [(SAID[0], 0), (ABSURD[0], 4), (ABSURD[1], 4)])
def test_a_replay_compares_the_clock_with_the_time_of_its_recording(
    tmp_path: Path, run: Run, server: StandInServer, ahead: timedelta, code: int
) -> None:
    set_clock(server, ahead)
    live = run("extract", "--out", tmp_path / "s", "--record", tmp_path / "c.yaml")
    replayed = run("extract", "--out", tmp_path / "t", "--replay", tmp_path / "c.yaml")
    assert (live.exit_code, replayed.exit_code) == (code, code)
    for result in (live, replayed):
        assert "clock-differs" in result.stdout or "the clock of" in result.stderr
    entries = yaml.safe_load((tmp_path / "c.yaml").read_text("utf-8"))["interactions"]
    assert all("x-recorded-at" in entry["response"]["headers"] for entry in entries)


def test_the_stand_in_says_that_its_time_is_its_worlds(serve: Serve, demo_world: World) -> None:
    import requests

    server = serve(demo_world)
    assert requests.get(f"{server.url}/v2/Services", timeout=5).headers[SIMULATED] == "past"


# --- snapshots of earlier versions --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("started_at", "differs"),
    [
        (AS_OF - timedelta(days=730), True),
        (AS_OF - timedelta(minutes=9), False),  # as long as it took to get an answer
        (AS_OF + timedelta(days=200), False),  # of a recording, or the stand-in
    ],
)
def test_a_snapshot_of_an_earlier_version_has_both_clocks(
    tmp_path: Path, run: Run, started_at: datetime, differs: bool
) -> None:
    services: dict[str, Any] = {"IS" + "1" * 32: {}}
    rows = {"IS" + "1" * 32: [[binding(1)]]}
    write_snapshot(tmp_path / "s", services, rows, started_at=started_at.isoformat())
    summary = json.loads(run("map", tmp_path / "s", "--out", tmp_path / "m", "--json").stdout)
    assert ("clock-differs" in [finding["code"] for finding in summary["findings"]]) == differs


@pytest.mark.parametrize("value", ["soon", 1.5, True, 10**12, [1]])
def test_a_manifest_whose_clock_is_no_number_is_none(tmp_path: Path, run: Run, value: Any) -> None:
    write_snapshot(tmp_path / "s", {}, {}, clock_ahead=value)
    result = run("map", tmp_path / "s", "--out", tmp_path / "m")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


def test_a_beginning_that_is_no_time_tells_nothing(tmp_path: Path, run: Run) -> None:
    write_snapshot(tmp_path / "s", {}, {}, started_at="some time ago")
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 0


def test_a_world_that_is_meant_to_play_in_the_future_may(tmp_path: Path, run: Run, serve: Serve) -> None:
    world = make_world({**tiny_world(), "now": "2099-01-01T00:00:00Z"})
    world.plays_ahead = True
    serve(world)
    result = run("extract", "--out", tmp_path / "s")
    assert (result.exit_code, result.stderr) == (0, "")


def test_where_no_answer_says_the_time_that_is_said_and_nothing_is_deleted(
    tmp_path: Path, run: Run, mapped: Path, server: StandInServer, environment: pytest.MonkeyPatch
) -> None:
    environment.setattr("migrate.standin.app.format_datetime", lambda *arguments, **options: "soon")
    retire = ["retire", tmp_path / "s", "--coverage", tmp_path / "c"]
    verify = ["verify", tmp_path / "s", "--coverage", tmp_path / "c"]
    for words in (["extract", "--out", tmp_path / "t"], verify, ["load", mapped], retire):
        result = run(*words)
        assert (result.exit_code, "no answer says what time it is" in result.stderr) == (0, True), result.output
    applied = run(*retire, "--apply", "--yes", "--force", "few-ready")
    assert applied.exit_code == 4
    assert "[clock] no answer says what time it is" in applied.stderr
    assert server.world.writes == []
    assert run(*retire, "--apply", "--yes", "--force", "clock").exit_code == 2


def test_a_clock_that_jumps_in_the_midst_is_said(
    tmp_path: Path, run: Run, server: StandInServer, environment: pytest.MonkeyPatch
) -> None:
    ahead = itertools.chain([timedelta()] * 3, itertools.repeat(timedelta(minutes=150)))
    environment.setattr(
        "migrate.standin.app.format_datetime",
        lambda now, usegmt: format_datetime(datetime.now(UTC) + next(ahead), usegmt=usegmt),
    )
    result = run("extract", "--out", tmp_path / "t")
    assert (result.exit_code, result.stderr.count("\n")) == (0, 1)
    assert "is 2 h " in result.stderr


def test_nothing_is_deleted_once_a_clock_has_jumped_by_a_day(
    tmp_path: Path, run: Run, mapped: Path, server: StandInServer, environment: pytest.MonkeyPatch
) -> None:
    ahead = itertools.chain([timedelta()] * 3, itertools.repeat(timedelta(days=2)))
    environment.setattr(
        "migrate.standin.app.format_datetime",
        lambda now, usegmt: format_datetime(datetime.now(UTC) + next(ahead), usegmt=usegmt),
    )
    retire = ["retire", tmp_path / "s", "--coverage", tmp_path / "c", "--apply", "--yes", "--force", "few-ready"]
    result = run(*retire)
    assert result.exit_code == 4, result.output
    assert "[clock] the clock of 127.0.0.1" in result.stderr
    assert server.world.writes == []
