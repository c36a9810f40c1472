"""Synthetic certificates and keys, made when they are first needed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

PASSWORD = "synthetic-password"
BOTH = "Apple Push Services: com.example.app"
SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 6, 1, tzinfo=UTC)


@cache
def key(number: int) -> rsa.RSAPrivateKey:
    """One of some private keys."""
    return rsa.generate_private_key(65537, 1024)  # as little as may be: to read one costs its size to the third power


@cache
def private_key(number: int = 1, *, pkcs8: bool = False, password: str = "") -> str:
    """A private key in PEM format."""
    form = PrivateFormat.PKCS8 if pkcs8 else PrivateFormat.TraditionalOpenSSL
    sealed: KeySerializationEncryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key(number).private_bytes(Encoding.PEM, form, sealed).decode()


@cache
def _certificate(name: str, since: datetime, until: datetime, number: int) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key(number).public_key())
        .serial_number(7)
        .not_valid_before(since)
        .not_valid_after(until)
        .sign(key(number), hashes.SHA256())
    )


def certificate(name: str = BOTH, since: datetime = SINCE, until: datetime = UNTIL, number: int = 1) -> str:
    """A certificate of a key, signed by itself, in PEM format."""
    return _certificate(name, since, until, number).public_bytes(Encoding.PEM).decode()


def p12(name: str = BOTH, *, password: str = PASSWORD, whole: bool = True) -> bytes:
    """A .p12 file with a certificate and its key, or with the key alone."""
    sealed: KeySerializationEncryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    found = _certificate(name, SINCE, UNTIL, 1) if whole else None
    return pkcs12.serialize_key_and_certificates(None, key(1), found, None, sealed)


def service_account(**others: object) -> str:
    """A service-account key, as Google writes them."""
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "p",
            "client_email": "a@example.test",
            "private_key": private_key(pkcs8=True),
            **others,
        }
    )
