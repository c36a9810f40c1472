"""What an apply would meet here and now: what limits judge a plan by, and why it would be refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime

from migrate.load.credentials import stale_credentials
from migrate.load.limits import LIMITS, MOST_SERVICES, Ground, unliftable, violations
from migrate.load.planning import read_live
from migrate.model.errors import InputError, TwilioError
from migrate.model.plan import Plan
from migrate.twilio_api.client import TwilioApi


def ground_now(api: TwilioApi, plan: Plan, max_services: int = MOST_SERVICES) -> Ground:
    """What the limits of a plan are judged by: these credentials, this target, and the target's time."""
    now = _now(api, plan)  # which asks, if nothing was asked yet
    return Ground(plan, api.account_sid, api.addresses.base("conversations"), now, max_services, api.clock)


def _now(api: TwilioApi, plan: Plan) -> datetime:
    """The target's time, which a snapshot's age is measured by; this machine's where it does not say."""
    if api.server_time is None:
        with suppress(TwilioError):
            stale_credentials(api, plan.credentials)
    for change in plan.changes:
        if api.server_time is None:
            with suppress(TwilioError):
                read_live(api, change.service_sid)
    return api.server_time or datetime.now(UTC)


def refusals_now(
    ground: Ground, force: Collection[str] = (), names: Collection[str] = tuple(LIMITS), *, recorded: bool = False
) -> list[tuple[str, str]]:
    """Why an apply would be refused here and now, but for the limits that `force` lifts: a name, and what is wrong.

    `recorded` says that a recording answers in Twilio's place.
    """
    recording = [("other-account", "it was made from a recording; make it again from Twilio")] if recorded else []
    lifted = set(force) - set(unliftable(ground))
    return [
        *((name, problem) for name, problem in (*recording, *violations(ground, names)) if name not in lifted),
        *_without_secret(ground.plan, ground.now),
    ]


def _without_secret(plan: Plan, now: datetime) -> Iterator[tuple[str, str]]:
    """The references to secrets that lead nowhere, or to no such secret; never what they lead to."""
    if not plan.credentials:
        return
    from migrate.load.secrets import secret_forms

    for change in plan.credentials:
        try:
            secret_forms([change], now)
        except InputError as error:
            yield "secrets", error.what
