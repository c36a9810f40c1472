"""Moves push notifications from Twilio Programmable Chat to Twilio Conversations.

The public names are imported on first use, so that `import migrate` costs nothing:

- `extract_snapshot(api, out, options)` pages every binding into a snapshot folder;
- `map_snapshot(snapshot, out)` translates a snapshot into the desired push configuration;
- `load_rules(path)` gives the rules that it goes by, with the changes in a file;
- `explain(mapped, sid)` accounts for one binding;
- `make_plan(api, mapped)` compares that with what is live (a dry run: it only reads);
- `with_proposals(plan)` makes what is only inferred, and proposed, a change of the plan;
- `verify_snapshot(snapshot, coverage, live)` counts who has registered with Conversations by now;
- `open_api(settings)` gives the `api` that the others take, live, recording or replaying;
- `MigrateError` is the base of every error they raise.

`migrate.review` opens what they leave as pandas DataFrames, for notebooks.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from migrate.extract.extraction import ExtractOptions, extract_snapshot
    from migrate.load.planning import make_plan
    from migrate.load.proposals import with_proposals
    from migrate.map.explain import explain
    from migrate.map.mapping import map_snapshot
    from migrate.map.rules_toml import load_rules
    from migrate.model.errors import MigrateError
    from migrate.twilio_api.connect import ApiSettings, open_api
    from migrate.verify.verification import verify_snapshot

_HOMES = {
    "ApiSettings": "migrate.twilio_api.connect",
    "ExtractOptions": "migrate.extract.extraction",
    "MigrateError": "migrate.model.errors",
    "explain": "migrate.map.explain",
    "extract_snapshot": "migrate.extract.extraction",
    "load_rules": "migrate.map.rules_toml",
    "make_plan": "migrate.load.planning",
    "map_snapshot": "migrate.map.mapping",
    "open_api": "migrate.twilio_api.connect",
    "verify_snapshot": "migrate.verify.verification",
    "with_proposals": "migrate.load.proposals",
}

__all__ = [
    "ApiSettings",
    "ExtractOptions",
    "MigrateError",
    "explain",
    "extract_snapshot",
    "load_rules",
    "make_plan",
    "map_snapshot",
    "open_api",
    "verify_snapshot",
    "with_proposals",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'migrate' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
