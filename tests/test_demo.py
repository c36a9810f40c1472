"""The demo: the same bytes every time, replayed or live, and the plan that is checked in."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from migrate.standin.world import World
from tests.conftest import CASSETTE, Demo, Run, Serve

EXPECTED = Path(__file__).parent / "expected" / "demo-plan.json"
SAME = ("plan.json", "report.md", "report.html", "mapped/push-config.yaml", "mapped/summary.json")


def test_the_demo_makes_the_plan_that_is_checked_in(demo: Demo) -> None:
    assert demo.json("plan.json") == json.loads(EXPECTED.read_bytes())


def test_the_demo_twice_gives_the_same_bytes(tmp_path: Path, run: Run, demo: Demo) -> None:
    assert run("run", "--replay", CASSETTE, "--out", tmp_path).exit_code == 0
    for name in SAME:
        assert (tmp_path / name).read_bytes() == (demo.folder / name).read_bytes()


@pytest.mark.parametrize("page_size", [5, 50])
def test_live_and_replayed_runs_of_the_demo_world_give_the_same_plan(
    tmp_path: Path,
    run: Run,
    serve: Serve,
    demo_world: World,
    demo: Demo,
    page_size: int,
    environment: pytest.MonkeyPatch,
) -> None:
    server = serve(demo_world)
    environment.setenv("CHAT_MIGRATE_MONITOR_URL", server.url)
    assert run("run", "--out", tmp_path, "--page-size", page_size).exit_code == 0
    written = "mapped/push-config.yaml"
    assert (tmp_path / written).read_bytes() == (demo.folder / written).read_bytes()
    summaries = [json.loads((folder / "mapped" / "summary.json").read_bytes()) for folder in (tmp_path, demo.folder)]
    assert [{**summary, "addresses": {}} for summary in summaries] == [{**summaries[0], "addresses": {}}] * 2
    # But for where it was made from: a plan is applied nowhere else.
    live, replayed = json.loads((tmp_path / "plan.json").read_bytes()), demo.json("plan.json")
    assert (live["target"], replayed["target"]) == (server.url, "https://conversations.twilio.com")
    assert {**live, "target": "", "plan_id": ""} == {**replayed, "target": "", "plan_id": ""}


def test_everything_is_where_the_summary_says(demo: Demo) -> None:
    for name in ("snapshot/manifest.json", "mapped/summary.json", *SAME):
        assert (demo.folder / name).is_file()
    shown = demo.result.stdout
    for words in (
        "7 services, 328 bindings",
        "apn 179 · fcm 134 · gcm 15",
        "carried 226 · reduced 73 · expired 20 · blocked 9",
        "21 settings of 4 services would change, 3 services unchanged, 2 proposals wait for a decision",
        "1 blocker, 25 warnings of 17 kinds, 11 info of 7 kinds; the plan adds 1 warning, 1 info",
        f"{demo.folder / 'report.html'}, {demo.folder / 'report.md'}",
        f"chat-migrate load {demo.folder / 'mapped'}",
    ):
        assert words in shown


def test_plan_and_report_hold_no_personal_data(odd: Demo) -> None:
    frame = pd.read_parquet(odd.folder / "snapshot" / "bindings")
    public = "".join(unescape((odd.folder / name).read_text("utf-8")) for name in SAME) + odd.result.output
    for column in ("identity", "endpoint"):
        for value in frame[column].dropna():
            assert value not in public or value == "=1+1"  # which is a service's name too


def test_the_suggested_next_command_works(run: Run, demo: Demo) -> None:
    command = demo.result.stdout.partition("\nNext: ")[2].partition("chat-migrate ")[2].split()
    assert run(*command).exit_code == 0


def test_the_demo_is_replayed_from_any_folder(
    tmp_path: Path, run: Run, demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # Its output may be a folder of that name, which is no cassette.
    for done in (run("run", "--replay", "demo", "--out", "demo"), run("load", "demo/mapped", "--replay", "demo")):
        assert done.exit_code == 0
        assert done.stderr.startswith("Replaying the recorded demo that comes with chat-migrate")
    assert json.loads(Path("demo/plan.json").read_bytes()) == demo.json("plan.json")
    for named in ("./demo", tmp_path / "demo"):
        assert run("load", "demo/mapped", "--replay", named).exit_code == 2


def test_a_file_named_demo_wins_and_that_is_said(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo").write_bytes(CASSETTE.read_bytes().replace(b"Rider", b"Another"))
    for named in ("demo", "./demo"):
        done = run("run", "--replay", named, "--out", tmp_path / f"out-{len(named)}")
        assert done.exit_code == 0
        assert "Another" in done.stdout
        assert ("the file demo in this folder, not the demo" in done.stderr) == (named == "demo")


def test_an_installed_package_has_the_demo_inside_it(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "migrate"
    (package / "cassettes").mkdir(parents=True)
    (package / "cassettes" / "demo.yaml").write_bytes(CASSETTE.read_bytes().replace(b"Rider", b"Packaged"))
    monkeypatch.setattr("migrate.__file__", str(package / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    assert "Packaged" in run("run", "--replay", "demo", "--out", "out").stdout
