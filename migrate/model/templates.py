"""What Conversations' push templates can hold (FACTS.md, "Message types and their push configuration")."""

from __future__ import annotations

import re
from dataclasses import dataclass

VARIABLE = re.compile(r"\$\{([A-Za-z0-9_]+)\}")
VARIABLE_LIKE = re.compile(r"\$\{([^{}]*)\}")  # also what was probably meant for one
PUSH_CHARACTERS = 178  # where Twilio cuts a rendered push
_SID_CHARACTERS = 34
_PEOPLE = ("PARTICIPANT", "PARTICIPANT_FRIENDLY_NAME", "PARTICIPANT_IDENTITY", "PARTICIPANT_SID")
_PLACES = ("CONVERSATION", "CONVERSATION_FRIENDLY_NAME", "CONVERSATION_SID", "CONVERSATION_UNIQUE_NAME")
_MEDIA = ("MEDIA", "MEDIA_COUNT")
VARIABLES = frozenset((*_PEOPLE, *_PLACES, *_MEDIA, "MESSAGE"))


@dataclass(frozen=True)
class Lengths:
    """What variables are taken to be long, in characters, when the cut of a push is estimated."""

    name: int = 20
    message: int = 40

    def of(self, variable: str) -> int:
        """The characters that a variable is taken to become."""
        if variable.endswith("_SID"):
            return _SID_CHARACTERS
        return {"MESSAGE": self.message, "MEDIA_COUNT": 1}.get(variable, self.name)


def estimate(text: str, lengths: Lengths) -> int:
    """How long the push of a template probably is, in characters."""
    variables = [found for found in VARIABLE.finditer(text) if found[1] in VARIABLES]
    return len(text) + sum(lengths.of(found[1]) - len(found[0]) for found in variables)


def why_not_filled(variable: str, path: str) -> str:
    """The code of the finding that says why Twilio does not fill a variable in, in the template of a path.

    Empty where it does.
    """
    if variable not in VARIABLES:
        return "template-variable-unknown"
    if variable == "MESSAGE" and not path.startswith("new_message."):
        return "template-message-unavailable"
    if variable in _MEDIA and ".with_media." not in path:
        return "template-media-unavailable"
    return ""


def check_template(path: str, text: str, lengths: Lengths) -> list[tuple[str, str]]:
    """What is to be said of the template of a path: codes of findings with their subjects, in order."""
    notes: set[tuple[str, str]] = set()
    for found in VARIABLE_LIKE.finditer(text):
        if code := why_not_filled(found[1], path):
            notes.add((code, f"{path}: {found[0]}" if code == "template-variable-unknown" else path))
    if (length := estimate(text, lengths)) > PUSH_CHARACTERS:
        notes.add(("template-long", f"{path}: about {length} characters"))
    return sorted(notes)
