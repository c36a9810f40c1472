"""The stand-in's state, and the small readable file that seeds it.

A world file (YAML) names services, credentials, groups of bindings and groups of alerts (see `alert_groups`). A group
stands for `count` of them; where it gives a list of alternatives, they are dealt out in turn. SIDs are derived from
positions, so the same file always makes the same world. `api_keys` and `main_api_keys` are secrets by SID. All of it
is synthetic.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import yaml

from migrate.model.errors import InputError, reason_of
from migrate.model.push_config import Value, flatten
from migrate.model.sids import DIGITS, is_api_key_sid
from migrate.standin.alert_groups import group_number, read_group
from migrate.standin.alerts import AlertLog

Made = TypeVar("Made")
DEMO_WORLD = Path(__file__).with_name("demo.yaml")
MALFORMED = (ArithmeticError, LookupError, RecursionError, ValueError, TypeError, AttributeError)
_BORN = datetime(2019, 3, 1, tzinfo=UTC)  # when services and credentials were made, for want of a date
_MINUTE, _CREATED_BEFORE = timedelta(minutes=1), timedelta(days=90)


@dataclass(slots=True)
class Binding:
    """One push subscription. `number` is its place in every list.

    A world can have millions of them: bindings of one group share their message types and extra fields, which
    nothing changes.
    """

    number: int
    sid: str
    identity: str | None
    endpoint: str | None
    binding_type: str | None
    credential_sid: str | None
    message_types: Sequence[str] | None
    created: datetime | None
    updated: datetime | None
    extra: Mapping[str, Any] = field(default_factory=dict)  # fields beyond the documented ones, or in their stead


@dataclass
class Credential:
    """One push credential; `sandbox` is the word that Twilio uses, or None."""

    number: int
    sid: str
    friendly_name: str | None
    type: str | None
    sandbox: str | None
    created: datetime | None
    updated: datetime | None
    secrets: dict[str, str] = field(default_factory=dict)  # digests of what was given, by form field; never shown
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Service:
    """One service on both sides. `configuration` is Conversations' push configuration as dotted paths; None if
    the service is not there. `conversations_bindings` are seen through Conversations only; `shows_chat` says whether
    it shows Chat's own too. `extra` are fields of Chat's service beyond the usual ones, or in their stead.
    """

    number: int
    sid: str
    friendly_name: str | None
    notifications: dict[str, Any] | None
    configuration: dict[str, Value] | None
    bindings: list[Binding] = field(default_factory=list)
    conversations_bindings: list[Binding] = field(default_factory=list)
    shows_chat: bool = True
    last_number: int = 0  # of its bindings, those that are gone too: a number is never given twice
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class World:
    """An account as the APIs show it.

    `writes` has every request that changed something, `requests` counts all. `registered` and `deleted` have the
    bindings that came and went by themselves, while somebody was reading. `ordered` are faults for the next writes,
    each in its turn; an empty text lets one pass. `api_keys` are secrets by the SID of their key: like the auth
    token, each opens this account. Those of `main_keys` may also see accounts, which standard keys may not. With
    `shows_account` off no object says whose it is. `losses` has for each deleted binding of Chat, by SID, the pushes
    that its device may have lost with it. SIDs that are derived differ by `namespace`, where
    there is one.
    """

    now: datetime
    account_sid: str
    auth_token: str
    services: dict[str, Service]
    credentials: dict[str, Credential]
    writes: list[str] = field(default_factory=list)
    requests: int = 0
    registered: list[Binding] = field(default_factory=list)
    deleted: list[Binding] = field(default_factory=list)
    ordered: list[str] = field(default_factory=list)
    losses: dict[str, list[str]] = field(default_factory=dict)
    api_keys: Mapping[str, str] = field(default_factory=dict)
    main_keys: frozenset[str] = frozenset()
    namespace: str = ""
    shows_account: bool = True
    plays_ahead: bool = False  # whether its time may lie in the future
    alerts: AlertLog = field(default_factory=AlertLog)

    @property
    def shown_account(self) -> str | None:
        """What objects have in `account_sid`."""
        return self.account_sid if self.shows_account else None

    def lets_in(self, user: str, password: str) -> bool:
        """Whether these credentials open the account: with its auth token, or with one of its keys."""
        known = {self.account_sid: self.auth_token, **self.api_keys}
        return known.get(user) == password

    def register(self, service: Service) -> None:
        """A device registers, through Chat: at the end of its lists, like the one before it in kind."""
        lists = [items for items in (service.bindings, service.conversations_bindings) if items]
        number = 1 + max([service.last_number, *(items[-1].number for items in lists)])
        like = service.bindings[-1] if service.bindings else None
        sid = binding_sid(service.sid, number)
        binding = Binding(
            number=number,
            sid=sid,
            identity=f"newcomer-{number:04}",
            endpoint="device-" + sid[2:18],
            binding_type=like.binding_type if like else "apn",
            credential_sid=like.credential_sid if like else None,
            message_types=["new_message"],
            created=self.now,
            updated=self.now,
        )
        service.last_number = number
        service.bindings.append(binding)
        self.registered.append(binding)

    def delete(self, service: Service, place: int) -> None:
        """A binding goes, by its place among Chat's and then Conversations' own."""
        own = place - len(service.bindings)
        items, place = (service.bindings, place) if own < 0 else (service.conversations_bindings, own)
        self.deleted.append(items.pop(place))


def load_world(path: Path) -> World:
    """Read a world file. Raises `InputError` if it cannot be read or is no world."""
    return load_file(path, make_world)


def load_file(path: Path, make: Callable[[Any], Made]) -> Made:
    """What is made of a world file's content. Raises `InputError` if it cannot be read or is no world."""
    try:
        return make(yaml.safe_load(path.read_text("utf-8")))
    except OSError as error:
        raise InputError(f"Cannot read the world file {path}: {reason_of(error)}") from None
    except (yaml.YAMLError, *MALFORMED) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is not a world file: {type(error).__name__}: {reason}") from None


def make_world(data: Mapping[str, Any], namespace: str = "") -> World:
    """The world that a file's content describes. Another `namespace` makes other SIDs, where the file names none."""
    now = datetime.fromisoformat(str(data["now"])).astimezone(UTC)
    credentials = {
        item["name"]: _credential(numbered_sid("CR", number, namespace), number, item, now)
        for number, item in enumerate(data["credentials"], 1)
    }
    services = [
        _service(numbered_sid("IS", number, namespace), number, item, credentials, now)
        for number, item in enumerate(data["services"], 1)
    ]
    standard, main = _keys(data, "api_keys"), _keys(data, "main_api_keys")
    if twice := {*standard} & {*main}:
        raise ValueError(f"{min(twice)} is in api_keys and in main_api_keys")
    return World(
        now=now,
        account_sid=data["account_sid"],
        auth_token=data["auth_token"],
        services={service.sid: service for service in services},
        credentials={credential.sid: credential for credential in credentials.values()},
        alerts=AlertLog(
            [
                read_group(group_number(number, namespace), item, now, credentials, services)
                for number, item in enumerate(data.get("alerts", ()), 1)
            ]
        ),
        api_keys=standard | main,
        main_keys=frozenset(main),
        namespace=namespace,
    )


def _keys(data: Mapping[str, Any], name: str) -> dict[str, str]:
    """API keys: secrets by SID. Raises `ValueError`, which names no secret."""
    keys = data.get(name, {})
    if not isinstance(keys, Mapping) or not all(
        is_api_key_sid(sid) and isinstance(secret, str) and secret for sid, secret in keys.items()
    ):
        raise ValueError(
            f"{name} has for the SID of each API key (SK and {DIGITS}, in lower case) its secret, a text"
        )
    return dict(keys)


def numbered_sid(prefix: str, number: int, namespace: str = "") -> str:
    """A SID that a person can tell apart: the prefix and a number in 32 digits. With a namespace it is a digest."""
    if namespace:
        return prefix + hashlib.sha256(f"{namespace} {prefix} {number}".encode()).hexdigest()[:32]
    return f"{prefix}{number:032d}"


def binding_sid(service_sid: str, number: int) -> str:
    """The SID of a service's binding."""
    return "BS" + hashlib.sha256(f"{service_sid} {number}".encode()).hexdigest()[:32]


def user_sid(service_sid: str, identity: str) -> str:
    """The SID of a service's user."""
    return "US" + hashlib.sha256(f"{service_sid} {identity}".encode()).hexdigest()[:32]


def _credential(derived: str, number: int, item: Mapping[str, Any], now: datetime) -> Credential:
    updated = now - timedelta(days=item.get("updated_days_ago", 0))
    sandbox = item.get("sandbox")
    return Credential(
        number, item.get("sid") or derived, item["name"], item["type"], sandbox, min(_BORN, updated), updated
    )


def _service(
    derived: str, number: int, item: Mapping[str, Any], credentials: Mapping[str, Credential], now: datetime
) -> Service:
    sid = item.get("sid") or derived
    target = item.get("conversations", {})
    service = Service(
        number=number,
        sid=sid,
        friendly_name=item["name"],
        notifications=item.get("notifications", {}),
        configuration=None if target is None else flatten(target),
        shows_chat=item.get("conversations_shows_chat", True),
    )
    by_type = {kind: credentials[name].sid for kind, name in item.get("credentials", {}).items()}
    for key, bindings in (
        ("bindings", service.bindings),
        ("conversations_bindings", service.conversations_bindings),
    ):
        for group in item.get(key, ()):
            first = 1 + len(service.bindings) + len(service.conversations_bindings)
            bindings.extend(_group(group, sid, first, by_type, now))
    service.last_number = len(service.bindings) + len(service.conversations_bindings)
    return service


def _group(
    group: Mapping[str, Any], service_sid: str, first: int, by_type: Mapping[str, str], now: datetime
) -> Iterator[Binding]:
    def choices(key: str, default: Any) -> list[Any]:
        given = group.get(key, default)
        return given if isinstance(given, list) else [given]

    # All that does not depend on the turn is done once: a group can stand for millions.
    kinds, identities, endpoints = (
        choices("binding_type", "apn"),
        choices("identity", "user-{n}"),
        choices("endpoint", ""),
    )
    message_types = [None if types is None else list(types) for types in choices("message_types", [["new_message"]])]
    dates = [None if age is None else now - timedelta(days=age) for age in choices("age_days", 30)]
    derived, extra = "endpoint" not in group, dict(group.get("extra", {}))
    for turn in range(group.get("count", 1)):
        number = first + turn
        sid = binding_sid(service_sid, number)
        kind, date = kinds[turn % len(kinds)], dates[turn % len(dates)]
        updated = date and date - _MINUTE * number
        yield Binding(
            number=number,
            sid=sid,
            identity=_numbered(identities[turn % len(identities)], turn + 1),
            endpoint="device-" + sid[2:18] if derived else _numbered(endpoints[turn % len(endpoints)], turn + 1),
            binding_type=kind,
            credential_sid=by_type.get(kind),
            message_types=message_types[turn % len(message_types)],
            created=updated and updated - _CREATED_BEFORE,
            updated=updated,
            extra=extra,
        )


def _numbered(text: str | None, number: int) -> str | None:
    return text.replace("{n}", f"{number:04}") if text else text
