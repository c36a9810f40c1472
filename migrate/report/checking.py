"""The terminal's view of a check: what is wrong, what cannot be known, and what is to be said of the rest."""

from __future__ import annotations

from rich.text import Text

from migrate.inspect.checked import Checked, CheckedCredential
from migrate.map.mapped_folder import CONFIG
from migrate.model.push_credential import REFERENCES
from migrate.model.text import printable
from migrate.report.layout import BREAK, COLUMN, sided
from migrate.report.text import findings_view, proposals_view
from migrate.report.wording import count, name, tally


def checked_view(checked: Checked) -> Text:
    """Findings first, then each credential with its references, the notes, the mistakes, and the verdict."""
    text = Text()
    if mapped := checked.mapped:
        names = {service["service_sid"]: service["friendly_name"] for service in mapped.summary.services}
        text.append(findings_view(checked.findings, names, "use --json"))
        text.append(proposals_view(checked.proposals, names, "use --json"))
        stated = f"{count(len(mapped.configs), 'service')}, {count(len(mapped.config.credentials), 'credential')}"
        text.append(f"{CONFIG}: ", "bold").append(f"{stated}\n")
    for credential in checked.credentials:
        text.append(_credential(credential))
    for note in checked.notes:
        text.append("Note: ", "cyan").append(f"{printable(note)}\n")
    for mistake in checked.wrong:
        text.append("Wrong: ", "bold red").append(f"{printable(mistake)}\n")
    if mapped:
        text.append(f"Findings: {tally(checked.findings)}.\n")
    return text.append("Checked: ", "bold").append(f"{_verdict(checked)}\n")


def _verdict(checked: Checked) -> str:
    if checked.wrong:
        return f"{count(len(checked.wrong), 'mistake')} to correct"
    if checked.blocked_by:
        return f"no mistake, {BREAK}but load --apply would be refused"
    return "no mistake, and nothing blocks it; what is live in Conversations is not known offline"


def _credential(one: CheckedCredential) -> Text:
    config = one.config
    what = config.credential_sid or f"a new {config.type} credential"
    text = Text().append(what, "bold").append(f"  {COLUMN}{sided(name(config.friendly_name))}\n")
    for key in REFERENCES[config.type]:
        if key in config.secrets:
            text.append(f"    {key:12}  {COLUMN}{printable(config.secrets[key])}\n")
    return text.append("    cannot be used\n" if one.problem else "    can be read, and used\n")
