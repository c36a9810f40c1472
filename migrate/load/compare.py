"""Compare: one service's live settings with the desired ones. A function of values."""

from __future__ import annotations

from collections.abc import Mapping

from migrate.model.config_check import subscribed
from migrate.model.finding import Finding
from migrate.model.plan import Change
from migrate.model.push_config import FIELDS, LiveSettings, ServiceConfig, Settings, in_order, unreadable_of


def differing(wanted: Settings, live: Settings) -> tuple[str, ...]:
    """The paths, in reading order, at which `live` does not have the values that `wanted` states.

    What is not set is the same as off, or as an empty text: everything is disabled on a new service, `log_enabled`
    may be missing (FACTS.md), and an emptied text may be shown as either. What cannot be read is the same as nothing.
    """
    unread = unreadable_of(live)
    return tuple(
        item.path
        for item in FIELDS
        if item.path in wanted and (item.path in unread or wanted[item.path] != live.get(item.path, item.type()))
    )


def same(one: Settings, other: Settings) -> bool:
    """Whether two settings mean the same; of those of a file it is not known what could not be read."""
    both_read = isinstance(one, LiveSettings) and isinstance(other, LiveSettings)
    is_read_alike = not both_read or unreadable_of(one) == unreadable_of(other)
    return is_read_alike and not differing(one, other) and not differing(other, one)


def compare(
    config: ServiceConfig, live: Settings, subscribers: Mapping[str, int]
) -> tuple[Change | None, list[Finding]]:
    """The change that makes `live` what `config` states (None: it is so already), and findings about it.

    A field that `config` does not state is left as it is, and so is one whose live value cannot be read: it could not
    be brought back. `subscribers` are live bindings by message type.
    """
    unread = unreadable_of(live)
    desired = {path: value for path, value in config.settings.items() if path not in unread}
    fields = differing(desired, live)
    findings = [
        Finding("target-value-unreadable", config.service_sid, path) for path in config.settings if path in unread
    ]
    findings += [
        Finding("change-disables", config.service_sid, path, subscribed(path, subscribers))
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


def drifted(config: ServiceConfig, then: Settings | None, live: Settings) -> list[Finding]:
    """What somebody has set since the snapshot was taken, other than it was then and other than is desired."""
    if then is None:  # it is not known what was live then
        return []
    undesired = {*differing(config.settings, live), *(path for path in live if path not in config.settings)}
    paths = {*differing(then, live), *differing(live, then)} & undesired
    return [Finding("target-drifted", config.service_sid, path) for path in sorted(paths)]
