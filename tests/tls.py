"""Real TLS for tests: certificates of an authority of their own, and stand-ins and broken servers behind them."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from migrate.standin.app import make_app
from migrate.standin.server import HOST, StandInServer
from migrate.standin.world import World

NAMES = (HOST, "chat.example.test", "conversations.example.test")
DAY = timedelta(days=1)
_OTHERS = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
_SIGNS = x509.KeyUsage(
    **dict.fromkeys(_OTHERS, False), key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False
)


@cache
def _key(owner: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _san(name: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)


def _signed(subject: str, issuer: str, days: int, *extensions: x509.ExtensionType) -> x509.Certificate:
    """A certificate that is valid for so many days from now; one of fewer than none has expired."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(_key(subject).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 400 * DAY)
        .not_valid_after(now + days * DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(_key(subject).public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(_key(issuer).public_key()), critical=False)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=not isinstance(extension, x509.SubjectAlternativeName))
    return builder.sign(_key(issuer), hashes.SHA256())


def authority(folder: Path, name: str = "Test authority") -> Path:
    """The certificate of an authority, as a CA bundle."""
    path = folder / f"{name}.pem"
    made = _signed(name, name, 30, x509.BasicConstraints(ca=True, path_length=None), _SIGNS)
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return path


def server_context(
    folder: Path, names: tuple[str, ...] = NAMES, *, issuer: str = "Test authority", days: int = 30
) -> ssl.SSLContext:
    """What a TLS server needs to serve under these names, by a certificate of an authority."""
    made = _signed("server", issuer, days, x509.SubjectAlternativeName([_san(name) for name in names]))
    path = folder / "server.pem"
    key = _key("server").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(key + made.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


class SecureStandIn(StandInServer):
    """A stand-in that speaks TLS."""

    def __init__(self, world: World, context: ssl.SSLContext) -> None:
        super().__init__(world)
        self._context = context

    async def _start(self) -> None:
        self._runner = web.AppRunner(
            make_app(self.world, self._sizes, self._faults, self._prerendered), access_log=None, shutdown_timeout=1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0, ssl_context=self._context).start()
        self.url = f"https://{HOST}:{self._runner.addresses[0][1]}"


class _Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextmanager
def listening(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    """Handle every connection to a port on loopback; gives its address, host and port."""

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                handle(self.request)

    with _Server((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def reset(connection: socket.socket) -> None:
    """Close a connection by a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def pipe(one: socket.socket, other: socket.socket) -> None:
    """Pass on what comes from either to the other, until one of them ends."""

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    back = threading.Thread(target=copy, args=(other, one), daemon=True)
    back.start()
    copy(one, other)
    back.join()
