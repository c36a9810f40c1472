"""A plan to look at: what would change for whom, the texts on phones before and after, and what is to be decided."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa

from migrate.load.limits import OF_A_PLAN, Ground, violations
from migrate.load.plan_file import read_plan
from migrate.model.catalogue import SEVERITIES
from migrate.model.errors import InputError, reason_of
from migrate.model.plan import Change, Plan
from migrate.model.proposal import Proposal
from migrate.report.pushes import proposed_pushes, push_changes, push_of
from migrate.report.wording import (
    PUSH_NAMES,
    counts,
    name,
    readiness,
    setting,
    stated,
    tally,
    undecided,
    verdict,
    was,
    when,
)
from migrate.review.findings import findings_frame, service_names
from migrate.review.html_repr import HtmlRepr
from migrate.review.proposals import proposals_frame
from migrate.review.pushes import Phones, PushPair, pushes_frame
from migrate.review.rows import frame


class PlanReview(HtmlRepr):
    """A saved plan. It holds no personal data, and no secret."""

    def __init__(self, plan: Plan, path: Path) -> None:
        self.plan = plan
        self.path = path
        self._names = service_names(plan.services.items())

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a plan; see `migrate.review.open_plan`."""
        try:
            return cls(read_plan(path), path)
        except OSError as error:
            raise InputError(
                f"Cannot read {path}: {reason_of(error)}",
                remedy="Make a plan with: chat-migrate load MAPPED --plan-out FILE",
            ) from None

    @cached_property
    def changes(self) -> pd.DataFrame:
        """The settings that would change, a row each, in the order in which they are written.

        `kind` is notifications, or credential for those that are made or given another secret; `sid` is the service's
        or the credential's (missing of one that is to be made), `name` its name, `field` the setting. `existing` and
        `desired` are its values as text; of a secret, where it comes from, and never what Twilio has.
        """
        rows: list[tuple[str | None, ...]] = []
        for made in self.plan.credentials:
            for field in made.fields:
                about = ("credential", made.config.credential_sid, name(made.friendly_name), field)
                rows.append((*about, was(made, field), stated(made, field)))
        for change in self.plan.changes:
            for field in change.fields:
                values = (setting(change.existing, field), setting(change.desired, field))
                rows.append((change.kind, change.service_sid, name(change.friendly_name), field, *values))
        return frame(dict.fromkeys(("kind", "sid", "name", "field", "existing", "desired"), pa.string()), rows)

    @cached_property
    def findings(self) -> pd.DataFrame:
        """What was found, the worst first; the columns are those of `migrate.review.findings.findings_frame`."""
        return findings_frame(self.plan.findings, self._names)

    @cached_property
    def proposals(self) -> pd.DataFrame:
        """What is only inferred, is not live already, and is not written before somebody has decided.

        The columns are those of `migrate.review.proposals.proposals_frame`.
        """
        return proposals_frame(self.plan.proposals, self._names)

    @cached_property
    def services(self) -> pd.DataFrame:
        """The services that the plan speaks of: `service_sid`, `service`, `fate`, `settings` that would change.

        And the numbers of findings: `blocker`, `warning`, `info`. `fate` is `would change`, `unchanged`, `left out`
        (by the rules, or of push-config.yaml), or `missing` where Conversations has no such service.
        """
        plan, rows = self.plan, []
        settings = {change.service_sid: len(change.fields) for change in plan.changes}
        states = {**dict.fromkeys(plan.services, "left out"), **dict.fromkeys(plan.unchanged, "unchanged")}
        states |= {**dict.fromkeys(plan.missing, "missing"), **dict.fromkeys(settings, "would change")}
        found = Counter((finding.service_sid, finding.severity) for finding in plan.findings)
        for sid, state in sorted(states.items()):
            numbers = [found[sid, severity] for severity in SEVERITIES]
            rows.append([sid, self._names.get(sid, ""), state, settings.get(sid, 0), *numbers])
        texts = dict.fromkeys(("service_sid", "service", "fate"), pa.string())
        return frame({**texts, **dict.fromkeys(("settings", *SEVERITIES), pa.int64())}, rows)

    @cached_property
    def pushes(self) -> pd.DataFrame:
        """What phones show now (`before`) and once the plan is applied (`after`), where that is not the same.

        Both are Conversations' pushes. The columns are those of `migrate.review.pushes.pushes_frame`; variables have
        plain examples in their place.
        """
        return pushes_frame(self._pairs)

    def phones(self) -> Phones:
        """`pushes` side by side, for Jupyter."""
        return Phones(self._pairs, "now", "once it is applied")

    @cached_property
    def refusals(self) -> tuple[tuple[str, str], ...]:
        """The limits for which any apply of this plan is refused: each one's name, and what is wrong."""
        return tuple(violations(Ground.of_plan(self.plan), OF_A_PLAN))

    def blockers(self) -> pd.DataFrame:
        """What must be decided before this can be applied: the findings that block, with what helps."""
        return self.findings[self.findings["severity"] == "blocker"].drop(columns="severity").reset_index(drop=True)

    def switched_off(self) -> pd.DataFrame:
        """The rows of `changes` that would switch off what is on in Conversations now."""
        found = self.changes
        off = (found["kind"] == "notifications") & (found["existing"] == "true") & (found["desired"] == "false")
        return found[off].reset_index(drop=True)

    @cached_property
    def _pairs(self) -> list[PushPair]:
        changes = {change.service_sid: change for change in self.plan.changes}
        proposed = {
            sid: [proposal for proposal in self.plan.proposals if proposal.service_sid == sid]
            for sid in self.plan.live
        }
        return [
            pair
            for sid in sorted({*changes, *proposed})
            for pair in self._pairs_of(changes.get(sid), sid, proposed.get(sid, []))
        ]

    def _pairs_of(self, change: Change | None, sid: str, proposals: list[Proposal]) -> list[PushPair]:
        """The pushes of a service that would change, and those that something is proposed for."""
        service = self._names.get(sid, "")
        changed = {pair.push: pair for pair in push_changes(change)} if change else {}
        live = change.existing if change else self.plan.live[sid]
        then = {**live, **(change.desired if change else {})}
        ideas = proposed_pushes(proposals, then)
        pairs = []
        for push in PUSH_NAMES:
            if push in changed or push in ideas:
                pair = changed.get(push)
                before, after = (pair.before, pair.after) if pair else (push_of(push, live), push_of(push, then))
                pairs.append(PushPair(sid, service, push, before, after, ideas.get(push)))
        return pairs

    def _title(self) -> str:
        return f"{readiness(self.plan, self.refusals)}: {verdict(self.plan)}"

    def _facts(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "Plan": plan.plan_id,
            "Target": plan.target,
            "Account": plan.account_sid,
            "Snapshot": f"as of {when(plan.as_of)}" if plan.as_of else "none",
            "Bindings": counts(plan.bindings),
            "Findings": tally(plan.findings),
            **({"Proposals": undecided(len(plan.proposals))} if plan.proposals else {}),
            **{f"Refused: {limit}": problem for limit, problem in self.refusals},
        }

    def _questions(self) -> tuple[str, ...]:
        return ("blockers", "switched_off", "phones")
