"""What Conversations' push templates can hold (FACTS.md, "Message types and their push configuration")."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from migrate.model.documents import Count

VARIABLE = re.compile(r"\$\{([A-Za-z0-9_]+)\}")
VARIABLE_LIKE = re.compile(r"\$\{([^{}]*)\}")  # also what was probably meant for one
PUSH_CHARACTERS = 178  # where Twilio cuts a rendered push
_SID_CHARACTERS = 34
_PEOPLE = ("PARTICIPANT", "PARTICIPANT_FRIENDLY_NAME", "PARTICIPANT_IDENTITY", "PARTICIPANT_SID")
_PLACES = ("CONVERSATION", "CONVERSATION_FRIENDLY_NAME", "CONVERSATION_SID", "CONVERSATION_UNIQUE_NAME")
_MEDIA = ("MEDIA", "MEDIA_COUNT")
VARIABLES = frozenset((*_PEOPLE, *_PLACES, *_MEDIA, "MESSAGE"))
_CHATS = ("USER", "USER_FRIENDLY_NAME", "USER_IDENTITY", "USER_SID")
_CHATS_PLACES = ("CHANNEL", "CHANNEL_FRIENDLY_NAME", "CHANNEL_SID", "CHANNEL_UNIQUE_NAME")
_NAMES = "|".join(sorted((*VARIABLES, *_CHATS, *_CHATS_PLACES), key=lambda name: (-len(name), name)))
# What was probably meant for a variable: a known name behind a sign, in braces or both; or an opening without an end.
_SLIP = re.compile(
    rf"""[%#@]?\{{+\s*(?:{_NAMES})(?![A-Za-z0-9_])\s*\}}*             # {{USER}}, {{{{USER}}}}, %{{USER}}
    | \$\s?[{{(\[<]*\s*(?:{_NAMES})(?![A-Za-z0-9_])\s*[}})\]>]*  # $USER, ${{USER, $(USER)
    | \$\{{[^{{}}$\s]*\}}?""",
    re.IGNORECASE | re.VERBOSE,
)
# Where a variable was, by what a shell leaves of it in a text that has none left.
# Some put two spaces behind a sentence, and behind an emoji or a bullet: what follows there begins with a capital.
_GAP = re.compile(
    r"""\A[ ]|[ ]\Z|[\w,;()\[\]"'“”«»#@&/][ ]{2,}\S|[^\s\w.:!?…。！？][ ]{2,}[a-zß-öø-ÿ]  # a space too many
    | \A[;:,.!?)]|[:;,(]\Z            # punctuation with nothing before it, or behind it
    | [ ][,)]|[ ]\.(?![.\w])|[;:,][ ]*[;:,]
    | \([ ]*\)|\[[ ]*\]|"[ ]*"|“[ ]*”|«[ ]*»
    | \b(?:by|from|of|the)\Z|\b(?:by|from)[ ](?:in|to)\b""",
    re.VERBOSE,
)


class Lengths(Struct, frozen=True):
    """What variables are taken to be long, in characters, when the cut of a push is estimated."""

    name: Count = 20
    message: Count = 40

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


def _slips(text: str) -> set[str]:
    """What in a text is written like a variable, but is not one; the first 40 characters of each."""
    rest = VARIABLE_LIKE.sub("\n", text)  # no slip reaches over what is written right
    return {found[0].strip()[:40] for found in _SLIP.finditer(rest)}


@lru_cache(maxsize=1_000)  # thousands of services can have the same
def check_template(path: str, text: str, lengths: Lengths) -> tuple[tuple[str, str], ...]:
    """What is to be said of the template of a path: codes of findings with their subjects, in order."""
    notes: set[tuple[str, str]] = set()
    for found in VARIABLE_LIKE.finditer(text):
        if code := why_not_filled(found[1], path):
            notes.add((code, path if found[1] in VARIABLES else f"{path}: {found[0]}"))
    notes |= {("template-slip", f"{path}: {slip}") for slip in _slips(text)}
    if text and not VARIABLE_LIKE.search(text) and not _slips(text) and _GAP.search(text):
        notes.add(("template-eaten", f"{path}: {text[:60]}"))
    if (length := estimate(text, lengths)) > PUSH_CHARACTERS:
        notes.add(("template-long", f"{path}: about {length} characters"))
    return tuple(sorted(notes))
