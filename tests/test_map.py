"""Map: one outcome for every binding, counts that add up, and a push configuration that widens nothing."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.map.bindings import Mapper
from migrate.map.counts import ServiceCounts, TaskCounts
from migrate.map.credentials import Credentials
from migrate.map.decision import Facts, decide
from migrate.map.notifications import service_config
from migrate.map.outcome import OUTCOMES
from migrate.map.push_config_yaml import parse
from migrate.map.rules import DROP
from migrate.map.rules_toml import default_rules
from migrate.map.sharing import Sharing
from migrate.model.masked_column import mask_column
from migrate.model.masking import mask
from migrate.model.schemas import BINDINGS, MAPPED_BINDINGS
from tests.conftest import CASSETTE, Demo, Run, Serve, service_sid, tiny_world
from tests.snapshots import credential_sid

RULES = default_rules()
AS_OF = datetime(2026, 6, 15, 8, tzinfo=UTC)
NOBODY = Credentials({})
MAPPER = Mapper(AS_OF, RULES, NOBODY, Sharing(pa.array(["a", "b"]), pa.array(["a", "c"])))
SERVICE = service_sid(1)


def config(
    notifications: Any, proposals: dict[str, Any] | None = None, /, **subscribers: int
) -> tuple[dict[str, Any], Counter[tuple[str, str]]]:
    """The settings for a service with these Chat notifications, and the findings as (code, subject).

    What is proposed is put into `proposals`; without that, nothing may be.
    """
    row = {
        "sid": SERVICE,
        "friendly_name": "x",
        "notifications": None if notifications is None else json.dumps(notifications),
    }
    desired = service_config(row, ServiceCounts(subscribers=Counter(subscribers), askers=Counter(subscribers)), RULES)
    proposed = {proposal.path: proposal.value for proposal in desired.proposals}
    assert not proposed or proposals is not None
    if proposals is not None:
        proposals |= proposed
    return dict(desired.config.settings), Counter((finding.code, finding.subject) for finding in desired.findings)


def test_what_chat_says_is_kept_and_media_follows_new_messages() -> None:
    found, findings = config(
        {
            "log_enabled": True,
            "new_message": {"enabled": True, "template": "${USER}", "sound": "x", "badge_count_enabled": False},
            "added_to_channel": {"enabled": False},
            "removed_from_channel": {"enabled": True, "sound": "y"},
        },
        new_message=3,
        removed_from_conversation=1,
    )
    assert found == {
        "log_enabled": True,
        "new_message.enabled": True,
        "new_message.template": "${PARTICIPANT}",
        "new_message.sound": "x",
        "new_message.badge_count_enabled": False,
        "new_message.with_media.enabled": True,
        "added_to_conversation.enabled": False,
        "removed_from_conversation.enabled": True,
        "removed_from_conversation.sound": "y",
    }
    assert not findings


@pytest.mark.parametrize(
    ("nothing", "unknown"),
    [
        (None, set()),
        ({}, set()),
        ({"new_message": None}, set()),
        ({"new_message": {}}, set()),
        ({"new_message": []}, {"new_message"}),
        ({"new_message": {"enabled": 1}}, {"new_message.enabled"}),
        ([], {"notifications"}),
        ("text", {"notifications"}),
    ],
)
def test_what_chat_does_not_say_is_proposed_and_never_stated(nothing: Any, unknown: set[str]) -> None:
    proposals: dict[str, Any] = {}
    found, findings = config(nothing, proposals, new_message=2)
    assert (found, proposals) == ({}, {"new_message.enabled": True, "new_message.with_media.enabled": True})
    assert findings == {("setting-unknown", path): 1 for path in unknown}
    assert config(nothing)[0] == {}


def test_settings_that_are_not_known_are_reported() -> None:
    chat = {
        "reaction_added": {"enabled": True, "template": "x"},
        "new_message": {"enabled": True, "with_media": {"enabled": True}, "sound": 5},
        "log_enabled": "yes",
        "invited_to_channel": {"enabled": False, "template": "x", "sound": "y"},
        "added_to_channel": {"enabled": False, "badge_count_enabled": True},
    }
    _, findings = config(chat, new_message=1)
    assert {subject for code, subject in findings if code == "setting-unknown"} == {
        "reaction_added.enabled",
        "reaction_added.template",
        "new_message.with_media.enabled",
        "new_message.sound",
        "log_enabled",
        "added_to_channel.badge_count_enabled",
    }


def test_disagreements_are_findings_and_change_nothing() -> None:
    found, findings = config(
        {"new_message": {"enabled": True}, "added_to_channel": {"enabled": False}}, added_to_conversation=4
    )
    assert (found["new_message.enabled"], found["added_to_conversation.enabled"]) == (True, False)
    assert findings == {
        ("push-unsubscribed", "new_message.enabled"): 1,
        ("push-disabled", "added_to_conversation.enabled"): 1,
    }


def test_invites_are_reported_as_lost() -> None:
    _, findings = config({"invited_to_channel": {"enabled": True, "template": "${X}"}})
    assert findings == {("push-dropped", "invited_to_channel"): 1}


booleans = st.none() | st.booleans() | st.text(max_size=2)
push = st.none() | st.fixed_dictionaries(
    {}, optional={"enabled": booleans, "template": st.none() | st.text(), "sound": booleans}
)
notifications = st.none() | st.dictionaries(
    st.sampled_from([*RULES.message_types, "log_enabled", "other"]), push | booleans
)
subscribers = st.dictionaries(st.sampled_from(RULES.targets), st.integers(1, 9))


@given(notifications, subscribers)
def test_nothing_is_enabled_but_what_chat_enables_and_nothing_proposed_that_it_states(
    chat: Any, subscribers: dict[str, int]
) -> None:
    proposals: dict[str, Any] = {}
    found, _ = config(chat, proposals, **subscribers)
    assert not set(found) & set(proposals)
    for name, target in RULES.message_types.items():
        path = f"{target}.enabled"
        source = (chat or {}).get(name)
        said = source.get("enabled") if isinstance(source, dict) else None
        if target != DROP:
            assert found.get(path) == (said if isinstance(said, bool) else None)
            asked = subscribers.get(target) and not isinstance(said, bool)
            assert proposals.get(path) == (True if asked else None)
    assert proposals.get("new_message.with_media.enabled") == proposals.get("new_message.enabled")
    assert found.get("new_message.with_media.enabled") == found.get("new_message.enabled")


texts = st.none() | st.sampled_from("abc") | st.text(max_size=14)
message_types = st.none() | st.lists(
    st.none()
    | st.text(max_size=3)
    | st.sampled_from([*RULES.message_types, "twilio.channel.new_message", ",", "0", "1,2"]),
    max_size=4,
)
dates = st.none() | st.integers(-800, 800).map(lambda days: AS_OF + timedelta(days=days))
binding_rows = st.lists(
    st.fixed_dictionaries(
        {
            "sid": st.uuids().map(lambda value: f"BS{value.hex}"),
            "endpoint": texts,
            "identity": texts,
            "binding_type": st.none() | st.sampled_from(["apn", "fcm", "gcm"]) | st.text(max_size=3),
            "credential_sid": texts,
            "message_types": message_types,
            "date_created": dates,
            "date_updated": dates,
        }
    ),
    max_size=12,
)


def expected_facts(row: dict[str, Any]) -> Facts:
    last_seen = row["date_updated"] or row["date_created"]
    kinds = row["message_types"]
    dated = {**row, "date": last_seen}
    return Facts(
        row["binding_type"],
        row["credential_sid"] or None,
        None if kinds is None else tuple(kinds),
        expired=last_seen is not None and last_seen < AS_OF - timedelta(days=365),
        missing=tuple(name for name in ("identity", "endpoint", "credential_sid", "date") if not dated[name]),
        shared=row["endpoint"] in ("a", "c"),
        crowded=row["identity"] in ("a", "b"),
    )


def map_batch(batch: pa.RecordBatch, counts: ServiceCounts) -> pa.RecordBatch:
    """The batch as it is read again, once it was written."""
    counted = TaskCounts()
    mapped = MAPPER.map_batch(batch, counted)
    counts.merge(counted.by_service()[0])
    return mapped.cast(MAPPED_BINDINGS)


@given(binding_rows, st.integers(0, 12))
@settings(deadline=None)
def test_a_batch_is_mapped_as_its_rows_are_one_by_one_however_it_is_cut(rows: list[dict[str, Any]], cut: int) -> None:
    batch = pa.RecordBatch.from_pylist(rows, schema=BINDINGS)
    whole, parts = ServiceCounts(), ServiceCounts()
    mapped = map_batch(batch, whole)
    assert mapped.schema == MAPPED_BINDINGS
    for row, found in zip(rows, mapped.to_pylist(), strict=True):
        fate = decide(expected_facts(row), RULES, NOBODY)
        assert [found[name] for name in ("sid", "outcome", "action")] == [row["sid"], fate.outcome, fate.action]
        assert found["target_binding_type"] == fate.target_binding_type
        assert found["target_credential_sid"] == fate.target_credential_sid
        targets = fate.target_message_types
        assert found["target_message_types"] == (None if targets is None else list(targets))
        assert found["findings"] == sorted({code for code, _ in fate.notes})
        assert found["device"] == (None if row["endpoint"] is None else mask(row["endpoint"]))
    assert whole.rows == sum(whole.outcomes.values()) == sum(whole.binding_types.values()) == len(rows)
    for piece in (batch.slice(cut), batch.slice(0, cut)):
        part = ServiceCounts()
        map_batch(piece, part)
        parts.merge(part)
    assert parts == whole
    assert sorted(map(str, parts.findings("x"))) == sorted(map(str, whole.findings("x")))
    assert (parts.outcomes, parts.subscribers) == (whole.outcomes, whole.subscribers)


@given(st.lists(texts))
def test_a_column_is_masked_as_its_values_are(values: list[str | None]) -> None:
    masked = mask_column(pa.array(values, pa.string())).to_pylist()
    assert masked == [None if value is None else mask(value) for value in values]


@given(st.text(min_size=1))
def test_a_mask_hides_all_but_four_characters(value: str) -> None:
    shown = mask(value)
    assert value not in shown or len(value) <= 1 or value in f"… ({len(value)})"
    escape = re.compile(r"\\(?:u\{[0-9a-f]+\}|u[0-9a-f]{4}|[bfnrt])")
    assert len(escape.sub("x", shown.split(" (")[0])) <= 5


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("\x1b[31m-an-identity", r"\u001b[…ty (17)"),
        ("\u202ean-identity\n!", r"\u{202e}a…\n! (14)"),
        ("日本-an-identity", "日本…ty (14)"),
        ("\x1b\x1b short", "… (8)"),
    ],
)
def test_what_a_mask_leaves_does_not_act_where_it_is_shown(value: str, shown: str) -> None:
    assert mask(value) == shown
    column = pa.array([value, None, "plain@example.com", value], pa.string())
    assert mask_column(column).to_pylist() == [shown, None, "pl…om (17)", shown]
    assert mask_column(column.slice(3)).to_pylist() == [shown]


def one_binding(**changes: Any) -> ServiceCounts:
    """The counts of one binding that is as live as can be, with changes."""
    row: dict[str, Any] = {
        "sid": "BS" + "1" * 32,
        "endpoint": "e",
        "identity": "i",
        "binding_type": "apn",
        "credential_sid": "CR1",
    }
    row |= {"message_types": ["new_message"], "date_created": None, "date_updated": AS_OF, **changes}
    counted = TaskCounts()
    Mapper(AS_OF, RULES, NOBODY).map_batch(pa.RecordBatch.from_pylist([row], schema=BINDINGS), counted)
    return counted.by_service()[0]


def test_live_bindings_subscribe_and_expired_ones_do_not() -> None:
    assert one_binding().subscribers == {"new_message": 1}
    assert one_binding(binding_type="gcm").subscribers == {"new_message": 1}
    assert one_binding(date_updated=AS_OF - timedelta(days=366)).subscribers == {}


@pytest.mark.parametrize(("seconds", "outcome"), [(0, "carried"), (1, "expired")])
def test_a_binding_lives_for_exactly_a_year(seconds: int, outcome: str) -> None:
    last_seen = AS_OF - timedelta(days=365, seconds=seconds)
    assert one_binding(date_updated=last_seen).outcomes == {outcome: 1}
    assert one_binding(date_updated=None, date_created=last_seen).outcomes == {outcome: 1}


@pytest.mark.parametrize(("bindings", "crowded"), [(10, False), (11, True)])
def test_more_than_ten_bindings_of_an_identity_are_a_crowd(
    tmp_path: Path, run: Run, serve: Serve, bindings: int, crowded: bool
) -> None:
    serve(tiny_world(bindings=[{"count": bindings, "identity": "one"}]))
    # A name that is a pattern must not bring the bindings of its neighbours in.
    assert run("extract", "--out", tmp_path / "s1").exit_code == 0
    assert run("extract", "--out", tmp_path / "s?").exit_code == 0
    summary = json.loads(run("map", tmp_path / "s?", "--out", tmp_path / "m", "--json").stdout)
    found = {finding["code"]: finding["count"] for finding in summary["findings"]}
    assert found.get("identity-crowded") == (bindings if crowded else None)
    assert not list((tmp_path / "s?").rglob(".duckdb-*"))


def test_a_filtered_snapshot_says_so_and_concludes_nothing_from_absence(
    tmp_path: Path, run: Run, serve: Serve
) -> None:
    serve(tiny_world())
    assert run("extract", "--out", tmp_path / "s", "--identity", "nobody").exit_code == 0
    summary = json.loads(run("map", tmp_path / "s", "--out", tmp_path / "m", "--json").stdout)
    assert [finding["code"] for finding in summary["findings"]] == [
        "media-text",
        "snapshot-empty",
        "snapshot-filtered",
    ]
    assert "the account" in run("load", tmp_path / "m").stdout


def test_the_current_folder_is_not_replaced(
    tmp_path: Path, run: Run, demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("map", demo.folder / "snapshot", "--out", ".")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    assert run("map", demo.folder / "snapshot", "--out", "link").exit_code == 0
    assert (tmp_path / "link" / "push-config.yaml").exists()


# --- the demo, checked by hand ---------------------------------------------------------------------------
MEDIA_READERS = {"1": 73, "2": 54, "5": 1, "6": 57}  # 7 has words for them in Conversations


def test_the_demos_outcomes_are_those_counted_by_hand(odd: Demo) -> None:
    services = {item["service_sid"]: item for item in odd.json("mapped", "summary.json")["services"]}
    assert {sid: item["outcomes"] for sid, item in services.items()} == {
        # 112 customers over 16 lists of which 8 hold invited_to_channel (7 each): 56 reduced, 56 carried; 3 devices,
        # 12 registrations and the shared phone's 2 are carried; 14 are long gone.
        service_sid(1): {"carried": 56 + 3 + 12 + 2, "expired": 14, "reduced": 56},
        # 40 drivers over 3 lists, the second of which (13 of them) holds an invite; 9 GCM devices are live and
        # blocked, 6 are gone; 5 are on the Conversations SDK.
        service_sid(2): {"blocked": 9, "carried": 27 + 5, "expired": 6, "reduced": 13},
        # 8 beta testers (half of them null lists), 7 odd identities, 1 with none, 1 without dates are carried;
        # 4 subscribe to something unknown.
        service_sid(3): {"carried": 8 + 7 + 1 + 1, "reduced": 4},
        service_sid(4): {"carried": 11},
        service_sid(5): {},
        service_sid(6): {"carried": 57},
        service_sid(7): {"carried": 36},
    }
    frame = pd.read_parquet(odd.folder / "mapped" / "bindings")
    assert Counter(frame["outcome"]) == {"carried": 226, "reduced": 73, "expired": 20, "blocked": 9}
    assert set(frame["outcome"]) <= set(OUTCOMES)
    source = pd.read_parquet(odd.folder / "snapshot" / "bindings")
    assert sorted(frame["sid"]) == sorted(source["sid"])


def test_the_demos_findings_name_every_odd_thing_in_it(odd: Demo) -> None:
    found = {
        (item["code"], (item["service_sid"] or "-")[-1], item["subject"]): item["count"]
        for item in odd.json("mapped", "summary.json")["findings"]
    }
    assert found == {
        ("binding-gcm", "2", credential_sid(5)): 9,
        ("binding-expired", "1", ""): 14,
        ("binding-expired", "2", ""): 6,
        # Live bindings that subscribe to new messages: media messages reach them in other words.
        **{("media-text", number, "new_message.with_media.template"): many for number, many in MEDIA_READERS.items()},
        ("binding-incomplete", "3", "identity"): 1,
        ("binding-incomplete", "3", "date"): 1,
        # Apple devices: half of the 8 beta testers, the 4 curious, 6 of 7 odd identities, 1 with none, 1 undated.
        ("credential-sandbox", "3", credential_sid(2)): 16,
        # Every other of the 40 drivers: all 7 alerts lead to their credential. That 52116 is
        # said of an Apple credential proves nothing.
        (
            "credential-fcm-legacy-proven",
            "2",
            f"{credential_sid(4)}: 52117 × 7 from 2026-06-14 to 2026-06-15",
        ): 20,
        # Bindings that are gone, and alerts that name nothing.
        ("push-errors-unattributed", "-", "52141 × 3 (undated), 52177 × 1 on 2026-06-15"): 3 + 1,
        ("credential-unused", "-", credential_sid(6)): 1,
        ("endpoint-shared", "1", ""): 2,
        ("identity-crowded", "1", ""): 12,
        ("message-type-dropped", "1", "invited_to_channel"): 56,
        ("message-type-dropped", "2", "twilio.channel.invited_to_channel"): 13,
        ("message-type-unknown", "3", "reaction_added"): 2,
        ("message-type-unknown", "3", "twilio.channel.pinned"): 2,
        ("message-types-missing", "3", ""): 4,
        # 4 beta testers whose list is not null, 2 of the curious, 7 odd identities, 1 with none, 1 without dates.
        ("push-inferred", "3", "new_message.enabled"): 4 + 2 + 7 + 1 + 1,
        ("push-inferred", "3", "new_message.with_media.enabled"): 4 + 2 + 7 + 1 + 1,
        ("push-dropped", "1", "invited_to_channel"): 1,
        ("template-reworded", "2", "new_message.template"): 1,
        ("template-message-unavailable", "2", "added_to_conversation.template"): 1,
        ("template-variable-unknown", "2", "removed_from_conversation.template: ${CHANEL}"): 1,
        ("binding-on-conversations", "2", ""): 5,
        ("message-type-ignored", "2", "twilio.channel.consumption_update"): 14,
        ("message-type-ignored", "2", "twilio.ipmsg.typing_indicator"): 13,
        ("push-disabled", "1", "removed_from_conversation.enabled"): 56,
        ("push-disabled", "4", "added_to_conversation.enabled"): 11,
        ("push-disabled", "4", "new_message.enabled"): 11,
        ("push-unsubscribed", "2", "removed_from_conversation.enabled"): 1,
        ("push-unsubscribed", "5", "new_message.enabled"): 1,
    }


def test_findings_name_at_most_five_bindings_and_no_person(odd: Demo) -> None:
    text = (odd.folder / "mapped" / "summary.json").read_text("utf-8")
    for identity in pd.read_parquet(odd.folder / "snapshot" / "bindings")["identity"].dropna():
        assert identity not in text or identity in ("=1+1",)  # which is a service's name too
    for item in json.loads(text)["findings"]:
        assert len(item["examples"]) <= 5
        assert all(sid.startswith("BS") for sid in item["examples"])


def test_push_config_says_of_each_value_where_it_comes_from(odd: Demo) -> None:
    text = (odd.folder / "mapped" / "push-config.yaml").read_text("utf-8")
    values = [line for line in text.splitlines() if line.startswith("      ") and not line.endswith(":")]
    assert values
    assert all("  # " in line for line in values)
    assert {item.service_sid for item in parse(text, "x").services} == {service_sid(number) for number in range(1, 8)}
    assert (
        'template: "${CONVERSATION};${PARTICIPANT}: ${MESSAGE}"  # in Chat: "${CHANNEL};${USER}: ${MESSAGE}"' in text
    )


def test_mapping_is_the_same_on_any_day(tmp_path: Path, run: Run, demo: Demo) -> None:
    assert run("map", demo.folder / "snapshot", "--out", tmp_path / "again").exit_code == 0
    for name in ("rules.toml", "push-config.yaml"):
        assert (tmp_path / "again" / name).read_bytes() == (demo.folder / "mapped" / name).read_bytes()
    again = json.loads((tmp_path / "again" / "summary.json").read_bytes())
    assert {**again, "source": "../snapshot"} == demo.json("mapped", "summary.json")


def test_a_folder_that_may_hold_edits_is_never_overwritten(tmp_path: Path, run: Run, demo: Demo) -> None:
    out = tmp_path / "mapped"
    out.mkdir()
    (out / "push-config.yaml").write_text("mine")
    result = run("map", demo.folder / "snapshot", "--out", out)
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert (out / "push-config.yaml").read_text() == "mine"
    assert run("run", "--replay", CASSETTE, "--out", tmp_path).exit_code == 4
    assert not (tmp_path / "snapshot").exists()


def test_a_mapping_that_fails_leaves_nothing_behind(tmp_path: Path, run: Run) -> None:
    (tmp_path / ".m.partial").mkdir()
    assert run("map", tmp_path / "absent", "--out", tmp_path / "m").exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_service_without_a_name_is_mapped(tmp_path: Path, run: Run, serve: Serve) -> None:
    serve(tiny_world(name=None))
    assert run("run", "--out", tmp_path).exit_code == 0
    assert 'friendly_name: ""' in (tmp_path / "mapped" / "push-config.yaml").read_text()


def test_the_identities_of_a_file_are_not_taken_for_everybody(tmp_path: Path, run: Run, serve: Serve) -> None:
    kinds = [["new_message"], ["added_to_channel"]]
    serve(tiny_world(notifications={}, bindings=[{"count": 4, "message_types": kinds}]))
    (tmp_path / "names.txt").write_text("user-0002\n")
    found = []
    for name, options in (("a", ["--identity", "user-0002"]), ("b", ["--identity-file", tmp_path / "names.txt"])):
        assert run("extract", "--out", tmp_path / name, *options).exit_code == 0
        assert run("map", tmp_path / name, "--out", tmp_path / f"{name}m").exit_code == 0
        summary = json.loads((tmp_path / f"{name}m" / "summary.json").read_bytes())
        codes = sorted(finding["code"] for finding in summary["findings"])
        found.append((codes, (tmp_path / f"{name}m" / "push-config.yaml").read_text()))
    assert "snapshot-filtered" in found[0][0]
    assert found[0] == found[1]
