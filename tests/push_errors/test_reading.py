"""A snapshot takes the push errors of 30 days along, each once, whatever Monitor does that is not known of it."""

from __future__ import annotations

import json
import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests

from migrate.push_errors import reading, windows
from migrate.push_errors.windows import Window
from migrate.runtime.workers import Workers
from migrate.standin.faults import Faults
from migrate.twilio_api.client import TwilioApi
from tests.conftest import Run, service_sid
from tests.push_errors.conftest import Monitored, alerts_world, errors_in, errors_read, read_facts

ERRORS = {"code": 52117, "count": 300, "hours_ago": [700, 0], "credential": "push", "resource_sid": "binding"}
OTHERS = {"code": 30007, "count": 250, "hours_ago": [50, 1]}
BURST = {"code": 52131, "count": 90, "hours_ago": 5}  # all in one second
FEW = 100  # alerts a query, in the place of Twilio's 10,000


@pytest.fixture
def _few_a_query(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_ALERTS", FEW)
    # A burst would be followed by as many queries as there may be pieces; test_windows.py looks at their number.
    monkeypatch.setattr(windows, "_MOST_PIECES", 40)


@pytest.mark.usefixtures("_few_a_query")
@pytest.mark.parametrize(
    ("by", "beyond", "size"),
    [("generated", "ends", 50), ("generated", "refused", 30), ("created", "ends", 30), ("created", "refused", 50)],
)
def test_more_than_a_query_gives_are_read_in_pieces(
    tmp_path: Path, run: Run, monitored: Monitored, by: str, beyond: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LARGEST_PAGE_SIZE", size)
    world = alerts_world(ERRORS, OTHERS, BURST, {**BURST, "dates": "created"}, by=by, beyond=beyond, most=FEW)
    monitored(world)
    result = run("extract", "--out", tmp_path / "s", "--page-size", size)
    assert result.exit_code == 0, result.output
    # Of the second that has 180, Monitor shows no more than 100, in pages of 30 perhaps 90; and that is said.
    facts, there = read_facts(tmp_path / "s"), errors_in(world)
    assert facts["note"] == ""
    assert errors_read(tmp_path / "s").items() <= there.items()
    assert len(there) - facts["errors"] in (80, 90)
    assert facts["incomplete"] in (1, 2)  # two pieces share that second
    assert facts["alerts"] >= facts["errors"] + 250


def test_pages_faults_and_expired_tokens_take_nothing_away(tmp_path: Path, run: Run, monitored: Monitored) -> None:
    world = alerts_world(ERRORS, OTHERS)
    monitored(world, faults=Faults(seed=3, rate=0.2, token_expiry=0.05))
    result = run("extract", "--out", tmp_path / "s", "--page-size", 50)
    assert result.exit_code == 0, result.output
    assert errors_read(tmp_path / "s") == errors_in(world)


@pytest.mark.usefixtures("_few_a_query")
@pytest.mark.parametrize("after", [1, 9])
def test_an_interrupted_reading_resumes(
    tmp_path: Path, run: Run, monitored: Monitored, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    world = alerts_world(ERRORS, OTHERS, most=FEW)
    monitored(world)
    read, windows = reading._Reading._read, list[Any]()

    def breaking(self: Any, window: Any) -> Any:
        windows.append(window)
        if len(windows) > after:
            raise KeyboardInterrupt
        return read(self, window)

    with monkeypatch.context() as patch:
        patch.setattr(reading._Reading, "_read", breaking)
        patch.setattr(Workers, "__init__", _one_thread(Workers.__init__))
        stopped = run("extract", "--out", tmp_path / "s")
    assert stopped.exit_code == 130, stopped.output
    again = list[Any]()

    def noting(self: Any, window: Any) -> Any:
        again.append(window)
        return read(self, window)

    monkeypatch.setattr(reading._Reading, "_read", noting)
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    assert errors_read(tmp_path / "s") == errors_in(world)
    assert windows[0] not in again  # it was read, and cut, before the others began


def _one_thread(init: Any) -> Any:
    def one(self: Any, threads: int, *args: Any, **kwargs: Any) -> None:
        init(self, 1, *args, **kwargs)

    return one


def test_a_part_that_was_changed_is_read_again(
    tmp_path: Path, run: Run, monitored: Monitored, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = alerts_world(ERRORS)
    monitored(world)
    with monkeypatch.context() as patch:
        patch.setattr(reading, "_write", _interrupt)
        assert run("extract", "--out", tmp_path / "s").exit_code == 130
    (part,) = (tmp_path / "s" / ".push-errors").glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-9] + b"something")
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    assert errors_read(tmp_path / "s") == errors_in(world)


def _interrupt(*args: object) -> None:
    raise KeyboardInterrupt


def test_the_same_alerts_give_the_same_rows_whatever_the_pieces_were(
    tmp_path: Path, run: Run, monitored: Monitored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitored(alerts_world(ERRORS, OTHERS))
    assert run("extract", "--out", tmp_path / "one").exit_code == 0
    monkeypatch.setattr(reading, "MOST_ALERTS", FEW)
    assert run("extract", "--out", tmp_path / "other").exit_code == 0
    one, other = (pq.read_table(tmp_path / name / "push_errors.parquet") for name in ("one", "other"))
    assert one.sort_by("sid").equals(other.sort_by("sid"))


@pytest.mark.parametrize("form", ["no-alerts", "no-address"])
def test_without_alerts_a_snapshot_is_as_it_was(tmp_path: Path, run: Run, monitored: Monitored, form: str,
                                               environment: pytest.MonkeyPatch) -> None:  # fmt: skip
    monitored(alerts_world(ERRORS))
    if form == "no-address":
        environment.delenv("CHAT_MIGRATE_MONITOR_URL")
    result = run("extract", "--out", tmp_path / "s", *(["--no-alerts"] if form == "no-alerts" else []))
    assert result.exit_code == 0
    assert "Push errors" not in result.stdout
    assert read_facts(tmp_path / "s") is None
    assert not (tmp_path / "s" / "push_errors.parquet").exists()


def test_a_key_without_the_permission_is_a_note_and_no_failure(
    tmp_path: Path, run: Run, monitored: Monitored, environment: pytest.MonkeyPatch
) -> None:
    key = "SK" + "1" * 32
    world = alerts_world(ERRORS, closed_to={key})
    world.api_keys = {key: "synthetic"}
    monitored(world)
    environment.setenv("TWILIO_API_KEY", key)
    environment.setenv("TWILIO_API_SECRET", "synthetic")
    environment.delenv("TWILIO_AUTH_TOKEN")
    result = run("extract", "--out", tmp_path / "s")
    assert result.exit_code == 0, result.output
    assert re.search(r"Push errors +not read: .*/v1/Alerts.* answered 403", result.stdout)
    assert "answered 403" in read_facts(tmp_path / "s")["note"]
    assert run("health", "--out", tmp_path / "h").exit_code == 1
    assert run("map", tmp_path / "s", "--out", tmp_path / "m").exit_code == 0


def test_a_recording_without_alerts_is_a_note(tmp_path: Path, run: Run, monitored: Monitored) -> None:
    monitored(alerts_world(ERRORS))
    cassette = tmp_path / "c.yaml"
    assert run("extract", "--out", tmp_path / "s", "--record", cassette, "--no-alerts").exit_code == 0
    assert run("extract", "--out", tmp_path / "t", "--replay", cassette).exit_code == 0
    assert read_facts(tmp_path / "t")["note"] == "The recording has no alerts"


def test_a_recording_has_the_alerts_and_no_text_of_them_is_in_a_snapshot(
    tmp_path: Path, run: Run, monitored: Monitored
) -> None:
    url = "https://example.com/?to=alice%40example.com"
    text = "to alice@example.com by {credential} failed: token cXy12:APA91bSynthetic"
    world = alerts_world({**ERRORS, "count": 40, "resource_sid": "none", "alert_text": text, "request_url": url})
    monitored(world)
    cassette = tmp_path / "c.yaml"
    assert run("extract", "--out", tmp_path / "s", "--record", cassette).exit_code == 0
    assert run("extract", "--out", tmp_path / "t", "--replay", cassette).exit_code == 0
    assert errors_read(tmp_path / "t") == errors_read(tmp_path / "s") == errors_in(world)
    for path in (cassette, *(tmp_path / "s").rglob("*")):
        if path.is_file():
            assert not re.search(rb"alice(@|%40|\\u0040)example\.com|APA91bSynthetic", path.read_bytes())


def test_a_server_that_ignores_the_dates_is_refused(
    tmp_path: Path, run: Run, monitored: Monitored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitored(alerts_world(ERRORS))
    monkeypatch.setattr(Window, "params", ())
    result = run("health", "--out", tmp_path / "h", "--since", "1h")
    assert result.exit_code == 4
    assert "the server ignores the filter" in result.stderr
    assert not list((tmp_path / "h").glob("*.parquet"))
    # A snapshot goes without them; its bindings are read all the same, with the whole budget of time.
    begun_anew: list[TwilioApi] = []
    monkeypatch.setattr(TwilioApi, "reset_budget", lambda api: begun_anew.append(api))
    monkeypatch.setattr("migrate.push_errors.reading.MARGIN", timedelta(days=29, hours=23))
    assert run("extract", "--out", tmp_path / "t").exit_code == 0
    assert "ignores the filter" in read_facts(tmp_path / "t")["note"]
    assert len(begun_anew) == 1
    assert json.loads((tmp_path / "t" / "manifest.json").read_bytes())["rows"] == 3


def test_verify_reads_no_alerts(tmp_path: Path, run: Run, monitored: Monitored, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    server = monitored(alerts_world(ERRORS))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    asked = list[str]()
    send = requests.Session.send

    def noting(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        asked.append(str(request.url))
        return send(self, request, **options)

    monkeypatch.setattr(requests.Session, "send", noting)
    assert run("verify", tmp_path / "s", "--coverage", tmp_path / "c").exit_code in (0, 4)
    assert asked
    assert not [url for url in asked if "/Alerts" in url]
    assert server.url in asked[0]


def test_a_damaged_file_of_push_errors_is_noticed(tmp_path: Path, run: Run, monitored: Monitored) -> None:
    monitored(alerts_world(ERRORS))
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    shutil.copytree(tmp_path / "s", tmp_path / "t")
    (tmp_path / "t" / "push_errors.parquet").unlink()
    result = run("map", tmp_path / "t", "--out", tmp_path / "m")
    assert result.exit_code == 4
    assert "push_errors.parquet is missing" in result.stderr
    assert service_sid(1)
