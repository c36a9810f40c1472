"""The proof of whose account an API key is, looked for where answers have it, before anything rests on it."""

from __future__ import annotations

from typing import Any

from migrate.model.errors import TwilioError
from migrate.model.sids import is_service_sid
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.limits import FEW_TRIES, PAGE_SIZES
from migrate.twilio_api.resources import CREDENTIALS_PATH, SERVICES_PATH, bindings_path, get_notifications, list_pages


def prove_account(api: TwilioApi, sizes: tuple[int, ...] = PAGE_SIZES) -> bool:
    """Whether it is certain that answers are of the account of the credentials; reads of Conversations until it is.

    Its services do not say (FACTS.md, "The two APIs"); credentials do, and of a service its notification settings and
    its bindings. What cannot be read says nothing. Raises `OtherAccountError` where an answer is of another account.
    """
    services: list[str] = []

    def first_page(path: str) -> list[Any]:
        return next(list_pages(api, "conversations", path, sizes, FEW_TRIES)).content

    def credentials() -> None:
        first_page(CREDENTIALS_PATH)

    def settings() -> None:
        records = first_page(SERVICES_PATH)
        services.extend(one["sid"] for one in records if isinstance(one, dict) and is_service_sid(one.get("sid")))
        for sid in services[:1]:
            get_notifications(api, sid, FEW_TRIES)

    def bindings() -> None:
        for sid in services[:1]:
            first_page(bindings_path(sid))

    for read in (credentials, settings, bindings):
        if api.is_account_proven:
            return True
        try:
            read()
        except TwilioError:
            continue
    return api.is_account_proven
