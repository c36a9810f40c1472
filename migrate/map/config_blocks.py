"""The text of a push-config.yaml in its parts, so that what a person has written in one stays as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from migrate.map.push_config_yaml import compose
from migrate.model.sids import is_service_sid, normal

# A text in quotes is passed over whole, whatever signs it holds.
_COMMENT = re.compile(
    r"""(?<![^\s:,\[{])(?:"(?:\\.|[^"\\\n])*"|'(?:''|[^'\n])*')|(?:^|(?<=\s))#\s*(.*)$""", re.MULTILINE
)
_LEFT_OUT = re.compile(r"^ *# IS[0-9a-f]{32} .*: left out by the rules, and so left as it is$")


@dataclass(frozen=True)
class Blocks:
    """A text in three: all before the first service, the lines of each service by SID, and all that follows them."""

    head: str
    services: dict[str, str]
    end: str

    def own_head(self, other: Blocks) -> str:
        """The comments before the first service that another text does not have."""
        known = set(other.head.split("\n"))
        own = [line for line in self.head.split("\n") if line.startswith("#") and line not in known]
        return "".join(f"{line}\n" for line in own)


def blocks_of(text: str) -> Blocks | None:
    """The parts of a text; None where it is not laid out in lines, a key each, as the mapper writes it.

    Comments right above a key belong to it. Lines on what the rules leave out belong to none.
    """
    try:
        root = compose(text)
    except (yaml.YAMLError, RecursionError):
        return None
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return None
    lines = text.split("\n")
    top = [(key.value, key.start_mark.line, value) for key, value in root.value]
    place = next((number for number, (name, _, _) in enumerate(top) if name == "services"), None)
    if place is None or not isinstance(top[place][2], yaml.MappingNode) or top[place][2].flow_style:
        return None
    keys = [(key.value, key.start_mark.line) for key, _ in top[place][2].value]
    if not keys or not all(is_service_sid(sid) for sid, _ in keys):
        return None
    end = _above(lines, top[place + 1][1]) if place + 1 < len(top) else len(lines)
    starts = [_above(lines, line) for _, line in keys]
    services = {
        normal(sid): _trimmed(lines[start:stop])
        for (sid, _), start, stop in zip(keys, starts, [*starts[1:], end], strict=True)
    }
    return Blocks("\n".join(lines[: starts[0]]).rstrip("\n") + "\n", services, _trimmed(lines[end:]))


def _above(lines: Sequence[str], line: int) -> int:
    """Where the comments right above a line begin."""
    while line > 0 and lines[line - 1].lstrip().startswith("#") and not _LEFT_OUT.match(lines[line - 1]):
        line -= 1
    return line


def _trimmed(lines: Sequence[str]) -> str:
    text = "\n".join(line for line in lines if not _LEFT_OUT.match(line)).strip("\n")
    return f"{text}\n" if text else ""


def joined(blocks: Blocks, left_out: Sequence[str], own_head: str) -> str:
    """The text of some parts: `own_head` are comments that come first, `left_out` lines that follow the services."""
    parts = [own_head + blocks.head, *(block for _, block in sorted(blocks.services.items()))]
    parts += [f"{line}\n" for line in left_out]
    return "\n".join([*parts, *([blocks.end] if blocks.end else [])])


def lines_left_out(text: str) -> list[str]:
    """The lines on what the rules leave out."""
    return [line for line in text.split("\n") if _LEFT_OUT.match(line)]


def comments_of(text: str) -> set[str]:
    """The comments in a text, each once."""
    return {found.strip() for found in _COMMENT.findall(text) if found.strip()}
