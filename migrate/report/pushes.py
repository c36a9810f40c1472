"""What phones show: the push of a template, with plain examples in the place of its variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from migrate.model.plan import Change
from migrate.model.proposal import Proposal
from migrate.model.push_config import FIELDS, Settings
from migrate.model.templates import PUSH_CHARACTERS, VARIABLE_LIKE, why_not_filled

# Each of Conversations' variables, with what stands for it in a conversation that has a unique and a friendly name,
# and for a participant who has a friendly name. ${PARTICIPANT}, ${PARTICIPANT_FRIENDLY_NAME} and
# ${PARTICIPANT_IDENTITY} all show the friendly name, else the identity; ${CONVERSATION} shows the unique name, else
# the friendly name, else the SID (FACTS.md, "Message types and their push configuration").
EXAMPLES: Mapping[str, str] = {
    "PARTICIPANT": "Alice",
    "PARTICIPANT_FRIENDLY_NAME": "Alice",
    "PARTICIPANT_IDENTITY": "Alice",
    "PARTICIPANT_SID": f"MB{1:032}",
    "CONVERSATION": "team-chat",
    "CONVERSATION_FRIENDLY_NAME": "Team chat",
    "CONVERSATION_SID": f"CH{1:032}",
    "CONVERSATION_UNIQUE_NAME": "team-chat",
    "MESSAGE": "Hello!",
    "MEDIA": "photo.jpg",
    "MEDIA_COUNT": "1",
}
_PUSHES = tuple(item.path.removesuffix(".enabled") for item in FIELDS if item.path.endswith(".enabled"))


@dataclass(frozen=True)
class Piece:
    """A part of a push's text; `kept` where it is written like a variable, and Twilio does not fill it in there."""

    text: str
    kept: bool = False


@dataclass(frozen=True)
class Push:
    """A push as phones show it.

    `off`: no push. `default`: Twilio's own text, which is not known for certain (FACTS.md, "Message types and
    their push configuration"). `own`: `pieces`, of at most 178 characters; `cut` where there would be more.
    """

    state: Literal["off", "default", "own"]
    pieces: tuple[Piece, ...] = ()
    cut: bool = False

    @property
    def text(self) -> str:
        """All the pieces."""
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True)
class PushChange:
    """One push of a service before and after a change; `push` is where its settings are: `new_message.with_media`."""

    push: str
    before: Push
    after: Push


def push_changes(change: Change) -> tuple[PushChange, ...]:
    """The pushes that phones would show otherwise once a change is written, in reading order."""
    written = {**change.existing, **{path: change.desired[path] for path in change.fields}}
    pairs = [PushChange(push, push_of(push, change.existing), push_of(push, written)) for push in _PUSHES]
    return tuple(pair for pair in pairs if pair.before != pair.after)


def proposed_pushes(proposals: Iterable[Proposal], settings: Settings) -> dict[str, Push]:
    """The pushes that phones would show otherwise than under a service's settings, if all proposals were written."""
    proposed = {**settings, **{proposal.path: proposal.value for proposal in proposals}}
    found = {push: push_of(push, proposed) for push in _PUSHES}
    return {push: then for push, then in found.items() if then != push_of(push, settings)}


def push_of(push: str, settings: Settings) -> Push:
    """What phones show of a push, under the settings of a service."""
    if not settings.get(f"{push}.enabled"):
        return Push("off")
    path = f"{push}.template"
    template = str(settings.get(path, ""))
    if not template:
        return Push("default")
    return _cut(_fill(template, path))


def _fill(template: str, path: str) -> Iterable[Piece]:
    done = 0
    for found in VARIABLE_LIKE.finditer(template):
        yield Piece(template[done : found.start()])
        kept = bool(why_not_filled(found[1], path))
        yield Piece(found[0] if kept else EXAMPLES[found[1]], kept)
        done = found.end()
    yield Piece(template[done:])


def _cut(pieces: Iterable[Piece]) -> Push:
    left, cut = PUSH_CHARACTERS, False
    shown: list[Piece] = []
    for piece in pieces:
        cut = cut or len(piece.text) > left
        text = piece.text[:left]
        left -= len(text)
        if text:
            shown.append(Piece(text, piece.kept))
    return Push("own", tuple(shown), cut)
