"""How the stand-in's objects look in each API's JSON. `origin` is the scheme and host that the client used."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

from migrate.model.push_config import Settings
from migrate.standin.alerts import Alert
from migrate.standin.world import Binding, Credential, Service, World, user_sid

CHAT, CONVERSATIONS, MONITOR = "/v2", "/v1", "/v1"


def _iso(date: datetime | None) -> str | None:
    # All dates are in UTC. Dates are most of a page's rendering, and `strftime` takes twice the time.
    return date.isoformat()[:19] + "Z" if date else None


def chat_service(world: World, service: Service, origin: str) -> dict[str, Any]:
    """A service of Programmable Chat."""
    url = f"{origin}{CHAT}/Services/{service.sid}"
    return {
        "sid": service.sid,
        "account_sid": world.shown_account,
        "friendly_name": service.friendly_name,
        "date_created": "2019-03-01T00:00:00Z",
        "date_updated": "2019-03-01T00:00:00Z",
        "default_service_role_sid": "RL" + "0" * 31 + "1",
        "default_channel_role_sid": "RL" + "0" * 31 + "2",
        "default_channel_creator_role_sid": "RL" + "0" * 31 + "3",
        "read_status_enabled": True,
        "reachability_enabled": False,
        "typing_indicator_timeout": 5,
        "consumption_report_interval": 10,
        "limits": {"channel_members": 100, "user_channels": 250},
        "pre_webhook_url": None,
        "post_webhook_url": None,
        "webhook_method": None,
        "webhook_filters": None,
        "pre_webhook_retry_count": 0,
        "post_webhook_retry_count": 0,
        "notifications": service.notifications,
        "media": {"size_limit_mb": 150, "compatibility_message": "media compatibility message"},
        "url": url,
        "links": {name: f"{url}/{name.title()}" for name in ("channels", "users", "roles", "bindings")},
        **service.extra,
    }


def conversations_service(world: World, service: Service, origin: str) -> dict[str, Any]:
    """A service of Conversations; its `account_sid` is null in practice (FACTS.md, "The two APIs")."""
    url = f"{origin}{CONVERSATIONS}/Services/{service.sid}"
    links = ("Conversations", "Users", "Roles", "Bindings", "Configuration")
    return {
        "sid": service.sid,
        "account_sid": None,
        "friendly_name": service.friendly_name,
        "date_created": "2019-03-01T00:00:00Z",
        "date_updated": "2019-03-01T00:00:00Z",
        "url": url,
        "links": {name.lower(): f"{url}/{name}" for name in links},
    }


def _binding(world: World, binding: Binding) -> dict[str, Any]:
    return {
        "sid": binding.sid,
        "account_sid": world.shown_account,
        "date_created": _iso(binding.created),
        "date_updated": _iso(binding.updated),
        "endpoint": binding.endpoint,
        "identity": binding.identity,
        "binding_type": binding.binding_type,
        "credential_sid": binding.credential_sid,
        "message_types": binding.message_types,
    }


def chat_binding(world: World, service: Service, binding: Binding, origin: str) -> dict[str, Any]:
    """A binding as Programmable Chat shows it."""
    url = f"{origin}{CHAT}/Services/{service.sid}"
    user = quote(binding.identity or "", safe="")
    return {
        **_binding(world, binding),
        "service_sid": service.sid,
        "url": f"{url}/Bindings/{binding.sid}",
        "links": {"user": f"{url}/Users/{user}"},
        **binding.extra,
    }


def user_binding(world: World, service: Service, binding: Binding, origin: str) -> dict[str, Any]:
    """A binding as it stands under its user in Programmable Chat."""
    user = user_sid(service.sid, binding.identity or "")
    return {
        **_binding(world, binding),
        "service_sid": service.sid,
        "user_sid": user,
        "url": f"{origin}{CHAT}/Services/{service.sid}/Users/{user}/Bindings/{binding.sid}",
    }


def conversations_binding(world: World, service: Service, binding: Binding, origin: str) -> dict[str, Any]:
    """A binding as Conversations shows it: another name for the service, and no links."""
    return {
        **_binding(world, binding),
        "chat_service_sid": service.sid,
        "url": f"{origin}{CONVERSATIONS}/Services/{service.sid}/Bindings/{binding.sid}",
        **binding.extra,
    }


def credential(world: World, item: Credential, url: str) -> dict[str, Any]:
    """A credential; both APIs show the same objects. `url` is its own address."""
    return {
        "sid": item.sid,
        "account_sid": world.shown_account,
        "friendly_name": item.friendly_name,
        "type": item.type,
        "sandbox": item.sandbox,
        "date_created": _iso(item.created),
        "date_updated": _iso(item.updated),
        "url": url,
        **item.extra,
    }


def notifications(world: World, service: Service, settings: Settings, origin: str) -> dict[str, Any]:
    """Conversations' push configuration: switches are always there, unset templates and sounds are absent."""
    nested: dict[str, Any] = {
        "log_enabled": False,
        "new_message": {"enabled": False, "badge_count_enabled": False, "with_media": {"enabled": False}},
        "added_to_conversation": {"enabled": False},
        "removed_from_conversation": {"enabled": False},
    }
    for path, value in settings.items():
        *groups, key = path.split(".")
        place = nested
        for group in groups:
            place = place[group]
        place[key] = value
    return {
        "account_sid": world.shown_account,
        "chat_service_sid": service.sid,
        **nested,
        "url": f"{origin}{CONVERSATIONS}/Services/{service.sid}/Configuration/Notifications",
    }


def alert(world: World, item: Alert, origin: str) -> dict[str, Any]:
    """An alert as Monitor lists it."""
    return {
        "sid": item.sid,
        "account_sid": world.shown_account,
        "error_code": item.error_code,
        "log_level": item.log_level,
        "alert_text": item.text,
        "resource_sid": item.resource_sid,
        "service_sid": item.service_sid,
        "api_version": None,
        "date_generated": _iso(item.generated),
        "date_created": _iso(item.created),
        "date_updated": _iso(item.created),
        "more_info": item.error_code and f"https://www.twilio.com/docs/errors/{item.error_code}",
        "request_method": "POST",
        "request_url": item.request_url,
        "url": f"{origin}{MONITOR}/Alerts/{item.sid}",
    }


def whole_alert(world: World, item: Alert, origin: str) -> dict[str, Any]:
    """An alert as Monitor shows it by itself: with what was asked and answered, which is empty here."""
    asked = dict.fromkeys(("request_headers", "request_variables", "response_headers", "response_body"), "")
    return alert(world, item, origin) | asked
