"""Push configuration: the notification settings of a Conversations service, as a flat table of fields.

Twilio answers with nested JSON (`new_message.with_media.enabled`) and takes form fields
(`NewMessage.WithMedia.Enabled`). Everything between reading and writing uses the dotted JSON path, and a
path that is absent means "not set" when read and "leave as it is" when desired. Source: FACTS.md, "Message
types and their push configuration".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta

from migrate.model.push_credential import CredentialConfig

Value = bool | str
Settings = Mapping[str, Value]


@dataclass(frozen=True)
class Field:
    """One setting: its dotted path in the JSON, its form field name, and the type of its value."""

    path: str
    form: str
    type: type[bool] | type[str]


# In the order in which people read them; reports and files keep it.
FIELDS: tuple[Field, ...] = (
    Field("log_enabled", "LogEnabled", bool),
    Field("new_message.enabled", "NewMessage.Enabled", bool),
    Field("new_message.template", "NewMessage.Template", str),
    Field("new_message.sound", "NewMessage.Sound", str),
    Field("new_message.badge_count_enabled", "NewMessage.BadgeCountEnabled", bool),
    Field("new_message.with_media.enabled", "NewMessage.WithMedia.Enabled", bool),
    Field("new_message.with_media.template", "NewMessage.WithMedia.Template", str),
    Field("added_to_conversation.enabled", "AddedToConversation.Enabled", bool),
    Field("added_to_conversation.template", "AddedToConversation.Template", str),
    Field("added_to_conversation.sound", "AddedToConversation.Sound", str),
    Field("removed_from_conversation.enabled", "RemovedFromConversation.Enabled", bool),
    Field("removed_from_conversation.template", "RemovedFromConversation.Template", str),
    Field("removed_from_conversation.sound", "RemovedFromConversation.Sound", str),
)
# Conversations' message types: each has a push, and settings for it.
PUSHES = ("new_message", "added_to_conversation", "removed_from_conversation")
# Twilio's object of these settings has at least one of these keys; an object without any is something else.
KEYS = ("chat_service_sid", "log_enabled", *PUSHES)
FIELD_BY_PATH: Mapping[str, Field] = {item.path: item for item in FIELDS}
_PATHS = "|".join(FIELD_BY_PATH).replace(".", r"\.")
SettingPath = Annotated[str, Meta(pattern=rf"\A(?:{_PATHS})\Z")]
SettingPathOrNone = Annotated[str, Meta(pattern=rf"\A(?:{_PATHS})?\Z")]


@dataclass(frozen=True)
class ServiceConfig:
    """The desired settings of one service. `origins` says of each path where its value comes from."""

    service_sid: str
    friendly_name: str
    settings: Settings
    origins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PushConfig:
    """What a push-config.yaml states: services in the order of their SID, credentials in that of their name."""

    services: tuple[ServiceConfig, ...]
    credentials: tuple[CredentialConfig, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All that it states but for names of services, and origins: the part that a digest covers."""
        credentials = [[found.credential_sid, found.to_json()] for found in self.credentials]
        return {
            "services": {config.service_sid: dict(config.settings) for config in self.services},
            **({"credentials": credentials} if credentials else {}),
        }


def is_value_of(path: str, value: Any) -> bool:
    """Whether there is such a setting, and the value is of its type."""
    return path in FIELD_BY_PATH and type(value) is FIELD_BY_PATH[path].type


def in_order(settings: Settings) -> dict[str, Value]:
    """The same settings in the order of `FIELDS`."""
    return {item.path: settings[item.path] for item in FIELDS if item.path in settings}


class LiveSettings(dict[str, Value]):
    """Settings as an API has shown them.

    `unreadable` are the paths at which something stood that is not of the documented type, such as the text "true":
    what is live there is not known, so it is neither the same as anything nor written over.
    """

    def __init__(self, settings: Settings, unreadable: frozenset[str]) -> None:
        super().__init__(settings)
        self.unreadable = unreadable


def unreadable_of(settings: Settings) -> frozenset[str]:
    """The paths of settings at which what is live is not known."""
    return settings.unreadable if isinstance(settings, LiveSettings) else frozenset()


def flatten(notifications: Mapping[str, Any]) -> LiveSettings:
    """The settings in a Conversations notification object; what is null or absent is not set."""
    settings: dict[str, Value] = {}
    unreadable: set[str] = set()
    for item in FIELDS:
        value: Any = notifications
        for key in item.path.split("."):
            if not isinstance(value, Mapping):  # where an object should be, and null is not one
                break
            value = value.get(key)
        else:
            if isinstance(value, item.type):
                settings[item.path] = value
                continue
        if value is not None:
            unreadable.add(item.path)
    return LiveSettings(settings, frozenset(unreadable))


def form_value(value: Value) -> str:
    """A value as Twilio's forms have it: booleans are the words `true` and `false`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value
