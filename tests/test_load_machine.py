"""The loader as one state machine: plan, apply, die, go on, a stranger's edit, roll back, in any order.

The stand-in's state is the oracle: what is live before and after each step, and how often it was written to.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

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

from migrate.load.journal import Entry, read_journal
from migrate.model.push_config import FIELD_BY_PATH, ServiceConfig, Value
from migrate.model.push_config_yaml import dump
from migrate.standin.server import StandInServer
from tests.applying import FORCE, dying, live, mortal
from tests.conftest import Run, Serve, service_sid, tiny_world

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
deaths = st.none() | st.integers(1, 30)


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

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(dir=self.mapped.parent))
        self.server.world.writes.clear()
        self.plan: Path | None = None
        self.journals: list[Path] = []
        self.others = self.died = False

    # --- what is there -----------------------------------------------------------------------------------

    def live(self) -> Live:
        return {sid: with_all(found) for sid, found in live(self.server.world).items()}

    def entries(self, journal: Path) -> dict[str, Entry]:
        """The last entry of each service."""
        if not is_begun(journal):
            return {}
        return {entry.service_sid: entry for entry in read_journal(journal).entries if isinstance(entry, Entry)}

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
        (self.mapped / "push-config.yaml").write_text(dump(configs), "utf-8")
        self.desired = dict(zip(SIDS, desired, strict=True))

    @rule()
    def make_plan(self) -> None:
        self.plan = self.folder / f"{len(self.journals)}.json"
        self.journals.append(self.journal)
        made = self.run("load", self.mapped, "--plan-out", self.plan)
        assert made.exit_code == 0, made.output
        changed = {change["service_sid"] for change in json.loads(self.plan.read_bytes())["changes"]}
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

    @precondition(lambda self: self.plan)
    @rule(step=deaths)
    def apply(self, step: int | None) -> None:
        assert self.plan
        before, entries, finished = self.live(), self.entries(self.journal), self.is_finished(self.journal)
        code = self.call(step, "load", "--plan", self.plan)
        after, done = self.live(), True
        for change in json.loads(self.plan.read_bytes())["changes"]:
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
            assert code == (4 if finished else 0 if done else 5) or not json.loads(self.plan.read_bytes())["changes"]

    @precondition(lambda self: self.plan and self.entries(self.journal))
    @rule(step=deaths)
    def roll_back(self, step: int | None) -> None:
        second = self.journal.with_suffix(".rollback.jsonl")
        before, entries = self.live(), self.entries(self.journal)
        if second not in self.journals:
            self.journals.append(second)
        finished = self.is_finished(second)
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
                    assert isinstance(entry, Entry)
                    intents[entry.service_sid] += 1
                    applied[entry.service_sid] += entry.status == "applied"
                    is_open = is_open or entry.status is None
        writes = Counter(write.split("/")[3] for write in self.server.world.writes)
        assert all(write.startswith("POST /v1/Services/IS") for write in self.server.world.writes)
        assert writes <= intents, "each write was announced"
        if not self.others and not is_open:
            assert writes == +applied, "the stand-in has counted as many as the journals"


def check(
    serve: Serve, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examples: int, steps: int = 10
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "state"))
    content = tiny_world()
    content["services"] *= 3
    server = serve(content)
    assert run("extract", "--out", tmp_path / "snapshot").exit_code == 0
    assert run("map", tmp_path / "snapshot", "--out", tmp_path / "mapped").exit_code == 0
    machine = type("Machine", (Loader,), {
        "run": staticmethod(run), "server": server, "mapped": tmp_path / "mapped", "monkeypatch": monkeypatch,
    })  # fmt: skip
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
    check(serve, run, tmp_path, monkeypatch, examples=15)


@pytest.mark.long
def test_in_any_order_for_long(serve: Serve, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(serve, run, tmp_path, monkeypatch, examples=200, steps=20)
