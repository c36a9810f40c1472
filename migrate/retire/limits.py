"""Limits of a retirement: what must hold before anything is deleted, beside the rule that keeps each binding.

None of them stands between what is not shown and a delete: that is the rule's alone (`migrate.retire.replacement`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from migrate.load.limits import too_old
from migrate.model.address import is_on_this_machine, is_same_server, other_address, place
from migrate.model.clock import REMEDY
from migrate.model.errors import RefusedError
from migrate.model.text import listed, share

if TYPE_CHECKING:
    from migrate.retire.retirement import Retirement
    from migrate.snapshot.manifest import Manifest
    from migrate.twilio_api.client import TwilioApi

NOTHING_DELETED = "Nothing was deleted"
MIN_READY = 90.0  # percent
MOST_BINDINGS = 1_000
# What may be lifted. At Twilio's own address `other-address` is not lifted either.
LIMITS = ("other-address", "few-ready", "many-bindings", "old-snapshot")


def firm(api: TwilioApi) -> tuple[str, ...]:
    """The limits that `--force` does not lift. A rehearsal on this machine may go by any snapshot."""
    is_rehearsal = all(map(is_on_this_machine, api.places.values()))
    return ("other-account", "clock", *([] if is_rehearsal else ["other-address"]))


def elsewhere(manifest: Manifest, api: TwilioApi) -> Iterator[tuple[str, str]]:
    """Where a snapshot is of another account, or of another server: the limit's name, and what is wrong."""
    if manifest.account_sid != api.account_sid:
        what = f"the snapshot is of account {manifest.account_sid}, and the credentials are for {api.account_sid}"
        yield "other-account", what
    then, now = manifest.addresses, api.places
    if not then:
        yield "other-address", "the snapshot does not say from which address it was made; extract again"
    elif "chat" not in then and not is_same_server(then["conversations"], now["chat"]):
        what = f"the snapshot was read through Conversations at {place(then['conversations'])}"
        yield "other-address", f"{what}, and this would delete at {place(now['chat'])}"
    elif side := other_address(then, now):
        yield (
            "other-address",
            f"the snapshot was made from {place(then[side])}, and this would go by {place(now[side])}",
        )


def refuse_where_pushes_are_off(retirement: Retirement) -> None:
    """Raise `RefusedError` where nothing is to be deleted because Conversations does not push what Chat does.

    This is not a limit: such bindings are left alone whatever is lifted. The error names what helps. After a run that
    deleted all that could be, the same command has nothing to do, and that is no error.
    """
    off = [service for service in retirement.services if service.off]
    if retirement.deletions or any(service.earlier for service in retirement.services) or not off:
        return
    named = listed([f"{', '.join(service.off)} of {service.service_sid}" for service in off], "service")
    raise RefusedError(
        f"Not applied: [pushes-off] Conversations does not push {named}, as Chat does or may do",
        kept=NOTHING_DELETED,
        remedy="Load the push configuration first, and decide its proposals (state them in push-config.yaml, trust "
        "them under [inference] in the rules, or load them with --force inferred): chat-migrate load MAPPED",
    )


def violations(retirement: Retirement, api: TwilioApi, min_ready: float, most: int) -> Iterator[tuple[str, str]]:
    """Every limit that does not hold: its name, and what is wrong, with the remedy."""
    yield from _unproven(api)
    yield from _untimed(api)
    few = [one for one in retirement.services if one.deletions and not one.coverage.reaches(min_ready)]
    if few:
        named = listed([f"{one.service_sid} ({share(one.coverage.ready, one.coverage.expected)})" for one in few])
        yield (
            "few-ready",
            (
                f"less than {min_ready:g} % of the bindings are ready of {named}; wait for them, name the "
                "other services with --service, or lower --min-ready"
            ),
        )
    if retirement.deletions > most:
        number = retirement.deletions
        largest = sorted((one for one in retirement.services if one.deletions), key=lambda one: -one.deletions)
        named = listed([f"{one.service_sid} ({one.deletions:,})" for one in largest])
        yield "many-bindings", f"it deletes {number:,} bindings, more than {most:,}, of {named}; raise --max-bindings"
    as_of = datetime.fromisoformat(retirement.snapshot_as_of)
    if problem := too_old(as_of, api.server_time or datetime.now(UTC)):
        yield "old-snapshot", f"{problem}; extract again, and retire by that"


def _unproven(api: TwilioApi) -> Iterator[tuple[str, str]]:
    """The limit that does not hold where nothing shows whose account it is."""
    from migrate.twilio_api.proof import prove_account

    if not prove_account(api):
        what = f"no answer says that it is of account {api.account_sid}, and an API key may be another account's"
        yield "other-account", f"{what}; use TWILIO_AUTH_TOKEN"


def _untimed(api: TwilioApi) -> Iterator[tuple[str, str]]:
    """The limit that does not hold where the age of a registration is not known: by no clock, or by an absurd one."""
    if api.clock is None:
        yield "clock", "no answer says what time it is; find out what takes the Date out of Twilio's answers"
    elif api.clock.is_refused:
        yield "clock", f"{api.clock}; {REMEDY[0].lower()}{REMEDY[1:]}"
