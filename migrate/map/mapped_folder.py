"""The mapped folder: push-config.yaml for people, bindings/*.parquet for every device, rules.toml, summary.json."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypedDict

from msgspec import Struct
from msgspec.structs import replace

from migrate.map.earlier_format import FORMAT_4, upgrade
from migrate.model.config_check import check_config
from migrate.model.counted_errors import CountedErrors
from migrate.model.credential import Credential
from migrate.model.digest import digest
from migrate.model.documents import (
    Count,
    DocumentError,
    OtherFormatError,
    builtins,
    decode,
    is_same,
    load_versioned,
    moment,
)
from migrate.model.errors import InputError
from migrate.model.finding import Finding
from migrate.model.proposal import Proposal, waiting
from migrate.model.push_config import PushConfig, ServiceConfig, Settings, Value
from migrate.model.templates import Lengths
from migrate.storage.places import at_way

FORMAT = 5
CONFIG = "push-config.yaml"
SUMMARY = "summary.json"
RULES = "rules.toml"
BINDINGS = "bindings"


class CredentialUse(TypedDict):
    """A credential that a service's bindings use.

    `bindings` are numbers by type, `live` is how many have not expired; `push_credential_sid` is what the token
    server is to hand out in its place, None where that is undecided.
    """

    credential_sid: str
    bindings: dict[str, Count]
    live: Count
    push_credential_sid: str | None


class ServiceSummary(TypedDict):
    """One service, in numbers.

    `left_out` says whether the rules leave it out, `bindings` is their number; `outcomes`, `actions` and
    `binding_types` are numbers by name, `subscribers` live bindings by Conversations' message type. `off_in_chat` are
    the switches, by path, that Chat has off though live bindings subscribe to their push. `conversations` is what was
    live there when the snapshot was taken, by path; None where that could not be read.
    """

    service_sid: str
    friendly_name: str
    left_out: bool
    bindings: Count
    outcomes: dict[str, Count]
    actions: dict[str, Count]
    binding_types: dict[str, Count]
    subscribers: dict[str, Count]
    off_in_chat: list[str]
    credentials: list[CredentialUse]
    conversations: dict[str, Value] | None


class Summary(Struct, frozen=True, dict=True):
    """What the mapper found, in numbers; the content of summary.json.

    `services` has an entry for each service. `credentials` are the account's, `lengths` what pushes are estimated
    with; `snapshot` and `rules` are digests, `source` is the way to the snapshot's folder, or its URL. `proposals`
    are all that was inferred and not trusted, whether it has been decided since or not. `addresses` are those that
    the snapshot was read from, by API. `push_errors` are those before the snapshot; None where it has none.
    """

    account_sid: str
    as_of: str
    source: str
    snapshot: str
    rules: str
    services: tuple[ServiceSummary, ...]
    credentials: tuple[Credential, ...]
    lengths: Lengths
    findings: tuple[Finding, ...]
    proposals: tuple[Proposal, ...] = ()
    addresses: Mapping[str, str] = {}
    push_errors: CountedErrors | None = None

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

    def totals(self, what: Literal["outcomes", "actions", "binding_types"]) -> dict[str, int]:
        """`outcomes`, `actions` or `binding_types`, summed over the services."""
        sums: dict[str, int] = {}
        for service in self.services:
            for name, count in service[what].items():
                sums[name] = sums.get(name, 0) + count
        return sums

    def to_json(self) -> dict[str, Any]:
        """The content of summary.json; `totals` are there for readers of the file."""
        digests = ("snapshot", "rules")
        elsewhere = digests if self.push_errors else (*digests, "push_errors")
        return {
            **{name: value for name, value in builtins(self).items() if name not in elsewhere},
            "format_version": FORMAT,
            "digests": {name: getattr(self, name) for name in digests},
            "findings": [finding.to_json() for finding in self.findings],
            "totals": {
                "bindings": self.bindings,
                "outcomes": self.totals("outcomes"),
                "actions": self.totals("actions"),
                "binding_types": self.totals("binding_types"),
            },
        }


class Mapped(Struct, frozen=True, dict=True):
    """A mapped folder that was read: its summary, and the push configuration as it stands now."""

    folder: Path
    summary: Summary
    config: PushConfig

    @property
    def snapshot(self) -> Path:
        """Where the snapshot was that it was made from."""
        return at_way(self.summary.source, self.folder)

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

    @cached_property
    def then(self) -> dict[str, Settings | None]:
        """What was live in Conversations when the snapshot was taken, by service; None where it is not known."""
        return {service["service_sid"]: service["conversations"] for service in self.summary.services}

    @cached_property
    def as_it_stands(self) -> Summary:
        """The summary with the findings and the proposals of push-config.yaml as it is now, beside `then`."""
        found = tuple(sorted(self.findings(self.then), key=Finding.sort_key))
        return replace(self.summary, findings=found, proposals=self.waiting(self.then))

    def findings(self, live: Mapping[str, Settings | None]) -> list[Finding]:
        """What is to be said of the mapping now: push-config.yaml may have been edited since it was made.

        `live` are the settings of the services in Conversations, by SID; None for unknown ones.
        """
        findings = [found for found in self.summary.findings if not found.of_config]
        services = {service["service_sid"]: service for service in self.summary.services}
        for config in self.configs:
            sid = config.service_sid
            known = services.get(sid)
            numbers, off = (known["subscribers"], known["off_in_chat"]) if known else ({}, [])
            proposals = self.summary.proposals_by_service.get(sid, ())
            findings += check_config(config, live.get(sid), numbers, off, self.summary.lengths, proposals)
        stated = {config.service_sid for config in self.configs}
        findings += [
            Finding("service-not-stated", service["service_sid"], count=service["bindings"])
            for service in self.summary.services
            if not service["left_out"] and service["service_sid"] not in stated
        ]
        return findings


def open_mapped(folder: Path) -> Mapped:
    """Read a mapped folder. Raises `InputError` for another one, or with the line where push-config.yaml is wrong."""
    try:
        summary = _read_summary((folder / SUMMARY).read_bytes())
        text = (folder / CONFIG).read_bytes().decode()
    except OtherFormatError:
        remedy = "Map the snapshot again, with --overwrite or into another folder"
        raise InputError(f"{folder} was mapped by another version, in another format", remedy=remedy) from None
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise InputError(
            f"{folder} is not a mapped folder: it has no {name}",
            remedy="Make one with: chat-migrate map SNAPSHOT --out MAPPED",
        ) from None
    except NotADirectoryError:
        raise InputError(f"{folder} is not a folder") from None
    except UnicodeDecodeError:
        raise InputError(f"{folder / CONFIG} is not UTF-8 text", remedy="Save it as such") from None
    except DocumentError as error:
        raise InputError(f"{folder} is not a mapped folder: its {SUMMARY} cannot be read: {error}") from None
    from migrate.map.push_config_yaml import parse  # it brings yaml, and few commands read a mapped folder

    return Mapped(folder, summary, parse(text, str(folder / CONFIG)))


def snapshot_of(folder: Path) -> Path:
    """Where the snapshot was that a mapped folder was made from, as whoever is in this folder names it."""
    return shown_path(at_way(_read_summary((folder / SUMMARY).read_bytes()).source, folder))


def shown_path(place: Path) -> Path:
    """A place as whoever is in this folder names it."""
    here = Path.cwd()
    return place.relative_to(here) if place.is_relative_to(here) else place


def _read_summary(data: bytes) -> Summary:
    """The summary in a summary.json. Raises `DocumentError` for what no mapping wrote."""
    version, content = load_versioned(data, FORMAT, FORMAT_4)
    if version == FORMAT_4:
        upgrade(content)
    summary = decode({**content, **decode(content, _Saved).digests}, Summary)
    moment(summary.as_of)
    if not {proposal.service_sid for proposal in summary.proposals} <= {
        one["service_sid"] for one in summary.services
    }:
        raise DocumentError("proposals: one is for no service")
    del content["written"]
    if not is_same(summary.to_json(), {"format_version": FORMAT, **content}):
        raise DocumentError("it does not add up")
    return summary


class _Saved(Struct, frozen=True):
    """What stands elsewhere in summary.json than in a `Summary`; `written` has checksums of the files beside it."""

    digests: dict[str, Any]
    written: dict[str, str]
