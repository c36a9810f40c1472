"""What it means that no whole answer came: whether it may pass, why, and what helps.

The libraries' own errors hold whole addresses, and identities with them: of those nothing is shown but plain words.
"""

from __future__ import annotations

import os
import re
import socket
import ssl

import urllib3

from migrate.model.errors import HostNotFoundError, NothingListensError, TransientTwilioError, TwilioError
from migrate.twilio_api.addresses import public_url
from migrate.twilio_api.concealment import Sent
from migrate.twilio_api.transports.surroundings import BUNDLES, PROXY_FORM

_UNKNOWN_HOST = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
CHECK = "Check the address, and that this machine reaches it"
_CHECK_PROXY = "Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, and that the proxy lets the host pass"
_REFUSED_BY_PROXY = re.compile(r"Tunnel connection failed: (?:4\d\d|501)")
_NOT_SIGNED_IN = "Tunnel connection failed: 407"
_SIGN_IN = f"The proxy asks for a user and a password, or for other ones: check HTTPS_PROXY. {PROXY_FORM}"
_EXPIRED = (9, 10)  # OpenSSL's numbers for a certificate that is not valid yet, or not any more
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST"})  # for an answer that is no TLS at all


class EncodingError(urllib3.exceptions.DecodeError):
    """A body that is not encoded as it should be, in our own words."""


def reason_of(error: BaseException) -> str:
    """The innermost cause in few words: the libraries' own wrap addresses and object names around it.

    Of those only plain ones: a library quotes what a server has answered instead of HTTP, or a proxy's address.
    """
    error = _innermost(error)
    if isinstance(error, EncodingError):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"  # OpenSSL's own words
    if isinstance(error, ssl.SSLError):
        return f"no TLS ({str(getattr(error, 'reason', None) or 'unknown').replace('_', ' ').lower()})"
    if isinstance(error, OSError) and error.errno and error.strerror:
        named = error.strerror if isinstance(error, socket.gaierror | socket.herror) else os.strerror(error.errno)
        return named.lower()
    return Sent().conceal(str(error).rsplit(": ", 1)[-1]) or type(error).__name__


def error_without_answer(url: str, error: Exception, proxy: str) -> TwilioError:
    """What it means that no whole answer came: most of it may pass, a certificate that is refused will not."""
    through = f" through the proxy {proxy}" if proxy else ""
    what, inner = f"No answer from {public_url(url)}{through}: {reason_of(error)}", _innermost(error)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return TwilioError(what, remedy=_about_certificate(inner))
    if isinstance(inner, ssl.SSLError) and inner.reason in _NO_TLS:
        return TwilioError(what, remedy="What answers there does not speak TLS: check the address and its port")
    # For certain: a name service that does not answer is no proof.
    unknown = isinstance(inner, socket.gaierror) and inner.errno in _UNKNOWN_HOST
    if proxy:  # whose own name it may be
        lasts = unknown or _REFUSED_BY_PROXY.search(str(inner))
        remedy = _SIGN_IN if _NOT_SIGNED_IN in str(inner) else _CHECK_PROXY
        return (TwilioError if lasts else TransientTwilioError)(what, remedy=remedy)
    if isinstance(inner, ConnectionRefusedError):
        return NothingListensError(what, remedy=CHECK)
    return (HostNotFoundError if unknown else TransientTwilioError)(what, remedy=CHECK)


def _about_certificate(error: ssl.SSLCertVerificationError) -> str:
    """What helps against a certificate that is refused."""
    if error.verify_code in _EXPIRED:
        return "Check this machine's clock first; if it is right, somebody else may be answering"
    return (
        "Somebody else may be answering; if it is a proxy of yours, name the certificate of its authority in "
        f"{' or '.join(name for name in BUNDLES if not name.startswith('CURL'))}"
    )


def _innermost(error: BaseException) -> BaseException:
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        inner = inner or next((part for part in error.args if isinstance(part, BaseException)), None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error
