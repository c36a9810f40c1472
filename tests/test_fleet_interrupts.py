"""Ctrl-C in the middle of a fleet: one line, and only what failed before it is a failure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from migrate.fleet.accounts import AT_A_TIME
from migrate.fleet.folder import read_fleet
from tests.company import MAIN, MAIN_TOKEN, sid_of, token_of
from tests.scripted import Reply, Scripted, scripted
from tests.whole import ending, wait_until

FAILED, LAST = 1, AT_A_TIME + 3


def listed(number: int) -> dict[str, Any]:
    """An account of the list; the token of the first is not shown, so it fails at once."""
    token = None if number == FAILED else token_of(number)
    return {"sid": sid_of(number), "auth_token": token, "friendly_name": "", "status": "active"}


@pytest.mark.parametrize("words", [("extract", "--out", "fleet"), pytest.param(("doctor",), marks=pytest.mark.long)])
def test_ctrl_c_is_one_line_and_what_had_failed_before_it_is_the_only_failure(
    environment: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...]
) -> None:
    over = threading.Event()

    def answer(server: Scripted, path: str) -> Reply:
        if "/Accounts" in path:
            return Reply({"accounts": [listed(one) for one in range(1, LAST + 1)], "next_page_uri": None})
        over.wait()  # no account gets an answer
        return Reply({}, 503)

    with scripted(answer) as server:
        for api in ("CHAT", "CONVERSATIONS", "MONITOR", "ACCOUNTS"):
            environment.setenv(f"CHAT_MIGRATE_{api}_URL", server.url)
        environment.setenv("TWILIO_ACCOUNT_SID", MAIN)
        environment.setenv("TWILIO_AUTH_TOKEN", MAIN_TOKEN)

        def are_begun() -> bool:
            """Whether as many wait as fit: the first, which was begun before all of them, has ended then."""
            signed = {headers["Authorization"] for _, path, headers in [*server.seen] if "/Accounts" not in path}
            return len(signed) == AT_A_TIME

        command = [sys.executable, "-m", "migrate", *words, "--accounts", "--json"]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            with ending(process):
                assert wait_until(process, are_begun)
                process.send_signal(signal.SIGINT)
                shown, told = process.communicate(timeout=60)
        finally:
            over.set()
    assert process.returncode == 130, told
    (error,) = [line for line in told.splitlines() if line.startswith("Error: ")]
    assert error.startswith(f"Error: Interrupted: 1 of {LAST} accounts finished. "), told
    assert f"Resume with: chat-migrate {words[0]} " in error
    assert "Traceback" not in told
    states = {one["account_sid"]: (one["state"], one["exit_code"]) for one in json.loads(shown)["accounts"]}
    assert states == {
        sid_of(FAILED): ("failed", 1),
        **{sid_of(one): ("interrupted", 130) for one in range(2, AT_A_TIME + 2)},
        **{sid_of(one): ("not-begun", 130) for one in range(AT_A_TIME + 2, LAST + 1)},
    }
    if words[0] == "doctor":  # which has no folder
        return
    noted = {sid: one.stages["extract"] for sid, one in read_fleet(tmp_path / "fleet").accounts.items()}
    assert {sid: (one.state, one.exit_code) for sid, one in noted.items()} == states
