"""What Conversations' push templates can hold (FACTS.md, "Message types and their push configuration")."""

from __future__ import annotations

import re
from collections.abc import Iterable

from migrate.model.finding import Finding
from migrate.model.push_config import FIELDS, ServiceConfig

VARIABLE = re.compile(r"\$\{([A-Za-z0-9_]+)\}")
PUSH_CHARACTERS = 178  # where Twilio cuts a rendered push
_PEOPLE = ("PARTICIPANT", "PARTICIPANT_FRIENDLY_NAME", "PARTICIPANT_IDENTITY", "PARTICIPANT_SID")
_PLACES = ("CONVERSATION", "CONVERSATION_FRIENDLY_NAME", "CONVERSATION_SID", "CONVERSATION_UNIQUE_NAME")
_MEDIA = ("MEDIA", "MEDIA_COUNT")
VARIABLES = frozenset((*_PEOPLE, *_PLACES, *_MEDIA, "MESSAGE"))


def check_templates(configs: Iterable[ServiceConfig]) -> list[Finding]:
    """Findings about the templates of a push configuration, as they stand now."""
    return [
        Finding(code, config.service_sid, subject)
        for config in configs
        for item in FIELDS
        if item.path.endswith(".template")
        for code, subject in _check(item.path, str(config.settings.get(item.path, "")))
    ]


def _check(path: str, text: str) -> list[tuple[str, str]]:
    notes: set[tuple[str, str]] = set()
    for found in VARIABLE.finditer(text):
        if found[1] not in VARIABLES:
            notes.add(("template-variable-unknown", f"{path}: {found[0]}"))
        elif found[1] == "MESSAGE" and not path.startswith("new_message."):
            notes.add(("template-message-unavailable", path))
        elif found[1] in _MEDIA and ".with_media." not in path:
            notes.add(("template-media-unavailable", path))
    if len(text) > PUSH_CHARACTERS:
        notes.add(("template-long", path))
    return sorted(notes)
