"""Two plans beside each other: what would be written, what is live, what is proposed, and what is found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from migrate.diff.difference import CredentialDifference, Difference, ServiceChange, Side, ValueChange
from migrate.diff.mapped import proposed
from migrate.diff.sides import notes_on, refuse_strangers, side
from migrate.diff.values import (
    credential_differences,
    differing,
    differing_by_key,
    finding_changes,
    flat,
    outcome_changes,
    service_changes,
)
from migrate.load.plan_file import read_plan
from migrate.model.plan import Plan
from migrate.model.push_config import Settings

CHANGES, UNCHANGED, MISSING, LEFT_OUT = "would change", "unchanged", "not there in Conversations", "left out"


def compare_plans(before: Path, after: Path) -> Difference:
    """What has changed from one plan to another. Raises as `read_plan` does, and `RefusedError` for two accounts."""
    then, now = read_plan(before), read_plan(after)
    was, is_now = _side(before, then), _side(after, now)
    refuse_strangers(was, is_now)
    return Difference(
        "plan",
        was,
        is_now,
        notes=(*notes_on(was, is_now), *_notes(then, now)),
        services=tuple(_services(then, now)),
        settings=tuple(_settings(then, now)),
        credentials=tuple(_credentials(then, now)),
        rules=tuple(differing("rules", "rules", {"digest": then.rules}, {"digest": now.rules})),
        findings=finding_changes(then.findings, now.findings),
        outcomes=outcome_changes(then.bindings, now.bindings),
        names=then.services | now.services,
    )


def _side(path: Path, plan: Plan) -> Side:
    return side(path, plan, plan.plan_id, {"conversations": plan.target})


def _notes(then: Plan, now: Plan) -> Iterator[str]:
    """Where the two do not rest on the same: what differs may come from there."""
    pairs = {"snapshots": (then.snapshot, now.snapshot), "push configurations": (then.push_config, now.push_config)}
    if others := [name for name, (one, other) in pairs.items() if one != other]:
        yield f"The two plans were made from different {' and '.join(others)}"


def _services(then: Plan, now: Plan) -> Iterator[ServiceChange]:
    yield from service_changes(then.services, now.services)
    before, after = _standing(then), _standing(now)
    for sid in sorted(before.keys() & after.keys()):
        if before[sid] != after[sid]:
            yield ServiceChange(sid, now.services.get(sid, ""), "state", before[sid], after[sid])


def _standing(plan: Plan) -> dict[str, str]:
    """What a plan does with each service."""
    return {
        **dict.fromkeys(plan.services, LEFT_OUT),
        **dict.fromkeys(plan.unchanged, UNCHANGED),
        **dict.fromkeys(plan.missing, MISSING),
        **{change.service_sid: CHANGES for change in plan.changes},
    }


def _settings(then: Plan, now: Plan) -> Iterator[ValueChange]:
    """What would be written; what is live, of services of which both plans say it; and what is proposed."""
    yield from differing_by_key("written", _written(then), _written(now))
    before, after = _live(then), _live(now)
    for sid in sorted(before.keys() & after.keys()):
        yield from differing("live", sid, before[sid], after[sid])
    yield from differing_by_key("proposed", proposed(then.proposals), proposed(now.proposals))


def _written(plan: Plan) -> dict[str, dict[str, Any]]:
    return {change.service_sid: {path: change.desired[path] for path in change.fields} for change in plan.changes}


def _live(plan: Plan) -> Mapping[str, Settings]:
    return {**plan.live, **{change.service_sid: change.existing for change in plan.changes}}


def _credentials(then: Plan, now: Plan) -> Iterator[CredentialDifference]:
    """The credentials that would be created, or given another secret: what is stated, and what Twilio showed."""
    changes = [
        {one.config.credential_sid or f"{one.config.type} {one.friendly_name}": one for one in plan.credentials}
        for plan in (then, now)
    ]
    before, after = (
        {
            key: {**one.config.to_json(), **flat({"existing": one.existing.to_json() if one.existing else None})}
            for key, one in some.items()
        }
        for some in changes
    )
    names = {key: one.friendly_name for some in changes for key, one in some.items()}
    yield from credential_differences("desired", before, after, names)
