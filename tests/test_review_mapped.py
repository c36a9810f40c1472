"""A mapped folder to look at: what becomes of whom, what phones show, as it stands now and as far as it is known."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrate.map.mapping import map_snapshot
from migrate.map.rules_toml import override
from migrate.model.errors import InputError
from migrate.model.masking import mask
from migrate.review import open_mapped
from migrate.review.mapped import MappedReview
from tests.conftest import Demo, service_sid
from tests.markup import HARMLESS, HOSTILE, text_in
from tests.reviews import YEAR, rows
from tests.snapshots import ACCOUNT, AS_OF, binding, credential, credential_sid, write_snapshot

ACME, QUIET, LEFT = (service_sid(number) for number in (1, 2, 3))
ONE, TWO, THREE, UNKNOWN = (credential_sid(number) for number in (1, 2, 3, 9))
CHAT = {
    "new_message": {"enabled": True, "template": f"${{USER}} {HOSTILE}: ${{MESSAGE}} ${{CHANEL}}"},
    "added_to_channel": {"enabled": True},
    "invited_to_channel": {"enabled": True},
    "removed_from_channel": {"enabled": False, "template": "x"},
}
LIVE = {"new_message": {"enabled": True, "template": "Live: ${MESSAGE}", "with_media": {"enabled": False}}}
SERVICES = {
    ACME: {"friendly_name": HOSTILE, "notifications": json.dumps(CHAT)},
    QUIET: {"friendly_name": "", "conversations_notifications": json.dumps(LIVE)},
    LEFT: {"friendly_name": "Left", "notifications": "[]"},
}
BINDINGS = {
    ACME: [
        [
            binding(1),
            binding(2, message_types=["new_message", "invited_to_channel"]),
            binding(3, binding_type="fcm", credential_sid=TWO, date_updated=AS_OF - 2 * YEAR),
        ],
        [
            binding(4, binding_type="gcm", credential_sid=THREE),
            binding(5, message_types=["twilio.conversations.new_message"]),
        ],
    ],
    LEFT: [[binding(6, credential_sid=UNKNOWN), binding(7, binding_type=None)]],
}
RULES = f'[services]\nleave_out = ["{LEFT}"]  # not ours\n'


@pytest.fixture(scope="module")
def mapped_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mapped")
    account = [credential(1, "apn"), credential(2, "fcm"), credential(3, "gcm", friendly_name=HOSTILE)]
    write_snapshot(out / "s", SERVICES, BINDINGS, account)
    map_snapshot(out / "s", out / "m", override(RULES, "rules.toml"))
    return out


@pytest.fixture
def folder(mapped_once: Path, tmp_path: Path) -> Path:
    """A mapped folder of the test's own, beside its snapshot."""
    shutil.copytree(mapped_once, tmp_path, dirs_exist_ok=True)
    return tmp_path / "m"


@pytest.fixture
def review(folder: Path) -> MappedReview:
    return open_mapped(folder)


def test_each_binding_has_one_outcome_and_one_thing_to_do(review: MappedReview, folder: Path) -> None:
    assert (len(review), review.folder, repr(review)) == (7, folder, "<Mapped: 7 bindings of 3 services>")
    columns = ["service_sid", "service", "left_out", "bindings", "carried", "reduced", "expired", "blocked"]
    assert rows(review.outcomes, columns) == [
        (ACME, HARMLESS, False, 5, 2, 1, 1, 1),
        (QUIET, "(no name)", False, 0, 0, 0, 0, 0),
        (LEFT, "Left", True, 2, 1, 0, 0, 1),
    ]
    assert rows(review.by_platform(), ["binding_type", "outcome", "action", "bindings"]) == [
        ("(none)", "blocked", "decide", 1),
        ("apn", "carried", "register", 2),
        ("apn", "carried", "registered", 1),
        ("apn", "reduced", "register", 1),
        ("fcm", "expired", "none", 1),
        ("gcm", "blocked", "decide", 1),
    ]
    assert rows(review.by_action(), ["action", "bindings"]) == [
        ("register", 3),
        ("register-with-new-credential", 0),
        ("registered", 1),
        ("decide", 2),
        ("none", 1),
    ]
    assert review.by_action()["means"].str.len().min() > 20


def test_credentials_stand_beside_those_to_register_with(review: MappedReview) -> None:
    names = ["service_sid", "credential_sid", "name", "type", "bindings", "live", "push_credential_sid"]
    assert rows(review.credentials, names) == [
        (ACME, ONE, "apn credential", "apn", 3, 3, ONE),
        (ACME, TWO, "fcm credential", "fcm", 1, 0, TWO),
        (ACME, THREE, HARMLESS, "gcm", 1, 1, None),
        (LEFT, ONE, "apn credential", "apn", 1, 1, None),
        (LEFT, UNKNOWN, None, None, 1, 1, UNKNOWN),
    ]


def test_what_must_be_decided_comes_first_with_what_helps(review: MappedReview) -> None:
    assert list(review.findings["severity"].drop_duplicates()) == ["blocker", "warning", "info"]
    blockers = review.blockers()
    assert rows(blockers, ["code", "service_sid", "service", "about", "count", "examples"]) == [
        ("binding-gcm", ACME, HARMLESS, THREE, 1, binding(4)["sid"])
    ]
    assert "severity" not in blockers
    assert all(blockers["meaning"].str.len() + blockers["remedy"].str.len() > 40)
    crossed = dict(rows(review.findings, ["code", "service_sid"]))
    assert crossed["service-left-out"] == LEFT


def test_phones_show_before_and_after_what_is_known(review: MappedReview) -> None:
    own = f"Alice {HARMLESS}: Hello! ${{CHANEL}}"
    default = "(Twilio's default text)"
    nothing = ("(not known)", "(not known)", False)
    assert rows(review.pushes, ["service_sid", "push", "before", "after", "differs"]) == [
        (ACME, "new_message → new_message", own, own, False),
        # Its text is left as it is there, and nobody knows how that is.
        (ACME, "new_message → new_message.with_media", own, "(not known)", True),
        (
            *(ACME, "added_to_channel → added_to_conversation"),
            *("You have been added to channel team-chat by Alice", "(not known)", True),
        ),
        (ACME, "removed_from_channel → removed_from_conversation", "(no push)", "(no push)", False),
        (
            *(ACME, "invited_to_channel → nothing"),
            *("Alice has invited you to join the channel team-chat", "(no push)", True),
        ),
        (QUIET, "new_message → new_message", "(not known)", "Live: Hello!", True),
        (QUIET, "new_message → new_message.with_media", "(not known)", "(no push)", False),
        (QUIET, "added_to_channel → added_to_conversation", "(not known)", "(no push)", False),
        (QUIET, "removed_from_channel → removed_from_conversation", "(not known)", "(no push)", False),
        (QUIET, "invited_to_channel → nothing", "(not known)", "(no push)", False),
        # Left out, and what is there could not be read.
        (LEFT, "new_message → new_message", *nothing),
        (LEFT, "new_message → new_message.with_media", *nothing),
        (LEFT, "added_to_channel → added_to_conversation", *nothing),
        (LEFT, "removed_from_channel → removed_from_conversation", *nothing),
        (LEFT, "invited_to_channel → nothing", "(not known)", "(no push)", False),
    ]
    assert default not in str(review.pushes)
    assert list(review.pushes) == ["service_sid", "service", "push", "before", "after", "differs", "proposed"]


def test_phones_show_twilios_own_text_where_none_is_set_there(folder: Path, demo: Demo) -> None:
    pushes = open_mapped(demo.folder / "mapped").pushes
    assert "(not known)" not in set(pushes["after"])
    assert "(Twilio's default text)" in set(pushes["after"])


def test_phones_side_by_side_hold_others_words_as_text(review: MappedReview) -> None:
    few, all_of_them = review.phones(), review.phones(only_changes=False)
    html = few._repr_html_()
    text = text_in(html)
    assert text.count(HARMLESS) == 2  # the name once, and the text once
    assert "<mark>${CHANEL}</mark>" in html  # Twilio does not fill it in
    assert (text.count(ACME), text.count(QUIET), text.count(LEFT)) == (1, 1, 0)
    assert text_in(all_of_them._repr_html_()).count(LEFT) == 1
    for said in ("today, through Chat", "through Conversations", "(no push)", "Live: Hello!"):
        assert said in text
    assert repr(few).splitlines()[-1] == "(no name), new_message → new_message: (not known) → Live: Hello!"
    assert (len(repr(few).splitlines()), len(repr(all_of_them).splitlines())) == (4, 15)


def edit(folder: Path, pattern: str, new: str) -> None:
    """Put another text in the place of what a pattern finds first in push-config.yaml."""
    path = folder / "push-config.yaml"
    text, found = re.subn(pattern, lambda _: new, path.read_text("utf-8"), count=1)
    assert found
    path.write_text(text, "utf-8")


def test_a_push_that_is_cut_says_so(folder: Path) -> None:
    edit(folder, "template: .*", f'template: "{"x" * 177}${{MESSAGE}}"')
    review = open_mapped(folder)
    assert review.pushes["after"][0] == "x" * 177 + "H…"
    assert "xH</bdi>…" in review.phones()._repr_html_()


def test_it_is_shown_as_it_was_edited(folder: Path) -> None:
    before = open_mapped(folder)
    assert [*before.findings["code"]].count("template-variable-unknown") == 1  # ${CHANEL}
    edit(folder, r"\$\{CHANEL\}", "${PARTICIPANT}")
    edit(folder, 'template: "x"', 'template: "Bye ${MESSAGE}"')
    edit(folder, "enabled: false", "enabled: true")
    after = open_mapped(folder)
    codes = [*after.findings["code"]]
    assert "template-variable-unknown" not in codes
    assert codes.count("template-message-unavailable") == 1
    shown = dict(rows(after.pushes[after.pushes["service_sid"] == ACME], ["push", "after"]))
    assert shown["new_message → new_message"].endswith("Hello! Alice")
    assert shown["removed_from_channel → removed_from_conversation"] == "Bye ${MESSAGE}"
    assert "Findings" in text_in(after._repr_html_())


def test_what_the_mapper_said_of_templates_that_were_reworded_stays(tmp_path: Path) -> None:
    chat = json.dumps({"new_message": {"enabled": True, "template": "${CHANNEL};${USER}: ${MESSAGE}"}})
    write_snapshot(tmp_path / "s", {ACME: {"notifications": chat}}, {})
    map_snapshot(tmp_path / "s", tmp_path / "m")
    assert "template-reworded" in set(open_mapped(tmp_path / "m").findings["code"])


@pytest.mark.parametrize("gone", ["moved", "another", "damaged"])
def test_what_chat_pushes_is_not_known_once_the_snapshot_is_gone(folder: Path, gone: str) -> None:
    snapshot = folder.parent / "s"
    if gone == "damaged":
        (snapshot / "services.parquet").write_bytes(b"rubbish")
    else:
        shutil.move(snapshot, folder.parent / "elsewhere")
    if gone == "another":
        write_snapshot(snapshot, {ACME: SERVICES[ACME]}, {})
    review = open_mapped(folder)
    assert set(review.pushes["before"]) == {"(not known)"}
    assert review.pushes["after"][0].startswith("Alice <script>")
    assert len(review.bindings) == 7


@pytest.mark.parametrize("shown", [False, True])
def test_people_are_masked_unless_asked_for_and_devices_always(folder: Path, shown: bool) -> None:
    review = open_mapped(str(folder), show_identities=shown)
    found = review.bindings
    who, device = binding(1)["identity"], binding(1)["endpoint"]
    assert rows(found, ["service_sid", "sid", "identity", "device"])[0] == (
        *(ACME, binding(1)["sid"], who if shown else mask(who), mask(device)),
    )  # fmt: skip
    assert rows(review.columns("message_types", "findings"))[1] == (
        "invited_to_channel, new_message",
        "message-type-dropped",
    )
    assert ("@example.test" in found.to_string() + review._repr_html_()) == shown
    with pytest.raises(InputError, match="did you mean 'outcome'"):
        review.columns("outcom")


def break_rules(folder: Path) -> None:
    (folder / "rules.toml").write_text("[limits]\nlifetime_days = 'long'\n")


def remove_rules(folder: Path) -> None:
    (folder / "rules.toml").unlink()


def recode_rules(folder: Path) -> None:
    (folder / "rules.toml").write_bytes(b"# \xff")


@pytest.mark.parametrize("change", [break_rules, remove_rules, recode_rules])
def test_rules_that_are_gone_are_missed_only_where_they_are_needed(folder: Path, change: Any) -> None:
    change(folder)
    review = open_mapped(folder)
    assert review.outcomes["bindings"].sum() == 7
    for question in (review.phones, lambda: review.rules):
        with pytest.raises(InputError, match=r"rules\.toml"):
            question()


def remove_part(part: Path) -> None:
    part.unlink()


def spoil_part(part: Path) -> None:
    part.write_bytes(b"rubbish" * 20)


def add_row(part: Path) -> None:
    table = pq.ParquetFile(part).read()
    pq.write_table(pa.concat_tables([table, table]), part)


def replace_part(part: Path) -> None:
    pq.write_table(pa.table({"sid": ["x"] * pq.read_metadata(part).num_rows}), part)


@pytest.mark.parametrize("change", [remove_part, spoil_part, add_row, replace_part])
def test_parts_that_are_not_as_they_were_mapped_are_refused(folder: Path, change: Any) -> None:
    change(next((folder / "bindings").rglob("*.parquet")))
    review = open_mapped(folder)
    assert review.outcomes["bindings"].sum() == 7
    for question in (review.by_platform, lambda: review.bindings, lambda: review.columns("sid")):
        with pytest.raises(InputError, match="not as they were mapped"):
            question()


def test_what_is_no_mapped_folder_is_refused(folder: Path, demo: Demo) -> None:
    with pytest.raises(InputError, match="chat-migrate map SNAPSHOT"):
        open_mapped(demo.folder / "snapshot")
    edit(folder, "enabled: false", "enabled: perhaps")
    with pytest.raises(InputError, match=r"push-config\.yaml.* line \d+"):
        open_mapped(folder)


def test_the_card_says_how_many_and_shows_others_words_as_text(review: MappedReview) -> None:
    text = text_in(review._repr_html_())
    for fact in (
        "Mapped: 7 bindings of 3 services",
        "as of 2026-06-15 08:00 UTC",
        ACCOUNT,
        "carried 3 · reduced 1 · expired 1 · blocked 2",
        "decide 2 · none 1 · register 3 · registered 1",
        "1 blocker, ",
        ".blockers() .by_action() .by_platform() .phones()",
    ):
        assert fact in text


def test_nothing_in_it_is_nothing_to_look_at(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "s", {}, {})
    map_snapshot(tmp_path / "s", tmp_path / "m")
    review = open_mapped(tmp_path / "m")
    assert (len(review), len(review.bindings), len(review.by_platform()), len(review.credentials)) == (0, 0, 0, 0)
    assert repr(review.phones()) == "(no pushes)"
    assert text_in(review.phones()._repr_html_()) == "No pushes."


def test_the_demo_is_counted_as_pandas_counts_it(odd: Demo) -> None:
    review, found = open_mapped(odd.folder / "mapped"), pd.read_parquet(odd.folder / "mapped" / "bindings")
    told = review.by_platform().set_index(["binding_type", "outcome", "action"])["bindings"]
    naive = found.groupby(["binding_type", "outcome", "action"]).size()
    assert told.to_dict() == naive.to_dict()
    sums = found.groupby(["service_sid", "outcome"], observed=True).size()
    for _, row in review.outcomes.iterrows():
        for outcome in ("carried", "reduced", "expired", "blocked"):
            assert row[outcome] == sums.get((row["service_sid"], outcome), 0)
    assert (
        review.by_action().set_index("action")["bindings"].loc[lambda n: n > 0].to_dict()
        == found["action"].value_counts().to_dict()
    )
