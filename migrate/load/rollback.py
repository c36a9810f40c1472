"""Roll back: a plan that brings back what was live before a journal's writes, where nothing has changed since."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from migrate.load.applied import Applied
from migrate.load.apply import carry_out
from migrate.load.compare import differing
from migrate.load.journal import (
    ROLLBACK_OF,
    CredentialEntry,
    Entry,
    Journal,
    begun_journal,
    open_journal,
    written_journal,
)
from migrate.load.limits import MOST_SERVICES, OF_A_ROLLBACK
from migrate.load.planning import read_all
from migrate.load.writing import NOTHING_WRITTEN, Observer, Terms, only_writer
from migrate.model.digest import digest
from migrate.model.errors import RefusedError, StaleError, Step
from migrate.model.finding import Finding
from migrate.model.plan import ROLLBACK, Change, Plan
from migrate.model.push_config import FIELD_BY_PATH, Settings, in_order
from migrate.model.text import listed
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.login import is_one_account


def rollback_plan(
    api: TwilioApi,
    journal: Path,
    *,
    undo: Path | None = None,
    force: Collection[str] = (),
    confirm: Callable[[Plan], bool] | None = None,
    max_services: int = MOST_SERVICES,
    observer: Observer[Plan] | None = None,
) -> Applied:
    """Undo the plan whose writes a journal has, where they have not been changed since.

    `undo` is the journal of the rollback itself, which is beside the other unless it is named. The rest is as for
    `apply_plan`, with fewer limits. Raises `RefusedError` for a journal of another account, too, and `StaleError`
    where somebody else has changed something since it was applied: that is left alone.
    """
    terms = Terms(force, confirm, observer or Observer())
    with only_writer(api, terms.observer.say):
        undone = journal_to_undo(api, journal)
        look = ("Look at what is left with: ", Step("rollback", {"journal": journal}))
        plan, foreign = _undoing(api, undone)
        own = undo or undo_of(journal)
        done = carry_out(
            api,
            plan,
            own,
            terms,
            OF_A_ROLLBACK,
            max_services=max_services,
            renew=lambda: look,
            plan_id=rollback_id(undone),
        )
        if not plan.objects:
            _note_done(own, plan, rollback_id(undone))
    if foreign:
        error = StaleError(
            f"Left alone, because somebody changed it since the plan was applied: {listed(foreign, 'setting')}",
            kept=f"What was undone is in {done.journal}" if done.outcomes else NOTHING_WRITTEN,
            remedy=("Decide by hand what it should be. ", *look),
        )
        error.result = done
        raise error
    return done


def _note_done(own: Path, plan: Plan, plan_id: str) -> None:
    """Note in a rollback's own journal that it is done, where an earlier run was stopped after its last write: what
    is live has just shown that nothing is left to undo.
    """
    begun = begun_journal(own)
    if begun and begun.plan_id == plan_id and not begun.finished:
        with suppress(OSError), open_journal(own, plan, plan_id) as kept:
            kept.finish()


def journal_to_undo(api: TwilioApi, path: Path) -> Journal:
    """The journal in a file. Raises `InputError` for another file, and `RefusedError` if it is another account's."""
    undone = written_journal(path)
    if not is_one_account(api.account_sid, undone.account_sid):
        raise RefusedError(
            f"{path} is of account {undone.account_sid}, and the credentials are for {api.account_sid}",
            remedy="Use the credentials of that account",
        )
    return undone


def undo_of(journal: Path) -> Path:
    """Where the journal of a rollback is, unless another place is named."""
    return journal.with_suffix(ROLLBACK)


def rollback_id(journal: Journal) -> str:
    """What a rollback's own journal knows it by: what is left to undo gets less, and stays one rollback."""
    return f"{ROLLBACK_OF}{journal.plan_id}"


@dataclass(frozen=True)
class _Written:
    """All that a journal's writes did to one service: the fields' values before the first, and after the last."""

    name: str
    before: Settings
    after: Settings


def plan_rollback(api: TwilioApi, journal: Journal) -> Plan:
    """The plan that undoes a journal. A field that is not as it was left is left alone, and reported.

    Raises `TwilioError` where Twilio fails.
    """
    return _undoing(api, journal)[0]


def not_undone(api: TwilioApi, journals: Sequence[Journal]) -> list[str]:
    """The settings that are not as they were before any of some journals that are undone: somebody had changed them
    before, and the undoing has left them alone, or has changed them since.
    """
    before: dict[str, list[Settings]] = {}
    for journal in journals:
        for sid, done in _written(journal).items():
            before.setdefault(sid, []).append(done.before)
    found: list[str] = []
    for sid, live in zip(sorted(before), read_all(api, sorted(before)), strict=True):
        if live is None:  # its service was deleted, with its settings
            continue
        back = {path for one in before[sid] for path in one.keys() - differing(one, live)}
        found += [_named(path, sid) for path in sorted({path for one in before[sid] for path in one} - back)]
    return found


def _named(path: str, sid: str) -> str:
    return f"{path} of {sid}"


def _undoing(api: TwilioApi, journal: Journal) -> tuple[Plan, list[str]]:
    """The plan that undoes a journal, and the settings that it leaves alone, as a message names them."""
    left: list[str] = []
    written = _written(journal)
    live = dict(zip(written, read_all(api, list(written)), strict=True))
    changes: list[Change] = []
    unchanged: list[str] = []
    missing: list[str] = []
    findings: list[Finding] = [] if journal.finished else [Finding("rollback-unfinished", None)]
    for entry in journal.entries:
        if isinstance(entry, CredentialEntry) and entry.status != "void":
            about = f"{entry.type} {entry.friendly_name}"
            findings.append(Finding("rollback-credential-stays", None, about))
    for sid, done in sorted(written.items()):
        settings = live[sid]
        if settings is None:
            missing.append(sid)
            findings.append(Finding("service-missing-on-target", sid))
            continue
        foreign = {path for path in differing(done.after, settings) if differing({path: done.before[path]}, settings)}
        findings += [Finding("rollback-left-alone", sid, path) for path in sorted(foreign)]
        left += [_named(path, sid) for path in sorted(foreign)]
        desired = {path: value for path, value in done.before.items() if path not in foreign}
        if fields := differing(desired, settings):
            changes.append(Change(sid, done.name, in_order(settings), in_order(desired), fields))
        else:
            unchanged.append(sid)
    plan = Plan(
        account_sid=journal.account_sid,
        target=journal.target,
        as_of="",
        snapshot="",
        rules="",
        push_config=digest([journal.plan_id, len(journal.entries)]),
        bindings={},
        services={sid: done.name for sid, done in sorted(written.items())},
        changes=tuple(changes),
        unchanged=tuple(unchanged),
        missing=tuple(missing),
        findings=tuple(sorted(findings, key=Finding.sort_key)),
    )
    return plan, left


def _written(journal: Journal) -> dict[str, _Written]:
    """What was written, by service: all fields of each write that may have arrived.

    What is live shows which of them it has set, and not what was read back: that may have lagged behind.
    """
    found: dict[str, _Written] = {}
    for entry in journal.entries:
        if not isinstance(entry, Entry) or entry.status == "void":
            continue
        earlier = found.get(entry.service_sid)
        before = {path: entry.before.get(path, FIELD_BY_PATH[path].type()) for path in entry.desired}
        found[entry.service_sid] = _Written(
            entry.friendly_name,
            {**before, **(earlier.before if earlier else {})},
            {**(earlier.after if earlier else {}), **entry.desired},
        )
    return {sid: written for sid, written in found.items() if written.before}
