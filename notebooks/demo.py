"""Makes what the notebooks open: the recorded demo, and what `verify` and `health` find in the weeks after.

Run by `make notebooks`:

    python -m notebooks.demo out/demo

What is there is left as it is. All of it is synthetic, and no request leaves this machine.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from math import exp
from pathlib import Path

from migrate.extract.extraction import ExtractOptions
from migrate.load.plan_file import save_plan
from migrate.pipeline import run
from migrate.push_errors.measuring import HealthOptions, measure_health
from migrate.snapshot.reader import read_snapshot
from migrate.standin.alert_groups import SpreadAlerts
from migrate.standin.server import StandInServer
from migrate.standin.world import DEMO_WORLD, Binding, Service, World, binding_sid, load_world
from migrate.twilio_api.connect import ApiSettings, open_api
from migrate.verify.verification import verify_snapshot

CASSETTE = Path(__file__).parent.parent / "cassettes" / "demo.yaml"
DAYS = (0, 2, 5, 9, 12, 16, 19, 23, 26, 30)  # after the cut-over, on which somebody runs `verify` and `health`
SPAN = timedelta(days=7)  # that `health` reads each time
# Until which day the push errors of a code go on: the old server key is replaced after a week.
GO_ON = {52117: 7, 52134: 30}
# Of those that are still missing, the part that comes back in a day; and how many never do.
PACE = {"apn": 0.11, "fcm": 0.06, "gcm": 0.03}
NEVER = 0.05
NEW_ENDPOINT = 0.25  # of those that come back, on a device whose ID has changed
NAMES = ["twilio.conversations.new_message", "twilio.conversations.added_to_conversation"]


def make_demo(out: Path) -> None:
    """Make `out/snapshot`, `out/mapped` and `out/plan.json`; then `out/coverage`, `out/health`, `out/pending.csv`."""
    if not (out / "plan.json").exists():
        with open_api(ApiSettings(replay=CASSETTE)) as api:
            save_plan(run(api, out, ExtractOptions()).plan, out / "plan.json")
    pending = out / "pending.csv"
    if pending.exists():
        return
    for name in ("coverage", "health"):
        shutil.rmtree(out / name, ignore_errors=True)
    snapshot = read_snapshot(out / "snapshot")
    for day in DAYS:
        world = later(load_world(DEMO_WORLD), day)
        with StandInServer(world) as server:
            environment = {"TWILIO_ACCOUNT_SID": world.account_sid, "TWILIO_AUTH_TOKEN": world.auth_token}
            with open_api(
                ApiSettings(server.url, server.url, monitor_url=server.url, environment=environment)
            ) as api:
                measure_health(api, out / "health", HealthOptions(SPAN, snapshot))
                # The list comes last: where it is, all of it is.
                listed = pending if day == DAYS[-1] else None
                verify_snapshot(out / "snapshot", out / "coverage", api, pending=listed)


def later(world: World, day: int) -> World:
    """The demo's world so many days after: some devices have registered with Conversations by then."""
    for service in world.services.values():
        service.conversations_bindings += _come_back(service, world, day)
        service.last_number = len(service.bindings) + len(service.conversations_bindings)
    alerts = replace(world.alerts, groups=[*world.alerts.groups, *_go_on(world)])
    return replace(world, now=world.now + timedelta(days=day), alerts=alerts, plays_ahead=True)


def _go_on(world: World) -> Iterator[SpreadAlerts]:
    """The push errors that go on after the cut-over, as often as before."""
    for group in world.alerts.groups:
        if isinstance(group, SpreadAlerts) and int(group.code or 0) in GO_ON:
            days = timedelta(days=GO_ON[int(group.code or 0)])
            span = int(days.total_seconds())
            yield replace(
                group,
                number=group.number + 100,
                count=group.count * span // group.span,
                newest=int((world.now + days).timestamp()),
                span=span - 1,
            )


def _come_back(service: Service, world: World, day: int) -> Iterator[Binding]:
    number = service.last_number
    for chat in service.bindings:
        if _chance(chat, "never") < NEVER or _chance(chat, "day") >= 1 - exp(
            -PACE.get(str(chat.binding_type), 0) * day
        ):
            continue
        number += 1
        sid = binding_sid(service.sid, number)
        moved = _chance(chat, "endpoint") < NEW_ENDPOINT
        yield Binding(
            number=number,
            sid=sid,
            identity=chat.identity,
            endpoint=f"device-{sid[2:18]}" if moved else chat.endpoint,
            binding_type="fcm" if chat.binding_type == "gcm" else chat.binding_type,
            credential_sid=chat.credential_sid,
            message_types=NAMES,
            created=world.now + timedelta(days=day),
            updated=world.now + timedelta(days=day),
        )


def _chance(binding: Binding, what: str) -> float:
    """A number from 0 to 1 that is always the same for a binding."""
    return int(hashlib.sha256(f"{what} {binding.sid}".encode()).hexdigest()[:8], 16) / 0x100000000


if __name__ == "__main__":
    make_demo(Path(sys.argv[1]))
