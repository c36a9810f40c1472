"""Diagnosis: this machine, and what Twilio lets its credentials do. It reads a page of each list, and no more."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from migrate.model.clock import SAID_FROM
from migrate.model.diagnosis import Check, CheckState
from migrate.model.errors import (
    InterruptedRunError,
    MigrateError,
    OtherAccountError,
    TransientTwilioError,
    TwilioError,
)
from migrate.model.masking import mask
from migrate.model.push_config import flatten
from migrate.model.sids import is_service_sid
from migrate.model.text import PLAIN_ASCII, lasting, printable
from migrate.twilio_api.addresses import Side, mixture_remedy
from migrate.twilio_api.client import TwilioApi
from migrate.twilio_api.connect import ApiSettings, open_api
from migrate.twilio_api.limits import page_sizes
from migrate.twilio_api.resources import (
    CREDENTIALS_PATH,
    SERVICES_PATH,
    bindings_path,
    get_notifications,
    list_pages,
    may_be_switched_off,
)

PACKAGES = ("twilio", "pyarrow", "duckdb", "pandas", "vcrpy")
LEAST_SPACE = 2_000_000_000  # bytes; 10,000,000 bindings take some 700 MB, and a comparison of them as much again
_SIDES: tuple[Side, ...] = ("chat", "conversations")
_SID = re.compile(r"\b([A-Z]{2})[0-9a-fA-F]{32}\b")
_LATER = "Look again later; --retry-budget says how long each check is tried"
_NO_WRITES = "whether it may write shows only in a write"


def diagnose(settings: ApiSettings, folder: Path) -> Iterator[Check]:
    """Every check, one after the other: this machine, `folder` as the place for snapshots, credentials, both APIs.

    It raises nothing that an operator can do something about: that is what the checks say.
    """
    yield from _machine(folder)
    try:
        with open_api(settings) as api:
            yield _credentials(api)
            if api.addresses.mixture:
                (foreign,) = (side for sides in api.addresses.foreign.values() for side in sides)
                yield Check("addresses", "wrong", api.addresses.mixture, mixture_remedy(foreign))
                return  # and so the credentials are not sent to either
            yield from _Twilio(api).checks()
    except InterruptedRunError:
        raise
    except OtherAccountError as error:  # which is of no use without the SIDs
        yield Check("account", "wrong", printable(error.what), error.remedy)
    except MigrateError as error:
        yield Check("credentials", "wrong", _safe(error.what), _safe(error.remedy))


def _safe(text: str) -> str:
    """A message without SIDs, to be put into a ticket."""
    return _SID.sub(r"\1…", printable(text))


def _machine(folder: Path) -> Iterator[Check]:
    found = f"{platform.python_implementation()} {platform.python_version()} on {platform.platform(terse=True)}"
    yield Check("python", "fine", found)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("chat-migrate", *PACKAGES))
    yield Check("packages", "fine", versions)
    encoding = (sys.stdout.encoding or "none").lower().replace(PLAIN_ASCII, "ascii")
    if encoding.replace("-", "") == "utf8":
        yield Check("terminal", "fine", f"{encoding}")
    else:
        yield Check("terminal", "note", f"{encoding}: names will show as escapes", "Set PYTHONUTF8=1")
    free = shutil.disk_usage(folder).free
    space = f"{free / 1e9:,.1f} GB free where this was called"
    if free >= LEAST_SPACE:
        yield Check("disk", "fine", space)
    else:
        yield Check("disk", "note", space, "10,000,000 bindings take some 700 MB; name another place with --out")


def _credentials(api: TwilioApi) -> Check:
    kind = "an API key" if api.is_signed_by_key else "the auth token"
    found = f"account {mask(api.account_sid)}, by {kind}"
    remedy = "Programmable Chat needs a standard key, or the auth token" if api.is_signed_by_key else ""
    return Check("credentials", "note" if remedy else "fine", found, remedy)


@dataclass
class _Twilio:
    """Both APIs, as far as the credentials reach."""

    api: TwilioApi
    service_sid: str = ""  # of a service, to look at what is below one
    silent: set[Side] = field(default_factory=set)  # the APIs that could not be reached

    def checks(self) -> Iterator[Check]:
        reached = False
        for side in _SIDES:
            check, services = self._list(side, SERVICES_PATH, f"{side} services")
            yield check
            if services:
                reached, self.service_sid = True, str(services[0]["sid"])
        yield self._clock()
        if not reached:
            return
        for side in _SIDES:
            yield self._list(side, bindings_path(self.service_sid), f"{side} bindings")[0]
        yield self._list("conversations", CREDENTIALS_PATH, "push credentials")[0]
        yield self._look("conversations", "push settings", self._settings)
        if not self.api.is_account_proven:
            remedy = "Use TWILIO_AUTH_TOKEN before anything is written; retire refuses to delete with this key"
            yield Check("account", "unknown", "no answer says whose account the API key is of", remedy)

    def _list(self, side: Side, path: str, name: str) -> tuple[Check, list[dict[str, Any]]]:
        found: list[dict[str, Any]] = []

        def look() -> str:
            page = next(list_pages(self.api, side, path, page_sizes(self.api.page_size)))
            found.extend(record for record in page.content if isinstance(record, dict))
            if path == SERVICES_PATH and not all(is_service_sid(record.get("sid")) for record in found):
                raise TwilioError("The list of services holds something that is no service")
            fewer = page.page_size is not None and page.page_size < self.api.page_size
            most = f", {page.page_size:,} at a time" if fewer else ""
            return f"readable at {self.api.addresses.base(side)}{most}" if found else "readable, and there are none"

        return self._look(side, name, look), found

    def _settings(self) -> str:
        unread = sorted(flatten(get_notifications(self.api, self.service_sid)).unreadable)
        if unread:
            raise TwilioError(
                f"Values of another type than is documented: {', '.join(unread)}",
                remedy="load leaves them as they are; set them by hand, or ask Twilio what they mean",
            )
        return f"readable; {_NO_WRITES}"

    def _look(self, side: Side, name: str, look: Callable[[], str]) -> Check:
        if side in self.silent:  # to wait for it once is enough
            return Check(name, "unknown", f"not asked for: {side} could not be reached")
        try:
            return Check(name, "fine", look())
        except (InterruptedRunError, OtherAccountError):
            raise
        except TransientTwilioError as error:
            self.silent.add(side)
            how = "not reached" if error.status is None else "not available"
            return Check(name, "unknown", f"{how}: {_safe(error.what)}", _safe(error.remedy) or _LATER)
        except MigrateError as error:
            said = _safe(error.what)
            if name.startswith("chat ") and may_be_switched_off(error):
                remedy = "Programmable Chat may be switched off for this account: use --source conversations"
                return Check(name, "note", said, remedy)
            return Check(name, "wrong", said, _safe(error.remedy))

    def _clock(self) -> Check:
        clock = self.api.clock
        if clock is None:
            return Check("clock", "unknown", "no answer said what time it is")
        if clock.simulated and not clock.is_said:
            return Check("clock", "fine", f"a stand-in's, which is its world's: {clock.source:%Y-%m-%d %H:%M} UTC")
        skew = clock.machine - clock.source
        seconds = abs(skew.total_seconds())
        size = lasting(seconds) if abs(skew) >= SAID_FROM else f"{seconds:.0f} s"
        found = f"{size} {'ahead of' if skew > timedelta() else 'behind'} the server's"
        if abs(skew) < SAID_FROM:
            return Check("clock", "fine", found)
        verdict: CheckState = "wrong" if clock.is_refused else "note"
        return Check("clock", verdict, found, "Set this machine's clock; ages are measured by the server's")
