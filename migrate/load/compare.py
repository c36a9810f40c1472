"""Compare: one service's live settings with the desired ones. A function of values."""

from __future__ import annotations

from migrate.model.finding import Finding
from migrate.model.plan import Change
from migrate.model.push_config import FIELDS, ServiceConfig, Settings, in_order


def compare(config: ServiceConfig, live: Settings) -> tuple[Change | None, list[Finding]]:
    """The change that makes `live` what `config` states (None: it is so already), and findings about it.

    A field that `config` does not state is left as it is. An empty text and one that is not set are the same:
    that is how Twilio shows an emptied one.
    """
    desired = config.settings
    fields = tuple(
        item.path
        for item in FIELDS
        if item.path in desired and desired[item.path] != live.get(item.path, "" if item.type is str else None)
    )
    findings = [
        Finding("change-disables", config.service_sid, path)
        for path in fields
        if desired[path] is False and live.get(path) is True
    ]
    findings += [
        Finding("target-value-kept", config.service_sid, path)
        for path, value in live.items()
        if path not in desired and value not in (False, "")
    ]
    if not fields:
        return None, findings
    change = Change(config.service_sid, config.friendly_name, in_order(live), in_order(desired), fields)
    return change, findings
