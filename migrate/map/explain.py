"""Explain: one binding of a mapped folder, decided once more, with the rules that decided it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from migrate.map.credentials import Credentials
from migrate.map.decision import Facts, decide
from migrate.map.explanation import Explanation, RuleUsed
from migrate.map.mapped_bindings import find_bindings, find_bindings_of, not_as_mapped
from migrate.map.mapped_folder import RULES, Mapped, open_mapped
from migrate.map.push_errors import proven_by
from migrate.map.rules import Rules
from migrate.map.rules_toml import read_rules, shown
from migrate.model.errors import InputError
from migrate.model.text import when


def explain(folder: Path, sid: str, service_sid: str | None = None) -> Explanation:
    """Account for the binding with one SID, from a mapped folder alone.

    Where several services list it, the first has the others in `others`, unless one is named. Raises `InputError`
    for another folder, or one in which something other than push-config.yaml was changed, and for a binding that
    is not there.
    """
    mapped = open_mapped(folder)
    rules = rules_of(mapped)
    rows = [row for row in find_bindings(mapped, sid) if service_sid in (None, row["service_sid"])]
    if not rows:
        summary = mapped.summary
        where = f" in {service_sid}" if service_sid else ""
        raise InputError(
            f"{folder} has no binding {sid!r}{where} among its {summary.bindings:,}, as of {when(summary.as_of)}",
            remedy="It may be newer than the snapshot, or in the snapshot's rejected.jsonl",
        )
    first, *others = (_explain(mapped, rules, row) for row in rows)
    return replace(first, others=tuple(others))


def explain_some(mapped: Mapped, service_sid: str, sids: Collection[str]) -> dict[str, Explanation]:
    """Account for some bindings of a service, by SID; those that were not mapped are left out.

    Raises what `explain` raises for a folder.
    """
    rules = rules_of(mapped)
    return {row["sid"]: _explain(mapped, rules, row) for row in find_bindings_of(mapped, service_sid, sids)}


def _explain(mapped: Mapped, rules: Rules, row: dict[str, Any]) -> Explanation:
    folder, service_sid = mapped.folder, row.pop("service_sid")
    as_of = datetime.fromisoformat(mapped.summary.as_of)
    credentials = Credentials.of(mapped.summary.credentials, proven_by(mapped.summary.push_errors))
    decision = decide(_facts(row, as_of, rules), rules, credentials)
    if any(row[name] != value for name, value in decision.columns.items()):
        raise not_as_mapped(folder)
    service = next((item for item in mapped.summary.services if item["service_sid"] == service_sid), None)
    if service is None:
        raise not_as_mapped(folder)
    return Explanation(
        service_sid,
        service["friendly_name"],
        service["left_out"],
        as_of,
        row,
        _pushes(mapped, service_sid, row["target_message_types"] or ()),
        tuple(RuleUsed(name, shown(_value(rules, name)), rules.reasons[name]) for name in decision.rules),
        decision.notes,
        _proposed(mapped, service_sid, row["target_message_types"] or ()),
    )


def rules_of(mapped: Mapped) -> Rules:
    """The rules that a folder was mapped by. Raises `InputError` where it does not have them any more."""
    path = mapped.folder / RULES
    try:
        rules = read_rules(path.read_bytes().decode(), str(path))
    except (FileNotFoundError, UnicodeDecodeError):
        raise InputError(f"{path} cannot be read", remedy="Map the snapshot again") from None
    if rules.digest != mapped.summary.rules:
        raise InputError(f"{path} is not what {mapped.folder} was mapped by", remedy="Map the snapshot again")
    return rules


def _value(rules: Rules, name: str) -> Any:
    table, _, key = name.partition(".")
    return rules.tables[table][key]


def _facts(row: Mapping[str, Any], as_of: datetime, rules: Rules) -> Facts:
    """What `migrate.map.bindings` knew when it decided."""
    needed = {"identity": "identity", "device": "endpoint", "credential_sid": "credential_sid", "last_seen": "date"}
    types, last_seen = row["message_types"], row["last_seen"]
    return Facts(
        row["binding_type"],
        row["credential_sid"],
        None if types is None else tuple(types),
        last_seen is not None and last_seen < as_of - rules.lifetime,
        tuple(said for name, said in needed.items() if row[name] is None),
        row["endpoint_shared"],
        row["identity_crowded"],
    )


def _proposed(mapped: Mapped, service_sid: str, message_types: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """The pushes that a binding is to receive, and whose switch waits for a decision in push-config.yaml."""
    waiting = {proposal.path for proposal in mapped.waiting({}) if proposal.service_sid == service_sid}
    return tuple(name for name in message_types if f"{name}.enabled" in waiting)


def _pushes(mapped: Mapped, service_sid: str, message_types: list[str] | tuple[str, ...]) -> dict[str, bool | None]:
    """Whether push-config.yaml, as it stands now, has the pushes on that a binding is to receive."""
    settings: Mapping[str, Any] = next(
        (config.settings for config in mapped.configs if config.service_sid == service_sid), {}
    )
    return {name: settings.get(f"{name}.enabled") for name in message_types}
