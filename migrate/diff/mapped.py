"""Two mapped folders beside each other: what push-config.yaml states, rules, credentials, findings, bindings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from migrate.diff.bindings import compare_bindings
from migrate.diff.difference import (
    CredentialDifference,
    Difference,
    ServiceBindings,
    ServiceChange,
    Side,
    ValueChange,
)
from migrate.diff.partition import OF_MAPPED
from migrate.diff.sides import notes_on, refuse_strangers, side
from migrate.diff.values import (
    credential_differences,
    differing_by_key,
    finding_changes,
    flat,
    outcome_changes,
    service_changes,
)
from migrate.map.mapped_bindings import parts_by_service
from migrate.map.mapped_folder import BINDINGS, RULES, Mapped, open_mapped
from migrate.map.rules_toml import load_rules
from migrate.model.documents import builtins
from migrate.model.errors import InputError
from migrate.model.finding import Finding
from migrate.model.proposal import Proposal
from migrate.model.push_config import Settings
from migrate.storage.database import DamagedFileError
from migrate.verify.partition import ServiceParts

STATED, NOT_STATED, LEFT_OUT = "stated", "not stated", "left out"


def compare_mapped(before: Path, after: Path, executor: Executor | None = None) -> Difference:
    """What has changed from one mapped folder to another.

    Raises `InputError` as `open_mapped` and `load_rules` do, and `RefusedError` for two accounts.
    """
    then, now = open_mapped(before), open_mapped(after)
    was, is_now = _side(then), _side(now)
    refuse_strangers(was, is_now)
    names = (_names(then), _names(now))
    of_both = names[0] | names[1]
    bindings, notes = _bindings(then, now, of_both, executor)
    return Difference(
        "mapped",
        was,
        is_now,
        notes=(*notes_on(was, is_now), *notes),
        services=tuple(_services(then, now, *names)),
        settings=tuple(_settings(then, now)),
        credentials=tuple(_credentials(then, now)),
        rules=tuple(_rules(before, after)),
        findings=finding_changes(_findings(then), _findings(now)),
        outcomes=outcome_changes(then.summary.totals("outcomes"), now.summary.totals("outcomes")),
        bindings=bindings,
        names=of_both,
    )


def _names(mapped: Mapped) -> dict[str, str]:
    """The services that a mapped folder names, by SID: those of its snapshot, and those that somebody has added."""
    added = {config.service_sid: config.friendly_name for config in mapped.configs}
    return added | {service["service_sid"]: service["friendly_name"] for service in mapped.summary.services}


def _side(mapped: Mapped) -> Side:
    return side(mapped.folder, mapped.summary, mapped.config_digest, mapped.summary.addresses)


def _services(
    then: Mapped, now: Mapped, names_then: Mapping[str, str], names_now: Mapping[str, str]
) -> Iterator[ServiceChange]:
    yield from service_changes(names_then, names_now)
    before, after = _standing(then, names_then), _standing(now, names_now)
    for sid in sorted(before.keys() & after.keys()):
        if before[sid] != after[sid]:
            yield ServiceChange(sid, names_now[sid], "state", before[sid], after[sid])


def _standing(mapped: Mapped, names: Mapping[str, str]) -> dict[str, str]:
    """Of each service, whether push-config.yaml states it, or why not."""
    left_out = {service["service_sid"] for service in mapped.summary.services if service["left_out"]}
    stated = {config.service_sid for config in mapped.configs}
    return {sid: STATED if sid in stated else LEFT_OUT if sid in left_out else NOT_STATED for sid in names}


def _settings(then: Mapped, now: Mapped) -> Iterator[ValueChange]:
    """What is stated, and what is proposed and waits for a decision."""
    before, after = ({config.service_sid: config.settings for config in each.configs} for each in (then, now))
    yield from differing_by_key("desired", before, after)
    yield from differing_by_key("proposed", *(proposed(each.waiting(_live(each))) for each in (then, now)))


def proposed(proposals: tuple[Proposal, ...]) -> dict[str, dict[str, Any]]:
    """The values that are proposed, by service and path."""
    found: dict[str, dict[str, Any]] = {}
    for proposal in proposals:
        found.setdefault(proposal.service_sid, {})[proposal.path] = proposal.value
    return found


def _live(mapped: Mapped) -> dict[str, Settings | None]:
    """What was live in Conversations when the snapshot was taken, by service."""
    return {service["service_sid"]: service["conversations"] for service in mapped.summary.services}


def _findings(mapped: Mapped) -> list[Finding]:
    return mapped.findings(_live(mapped))


def _credentials(then: Mapped, now: Mapped) -> Iterator[CredentialDifference]:
    """The account's as the snapshot had them, and those that push-config.yaml states."""
    before, after = ({one.sid: flat(builtins(one)) for one in each.summary.credentials} for each in (then, now))
    names = {one.sid: one.friendly_name for each in (then, now) for one in each.summary.credentials}
    yield from credential_differences("account", before, after, names)
    stated = [
        {one.credential_sid or f"{one.type} {one.friendly_name}": one for one in each.config.credentials}
        for each in (then, now)
    ]
    before, after = ({key: one.to_json() for key, one in some.items()} for some in stated)
    names = {key: one.friendly_name for some in stated for key, one in some.items()}
    yield from credential_differences("desired", before, after, names)


def _rules(before: Path, after: Path) -> Iterator[ValueChange]:
    """The rules that differ, by table and key."""
    then, now = (
        {name: flat(table) for name, table in load_rules(folder / RULES).tables.items()} for folder in (before, after)
    )
    yield from differing_by_key("rules", then, now)


def _bindings(
    then: Mapped, now: Mapped, names: Mapping[str, str], executor: Executor | None
) -> tuple[tuple[ServiceBindings, ...], tuple[str, ...]]:
    """The bindings, where both folders still have them, and a note where one has not."""
    purged = [
        str(each.folder) for each in (then, now) if each.summary.bindings and not (each.folder / BINDINGS).exists()
    ]
    if purged:
        return (), (f"The bindings are not compared: {' and '.join(purged)} no longer has any (purge removes them)",)
    before, after = parts_by_service(then), parts_by_service(now)
    parts = (
        ServiceParts(sid, before.get(sid, ()), after.get(sid, ())) for sid in sorted(before.keys() | after.keys())
    )
    try:
        return compare_bindings(parts, names, OF_MAPPED, executor), ()
    except DamagedFileError:
        raise InputError(
            f"The bindings in {then.folder} or {now.folder} are not as they were mapped", remedy="Map them again"
        ) from None
