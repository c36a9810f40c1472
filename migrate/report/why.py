"""The terminal's view of one user: both sides' bindings, credentials and settings, and why no push comes."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from migrate.map.explanation import Explanation
from migrate.map.outcome import ACTIONS
from migrate.model.text import printable
from migrate.report.binding import last_seen, message_types, value, with_credential
from migrate.report.layout import BREAK, COLUMN, grid, sided, table
from migrate.report.limit import first, more
from migrate.report.text import change_view
from migrate.report.wording import PUSH_NAMES, count, name, when
from migrate.why.answer import Answer
from migrate.why.facts import Binding, Facts, Planned, PushError, SideRead
from migrate.why.provider import told
from migrate.why.reason import Reason
from migrate.why.switches import SWITCHES, in_chat, in_conversations

_NAMES = {"chat": "Chat", "conversations": "Conversations"}
_MADE = {
    "chat": "made by the Chat SDK",
    "conversations": "made by the Conversations SDK",
    "unknown": "it does not show which SDK made it",
}
_LEADS = {"yes": "", "perhaps": "Perhaps: ", "no": "Besides: "}
_COLOURS = {"yes": "bold red", "perhaps": "yellow", "no": "cyan"}


def why_view(answer: Answer, *, whole_identity: bool) -> Text:
    """One page: the verdict comes last, where the screen ends."""
    facts = answer.facts
    service = f"{facts.service_sid}  {sided(name(facts.service_name))}"
    text = table(
        [
            ("Identity", sided(value(answer.identity(facts.identity, whole=whole_identity)))),
            ("Service", service),
            ("Chat", _read(facts.chat)),
            ("Conversations", _read(facts.conversations)),
        ]
    )
    text.append("\nBindings\n", "bold")
    for binding in first(facts.bindings):
        text.append(_binding(answer, binding, whole_identity=whole_identity))
    text.append(more(len(facts.bindings), "binding", "use --json", "  "))
    text.append(_credentials(facts)).append(_settings(facts))
    if facts.planned:
        text.append(_plan(facts.planned))
    text.append("\nNot known\n" if answer.verdict.unknown else "", "bold")
    for doubt in answer.verdict.unknown:
        text.append(f"  · {COLUMN}{printable(doubt)}\n")
    return text.append(_verdict(answer))


def _verdict(answer: Answer) -> Text:
    """The reasons, the first of them last: what is read is what stands at the end."""
    verdict, text = answer.verdict, Text()
    if others := verdict.reasons[1:]:
        text.append("\nAlso\n", "bold")
    for reason in others:
        text.append(f"  {reason.code}", _COLOURS[reason.stops]).append(f"  {COLUMN}{_said(reason)}\n")
        text.append(f"    → {COLUMN}{printable(reason.next)}.\n", "dim")
    text.append("\nVerdict: ", "bold").append(f"{verdict.first.code}\n", _COLOURS[verdict.first.stops])
    text.append(f"  {COLUMN}{_said(verdict.first, is_verdict=True)}\n")
    return text.append(f"  → {COLUMN}{printable(verdict.first.next)}.\n")


def _said(reason: Reason, *, is_verdict: bool = False) -> str:
    lead, what = _LEADS[reason.stops], printable(reason.what)
    if is_verdict and reason.stops == "no":
        lead = ""
    return f"{lead}{what}." if lead else f"{what[0].upper()}{what[1:]}."


def _read(side: SideRead) -> str:
    if side.unread:
        return f"not known: {printable(side.unread)}"
    found = f"{printable(side.where)}, as of {when(side.as_of.isoformat() if side.as_of else '')}"
    return f"no such service; {found}" if side.is_missing else found


def _binding(answer: Answer, one: Binding, *, whole_identity: bool) -> Text:
    facts = answer.facts
    text = Text().append(f"  {one.sid}", "bold")
    seen = last_seen(one.last_seen, facts.days(one), "ago")
    expired = " (expired)" if facts.is_expired(one) else ""
    text.append(f"  {BREAK}{with_credential(one.binding_type, one.credential_sid)}, {BREAK}{seen}{expired}\n")
    sides = " and ".join(_NAMES[side] for side in one.sides)
    made = f"listed by {sides}, {_MADE[one.made_by]}, for {message_types(one.message_types)}"
    text.append(f"    {COLUMN}{made}\n")
    if one.identity != facts.identity:
        shown = value(answer.identity(one.identity, whole=whole_identity))
        text.append(f"    {COLUMN}its identity is spelt otherwise: {sided(shown)}\n", "yellow")
    if one.sid in (facts.shared or ()):
        text.append(f"    {COLUMN}its device is registered under another identity, too\n", "yellow")
    text.append(_errors(facts.errors.of_bindings.get(one.sid, ())))
    if found := facts.planned and facts.planned.of_bindings.get(one.sid):
        text.append(_mapped(found))
    return text


def _mapped(found: Explanation) -> Text:
    """What the mapping has for a binding, in the words of `explain`."""
    row = found.binding
    becomes = with_credential(row["target_binding_type"], row["target_credential_sid"])
    return Text(f"    {COLUMN}mapped: {row['outcome']}, becomes {becomes}. {BREAK}{ACTIONS[row['action']]}\n", "dim")


def _errors(errors: tuple[PushError, ...]) -> Text:
    text = Text()
    for error in errors:
        text.append(f"    {COLUMN}push error {told(error)}\n", "red")
    return text


def _credentials(facts: Facts) -> Text:
    """The credentials of the bindings and the plan, with the push errors of late."""
    text = Text("\nCredentials\n" if facts.credentials else "", "bold")
    for sid, found in facts.credentials.items():
        text.append(f"  {sid}", "bold")
        if found is None:
            text.append("  the account does not have it\n", "red")
            continue
        sandbox = ", of Apple's sandbox" if found.sandbox else ""
        updated = f"updated {found.updated}" if found.updated else "never dated"
        kind = f"{value(found.type or None)}{sandbox}, {updated}"
        text.append(f"  {sided(name(found.friendly_name))}  {BREAK}{kind}\n")
        errors = facts.errors.of_credentials.get(sid, ())
        text.append(_errors(errors))
        if not errors and not facts.errors.unread:
            span = f"from {when(facts.errors.since)} to {when(facts.errors.until)}"
            text.append(f"    {COLUMN}no push error {span}, which is no proof that it works\n", "dim")
    return text


def _settings(facts: Facts) -> Text:
    """Which pushes are on: in Chat, in Conversations, and by push-config.yaml."""
    headings = ["Chat", "Conversations"]
    desired = facts.planned.desired if facts.planned else None
    if desired is not None:
        headings.append("push-config.yaml")
    rows: list[tuple[str, list[str]]] = []
    for push in SWITCHES:
        cells: list[str] = [in_chat(facts.notifications, push), in_conversations(facts, push)]
        if desired is not None:
            cells.append(_stated(desired, push))
        rows.append((PUSH_NAMES[push], [cell.replace("unknown", "not known") for cell in cells]))
    text = Text("\nPushes\n", "bold")
    return text.append(grid(headings, [(f"  {label}", cells) for label, cells in rows]))


def _stated(desired: Mapping[str, object], push: str) -> str:
    stated = desired.get(f"{push}.enabled")
    return "not stated" if stated is None else "on" if stated else "off"


def _plan(planned: Planned) -> Text:
    """What load would change for the service."""
    text = Text("\nload would change\n", "bold")
    if planned.left_out:
        text.append("  nothing: the rules leave the service out\n")
    elif planned.desired is None:
        text.append("  nothing: push-config.yaml has no entry for the service\n")
    elif planned.change:
        text.append(change_view(planned.change))
    else:
        text.append("  nothing that is known to differ\n")
    if planned.waiting:
        waits = ", ".join(proposal.path for proposal in planned.waiting)
        number = count(len(planned.waiting), "proposal")
        text.append(f"  {COLUMN}{number} to be decided in push-config.yaml: {waits}\n", "yellow")
    for platform, sids in sorted(planned.targets.items()):
        text.append(f"  {COLUMN}push_credential_sid for {printable(platform)}: {', '.join(sorted(sids))}\n")
    return text
