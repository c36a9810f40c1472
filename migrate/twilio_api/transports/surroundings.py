"""The network around this machine, as its environment describes it: proxies, and whose certificates are accepted."""

from __future__ import annotations

import base64
import os
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from migrate.model.errors import InputError, UsageError

# The first that is set counts. requests knows the first two; OpenSSL and what is built on it know the third.
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
PROXY_FORM = (
    "It has the form http://USER:PASSWORD@HOST:PORT, where special characters of the password are percent-encoded "
    "(@ is %40, / is %2F)"
)


def surroundings_of(session: requests.Session, url: str) -> dict[str, Any]:
    """The options with which a session sends requests to the host of a URL: `proxies`, `verify`, and so on.

    Raises `UsageError` for a proxy without a valid address, and `InputError` for certificates that cannot be
    read: both before anything is sent.
    """
    found: dict[str, Any] = dict(session.merge_environment_settings(url, {}, True, None, None))
    proxy = requests.utils.select_proxy(url, found["proxies"]) or ""
    if proxy:
        _check_proxy(url, proxy)
    if session.trust_env and any(one.lower().startswith("https:") for one in (url, proxy)):
        found["verify"] = _bundle(os.environ)
    return found


def basic_credentials(proxy: str) -> str:
    """The user and the password in a proxy's address as Basic authentication carries them; empty if it has none."""
    user, password = requests.utils.get_auth_from_url(proxy)
    return base64.b64encode(f"{user}:{password}".encode(errors="surrogateescape")).decode() if user else ""


def _check_proxy(url: str, proxy: str) -> None:
    """Raise `UsageError`, without any of it, for an address that would lead elsewhere than it was meant to."""
    scheme, _, place = proxy.partition("://") if "://" in proxy else ("http", "", proxy)
    user, is_signed, host = place.rpartition("@")
    # A password with a / or a # that is not encoded: what stands behind it would be taken for a path.
    if scheme.lower().startswith("socks") and find_spec("socks") is None:
        raise UsageError(
            "The environment names a SOCKS proxy, which needs the package PySocks",
            remedy="Install PySocks beside chat-migrate, or name an HTTP proxy",
        )
    is_sound = scheme.lower() in _SCHEMES and not set("/?#") & set(user)
    with suppress(LocationParseError):
        if is_sound and parse_url(f"{scheme}://{host}").host and not (is_signed and "://" not in proxy):
            return
    names = f"{urlsplit(url).scheme.upper()}_PROXY or ALL_PROXY"
    raise UsageError(f"{names} is not the address of a proxy", remedy=PROXY_FORM)


def _bundle(environment: Mapping[str, str]) -> str | bool:
    """The file, or folder, of the authorities that are trusted in the place of the usual ones; True for those."""
    name = next((name for name in BUNDLES if environment.get(name)), None)
    if name is None:
        return True
    place = environment[name]
    try:
        if not Path(place).is_dir():
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(place)
    except ssl.SSLError:
        raise InputError(
            f"{name} names {place}, which holds no certificate in PEM format",
            remedy="Name a file with the certificates of the authorities that are to be trusted",
        ) from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "not a file").lower()
        raise InputError(
            f"{name} names {place}, which cannot be read: {reason}", remedy=f"Name another file, or unset {name}"
        ) from None
    return place


def proxy_for(url: str, proxies: Mapping[str, str] | None = None) -> str:
    """The proxy that is asked for a URL, without a user and a password; empty if none is.

    Without `proxies` it is as the environment says, by requests' own rules (HTTPS_PROXY, ALL_PROXY, NO_PROXY, …).
    """
    found = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url) if proxies is None else proxies)
    return found.rpartition("@")[2].rpartition("//")[2].rstrip("/") if found else ""


def is_known_host(url: str) -> bool:
    """Whether this machine's name service knows the host of a URL."""
    parts = urlsplit(url)
    try:
        return bool(socket.getaddrinfo(parts.hostname, parts.port or 443))
    except OSError:
        return False
