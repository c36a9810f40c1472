"""A mapped folder to look at: what becomes of whom, what phones will show, and what must be decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from migrate.map.mapped_bindings import not_as_mapped, parts_in
from migrate.map.mapped_folder import RULES, Mapped, open_mapped
from migrate.map.outcome import ACTIONS, OUTCOMES
from migrate.map.rules import Rules
from migrate.map.rules_toml import read_rules
from migrate.model.errors import InputError, MigrateError
from migrate.model.finding import Finding
from migrate.model.proposal import Proposal
from migrate.model.push_config import Settings
from migrate.model.schemas import MAPPED_BINDINGS, MAPPED_BINDINGS_4, MAPPED_FILE
from migrate.report.wording import count, counts, name, tally, undecided, when
from migrate.review.findings import findings_frame, service_names
from migrate.review.html_repr import HtmlRepr
from migrate.review.proposals import proposals_frame
from migrate.review.pushes import After, Phones, PushPair, chat_pairs, pushes_frame
from migrate.review.rows import NONE, ReviewRows, frame
from migrate.snapshot.reader import read_snapshot

_OUTCOMES = f"""
    SELECT coalesce(binding_type, '{NONE}') AS binding_type, outcome, action, count(*) AS bindings
    FROM rows GROUP BY ALL ORDER BY ALL
"""  # noqa: S608  # a name of ours


class MappedReview(HtmlRepr):
    """A mapped folder as it stands now: push-config.yaml may have been edited since.

    A binding has one `outcome`: `carried`, `reduced` (a message type has no equivalent), `expired` (past its
    lifetime) or `blocked` (needs a decision). In all counts `bindings` are rows of the snapshot.
    """

    def __init__(self, mapped: Mapped, *, show_identities: bool = False) -> None:
        self._mapped = mapped
        self._names = service_names(
            (service["service_sid"], service["friendly_name"]) for service in mapped.summary.services
        )
        self._show_identities = show_identities

    @classmethod
    def open(cls, folder: Path, *, show_identities: bool = False) -> Self:
        """Open a mapped folder; see `migrate.review.open_mapped`."""
        return cls(open_mapped(folder), show_identities=show_identities)

    def __len__(self) -> int:
        return self._mapped.summary.bindings

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._mapped.folder

    @cached_property
    def rules(self) -> Rules:
        """The rules that it was made by. Raises `InputError` if the folder has no good rules.toml any more."""
        path = self.folder / RULES
        try:
            return read_rules(path.read_text("utf-8"), str(path))
        except (OSError, UnicodeDecodeError):
            raise InputError(f"{path} cannot be read", remedy="Map the snapshot again") from None

    @property
    def bindings(self) -> pd.DataFrame:
        """All mapped bindings, a row each: `service_sid`, and the columns of `mapped/bindings`.

        `device` is the endpoint, masked. Lists (`message_types`, `target_message_types`, `findings`) are texts: what
        they hold in alphabetical order, with commas between. For a large folder, ask for `columns` instead.
        """
        return self._rows.columns()

    def columns(self, *names: str) -> pd.DataFrame:
        """Some columns of `bindings`; no others are read. Raises `InputError` for one that there is not."""
        return self._rows.columns(*names)

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """What becomes of the bindings of each service: `service_sid`, `service`, `left_out`, `bindings`.

        And how many of them are `carried`, `reduced`, `expired`, `blocked`. `left_out` are services without an entry
        in push-config.yaml, by the rules.
        """
        kinds = {"service_sid": pa.string(), "service": pa.string(), "left_out": pa.bool_(), "bindings": pa.int64()}
        return frame(
            {**kinds, **dict.fromkeys(OUTCOMES, pa.int64())},
            [
                [
                    *(service["service_sid"], self._names[service["service_sid"]], service["left_out"]),
                    *(service["bindings"], *(service["outcomes"].get(outcome, 0) for outcome in OUTCOMES)),
                ]
                for service in self._mapped.summary.services
            ],
        )

    @cached_property
    def findings(self) -> pd.DataFrame:
        """What was found, the worst first; the columns are those of `migrate.review.findings.findings_frame`.

        It is what is to be said of push-config.yaml as it stands now, beside what was live in Conversations when the
        snapshot was taken; a plan says what differs since.
        """
        return findings_frame(self._findings, self._names)

    @cached_property
    def proposals(self) -> pd.DataFrame:
        """What is only inferred and waits for a decision; the columns are those of `proposals_frame`.

        It is what push-config.yaml leaves open as it stands now, and what was not so in Conversations already when
        the snapshot was taken. None of it is written before somebody has decided.
        """
        return proposals_frame(self._waiting, self._names)

    @cached_property
    def credentials(self) -> pd.DataFrame:
        """The credentials that each service's bindings use, a row each: `service_sid`, `service`, `credential_sid`.

        And `name` and `type`, missing where the account lacks it; the number of `bindings` that use it, and of those
        that are `live`: not expired. The token server is to hand out `push_credential_sid` in its place, which is
        missing where that is undecided.
        """
        account = {credential.sid: credential for credential in self._mapped.summary.credentials}
        texts = ("service_sid", "service", "credential_sid", "name", "type")
        kinds = {**dict.fromkeys(texts, pa.string()), "bindings": pa.int64(), "live": pa.int64()}
        rows: list[list[Any]] = []
        for service in self._mapped.summary.services:
            for used in service["credentials"]:
                sid, known = used["credential_sid"], account.get(used["credential_sid"])
                about = (name(known.friendly_name), known.type) if known else (None, None)
                numbers = sum(used["bindings"].values()), used["live"]
                of = service["service_sid"]
                rows.append([of, self._names[of], sid, *about, *numbers, used["push_credential_sid"]])
        return frame({**kinds, "push_credential_sid": pa.string()}, rows)

    @cached_property
    def pushes(self) -> pd.DataFrame:
        """What phones show today, through Chat (`before`), and would show through Conversations (`after`).

        A row for each service and each of Chat's pushes; the columns are those of
        `migrate.review.pushes.pushes_frame`. Variables have plain examples in their place. What Chat pushes is known
        as long as the mapped snapshot is where it was; what Conversations does where push-config.yaml says nothing,
        if it could be read when the snapshot was made.
        """
        return pushes_frame(self._pairs)

    def phones(self, *, only_changes: bool = True) -> Phones:
        """`pushes` side by side, for Jupyter; without `only_changes`, those too that look the same.

        What is proposed for a push is shown beside it, and is no change.
        """
        pairs = [pair for pair in self._pairs if pair.differs or pair.proposed or not only_changes]
        return Phones(pairs, "today, through Chat", "through Conversations")

    def by_platform(self) -> pd.DataFrame:
        """What becomes of the bindings of each type: `binding_type`, `outcome`, `action`, `bindings`."""
        return self._rows.counts(_OUTCOMES)

    def by_action(self) -> pd.DataFrame:
        """What devices must do: `action`, how many `bindings` are to, and what that `means`."""
        totals = self._mapped.summary.totals("actions")
        kinds = {"action": pa.string(), "bindings": pa.int64(), "means": pa.string()}
        return frame(kinds, [[action, totals.get(action, 0), means] for action, means in ACTIONS.items()])

    def blockers(self) -> pd.DataFrame:
        """What must be decided before anything is loaded: the findings that block, with what helps."""
        return self.findings[self.findings["severity"] == "blocker"].drop(columns="severity").reset_index(drop=True)

    @cached_property
    def _findings(self) -> list[Finding]:
        return sorted(self._mapped.findings(self._then), key=Finding.sort_key)

    @cached_property
    def _waiting(self) -> tuple[Proposal, ...]:
        return self._mapped.waiting(self._then)

    @cached_property
    def _then(self) -> dict[str, Settings | None]:
        """What was live in Conversations when the snapshot was taken, by service."""
        return {service["service_sid"]: service["conversations"] for service in self._mapped.summary.services}

    @cached_property
    def _rows(self) -> ReviewRows:
        parts = parts_in(self.folder)
        try:
            found = [pq.read_metadata(path) for path in parts]
            schema = found[0].schema.to_arrow_schema() if found else MAPPED_FILE
            whole = sum(part.num_rows for part in found) == len(self)
            whole = whole and any(map(schema.equals, (MAPPED_FILE, MAPPED_BINDINGS, MAPPED_BINDINGS_4)))
            whole = whole and all(part.schema.to_arrow_schema().equals(schema) for part in found)
        except (pa.ArrowException, OSError):
            whole = False
        if not whole:
            raise not_as_mapped(self.folder)
        return ReviewRows(parts, schema, {}, show_identities=self._show_identities)

    @cached_property
    def _pairs(self) -> list[PushPair]:
        chat, rules = self._chat(), self.rules
        desired = {config.service_sid: config.settings for config in self._mapped.configs}
        proposed: dict[str, list[Proposal]] = {}
        for proposal in self._waiting:
            proposed.setdefault(proposal.service_sid, []).append(proposal)
        pairs: list[PushPair] = []
        for service in self._mapped.summary.services:
            sid = service["service_sid"]
            # What is left out, or not stated, stays as it is there.
            after = After(desired.get(sid, {}), service["conversations"], tuple(proposed.get(sid, ())))
            pairs += chat_pairs(sid, self._names[sid], chat.get(sid), after, rules)
        return pairs

    def _chat(self) -> dict[str, Mapping[str, Any]]:
        """Chat's `notifications` by service, if the snapshot that was mapped is there still."""
        try:
            snapshot = read_snapshot(self.folder / self._mapped.summary.source)
        except MigrateError:
            return {}
        if snapshot.manifest.digest != self._mapped.summary.snapshot:
            return {}
        said = {row["sid"]: json.loads(row["notifications"] or "null") for row in snapshot.services()}
        return {sid: found for sid, found in said.items() if isinstance(found, Mapping)}

    def _title(self) -> str:
        return f"Mapped: {count(len(self), 'binding')} of {count(len(self._names), 'service')}"

    def _facts(self) -> dict[str, str]:
        summary = self._mapped.summary
        totals = summary.totals("outcomes")
        return {
            "Snapshot": f"as of {when(summary.as_of)}",
            "Account": summary.account_sid,
            "Outcomes": counts({outcome: totals.get(outcome, 0) for outcome in OUTCOMES}),
            "Devices": counts(summary.totals("actions")),
            "Findings": tally(self._findings),
            **({"Proposals": undecided(len(self._waiting))} if self._waiting else {}),
        }

    def _questions(self) -> tuple[str, ...]:
        return ("blockers", "by_action", "by_platform", "phones")
