"""Findings: what the operator must know, each with a stable code from one catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["info", "warning", "blocker"]
SEVERITIES: tuple[Severity, ...] = ("blocker", "warning", "info")  # the worst first
MAX_EXAMPLES = 5


@dataclass(frozen=True)
class CatalogueEntry:
    """What a code stands for: its severity, what it means and what the operator can do."""

    severity: Severity
    meaning: str
    remedy: str


CATALOGUE: Mapping[str, CatalogueEntry] = {
    "service-missing-on-target": CatalogueEntry(
        "blocker",
        "The service is not there on the Conversations side, so its push configuration cannot be written",
        "Ask Twilio why this Chat service has no Conversations service, or take it out of push-config.yaml",
    ),
    "binding-gcm": CatalogueEntry(
        "blocker",
        "The binding uses GCM, which has been gone since 2019: its device can only come back as FCM",
        "Create an FCM credential from a service-account key, and let the token server hand it out as "
        "push_credential_sid",
    ),
    "binding-type-unknown": CatalogueEntry(
        "blocker",
        "The binding's type has no counterpart in Conversations",
        "Find out which app registers it, and how that app is to receive pushes",
    ),
    "binding-expired": CatalogueEntry(
        "warning",
        "Not updated for longer than a binding lives: the device is probably gone",
        "None, if those users have left; otherwise expect them only after they open the new app",
    ),
    "binding-incomplete": CatalogueEntry(
        "warning",
        "The binding has no identity, endpoint, credential or date",
        "Look the binding up in the snapshot; its device cannot be followed",
    ),
    "bindings-rejected": CatalogueEntry(
        "warning",
        "Records that do not have the shape of a binding; they are kept as they came in rejected.jsonl",
        "Read the reasons in the snapshot's rejected.jsonl",
    ),
    "message-type-dropped": CatalogueEntry(
        "warning",
        "Subscribed to a message type that Conversations does not have (invited_to_channel)",
        "Tell the app's owners: people are added to a conversation directly, there are no invites",
    ),
    "message-type-unknown": CatalogueEntry(
        "warning",
        "Subscribed to a message type that is not known; it has no counterpart here",
        "Find out which app registers it, and what it was for",
    ),
    "message-type-ignored": CatalogueEntry(
        "info",
        "Subscribed to an SDK's internal message type that is no push (consumption_update, typing_indicator)",
        "None: the Conversations SDK registers what it needs",
    ),
    "message-types-missing": CatalogueEntry(
        "warning",
        "The binding names no message types, so what it receives is not known",
        "None before the move; check such a device by hand after it",
    ),
    "binding-on-conversations": CatalogueEntry(
        "info",
        "Already registered through the Conversations SDK",
        "None",
    ),
    "endpoint-shared": CatalogueEntry(
        "warning",
        "One endpoint stands under several identities: pushes may reach the wrong person",
        "Let the app unregister on sign-out; on the next sign-in the device registers anew",
    ),
    "identity-crowded": CatalogueEntry(
        "warning",
        "More bindings for one identity than sister products allow (10)",
        "Look for an app that registers a new device at each start",
    ),
    "setting-unknown": CatalogueEntry(
        "warning",
        "Set in Chat's notifications, but not known here or not of the type that it must have; it is not carried",
        "Look it up in the snapshot's services.parquet, and set in push-config.yaml what it was for",
    ),
    "snapshot-filtered": CatalogueEntry(
        "warning",
        "The snapshot holds only some binding types or identities, so counts of subscribers are not the whole",
        "Map a snapshot without --binding-type and --identity before you rely on them",
    ),
    "push-inferred": CatalogueEntry(
        "warning",
        "Chat does not say whether this push is enabled; it is taken from what the bindings subscribe to",
        "Check the values that push-config.yaml marks as inferred",
    ),
    "push-unsubscribed": CatalogueEntry(
        "info",
        "Enabled in Chat, though no live binding subscribes to it",
        "None: it stays enabled, as it was",
    ),
    "push-disabled": CatalogueEntry(
        "info",
        "Bindings subscribe to it, though it is disabled in Chat",
        "None: it stays disabled, as it was",
    ),
    "push-invites-lost": CatalogueEntry(
        "warning",
        "The service pushes invites to channels; Conversations has no such push",
        "Tell the app's owners; enable added_to_conversation if that is what its users should see",
    ),
    "template-variable-unknown": CatalogueEntry(
        "warning",
        "The template holds a variable that is not known; it is kept as it is",
        "Correct it in push-config.yaml, or it may show as it stands on phones",
    ),
    "template-message-unavailable": CatalogueEntry(
        "warning",
        "The template uses ${MESSAGE}, which only new-message pushes have",
        "Take ${MESSAGE} out of the template in push-config.yaml",
    ),
    "template-media-unavailable": CatalogueEntry(
        "warning",
        "The template uses ${MEDIA} or ${MEDIA_COUNT}, which only media pushes have",
        "Take it out of the template in push-config.yaml, or move it to with_media",
    ),
    "template-long": CatalogueEntry(
        "warning",
        "The template alone is longer than 178 characters, where Twilio cuts the push",
        "Shorten it in push-config.yaml",
    ),
    "change-disables": CatalogueEntry(
        "warning",
        "The change would switch off a push that is on in Conversations now",
        "If it is on by intention, take the key out of push-config.yaml",
    ),
    "target-value-kept": CatalogueEntry(
        "info",
        "Set in Conversations, though Chat says nothing about it; it is left as it is",
        "None, or state the value that you want in push-config.yaml",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One code for one service (None: the whole account), with what it concerns.

    `subject` is the message type, field or variable; empty where the code says it all. `count` is the
    number of bindings, or of settings for findings about settings. `examples` are at most five binding SIDs,
    which are no personal data.
    """

    code: str
    service_sid: str | None
    subject: str = ""
    count: int = 1
    examples: tuple[str, ...] = ()

    @property
    def severity(self) -> Severity:
        """The severity that the catalogue gives to the code."""
        return CATALOGUE[self.code].severity

    def sort_key(self) -> tuple[int, str, str, str]:
        """The worst first, then by code, service and subject: a total order."""
        return (SEVERITIES.index(self.severity), self.code, self.service_sid or "", self.subject)

    def to_json(self) -> dict[str, Any]:
        """The finding as it stands in summary.json and plan.json."""
        return {
            "code": self.code,
            "severity": self.severity,
            "service_sid": self.service_sid,
            "subject": self.subject,
            "count": self.count,
            "examples": list(self.examples),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """The finding that `to_json` wrote. Raises KeyError or ValueError for anything else."""
        finding = cls(data["code"], data["service_sid"], data["subject"], data["count"], tuple(data["examples"]))
        texts = (finding.subject, finding.service_sid or "", *finding.examples)
        if finding.code not in CATALOGUE or type(finding.count) is not int:
            raise ValueError(f"not a finding: {finding}")
        if not all(isinstance(text, str) for text in texts):
            raise TypeError(f"not a finding: {finding}")
        return finding


def count_by_severity(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings of each severity there are, the worst first; none is a zero."""
    counts: dict[str, int] = dict.fromkeys(SEVERITIES, 0)
    for finding in findings:
        counts[finding.severity] += 1
    return counts
