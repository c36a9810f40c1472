"""`health` says which credential fails, since when, for how many devices, and what to do; scripts can go by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from migrate.model.schemas import PUSH_ERRORS_BY_HOUR
from migrate.push_errors.health_folder import read_measured
from migrate.report.health import bars
from migrate.standin.faults import Faults
from tests.conftest import Run, service_sid
from tests.push_errors.conftest import Monitored, alerts_world

CREDENTIAL, SERVICE = "CR" + "1".zfill(32), service_sid(1)
LEGACY = {"code": 52117, "count": 48, "hours_ago": [20, 1], "credential": "push", "resource_sid": "binding"}
NO_CREDENTIAL = {"code": 52004, "count": 6, "hours_ago": 2, "service": "Tiny", "service_sid": "service"}
APART = {"code": 52110, "count": 3, "hours_ago": [5, 4]}
STRANGE = {"code": 52150, "count": 2, "hours_ago": 3, "credential": "push", "resource_sid": "credential"}
OTHERS = {"code": 30007, "count": 11, "hours_ago": [23, 1]}
OLD = {"code": 52131, "count": 5, "hours_ago": [200, 150], "credential": "push", "resource_sid": "credential"}
ALL = (LEGACY, NO_CREDENTIAL, APART, STRANGE, OTHERS, OLD)


@pytest.fixture
def snapshot(tmp_path: Path, run: Run, monitored: Monitored) -> Path:
    """A snapshot of the world, which is then served."""
    monitored(alerts_world(*ALL))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    return tmp_path / "s"


def found(run: Run, *arguments: object) -> dict[str, Any]:
    result = run("health", *arguments, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_errors_are_counted_by_credential_service_and_code(tmp_path: Path, run: Run, snapshot: Path) -> None:
    document = found(run, "--out", tmp_path / "h", "--snapshot", snapshot)
    assert (document["alerts"], document["errors"], document["live_devices"]) == (70, 59, 3)
    rows = {(row["credential_sid"], row["service_sid"], row["error_code"]): row for row in document["errors_by_code"]}
    # A binding that an alert names tells the rest, which the snapshot has.
    legacy = rows[CREDENTIAL, SERVICE, 52117]
    assert (legacy["errors"], legacy["bindings"], legacy["live_devices"]) == (48, 3, 3)
    assert (legacy["first"], legacy["last"]) == ("2026-06-14T12:00:00Z", "2026-06-15T07:00:00Z")
    assert sum(legacy["trend"]) == 48
    assert rows[None, SERVICE, 52004]["errors"] == 6
    assert rows[None, None, 52110]["errors"] == 3
    assert rows[CREDENTIAL, None, 52150]["kind"] == "unknown"
    assert sum(row["errors"] for row in rows.values()) == document["errors"]


def test_without_a_snapshot_a_binding_is_not_guessed_at(tmp_path: Path, run: Run, monitored: Monitored) -> None:
    monitored(alerts_world(LEGACY))
    (row,) = found(run, "--out", tmp_path / "h")["errors_by_code"]
    assert (row["credential_sid"], row["service_sid"], row["errors"]) == (None, None, 48)


def test_the_screen_says_what_to_do(tmp_path: Path, run: Run, snapshot: Path) -> None:
    result = run("health", "--out", tmp_path / "h", "--snapshot", snapshot, "--since", "10d")
    assert result.exit_code == 0
    for words in (
        f"Credential {CREDENTIAL}  push  55 errors",
        "52117  legacy FCM key, push not sent  × 48",
        "The alerts name 3 bindings. 3 live devices registered with that credential.",
        "52131  APNs credential invalid or expired  × 5",
        "→ Give this credential a service-account key",
        f"Service {SERVICE}  Tiny  6 errors",
        "52150  unknown push error",
        "Not attributed  3 errors",
        "213.3 errors a day for 100 live devices",
    ):
        assert words in result.stdout
    assert (
        result.stdout.index("Credential")
        < result.stdout.index(f"Service {SERVICE}")
        < result.stdout.index("Not attributed")
    )


def test_no_errors_are_no_proof_of_health(tmp_path: Path, run: Run, monitored: Monitored) -> None:
    monitored(alerts_world(OTHERS))
    result = run("health", "--out", tmp_path / "h")
    assert result.exit_code == 0
    assert "No push error is no proof of health" in result.stdout


def test_each_run_adds_a_file_with_the_errors_by_hour(tmp_path: Path, run: Run, snapshot: Path) -> None:
    names = [Path(found(run, "--out", tmp_path / "h")["file"]).name for _ in range(2)]
    assert names == ["push-errors-2026-06-15T08-00-00Z.parquet", "push-errors-2026-06-15T08-00-00Z-2.parquet"]
    table = pq.read_table(tmp_path / "h" / names[0])
    assert table.schema.equals(PUSH_ERRORS_BY_HOUR)
    assert sum(table.column("errors").to_pylist()) == 59
    assert {hour.minute for hour in table.column("hour").to_pylist()} == {0}
    assert sorted(path.name for path in (tmp_path / "h").iterdir()) == sorted(names)
    shown = run("show", tmp_path / "h")
    assert shown.exit_code == 0
    assert "2 runs" in shown.stdout
    assert shown.stdout.count("59 errors") == 2
    runs = json.loads(run("show", tmp_path / "h" / names[0], "--json").stdout)["runs"]
    assert [each["errors"] for each in runs] == [59]


def test_a_script_goes_by_the_rate_and_by_what_it_was_before(tmp_path: Path, run: Run, snapshot: Path) -> None:
    before = found(run, "--out", tmp_path / "h", "--since", "10d", "--snapshot", snapshot)
    rate = before["a_day_for_100_devices"]
    assert rate == pytest.approx(100 * 64 / 10 / 3)
    options = ("--out", tmp_path / "h", "--snapshot", snapshot)
    assert run("health", *options, "--since", "10d", "--fail-over", rate).exit_code == 0
    refused = run("health", *options, "--since", "10d", "--fail-over", rate - 1)
    assert refused.exit_code == 4
    assert "errors a day for 100 live devices, and --fail-over allows" in refused.stderr
    assert "push-errors-2026-06-15T08-00-00Z-3.parquet" in refused.stderr
    compare = (*options, "--compare", before["file"])
    day = found(run, *compare)  # of one day, in which 59 came, after ten with 64
    assert day["before"]["a_day_for_100_devices"] == pytest.approx(rate)
    (old,) = [row for row in day["errors_by_code"] if row["error_code"] == 52117]
    assert old["before"] == pytest.approx(4.8)
    more = 100 * (59 - 6.4) / 3
    assert run("health", *compare, "--fail-over", more + 1).exit_code == 0
    failed = run("health", *compare, "--fail-over", more - 1)
    assert failed.exit_code == 4
    assert "more than before" in failed.stderr
    assert "(48.0 a day, before 4.8)" in failed.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--since", "31d"), "at most 30d"),
        (("--since", "0h"), "not a length of time"),
        (("--since", "yesterday"), "not a length of time"),
        (("--fail-over", "1"), "--snapshot SNAPSHOT"),
        (("--fail-over", "-1"), "--fail-over"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path: Path, run: Run, arguments: tuple[str, ...], words: str) -> None:
    result = run("health", "--out", tmp_path / "h", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "h").exists()


def test_without_live_devices_no_rate_is_known(tmp_path: Path, run: Run, monitored: Monitored) -> None:
    world = alerts_world(LEGACY)
    next(iter(world.services.values())).bindings.clear()
    monitored(world)
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    result = run("health", "--out", tmp_path / "h", "--snapshot", tmp_path / "s", "--fail-over", 1)
    assert result.exit_code == 4
    assert "there is no live device" in result.stderr


@pytest.mark.parametrize("damage", ["text", "parquet", "facts"])
def test_what_is_no_earlier_run_is_refused(tmp_path: Path, run: Run, snapshot: Path, damage: str) -> None:
    path = Path(found(run, "--out", tmp_path / "h")["file"])
    table = pq.read_table(path)
    if damage == "text":
        path.write_text("errors,1\n")
    else:
        facts = {b"chat-migrate": b'{"format_version": 2}'} if damage == "facts" else {}
        pq.write_table(table.replace_schema_metadata(facts), path)
    result = run("health", "--out", tmp_path / "h2", "--compare", path)
    assert result.exit_code == 1
    assert "is no file of push errors by hour" in result.stderr
    assert run("show", tmp_path / "h").exit_code == 1


def test_another_accounts_snapshot_is_refused(tmp_path: Path, run: Run, snapshot: Path, monitored: Monitored) -> None:
    earlier = found(run, "--out", tmp_path / "h")["file"]
    world = alerts_world(LEGACY)
    world.account_sid = "AC" + "7" * 32
    monitored(world)
    for option in (("--snapshot", snapshot), ("--compare", earlier)):
        result = run("health", "--out", tmp_path / "h", *option)
        assert result.exit_code == 4
        assert "is of account AC1111" in result.stderr
        assert "Nothing was read" in result.stderr


def test_without_an_address_nothing_is_asked(tmp_path: Path, run: Run, snapshot: Path, environment: pytest.MonkeyPatch) -> None:  # fmt: skip
    environment.delenv("CHAT_MIGRATE_MONITOR_URL")
    result = run("health", "--out", tmp_path / "h")
    assert result.exit_code == 2
    assert "Name it with --monitor-url" in result.stderr
    mixed = run("health", "--out", tmp_path / "h", "--monitor-url", "https://monitor.twilio.com")
    assert mixed.exit_code == 2
    assert "which is Twilio's, and Conversations is at http://127.0.0.1" in mixed.stderr


def test_an_interrupted_run_resumes_its_span_for_an_hour(
    tmp_path: Path, run: Run, monitored: Monitored, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    from migrate.push_errors import reading

    world = alerts_world(*ALL)
    for later, restart, since in ((30, False, "08:00:00"), (30, True, "08:30:00"), (90, False, "09:30:00")):
        out = tmp_path / f"h{later}{restart}"
        monitored(world)
        with monkeypatch.context() as patch:
            patch.setattr(reading, "_write", _interrupt)
            stopped = run("health", "--out", out)
        assert stopped.exit_code == 130
        assert "No numbers were written" in stopped.stderr
        assert not list(out.glob("*.parquet"))
        now = world.now
        world.now += timedelta(minutes=later)
        monitored(world)
        document = found(run, "--out", out, *(["--restart"] if restart else []))
        world.now = now
        assert document["until"] == f"2026-06-15T{since}+00:00"
        assert [path.suffix for path in out.iterdir()] == [".parquet"]


def _interrupt(*args: object) -> None:
    raise KeyboardInterrupt


def test_faults_lose_nothing(tmp_path: Path, run: Run, monitored: Monitored) -> None:
    monitored(alerts_world(*ALL), faults=Faults(seed=5, rate=0.3))
    assert found(run, "--out", tmp_path / "h", "--page-size", 7)["errors"] == 59


def test_read_measured_gives_what_was_written(tmp_path: Path, run: Run, snapshot: Path) -> None:
    document = found(run, "--out", tmp_path / "h", "--snapshot", snapshot)
    measured = read_measured(Path(document["file"]))
    assert (measured.total, measured.devices, measured.days) == (59, 3, 1.0)


def test_bars_show_the_largest_highest_and_none_as_a_dot() -> None:
    assert bars([0, 1, 4, 8]) == "·▁▄█"
    assert bars([]) == ""
