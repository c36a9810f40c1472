"""Keys and certificates of push credentials: what of a file is sent, and what cannot work is refused before that.

`cryptography` reads them, and is imported when the first one is looked at.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

Purpose = Literal["sandbox", "production", "both", "unknown"]
SOON = timedelta(days=30)  # before its end a certificate is warned of
_CERTIFICATE = r"(?:X509 )?CERTIFICATE"
_PRIVATE_KEY = r"(?:[A-Z0-9]+ )*PRIVATE KEY"
# Apple's common names say what a certificate is for; the newer ones serve both ("Apple Push Services").
_APPLES: Mapping[str, Purpose] = {
    "Apple Development IOS Push Services": "sandbox",
    "Apple Development Mac Push Services": "sandbox",
    "Apple Development iOS Push Services": "sandbox",
    "Apple Sandbox Push Services": "sandbox",
    "Apple Production IOS Push Services": "production",
    "Apple Production iOS Push Services": "production",
    "Apple Production Mac Push Services": "production",
    "Apple Push Services": "both",
    "VoIP Services": "both",
    "WatchKit Services": "both",
}
_SERVICE_ACCOUNT = ("project_id", "private_key", "client_email")


class UnfitKeyError(ValueError):
    """What cannot be the secret of a credential; the message says why, and nothing of it."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, each as one PEM block; it is valid from `since` to `until`, in UTC."""

    certificate: str
    private_key: str
    since: datetime
    until: datetime
    purpose: Purpose


def pair_of_pem(certificate: tuple[str, str], private_key: tuple[str, str]) -> Pair:
    """The certificate and the key in two texts, each after the name that errors have for it.

    Whatever stands around the blocks is left out; of several the two that belong together are taken. Raises
    `UnfitKeyError`.
    """
    certificates = _blocks(certificate[1], _CERTIFICATE)
    if not certificates:
        raise UnfitKeyError(f"{certificate[0]} is no certificate in PEM format (-----BEGIN …)")
    keys = _blocks(private_key[1], _PRIVATE_KEY)
    if not keys:
        raise UnfitKeyError(f"{private_key[0]} is no private key in PEM format (-----BEGIN …)")
    from cryptography import x509

    found = [(block, _read_certificate(block, certificate[0], x509)) for block in certificates]
    for key in keys:
        public = _read_key(key, private_key[0]).public_key()
        for block, one in found:
            if one.public_key() == public:
                return _pair(block, key, one)
    raise UnfitKeyError(f"{private_key[0]} does not belong to the certificate in {certificate[0]}")


def pair_of_p12(name: str, data: bytes, password: str | None) -> Pair:
    """The certificate and the key in a PKCS #12 file, which `name` is what errors call. Raises `UnfitKeyError`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import pkcs12

    try:
        found = pkcs12.load_pkcs12(data, password.encode() if password else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnfitKeyError(f"{name} cannot be opened: it is no .p12 file, or its p12_password is another") from None
    certificate = found.cert.certificate if found.cert else None
    if found.key is None or certificate is None or certificate.public_key() != found.key.public_key():
        raise UnfitKeyError(f"{name} does not hold a certificate and the private key that belongs to it")
    try:
        key = found.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    except (ValueError, UnsupportedAlgorithm):
        raise UnfitKeyError(f"{name} holds a private key of a kind that Apple does not use") from None
    return _pair(certificate.public_bytes(serialization.Encoding.PEM).decode(), key.decode(), certificate)


def flaw_of(pair: Pair, now: datetime, *, sandbox: bool) -> str:
    """Why a certificate cannot be used now, for Apple's sandbox or for production; empty if it can."""
    if pair.until <= now:
        return f"expired on {pair.until:%Y-%m-%d}"
    if now < pair.since:
        return f"is not valid before {pair.since:%Y-%m-%d}"
    if pair.purpose == "sandbox" and not sandbox:
        return "is for Apple's sandbox, and the credential is for production: state sandbox: true"
    if pair.purpose == "production" and sandbox:
        return "is for production, and the credential is for Apple's sandbox: state sandbox: false"
    return ""


def service_account(name: str, text: str) -> str:
    """A service-account key as it is sent. Raises `UnfitKeyError` for anything else."""
    wanted = (
        f"is no service-account key (a JSON file with {', '.join(_SERVICE_ACCOUNT[:2])} and {_SERVICE_ACCOUNT[2]})"
    )
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not set(_SERVICE_ACCOUNT) <= set(found):
        raise UnfitKeyError(f"{name} {wanted}")
    if not all(isinstance(found[key], str) and found[key].strip() for key in _SERVICE_ACCOUNT):
        raise UnfitKeyError(f"{name} {wanted}: one of them is empty, or no text")
    if found.get("type", "service_account") != "service_account":
        raise UnfitKeyError(f"{name} is the key of something else than a service account: its type says so")
    return text


def is_readable_key(service_account_key: str) -> bool:
    """Whether the private key in a service-account key can be read, and needs no password."""
    try:
        _read_key(json.loads(service_account_key)["private_key"], "")
    except UnfitKeyError:
        return False
    return True


def text_of(data: bytes) -> str:
    """A file's text, without a byte-order mark. Raises `UnicodeDecodeError`."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # as Windows PowerShell writes what is redirected
        return data.decode("utf-16")
    return data.decode("utf-8-sig")


def bytes_of(name: str, text: str) -> bytes:
    """What a variable has in base64. Raises `UnfitKeyError`."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise UnfitKeyError(f"{name} is not in base64, as a .p12 file in a variable must be") from None


def _blocks(text: str, label: str) -> list[str]:
    """The PEM blocks of some kind in a text, each with its own lines alone; line breaks may be written as `\\n`."""
    text = text.replace("\\r", "").replace("\\n", "\n")
    found = re.finditer(rf"-----BEGIN ({label})-----(.*?)-----END \1-----", text, re.DOTALL)
    return ["\n".join([*(line.strip() for line in one[0].splitlines() if line.strip()), ""]) for one in found]


def _read_certificate(block: str, name: str, x509: Any) -> Certificate:
    try:
        certificate: Certificate = x509.load_pem_x509_certificate(block.encode())
        certificate.public_key()
    except (ValueError, TypeError):
        raise UnfitKeyError(f"{name} holds a certificate that cannot be read") from None
    return certificate


def _read_key(block: str, name: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if "ENCRYPTED" in block.partition("\n")[0] or "Proc-Type:" in block:  # PKCS #8, or the older way of OpenSSL
        remedy = "send it without: openssl pkey -in KEY -out PLAIN-KEY"
        raise UnfitKeyError(f"{name} holds a private key that needs a password; {remedy}")
    try:
        return load_pem_private_key(block.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnfitKeyError(f"{name} holds a private key that cannot be read") from None


def _pair(certificate: str, key: str, found: Certificate) -> Pair:
    from cryptography.x509.oid import NameOID

    names = [str(one.value) for one in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    kinds = [name.partition(":")[0].strip() for name in names]
    purpose: Purpose = next((_APPLES[kind] for kind in kinds if kind in _APPLES), "unknown")
    return Pair(certificate, key, found.not_valid_before_utc, found.not_valid_after_utc, purpose)
