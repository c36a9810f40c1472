"""The loader as one state machine: plan, apply, die, go on, a stranger's edit, roll back, in any order.

The stand-in's state is the oracle: what is live before and after each step, and how often it was written to.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from migrate.load.journal import CredentialEntry, Entry, Journal, read_journal
from migrate.map.push_config_yaml import dump
from migrate.model.plan import NOTIFICATIONS
from migrate.model.push_config import FIELD_BY_PATH, ServiceConfig, Value
from migrate.standin import credentials
from migrate.standin.server import StandInServer
from migrate.standin.world import Credential
from tests.applying import FORCE, dying, live, mortal
from tests.conftest import Run, Serve, service_sid, tiny_world
from tests.keys import service_account

PATHS = (
    "log_enabled",
    "new_message.enabled",
    "new_message.template",
    "new_message.sound",
    "added_to_conversation.enabled",
)
SIDS = tuple(service_sid(number) for number in (1, 2, 3))
Live = dict[str, dict[str, Value]]


def values(path: str) -> st.SearchStrategy[Value]:
    return st.booleans() if FIELD_BY_PATH[path].type is bool else st.sampled_from(["", "a", "b"])


some = st.fixed_dictionaries({}, optional={path: values(path) for path in PATHS})
edits = st.sampled_from(PATHS).flatmap(lambda path: st.tuples(st.sampled_from(SIDS), st.just(path), values(path)))
deaths = st.none() | st.integers(1, 40)
OLD = "CR" + "2".zfill(32)
CREDENTIALS = f"""\
credentials:
  new: {{type: fcm, secret: "env:FCM_KEY"}}
  old: {{type: fcm, sid: {OLD}, secret: "env:FCM_KEY"}}
"""
PLACES = {"POST /v1/Credentials": "new", f"POST /v1/Credentials/{OLD}": "old"}
KEY = service_account()


def at(live: Mapping[str, Value], path: str) -> Value:
    """A field's value, where what is not set is off or empty."""
    return live.get(path, FIELD_BY_PATH[path].type())


def with_all(one: Mapping[str, Value]) -> dict[str, Value]:
    return {path: at(one, path) for path in PATHS}


def is_begun(journal: Path) -> bool:
    """Whether there is a journal, with its first line whole."""
    return journal.exists() and b"\n" in journal.read_bytes()


class Loader(RuleBasedStateMachine):
    """One operator, one stranger, and a machine that may die at any moment."""

    run: Run
    server: StandInServer
    mapped: Path
    monkeypatch: pytest.MonkeyPatch
    credentials: Mapping[str, Credential]  # as they are in the beginning
    seconds: Iterator[int]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(dir=self.mapped.parent))
        self.server.world.writes.clear()
        self.plan: Path | None = None
        self.journals: list[Path] = []
        self.others = self.died = self.undone_unseen = False

    # --- what is there -----------------------------------------------------------------------------------

    def live(self) -> Live:
        return {sid: with_all(found) for sid, found in live(self.server.world).items()}

    def read(self, journal: Path) -> Journal | None:
        return read_journal(journal) if is_begun(journal) else None

    def entries(self, journal: Path) -> dict[str, Entry]:
        """The last entry of each service."""
        found = self.read(journal)
        return {each.service_sid: each for each in found.entries if isinstance(each, Entry)} if found else {}

    def update(self, journal: Path) -> CredentialEntry | None:
        """The last entry of the credential that gets another secret."""
        found = self.read(journal)
        named = [each for each in found.entries if isinstance(each, CredentialEntry)] if found else []
        return next((each for each in reversed(named) if each.friendly_name == "old"), None)

    def old(self) -> tuple[str, dict[str, str]]:
        """When that credential was changed last, as Twilio shows it, and digests of its secrets."""
        found = self.server.world.credentials[OLD]
        assert found.updated
        return found.updated.strftime("%Y-%m-%dT%H:%M:%SZ"), found.secrets

    @property
    def journal(self) -> Path:
        assert self.plan
        return self.plan.with_suffix(".journal.jsonl")

    # --- what happens ------------------------------------------------------------------------------------

    @initialize(now=st.tuples(some, some, some), desired=st.tuples(some, some, some))
    def begin(self, now: tuple[dict[str, Value], ...], desired: tuple[dict[str, Value], ...]) -> None:
        for sid, configuration in zip(SIDS, now, strict=True):
            self.server.world.services[sid].configuration = {k: v for k, v in configuration.items() if v != ""}
        configs = [ServiceConfig(sid, "", found) for sid, found in zip(SIDS, desired, strict=True)]
        (self.mapped / "push-config.yaml").write_text(dump(configs) + CREDENTIALS, "utf-8")
        self.server.world.credentials = {sid: replace(found) for sid, found in self.credentials.items()}
        self.desired = dict(zip(SIDS, desired, strict=True))

    @rule()
    def make_plan(self) -> None:
        self.plan = self.folder / f"{len(self.journals)}.json"
        self.journals.append(self.journal)
        made = self.run("load", self.mapped, "--plan-out", self.plan)
        assert made.exit_code == 0, made.output
        changes = json.loads(self.plan.read_bytes())["changes"]
        changed = {change["service_sid"] for change in changes if change["kind"] == NOTIFICATIONS}
        live = self.live()
        assert changed == {
            sid for sid, wanted in self.desired.items() if any(live[sid][path] != wanted[path] for path in wanted)
        }

    @rule(edit=edits)
    def edit(self, edit: tuple[str, str, Value]) -> None:
        sid, path, value = edit
        configuration = {**(self.server.world.services[sid].configuration or {}), path: value}
        self.server.world.services[sid].configuration = {k: v for k, v in configuration.items() if v != ""}
        self.others = True

    @rule()
    def set_another_secret(self) -> None:
        # Twilio shows no more than seconds: no two changes are of the same one here.
        moment = self.server.world.now + timedelta(seconds=next(self.seconds))
        credentials.update(self.server.world.credentials[OLD], {"Secret": "theirs"}, moment)
        self.others = True

    @precondition(lambda self: self.plan)
    @rule(step=deaths)
    def apply(self, step: int | None) -> None:
        assert self.plan
        old, update = self.old(), self.update(self.journal)
        before, entries, finished = self.live(), self.entries(self.journal), self.is_finished(self.journal)
        code = self.call(step, "load", "--plan", self.plan)
        after, done = self.live(), True
        for change in json.loads(self.plan.read_bytes())["changes"]:
            if change["kind"] != NOTIFICATIONS:
                done = self.check_credential(change, old, update, code, finished=finished) and done
                continue
            sid, wanted = change["service_sid"], {path: change["desired"][path] for path in change["fields"]}
            written, entry = {**before[sid], **wanted}, entries.get(sid)
            is_untouched = before[sid] == with_all(change["existing"])
            if finished or (entry and entry.status == "applied"):
                assert after[sid] == before[sid], "what is applied is not written again"
            elif entry is None and not is_untouched:
                assert after[sid] == before[sid], "what somebody else has changed is left alone"
            elif code == -9:
                assert after[sid] in (before[sid], written)
            elif is_untouched:
                assert after[sid] == written, "what nobody has touched is as planned"
            else:  # it died in the middle, and somebody has been there since
                assert after[sid] in (before[sid], written)
            done = done and all(after[sid][path] == value for path, value in wanted.items())
        if code != -9:
            found = read_journal(self.journal).entries if is_begun(self.journal) else []
            assert all(entry.status for entry in found), "nothing is left open"
            assert code == (4 if finished else 0 if done else 5)

    def check_credential(
        self,
        change: Any,
        before: tuple[str, dict[str, str]],
        entry: CredentialEntry | None,
        code: int,
        *,
        finished: bool,
    ) -> bool:
        """Whether a credential is as planned, after an apply; `entry` is the journal's last of it before that."""
        world = self.server.world
        made = [found for found in world.credentials.values() if found.friendly_name == "new"]
        if change["friendly_name"] == "new":
            assert len(made) <= 1, "no second one is made"
            assert made or code == -9
            return bool(made)
        is_applied = bool(entry and entry.status == "applied")
        is_untouched = before[0] == change["existing"]["updated"]
        if finished or is_applied or not is_untouched:
            assert self.old() == before, "another's secret is not overwritten, and ours is not written again"
        elif code != -9:
            assert self.old() != before
        by_us = is_applied and entry and entry.after and entry.after.updated == before[0]
        return bool(by_us or (is_untouched and not is_applied))

    @precondition(lambda self: self.plan and self.entries(self.journal))
    @rule(step=deaths)
    def roll_back(self, step: int | None) -> None:
        second = self.journal.with_suffix(".rollback.jsonl")
        before, entries = self.live(), self.entries(self.journal)
        if second not in self.journals:
            self.journals.append(second)
        finished = self.is_finished(second)
        # A write whose end was not seen, and that is undone before it is looked up, is taken for one that never came.
        self.undone_unseen |= any(entry.status is None for entry in entries.values())
        code = self.call(step, "rollback", self.journal)
        after = self.live()
        assert code in (-9, 0, 4, 5)
        assert code != 4 or finished
        for sid, entry in entries.items():
            undone = {
                path: at(entry.before, path) for path in entry.desired if before[sid][path] == entry.desired[path]
            }
            left = {**before[sid], **undone}
            if entry.status == "void" or finished:
                assert after[sid] == before[sid]
            elif code == 0:
                assert after[sid] == left, "what is ours is as it was before, and what is not is left alone"
            else:
                assert after[sid] in (before[sid], left)

    def call(self, step: int | None, *command: object) -> int:
        """Call a command that writes; it may die at a step. Its exit code, or -9."""
        with self.monkeypatch.context() as patch:
            if step:
                dying(patch, step)
            limits = ("--yes", *(FORCE if command[0] == "load" else ()))
            result = mortal(*command, "--apply", *limits)
        self.died = self.died or result.exit_code == -9
        assert "Traceback" not in result.output
        return int(result.exit_code)

    def is_finished(self, journal: Path) -> bool:
        return is_begun(journal) and read_journal(journal).finished

    # --- what always holds -------------------------------------------------------------------------------

    @invariant()
    def no_write_is_unjournalled(self) -> None:
        intents: Counter[str] = Counter()
        applied: Counter[str] = Counter()
        is_open = False
        for journal in self.journals:
            if is_begun(journal):
                for entry in read_journal(journal).entries:
                    what = entry.service_sid if isinstance(entry, Entry) else entry.friendly_name
                    intents[what] += 1
                    # Whose an update was, after a death, nobody knows.
                    applied[what] += entry.status == "applied" or (what == "old" and entry.status == "failed")
                    is_open = is_open or entry.status is None
        writes = Counter(PLACES.get(write) or write.split("/")[3] for write in self.server.world.writes)
        assert all(write in PLACES or write.startswith("POST /v1/Services/IS") for write in self.server.world.writes)
        assert writes <= intents, "each write was announced"
        assert writes["new"] <= 1
        assert self.others or +applied <= writes
        if not (self.others or is_open or self.undone_unseen):
            assert writes == +applied, "the stand-in has counted as many as the journals"


def check(
    serve: Serve, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examples: int, steps: int = 10
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("FCM_KEY", KEY)
    content = tiny_world()
    content["credentials"].append({"name": "old", "type": "fcm", "updated_days_ago": 9})
    content["services"] *= 3
    server = serve(content)
    assert run("extract", "--out", tmp_path / "snapshot").exit_code == 0
    assert run("map", tmp_path / "snapshot", "--out", tmp_path / "mapped").exit_code == 0
    machine: Any = type("Machine", (Loader,), {
        "run": staticmethod(run), "server": server, "mapped": tmp_path / "mapped", "monkeypatch": monkeypatch,
        "credentials": {sid: replace(found) for sid, found in server.world.credentials.items()}, "seconds": count(1),
    })  # fmt: skip
    real = credentials.update

    def update(found: Credential, form: Mapping[str, str], now: datetime) -> None:
        real(found, form, now + timedelta(seconds=next(machine.seconds)))

    monkeypatch.setattr("migrate.standin.app.update", update)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None,
            suppress_health_check=list(HealthCheck), phases=set(Phase) - {Phase.explain},
        ),
    )  # fmt: skip


def test_in_any_order_nothing_is_lost_and_nothing_written_unseen(
    serve: Serve, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(serve, run, tmp_path, monkeypatch, examples=8)


@pytest.mark.long
def test_in_any_order_for_long(serve: Serve, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(serve, run, tmp_path, monkeypatch, examples=20, steps=20)
