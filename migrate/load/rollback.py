"""Roll back: a plan that brings back what was live before a journal's writes, where nobody has been there since."""

from __future__ import annotations

from dataclasses import dataclass

from migrate.load.compare import differing
from migrate.load.journal import CredentialEntry, Entry, Journal
from migrate.load.planning import read_all
from migrate.model.digest import digest
from migrate.model.finding import Finding
from migrate.model.plan import Change, Plan
from migrate.model.push_config import FIELD_BY_PATH, Settings, in_order
from migrate.twilio_api.client import TwilioApi


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
        desired = {path: value for path, value in done.before.items() if path not in foreign}
        if fields := differing(desired, settings):
            changes.append(Change(sid, done.name, in_order(settings), in_order(desired), fields))
        else:
            unchanged.append(sid)
    return Plan(
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


def _written(journal: Journal) -> dict[str, _Written]:
    """What was written, by service: all fields of each write that may have arrived.

    What is live tells which of them it has set, and not what was read back: that may have lagged behind.
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
