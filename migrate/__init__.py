"""Moves push notifications from Twilio Programmable Chat to Twilio Conversations.

The public names are imported on first use, so that `import migrate` costs nothing:

- `extract_snapshot(api, out, options)` pages every binding into a snapshot folder;
- `map_snapshot(snapshot, out)` translates a snapshot into the desired push configuration;
- `load_rules(path)` gives the rules that it goes by, with the changes in a file;
- `explain(mapped, sid)` accounts for one binding;
- `make_plan(api, mapped)` compares that with what is live (a dry run: it only reads); `save_plan(plan, path)` and
  `read_plan(path)` keep it;
- `with_proposals(plan)` makes what is only inferred, and proposed, a change of the plan;
- `difference(before, after)` says what has changed between two snapshots, two mapped folders or two plans;
- `rehearse_load(mapped, snapshot)` tries the whole load on a stand-in of this machine;
- `apply_plan(api, plan, journal, confirm=...)` writes a plan, `rollback_plan(api, journal, confirm=...)` undoes it;
- `verify_snapshot(snapshot, coverage, live)` counts who has registered with Conversations by now;
- `measure_health(api, folder, HealthOptions(length))` counts the pushes that APNs and FCM refused;
- `retire_bindings(api, snapshot, coverage, confirm=...)` deletes Chat's bindings that are shown to be replaced;
- `open_api(settings)` gives the `api` that the others take, live, recording or replaying;
- `open_fleet(settings, AccountChoice(all=True), folder)` gives a `Fleet`, whose methods are the same stages for many
  accounts; `offline_fleet(folder)` one that asks Twilio nothing;
- `WorkingTree(say)` gives the path at which a folder in object storage is worked on, and stores what is made;
- `Observer` receives warnings before something is written, which go to the log otherwise;
- `MigrateError` is the base of every error they raise; `steps` has what it says to do next as data.

What writes does so only once `confirm`, which is given what is to be done, returns True. docs/library.md has a whole
migration as a script.

`migrate.review` opens what they leave as pandas DataFrames, for notebooks.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from migrate.diff.comparing import difference
    from migrate.extract.extraction import ExtractOptions, extract_snapshot
    from migrate.fleet.fleet import FleetOptions, offline_fleet, open_fleet
    from migrate.load.apply import apply_plan
    from migrate.load.plan_file import read_plan, save_plan
    from migrate.load.planning import make_plan
    from migrate.load.proposals import with_proposals
    from migrate.load.rollback import rollback_plan
    from migrate.load.writing import Observer
    from migrate.map.explain import explain
    from migrate.map.mapping import map_snapshot
    from migrate.map.rules_toml import load_rules
    from migrate.model.errors import MigrateError
    from migrate.push_errors.measuring import HealthOptions, measure_health
    from migrate.rehearse.rehearsal import rehearse_load
    from migrate.remote.tree import WorkingTree
    from migrate.retire.delete import retire_bindings
    from migrate.twilio_api.accounts import AccountChoice
    from migrate.twilio_api.connect import ApiSettings, open_api
    from migrate.verify.verification import verify_snapshot

_HOMES = {
    "AccountChoice": "migrate.twilio_api.accounts",
    "ApiSettings": "migrate.twilio_api.connect",
    "ExtractOptions": "migrate.extract.extraction",
    "FleetOptions": "migrate.fleet.fleet",
    "HealthOptions": "migrate.push_errors.measuring",
    "MigrateError": "migrate.model.errors",
    "Observer": "migrate.load.writing",
    "apply_plan": "migrate.load.apply",
    "difference": "migrate.diff.comparing",
    "explain": "migrate.map.explain",
    "extract_snapshot": "migrate.extract.extraction",
    "load_rules": "migrate.map.rules_toml",
    "make_plan": "migrate.load.planning",
    "map_snapshot": "migrate.map.mapping",
    "measure_health": "migrate.push_errors.measuring",
    "offline_fleet": "migrate.fleet.fleet",
    "open_api": "migrate.twilio_api.connect",
    "open_fleet": "migrate.fleet.fleet",
    "read_plan": "migrate.load.plan_file",
    "rehearse_load": "migrate.rehearse.rehearsal",
    "retire_bindings": "migrate.retire.delete",
    "rollback_plan": "migrate.load.rollback",
    "save_plan": "migrate.load.plan_file",
    "verify_snapshot": "migrate.verify.verification",
    "WorkingTree": "migrate.remote.tree",
    "with_proposals": "migrate.load.proposals",
}

__all__ = [
    "AccountChoice",
    "ApiSettings",
    "ExtractOptions",
    "FleetOptions",
    "HealthOptions",
    "MigrateError",
    "Observer",
    "WorkingTree",
    "apply_plan",
    "difference",
    "explain",
    "extract_snapshot",
    "load_rules",
    "make_plan",
    "map_snapshot",
    "measure_health",
    "offline_fleet",
    "open_api",
    "open_fleet",
    "read_plan",
    "rehearse_load",
    "retire_bindings",
    "rollback_plan",
    "save_plan",
    "verify_snapshot",
    "with_proposals",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'migrate' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
