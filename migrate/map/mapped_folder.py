"""The mapped folder: push-config.yaml for people, bindings/*.parquet for every device, rules.toml, summary.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from migrate.model.config_check import CODES, check_config
from migrate.model.credential import Credential
from migrate.model.digest import canonical_json, digest
from migrate.model.errors import InputError
from migrate.model.finding import Finding
from migrate.model.proposal import Proposal, waiting
from migrate.model.push_config import PushConfig, ServiceConfig, Settings
from migrate.model.templates import Lengths

FORMAT = 4
CONFIG = "push-config.yaml"
SUMMARY = "summary.json"
RULES = "rules.toml"
BINDINGS = "bindings"


@dataclass(frozen=True)
class Summary:
    """What the mapper found, in numbers; the content of summary.json.

    `services` has an entry for each service: `service_sid`, `friendly_name`, `left_out` (by the rules), `bindings`
    (their number), `outcomes`, `actions` and `binding_types` (numbers by name), `subscribers` (live bindings by
    Conversations' message type), and `credentials`: those that its bindings use, each with `credential_sid`,
    `bindings` (numbers by type), `live` (their number), and the `push_credential_sid` that the token server is to
    hand out in its place, null where nobody has decided. `conversations` of a service is what was live there when
    the snapshot was taken, by path; null where that could not be read. `credentials` are the account's, `lengths`
    what pushes are estimated with; `snapshot` and `rules` are digests, `source` is the way to the snapshot's folder.
    `proposals` are all that was inferred and not trusted, whether it has been decided since or not. `addresses` are
    those that the snapshot was read from, by API.
    """

    account_sid: str
    as_of: str
    source: str
    snapshot: str
    rules: str
    services: tuple[dict[str, Any], ...]
    credentials: tuple[Credential, ...]
    lengths: Lengths
    findings: tuple[Finding, ...]
    proposals: tuple[Proposal, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def bindings(self) -> int:
        """The number of bindings, every one of which has one outcome."""
        return sum(service["bindings"] for service in self.services)

    @cached_property
    def proposals_by_service(self) -> dict[str, list[Proposal]]:
        """The proposals by the SID of their service."""
        found: dict[str, list[Proposal]] = {}
        for proposal in self.proposals:
            found.setdefault(proposal.service_sid, []).append(proposal)
        return found

    @property
    def waiting(self) -> tuple[Proposal, ...]:
        """The proposals that wait for a decision: those that were not so already when the snapshot was taken."""
        then = {service["service_sid"]: service["conversations"] for service in self.services}
        proposed = self.proposals_by_service
        return tuple(one for sid in proposed for one in waiting(proposed[sid], {}, then[sid]))

    def totals(self, what: str) -> dict[str, int]:
        """`outcomes`, `actions` or `binding_types`, summed over the services."""
        sums: dict[str, int] = {}
        for service in self.services:
            for name, count in service[what].items():
                sums[name] = sums.get(name, 0) + count
        return sums

    def to_json(self) -> dict[str, Any]:
        """The content of summary.json; `totals` are there for readers of the file."""
        return {
            "format_version": FORMAT,
            "account_sid": self.account_sid,
            "as_of": self.as_of,
            "source": self.source,
            "addresses": dict(self.addresses),
            "digests": {"snapshot": self.snapshot, "rules": self.rules},
            "services": list(self.services),
            "credentials": [credential.to_json() for credential in self.credentials],
            "lengths": vars(self.lengths),
            "findings": [finding.to_json() for finding in self.findings],
            "proposals": [proposal.to_json() for proposal in self.proposals],
            "totals": {
                "bindings": self.bindings,
                "outcomes": self.totals("outcomes"),
                "actions": self.totals("actions"),
                "binding_types": self.totals("binding_types"),
            },
        }


@dataclass(frozen=True)
class Mapped:
    """A mapped folder that was read: its summary, and the push configuration as it stands now."""

    folder: Path
    summary: Summary
    config: PushConfig

    @property
    def configs(self) -> tuple[ServiceConfig, ...]:
        """What is desired of each service."""
        return self.config.services

    @property
    def config_digest(self) -> str:
        """The digest of what the push configuration states, whatever its comments and order."""
        return digest(self.config.to_json())

    def waiting(self, live: Mapping[str, Settings | None]) -> tuple[Proposal, ...]:
        """The proposals that wait for a decision, by service: of those that push-config.yaml has an entry for.

        `live` is as in `findings`.
        """
        proposed = self.summary.proposals_by_service
        return tuple(
            proposal
            for config in self.configs
            for proposal in waiting(
                proposed.get(config.service_sid, ()), config.settings, live.get(config.service_sid)
            )
        )

    def findings(self, live: Mapping[str, Settings | None]) -> list[Finding]:
        """What is to be said of the mapping now: push-config.yaml may have been edited since it was made.

        `live` are the settings of the services in Conversations, by SID; None for those that nobody knows.
        """
        findings = [found for found in self.summary.findings if found.code not in CODES]
        off: dict[str | None, set[str]] = {}
        for found in findings:
            if found.code == "push-disabled":
                off.setdefault(found.service_sid, set()).add(found.subject)
        subscribers = {service["service_sid"]: service["subscribers"] for service in self.summary.services}
        for config in self.configs:
            sid = config.service_sid
            numbers, chats = subscribers.get(sid, {}), off.get(sid, ())
            proposals = self.summary.proposals_by_service.get(sid, ())
            findings += check_config(config, live.get(sid), numbers, chats, self.summary.lengths, proposals)
        stated = {config.service_sid for config in self.configs}
        findings += [
            Finding("service-not-stated", service["service_sid"], count=service["bindings"])
            for service in self.summary.services
            if not service["left_out"] and service["service_sid"] not in stated
        ]
        return findings


def find_bindings(mapped: Mapped, sid: str) -> list[dict[str, Any]]:
    """The rows of a mapped folder with one SID, each with its `service_sid`, in the order of those.

    There is one as a rule; more where services list the same binding. Hexadecimal digits may be in either case.

    Raises `InputError` where the folder's bindings cannot be read, or are not as many as were mapped.
    """
    import pyarrow as pa  # `load` starts without it
    from pyarrow import dataset

    from migrate.model.schemas import MAPPED_BINDINGS

    spellings = list({sid, sid[:2] + sid[2:].lower(), sid[:2] + sid[2:].upper()})
    service_sid = pa.field("service_sid", pa.string())
    schema = MAPPED_BINDINGS.append(service_sid)
    by_service = dataset.partitioning(pa.schema([service_sid]), flavor="hive")
    try:
        found = dataset.dataset(mapped.folder / BINDINGS, schema=schema, format="parquet", partitioning=by_service)
        rows: list[dict[str, Any]] = found.to_table(filter=dataset.field("sid").isin(spellings)).to_pylist()
        whole = bool(rows) or found.count_rows() == mapped.summary.bindings
        whole = whole and all(row[name] is not None for row in rows for name in ("outcome", "action", "findings"))
    except (pa.ArrowException, OSError):
        whole = False
    if not whole:
        raise InputError(
            f"The bindings in {mapped.folder} are not as they were mapped", remedy="Map the snapshot anew"
        )
    return sorted(rows, key=lambda row: str(row["service_sid"]))


def open_mapped(folder: Path) -> Mapped:
    """Read a mapped folder. Raises `InputError` if it is none, or with the line where push-config.yaml is wrong."""
    try:
        content = json.loads((folder / SUMMARY).read_bytes())
        if content["format_version"] != FORMAT:
            remedy = "Map the snapshot again, with --overwrite or into another folder"
            raise InputError(f"{folder} was mapped by another version, in another format", remedy=remedy)
        summary = Summary(
            account_sid=content["account_sid"],
            as_of=content["as_of"],
            source=content["source"],
            snapshot=content["digests"]["snapshot"],
            rules=content["digests"]["rules"],
            services=tuple(content["services"]),
            credentials=tuple(Credential.from_json(credential) for credential in content["credentials"]),
            lengths=Lengths(**content["lengths"]),
            findings=tuple(Finding.from_json(finding) for finding in content["findings"]),
            proposals=tuple(Proposal.from_json(proposal) for proposal in content["proposals"]),
            addresses={api: str(address) for api, address in content["addresses"].items()},
        )
        del content["written"]
        if canonical_json(summary.to_json()) != canonical_json(content):
            raise ValueError("it does not add up")
        _check(summary)
        text = (folder / CONFIG).read_bytes().decode()
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise InputError(
            f"{folder} is not a mapped folder: it has no {name}",
            remedy=f"Make one with: chat-migrate map SNAPSHOT --out {folder}",
        ) from None
    except NotADirectoryError:
        raise InputError(f"{folder} is not a folder") from None
    except UnicodeDecodeError:
        raise InputError(f"{folder / CONFIG} is not UTF-8 text", remedy="Save it as such") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{folder} is not a mapped folder: its {SUMMARY} cannot be read") from None
    from migrate.map.push_config_yaml import parse  # it brings yaml, and few commands read a mapped folder

    return Mapped(folder, summary, parse(text, str(folder / CONFIG)))


def _check(summary: Summary) -> None:
    """Raise TypeError, LookupError or ValueError for values of a type that no mapping writes."""
    if datetime.fromisoformat(summary.as_of).tzinfo is None:
        raise ValueError("a time without a zone")
    numbers = [summary.lengths.name, summary.lengths.message]
    texts = [summary.account_sid, summary.snapshot, summary.rules]
    for service in summary.services:
        texts += [service["service_sid"], service["friendly_name"]]
        numbers += [service["bindings"], *service["outcomes"].values(), *service["actions"].values()]
        numbers += service["subscribers"].values()
        for item in service["credentials"]:
            texts += [item["credential_sid"], item["push_credential_sid"] or ""]
            numbers += [item["live"], *item["bindings"].values()]
        if type(service["left_out"]) is not bool:
            raise TypeError("no flag")
    numbers += [finding.count for finding in summary.findings]
    if not {proposal.service_sid for proposal in summary.proposals} <= {
        one["service_sid"] for one in summary.services
    }:
        raise ValueError("a proposal for no service")
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a name is no text")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise TypeError("a number is none")
