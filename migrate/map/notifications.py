"""The push configuration of one service, from Chat's `notifications` and from what its bindings subscribe to.

What Chat does not say stays unsaid: an absent template or sound is left out, which means "leave as it is".
Whether a push is enabled is taken from Chat, and only where Chat does not say, from the subscriptions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from migrate.map.rules import AS_NEW_MESSAGE, DROP, LEAVE, Rules
from migrate.map.templates import translate_template
from migrate.model.finding import Finding
from migrate.model.push_config import ServiceConfig, Value
from migrate.model.push_config_yaml import quoted

AS_IN_CHAT = "as in Chat"
_TEXTS = ("template", "sound")
Sources = Mapping[str, Mapping[str, Any]]  # Chat's settings by message type


@dataclass
class _Draft:
    """The settings as they come together."""

    service_sid: str
    rules: Rules
    subscribers: Mapping[str, int]
    askers: Mapping[str, int]
    whole: bool
    settings: dict[str, Value] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def put(self, path: str, value: Value, origin: str) -> None:
        self.settings[path] = value
        self.origins[path] = origin

    def find(self, code: str, subject: str, count: int = 1) -> None:
        self.findings.append(Finding(code, self.service_sid, subject, count))

    def push(self, target: str, sources: Sources) -> None:
        """All settings of one push, from the settings of the Chat pushes that become it."""
        self.enabled(target, sources)
        # The first that is on decides about the texts; where none is on, the first that says anything.
        lead = next((name for name, said in sources.items() if said.get("enabled") is True), None)
        lead = lead or next((name for name, said in sources.items() if said), None)
        for name, said in sources.items():
            for key in _TEXTS:
                text = said.get(key)
                if not isinstance(text, str):
                    continue
                if name == lead:
                    self.text(f"{target}.{key}", text, name if len(sources) > 1 else "")
                elif said.get("enabled") is True and text != sources[str(lead)].get(key):
                    self.find("setting-folded", f"{name}.{key}")

    def text(self, path: str, text: str, source: str) -> None:
        """A template or a sound; `source` is Chat's message type where that does not go without saying."""
        chat = f"in Chat's {source}" if source else "in Chat"
        translated = translate_template(text, self.rules) if path.endswith(".template") else text
        if translated != text and text in self.rules.tables["template_texts"]:
            self.find("template-reworded", path)
        self.put(path, translated, f"as {chat}" if translated == text else f"{chat}: {quoted(text)}")

    def enabled(self, target: str, sources: Sources) -> None:
        path, count = f"{target}.enabled", self.subscribers.get(target, 0)
        said = {name: found for name, one in sources.items() if isinstance(found := one.get("enabled"), bool)}
        # Where Chat is silent, what bindings ask for counts: by Chat's name, or by Conversations' already.
        silent = [name for name in sources if name not in said]
        inferred = silent and any(self.askers.get(name) for name in (*silent, target))
        if any(said.values()) or (said and not inferred):
            self.as_said(path, said, count, folded=len(sources) > 1)
        elif inferred:
            subscribe = f"{count:,} live binding subscribes" if count == 1 else f"{count:,} live bindings subscribe"
            self.put(path, True, f"inferred: Chat does not say; {subscribe} to it")
            self.find("push-inferred", path, count)
            if said:
                self.find("push-folded", path)

    def as_said(self, path: str, said: Mapping[str, bool], count: int, *, folded: bool) -> None:
        """A switch as Chat has it; `count` live bindings subscribe to it."""
        enabled = any(said.values())
        names = [name for name, on in said.items() if on] or list(said)
        self.put(path, enabled, f"as in Chat's {', '.join(names)}" if folded else AS_IN_CHAT)
        if enabled and not all(said.values()):
            self.find("push-folded", path)
        if enabled and not count and self.whole:
            self.find("push-unsubscribed", path)
        elif count and not enabled:
            self.find("push-disabled", path, count)

    def media(self) -> None:
        """Chat pushes media messages like all others; Conversations has a switch and a text for them."""
        media, enabled = self.rules.tables["media"], self.settings.get("new_message.enabled")
        if media["enabled"] != AS_NEW_MESSAGE or not isinstance(enabled, bool):
            return
        self.put(
            "new_message.with_media.enabled",
            enabled,
            "follows new_message.enabled: Chat pushes media messages too",
        )
        template = media["template"]
        if template == AS_NEW_MESSAGE:
            template = self.settings.get("new_message.template")
        if enabled and template not in (None, LEAVE):
            why = f"by the rules: media.template = {quoted(media['template'])}"
            self.put("new_message.with_media.template", template, why)


def service_config(
    service: Mapping[str, Any],
    subscribers: Mapping[str, int],
    askers: Mapping[str, int],
    rules: Rules,
    *,
    whole: bool = True,
) -> tuple[ServiceConfig, list[Finding]]:
    """The desired settings of a service (a row of the `SERVICES` schema), and findings about them.

    `subscribers` is the number of live bindings by Conversations message type, `askers` by what they ask for (Chat's
    message type, or Conversations' where they have that); `whole` is false where only some bindings were extracted,
    and nothing follows from there being none.
    """
    said = json.loads(service["notifications"] or "{}")
    chat = said if isinstance(said, Mapping) else {}
    draft = _Draft(service["sid"], rules, subscribers, askers, whole)
    if isinstance(log_enabled := chat.get("log_enabled"), bool):
        draft.put("log_enabled", log_enabled, AS_IN_CHAT)
    pushes = {name: found if isinstance(found := chat.get(name), Mapping) else {} for name in rules.message_types}
    for target in rules.targets:
        draft.push(target, {name: pushes[name] for name, to in rules.message_types.items() if to == target})
    for name, target in rules.message_types.items():
        if target == DROP and pushes[name].get("enabled") is True:
            draft.find("push-dropped", name)
    badge = pushes["new_message"].get("badge_count_enabled")
    if isinstance(badge, bool) and rules.message_types["new_message"] == "new_message":
        draft.put("new_message.badge_count_enabled", badge, AS_IN_CHAT)
    elif badge and rules.message_types["new_message"] != DROP:  # only new_message counts badges
        draft.find("setting-folded", "new_message.badge_count_enabled")
    draft.media()
    for path in _not_understood(said, rules):
        draft.find("setting-unknown", path)
    name = service["friendly_name"] or ""
    return ServiceConfig(service["sid"], name, draft.settings, draft.origins), draft.findings


def _not_understood(said: Any, rules: Rules) -> list[str]:
    """The paths in Chat's `notifications` that have a value which nothing above makes use of."""
    kinds: dict[tuple[str, ...], type] = {("log_enabled",): bool, ("new_message", "badge_count_enabled"): bool}
    for name in rules.message_types:
        kinds |= {(name,): dict, (name, "enabled"): bool, (name, "template"): str, (name, "sound"): str}
    found: list[str] = []
    waiting: list[tuple[tuple[str, ...], Any]] = [((), said)]
    while waiting:  # however deep it goes
        path, value = waiting.pop()
        inner = isinstance(value, Mapping) and (value or not path)
        if inner:
            waiting += [((*path, str(key)), item) for key, item in value.items()]
        elif value is not None and not isinstance(value, kinds.get(path, ())):
            found.append(".".join(path) or "notifications")
    return sorted(found)
