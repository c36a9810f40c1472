"""Push templates: Chat's variables renamed to Conversations', everything else left as it stands."""

from __future__ import annotations

import re

from migrate.map.rules import Rules

_VARIABLE = re.compile(r"\$\{([A-Za-z0-9_]+)\}")
_MEDIA = frozenset({"MEDIA", "MEDIA_COUNT"})  # exist in Conversations' media pushes only


def translate_template(text: str, path: str, rules: Rules) -> tuple[str, list[tuple[str, str]]]:
    """The template for a field such as `new_message.template`, and notes (code, subject) about it.

    A template that is already in Conversations' words comes back unchanged. `$` and braces that form no
    variable are left alone; unknown variables are kept and noted.
    """
    known = {*rules.template_variables.values(), *_MEDIA}
    notes: list[tuple[str, str]] = []

    def rename(found: re.Match[str]) -> str:
        name = found[1]
        if name not in rules.template_variables and name not in known:
            notes.append(("template-variable-unknown", f"{path}: {found[0]}"))
        if name == "MESSAGE" and not path.startswith("new_message."):
            notes.append(("template-message-unavailable", path))
        return f"${{{rules.template_variables.get(name, name)}}}"

    translated = _VARIABLE.sub(rename, text)
    if len(translated) > rules.push_characters:
        notes.append(("template-long", path))
    return translated, sorted(set(notes))
