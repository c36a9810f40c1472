"""The HTML view of a difference: one file that needs nothing else, and has no script."""

from __future__ import annotations

from migrate.diff.difference import Difference
from migrate.report import diff as words
from migrate.report.html import part, policy, template

MOST_ROWS = 1_000  # of each list; a report in JSON has all
MOST_SERVICES = 100  # whose bindings have a table each, those first of which most differ


def difference_page(difference: Difference) -> str:
    """What is compared, the verdict, the bindings in numbers, and each list of what differs."""
    style = part("page.css")
    return template("diff.html.jinja").render(
        difference=difference,
        words=words,
        style=style,
        policy=policy(style),
        listings=words.listings(difference),
        by_type=words.type_rows(difference, MOST_ROWS - 1),
        by_service=words.service_rows(difference),
        most=MOST_ROWS,
        most_services=MOST_SERVICES,
    )
