"""Push templates: Chat's texts in the words of Conversations, everything else left as it stands."""

from __future__ import annotations

from migrate.map.rules import Rules
from migrate.model.templates import VARIABLE, VARIABLES, why_not_filled


def translate_template(text: str, rules: Rules) -> str:
    """The template for Conversations: the text that a rule puts in its place, else its variables renamed.

    One that is in Conversations' words already comes back unchanged. `$` and braces that form no variable are
    left alone, and so are unknown variables: `migrate.model.templates` reports them.
    """
    texts, variables = rules.tables["template_texts"], rules.tables["template_variables"]
    if text in texts:
        return str(texts[text])
    return VARIABLE.sub(lambda found: f"${{{variables.get(found[1], found[1])}}}", text)


def coming_alive(text: str, path: str, rules: Rules) -> list[str]:
    """The variables in a text of Chat's that Chat does not have, and that Conversations fills in at a path, in order.

    Chat shows them as they stand.
    """
    known = rules.tables["template_variables"]
    found = (match for match in VARIABLE.finditer(text) if match[1] in VARIABLES and match[1] not in known)
    return sorted({match[0] for match in found if not why_not_filled(match[1], path)})
