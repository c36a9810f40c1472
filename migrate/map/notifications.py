"""The push configuration of one service, from Chat's `notifications` and from what its bindings subscribe to.

What Chat does not say stays unsaid: an absent template or sound is left out, which means "leave as it is".
Whether a push is enabled is taken from Chat, and only where Chat does not say, from the subscriptions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from migrate.map.rules import Rules
from migrate.map.templates import translate_template
from migrate.model.finding import Finding
from migrate.model.push_config import ServiceConfig, Value
from migrate.model.push_config_yaml import quoted

AS_IN_CHAT = "as in Chat"


@dataclass
class _Draft:
    """The settings as they come together."""

    service_sid: str
    rules: Rules
    subscribers: Mapping[str, int]
    whole: bool
    settings: dict[str, Value] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def put(self, path: str, value: Value, origin: str) -> None:
        self.settings[path] = value
        self.origins[path] = origin

    def find(self, code: str, subject: str, count: int = 1) -> None:
        self.findings.append(Finding(code, self.service_sid, subject, count))

    def push(self, source: Mapping[str, Any], target: str) -> None:
        """All settings of one push type."""
        self.enabled(source.get("enabled"), target)
        if isinstance(template := source.get("template"), str):
            path = f"{target}.template"
            text = translate_template(template, self.rules)
            self.put(path, text, AS_IN_CHAT if text == template else f"in Chat: {quoted(template)}")
        if isinstance(sound := source.get("sound"), str):
            self.put(f"{target}.sound", sound, AS_IN_CHAT)

    def enabled(self, enabled: Any, target: str) -> None:
        path, count = f"{target}.enabled", self.subscribers.get(target, 0)
        if isinstance(enabled, bool):
            self.put(path, enabled, AS_IN_CHAT)
            if enabled and not count and self.whole:
                self.find("push-unsubscribed", path)
            elif count and not enabled:
                self.find("push-disabled", path, count)
        elif count:
            self.put(path, True, f"inferred: Chat does not say; {count:,} live bindings subscribe to it")
            self.find("push-inferred", path, count)

    def media(self) -> None:
        """Chat pushes media messages like all others; Conversations has a switch for them."""
        enabled = self.settings.get("new_message.enabled")
        if isinstance(enabled, bool):
            origin = "follows new_message.enabled: Chat pushes media messages too"
            self.put("new_message.with_media.enabled", enabled, origin)


def service_config(
    service: Mapping[str, Any], subscribers: Mapping[str, int], rules: Rules, *, whole: bool = True
) -> tuple[ServiceConfig, list[Finding]]:
    """The desired settings of a service (a row of the `SERVICES` schema), and findings about them.

    `subscribers` is the number of live bindings by Conversations message type; `whole` is false where only some
    bindings were extracted, and nothing follows from there being none.
    """
    said = json.loads(service["notifications"] or "{}")
    chat = said if isinstance(said, Mapping) else {}
    draft = _Draft(service["sid"], rules, subscribers, whole)
    if isinstance(log_enabled := chat.get("log_enabled"), bool):
        draft.put("log_enabled", log_enabled, AS_IN_CHAT)
    for name, target in rules.message_types.items():
        source = chat.get(name)
        source = source if isinstance(source, Mapping) else {}
        if target:
            draft.push(source, target)
        elif source.get("enabled") is True:
            draft.find("push-invites-lost", name)
        if target == "new_message" and isinstance(badge := source.get("badge_count_enabled"), bool):
            draft.put("new_message.badge_count_enabled", badge, AS_IN_CHAT)
    draft.media()
    for path in _not_understood(said, rules):
        draft.find("setting-unknown", path)
    name = service["friendly_name"] or ""
    return ServiceConfig(service["sid"], name, draft.settings, draft.origins), draft.findings


def _not_understood(said: Any, rules: Rules) -> list[str]:
    """The paths in Chat's `notifications` that have a value which nothing above makes use of."""
    kinds: dict[str, type] = {"log_enabled": bool, "new_message.badge_count_enabled": bool}
    for name in rules.message_types:
        kinds |= {f"{name}.enabled": bool, f"{name}.template": str, f"{name}.sound": str}

    def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
        if not isinstance(value, Mapping):
            yield path, value
            return
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)

    found = leaves(said, "" if isinstance(said, Mapping) else "notifications")
    return sorted(p for p, value in found if value is not None and not isinstance(value, kinds.get(p, ())))
