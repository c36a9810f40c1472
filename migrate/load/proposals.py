"""Proposals of a plan, made changes: what `--force inferred` does. A function of values."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from migrate.load.compare import differing
from migrate.model.config_check import MEDIA
from migrate.model.finding import Finding
from migrate.model.plan import Change, Plan
from migrate.model.push_config import Settings, Value, in_order

INFERRED = "inferred"  # what `--force` calls it
_SETTLED = ("push-inferred", "target-value-kept")  # findings about a setting that is left alone


def with_proposals(plan: Plan) -> Plan:
    """The plan that writes what it only proposes, too; a plan that proposes nothing is the same again.

    The same plan always gives the same one, with an id of its own. Each proposal is written over what was live when
    the plan was made, so that it is stale where somebody has changed that since, as any change is.
    """
    if not plan.proposals:
        return plan
    changes = {change.service_sid: change for change in plan.changes}
    proposed: dict[str, dict[str, Value]] = {}
    for proposal in plan.proposals:
        proposed.setdefault(proposal.service_sid, {})[proposal.path] = proposal.value
    for sid, values in proposed.items():
        former, existing = changes.get(sid), plan.live[sid]
        desired = in_order({**(former.desired if former else {}), **values})
        changes[sid] = Change(sid, plan.services[sid], existing, desired, differing(desired, existing))
    settled = {(code, sid, path) for sid, paths in proposed.items() for path in paths for code in _SETTLED}
    findings = [found for found in plan.findings if (found.code, found.service_sid, found.subject) not in settled]
    findings += [Finding("push-trusted", found.service_sid, found.path, found.bindings) for found in plan.proposals]
    findings += _on_media(plan, changes)
    return replace(
        plan,
        changes=tuple(changes[sid] for sid in sorted(changes)),
        unchanged=tuple(sid for sid in plan.unchanged if sid not in plan.live),
        findings=tuple(sorted(findings, key=Finding.sort_key)),
        proposals=(),
        live={},
    )


def _on_media(plan: Plan, changes: dict[str, Change]) -> Iterator[Finding]:
    """The findings about media messages that are pushed in Twilio's own words from now on."""
    path = f"{MEDIA}.template"
    known = {finding.service_sid for finding in plan.findings if finding.code == "media-text"}
    counts = {found.service_sid: found.bindings for found in plan.proposals if found.path.startswith("new_message.")}
    for sid, count in counts.items():
        after: Settings = {**changes[sid].existing, **changes[sid].desired}
        is_on = after.get(f"{MEDIA}.enabled") and after.get("new_message.enabled")
        if sid not in known and is_on and not after.get(path):
            yield Finding("media-text", sid, path, count or 1)
