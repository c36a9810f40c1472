"""What docs/unverified.md offers to settle what is not known of Twilio's alerts: its script tells the answers apart."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrate.standin.world import World, make_world
from tests.conftest import ROOT, Serve, tiny_world

PAGE = (ROOT / "docs" / "unverified.md").read_text("utf-8")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = re.search(r"^cat > alerts.py <<'END'\n(.*?)^END$", PAGE, re.DOTALL | re.MULTILINE)
    assert found
    path = tmp_path_factory.mktemp("script") / "alerts.py"
    path.write_text(found[1], "utf-8")
    return path


def world(**log: Any) -> World:
    text = "{credential} of someone@example.test, token APA91bMadeUp"
    groups = [
        {"code": 52117, "count": 5, "hours_ago": [3, 2], "resource_sid": "binding", "service_sid": "service"},
        {"code": 52116, "hours_ago": 5, "log_level": "warning", "credential": "push", "alert_text": text},
        {"code": 52110, "hours_ago": 2.5, "created_after": 2 * 3600},
        {"code": 11200, "count": 2, "hours_ago": 1, "resource_sid": "CA" + "0" * 32},
    ]
    made = make_world({**tiny_world(), "alerts": groups})
    return replace(made, alerts=replace(made.alerts, **log))


@pytest.mark.parametrize("by", ["generated", "created"])
def test_the_script_says_what_is_asked_of_alerts(
    script: Path, serve: Serve, environment: pytest.MonkeyPatch, by: str
) -> None:
    environment.setenv("CHAT_MIGRATE_MONITOR_URL", serve(world(by=by)).url)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    other = {"generated": "created", "created": "generated"}[by]
    lines = done.stdout.splitlines()
    assert lines[0] == "9 alerts, then the list ends"
    assert {f"date_{by}: newest first", f"date_{other}: in another order"} == {*lines[1:3]}
    assert [line.split(" by its ")[1] for line in lines[3:5] if line.endswith(": found")] == [f"date_{by}: found"]
    assert lines[5:] == [
        "1 x 52110 error: no SID",
        "1 x 52116 warning: CR in alert_text",
        "5 x 52117 error: BS in resource_sid, IS in service_sid",
    ]
    assert "example" not in done.stdout
    assert "APA91b" not in done.stdout


def test_the_script_says_where_the_list_is_refused(
    script: Path, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    made = world()
    many = make_world({**tiny_world(), "alerts": [{"code": 52117, "count": 2001, "hours_ago": [9, 1]}]}).alerts
    environment.setenv(
        "CHAT_MIGRATE_MONITOR_URL", serve(replace(made, alerts=replace(many, most=1000, beyond="refused"))).url
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "1000 alerts, then the next page is refused with 400"
