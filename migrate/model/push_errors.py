"""Push errors: the codes by which Twilio's Alerts report a push that APNs or FCM did not take, as data.

The codes and what they mean are from Twilio's error pages (FACTS.md, "Push errors"). All of them are between 52000
and 52199; one that the table lacks is reported as unknown, and never dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["credential", "device", "payload", "provider", "unknown"]
KINDS: tuple[Kind, ...] = ("credential", "device", "payload", "provider", "unknown")  # the worst first
FIRST_CODE, LAST_CODE = 52000, 52199


@dataclass(frozen=True)
class PushErrorCode:
    """A code: what it is about, what it means in a few words, what causes it, and what the operator can do.

    Of a `credential`, all pushes fail; of a `device` that device's; a `payload` is the app's or the sender's matter;
    a `provider` error passes.
    """

    code: int
    kind: Kind
    meaning: str
    cause: str
    remedy: str


_NEW_FCM_KEY = (
    "Give this credential a service-account key of the app's Firebase project (docs/credentials.md); its SID and its "
    "registrations stay"
)
_NEW_APN_KEY = (
    "Give this credential a valid certificate and its key (docs/credentials.md); its SID and its registrations stay"
)
_NAME_ONE = "Have the token server put the SID of a push credential of this account into push_credential_sid"
_DEVICE_REGISTERS = "Nothing to do here: the device registers again when the app next starts and gets a token"
_PASSES = "Wait, and look again: it passes by itself, as a rule; see the provider's status page if it does not"
_PAYLOAD = "Have the app's developers make the push smaller, or correct it: docs/app-checklist.md"


def _codes() -> tuple[PushErrorCode, ...]:
    return (
        PushErrorCode(52001, "credential", "push credential refused", "The credential cannot be used", _NAME_ONE),
        PushErrorCode(
            52002, "credential", "invalid credential SID", "The access token names a credential that there is not",
            _NAME_ONE,
        ),
        PushErrorCode(52003, "credential", "push credential refused", "The credential cannot be used", _NAME_ONE),
        PushErrorCode(
            52004, "credential", "no credential SID in the token", "The access token names no push credential",
            _NAME_ONE,
        ),
        PushErrorCode(
            52005, "credential", "credential refused by the provider",
            "The key or certificate is malformed, expired, a legacy one, or refused by APNs or FCM",
            "Give this credential a valid key or certificate (docs/credentials.md); its SID stays the same",
        ),
        PushErrorCode(
            52101, "credential", "invalid FCM secret", "FCM does not accept the credential's secret", _NEW_FCM_KEY
        ),
        PushErrorCode(
            52109, "credential", "FCM unauthorized", "The key was revoked, or may not send",
            _NEW_FCM_KEY,
        ),
        PushErrorCode(
            52116, "credential", "legacy FCM key in use", "The credential holds a legacy server key", _NEW_FCM_KEY
        ),
        PushErrorCode(
            52117, "credential", "legacy FCM key, push not sent",
            "The credential holds a legacy server key, which FCM no longer accepts", _NEW_FCM_KEY,
        ),
        PushErrorCode(
            52131, "credential", "APNs credential invalid or expired",
            "The certificate has expired, was revoked, or is not valid", _NEW_APN_KEY,
        ),
        PushErrorCode(
            52149, "credential", "APNs provider token refused", "APNs does not accept the provider token",
            _NEW_APN_KEY,
        ),
        PushErrorCode(
            52164, "credential", "no credential of that binding type",
            "The token names a credential of another push technology than the device's",
            "Have the token server hand out an APN credential to iOS, and an FCM credential to Android",
        ),
        PushErrorCode(52102, "device", "bad FCM token", "FCM does not know the device's token", _DEVICE_REGISTERS),
        PushErrorCode(
            52105, "device", "token of another app",
            "The device's token belongs to another package than the credential",
            "Check that the app is of the Firebase project whose key the credential holds",
        ),
        PushErrorCode(
            52119, "device", "binding removed", "The push failed for good, and Twilio removed the binding",
            _DEVICE_REGISTERS,
        ),
        PushErrorCode(
            52133, "device", "bad APNs token", "APNs does not know the device's token", _DEVICE_REGISTERS
        ),
        PushErrorCode(
            52134, "device", "bad APNs token for this environment",
            "The token is not valid; or it is of the sandbox and the credential of production, or the reverse",
            "Where it is many devices of one credential, compare its sandbox setting with how the app is built",
        ),
        PushErrorCode(
            52141, "device", "binding removed", "The push failed for good, and Twilio removed the binding",
            _DEVICE_REGISTERS,
        ),
        PushErrorCode(
            52142, "device", "APNs token malformed", "What the app registered is no APNs token",
            "Have the app's developers check what it passes when it registers for pushes",
        ),
        PushErrorCode(52106, "payload", "payload too large", "The push is larger than the provider takes", _PAYLOAD),
        PushErrorCode(52107, "payload", "bad key in the payload", "The push has a key that FCM reserves", _PAYLOAD),
        PushErrorCode(52108, "provider", "provider's rate exceeded", "FCM takes no more pushes for now", _PASSES),
        PushErrorCode(52110, "provider", "FCM unavailable", "FCM did not answer", _PASSES),
        PushErrorCode(52144, "provider", "APNs unavailable", "APNs did not answer", _PASSES),
        PushErrorCode(
            52147, "provider", "too many token updates", "APNs takes no more changes of the provider token for now",
            _PASSES,
        ),
    )  # fmt: skip


CODES: Mapping[int, PushErrorCode] = {entry.code: entry for entry in _codes()}


# Which push technology's credentials a code can be about, where it says so; FCM's keys are those of GCM, too.
_OF_TYPES: Mapping[int, tuple[str, ...]] = {
    **dict.fromkeys((52101, 52102, 52105, 52107, 52108, 52109, 52110, 52116, 52117), ("fcm", "gcm")),
    **dict.fromkeys((52131, 52133, 52134, 52142, 52144, 52147, 52149), ("apn",)),
}


def can_be_of(code: int, credential_type: str) -> bool:
    """Whether a code can be about a credential of a type: FCM does not refuse a certificate of Apple's."""
    return credential_type in _OF_TYPES.get(code, (credential_type,))


def is_push_error(code: int) -> bool:
    """Whether a code is one of pushes, be it in the table or not."""
    return FIRST_CODE <= code <= LAST_CODE


def entry_of(code: int) -> PushErrorCode:
    """A code's entry; of one that the table lacks, that it is unknown, and where Twilio explains it."""
    return CODES.get(code) or PushErrorCode(
        code,
        "unknown",
        "unknown push error",
        "This version does not know the code",
        f"See https://www.twilio.com/docs/api/errors/{code}",
    )


def code_of(value: Any) -> int | None:
    """The number of an alert's `error_code`, which Twilio writes as a text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value).strip()
    return int(text) if len(text) <= 9 and text.isascii() and text.isdigit() else None
