"""The file of accounts: each mistake is one line with its number, and nothing that stands there is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.model.errors import InputError
from migrate.twilio_api.accounts_file import read_accounts_file

ONE, OTHER = "AC" + "1" * 32, "AC" + "2" * 32
SECRET = "5ec2e7" * 5 + "aa"
KEY = "SK" + "3" * 32


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "accounts.txt"


def told(file: Path, text: str | bytes, **environment: str) -> str:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        read_accounts_file(file, environment)
    shown = str(caught.value)
    assert SECRET not in shown
    assert "\n" not in shown
    return shown


def test_comments_empty_lines_every_line_end_and_a_mark_at_the_beginning_are_read(file: Path, tmp_path: Path) -> None:
    key = tmp_path / "the key.txt"
    key.write_text(f"{KEY}:{SECRET}\n")
    key.chmod(0o600)
    file.write_bytes(
        f"\ufeff# ours\r\n\r\n  {ONE.lower().replace('ac', 'AC')}  \t# one\r{OTHER} file:{key}\n".encode()
    )
    found = read_accounts_file(file, {})
    assert [*found] == [ONE, OTHER]
    assert found[ONE] is None
    login = found[OTHER]
    assert login
    assert (login.account_sid, login.username, login.password) == (OTHER, KEY, SECRET)
    assert SECRET not in repr(login)
    assert "line 4" in login.shown
    file.write_text(f"{ONE} env:TOKEN")
    token = read_accounts_file(file, {"TOKEN": f" {SECRET}\n"})[ONE]
    assert token
    assert (token.username, token.password) == (ONE, SECRET)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"\n{SECRET}", "line 2 does not begin with the SID"),
        (f"{ONE}\n{ONE}:{SECRET}", "line 2 does not begin with the SID"),
        (f"{ONE} {SECRET}", "put it into a variable or a file of its own"),
        (f"{ONE} token:{SECRET}", "line 1 has neither env:NAME nor file:PATH"),
        (f"{ONE} env:", "line 1 has neither env:NAME nor file:PATH"),
        (f"{ONE} env:{SECRET}", "is not set, or empty"),
        (f"{ONE} file:{SECRET}", "cannot be read: no such file"),
        (f"{ONE} file:/\0{SECRET}", "it is not text"),
        (f"{ONE}\n{OTHER}\n{ONE}", f"line 3 names {ONE} again, after line 1"),
        ("# ours\n", "names no account"),
        (b"\xff\xfeA\0C\0", "not text in UTF-8"),
        (f"{ONE} env:EMPTY", "is not set, or empty"),
        (f"{ONE} env:SPACED", "a character that no token or secret has"),
        (f"{ONE} env:PAIR", "no API key with its secret"),
        (f"{ONE} env:SID", "holds a SID, and not a token"),
    ],
)
def test_a_mistake_is_named_by_its_line_and_not_shown(file: Path, text: str | bytes, words: str) -> None:
    values = {"EMPTY": "  ", "SPACED": f"{SECRET} {SECRET}", "PAIR": f"{ONE}:{SECRET}", "SID": OTHER}
    assert words in told(file, text, **values)


def test_a_key_that_everybody_can_read_is_refused(file: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(SECRET)
    key.chmod(0o644)
    assert "can be read by every user" in told(file, f"{ONE} file:{key}")
    key.chmod(0o600)
    key.write_text("")
    assert "is empty" in told(file, f"{ONE} file:{key}")
    assert "cannot be read" in told(file, f"{ONE} file:{tmp_path}")


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: no such file"):
        read_accounts_file(tmp_path / "gone", {})


@given(rest=st.text(max_size=40))
def test_whatever_stands_on_a_line_it_is_an_account_or_one_error_without_it(
    rest: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.txt"
    file.write_bytes(f"{ONE} {SECRET}{rest}".encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError) as caught:
        read_accounts_file(file, {})
    assert SECRET not in str(caught.value)
