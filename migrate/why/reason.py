"""One reason for which a push may not arrive, and the words that reasons share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from migrate.model.credential import Credential
from migrate.model.text import count, listed, printable
from migrate.why.facts import Binding

# Whether it stops each push: it is shown to, it may (or it stops some of them), or it does something else.
Stops = Literal["yes", "perhaps", "no"]


@dataclass(frozen=True)
class Reason:
    """A reason: its name, whether it stops the push, what it is, what to do next, and the bindings it is about.

    `stops_chat_too` says that it stops what Chat pushes as well.
    """

    code: str
    stops: Stops
    what: str
    next: str
    bindings: tuple[str, ...] = ()
    stops_chat_too: bool = False

    def to_json(self) -> dict[str, Any]:
        """The reason as it stands in `--json`."""
        return {**vars(self), "bindings": list(self.bindings)}


def stops(some: Sequence[Binding], all_of_them: Sequence[Binding]) -> Stops:
    """What holds for all of the bindings that a push goes to stops it; what holds for some of them may."""
    return "yes" if len(some) == len(all_of_them) else "perhaps"


def sids(bindings: Sequence[Binding]) -> tuple[str, ...]:
    """Their SIDs."""
    return tuple(one.sid for one in bindings)


def those(some: Sequence[Binding], all_of_them: Sequence[Binding]) -> str:
    """The registrations that a reason is about."""
    if len(all_of_them) == 1:
        return "the device's registration"
    if len(some) == len(all_of_them):
        return f"each of the {len(some):,} registrations"
    return f"{len(some):,} of the {count(len(all_of_them), 'registration')}"


def platforms(bindings: Sequence[Binding]) -> str:
    """Their push technologies: `apn`, or `apn, fcm`."""
    return listed(sorted({printable(one.binding_type or "(none)") for one in bindings}))


def named(credential: Credential) -> str:
    """A credential's SID, and its name where it has one."""
    name = printable(credential.friendly_name.strip())[:40]
    return f"{credential.sid} ({name})" if name else credential.sid
