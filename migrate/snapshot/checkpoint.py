"""The checkpoint: one synced line for everything that counts in an unfinished snapshot.

A line names its chain, the part that it adds and a file of records that did not fit (null: none), and where the chain
resumes: in which of its lists, and at which page (null: the first); or that it is done. Where a part has the rows of
several chains of one service, its line says this of each of them, and how many of the rows it gave; the part is that
of the chain that the line names. Other lines name the part that they `replace`, or say that the chain starts over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from migrate.snapshot.manifest import FileRecord
from migrate.snapshot.rejected import is_of_rejected

CHECKPOINT = "checkpoint.jsonl"


@dataclass
class ChainState:
    """How far a chain has come: its parts on disk, the list that it is in (`turn`), and the page to resume from there
    (None: the first).
    """

    service_sid: str
    parts: list[FileRecord] = field(default_factory=list)
    written: int = 0  # parts that were ever named, so that no name comes twice
    restarts: int = 0
    pages: int = 0
    requests: int = 0
    rows: int = 0
    rejected: list[FileRecord] = field(default_factory=list)  # files of records that did not fit
    set_aside: int = 0  # such files that were ever named
    page_size: int = 0
    turn: int = 0
    next_url: str | None = None
    done: bool = False

    def take(self, line: dict[str, Any]) -> None:
        """Add what a line of the checkpoint says. Raises KeyError, TypeError or ValueError if it says nothing."""
        check_line(line)
        part = FileRecord(**line["part"]) if line["part"] else None
        if part and not part.path.startswith(f"bindings/service_sid={self.service_sid}/"):
            raise ValueError(f"{part.path} is no part of this service")
        if "replaces" in line:
            place = [old.path for old in self.parts].index(line["replaces"])
            self.parts[place : place + 1] = [part] if part else []
            return
        if part:
            self.parts.append(part)
            self.written += 1
        self.rows += line.get("rows", part.rows if part else 0)
        self.pages += line["pages"]
        self.requests += line["requests"]
        if line["rejected"]:
            self.rejected.append(FileRecord(**line["rejected"]))
            self.set_aside += 1
        self.page_size = line["page_size"] or self.page_size
        self.turn, self.next_url, self.done = line["turn"], line["next_url"], line["done"]


@dataclass(frozen=True)
class Progress:
    """What a part adds to its chain: pages walked and the requests they took, records that did not fit (each a line
    of JSON), and where the chain resumes: the list (`turn`) and the page in it, or that it is `done`.
    """

    pages: int
    requests: int
    page_size: int
    turn: int
    next_url: str | None
    done: bool
    rejected: tuple[bytes, ...] = ()


def lines_of(line: dict[str, Any]) -> list[dict[str, Any]]:
    """What a line of the checkpoint says, as a line for each chain.

    Raises ValueError where several share a part and one could start over, or their rows are not those of the part;
    what is not there raises KeyError.
    """
    if "chains" not in line:
        return [line]
    owner, sid, part = line["chain"], line["service_sid"], line["part"]
    if owner not in line["chains"] or not all(facts["done"] is True for facts in line["chains"].values()):
        raise ValueError("a part of chains that have not ended")
    if sum(facts["rows"] for facts in line["chains"].values()) != (part["rows"] if part else 0):
        raise ValueError("the rows do not add up")
    return [
        {**facts, "chain": chain, "service_sid": sid, "part": part if chain == owner else None}
        for chain, facts in line["chains"].items()
    ]


def check_line(line: dict[str, Any]) -> None:
    """Raise TypeError for values that no extract writes; what is not there raises KeyError anyway."""
    if "replaces" in line or line.get("restart"):
        return
    numbers = (line["pages"], line["requests"], line["page_size"], line["turn"], line.get("rows", 0))
    following, rejected = line["next_url"], line["rejected"]
    sound = all(type(number) is int and number >= 0 for number in numbers) and type(line["done"]) is bool
    # An earlier version has a list here; one with records in it has to be begun again.
    sound = sound and (not rejected or is_of_rejected(rejected["path"]))
    if not sound or not (following is None or (isinstance(following, str) and following.startswith("/"))):
        raise TypeError("not a line of a checkpoint")
