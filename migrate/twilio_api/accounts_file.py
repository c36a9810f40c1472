"""The file of accounts: a line each, with where the account's own key is, if it has one; never the key itself."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path

from migrate.model.errors import InputError, reason_of
from migrate.model.sids import ACCOUNT, DIGITS, is_api_key_sid, kind_of, normal
from migrate.storage.private import IS_POSIX
from migrate.twilio_api.login import Login

_FORM = (
    f"A line is an account's SID ({ACCOUNT} and {DIGITS}), and after it env:NAME or file:PATH where the account has "
    "a key of its own; what follows # is a comment"
)
_BY_REFERENCE = (
    "A token or a secret has no place in this file: put it into a variable or a file of its own, and write env:NAME "
    "or file:PATH"
)
_VALUE = "It holds the account's auth token, or an API key and its secret as SK…:SECRET"
_COMMENT = re.compile(r"(^|\s)#.*")
_MOST = 1 << 24  # bytes of the file; a key has some 70
_MOST_OF_KEY = 1 << 12


def read_accounts_file(path: Path, environment: Mapping[str, str]) -> dict[str, Login | None]:
    """The accounts that a file names, by SID in its order, each with its login where it has a key of its own.

    Raises `InputError` for the first line that is not understood, by its number: what stands there is not shown,
    because it may be a secret.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST + 1)
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "it is no path"
        raise InputError(f"{path} cannot be read: {reason}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if len(data) > _MOST or "\0" in text:
        raise InputError(f"{path} is no list of accounts: it is not text in UTF-8", remedy=_FORM)
    found: dict[str, Login | None] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        words = _COMMENT.sub("", line).split(maxsplit=1)
        if not words:
            continue
        where = f"{path}, line {number}"
        sid = normal(words[0])
        if kind_of(sid) != ACCOUNT:
            raise InputError(f"{where} does not begin with the SID of an account", remedy=f"{_FORM}. {_BY_REFERENCE}")
        if sid in found:
            raise InputError(f"{where} names {sid} again, after line {lines[sid]}", remedy="Leave one of them out")
        lines[sid] = number
        found[sid] = _login(where, sid, words[1].strip(), environment) if words[1:] else None
    if not found:
        raise InputError(f"{path} names no account", remedy=_FORM)
    return found


def _login(where: str, sid: str, reference: str, environment: Mapping[str, str]) -> Login:
    kind, _, place = reference.partition(":")
    if kind not in ("env", "file") or not place:
        raise InputError(f"{where} has neither env:NAME nor file:PATH after the account", remedy=_BY_REFERENCE)
    what = f"the variable that {where} names" if kind == "env" else f"the file that {where} names"
    value = (environment.get(place, "") if kind == "env" else _content(what, place)).strip()
    if not value:
        raise InputError(f"{_capital(what)} is {'not set, or ' if kind == 'env' else ''}empty", remedy=_VALUE)
    if not re.fullmatch(r"[!-~]+", value):
        raise InputError(f"{_capital(what)} holds a character that no token or secret has", remedy=_VALUE)
    key, colon, secret = value.partition(":")
    if colon and not (is_api_key_sid(key) and secret and not kind_of(secret)):
        raise InputError(f"{_capital(what)} holds no API key with its secret, as SK…:SECRET", remedy=_VALUE)
    if kind_of(value):
        raise InputError(f"{_capital(what)} holds a SID, and not a token", remedy=_VALUE)
    username, password = (key, secret) if colon else (sid, value)
    return Login(sid, username, password, origin=f"the key of {sid} ({what})")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _content(what: str, place: str) -> str:
    """What a file holds that a line names. Raises `InputError` where others may read it: then it is no secret."""
    try:
        mode = Path(place).expanduser().stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening a pipe would wait
            raise InputError(f"{_capital(what)} is no regular file", remedy=_VALUE)
        with Path(place).expanduser().open("rb") as file:
            data = file.read(_MOST_OF_KEY)
    except OSError as error:
        raise InputError(f"{_capital(what)} cannot be read: {reason_of(error)}") from None
    except (ValueError, RuntimeError):  # no path, or an unknown home folder
        raise InputError(f"{_capital(what)} cannot be read: it is no path") from None
    if IS_POSIX and stat.S_IMODE(mode) & stat.S_IROTH:
        raise InputError(
            f"{_capital(what)} can be read by every user of this machine",
            remedy="Close it to others (chmod 600), and change the key if others may have read it",
        )
    return data.decode("utf-8-sig", "replace")
