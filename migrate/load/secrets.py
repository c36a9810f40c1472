"""Secrets of credentials: looked up by their references just before a plan is applied, and kept nowhere."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from migrate.load.keys import (
    SOON,
    Pair,
    UnfitKeyError,
    bytes_of,
    flaw_of,
    is_readable_key,
    pair_of_p12,
    pair_of_pem,
    service_account,
    text_of,
)
from migrate.model.errors import InputError, reason_of
from migrate.model.finding import Finding
from migrate.model.push_credential import P12, SECRETS, CredentialChange

Form = Mapping[str, str]
_REMEDY = "Nothing was written; correct that, and call the same command again"


def secret_forms(
    changes: Sequence[CredentialChange], now: datetime, environment: Mapping[str, str] | None = None
) -> tuple[Form, ...]:
    """The form fields with the secrets of each credential, in their order.

    `now` is the server's time, by which a certificate has expired. Raises `InputError` for a reference that leads
    nowhere, or to what cannot be such a secret; it never shows what it leads to.
    """
    environment = os.environ if environment is None else environment
    return tuple(_form(change, now, environment) for change in changes)


def secret_findings(
    changes: Sequence[CredentialChange], now: datetime, environment: Mapping[str, str] | None = None
) -> Iterator[Finding]:
    """What is to be said of secrets that can be used; those that cannot are refused elsewhere."""
    environment = os.environ if environment is None else environment
    for change in changes:
        about = f"{change.config.credential_sid or change.config.type} {change.friendly_name}"
        try:
            found = _read(change, environment)
        except InputError:
            continue
        if isinstance(found, str):
            if not is_readable_key(found):
                yield Finding("credential-key-unread", None, about)
            continue
        if now < found.until <= now + SOON:
            yield Finding("credential-certificate-ends", None, f"{about}, {found.until:%Y-%m-%d}")
        if found.purpose == "unknown":
            yield Finding("credential-certificate-unknown", None, about)


def _form(change: CredentialChange, now: datetime, environment: Mapping[str, str]) -> Form:
    found = _read(change, environment)
    if isinstance(found, str):
        return {SECRETS["fcm"]["secret"]: found}
    if flaw := flaw_of(found, now, sandbox=_sandbox(change)):
        reference = change.config.secrets.get(P12) or change.config.secrets["certificate"]
        raise InputError(f"The certificate in {reference} {flaw}", remedy=_REMEDY)
    fields = SECRETS["apn"]
    return {fields["certificate"]: found.certificate, fields["private_key"]: found.private_key}


def _sandbox(change: CredentialChange) -> bool:
    """Whether a credential is of Apple's sandbox: as it is stated, else as it is; a new one is not."""
    if change.config.sandbox is not None:
        return change.config.sandbox
    return change.existing is not None and str(change.existing.sandbox).lower() == "true"


def _read(change: CredentialChange, environment: Mapping[str, str]) -> Pair | str:
    """The pair of an Apple credential, or the service-account key of another. Raises `InputError`."""
    references = change.config.secrets
    try:
        if change.config.type == "fcm":
            return service_account(references["secret"], _text(references["secret"], environment))
        if P12 in references:
            return _pair_of_p12(references, environment)
        certificate, key = references["certificate"], references["private_key"]
        return pair_of_pem((certificate, _text(certificate, environment)), (key, _text(key, environment)))
    except UnfitKeyError as problem:
        raise InputError(str(problem), remedy=_REMEDY) from None


def _pair_of_p12(references: Mapping[str, str], environment: Mapping[str, str]) -> Pair:
    reference = references[P12]
    data = _bytes(reference, environment)
    if reference.startswith("env:"):
        data = bytes_of(reference, data.decode())
    word = references.get("p12_password")
    # A file with a password ends in a line break that does not belong to it.
    password = _text(word, environment).rstrip("\r\n") if word else None
    return pair_of_p12(reference, data, password)


def _text(reference: str, environment: Mapping[str, str]) -> str:
    try:
        text = text_of(_bytes(reference, environment))
    except UnicodeDecodeError:
        raise InputError(f"{reference} is not text that can be sent", remedy=_REMEDY) from None
    if not text.strip():
        raise InputError(f"{reference} is not set, or empty", remedy=_REMEDY)
    return text


def _bytes(reference: str, environment: Mapping[str, str]) -> bytes:
    kind, _, place = reference.partition(":")
    try:
        data = environment.get(place, "").encode() if kind == "env" else Path(place).expanduser().read_bytes()
    except OSError as error:
        raise InputError(f"{reference} cannot be read: {reason_of(error)}", remedy=_REMEDY) from None
    except (ValueError, RuntimeError):  # no text, no path, or an unknown home folder
        raise InputError(f"{reference} is not text that can be sent", remedy=_REMEDY) from None
    if not data:
        raise InputError(f"{reference} is not set, or empty", remedy=_REMEDY)
    return data
