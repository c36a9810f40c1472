"""Push templates: Chat's variables renamed to Conversations', everything else left as it stands."""

from __future__ import annotations

from migrate.map.rules import Rules
from migrate.model.templates import VARIABLE


def translate_template(text: str, rules: Rules) -> str:
    """The template with Conversations' variables.

    One that is in Conversations' words already comes back unchanged. `$` and braces that form no variable are
    left alone, and so are unknown variables: `migrate.model.templates` reports them.
    """
    return VARIABLE.sub(lambda found: f"${{{rules.template_variables.get(found[1], found[1])}}}", text)
