"""Credentials of the stand-in: how one is made and changed. Of a secret it keeps a digest alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

from migrate.model.push_credential import LONGEST_NAME
from migrate.standin.paging import ProblemError
from migrate.standin.world import Credential, World, numbered_sid

TYPES = ("apn", "gcm", "fcm")
_SECRETS = ("Certificate", "PrivateKey", "ApiKey", "Secret")
_WORDS = {"true": "True", "false": "False"}


def new_credential(world: World, kind: str) -> Credential:
    """A credential with the next number of the world, not in it yet."""
    number = 1 + max((found.number for found in world.credentials.values()), default=0)
    return Credential(number, numbered_sid("CR", number, world.namespace), "", kind, None, world.now, world.now)


def update(credential: Credential, form: Mapping[str, str], now: datetime) -> None:
    """Change a credential by a form; a field that is not known is ignored, as Twilio does. Raises `ProblemError`."""
    name, sandbox = form.get("FriendlyName", credential.friendly_name), form.get("Sandbox", "").lower()
    if name and len(name) > LONGEST_NAME:
        raise ProblemError(400, 20001, f"FriendlyName is longer than {LONGEST_NAME} characters")
    if sandbox and sandbox not in _WORDS:
        raise ProblemError(400, 20001, "Sandbox must be true or false")
    credential.friendly_name = name
    credential.sandbox = _WORDS.get(sandbox, credential.sandbox)
    digests = {key: hashlib.sha256(form[key].encode()).hexdigest() for key in _SECRETS if key in form}
    credential.secrets = {**credential.secrets, **digests}
    credential.updated = now
