"""Addresses of the two APIs as files record them: which are Twilio's own, and which lead to the same API."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

_ALIASES = {"ip-messaging": "chat"}  # of Twilio's hosts (FACTS.md, "The two APIs")
RECORDING = "cassette:"  # begins what replaces an address for a recording
_PORTS = {"http": 80, "https": 443}


def is_twilios(address: str) -> bool:
    """Whether an address is Twilio's own, by its host."""
    return _host(address).endswith(".twilio.com")


def is_on_this_machine(address: str) -> bool:
    """Whether an address is this machine's own, where a rehearsal's stand-in is."""
    host = _host(address)
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name, which may lead anywhere whatever it begins with
        return False


def is_same_api(one: str, other: str) -> bool:
    """Whether two addresses lead to the same API: one server; or Twilio's own, by any name of an edge or a region.

    A region holds data of its own, but no credentials reach two of them (FACTS.md, "REST behaviour").
    """
    return _server(one) == _server(other)


def is_same_server(one: str, other: str) -> bool:
    """Whether two addresses of different APIs are of one server: Twilio, or one that imitates both."""
    return (is_twilios(one) and is_twilios(other)) or is_same_api(one, other)


def other_address(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The first API, of those that both have, whose addresses lead to different places; empty if none do."""
    return next((api for api in then if api in now and not is_same_api(then[api], now[api])), "")


def place(address: str) -> str:
    """An address as a message names it; a recording is named by the first digits of its hash."""
    digest = address.removeprefix(RECORDING)
    return address if digest == address else f"a recording (SHA-256 {digest[:12]}…)"


def _server(address: str) -> object:
    """What is the same for two addresses of one API."""
    host = _host(address)
    if is_twilios(address):
        product = host.split(".")[0]
        return _ALIASES.get(product, product)
    try:
        parts = urlsplit(address)
        return (parts.scheme, host, parts.port or _PORTS.get(parts.scheme)) if host else address
    except ValueError:  # a file can hold anything
        return address


def _host(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""
