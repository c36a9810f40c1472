"""What a check of a mapped folder has found, as data; `checking` finds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrate.map.mapped_folder import Mapped
from migrate.model.errors import InputError, MigrateError, RefusedError
from migrate.model.finding import Finding
from migrate.model.proposal import Proposal
from migrate.model.push_credential import CredentialConfig


@dataclass(frozen=True)
class CheckedCredential:
    """A credential that push-config.yaml states, and what is wrong with its secrets; empty where they can be used."""

    config: CredentialConfig
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """It as the command line's JSON has it: references, and never what they lead to."""
        return {"credential_sid": self.config.credential_sid, **self.config.to_json(), "problem": self.problem}


@dataclass(frozen=True)
class Checked:
    """What was found in a mapped folder.

    `mistakes` are what a person has to correct, each in one line; `notes` are what cannot be known offline. `mapped`
    is None where the folder cannot be read as one, and then nothing else of push-config.yaml was looked at.
    `unproven` are the findings of the snapshot that it rests on, for which an apply is refused like for blockers.
    """

    folder: Path
    mapped: Mapped | None
    mistakes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    credentials: tuple[CheckedCredential, ...] = ()
    findings: tuple[Finding, ...] = ()
    unproven: tuple[Finding, ...] = ()
    proposals: tuple[Proposal, ...] = ()

    @property
    def blocked_by(self) -> tuple[str, ...]:
        """The codes of the findings for which an apply would be refused, each once."""
        found = (*(one for one in self.findings if one.severity == "blocker"), *self.unproven)
        return tuple(dict.fromkeys(one.code for one in found))

    @property
    def wrong(self) -> tuple[str, ...]:
        """All mistakes, those of secrets among them."""
        return (*self.mistakes, *(one.problem for one in self.credentials if one.problem))

    @property
    def failure(self) -> MigrateError | None:
        """The error to end with; None where it can be loaded, as far as can be known."""
        if wrong := self.wrong:
            more = f", and {len(wrong) - 1:,} more" if len(wrong) > 1 else ""
            return InputError(
                f"{self.folder} cannot be loaded as it is: {wrong[0]}{more}", remedy="Correct that first"
            )
        if codes := self.blocked_by:
            return RefusedError(
                f"load --apply would refuse {self.folder}: {', '.join(codes)}",
                remedy="Decide what each finding names, or extract and map again",
            )
        return None

    def to_json(self) -> dict[str, Any]:
        """It as the command line's JSON has it."""
        return {
            "mapped": str(self.folder),
            "mistakes": list(self.wrong),
            "notes": list(self.notes),
            "services": len(self.mapped.configs) if self.mapped else None,
            "credentials": [one.to_json() for one in self.credentials],
            "findings": [finding.to_json() for finding in self.findings],
            "proposals": [proposal.to_json() for proposal in self.proposals],
            "blocked_by": list(self.blocked_by),
        }
