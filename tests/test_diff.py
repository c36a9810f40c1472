"""diff: what has changed between two snapshots, mapped folders or plans; whose they are; what is shown of it."""

from __future__ import annotations

import json
import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from migrate.diff.values import differing, flat, hidden
from migrate.load.plan_file import save_plan
from migrate.map.mapping import map_snapshot
from migrate.model.finding import Finding
from migrate.model.plan import Plan
from migrate.model.proposal import Proposal
from migrate.model.push_credential import CredentialChange, CredentialConfig
from migrate.snapshot.manifest import ChainRecord, Filters, IdentityFile
from tests.conftest import Run, service_sid
from tests.plans import change, plan_of
from tests.snapshots import ACCOUNT, AS_OF, binding, credential, credential_sid, write_snapshot

ONE, TWO, THREE = service_sid(1), service_sid(2), service_sid(3)
CHAT = {"new_message": {"enabled": True, "template": "${USER}: ${MESSAGE}"}, "log_enabled": False}
OURS = {"chat_service_sid": ONE, "new_message": {"enabled": False}}


def service(name: str = "Shop", chat: Any = CHAT, ours: Any = OURS, **changes: Any) -> dict[str, Any]:
    """A service's row, with settings on both sides."""
    said = {"notifications": chat, "conversations_notifications": ours}
    return {
        "friendly_name": name,
        **{key: json.dumps(value) if value is not None else None for key, value in said.items()},
        **changes,
    }


def snapshot(folder: Path, **changes: Any) -> Path:
    """A snapshot of one service with three bindings, with changes to the manifest."""
    return write_snapshot(
        folder, {ONE: service()}, {ONE: [[binding(number) for number in range(3)]]}, [credential(1, "apn")], **changes
    )


def shown(run: Run, *words: Any, code: int = 0) -> Any:
    """What diff says as JSON, with the exit code that is expected."""
    result = run("diff", *words, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def values(found: Any, what: str = "settings") -> list[tuple[Any, ...]]:
    return [(one["of"], one["subject"], one["path"], one["before"], one["after"]) for one in found[what]]


# --- two snapshots ------------------------------------------------------------------------------------------------


def test_services_settings_credentials_and_findings_of_two_snapshots(tmp_path: Path, run: Run) -> None:
    before = write_snapshot(
        tmp_path / "a",
        {ONE: service(), TWO: service("Gone", extra='{"webhook": "https://s3cret.test", "a.b": 1}')},
        {ONE: [[binding(1)]]},
        [credential(1, "apn"), credential(2, "fcm")],
    )
    chat = {
        "new_message": {"enabled": True, "template": "New: ${MESSAGE}"},
        "invited_to_channel": {"enabled": True, "tags": [1]},
    }
    ours = {"chat_service_sid": ONE, "new_message": {"enabled": True, "sound": 7}}
    chain = ChainRecord("chat:x", ONE, 1, 1, 2, 50, 1, 0, 0)
    after = write_snapshot(
        tmp_path / "b",
        {ONE: service("Shop 2", chat, ours, extra='{"webhook": "https://t0ken.test"}'), THREE: service("New", {}, {"log_enabled": True})},
        {ONE: [[binding(1)]]},
        [credential(1, "apn", date_updated=AS_OF + timedelta(days=1)), credential(3, "fcm", friendly_name="Firebase")],
        chains=(chain,), rejected=2,
    )  # fmt: skip
    result = run("diff", before, after, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert [(one["service_sid"], one["change"], one["before"], one["after"]) for one in found["services"]] == [
        (ONE, "renamed", "Shop", "Shop 2"),
        (TWO, "gone", "Gone", ""),
        (THREE, "new", "", "New"),
    ]
    settings = values(found)
    assert ("chat", ONE, "new_message.template", "${USER}: ${MESSAGE}", "New: ${MESSAGE}") in settings
    assert ("chat", ONE, "invited_to_channel.tags", None, "[1]") in settings
    assert ("chat", ONE, "log_enabled", False, None) in settings
    assert ("conversations", ONE, "new_message.enabled", False, True) in settings
    assert ("conversations", ONE, "new_message.sound", None, "(could not be read)") in settings
    assert ("conversations", THREE, "log_enabled", None, True) in settings
    assert ("other", ONE, "webhook", None, "(not shown)") in settings
    assert ("other", TWO, '"a.b"', "(not shown)", None) in settings
    assert [(one["credential_sid"], one["change"]) for one in found["credentials"]] == [
        (credential_sid(1), "changed"),
        (credential_sid(2), "gone"),
        (credential_sid(3), "new"),
    ]
    assert [value["path"] for value in found["credentials"][0]["values"]] == ["date_updated"]
    assert [(one["code"], one["before"], one["after"]) for one in found["findings"]] == [("bindings-rejected", 0, 2)]
    text = run("diff", before, after)
    for secret in ("s3cret", "t0ken"):
        assert secret not in result.stdout + text.stdout
    assert "+ new" in text.stdout
    assert re.search(r"- gone", text.stdout)
    assert "~ name" in text.stdout
    assert '"${USER}: ${MESSAGE}" → "New: ${MESSAGE}"' in text.stdout
    assert shown(run, before, after, "--detailed-exitcode", code=3) == found


def test_settings_that_one_side_could_not_read_are_not_shown_as_gone(tmp_path: Path, run: Run) -> None:
    known = write_snapshot(tmp_path / "a", {ONE: service(), TWO: service()}, {})
    services = {
        ONE: service(chat=None, ours="x", extra="{"),
        TWO: service(chat=None, ours=None),
        THREE: service(chat=None),
    }
    unknown = write_snapshot(tmp_path / "b", services, {}, source="conversations")
    found = shown(run, known, unknown)
    assert [one for one in values(found) if one[1] != THREE] == [
        (of, sid, "", "(could be read)", "(could not be read)")
        for of in ("chat", "conversations")
        for sid in (ONE, TWO)
    ]
    assert {path for of, sid, path, _, _ in values(found) if sid == THREE} == {"new_message.enabled"}
    assert any("Conversations does not show Chat's settings" in note for note in found["notes"])
    assert values(shown(run, unknown, unknown)) == []


def test_what_the_two_do_not_both_cover_is_said_first(tmp_path: Path, run: Run) -> None:
    before = snapshot(tmp_path / "a", addresses={"chat": "http://127.0.0.1:1"})
    narrowed = Filters(services=(ONE,), identities=("alice@example.test",), identity_file=IdentityFile(1, "f" * 64))
    earlier = (AS_OF - timedelta(days=3)).isoformat()
    after = snapshot(
        tmp_path / "b", filters=narrowed, as_of=earlier, shards=("apn",), addresses={"chat": "http://127.0.0.1:2"}
    )
    result = run("diff", before, after)
    notes, _, rest = result.stdout.partition("\n\n")
    assert "services, identities, the identities of a file: what only one covers" in notes
    assert "is later than" in notes
    assert "a list for each binding type" in notes
    assert "two addresses of Chat: http://127.0.0.1:1, http://127.0.0.1:2" in notes
    assert "do not differ" in rest
    assert "alice" not in result.output


def test_bindings_are_counted_by_service_type_and_field_and_no_person_is_shown(tmp_path: Path, run: Run) -> None:
    rows = [binding(number, binding_type="gcm" if number < 2 else "apn") for number in range(6)]
    changed = [
        rows[0] | {"binding_type": "fcm"},
        rows[1] | {"identity": "somebody-else@example.test", "endpoint": "another-device-of-a-user"},
        rows[2] | {"message_types": ["new_message", "new_message"]},
        rows[3] | {"date_updated": AS_OF + timedelta(days=1)},
        binding(9, binding_type=None),
    ]
    before = write_snapshot(tmp_path / "a", {ONE: service(), TWO: service()}, {ONE: [rows], TWO: [rows]})
    after = write_snapshot(tmp_path / "b", {ONE: service(), TWO: service()}, {ONE: [changed], TWO: [rows]})
    found = shown(run, before, after)["bindings"]
    total = {"before": 12, "after": 11, "new": 1, "gone": 2, "changed": 2, "refreshed": 1, "same": 7}
    assert found["total"] == total | {"fields": {"binding_type": 1, "endpoint": 1, "identity": 1}}
    assert [(one["binding_type_before"], one["binding_type"], one["changed"]) for one in found["binding_types"]] == [
        ("apn", "apn", 0), ("gcm", "fcm", 1), ("gcm", "gcm", 1), (None, None, 0)
    ]  # fmt: skip
    assert found["services"][0]["examples"] == {
        "new": [f"BS{9:032x}"], "gone": [f"BS{4:032x}", f"BS{5:032x}"], "changed": [f"BS{0:032x}", f"BS{1:032x}"]
    }  # fmt: skip
    assert [one["service_sid"] for one in found["services"]] == [ONE, TWO]
    reports = [tmp_path / f"report{suffix}" for suffix in (".md", ".html", ".json")]
    result = run("diff", before, after, *(word for path in reports for word in ("--report", path)))
    assert "gcm → fcm" in result.stdout
    assert "(none)" in result.stdout
    for text in (result.output, *(path.read_text("utf-8") for path in reports)):
        assert f"BS{9:032x}" in text
        assert not re.search(r"example\.test|-of-a-user|user-0|another-device", text)
    assert json.loads(reports[2].read_text("utf-8")) == shown(run, before, after)


def test_a_device_that_was_only_seen_again_is_counted_apart_and_is_a_difference(tmp_path: Path, run: Run) -> None:
    before = snapshot(tmp_path / "a")
    later = [binding(number, date_created=AS_OF) for number in range(3)]
    after = write_snapshot(tmp_path / "b", {ONE: service()}, {ONE: [later]}, [credential(1, "apn")])
    result = run("diff", before, after, "--detailed-exitcode")
    assert result.exit_code == 3
    assert "The two snapshots differ: 3 bindings seen again." in result.stdout
    assert run("diff", before, before, "--detailed-exitcode").exit_code == 0


# --- two mapped folders -------------------------------------------------------------------------------------------


def mapped(folder: Path, rules: str = "", **changes: Any) -> Path:
    """What a snapshot of two services and two bindings is mapped to."""
    from migrate.map.rules_toml import override

    services = {ONE: service(**changes), TWO: service("Two", chat={})}
    rows = {sid: [[binding(1), binding(2, binding_type="fcm", credential_sid=credential_sid(2))]] for sid in services}
    taken = write_snapshot(folder / "snapshot", services, rows, [credential(1, "apn"), credential(2, "fcm")])
    map_snapshot(taken, folder / "mapped", override(rules, "rules.toml") if rules else None)
    return folder / "mapped"


def test_rules_edits_and_services_left_out_of_two_mapped_folders(tmp_path: Path, run: Run) -> None:
    before = mapped(tmp_path / "a")
    rules = f'[services]\nleave_out = ["{TWO}"]\n[binding_types]\nfcm = "block"\n'
    after = mapped(tmp_path / "b", rules, name="Shop 2")
    config = after / "push-config.yaml"
    text = config.read_text("utf-8")
    assert "${PARTICIPANT}: ${MESSAGE}" in text
    config.write_text(text.replace("${PARTICIPANT}: ${MESSAGE}", "${PARTICIPANT} wrote") + CREDENTIALS, "utf-8")
    found = shown(run, before, after, "--detailed-exitcode", code=3)
    assert [(one["service_sid"], one["change"], one["before"], one["after"]) for one in found["services"]] == [
        (ONE, "renamed", "Shop", "Shop 2"),
        (TWO, "state", "stated", "left out"),
    ]
    assert ("desired", ONE, "new_message.template", "${PARTICIPANT}: ${MESSAGE}", "${PARTICIPANT} wrote") in values(
        found
    )
    assert ("proposed", TWO, "new_message.enabled", True, None) in values(found)
    assert values(found, "rules") == [
        ("rules", "binding_types", "fcm", "fcm", "block"),
        ("rules", "services", "leave_out", "[]", f'["{TWO}"]'),
    ]
    assert [(one["of"], one["credential_sid"], one["change"]) for one in found["credentials"]] == [
        ("desired", None, "new")
    ]
    assert found["outcomes"]["blocked"] == {"before": 0, "after": 2}
    assert {"binding-type-blocked", "service-left-out"} <= {one["code"] for one in found["findings"]}
    counted = found["bindings"]["total"]
    assert (counted["changed"], counted["same"]) == (2, 2)
    assert {"outcome", "findings"} <= set(counted["fields"])
    text = run("diff", before, after).stdout
    assert "stated → left out" in text
    assert "[binding_types]" in text
    assert "user-0" not in text
    assert run("diff", before, before, "--detailed-exitcode").exit_code == 0


CREDENTIALS = """
credentials:
  Android:
    type: fcm
    secret: env:FCM_SERVICE_ACCOUNT
"""


def test_mapped_folders_without_bindings_are_compared_for_the_rest_and_say_so(tmp_path: Path, run: Run) -> None:
    before, after = mapped(tmp_path / "a"), mapped(tmp_path / "b")
    shutil.rmtree(after / "bindings")
    found = shown(run, before, after)
    assert found["bindings"]["services"] == []
    assert "no longer has any" in found["notes"][0]
    assert found["differs"] is False
    (after / "rules.toml").unlink()
    lacking = run("diff", before, after)
    assert (lacking.exit_code, lacking.stderr.count("\n"), "rules.toml" in lacking.stderr) == (1, 1, True)
    part = next((before / "bindings").glob("*.parquet"))
    for damage in (b"PAR1", None):
        part.unlink() if damage is None else part.write_bytes(damage)
        result = run("diff", before, before)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert "not as they were mapped" in result.stderr


def test_a_snapshot_without_bindings_beside_one_with_some_is_mapped_and_compared(tmp_path: Path, run: Run) -> None:
    folders = []
    for name, bindings in (("a", {}), ("b", {ONE: [[binding(1)]]})):
        taken = write_snapshot(tmp_path / name / "s", {ONE: service()}, bindings, [credential(1, "apn")])
        map_snapshot(taken, tmp_path / name / "m")
        folders.append(tmp_path / name / "m")
        folders.insert(0, taken)
    mapped_before, mapped_after = (folder for folder in folders if folder.name == "m")
    for pair in ((mapped_before, mapped_after), (tmp_path / "a" / "s", tmp_path / "b" / "s")):
        assert shown(run, *pair)["bindings"]["total"]["new"] == 1
        assert shown(run, *reversed(pair))["bindings"]["total"]["gone"] == 1


# --- two plans ----------------------------------------------------------------------------------------------------


def saved(path: Path, plan: Plan) -> Path:
    save_plan(plan, path)
    return path


def test_two_plans_that_differ_in_nothing_but_what_they_rest_on_say_so(tmp_path: Path, run: Run) -> None:
    then = plan_of((change(1, "Shop"),))
    now = replace(then, snapshot="sha256:" + "8" * 64, push_config="sha256:" + "7" * 64)
    found = shown(run, saved(tmp_path / "a.json", then), saved(tmp_path / "b.json", now))
    assert (found["differs"], found["notes"]) == (
        False, ["The two plans were made from different snapshots and push configurations"]
    )  # fmt: skip
    log = run("diff", tmp_path / "a.json", tmp_path / "b.json", "--log-file", tmp_path / "b.journal.jsonl")
    assert (log.exit_code, "One file is named twice" in log.stderr) == (2, True)  # a plan's journal is no log


def test_what_two_plans_write_find_and_propose_otherwise(tmp_path: Path, run: Run) -> None:
    proposals = (Proposal(ONE, "added_to_conversation.enabled", True, "live bindings", 3, {"apn": 3}),)
    fcm = CredentialConfig("Android", "fcm", {"secret": "env:A"})
    shop, two = change(1, "Shop"), change(2, "Two")
    found_then = Finding("binding-gcm", ONE, "", 4)
    then = plan_of((shop, two), found_then, proposals=proposals, credentials=(CredentialChange(fcm),))
    then = replace(then, live={ONE: shop.existing})
    switched = replace(change(1, "Shop", "other"), existing={"new_message.enabled": False, "log_enabled": True})
    now = replace(
        plan_of((switched,), Finding("binding-gcm", ONE, "", 5), Finding("rule-unused", None, "x")),
        rules="sha256:" + "9" * 64, bindings={"carried": 1226, "blocked": 10},
        credentials=(CredentialChange(replace(fcm, secrets={"secret": "env:B"})),),
        services=plan_of((switched, change(2, "Two"))).services, unchanged=(service_sid(9001), TWO),
    )  # fmt: skip
    found = shown(
        run, saved(tmp_path / "a.json", then), saved(tmp_path / "b.json", now), "--detailed-exitcode", code=3
    )
    assert [(one["service_sid"], one["before"], one["after"]) for one in found["services"]] == [
        (TWO, "would change", "unchanged")
    ]
    assert values(found) == [
        ("written", ONE, "new_message.template", "${PARTICIPANT}: ${MESSAGE}", "other"),
        ("written", TWO, "new_message.enabled", True, None),
        ("written", TWO, "new_message.template", "${PARTICIPANT}: ${MESSAGE}", None),
        ("live", ONE, "log_enabled", None, True),
        ("proposed", ONE, "added_to_conversation.enabled", True, None),
    ]
    assert [(one["change"], one["values"][0]["after"]) for one in found["credentials"]] == [("changed", "env:B")]
    assert [(one["path"], one["change"]) for one in found["rules"]] == [("digest", "changed")]
    assert [(one["code"], one["change"]) for one in found["findings"]] == [
        ("binding-gcm", "changed"),
        ("rule-unused", "new"),
    ]
    assert found["notes"] == []
    assert found["outcomes"] == {
        "blocked": {"before": 9, "after": 10}, "reduced": {"before": 73, "after": 0}
    }  # fmt: skip
    text = run("diff", tmp_path / "a.json", tmp_path / "b.json").stdout
    assert "Settings that would be written" in text
    assert "Bindings\n" not in text


# --- what does not belong beside each other -----------------------------------------------------------------------


def refused(result: Any, code: int, *words: str) -> None:
    assert (result.exit_code, result.stderr.count("\n"), result.stdout) == (code, 1, ""), result.output
    for word in words:
        assert word in result.stderr


def test_two_kinds_and_what_is_neither_are_one_line(tmp_path: Path, run: Run) -> None:
    taken, folder = snapshot(tmp_path / "snapshot"), mapped(tmp_path)
    plan = saved(tmp_path / "plan.json", plan_of(()))
    refused(run("diff", taken, folder), 2, "is a snapshot, and", "is a mapped folder. Name two")
    refused(run("diff", plan, folder), 2, "is a plan, and")
    refused(
        run("diff", tmp_path, folder),
        2,
        "is a folder of chat-migrate run, not a snapshot or a mapped folder or a plan",
        f"{plan}",
    )
    (tmp_path / "empty").mkdir()
    refused(run("diff", taken, tmp_path / "empty"), 1, "Name two snapshots")
    for name in ("manifest.json", "summary.json"):
        (tmp_path / "empty" / name).write_text("{}")
    refused(run("diff", taken, tmp_path / "empty"), 1, "of a snapshot and of a mapped folder")
    refused(run("diff", plan, taken / "manifest.json"), 2, "is a part of a snapshot")
    refused(run("diff", taken, tmp_path / "nowhere"), 1, "There is no", "Name two snapshots")
    assert run("diff", plan, plan, "--report", plan).exit_code == 2


def test_an_unfinished_snapshot_is_refused_with_the_command_that_finishes_it(tmp_path: Path, run: Run) -> None:
    unfinished = snapshot(tmp_path / "b", status="unfinished")
    refused(
        run("diff", snapshot(tmp_path / "a"), unfinished), 4, "unfinished", f"chat-migrate extract --out {unfinished}"
    )


def test_two_accounts_and_two_kinds_of_servers_are_refused(tmp_path: Path, run: Run) -> None:
    ours, others = "AC" + "1" * 32, "AC" + "2" * 32
    before = snapshot(tmp_path / "a", account_sid=ours, addresses={"chat": "https://chat.twilio.com"})
    refused(run("diff", before, snapshot(tmp_path / "b", account_sid=others)), 4, ours, others, "of one account")
    elsewhere = snapshot(tmp_path / "c", account_sid=ours, addresses={"chat": "http://127.0.0.1:8080"})
    refused(run("diff", before, elsewhere), 4, "one is Twilio's, the other not")
    plans = [saved(tmp_path / f"{sid[2]}.json", replace(plan_of(()), account_sid=sid)) for sid in (ours, others)]
    refused(run("diff", *plans), 4, "of one account")
    recorded = snapshot(tmp_path / "d", account_sid=ACCOUNT, addresses={"chat": "cassette:abc"})
    assert f"{ours} before, {ACCOUNT} after" in run("diff", before, recorded).stdout


def test_a_list_is_no_text_that_spells_it_and_quotes_in_keys_are_no_dots() -> None:
    for then, now, paths in (
        ({"a": [1]}, {"a": "[1]"}, ["a"]),
        ({"a": []}, {"a": "[]"}, ["a"]),
        ({'"a': {'b"': 1}}, {'"a.b"': 1}, ['"\\"a"."b\\""', '"\\"a.b\\""']),
    ):
        for kind in (flat, hidden):
            assert [change.path for change in differing("x", "s", kind(then), kind(now))] == paths
            assert not [*differing("x", "s", kind(then), kind(then))]
