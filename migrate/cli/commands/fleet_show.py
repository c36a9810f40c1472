"""show for a fleet's folder."""

from __future__ import annotations

from pathlib import Path

from migrate.cli.console import Screen


def show_fleet(folder: Path, screen: Screen) -> None:
    """Show the accounts of a fleet, and how far each stage is, as fleet.json has it."""
    from migrate.fleet.folder import read_fleet
    from migrate.model.documents import builtins
    from migrate.report.fleet_held import fleet_held_view

    manifest = read_fleet(folder)
    data = {**builtins(manifest), "kind": "fleet", "path": str(folder)}
    screen.result(data, lambda: fleet_held_view(manifest, str(folder)))
