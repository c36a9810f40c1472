"""Reasons in a user's registrations: there is none, it has expired, or it has another credential than is meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from migrate.model.text import count, listed
from migrate.why.facts import Binding, Facts
from migrate.why.reason import Reason, named, platforms, sids, stops, those

_REGISTER = "Have the user open the app that is built on the Conversations SDK: it registers again by itself"


def registration_reasons(facts: Facts) -> Iterator[Reason]:
    """What is wrong with how the user's devices are registered with Conversations."""
    if facts.conversations.is_missing:
        yield Reason(
            "service-missing",
            "yes",
            "Conversations has no service of this SID, and so sends none of its pushes",
            "Find out whether the service was deleted, and whether the credentials are of its account",
        )
        return
    if facts.registered:
        yield from _some_not_registered(facts)
        yield from _back_in_chat(facts)
    elif facts.unclear:
        yield _unclear(facts)
    elif expired := _expired(facts):
        yield _has_expired(facts, expired)
    elif facts.conversations.unread and not _are_pending(facts):
        yield _not_known(facts)
    else:
        yield _not_registered(facts)
    yield from _spellings(facts)


def _expired(facts: Facts) -> list[Binding]:
    """What has expired, where that is why there is no registration: one with Conversations, or all that there is."""
    expired = [one for one in facts.bindings if facts.is_expired(one)]
    registrations = [one for one in expired if facts.is_registration(one)]
    return registrations or ([] if facts.of_chat else expired)


def _has_expired(facts: Facts, expired: Sequence[Binding]) -> Reason:
    latest = expired[0]
    return Reason(
        "expired",
        "perhaps" if facts.conversations.unread or facts.conversations.partly else "yes",
        f"the user's last registration was on {latest.last_seen:%Y-%m-%d}, {facts.days(latest):,} days ago, and a "
        f"binding lives for {facts.lifetime.days:,} days",
        f"{_REGISTER}. A device that was lost or replaced does not come back",
        sids(expired),
    )


def _are_pending(facts: Facts) -> bool:
    """Whether `verify` has found no registration for any of the user's devices."""
    return bool(facts.of_chat) and facts.pending is not None and facts.pending >= set(sids(facts.of_chat))


def _not_known(facts: Facts) -> Reason:
    why = facts.conversations.unread
    if facts.pending:
        why = f"verify found one for some of its devices, and for {len(facts.pending):,} it did not"
    elif facts.pending is not None:
        why = "verify does not wait for it, so that it probably was; with which credential, that list does not say"
    return Reason(
        "not-known",
        "perhaps",
        f"it is not known whether a device of the user is registered with Conversations: {why}",
        "Ask Twilio (without --snapshot), or name an extract of Conversations with --against",
        sids(facts.of_chat),
    )


def _not_registered(facts: Facts) -> Reason:
    only, meanwhile = "", ""
    web = [one for one in facts.bindings if not one.is_phone and "conversations" in one.sides]
    if facts.of_chat:
        only = f": Chat alone knows {count(len(facts.of_chat), 'device')} of the user ({platforms(facts.of_chat)})"
        meanwhile = "; until then it gets what Chat pushes, and no more"
    elif web:
        only = f": all that is registered is {platforms(web)}, which brings no push to a phone"
    return Reason(
        "not-registered",
        "perhaps" if facts.conversations.partly else "yes",
        f"no device of the user is registered with Conversations{only}",
        f"{_REGISTER}{meanwhile}",
        sids(facts.of_chat or web),
    )


def _unclear(facts: Facts) -> Reason:
    return Reason(
        "registration-unclear",
        "perhaps",
        "it is not shown that the Conversations SDK has registered the user's devices: their bindings name no push "
        "of Conversations alone, or Conversations does not list them",
        f"{_REGISTER}; a Chat app gets no Conversations push",
        sids(facts.unclear),
    )


def _some_not_registered(facts: Facts) -> Iterator[Reason]:
    """Devices of Chat that have no successor, where others have: one to one by platform, as `verify` counts."""
    devices = {(one.platform, one.endpoint) for one in facts.registered}
    held = {(one.platform, one.endpoint) for one in facts.bindings if one.made_by == "chat"}
    waiting = [one for one in facts.of_chat if one.endpoint is None or (one.platform, one.endpoint) not in devices]
    pending: list[Binding] = []
    for platform in sorted({one.platform for one in waiting}):
        spare = len({device for device in devices - held if device[0] == platform})
        pending += [one for one in waiting if one.platform == platform][spare:]
    if pending:
        yield Reason(
            "some-not-registered",
            "perhaps",
            f"not every device of the user is registered with Conversations: Chat knows {len(pending):,} more "
            f"({platforms(pending)})",
            f"Ask which phone it is. {_REGISTER}",
            sids(pending),
        )


def _back_in_chat(facts: Facts) -> Iterator[Reason]:
    """Devices that Chat has seen since they registered with Conversations, at the latest."""
    latest: dict[tuple[str, str | None], datetime] = {}
    for one in facts.registered:
        if one.last_seen:
            device = (one.platform, one.endpoint)
            latest[device] = max(one.last_seen, latest.get(device, one.last_seen))
    back = [
        one
        for one in facts.of_chat
        if one.endpoint and one.last_seen and one.last_seen > latest.get((one.platform, one.endpoint), one.last_seen)
    ]
    if back:
        yield Reason(
            "back-in-chat",
            "perhaps",
            "the Chat SDK has registered the device once more after the Conversations SDK had: the phone may run the "
            "former app again",
            f"Ask which version of the app it is. {_REGISTER}",
            sids(back),
        )


def _spellings(facts: Facts) -> Iterator[Reason]:
    if len(facts.spellings) > 1:
        yield Reason(
            "several-spellings",
            "perhaps",
            f"the user's bindings have {len(facts.spellings):,} identities that differ in case, outer spaces or "
            "Unicode form only, and Twilio may take them for different users",
            "Have the token server spell the identity in one way, and register again",
            sids(facts.bindings),
        )


def credential_reasons(facts: Facts) -> Iterator[Reason]:
    """What is wrong with the credentials that the devices have registered with: the token server decides them."""
    some = facts.candidates
    if without := [one for one in some if not one.credential_sid]:
        yield Reason(
            "no-credential",
            stops(without, some),
            f"there is no credential in {those(without, some)}: the access token had no push_credential_sid",
            f"Have the token server put push_credential_sid{_target(facts, without)} into its grant, and register "
            "again",
            sids(without),
        )
    held = [one for one in some if one.credential_sid]
    if lost := [one for one in held if facts.credentials.get(str(one.credential_sid), one) is None]:
        yield Reason(
            "credential-missing",
            stops(lost, some),
            f"the account does not have the credential of {those(lost, some)}: {_credentials(lost)}",
            f"Have the token server hand out one that is there{_target(facts, lost)}, and register again",
            sids(lost),
        )
    yield from _unfit(facts, held, some)
    if facts.registered:
        yield from _others(facts, held, some)


def _unfit(facts: Facts, held: Sequence[Binding], some: Sequence[Binding]) -> Iterator[Reason]:
    unfit = [
        one
        for one in held
        if (credential := facts.credentials.get(str(one.credential_sid)))
        and credential.type not in ("", one.binding_type)
    ]
    if unfit:
        known = [credential for one in unfit if (credential := facts.credentials.get(str(one.credential_sid)))]
        kinds = listed(sorted({f"{named(each)} is of type {each.type}" for each in known}))
        yield Reason(
            "credential-type",
            stops(unfit, some),
            f"the credential of {those(unfit, some)} ({platforms(unfit)}) is of another type: {kinds}",
            f"Have the token server hand out a credential of the device's type{_target(facts, unfit)}, and register "
            "again",
            sids(unfit),
        )


def _others(facts: Facts, held: Sequence[Binding], some: Sequence[Binding]) -> Iterator[Reason]:
    """Registered with another credential than the mapping has for them."""
    if facts.planned is None:
        return
    targets = facts.planned.targets
    others = [one for one in held if targets.get(one.platform) and one.credential_sid not in targets[one.platform]]
    if others:
        yield Reason(
            "credential-other",
            "perhaps",
            f"the credential of {those(others, some)} is another than the mapping has: {_credentials(others)}",
            f"Have the token server hand out push_credential_sid{_target(facts, others)}, and register again",
            sids(others),
        )


def _credentials(bindings: Iterable[Binding]) -> str:
    return listed(sorted({str(one.credential_sid) for one in bindings}))


def _target(facts: Facts, bindings: Iterable[Binding]) -> str:
    """The credentials that the mapping has for them, where it has any."""
    targets = facts.planned.targets if facts.planned else {}
    found = sorted({sid for one in bindings for sid in targets.get(one.platform, ())})
    return f" {' or '.join(found)}" if found else ""
