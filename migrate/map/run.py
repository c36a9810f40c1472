"""Map: a snapshot to a mapped folder, batch by batch. Everything that is decided is decided by pure functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from migrate.map.bindings import Tally, map_batch
from migrate.map.crowds import note_crowds
from migrate.map.notifications import service_config
from migrate.map.rules import Rules, default_rules
from migrate.model.finding import Finding
from migrate.model.push_config import ServiceConfig
from migrate.model.templates import check_templates
from migrate.snapshot.mapped import MappedWriter, Summary
from migrate.snapshot.reader import Snapshot, open_snapshot


def map_snapshot(snapshot: Path, out: Path, rules: Rules | None = None) -> Summary:
    """Translate the snapshot in one folder into the mapped folder `out`, and return its summary.

    Every binding has exactly one outcome, and the counts add up to the snapshot's rows. Raises `InputError`
    and `RefusedError` as `open_snapshot` does, and `RefusedError` if `out` is not empty.
    """
    rules = rules or default_rules()
    with MappedWriter(out) as writer:
        source = open_snapshot(snapshot)
        filters = source.manifest.filters
        filtered = bool(filters.binding_types or filters.identities or filters.identity_file)
        configs: list[ServiceConfig] = []
        services: list[dict[str, Any]] = []
        findings = [Finding("snapshot-filtered", None)] if filtered else []
        for service in source.services():
            tally = _map_bindings(source, service["sid"], rules, writer)
            config, said = service_config(service, tally.subscribers, rules, whole=not filtered)
            configs.append(config)
            services.append(_numbers(config, tally))
            findings += [*said, *tally.findings(service["sid"]), *_rejected(source, service["sid"])]
        findings += check_templates(configs)
        summary = Summary(
            account_sid=source.manifest.account_sid,
            as_of=source.manifest.as_of,
            snapshot=source.manifest.digest,
            rules=rules.digest,
            services=tuple(services),
            findings=tuple(sorted(findings, key=Finding.sort_key)),
        )
        writer.finish(summary, configs)
    return summary


def _map_bindings(source: Snapshot, service_sid: str, rules: Rules, writer: MappedWriter) -> Tally:
    tally = Tally()
    parts = source.parts(service_sid)
    if parts:
        with writer.bindings(service_sid) as file:
            for batch in source.bindings(service_sid):
                file.write_batch(map_batch(batch, source.as_of, rules, tally))
        note_crowds(parts, rules, tally, writer.scratch)
    return tally


def _numbers(config: ServiceConfig, tally: Tally) -> dict[str, Any]:
    return {
        "service_sid": config.service_sid,
        "friendly_name": config.friendly_name,
        "bindings": tally.rows,
        "outcomes": dict(sorted(tally.outcomes.items())),
        "binding_types": dict(sorted(tally.binding_types.items())),
    }


def _rejected(source: Snapshot, service_sid: str) -> list[Finding]:
    count = sum(chain.rejected for chain in source.manifest.chains if chain.service_sid == service_sid)
    return [Finding("bindings-rejected", service_sid, "", count)] if count else []
