"""chat-migrate verify: its numbers, its lists, and how it resumes."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from migrate.model.schemas import COVERAGE
from migrate.snapshot.manifest import Filters, IdentityFile
from migrate.standin.world import World
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.transports.live import LiveTransport
from migrate.twilio_api.transports.transport import Answer, Request
from migrate.verify.coverage_folder import SCRATCH
from migrate.verify.verification import verify_snapshot
from tests.conftest import DEMO_ACCOUNT, Demo, Run, Serve, tiny_world
from tests.snapshots import AS_OF, binding, write_snapshot
from tests.verify.conftest import CAME_BACK, EXPIRED, OTHER, SERVICE, Row, sides


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def snapshot(tmp_path: Path, run: Run, serve: Serve, odd_world: World) -> Path:
    """A snapshot of the demo's world, which is being served."""
    serve(odd_world)
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    return tmp_path / "s"


def test_the_demo_world_is_told_by_service_and_platform(tmp_path: Path, run: Run, snapshot: Path) -> None:
    before = everything(snapshot)
    options = ["--coverage", tmp_path / "coverage", "--pending", tmp_path / "pending.csv"]
    result = run("verify", snapshot, *options, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    total = found["total"]
    # Six of the first service's customers: two of each platform, and web clients, which Chat does not know. In the
    # second, five whose binding the new SDK has made already; and 54 phones of the taxi service.
    assert (total["ready_platform"], total["new"], total["ready_device"]) == (4, 2, 59)
    assert (total["bindings"], total["expired"]) == (328, 20)
    assert total["pending"] == 328 - 20 - 63
    first = {item["platform"]: item for item in found["services"][0]["platforms"]}
    assert [first[name]["ready_platform"] for name in ("apn", "fcm", "twilsock")] == [2, 2, 0]
    assert first["twilsock"]["new"] == 2
    assert found["live"] == {"source": "conversations", "as_of": "2026-06-15T08:00:00+00:00", "bindings": 331}
    shown = run("verify", snapshot, *options)
    assert "  twilsock         0       0         0        0        0    2        0        -\n" in shown.stdout
    assert "\nAll              328      59         4      245       20    2" in shown.stdout
    assert everything(snapshot) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coverage", "pending.csv", "s"]


def test_runs_add_up_to_a_curve_without_personal_data(tmp_path: Path, run: Run, snapshot: Path) -> None:
    folder = tmp_path / "curves" / "coverage"
    log = tmp_path / "log"
    told = [run("verify", snapshot, "--coverage", folder, "-v", "-v", "--log-file", log) for _ in range(2)]
    names = [f"2026-06-15T08-00-00Z{number}.parquet" for number in ("", "-2")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert all(name in result.stdout for name, result in zip(names, told, strict=True))
    frame = pd.read_parquet(folder)
    assert list(frame.columns) == COVERAGE.names
    assert set(frame["as_of"]) == {pd.Timestamp(AS_OF)}
    assert frame["bindings"].sum() == 2 * 328
    assert (frame.filter(regex="ready|pending|expired").sum(axis=1) == frame["bindings"]).all()
    assert set(frame["snapshot"]) == {frame["snapshot"][0]}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    bindings = pd.read_parquet(snapshot / "bindings")
    texts = [log.read_bytes(), *everything(folder).values(), *(result.output.encode() for result in told)]
    for value in {*bindings["identity"].dropna(), *bindings["endpoint"].dropna()} - {"=1+1"}:
        assert not any(str(value).encode() in text for text in texts), value


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_list_says_who_is_still_pending(tmp_path: Path, run: Run, snapshot: Path, ending: str) -> None:
    path = tmp_path / "lists" / f"pending.{ending}"
    result = run("verify", snapshot, "--coverage", tmp_path / "c", "--pending", path)
    assert "245 rows; it holds identities" in result.stdout
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    rows: list[Row]
    if ending == "csv":
        rows = list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))
        assert "'=1+1" in {row["identity"] for row in rows}
    else:
        rows = pq.read_table(path).to_pylist()
    assert len({row["sid"] for row in rows} - {None}) >= 245 - 2  # one identity has line breaks in it
    waiting = [row for row in rows if row["identity"] == "customer-0007@example.test"]
    assert [(row["service"], row["service_sid"], row["platform"]) for row in waiting] == [
        ("Acme Support", SERVICE, "apn")
    ]
    identities = {row["identity"] for row in rows}
    assert not identities & {"customer-0001@example.test", "early-adopter-0001", "long-gone-0001"}
    content = path.read_bytes()
    for endpoint in pd.read_parquet(snapshot / "bindings")["endpoint"].dropna():
        assert endpoint.encode() not in content


def test_an_interrupted_reading_is_gone_on_with(
    tmp_path: Path, run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = {"count": 120, "identity": "person-{n}", "message_types": [CAME_BACK]}
    undocumented = {"identity": "someone", "binding_type": "webpush", "message_types": [CAME_BACK]}
    chats = [{"count": 130, "identity": "person-{n}"}]
    serve(tiny_world(bindings=chats, conversations_bindings=[back, undocumented]))
    coverage = tmp_path / "c"
    assert run("extract", "--out", tmp_path / "s").exit_code == 0
    real, first, pages = TwilioApi.pages, True, 0

    def interrupted(self: TwilioApi, *args: Any, **options: Any) -> Any:
        for number, page in enumerate(real(self, *args, **{**options, "sizes": (50,)})):
            yield page
            nonlocal pages
            pages += args[1].endswith("/Bindings")
            if first and args[1].endswith("/Bindings") and number == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(TwilioApi, "pages", interrupted)
    result = run("verify", tmp_path / "s", "--coverage", coverage)
    assert (result.exit_code, result.stderr.count("\n")) == (130, 1)
    assert f"Resume with: chat-migrate verify {tmp_path / 's'} --coverage {coverage}\n" in result.stderr
    assert [path.name for path in coverage.iterdir()] == [SCRATCH]
    assert stat.S_IMODE((coverage / SCRATCH).stat().st_mode) == 0o700
    first = False
    result = run("verify", tmp_path / "s", "--coverage", coverage, "--json")
    assert result.exit_code == 0, result.output
    total = json.loads(result.stdout)["total"]
    assert (total["ready_platform"], total["pending"], total["new"]) == (120, 10, 1)
    assert pages == 6  # of 251 bindings, none of them twice
    assert [path.suffix for path in coverage.iterdir()] == [".parquet"]


def test_what_was_left_by_others_is_cleared_and_not_gone_on_with(tmp_path: Path, run: Run, snapshot: Path) -> None:
    left = tmp_path / "c" / SCRATCH / "live-of-another"
    left.mkdir(parents=True)
    (left / "manifest.json").write_text("{}")
    (tmp_path / "c" / SCRATCH / "work").mkdir()
    assert run("verify", snapshot, "--coverage", tmp_path / "c").exit_code == 0
    assert [path.suffix for path in (tmp_path / "c").iterdir()] == [".parquet"]


def test_a_failed_reading_names_the_command_that_goes_on(
    tmp_path: Path, run: Run, snapshot: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TWILIO_AUTH_TOKEN", "another")
    result = run("verify", snapshot, "--coverage", tmp_path / "c")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert not list((tmp_path / "c").glob("*.parquet"))
    assert not (tmp_path / "c" / SCRATCH).exists()


@pytest.mark.parametrize(
    "filters",
    [
        ["--service", OTHER],
        ["--binding-type", "apn"],
        ["--identity", "early-adopter-0001", "--identity", "customer-0001@example.test"],
        ["--identity-file", "names.txt"],
    ],
)
def test_a_narrowed_snapshot_is_compared_with_as_much(
    tmp_path: Path, run: Run, serve: Serve, odd_world: World, filters: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("names.txt").write_text("early-adopter-0001\ncustomer-0001@example.test\n")
    serve(odd_world)
    assert run("extract", "--out", "s", *filters).exit_code == 0
    found = json.loads(run("verify", "s", "--json").stdout)
    assert found["snapshot"]["narrowed"]
    bindings = pd.read_parquet("s/bindings")
    assert found["total"]["bindings"] == len(bindings)
    assert found["total"]["new"] == 0
    assert found["total"]["ready_device"] + found["total"]["ready_platform"] == {
        "--service": 5, "--binding-type": 34, "--identity": 2, "--identity-file": 2
    }[filters[0]]  # fmt: skip
    assert found["live"]["bindings"] < 200


@pytest.mark.parametrize("command", ["verify", "retire"])
@pytest.mark.parametrize(
    ("narrowed", "ignored", "option"),
    [
        (("--binding-type", "apn"), "BindingType", "--binding-type"),
        (("--identity", "early-adopter-0001"), "Identity", "--identity and --identity-file"),
    ],
)
def test_where_the_live_side_ignores_a_filter_what_helps_is_another_snapshot(
    tmp_path: Path,
    run: Run,
    serve: Serve,
    odd_world: World,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    narrowed: tuple[str, ...],
    ignored: str,
    option: str,
) -> None:
    serve(odd_world)
    assert run("extract", "--out", tmp_path / "s", *narrowed).exit_code == 0
    real = LiveTransport.send

    def send(transport: LiveTransport, request: Request) -> Answer:
        return real(transport, dataclasses.replace(request, url=re.sub(rf"{ignored}=[^&]*&?", "", request.url)))

    monkeypatch.setattr(LiveTransport, "send", send)
    refused = run(command, tmp_path / "s", "--coverage", tmp_path / "c")
    said = refused.stderr.splitlines()[-1]
    assert refused.exit_code == 4, refused.output
    assert f"Extract again without {option}, into another folder, and compare that one" in said
    assert "--no-shard" not in said
    assert ".chat-migrate-verify" not in said


def test_two_snapshots_are_compared_without_a_network(tmp_path: Path, run: Run) -> None:
    source = [binding(1), binding(2), binding(3, date_updated=EXPIRED), binding(4, identity=None)]
    live = [binding(1, message_types=CAME_BACK), binding(4, identity=None, message_types=CAME_BACK), binding(2)]
    result = run(*sides(tmp_path, source, live), "--json")
    assert result.exit_code == 0, result.output
    total = json.loads(result.stdout)["total"]
    assert total == {
        "bindings": 4, "ready_device": 1, "ready_platform": 0, "pending": 2, "expired": 1, "new": 1, "unclear": 2,
        "percent": 33.3,
    }  # fmt: skip
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["2026-07-01T12-30-00Z.parquet"]
    shown = run(*sides(tmp_path / "again", source, live))
    assert "5 bindings" not in shown.stdout
    assert "4 bindings through Conversations, as of 2026-07-01 12:30 UTC" in shown.stdout


@pytest.mark.parametrize(("limit", "code"), [("0", 0), ("33.3", 0), ("33.34", 4), ("100", 4)])
def test_a_script_can_wait_for_a_percentage(tmp_path: Path, run: Run, limit: str, code: int) -> None:
    live = [binding(1, message_types=CAME_BACK)]
    result = run(*sides(tmp_path, [binding(n) for n in (1, 2, 3)], live), "--fail-under", limit, "--json")
    assert result.exit_code == code
    assert json.loads(result.stdout)["total"]["percent"] == 33.3
    assert len(list((tmp_path / "c").iterdir())) == 1  # a curve has all its points
    assert result.stderr.count("\n") == (code == 4)
    if code:
        assert "33.3 % of" in result.stderr
        assert f"{float(limit):g} %" in result.stderr
        assert f"run the same again: chat-migrate verify {tmp_path / 's'}" in result.stderr


def test_the_lifetime_and_the_prefixes_are_rules(tmp_path: Path, run: Run) -> None:
    (tmp_path / "rules.toml").write_text(
        '[limits]\nlifetime_days = 400\n[message_type_names]\nconversations_prefixes = ["ours."]\n'
    )
    source = [binding(1, date_updated=EXPIRED), binding(2), binding(3)]
    live = [binding(1, message_types=["ours.new_message"]), binding(2, message_types=CAME_BACK)]
    result = run(*sides(tmp_path, source, live), "--rules", tmp_path / "rules.toml", "--json")
    total = json.loads(result.stdout)["total"]
    assert (total["expired"], total["ready_device"], total["pending"]) == (0, 1, 2)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"account_sid": "AC" + "7" * 32}, ""),
        ({"status": "unfinished"}, "is unfinished"),
        ({"filters": Filters(services=(SERVICE,))}, "was narrowed"),
        ({"filters": Filters(binding_types=("apn",))}, "was narrowed"),
        ({"filters": Filters(identities=("someone-with-a-name",))}, "was narrowed"),
        ({"filters": Filters(identity_file=IdentityFile(1, "x"))}, "was narrowed"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, run: Run, changes: dict[str, Any], problem: str) -> None:
    words = sides(tmp_path, [binding(1)], [binding(1)], **changes)
    result = run(*words)
    assert result.exit_code == (4 if problem else 0)  # the replay's account may be any
    assert problem in result.stderr
    assert "someone-with-a-name" not in result.output
    assert (tmp_path / "c").exists() == (not problem)


def test_another_account_is_refused_on_either_way(tmp_path: Path, run: Run, serve: Serve) -> None:
    services, theirs = {SERVICE: {"friendly_name": "x"}}, "AC" + "7" * 32
    serve(tiny_world())
    write_snapshot(tmp_path / "s", services, {}, account_sid=theirs)
    write_snapshot(tmp_path / "l", services, {}, account_sid="AC" + "8" * 32)
    for options in ([], ["--against", tmp_path / "l"]):
        result = run("verify", tmp_path / "s", "--coverage", tmp_path / "c", *options)
        assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
        assert theirs in result.stderr
    assert not (tmp_path / "c").exists()


def test_a_damaged_snapshot_is_refused(tmp_path: Path, run: Run) -> None:
    words = sides(tmp_path, [binding(1)], [binding(1)])
    part = next((tmp_path / "l" / "bindings").rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    assert run(*words).exit_code == 4


def test_places_that_would_spoil_something_are_refused(
    tmp_path: Path, run: Run, odd: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = sides(tmp_path, [binding(1)], [binding(1)])[:-2]
    (tmp_path / "file").write_text("x")
    assert run(*words, "--coverage", tmp_path / "file").exit_code in (2, 4)
    assert run(*words, "--coverage", tmp_path / "s").exit_code == 4
    assert run(*words, "--coverage", tmp_path / "s" / "coverage").exit_code == 4
    assert run(*words, "--coverage", odd.folder / "mapped").exit_code == 4
    assert run(*words, "--pending", tmp_path / "l" / "x.csv").exit_code == 4
    assert run(*words, "--pending", tmp_path / "coverage" / "x.csv").exit_code == 2
    assert run(*words, "--pending", "x.txt").exit_code == 2
    assert run(*words, "--record", "x.yaml").exit_code == 2
    assert run(*words, "--fail-under", "101").exit_code == 2
    assert not (tmp_path / "coverage").exists()


def test_a_full_disk_is_one_line_with_the_command_that_goes_on(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = sides(tmp_path, [binding(n) for n in range(50)], [binding(n) for n in range(50)])

    def full(*args: Any, **options: Any) -> Any:
        raise OSError(28, "No space left on device", str(tmp_path / "c" / "x"))

    monkeypatch.setattr("migrate.verify.verification.write_coverage", full)
    result = run(*words)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "no space left on device" in result.stderr
    assert f"Resume with: chat-migrate verify {tmp_path / 's'} --against {tmp_path / 'l'}" in result.stderr
    assert list((tmp_path / "c").iterdir()) == []


def test_as_a_library_it_runs_on_any_executor(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    sides(tmp_path, [binding(n) for n in range(9)], [binding(n, message_types=CAME_BACK) for n in range(6)])
    with ThreadPoolExecutor(2) as pool:
        done = verify_snapshot(tmp_path / "s", tmp_path / "c", tmp_path / "l", executor=pool)
    assert (done.coverage.total.ready_device, done.coverage.total.pending) == (6, 3)
    assert done.coverage.account_sid == DEMO_ACCOUNT
    assert done.file.exists()


def test_ctrl_c_while_bindings_are_compared_is_one_line(tmp_path: Path) -> None:
    sides(tmp_path, [binding(1)], [binding(1)])
    # In a process of its own: queries for ever, each too short to be deaf for long, and the signal in the midst of one.
    code = """
import os, signal, sys, threading
import migrate.verify.partition as verify
def prepare(database, partition):
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    while True:
        database.execute("SELECT count(*) FROM range(1000000) AS t(i) WHERE hash(i) = 1").fetchall()
verify._prepare = prepare
from migrate.__main__ import main
sys.argv[1:] = ["verify", "s", "--against", "l"]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    remedy = "Resume with: chat-migrate verify s --against l"
    assert (done.returncode, done.stderr) == (130, f"Error: Interrupted. No coverage was written. {remedy}\n")
    assert list((tmp_path / "coverage").iterdir()) == []
