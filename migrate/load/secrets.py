"""Secrets of credentials: looked up by their references just before a plan is applied, and kept nowhere."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from migrate.model.errors import InputError
from migrate.model.push_credential import SECRETS, CredentialChange, CredentialConfig

Form = Mapping[str, str]
_PEM = {"certificate": "-----BEGIN CERTIFICATE-----", "private_key": "-----BEGIN ([A-Z]+ )?PRIVATE KEY-----"}
_REMEDY = "Nothing was written; mend that, and call the same command again"


def secret_forms(
    changes: Sequence[CredentialChange], environment: Mapping[str, str] | None = None
) -> tuple[Form, ...]:
    """The form fields with the secrets of each credential, in their order.

    Raises `InputError` for a reference that leads nowhere, or to what cannot be such a secret; it never tells what it
    leads to.
    """
    environment = os.environ if environment is None else environment
    return tuple(_form(change.config, environment) for change in changes)


def _form(config: CredentialConfig, environment: Mapping[str, str]) -> Form:
    form: dict[str, str] = {}
    for key, reference in config.secrets.items():
        secret = _look_up(reference, environment)
        if problem := _problem(key, secret):
            raise InputError(f"{reference} {problem}", remedy=_REMEDY)
        form[SECRETS[config.type][key]] = secret
    return form


def _look_up(reference: str, environment: Mapping[str, str]) -> str:
    kind, _, place = reference.partition(":")
    try:
        if kind == "env":
            secret = environment.get(place, "")
            secret.encode()
        else:
            secret = Path(place).expanduser().read_bytes().decode()
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise InputError(f"{reference} cannot be read: {reason}", remedy=_REMEDY) from None
    except (ValueError, RuntimeError):  # no text, no path, or nobody's home
        raise InputError(f"{reference} is not text that can be sent", remedy=_REMEDY) from None
    if not secret.strip():
        raise InputError(f"{reference} is not set, or empty", remedy=_REMEDY)
    return secret


def _problem(key: str, secret: str) -> str:
    """Why a text cannot be the secret of that key; empty if it can. It is Twilio that knows whether it is right."""
    if key == "secret":
        try:
            found = json.loads(secret)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or not {"project_id", "private_key", "client_email"} <= set(found):
            return "is no service-account key (a JSON file with project_id, private_key and client_email)"
    elif not re.search(_PEM[key], secret):
        return f"is no {key.replace('_', ' ')} in PEM format (-----BEGIN …)"
    return ""
