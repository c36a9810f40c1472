"""The file of the rules: the program's own, and what an operator's file changes of it.

Every key and value is checked, and an error names the line and, for a misspelt key, what was probably meant.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NoReturn

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Item

from migrate.map.rules import Rules
from migrate.map.rules_schema import TABLES, contradictions
from migrate.model.errors import InputError
from migrate.model.sids import kind_of, normal
from migrate.model.text import did_you_mean, printable

_WITH_SIDS = ("services", "credentials", "inference")  # tables whose keys and values may be SIDs
DEFAULT_RULES = Path(__file__).with_name("default_rules.toml")
_LINE = re.compile(r"\(at line (\d+), column \d+\)|\(at end of document\)")
_OURS = re.compile(r" ?\[[^\[\]]* line \d+; by default .*\]$")  # what `_annotate` put behind a reason


@cache
def default_rules() -> Rules:
    """The rules that come with the program."""
    return read_rules(DEFAULT_RULES.read_text("utf-8"), DEFAULT_RULES.name)


def read_rules(text: str, source: str) -> Rules:
    """All rules, from a text that has all of them, such as the rules.toml of a mapped folder.

    Raises `InputError` with the line for what is no TOML, no rule, or not a value that the rule can have; `source`
    is the name that errors give.
    """
    _Reader(text, source).check()
    return _rules(tomlkit.parse(text))


def override(text: str, source: str) -> Rules:
    """The default rules with the changes in a text, which has only some of them. Raises as `read_rules` does."""
    reader = _Reader(text, source)
    said = reader.check()
    theirs, document = tomlkit.parse(text), tomlkit.parse(DEFAULT_RULES.read_text("utf-8"))
    for name, table in said.items():
        for key, value in table.items():
            _put(
                document[name],
                key,
                value,
                _comment(theirs[name], key),
                f"{Path(source).name} line {reader.line(name, key)}",
            )
    rules = _rules(document, source)
    for name, key, problem in contradictions(rules.tables):
        reader.fail(problem, name, key)
    return rules


def load_rules(path: Path | None) -> Rules:
    """The default rules with the changes in a file, if one is named. Raises `InputError`, as `override` does."""
    if path is None:
        return default_rules()
    return override(_text(path), str(path))


def own_rules(path: Path) -> Rules:
    """All rules in a mapped folder's rules.toml. Raises `InputError`, as `read_rules` does, and `OSError`."""
    return read_rules(_text(path), str(path))


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # editors on Windows put a mark in front
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text", remedy="Save it as such") from None


def _rules(document: tomlkit.TOMLDocument, source: str = "") -> Rules:
    said = document.unwrap()
    reasons = {
        f"{name}.{_as_issued(name, key)}": _comment(document[name], key)
        for name, table in said.items()
        for key in table
    }
    tables = {
        name: {_as_issued(name, key): _as_issued(name, value) for key, value in table.items()}
        for name, table in said.items()
    }
    return Rules(tables, reasons, tomlkit.dumps(document), source)


def _as_issued(table: str, said: Any) -> Any:
    """A key or a value of a table, each SID in it as Twilio writes it: operators may write its digits in capitals."""
    if isinstance(said, list):
        return [_as_issued(table, item) for item in said]
    return normal(said) if table in _WITH_SIDS and kind_of(said) else said


def _comment(table: Any, key: str) -> str:
    """The comment behind a value, or behind the inline table that holds it."""
    found: Item
    for found in (table[key], table):
        if comment := str(found.trivia.comment if isinstance(found, Item) else ""):
            return comment.lstrip("#").strip()
    return ""


def _put(table: Any, key: str, value: Any, reason: str, where: str) -> None:
    """Put a value in the place of the default, with the reason, and the words where it comes from."""
    default = table.unwrap().get(key)
    if value == default:
        return
    table[key] = value if not isinstance(value, dict) else _inline(value)
    before = "there is none" if default is None else shown(default)
    reason = _OURS.sub("", reason)
    table[key].trivia.comment_ws = "  "
    table[key].comment(printable(f"{reason or 'no reason given'} [{where}; by default {before}]"))


def shown(value: Any) -> str:
    """A rule's value as TOML has it."""
    return str(tomlkit.item(value).as_string())


def _inline(value: Mapping[str, Any]) -> Item:
    """A table in one line, as a rule's value."""
    found = tomlkit.inline_table()
    found.update(value)
    return found


class _Reader:
    """Reads one text, and knows its lines."""

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._source = source

    def check(self) -> dict[str, dict[str, Any]]:
        """The tables in the text, all checked."""
        try:
            tables = tomllib.loads(self._text)
            tomlkit.parse(self._text)
        except tomllib.TOMLDecodeError as error:
            problem, found = str(error), _LINE.search(str(error))
            line = int(found[1] or self._text.count("\n") + 1) if found else None
            self._fail(f"not valid TOML: {_LINE.sub('', problem).strip().lower()}", line)
        except (TOMLKitError, RecursionError, ValueError):
            self._fail("not TOML that can be read", None)
        for name, table in tables.items():
            if name not in TABLES:
                self.fail(f"unknown table {name!r}; {did_you_mean(name, TABLES)}", name)
            if not isinstance(table, dict):
                self.fail(f"{name} must be one table: [{name}]", name)
            self._check_table(name, table)
        return tables

    def _check_table(self, name: str, table: Mapping[str, Any]) -> None:
        known: set[str] = set()
        for key, value in table.items():
            if problem := TABLES[name].problem(name, key, value):
                self.fail(problem, name, key)
            if (issued := _as_issued(name, key)) in known:
                self.fail(f"{issued} stands twice in [{name}], in capitals and in small letters", name, key)
            known.add(issued)

    def fail(self, problem: str, *path: str) -> NoReturn:
        """Raise the error about what stands at a path."""
        self._fail(problem, self.line(*path))

    def _fail(self, problem: str, line: int | None) -> NoReturn:
        where = f"{self._source} line {line}" if line else self._source
        raise InputError(f"{where}: {problem}", remedy="chat-migrate rules shows all rules and their reasons")

    def line(self, *path: str) -> int:
        """The line where the statement begins that gives a path its value, or its table's."""
        path = tuple(_as_issued(path[0], part) for part in path)
        return self._lines.get(path) or self._lines.get(path[:1]) or 1

    @cached_property
    def _lines(self) -> dict[tuple[str, ...], int]:
        """The line of each path that the text has. TOML's readers do not tell, so it is read a statement at a time.

        A statement is as many lines as can be read, below the heading that they stand under.
        """
        found: dict[tuple[str, ...], int] = {}
        heading, statement, begins = "", "", 1
        for number, line in enumerate(self._text.split("\n"), 1):
            begins = begins if statement.strip() else number
            statement += f"{line}\n"
            is_heading = statement.lstrip().startswith("[")
            try:
                said = tomllib.loads(statement if is_heading else heading + statement)
            except tomllib.TOMLDecodeError:
                continue  # in the middle of a value of several lines
            for path in _paths(said):
                found.setdefault(path, begins)
            heading, statement = (statement if is_heading else heading), ""
        return found


def _paths(tables: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, table in tables.items():
        yield (name,)
        if isinstance(table, Mapping):
            yield from ((name, _as_issued(name, key)) for key in table)
