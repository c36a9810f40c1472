"""What a fleet shows while it works, and what it asks: a thousand accounts flood no screen, and two numbers are typed."""

from __future__ import annotations

import io
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from migrate.cli.commands.applying import ask
from migrate.cli.commands.fleet_shared import MOST_MESSAGES, Gathered
from migrate.cli.console import Screen
from migrate.cli.progress import _line, bars
from migrate.extract.progress import ExtractProgress
from migrate.model.errors import RefusedError

MANY = 1_000


def sid(number: int) -> str:
    return f"AC{number:032x}"


class Accounts(ExtractProgress):
    unit = "account"


@pytest.fixture
def progress() -> Accounts:
    readings = Accounts()
    for number in range(MANY):
        readings.add(sid(number), chains=2, chains_done=2 if number < 10 else 1, rows=5, read=5)
    return readings


def test_bars_are_by_account_and_the_others_are_counted(progress: Accounts) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24, legacy_windows=False)
    with bars(console, progress):
        pass
    shown = out.getvalue()
    assert f"and {MANY - 21:,} more accounts" in shown
    assert f"AC…{sid(10)[-6:]}" in shown, "accounts differ in the last digits of their SIDs"
    assert f"AC…{sid(9)[-6:]}" not in shown, "what is complete goes below"


def test_a_line_in_a_pipe_counts_the_accounts(progress: Accounts) -> None:
    line, read = _line(progress)
    assert line.startswith("5,000 bindings · 10 of 1,000 accounts complete · ")
    assert read == 5 * MANY


def said_of(messages: Iterator[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    gathered = Gathered(Screen(json=False, no_color=True))
    for message in messages:
        gathered.say(message)
    gathered.close()
    return capsys.readouterr().err.splitlines()


def test_the_same_message_of_many_accounts_is_said_once_with_a_count(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said_of((f"{sid(number)}: the clock is slow" for number in range(MANY)), capsys)
    assert lines == [f"{sid(0)}: the clock is slow", "… and 999 more like this: AC…: the clock is slow"]


def test_a_thousand_different_messages_are_not_all_said(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said_of((f"{number} is odd" for number in range(MANY)), capsys)
    assert len(lines) == MOST_MESSAGES + 1
    assert lines[-1] == f"… and {MANY - MOST_MESSAGES:,} more messages: use --log-file FILE for all"


def asked(answer: str) -> Result:
    @click.command()
    def question() -> None:
        ask((200, 1_812), "accounts and of services")

    return CliRunner().invoke(question, input=answer)


@pytest.mark.parametrize(
    ("answer", "agrees"),
    [("200 1812\n", True), ("200 1,812\n", True), (" 200   1812 \n", True), ("200\n", False), ("1812\n", False),
     ("1812 200\n", False), ("2001812\n", False), ("200 1812 1\n", False), ("yes\n", False), ("\n", False)],
)  # fmt: skip
def test_both_numbers_are_to_be_typed(environment: pytest.MonkeyPatch, answer: str, agrees: bool) -> None:
    environment.setattr("migrate.cli.commands.applying._is_terminal", lambda: True)
    result = asked(answer)
    assert "Type the number of accounts and of services (200 1,812)" in result.stderr
    if agrees:
        assert result.exception is None
    else:
        assert isinstance(result.exception, RefusedError)
        assert result.exception.what == "Not applied: those were not the numbers"


def test_without_a_terminal_nothing_is_asked(environment: pytest.MonkeyPatch) -> None:
    environment.setattr("migrate.cli.commands.applying._is_terminal", lambda: False)
    result = asked("200 1812\n")
    assert isinstance(result.exception, RefusedError)
    assert "Type the number" not in result.output
