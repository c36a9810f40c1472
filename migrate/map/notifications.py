"""The push configuration of one service, from Chat's `notifications` and from what its bindings subscribe to.

What Chat does not say stays unsaid: an absent template or sound is left out, which means "leave as it is".
Whether a push is enabled is taken from Chat. Where Chat does not say, the subscriptions are evidence of what devices
can receive and no more: what is inferred from them is proposed, unless a rule trusts it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from migrate.map.counts import ServiceCounts
from migrate.map.push_config_yaml import quoted
from migrate.map.rules import AS_NEW_MESSAGE, DROP, LEAVE, PROPOSE, TRUST, Rules
from migrate.map.templates import coming_alive, translate_template
from migrate.model.finding import Finding
from migrate.model.proposal import Proposal
from migrate.model.push_config import ServiceConfig, Value
from migrate.model.text import unsendable

AS_IN_CHAT = "as in Chat"
_TEXTS = ("template", "sound")
_SWITCH, _MEDIA = "new_message.enabled", "new_message.with_media"
_TOO = f"follows {_SWITCH}: Chat pushes media messages too"
Sources = Mapping[str, Mapping[str, Any]]  # Chat's settings by message type


@dataclass(frozen=True)
class Desired:
    """What comes of one service: what is stated, what is only proposed, and what is to be said of both.

    `off_in_chat` are the switches that Chat has off though live bindings subscribe to their push.
    """

    config: ServiceConfig
    proposals: tuple[Proposal, ...]
    findings: tuple[Finding, ...]
    off_in_chat: tuple[str, ...]


@dataclass
class _Draft:
    """The settings as they come together."""

    service_sid: str
    rules: Rules
    counts: ServiceCounts
    whole: bool
    settings: dict[str, Value] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    proposals: dict[str, Proposal] = field(default_factory=dict)  # by path
    findings: list[Finding] = field(default_factory=list)
    off_in_chat: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)  # Chat's own, by the path where they are carried to

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
                    self.text(f"{target}.{key}", text, name, shared=len(sources) > 1)
                elif said.get("enabled") is True and text != sources[str(lead)].get(key):
                    self.find("setting-folded", f"{name}.{key}")

    def text(self, path: str, text: str, source: str, *, shared: bool) -> None:
        """A template or a sound of Chat's message type `source`; `shared` where others become the same push."""
        chat = f"in Chat's {source}" if shared else "in Chat"
        if problem := unsendable(text):
            self.find("setting-unfit", f"{source}.{path.rpartition('.')[2]}: {problem}")
            return
        translated = translate_template(text, self.rules) if path.endswith(".template") else text
        if translated != text and text in self.rules.tables["template_texts"]:
            self.find("template-reworded", path)
        self.put(path, translated, f"as {chat}" if translated == text else f"{chat}: {quoted(text)}")
        self.texts[path] = text
        self.alive(path, text)

    def alive(self, path: str, text: str) -> None:
        """Find the variables of Chat's text that are Conversations' own, and that it fills in at a path."""
        for variable in coming_alive(text, path, self.rules):
            self.find("template-variable-alive", f"{path}: {variable}")

    def enabled(self, target: str, sources: Sources) -> None:
        path, count = f"{target}.enabled", self.counts.subscribers.get(target, 0)
        said = {name: found for name, one in sources.items() if isinstance(found := one.get("enabled"), bool)}
        # Where Chat is silent, what bindings ask for counts: by Chat's name, or by Conversations' already.
        silent = [name for name in sources if name not in said]
        inferred = silent and any(self.counts.askers.get(name) for name in (*silent, target))
        inferred = inferred and self.rules.inference(self.service_sid, target) != LEAVE
        if any(said.values()) or (said and not inferred):
            self.as_said(path, said, count, folded=len(sources) > 1)
        elif inferred:
            off = f"Chat has {', '.join(said)} off, and does not say of {', '.join(silent)}"
            self.infer(path, True, off if said else "Chat does not say")
            if said and path in self.settings:
                self.find("push-folded", path)

    def infer(self, path: str, value: Value, reason: str, follows: str = "") -> None:
        """A value that Chat does not state: proposed, or taken by a rule that trusts it."""
        push = path.partition(".")[0]
        proposal = Proposal(
            self.service_sid,
            path,
            value,
            reason,
            self.counts.subscribers.get(push, 0),
            self.counts.platforms(push),
            follows,
        )
        word = self.rules.inference(self.service_sid, push)
        if word == PROPOSE:
            self.proposals[path] = proposal
        elif word == TRUST:
            self.put(path, value, f"inferred, and trusted by the rules: {proposal.evidence}")
            self.find("push-trusted", path, proposal.bindings)

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
            self.off_in_chat.append(path)

    def media(self) -> None:
        """Chat pushes media messages like all others; Conversations has a switch and a text for them."""
        media = self.rules.tables["media"]
        enabled = self.settings.get(_SWITCH)
        proposed = _SWITCH in self.proposals
        if media["enabled"] != AS_NEW_MESSAGE or not (proposed or isinstance(enabled, bool)):
            return
        self.follow(f"{_MEDIA}.enabled", True if enabled is None else enabled, _TOO)
        path, template = f"{_MEDIA}.template", media["template"]
        if template == AS_NEW_MESSAGE:
            template = self.settings.get("new_message.template")
            if template is not None and (enabled or proposed):
                self.alive(path, self.texts["new_message.template"])
        if (enabled or proposed) and template not in (None, LEAVE):
            self.follow(path, template, f"by the rules: media.template = {quoted(media['template'])}")

    def follow(self, path: str, value: Value, why: str) -> None:
        """A value that goes with the switch of new messages: stated as that is, or proposed as that is."""
        if _SWITCH in self.proposals:
            self.infer(path, value, why, _SWITCH)
        else:
            self.put(path, value, why)


def service_config(service: Mapping[str, Any], counts: ServiceCounts, rules: Rules, *, whole: bool = True) -> Desired:
    """The desired settings of a service (a row of the `SERVICES` schema), proposals, and findings about them.

    `counts` is what was counted over its bindings; `whole` is false where only some of them were extracted, and
    nothing follows from there being none.
    """
    said, readable = _said(service["notifications"])
    chat = said if isinstance(said, Mapping) else {}
    draft = _Draft(service["sid"], rules, counts, whole)
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
    for path in _not_understood(said, rules) if readable else ["notifications"]:
        draft.find("setting-unknown", path)
    if not service["friendly_name"] and "friendly_name" in (_said(service.get("extra"))[0] or {}):
        draft.find("setting-unfit", "friendly_name: not a text that can be stored")
    config = ServiceConfig(service["sid"], service["friendly_name"] or "", draft.settings, draft.origins)
    return Desired(config, tuple(draft.proposals.values()), tuple(draft.findings), tuple(draft.off_in_chat))


def _said(text: str | None) -> tuple[Any, bool]:
    """What a service has in a column of JSON, and whether that can be read: a fault stops no other service."""
    try:
        return json.loads(text or "{}"), True
    except (ValueError, RecursionError):
        return {}, False


@lru_cache
def _understood(message_types: tuple[str, ...]) -> dict[tuple[str, ...], type]:
    """The type of each value in Chat's `notifications`, by its path."""
    kinds: dict[tuple[str, ...], type] = {("log_enabled",): bool, ("new_message", "badge_count_enabled"): bool}
    for name in message_types:
        kinds |= {(name,): dict, (name, "enabled"): bool, (name, "template"): str, (name, "sound"): str}
    return kinds


def _not_understood(said: Any, rules: Rules) -> list[str]:
    """The paths in Chat's `notifications` that have a value which nothing above makes use of."""
    kinds = _understood(tuple(rules.message_types))
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
