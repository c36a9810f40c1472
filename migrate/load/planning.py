"""Plan: read what is live, compare, and order the result. It reads only; nothing is written to Twilio."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from migrate.load.compare import compare
from migrate.model.errors import RefusedError, TwilioError
from migrate.model.finding import Finding
from migrate.model.plan import Change, Plan
from migrate.model.push_config import Settings, flatten
from migrate.model.templates import check_templates
from migrate.snapshot.mapped import Mapped, open_mapped
from migrate.twilio_api.api import TwilioApi
from migrate.twilio_api.credentials import REPLAY_ACCOUNT_SID


def make_plan(api: TwilioApi, mapped_folder: Path) -> Plan:
    """The plan that brings the live services to the push configuration in a mapped folder.

    The same folder and the same answers give the same plan. Raises `InputError` for a folder that is none or
    a push-config.yaml that is wrong, `RefusedError` for another account's, `TwilioError` where Twilio fails.
    """
    mapped = open_mapped(mapped_folder)
    _refuse_other_account(api, mapped)
    with ThreadPoolExecutor(api.throttle.most) as pool:
        try:
            live = list(pool.map(lambda config: read_live(api, config.service_sid), mapped.configs))
        except BaseException:
            api.stop()  # the others' answers are of no use any more, and nobody should wait for them
            raise
    changes: list[Change] = []
    unchanged: list[str] = []
    missing: list[str] = []
    # What the mapper said of templates may have been mended since: they are checked as they stand now.
    findings = [found for found in mapped.summary.findings if not found.code.startswith("template-")]
    findings += check_templates(mapped.configs, mapped.summary.lengths)
    for config, settings in zip(mapped.configs, live, strict=True):
        if settings is None:
            missing.append(config.service_sid)
            findings.append(Finding("service-missing-on-target", config.service_sid))
            continue
        change, said = compare(config, settings)
        findings += said
        if change:
            changes.append(change)
        else:
            unchanged.append(config.service_sid)
    return Plan(
        account_sid=mapped.summary.account_sid,
        snapshot=mapped.summary.snapshot,
        rules=mapped.summary.rules,
        push_config=mapped.config_digest,
        bindings=mapped.summary.totals("outcomes"),
        services=_names(mapped),
        changes=tuple(changes),
        unchanged=tuple(unchanged),
        missing=tuple(missing),
        findings=tuple(sorted(findings, key=Finding.sort_key)),
    )


def _names(mapped: Mapped) -> dict[str, str]:
    """Names by SID: findings speak of the snapshot's services, changes of those in the push configuration."""
    names = {service["service_sid"]: service["friendly_name"] for service in mapped.summary.services}
    return names | {config.service_sid: config.friendly_name for config in mapped.configs}


def read_live(api: TwilioApi, service_sid: str) -> Settings | None:
    """The live notification settings of a Conversations service; None if there is no such service."""
    try:
        return flatten(api.get("conversations", f"/Services/{service_sid}/Configuration/Notifications"))
    except TwilioError as error:
        if error.status == 404:
            return None
        raise


def _refuse_other_account(api: TwilioApi, mapped: Mapped) -> None:
    accounts = {api.account_sid, mapped.summary.account_sid} - {REPLAY_ACCOUNT_SID}
    if len(accounts) > 1:
        raise RefusedError(
            f"{mapped.folder} was made from account {mapped.summary.account_sid}, "
            f"and the credentials are for {api.account_sid}",
            remedy="Use the credentials of the account that the snapshot is from",
        )
