"""Reasons in what APNs and FCM have answered: push errors that prove a refusal, and what is only suspected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from migrate.model.credential import Credential
from migrate.model.push_errors import Kind, entry_of
from migrate.model.text import count, when
from migrate.retire.replacement import SERVER_KEYS_ENDED, time_of
from migrate.why.facts import Binding, Facts, PushError
from migrate.why.reason import Reason, named, sids, stops, those

WARNED = 52116  # a legacy key that is in use still: pushes are sent
MIXED = 52134  # a token that is not valid, or is of Apple's other environment


def provider_reasons(facts: Facts) -> Iterator[Reason]:
    """Which credentials are refused, or may be, and which devices."""
    some = facts.candidates
    by_credential: dict[str, list[Binding]] = {}
    for one in some:
        if one.credential_sid:
            by_credential.setdefault(one.credential_sid, []).append(one)
    for sid, users in by_credential.items():
        credential = facts.credentials.get(sid)
        errors = _of_kind(_about(facts, sid, users), "credential")
        refused = [error for error in errors if error.code != WARNED and not _is_before(error, credential)]
        if refused:
            yield _refused(sid, credential, refused, users, some)
        elif credential:
            yield from _suspected(credential, errors, users)
            yield from _environment(credential, facts.errors.of_credentials.get(sid, ()), users)
    yield from _devices(facts, some)
    yield from _others(facts)


def _about(facts: Facts, sid: str, users: Sequence[Binding]) -> Iterator[PushError]:
    """The push errors of a credential: those that name it, and those that name a binding that has it.

    A device that has registered since may have had another credential then.
    """
    seen: set[int] = set()
    of_bindings = [
        [error for error in facts.errors.of_bindings.get(one.sid, ()) if not _is_seen_since(one, error)]
        for one in users
    ]
    for errors in (facts.errors.of_credentials.get(sid, ()), *of_bindings):
        yield from (error for error in errors if error.code not in seen)  # which may count the same alerts again
        seen |= {error.code for error in errors}


def _of_kind(errors: Iterable[PushError], *kinds: Kind) -> list[PushError]:
    """Those of some kinds, the most frequent first."""
    return sorted(
        (error for error in errors if entry_of(error.code).kind in kinds),
        key=lambda error: (-error.errors, error.code),
    )


def _is_before(error: PushError, credential: Credential | None) -> bool:
    """Whether the credential was updated on a later day than the last error: it may have been fixed."""
    last = time_of(error.last)
    return bool(last and credential and credential.updated and credential.updated > last.date())


def told(error: PushError) -> str:
    """A push error in a few words, such as `52119 binding removed, once, at 2026-06-01 08:00 UTC`."""
    meaning = f"{error.code} {entry_of(error.code).meaning}"
    if error.errors == 1:
        return f"{meaning}, once{f', at {when(error.first)}' if error.first else ''}"
    since = f" since {when(error.first)}, last at {when(error.last)}" if error.first else ""
    return f"{meaning}, {error.errors:,} times{since}"


def _refused(
    sid: str,
    credential: Credential | None,
    errors: Sequence[PushError],
    users: Sequence[Binding],
    some: Sequence[Binding],
) -> Reason:
    shown = named(credential) if credential else sid
    return Reason(
        "credential-refused",
        stops(users, some),
        f"the credential {shown} of {those(users, some)} is refused, as push errors prove: {told(errors[0])}",
        entry_of(errors[0].code).remedy,
        sids(users),
        stops_chat_too=True,
    )


def _suspected(credential: Credential, errors: Sequence[PushError], users: Sequence[Binding]) -> Iterator[Reason]:
    """What speaks against a credential, and proves nothing."""
    former = [error for error in errors if error.code != WARNED]
    warned = [error for error in errors if error.code == WARNED]
    if former:
        yield Reason(
            "credential-refused-before",
            "perhaps",
            f"the credential {named(credential)} was refused ({told(former[0])}), and it was updated after that, on "
            f"{credential.updated}: whether it works now is not shown",
            "Send the user a message, and look for new push errors",
            sids(users),
        )
    if warned:
        yield Reason(
            "credential-legacy",
            "perhaps",
            f"the credential {named(credential)} holds a legacy server key, as push errors prove: {told(warned[0])}",
            entry_of(WARNED).remedy,
            sids(users),
        )
    elif credential.type == "fcm" and credential.updated and credential.updated < SERVER_KEYS_ENDED.date():
        yield Reason(
            "credential-legacy-suspected",
            "perhaps",
            f"the credential {named(credential)} was not updated since {credential.updated}, and so may hold a "
            "legacy server key, which FCM no longer takes; no push error proves it",
            entry_of(WARNED).remedy,
            sids(users),
        )


def _environment(credential: Credential, errors: Iterable[PushError], users: Sequence[Binding]) -> Iterator[Reason]:
    """Apple's sandbox, and tokens of the other environment."""
    mixed = [error for error in errors if error.code == MIXED]
    if credential.sandbox:
        proof = f", and push errors speak for that: {told(mixed[0])}" if mixed else ""
        yield Reason(
            "credential-sandbox",
            "perhaps",
            f"the credential {named(credential)} is of Apple's sandbox, where an app from the App Store gets no "
            f"push{proof}",
            "Have the token server hand out the production credential to the app from the App Store",
            sids(users),
        )
    elif mixed:
        yield Reason(
            "credential-environment",
            "perhaps",
            f"devices with the credential {named(credential)} may be of Apple's sandbox, and the credential is not: "
            f"{told(mixed[0])}",
            entry_of(MIXED).remedy,
            sids(users),
        )


def _devices(facts: Facts, some: Sequence[Binding]) -> Iterator[Reason]:
    """Push errors that name the user's own bindings, and came after the device registered last."""
    for one in some:
        found = _of_kind(facts.errors.of_bindings.get(one.sid, ()), "device")
        later = [error for error in found if not _is_seen_since(one, error)]
        if later:
            yield Reason(
                "device-refused",
                stops([one], some),
                f"pushes to {those([one], some)} fail, as push errors prove: {told(later[0])}",
                entry_of(later[0].code).remedy,
                (one.sid,),
                stops_chat_too=True,
            )


def _is_seen_since(binding: Binding, error: PushError) -> bool:
    """Whether the device has registered after the last error."""
    last = time_of(error.last)
    return bool(last and binding.last_seen and binding.last_seen > last)


def _others(facts: Facts) -> Iterator[Reason]:
    """Errors of the service that name no credential; but for those that were said of the user's own."""
    kinds: tuple[Kind, ...] = ("payload", "provider", "unknown")
    if not facts.registered:  # a token without a credential is why a device may not have registered
        kinds = ("credential", *kinds)
    known = {error.code for one in facts.candidates for error in _about(facts, str(one.credential_sid), [one])}
    if found := [error for error in _of_kind(facts.errors.of_service, *kinds) if error.code not in known]:
        more = f", and {count(len(found) - 1, 'other code')}" if len(found) > 1 else ""
        yield Reason(
            "service-errors",
            "perhaps",
            f"some pushes of the service fail, for this user or others: {told(found[0])}{more}",
            entry_of(found[0].code).remedy,
        )
