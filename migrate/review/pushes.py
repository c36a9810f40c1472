"""Pushes as phones show them, before and after: as a DataFrame, and side by side in Jupyter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from migrate.map.rules import DROP, Rules
from migrate.model.proposal import Proposal
from migrate.model.push_config import Settings
from migrate.model.templates import VARIABLE
from migrate.model.text import printable
from migrate.report.pushes import Piece, Push, proposed_pushes, push_of
from migrate.review.html_repr import html_text
from migrate.review.rows import frame

WITH_MEDIA = "new_message.with_media"
NOT_KNOWN = "(not known)"
# What Chat pushes where no template is set (FACTS.md, "Message types and their push configuration").
CHAT_DEFAULTS = {
    "new_message": "${CHANNEL};${USER}: ${MESSAGE}",
    "added_to_channel": "You have been added to channel ${CHANNEL} by ${USER}",
    "invited_to_channel": "${USER} has invited you to join the channel ${CHANNEL}",
    "removed_from_channel": "${USER} has removed you from the channel ${CHANNEL}",
}
_NO_TEXT = {"off": "(no push)", "default": "(Twilio's default text)"}
_BUBBLE = "display:inline-block;border:1px solid #8888;border-radius:1em;padding:.4em .8em;white-space:pre-wrap"
_CELL = "text-align:left;vertical-align:top;padding:.3em 1em .3em 0"


@dataclass(frozen=True)
class PushPair:
    """One push of a service before and after a change; `push` is its name. A side that is not known is None.

    `proposed` is what would be shown instead if what is proposed for it were written; None if nothing is.
    """

    service_sid: str
    service: str
    push: str
    before: Push | None
    after: Push | None
    proposed: Push | None = None

    @property
    def differs(self) -> bool:
        """Whether phones show another text after it. What is not known before, and nothing after, is no change."""
        known = self.before is not None or (self.after is not None and self.after.state != "off")
        return known and push_text(self.before) != push_text(self.after)


@dataclass(frozen=True)
class After:
    """A service's settings in Conversations: what is `stated`, over what is `live`, None if that is unknown.

    `proposals` are those of the service that wait for a decision.
    """

    stated: Settings
    live: Settings | None
    proposals: tuple[Proposal, ...] = ()

    def push(self, name: str) -> Push | None:
        """What phones show of a push; None where that rests on something unknown."""
        switch, template = f"{name}.enabled", f"{name}.template"
        if self.live is None and (switch not in self.stated or (self.stated[switch] and template not in self.stated)):
            return None
        return push_of(name, {**(self.live or {}), **self.stated})

    def proposed(self, name: str) -> Push | None:
        """What phones would show of a push if all that is proposed were written; None if nothing is for this push."""
        return proposed_pushes(self.proposals, {**(self.live or {}), **self.stated}).get(name)


class Phones:
    """Some pushes side by side, for Jupyter: `before` and `after` are the headings of the columns."""

    def __init__(self, pairs: Sequence[PushPair], before: str, after: str) -> None:
        self._pairs = tuple(pairs)
        self._headings = before, after

    def __repr__(self) -> str:
        lines = [
            f"{pair.service}, {pair.push}: {push_text(pair.before)} → {push_text(pair.after)}"
            + (f" (proposed: {push_text(pair.proposed)})" if pair.proposed else "")
            for pair in self._pairs
        ]
        return "\n".join(lines) or "(no pushes)"

    def _repr_html_(self) -> str:
        heads = "".join(
            f'<th scope="col" style="{_CELL}">{html_text(text)}</th>' for text in ("push", *self._headings)
        )
        body = "".join(self._sections())
        return f"<table><thead><tr>{heads}</tr></thead>{body}</table>" if body else "<p>No pushes.</p>"

    def _sections(self) -> Iterator[str]:
        former = None
        for pair in self._pairs:
            if pair.service_sid != former:
                former = pair.service_sid
                title = f"<strong><bdi>{html_text(pair.service)}</bdi></strong> <code>{html_text(former)}</code>"
                yield f'<tr><th scope="rowgroup" colspan="3" style="{_CELL}">{title}</th></tr>'
            idea = f"<div>proposed: {_bubble(pair.proposed)}</div>" if pair.proposed else ""
            cells = (
                f'<td style="{_CELL}">{_bubble(pair.before)}</td><td style="{_CELL}">{_bubble(pair.after)}{idea}</td>'
            )
            yield f'<tr><th scope="row" style="{_CELL}">{html_text(pair.push)}</th>{cells}</tr>'


def push_text(push: Push | None) -> str:
    """What a phone shows, or in brackets why it is no text; `…` where Twilio cuts it at 178 characters."""
    if push is None:
        return NOT_KNOWN
    if push.state != "own":
        return _NO_TEXT[push.state]
    return printable(push.text) + ("…" if push.cut else "")


def pushes_frame(pairs: Iterable[PushPair]) -> pd.DataFrame:
    """Pushes, a row each: `service_sid`, `service`, `push`, `before`, `after`, `differs`, and `proposed`.

    The texts are those of `push_text`; `proposed` is missing where nothing is proposed for the push.
    """
    kinds = {
        **dict.fromkeys(("service_sid", "service", "push", "before", "after"), pa.string()),
        "differs": pa.bool_(),
        "proposed": pa.string(),
    }
    return frame(
        kinds,
        [
            [
                *(pair.service_sid, pair.service, pair.push, push_text(pair.before), push_text(pair.after)),
                *(pair.differs, push_text(pair.proposed) if pair.proposed else None),
            ]
            for pair in pairs
        ],
    )


def chat_pairs(
    service_sid: str, service: str, chat: Mapping[str, Any] | None, after: After, rules: Rules
) -> list[PushPair]:
    """What phones show of a service's pushes today, through Chat, beside what they show in Conversations.

    `chat` is Chat's `notifications`, None if unknown. By the rules several of its pushes may become one.
    """
    pairs: list[PushPair] = []
    for chats, target in rules.message_types.items():
        now = _chat_push(chats, chat, rules)
        # Chat pushes media messages like all others.
        for theirs in (target, WITH_MEDIA) if chats == "new_message" else (target,):
            then = Push("off") if theirs == DROP else after.push(theirs)
            title = f"{chats} → {'nothing' if theirs == DROP else theirs}"
            pairs.append(PushPair(service_sid, service, title, now, then, after.proposed(theirs)))
    return pairs


def _chat_push(name: str, chat: Mapping[str, Any] | None, rules: Rules) -> Push | None:
    """What phones show of Chat's push; None where Chat does not say whether there is one."""
    found = (chat or {}).get(name)
    said = found if isinstance(found, Mapping) else {}
    if not isinstance(said.get("enabled"), bool):
        return None
    renamed = rules.tables["template_variables"]
    text = said.get("template")
    template = VARIABLE.sub(
        lambda found: f"${{{renamed.get(found[1], found[1])}}}",
        text if isinstance(text, str) and text else CHAT_DEFAULTS.get(name, ""),
    )
    # Chat's other pushes are all like one of Conversations': they lack a message.
    like = "new_message" if name == "new_message" else "added_to_conversation"
    return push_of(like, {f"{like}.enabled": said["enabled"], f"{like}.template": template})


def _bubble(push: Push | None) -> str:
    if push is None or push.state != "own":
        return f"<em>{html_text(push_text(push))}</em>"
    return f'<span style="{_BUBBLE}"><bdi>{"".join(map(_piece, push.pieces))}</bdi>{"…" if push.cut else ""}</span>'


def _piece(piece: Piece) -> str:
    # What Twilio does not fill in shows on phones as it stands.
    return f"<mark>{html_text(piece.text)}</mark>" if piece.kept else html_text(piece.text)
