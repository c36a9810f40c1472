"""Push templates: Chat's texts in the words of Conversations, everything else left as it stands."""

from __future__ import annotations

from migrate.map.rules import Rules
from migrate.model.templates import VARIABLE


def translate_template(text: str, rules: Rules) -> str:
    """The template for Conversations: the text that a rule puts in its place, else its variables renamed.

    One that is in Conversations' words already comes back unchanged. `$` and braces that form no variable are
    left alone, and so are unknown variables: `migrate.model.templates` reports them.
    """
    texts, variables = rules.tables["template_texts"], rules.tables["template_variables"]
    if text in texts:
        return str(texts[text])
    return VARIABLE.sub(lambda found: f"${{{variables.get(found[1], found[1])}}}", text)
