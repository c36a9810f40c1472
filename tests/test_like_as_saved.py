"""What editors and people do to a reviewed push-config.yaml costs map --like neither an edit nor a true word."""

from __future__ import annotations

import json
from pathlib import Path

from migrate.map.config_blocks import comments_of
from tests.conftest import Run
from tests.snapshots import write_snapshot
from tests.test_like import CHAT, CONFIG, SAME, SIDS, change, like, reviewed, reviews, stated

__all__ = ["reviewed"]  # a fixture


def test_a_file_that_an_editor_of_windows_has_saved_is_carried_over_as_one_text(run: Run, reviewed: Path) -> None:
    change(reviewed, '"ping"', '"gong"', SIDS[0])
    path = reviewed / CONFIG
    edited = path.read_text("utf-8")
    path.write_bytes(edited.replace("\n", "\r\n").encode("utf-8-sig"))
    found, m = like(run, reviewed, SAME | {SIDS[1]: CHAT | {"log_enabled": False}})
    text = (m / CONFIG).read_bytes()
    assert b"\r" not in text
    assert text.decode().replace("log_enabled: false", "log_enabled: true") == edited
    assert reviews(found) == {("review-setting-changed", SIDS[1], "log_enabled")}


def test_a_sharp_in_a_text_is_no_comment_that_is_lost(run: Run, reviewed: Path) -> None:
    change(reviewed, '"ping"', '"no # 5, it\'s"', SIDS[0])
    found, m = like(run, reviewed, SAME | {SIDS[0]: CHAT | {"log_enabled": False}})
    assert stated(m)[SIDS[0]]["new_message.sound"] == "no # 5, it's"
    assert "review-comments-dropped" not in {code for code, _, _ in reviews(found)}
    assert comments_of("""a: 'it''s # one'  # it's mine\nb: don't  # that's "yours"\nc: x#y\n""") == {
        "it's mine",
        'that\'s "yours"',
    }


def test_a_service_that_was_taken_out_is_said_where_only_what_is_proposed_of_it_has_changed(
    run: Run, reviewed: Path
) -> None:
    path = reviewed / CONFIG
    path.write_text(path.read_text("utf-8").partition(f"  {SIDS[2]}:")[0], "utf-8")
    services = {
        sid: {"friendly_name": f"Service {sid[-1]}", "notifications": json.dumps(said)} for sid, said in SAME.items()
    }
    new = write_snapshot(reviewed.parent / "new", services, {})  # without bindings nothing is proposed any more
    done = run("map", new, "--out", reviewed.parent / "m", "--like", reviewed, "--json")
    assert ("review-ground-changed", SIDS[2], "its whole entry") in reviews(json.loads(done.stdout))
    assert SIDS[2] not in stated(reviewed.parent / "m")
