"""The terminal's view of one binding accounted for."""

from __future__ import annotations

from rich.text import Text

from migrate.map.explanation import Explanation
from migrate.model.catalogue import CATALOGUE, NOTHING_TO_DO
from migrate.model.text import printable
from migrate.report.binding import last_seen, message_types, value, with_credential
from migrate.report.layout import BREAK, sided, table
from migrate.report.limit import MOST_SHOWN, listed, more
from migrate.report.text import COLOURS
from migrate.report.wording import name


def explanation_view(found: Explanation, *, whole_identity: bool) -> Text:
    """What it was, what it becomes, by which rules, and what its device must do; for each service that lists it."""
    text = _one(found, whole_identity=whole_identity)
    if found.others:
        sids = listed([one.service_sid for one in (found, *found.others)])
        text = Text(f"{len(found.others) + 1:,} services list this binding: {sids}\n\n").append(text)
    for other in found.others[: MOST_SHOWN - 1]:
        text.append("\n").append(_one(other, whole_identity=whole_identity))
    if left := more(len(found.others) + 1, "service", "use --json, or --service"):
        text.append("\n").append(left)
    return text


def _one(found: Explanation, *, whole_identity: bool) -> Text:
    binding, days = found.binding, found.days
    seen = last_seen(binding["last_seen"], days, "before the snapshot")
    service = f"{found.service_sid}  {sided(name(found.service_name))}"
    device = f"{value(binding['device'])}, {seen}"
    was = with_credential(binding["binding_type"], binding["credential_sid"])
    becomes = with_credential(binding["target_binding_type"], binding["target_credential_sid"])
    text = table(
        [
            ("Binding", binding["sid"]),
            ("Service", service + (" (left out by the rules)" if found.left_out else "")),
            ("Identity", value(found.identity(whole=whole_identity))),
            ("Device", device),
            ("Was", f"{was}, {BREAK}for {message_types(binding['message_types'])}"),
            ("Becomes", f"{becomes}, {BREAK}for {_pushes(found)}"),
            ("Outcome", binding["outcome"]),
        ]
    )
    text.append("\nBy the rules\n" if found.rules else "\nNo rule applied.\n", "bold")
    for rule in found.rules:
        text.append(f"  {printable(rule.name)} = {printable(rule.value)}\n")
        text.append(f"    {printable(rule.reason)}\n", "dim")
    text.append("\nFindings\n" if found.notes else "\nNo findings.\n", "bold")
    for code, subject in found.notes:
        entry = CATALOGUE[code]
        text.append(f"  {entry.severity:8}", COLOURS[entry.severity]).append(f" {code}", "bold")
        text.append(f"  {printable(subject)}\n" if subject else "\n")
        remedy = "" if entry.remedy == NOTHING_TO_DO else f"    → {entry.remedy}.\n"
        text.append(f"    {entry.meaning}.\n{remedy}", "dim")
    return text.append("\nIts device\n", "bold").append(f"  {found.device_must}.\n")


def _pushes(found: Explanation) -> str:
    """The message types, and whether the push configuration pushes them."""
    words = {True: "on", False: "off", None: "not stated"}
    shown = f", {BREAK}".join(
        f"{push} ({'proposed, and not stated' if push in found.proposed else words[on]} in push-config.yaml)"
        for push, on in found.pushes.items()
    )
    if not shown and found.binding["target_message_types"] is None:
        return "message types that are not known"
    return shown or "no message type"
