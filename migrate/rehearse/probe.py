"""The stand-in seen from outside: what it holds and what was written to it; and a stranger who writes to it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from migrate.model.push_config import FIELD_BY_PATH, Settings, Value, form_value
from migrate.twilio_api.addresses import Addresses
from migrate.twilio_api.answers import raise_for_status
from migrate.twilio_api.login import Login
from migrate.twilio_api.resources import notifications_path
from migrate.twilio_api.retry import RetryPolicy
from migrate.twilio_api.transports.live import LiveTransport
from migrate.twilio_api.transports.transport import Request

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_SERVICE = re.compile(r"/Services/(IS\w+)")
_BUDGET = 30.0  # seconds that the stranger tries for
State = Mapping[str, Settings]  # by service SID


@dataclass(frozen=True)
class Seen:
    """What the stand-in holds: settings by service, each of which it has in Conversations; and its counts.

    `writes` has every effective write of settings and credentials: the service's SID, or an empty text for what is no
    service's. `deletes` has the SIDs of the bindings that were deleted, `losses` those that cost a device a push.
    """

    services: State
    writes: tuple[str, ...]
    requests: int
    deletes: tuple[str, ...] = ()
    losses: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Oracle:
    """Asks the stand-in, past all faults; and writes to it as anybody can. Raises `TwilioError` if it is gone."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        url = variables["CHAT_MIGRATE_CONVERSATIONS_URL"]
        self._addresses = Addresses(url, url)
        self._login = Login.from_environment(variables)
        self._transport = LiveTransport(direct=True)
        self._retry_policy = RetryPolicy(_BUDGET)
        self._strangers: Counter[str] = Counter()

    def look(self) -> Seen:
        """What the stand-in holds now."""
        found = json.loads(self._ask("GET", f"{self._addresses.conversations}/_standin"))
        is_delete = [write.startswith("DELETE ") for write in found["writes"]]
        writes = list(zip(found["writes"], is_delete, strict=True))
        return Seen(
            services=found["services"],
            writes=tuple(_target(write) for write, deletes in writes if not deletes),
            requests=found["requests"],
            deletes=tuple(write.rpartition("/")[2] for write, deletes in writes if deletes),
            losses={sid: pushes for sid, pushes in found["losses"].items() if pushes},
        )

    def order(self, faults: Sequence[str]) -> None:
        """Have the next writes fail in these ways, one after the other; an empty text lets one pass."""
        body = urlencode([("fault", kind) for kind in faults]).encode()
        self._ask("POST", f"{self._addresses.conversations}/_standin", body)

    def our_writes(self) -> Counter[str]:
        """How many effective writes there were, by target, but for the stranger's."""
        return Counter(self.look().writes) - self._strangers

    def meddle(self, service_sid: str, path: str, value: Value) -> None:
        """Somebody else sets a field, as often as it takes to get through. No other may set it meanwhile."""
        self._retry_policy.reset_budget()
        before = self.look().writes.count(service_sid)
        url = self._addresses.url("conversations", notifications_path(service_sid))
        body = urlencode({FIELD_BY_PATH[path].form: form_value(value)}).encode()
        self._retry_policy.call(lambda: self._ask("POST", url, body))
        self._strangers[service_sid] += self.look().writes.count(service_sid) - before

    def stop(self) -> None:
        """End what is under way, soon, and ask nothing more."""
        self._retry_policy.stopped.set()
        self._transport.stop()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _ask(self, method: str, url: str, body: bytes | None = None) -> bytes:
        auth = (self._login.username, self._login.password)
        answer = self._transport.send(Request(method, url, _FORM if body else {}, body, auth))
        raise_for_status(answer, url, self._login)
        return answer.body


def _target(write: str) -> str:
    """The service that a write was to, such as `POST /v1/Services/IS…/Configuration/Notifications`."""
    found = _SERVICE.search(write)
    return found[1] if found else ""
