"""What was reviewed is carried over to a new mapping by the program, and what no longer fits is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.map.config_blocks import blocks_of
from migrate.map.mapped_folder import open_mapped
from migrate.map.mapped_writer import AS_MAPPED
from migrate.map.push_config_yaml import dump, parse
from migrate.map.reviewed import carry_over, open_reviewed, reviewed_beside
from migrate.model.push_config import FIELDS, ServiceConfig
from tests.conftest import Run, said
from tests.snapshots import ACCOUNT, AS_OF, write_snapshot

CONFIG = "push-config.yaml"
SIDS = [f"IS{number:032d}" for number in range(1, 6)]
CHAT = {
    "log_enabled": True,
    "new_message": {"enabled": True, "template": "${USER}: ${MESSAGE}", "sound": "ping"},
    "added_to_channel": {"enabled": False},
}
# Chat says nothing of it, so that its pushes are only proposed.
SILENT: dict[str, Any] = {}


def snapshot(folder: Path, chat: Mapping[str, Any], **changes: Any) -> Path:
    """A snapshot with a service for each entry, by SID: what Chat has of it; each with a binding."""
    services = {
        sid: {"friendly_name": f"Service {sid[-1]}", "notifications": json.dumps(said)} for sid, said in chat.items()
    }
    binding = {
        "account_sid": ACCOUNT, "endpoint": "e", "identity": "someone", "binding_type": "fcm",
        "message_types": ["new_message", "removed_from_channel"], "date_created": AS_OF, "date_updated": AS_OF,
    }  # fmt: skip
    bindings = {sid: [[{"sid": f"BS{number:032d}", **binding}]] for number, sid in enumerate(chat)}
    return write_snapshot(folder, services, bindings, **changes)


@pytest.fixture
def reviewed(tmp_path: Path, run: Run) -> Path:
    """A mapped folder of four services, of which the rules leave out the fourth; to be edited."""
    chat = {SIDS[0]: CHAT, SIDS[1]: CHAT, SIDS[2]: SILENT, SIDS[3]: CHAT}
    rules = tmp_path / "rules.toml"
    rules.write_text(f'[services]\nleave_out = ["{SIDS[3]}"]  # switched off\n')
    source = snapshot(tmp_path / "old", chat)
    assert run("map", source, "--out", tmp_path / "reviewed", "--rules", rules).exit_code == 0
    rules.unlink()  # what is needed of them is in the folder
    return tmp_path / "reviewed"


def change(folder: Path, old: str, new: str, sid: str = "") -> None:
    """Edit push-config.yaml as a person would: the first such text, of a service."""
    path = folder / CONFIG
    before, key, after = path.read_text("utf-8").partition(f"  {sid}:" if sid else "\n")
    assert old in after
    path.write_text(before + key + after.replace(old, new, 1), "utf-8")


def load(folder: Path) -> Any:
    """What push-config.yaml states, as a person's program reads it; keys with comments alone are left out."""

    def stated_only(content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        return {key: stated_only(value) for key, value in content.items() if value is not None}

    return stated_only(yaml.safe_load((folder / CONFIG).read_text("utf-8")))


def like(run: Run, reviewed: Path, chat: Mapping[str, Any], **changes: Any) -> tuple[dict[str, Any], Path]:
    """Map another snapshot like the reviewed folder: what is said of it, and the new folder."""
    place = reviewed.parent
    done = run("map", snapshot(place / "new", chat, **changes), "--out", place / "m", "--like", reviewed, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found, place / "m"


def reviews(found: Mapping[str, Any]) -> set[tuple[str, str | None, str]]:
    """The findings of a review: code, service, subject."""
    return {
        (one["code"], one["service_sid"], one["subject"])
        for one in found["findings"]
        if one["code"].startswith("review-")
    }


def stated(folder: Path) -> dict[str, dict[str, Any]]:
    return {config.service_sid: dict(config.settings) for config in open_mapped(folder).configs}


SAME = {SIDS[0]: CHAT, SIDS[1]: CHAT, SIDS[2]: SILENT, SIDS[3]: CHAT}


def test_over_an_unchanged_snapshot_nothing_is_changed_comments_included(run: Run, reviewed: Path) -> None:
    change(reviewed, "sound: ", "# our own sound, says marketing\n        sound: ", SIDS[0])
    change(reviewed, '"ping"', '"gong"', SIDS[0])
    change(reviewed, "# enabled: true", "enabled: true", SIDS[2])
    found, m = like(run, reviewed, SAME)
    assert (m / CONFIG).read_bytes() == (reviewed / CONFIG).read_bytes()
    assert (m / "rules.toml").read_bytes() == (reviewed / "rules.toml").read_bytes()
    assert reviews(found) == set()
    edits = {(one["service_sid"], one["path"], one["after"]) for one in found["carried_over"]}
    assert edits >= {(SIDS[0], "new_message.sound", "gong")}
    assert {sid for sid, _, _ in edits} == {SIDS[0], SIDS[2]}
    assert SIDS[3] not in stated(m)  # a service that was left out does not come back
    # What was carried over is an edit of the new folder: it is carried on from there, and not written over unseen.
    again = run("map", reviewed.parent / "new", "--out", reviewed.parent / "m2", "--like", m)
    assert (again.exit_code, stated(reviewed.parent / "m2")) == (0, stated(m))
    assert "its push-config.yaml has been edited" in run("map", reviewed.parent / "new", "--out", m).stderr


def test_what_changed_underneath_is_said_and_the_edit_is_kept(run: Run, reviewed: Path) -> None:
    change(reviewed, '"ping"', '"gong"', SIDS[0])
    other = {**CHAT, "new_message": {**CHAT["new_message"], "sound": "pong", "template": "${MESSAGE}"}}  # type: ignore[dict-item]
    found, m = like(run, reviewed, {**SAME, SIDS[0]: other, SIDS[1]: other})
    assert reviews(found) == {
        ("review-ground-changed", SIDS[0], "new_message.sound"),
        ("review-setting-changed", SIDS[0], "new_message.template"),
        ("review-setting-changed", SIDS[1], "new_message.template"),
        ("review-setting-changed", SIDS[1], "new_message.sound"),
    }
    after = stated(m)
    assert (after[SIDS[0]]["new_message.sound"], after[SIDS[1]]["new_message.sound"]) == ("gong", "pong")
    assert after[SIDS[0]]["new_message.template"] == "${MESSAGE}"
    assert 'as reviewed in reviewed; now mapped as "pong"' in (m / CONFIG).read_text("utf-8")
    assert '"pong"' in (m / AS_MAPPED).read_text("utf-8")


def test_services_that_are_gone_or_new_or_taken_out(run: Run, reviewed: Path) -> None:
    change(reviewed, '"ping"', '"gong"', SIDS[0])
    path = reviewed / CONFIG
    content = load(reviewed)
    del content["services"][SIDS[1]]
    path.write_text(yaml.safe_dump(content), "utf-8")
    found, m = like(run, reviewed, {SIDS[1]: CHAT, SIDS[2]: SILENT, SIDS[3]: CHAT, SIDS[4]: CHAT})
    assert reviews(found) == {("review-service-gone", SIDS[0], ""), ("review-service-new", SIDS[4], "")}
    assert set(stated(m)) == {SIDS[2], SIDS[4]}
    assert ("service-not-stated", SIDS[1]) in {(one["code"], one["service_sid"]) for one in found["findings"]}


def test_a_service_that_was_taken_out_stays_out_though_chat_changed_it(run: Run, reviewed: Path) -> None:
    path = reviewed / CONFIG
    content = load(reviewed)
    del content["services"][SIDS[1]]
    path.write_text(yaml.safe_dump(content), "utf-8")
    found, m = like(run, reviewed, {**SAME, SIDS[1]: {"log_enabled": False}})
    assert reviews(found) == {("review-ground-changed", SIDS[1], "its whole entry")}
    assert SIDS[1] not in stated(m)


def test_an_entry_that_a_person_has_added_is_carried_over(run: Run, reviewed: Path) -> None:
    entry = f"  {SIDS[3]}:\n    notifications: {{log_enabled: true}}\n\n  {SIDS[0]}:"
    change(reviewed, f"  {SIDS[0]}:", entry)
    found, m = like(run, reviewed, SAME)
    assert reviews(found) == set()
    assert stated(m)[SIDS[3]] == {"log_enabled": True}


@pytest.mark.parametrize("is_same", [True, False])
def test_an_entry_for_a_service_that_no_snapshot_had_is_carried_over(
    run: Run, reviewed: Path, *, is_same: bool
) -> None:
    change(reviewed, f"  {SIDS[0]}:", f"  {SIDS[4]}:\n    notifications: {{log_enabled: true}}\n\n  {SIDS[0]}:")
    found, m = like(run, reviewed, SAME if is_same else {**SAME, SIDS[1]: SILENT})
    assert "review-service-gone" not in {code for code, _, _ in reviews(found)}
    assert stated(m)[SIDS[4]] == {"log_enabled": True}
    assert ((m / CONFIG).read_bytes() == (reviewed / CONFIG).read_bytes()) == is_same


def test_a_proposal_that_was_decided_is_said_where_it_is_none_any_more(run: Run, reviewed: Path) -> None:
    change(reviewed, "# enabled: true", "enabled: true", SIDS[2])
    (edit, *_) = open_reviewed(reviewed).edits
    found, m = like(run, reviewed, {**SAME, SIDS[2]: {"new_message": {"enabled": False}}})
    assert stated(m)[SIDS[2]][edit.path] is True
    assert ("review-ground-changed", SIDS[2], edit.path) in reviews(found)


def test_comments_stay_where_an_entry_is_mapped_as_before(run: Run, reviewed: Path) -> None:
    text = (reviewed / CONFIG).read_text("utf-8")
    text = f"# reviewed by the owners of the apps\n{text}".replace(
        f"  {SIDS[1]}:", f"  # the app for drivers\n  {SIDS[1]}:  # keep"
    ).replace(f"  {SIDS[0]}:", f"  {SIDS[0]}:  # lost with its entry")
    secret = '\n# made for the new app\ncredentials:\n  new: {type: fcm, secret: "env:KEY"}  # by reference\n'
    (reviewed / CONFIG).write_text(text + secret, "utf-8")
    found, m = like(run, reviewed, {**SAME, SIDS[0]: {"log_enabled": False}})
    new = (m / CONFIG).read_text("utf-8")
    for comment in (
        "# reviewed by the owners",
        "# the app for drivers",
        "# keep",
        "# made for the new app",
        "# by ref",
    ):
        assert comment in new
    assert "# lost with its entry" not in new
    assert ("review-comments-dropped", None, "") in reviews(found)
    assert f"# {SIDS[3]}" in new  # the line on what the rules leave out
    assert [one.friendly_name for one in open_mapped(m).config.credentials] == ["new"]


@pytest.mark.parametrize("style", [{"default_flow_style": True}, {"indent": 4}, {"sort_keys": True}])
def test_whatever_the_layout_the_values_are_carried_over(run: Run, reviewed: Path, style: dict[str, Any]) -> None:
    path = reviewed / CONFIG
    content = load(reviewed)
    content["services"][SIDS[0]]["notifications"]["new_message"]["sound"] = "gong"
    content["credentials"] = {"new one": {"type": "apn", "p12": "file:key.p12", "sandbox": True}}
    path.write_text(yaml.safe_dump(content, **style), "utf-8")
    found, m = like(run, reviewed, {**SAME, SIDS[1]: {"log_enabled": False}})
    assert stated(m)[SIDS[0]] == stated(reviewed)[SIDS[0]]
    assert open_mapped(m).config.credentials == open_mapped(reviewed).config.credentials
    assert stated(m)[SIDS[1]] == {"log_enabled": False}
    assert found["carried_over"]


def test_rules_that_were_edited_since_are_taken_and_said(run: Run, reviewed: Path) -> None:
    change(reviewed, '"ping"', '"gong"', SIDS[0])
    rules = reviewed / "rules.toml"
    rules.write_text(rules.read_text("utf-8").replace(SIDS[3], SIDS[0]), "utf-8")
    found, m = like(run, reviewed, SAME)
    assert reviews(found) == {
        ("review-rules-edited", None, ""),
        ("review-edit-dropped", SIDS[0], ""),
        ("review-service-new", SIDS[3], ""),
    }
    assert set(stated(m)) == {SIDS[1], SIDS[2], SIDS[3]}


def test_what_cannot_be_told_to_be_an_edit_is_refused(run: Run, reviewed: Path) -> None:
    change(reviewed, '"ping"', '"gong"', SIDS[0])
    command = ("map", reviewed.parent / "old", "--out", reviewed.parent / "m", "--like", reviewed)
    with (reviewed / AS_MAPPED).open("a") as file:
        file.write("# changed\n")
    for _ in range(2):
        refused = run(*command)
        assert (refused.exit_code, refused.stderr.count("\n")) == (4, 1)
        assert "is unknown" in refused.stderr
        assert not (reviewed.parent / "m").exists()
        (reviewed / AS_MAPPED).unlink(missing_ok=True)
    # As the message says, the edited file can be put beside what it was mapped from.
    mapped = run("map", reviewed.parent / "old", "--out", reviewed.parent / "r2", "--rules", reviewed / "rules.toml")
    assert mapped.exit_code == 0
    shutil.copy(reviewed / CONFIG, reviewed.parent / "r2" / CONFIG)
    assert run(*command[:-1], reviewed.parent / "r2").exit_code == 0
    assert stated(reviewed.parent / "m") == stated(reviewed)


def test_one_that_was_not_edited_needs_no_proof_but_its_checksum(run: Run, reviewed: Path) -> None:
    (reviewed / AS_MAPPED).unlink()
    found, m = like(run, reviewed, SAME)
    assert (found["carried_over"], stated(m)) == ([], stated(reviewed))


def test_rules_and_like_exclude_each_other_and_another_account_is_refused(run: Run, reviewed: Path) -> None:
    place = reviewed.parent
    (place / "rules.toml").write_text("")
    both = run("map", place / "old", "--out", place / "m", "--like", reviewed, "--rules", place / "rules.toml")
    assert (both.exit_code, "exclude each other" in both.stderr) == (2, True)
    other = snapshot(place / "other", SAME, account_sid="AC" + "9" * 32)
    refused = run("map", other, "--out", place / "m", "--like", reviewed)
    assert (refused.exit_code, "is of account AC9" in refused.stderr) == (4, True)
    assert not (place / "m").exists()


def test_a_mapping_in_its_own_place_keeps_its_edits(run: Run, reviewed: Path) -> None:
    change(reviewed, '"ping"', '"gong"', SIDS[0])
    before = stated(reviewed)
    done = run("map", reviewed.parent / "old", "--out", reviewed, "--like", reviewed, "--overwrite")
    assert (done.exit_code, stated(reviewed)) == (0, before)
    assert "1 edit of 1 service, and the rules" in done.stdout
    assert 'new_message.sound  "ping" → "gong"' in done.stdout


def test_a_review_that_is_ignored_is_warned_of(run: Run, reviewed: Path) -> None:
    place, mine = reviewed.parent, snapshot(reviewed.parent / "new", SAME)
    warning = f"are not carried over: {reviewed}. To carry them over, use --like {reviewed}"
    assert warning in run("map", mine, "--out", place / "a").stderr  # it has rules of its own
    (place / "rules.toml").write_text("")
    change(reviewed, '"ping"', '"gong"', SIDS[0])
    assert warning in run("map", mine, "--out", place / "b", "--rules", place / "rules.toml").stderr
    assert "--like carries edits over" in run("map", mine, "--out", reviewed, "--overwrite").stdout
    assert said(run("map", mine, "--out", place / "c", "--like", reviewed)) == ""


def test_of_several_reviews_that_are_ignored_none_is_picked_for_the_operator(run: Run, reviewed: Path) -> None:
    place, mine = reviewed.parent, snapshot(reviewed.parent / "new", SAME)
    shutil.copytree(reviewed, place / "a-copy")
    said_then = said(run("map", mine, "--out", place / "m"))
    assert f"are not carried over: {place / 'a-copy'}, {reviewed}. To carry over those of one, name it" in said_then
    assert "--like " not in said_then


def test_a_folder_that_was_not_reviewed_or_is_anothers_is_not_warned_of(run: Run, tmp_path: Path) -> None:
    mine = snapshot(tmp_path / "mine", SAME)
    other = snapshot(tmp_path / "other", SAME, account_sid="AC" + "9" * 32)
    assert said(run("map", mine, "--out", tmp_path / "a")) == ""
    assert said(run("map", mine, "--out", tmp_path / "b")) == ""
    assert said(run("map", other, "--out", tmp_path / "c")) == ""
    change(tmp_path / "c", '"ping"', '"gong"')
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "summary.json").write_text("[")
    assert said(run("map", mine, "--out", tmp_path / "e")) == ""


def test_where_nothing_can_be_listed_nothing_is_warned_of(tmp_path: Path) -> None:
    assert reviewed_beside(tmp_path / "absent" / "m", ACCOUNT, None) == []


@pytest.mark.parametrize(
    "text", ["services: [", "[]", "services: {}", "{services: {}}", "a: 1", "services:\n  x: {}\n"]
)
def test_a_text_without_lines_for_each_service_has_no_parts(text: str) -> None:
    assert blocks_of(text) is None


VALUES = {bool: st.booleans(), str: st.text(st.characters(exclude_categories=["Cs"]), max_size=8)}
SETTINGS = st.fixed_dictionaries({}, optional={item.path: VALUES[item.type] for item in FIELDS})
CONFIGS = st.dictionaries(st.sampled_from(SIDS), SETTINGS, max_size=4)


def configs_of(content: Mapping[str, Mapping[str, Any]]) -> list[ServiceConfig]:
    return [ServiceConfig(sid, f"Service {sid[-1]}", found) for sid, found in sorted(content.items())]


@given(edited=CONFIGS, mapped=CONFIGS)
@settings(max_examples=25)
def test_whatever_was_edited_is_carried_over_and_nothing_else(
    edited: dict[str, dict[str, Any]], mapped: dict[str, dict[str, Any]], like_folder: Path
) -> None:
    """Over the same mapping, the text is the same; over another, each edit is there, and all else is as mapped."""
    found = open_reviewed(like_folder)
    text = dump(configs_of(edited))
    theirs = parse(text, CONFIG)
    base, services = found.base, set(SIDS)
    reviewed = type(found)(
        type(found.mapped)(found.mapped.folder, found.mapped.summary, theirs), text, base, found.base_text,
        found.rules, rules_edited=False,
    )  # fmt: skip
    left_out = {SIDS[3]: "Service 4"}
    proposals = found.mapped.summary.proposals
    origin = list(base.services)
    carried = carry_over(reviewed, origin, left_out, proposals, services)
    assert parse(carried.text, CONFIG) == theirs
    assert [one for one in carried.findings if one.code != "review-comments-dropped"] == []
    over = carry_over(reviewed, configs_of(mapped), {}, (), services)
    result = {one.service_sid: one.settings for one in parse(over.text, CONFIG).services}
    before = {one.service_sid: one.settings for one in base.services}
    for sid in SIDS:
        was, is_, now = before.get(sid), edited.get(sid), mapped.get(sid)
        if is_ is None:
            assert result.get(sid) == (None if was is not None else now)
        elif now is None and was is not None:
            assert sid not in result
        else:
            wanted = {
                path: value
                for path in (item.path for item in FIELDS)
                if (value := (is_ if is_.get(path) != (was or {}).get(path) else (now or {})).get(path)) is not None
            }
            assert dict(result[sid]) == wanted


@pytest.fixture(scope="module")
def like_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mapped folder that was not edited, for edits of any kind."""
    from migrate.map.mapping import map_snapshot
    from migrate.map.rules_toml import override

    folder = tmp_path_factory.mktemp("like")
    rules = override(f'[services]\nleave_out = ["{SIDS[3]}"]\n', "rules.toml")
    map_snapshot(snapshot(folder / "s", SAME), folder / "m", rules)
    return folder / "m"
