"""Plan: read what is live, compare, and order the result. It reads only; nothing is written to Twilio."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from migrate.load.compare import compare, drifted
from migrate.load.credentials import plan_credentials
from migrate.map.mapped_folder import Mapped, open_mapped
from migrate.model.address import is_twilios
from migrate.model.digest import digest
from migrate.model.errors import MigrateError, RefusedError, TwilioError, UsageError
from migrate.model.finding import Finding
from migrate.model.plan import Change, Plan
from migrate.model.push_config import PushConfig, Settings, flatten, in_order, unreadable_of
from migrate.model.sids import is_service_sid, normal
from migrate.runtime.workers import result_of
from migrate.snapshot.reader import read_snapshot
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.login import is_one_account
from migrate.twilio_api.resources import find_notifications


def make_plan(
    api: TwilioApi, mapped_folder: Path, services: Collection[str] = (), *, only_credentials: bool = False
) -> Plan:
    """The plan that brings the live services to the push configuration in a mapped folder; or some of them.

    A plan for some services leaves the credentials out, one with `only_credentials` the services. The same folder and
    the same answers give the same plan. Raises `InputError` for another folder or a push-config.yaml that is
    wrong, `RefusedError` for another account's, `UsageError` for a service that is not in it, `TwilioError` where
    Twilio fails.
    """
    whole = open_mapped(mapped_folder)
    mapped = _narrowed(whole, services, only_credentials=only_credentials)
    left_out = services and whole.config.credentials
    _refuse_other_account(api, mapped)
    _refuse_other_server(api, mapped)
    compared = _compare(api, mapped)
    credentials, said = plan_credentials(api, mapped.config.credentials)
    findings = [*mapped.findings(compared.live), *snapshot_findings(mapped), *compared.findings, *said]
    live = {sid: in_order(settings) for sid, settings in compared.live.items() if settings is not None}
    waiting = [proposal for proposal in mapped.waiting(compared.live) if proposal.service_sid in live]
    unread = [one for one in waiting if one.path in unreadable_of(compared.live[one.service_sid] or {})]
    proposals = [proposal for proposal in waiting if proposal not in unread]
    findings += [Finding("target-value-unreadable", one.service_sid, one.path) for one in unread]
    return Plan(
        account_sid=mapped.summary.account_sid,
        target=api.addresses.base("conversations"),
        as_of=mapped.summary.as_of,
        snapshot=mapped.summary.snapshot,
        rules=mapped.summary.rules,
        push_config=digest_without_credentials(mapped.config) if left_out else mapped.config_digest,
        bindings=mapped.summary.totals("outcomes"),
        devices=_devices(mapped),
        services=_names(mapped),
        changes=tuple(compared.changes),
        unchanged=tuple(compared.unchanged),
        missing=tuple(compared.missing),
        findings=tuple(sorted(findings, key=Finding.sort_key)),
        credentials=tuple(credentials),
        proposals=tuple(proposals),
        live={sid: live[sid] for sid in dict.fromkeys(proposal.service_sid for proposal in proposals)},
        push_errors=mapped.summary.push_errors,
    )


def digest_without_credentials(config: PushConfig) -> str:
    """The digest of some services' push configuration beside credentials, which a plan of these services leaves out.

    Another than that of a push-config.yaml without credentials: once some are added to it, a plan of it is stale.
    """
    return digest([PushConfig(config.services).to_json(), "without its credentials"])


@dataclass
class _Compared:
    """The services beside what is live."""

    changes: list[Change] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    live: dict[str, Settings | None] = field(default_factory=dict)


def _compare(api: TwilioApi, mapped: Mapped) -> _Compared:
    found = _Compared()
    subscribers = {service["service_sid"]: service["subscribers"] for service in mapped.summary.services}
    then = {service["service_sid"]: service["conversations"] for service in mapped.summary.services}
    live = read_all(api, [config.service_sid for config in mapped.configs])
    for config, settings in zip(mapped.configs, live, strict=True):
        found.live[config.service_sid] = settings
        if settings is None:
            found.missing.append(config.service_sid)
            found.findings.append(Finding("service-missing-on-target", config.service_sid))
            continue
        change, said = compare(config, settings, subscribers.get(config.service_sid, {}))
        found.findings += [*drifted(config, then.get(config.service_sid), settings), *said]
        if change:
            found.changes.append(change)
        else:
            found.unchanged.append(config.service_sid)
    return found


def _narrowed(mapped: Mapped, services: Collection[str], *, only_credentials: bool) -> Mapped:
    """The mapped folder as if it had only these services; or only its credentials."""
    if only_credentials:
        bare = replace(mapped.summary, services=(), findings=(), proposals=(), push_errors=None)
        return replace(mapped, config=PushConfig((), mapped.config.credentials), summary=bare)
    if not services:
        return mapped
    configs = tuple(config for config in mapped.configs if config.service_sid in services)
    if unknown := sorted(set(services) - {config.service_sid for config in configs}):
        raise UsageError(f"{mapped.folder} has no service {unknown[0]} in its push-config.yaml")
    summary = mapped.summary
    kept = tuple(service for service in summary.services if service["service_sid"] in services)
    findings = tuple(found for found in summary.findings if found.service_sid in (None, *services))
    proposals = tuple(proposal for proposal in summary.proposals if proposal.service_sid in services)
    errors = summary.push_errors.of_services(services) if summary.push_errors else None
    summary = replace(summary, services=kept, findings=findings, proposals=proposals, push_errors=errors)
    return replace(mapped, config=PushConfig(configs), summary=summary)


def snapshot_findings(mapped: Mapped) -> list[Finding]:
    """What is to be said of the snapshot that was mapped, as it lies there now."""
    try:
        found = read_snapshot(mapped.snapshot)
    except (MigrateError, OSError):
        return [Finding("snapshot-unverified", None, mapped.summary.source)]
    changed = found.manifest.digest != mapped.summary.snapshot
    return [Finding("snapshot-changed", None, mapped.summary.source)] if changed else []


def _names(mapped: Mapped) -> dict[str, str]:
    """Names by SID: findings speak of the snapshot's services, changes of those in the push configuration."""
    names = {service["service_sid"]: service["friendly_name"] for service in mapped.summary.services}
    return names | {config.service_sid: config.friendly_name for config in mapped.configs}


def _devices(mapped: Mapped) -> dict[str, int]:
    """Live bindings by service: those that have not expired; a service without any is left out."""
    counted = {
        service["service_sid"]: service["bindings"] - service["outcomes"].get("expired", 0)
        for service in mapped.summary.services
    }
    return {sid: number for sid, number in sorted(counted.items()) if number}


def read_all(api: TwilioApi, service_sids: Sequence[str]) -> list[Settings | None]:
    """The live settings of services, side by side; None for one that is not there."""
    with api.workers(api.throttle.most, "read") as workers:
        reading = [workers.submit(read_live, api, sid) for sid in service_sids]
        return [result_of(one) for one in reading]  # where one fails, the others' answers are of no use


def read_live(api: TwilioApi, service_sid: str) -> Settings | None:
    """The live notification settings of a Conversations service; None if there is no such service."""
    found = find_notifications(api, service_sid)
    if found is None:
        return None
    named = found.get("chat_service_sid")
    if is_service_sid(named) and normal(str(named)) != normal(service_sid):
        raise TwilioError(
            f"The settings of {service_sid} were asked for, and those of {named} came",
            remedy="Find out what answers in Twilio's place: a proxy may serve what it has kept",
        )
    return flatten(found)


def _refuse_other_account(api: TwilioApi, mapped: Mapped) -> None:
    if not is_one_account(api.account_sid, mapped.summary.account_sid):
        raise RefusedError(
            f"{mapped.folder} was made from account {mapped.summary.account_sid}, "
            f"and the credentials are for {api.account_sid}",
            remedy="Use the credentials of the account that the snapshot is from",
        )


def _refuse_other_server(api: TwilioApi, mapped: Mapped) -> None:
    """What another server has, such as a rehearsal's stand-in, is not what Twilio's own API is to be set to."""
    target = api.places["conversations"]
    if not is_twilios(target):
        return
    addresses = mapped.summary.addresses.values()
    if foreign := [address for address in addresses if "://" in address and not is_twilios(address)]:
        raise RefusedError(
            f"The snapshot of {mapped.folder} was made from {foreign[-1]}, which is not Twilio's, and {target} is",
            kept="Nothing was written",
            remedy=f"Name the former with --conversations-url {foreign[-1]}; or extract from Twilio, and map that",
        )
