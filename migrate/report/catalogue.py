"""The catalogue of findings as a page of the documentation; `make docs` writes it to docs/findings.md."""

from __future__ import annotations

import sys

from migrate.model.catalogue import CATALOGUE, SEVERITIES

_HEAD = """\
# Findings

What `chat-migrate` reports about a migration, each with a code that does not change. `map` and `load` count them by
service and by what they are about. Up to five examples are bindings' SIDs, which are no personal data;
`chat-migrate explain MAPPED SID` accounts for one. They stand in `summary.json`, in the plan, and in every report.

A **blocker** needs a decision before the cut-over, a **warning** a look, an **info** is there so that nothing goes
unsaid.
"""
_TITLES = {"blocker": "Blockers", "warning": "Warnings", "info": "Infos"}


def catalogue_page() -> str:
    """The whole page as Markdown, the worst first."""
    lines = [_HEAD]
    for severity in SEVERITIES:
        lines.append(f"## {_TITLES[severity]}\n")
        for code, entry in sorted(CATALOGUE.items()):
            if entry.severity == severity:
                lines += [f"### {code}\n", f"{entry.meaning}.\n", f"What to do: {_sentence(entry.remedy)}.\n"]
    return "\n".join(lines)


def _sentence(remedy: str) -> str:
    return remedy[0].lower() + remedy[1:]


if __name__ == "__main__":
    sys.stdout.write(catalogue_page())
