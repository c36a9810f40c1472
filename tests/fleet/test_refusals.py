"""What an apply or a rollback of a fleet leaves alone, account by account."""

from __future__ import annotations

from pathlib import Path

from migrate.standin.world import World
from tests.fleet.conftest import OPTIONS, Start, sid_of
from tests.fleet.test_stages import states, yes


def change(world: World) -> None:
    """Somebody sets another template in each service."""
    for service in world.services.values():
        service.configuration = {
            **(service.configuration or {}),
            "new_message.enabled": True,
            "new_message.template": "theirs",
        }


def test_what_somebody_else_has_set_is_that_accounts_failure_and_stays(company: Start, tmp_path: Path) -> None:
    folder, firm = tmp_path / "fleet", company(2)
    with firm.fleet(folder) as fleet:
        fleet.run(OPTIONS)
        change(firm.servers[sid_of(2)].world)
        theirs = firm.settings(2)
        assert states(fleet.apply(confirm=yes)) == {"01": ("done", 0), "02": ("failed", 5)}
        assert firm.settings(2) == theirs
        change(firm.servers[sid_of(1)].world)
        theirs = firm.settings(1)
        undone = fleet.rollback(confirm=yes)
        assert states(undone) == {"01": ("failed", 5), "02": ("left-out", 0)}
        assert firm.settings(1)[next(iter(theirs))]["new_message.template"] == "theirs"
