"""The proof of whose account an API key is, looked for where answers have it, before anything rests on it."""

from __future__ import annotations

from functools import partial

from migrate.model.errors import TwilioError
from migrate.model.push_config import KEYS
from migrate.model.sids import is_service_sid
from migrate.twilio_api.addresses import Api
from migrate.twilio_api.api import TwilioApi
from migrate.twilio_api.limits import FEW_TRIES, PAGE_SIZES
from migrate.twilio_api.pages import records_of
from migrate.twilio_api.resources import CREDENTIALS, SERVICES, bindings_path, notifications_path


def prove_account(api: TwilioApi, sizes: tuple[int, ...] = PAGE_SIZES) -> bool:
    """Whether it is certain that answers are of the account of the credentials; reads of Conversations until it is.

    Its services do not say (FACTS.md, "The two APIs"); credentials do, and of a service its notification settings and
    its bindings. What cannot be read says nothing. Raises `OtherAccountError` where an answer is of another account.
    """
    services: list[str] = []

    def credentials() -> None:
        _first_page(api, "conversations", CREDENTIALS, sizes)

    def settings() -> None:
        records = _first_page(api, "conversations", SERVICES, sizes)
        services.extend(str(record["sid"]) for record in records if is_service_sid(record.get("sid")))
        for sid in services[:1]:
            api.get("conversations", notifications_path(sid), FEW_TRIES, having=KEYS)

    def bindings() -> None:
        for sid in services[:1]:
            _first_page(api, "conversations", bindings_path(sid), sizes)

    for read in (credentials, settings, bindings):
        if api.is_account_proven:
            return True
        try:
            read()
        except TwilioError:
            continue
    return api.is_account_proven


def _first_page(api: TwilioApi, side: Api, path: str, sizes: tuple[int, ...]) -> list[dict[str, object]]:
    key = path.rpartition("/")[2].lower()
    page = next(api.pages(side, path, read=partial(records_of, key=key), sizes=sizes, tries=FEW_TRIES))
    return [record for record in page.content if isinstance(record, dict)]
