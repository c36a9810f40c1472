"""What is to be said of a push configuration as it stands now, whoever edited it last. Functions of values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from migrate.model.finding import Finding
from migrate.model.proposal import Proposal, waiting
from migrate.model.push_config import FIELDS, ServiceConfig, Settings
from migrate.model.templates import Lengths, check_template

MEDIA = "new_message.with_media"


def check_config(
    config: ServiceConfig,
    live: Settings | None,
    subscribers: Mapping[str, int],
    off_in_chat: Collection[str],
    lengths: Lengths,
    proposals: Iterable[Proposal] = (),
) -> list[Finding]:
    """Findings about the desired settings of a service, beside those that are `live` in Conversations.

    `live` is None where they are unknown; then all is taken to be off, as on a new service (FACTS.md). `subscribers`
    are the live bindings by Conversations' message type; `off_in_chat` the switches that Chat has off already;
    `proposals` are those for this service.
    """
    after = {**(live or {}), **config.settings}
    undecided = {proposal.path: proposal.bindings for proposal in waiting(proposals, config.settings, live)}
    findings = [Finding("push-inferred", config.service_sid, path, count) for path, count in undecided.items()]
    findings += [
        Finding("push-left-off", config.service_sid, path, subscribed(path, subscribers))
        for path in _left_off(after, live or {}, off_in_chat)
        if subscribed(path, subscribers) and path not in undecided
    ]
    if after.get(f"{MEDIA}.enabled") and after.get("new_message.enabled") and not after.get(f"{MEDIA}.template"):
        count = subscribed(MEDIA, subscribers) or 1
        findings.append(Finding("media-text", config.service_sid, f"{MEDIA}.template", count))
    findings += [
        Finding(code, config.service_sid, subject)
        for path, text in config.settings.items()
        if path.endswith(".template")
        for code, subject in check_template(path, str(text), lengths)
    ]
    return findings


def subscribed(path: str, subscribers: Mapping[str, int]) -> int:
    """How many live bindings subscribe to the push that a path is a setting of; to media with new messages."""
    return subscribers.get(path.partition(".")[0], 0)


def _left_off(after: Settings, live: Settings, off_in_chat: Collection[str]) -> Iterator[str]:
    """The switches that are off, and stay so. Where new messages are, no more need be said of those with media."""
    for path in (item.path for item in FIELDS if item.path.endswith(".enabled")):
        chats = "new_message.enabled" if path.startswith(MEDIA) else path
        implied = path != chats and not after.get(chats)
        if not (after.get(path) or live.get(path) or implied or chats in off_in_chat):
            yield path
