"""The terminal's view of a retirement: what would be deleted, by service, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from migrate.model.text import lasting, printable
from migrate.report.coverage import rejected_row
from migrate.report.layout import BREAK, COLUMN, grid, table
from migrate.report.limit import first, more
from migrate.report.wording import count, name, share, when
from migrate.retire.retirement import RETIRE_OUTCOMES, Retired, Retirement, ServiceRetirement
from migrate.verify.coverage import total

_MINUTE = 60  # seconds
_COLUMNS = {
    "deletions": "delete",
    "shared": "shared",
    "needed": "needed",
    "earlier": "earlier",
    "pending": "pending",
    "expired": "expired",
}
_FOREVER = "What is deleted cannot be brought back: no API makes bindings"
_LEGEND = """\
Left alone of those that are ready: shared, because Conversations lists a binding of the same SID, which may be \
the same object, or it is one of its own; needed, because it is not shown that the registration in Conversations \
gives its device all that Chat's binding does. Earlier: by an earlier run.
"""
# The reasons for which a binding is needed: the names of the rule's conditions (`migrate.retire.replacement`).
_REASONS = {
    "no-service": "Chat does not show their service: it is switched off, or closed to these credentials",
    "other-service": "the answers are about another service",
    "other-device": "the user registered another device of the platform; that it replaces this one is a guess",
    "other-platform": "the registration is of another push technology, or of GCM, which is gone",
    "not-conversations": "it is not shown that the Conversations SDK made the registration",
    "undated": "the registration has no date",
    "expired": "the registration is more than a year old",
    "future": "the registration's date is in the future",
    "seen-since": "Chat has seen the device since it registered with Conversations, or may have",
    "no-credential": "the registration's credential is not in the account",
    "credential-type": "the registration's credential is of another type",
    "credential-unproven": "the registration's credential is another than Chat's binding has, and may not work: it "
    "is of Apple's other environment, or may hold a server key that Google has ended",
    "unknown-message-type": "Chat's binding asks for something that is not documented, or does not say for what",
    "unknown-push": "Chat has a push that is not documented",
    "invites": "Chat pushes invites, or may, and Conversations has none",
    "not-asked-for": "the registration does not ask for a push that Chat's binding asks for",
    "push-off": "a push that is on in Chat, or may be, is off in Conversations: load first, and decide its proposals",
    "media-off": "pushes of media messages are off in Conversations: load first, and decide its proposals",
}
_MEANING = {
    "gone": "not there any more",
    "changed": "not as in the snapshot any more, and left alone",
    "shared": "listed by Conversations, too, and left alone",
    "unready": "left alone: what made it ready in Conversations is gone, or has changed",
    "needed": "left alone: needed after all",
    "failed": "could not be deleted",
}


def retirement_view(
    retirement: Retirement, snapshot: str, seconds: float, files: Sequence[tuple[str, str]], *, dry_run: bool
) -> Text:
    """What would be deleted; it would take so many seconds at least. `files` are names and paths."""
    sides = [("Snapshot", f"{snapshot}, as of {when(retirement.snapshot_as_of)}")]
    sides += rejected_row([(service.service_sid, service.rejected) for service in retirement.services])
    text = table(sides).append("\n")
    text.append(_grid(retirement))
    text.append(more(len(retirement.services), "service", "use --json without --apply"))
    text.append(f"\n{_LEGEND}").append(_needed(retirement.reasons)).append("\n")
    if files:
        text.append(table(files)).append("\n")
    deletions = count(retirement.deletions, "binding")
    if seconds >= _MINUTE:
        deletions += f", in {lasting(seconds)} at least"
    if not dry_run:
        text.append("To be deleted: ", "bold").append(f"{deletions}.\n")
    else:
        text.append("Dry run: ", "bold").append(f"to be deleted: {deletions}. {BREAK}Nothing was deleted.\n")
    return text.append(f"{_FOREVER}.\n" if retirement.deletions else "")


def _grid(retirement: Retirement) -> Text:
    """For each service its name, and a line: what is to be deleted, what is not, and how many devices are ready.

    Of many services those of which most is to be deleted are shown, and the sum of all.
    """
    rows: list[tuple[str, Sequence[str]]] = []
    shown = first(retirement.services, lambda service: -service.deletions)
    for service in shown:
        rows += [(f"{service.service_sid}  {COLUMN}{name(service.friendly_name)}", ()), ("", _cells([service]))]
    if len(shown) < len(retirement.services):
        rows.append(("All", _cells(retirement.services)))
    return grid((*_COLUMNS.values(), "ready"), rows)


def _cells(services: Sequence[ServiceRetirement]) -> list[str]:
    """The numbers of some services together."""
    whole = total(service.coverage for service in services)
    of_all = vars(whole)
    numbers = [
        of_all[key] if key in of_all else sum(getattr(service, key) for service in services) for key in _COLUMNS
    ]
    return [*(f"{number:,}" for number in numbers), f"{share(whole.ready, whole.expected):>7}"]


def _needed(reasons: Mapping[str, int]) -> Text:
    """A line for each reason for which some are needed."""
    text = Text()
    for reason, number in reasons.items():
        text.append(f"{number:>7,}  {COLUMN}", "yellow").append(f"{_REASONS[reason]}\n")
    return text


def retired_view(retired: Retired, files: Sequence[tuple[str, str]]) -> Text:
    """What became of the bindings that were to be deleted."""
    text = Text()
    for outcome in RETIRE_OUTCOMES[1:]:
        if retired.outcomes[outcome]:
            text.append(f"{outcome:8}", "yellow").append(
                f" {count(retired.outcomes[outcome], 'binding')} {_MEANING[outcome]}\n"
            )
    text.append(_needed(retired.reasons))
    if retired.failure:
        text.append(f"         {printable(retired.failure)}\n", "dim")
    text.append(table(files)).append("\n")
    return text.append("Done: ", "bold").append(f"{count(retired.outcomes['deleted'], 'binding')} deleted.\n")
